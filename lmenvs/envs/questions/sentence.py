"""From free text to the words of one question: lower case, no politeness, no articles."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

LONGEST = 300
"""Characters; a longer text is no question."""

UNREADABLE = "#"
"""Stands for letters of other scripts, so that no phrase matches them."""

_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'"})
_ODD = re.compile(r"[^a-z0-9'.,?!;:$%\n -]")
_NUMBER_COMMA = re.compile(r"(?<=\d),(?=\d{3}\b)")
_DECIMAL = re.compile(r"(?<=\d)\.(?=\d)")
_INITIALS = re.compile(r"\b([a-z])\.([a-z])\b\.?")
_ABBREVIATION = re.compile(r"\b(st|mt|ft|dr|approx)\.")
_SENTENCE = re.compile(r"[^.?!;\n]+[.?!;\n]*")
_WORD = re.compile(r"[a-z0-9#$%_]+")

_SUBJECT = r"(it|this|that|they|you|people|there|your|we|one)\b"
_CONTRACTIONS = (
    # in front of its subject a contraction asks for consent: "isn't it big?" is "is it big?"
    (
        re.compile(rf"\b(is|are|was|does|do|could|would|did|has|have|should)n't {_SUBJECT}"),
        r"\1 \2",
    ),
    (re.compile(rf"\b(ca|wo)n't {_SUBJECT}"), r"can \2"),
    (re.compile(r"\bcan't\b|\bcannot\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\b(it|that|this|what|there|where|he|she|who|how|which)'s\b"), r"\1 is"),
    (re.compile(r"\b(i|you|we|they)'d\b"), r"\1 would"),
    (re.compile(r"\b(you|we|they)'re\b"), r"\1 are"),
    (re.compile(r"\b(i|you|we|they)'ve\b"), r"\1 have"),
    (re.compile(r"\bi'm\b"), "i am"),
    (re.compile(r"\bi'll\b"), "i will"),
    (re.compile(r"\b(is|are|was|does|do|can|could|would|did)nt\b"), r"\1 not"),
)

_OPENING = re.compile(
    r"^(?:ok|okay|so|well|hmm+|um+|uh|oh|ah|alright|all right|right|and|but|then|now|next|please|hi"
    r"|hello|thanks|thank you|great|good|nice|interesting|i see|got it|sure|cool|first|finally"
    r"|actually|perhaps|maybe|also|in that case|let us see|let me see|let me think|let me ask"
    r"|let me guess|question(?: number)? ?\d*|q ?\d*|\d+(?= (?:is|does|do|can|are|could|would) )"
    r"|(?:my|the|here is my)"
    r"(?: next| first| last| \w+th)? question(?: is(?: whether| if)?| number)? ?\d*|next question"
    r"|(?:i (?:want|would like|need|wish) to|may i|can i|could i|let me) (?:know|ask)(?: you)?"
    r"(?: whether| if| about)?|i am (?:wondering|curious)(?: whether| if)?"
    r"|i (?:was )?wonder(?:ing)?(?: whether| if)?"
    r"|(?:can|could|would|will|do) you (?:please )?(?:tell me|say|confirm|know)(?: whether| if"
    r"| that)"
    r"|(?:please )?tell me(?: whether| if)"
    r"|would (?:you|i|it be \w+(?: to)?) say(?: that)?|do you think(?: that)?"
    r"|would you agree(?: that)?|am i (?:right|correct)(?: that| in thinking(?: that)?)?"
    r"|(?:is|would) it (?:be )?(?:true|correct|fair|safe|accurate|right|the case)"
    r"(?: to say| to assume)?(?: that)?|does it happen that|by any chance|in general|generally"
    r") +"
)
_CLOSING = re.compile(
    r" +(?:or not|or no|yes or no|right|correct|is it|is it not|does it|does it not|yes|no|huh|eh"
    r"|then|please|by any chance|at all|though|perhaps|maybe|too|as well|instead|thanks"
    r"|in general|generally|usually|normally|typically|commonly|sometimes or no|in your opinion"
    r"|would you say|do you think|of some kind|of some sort|or something|or similar"
    r"|for the most part|in the first place|true or false|mostly|am i right)$"
)
_DROPPED = frozenset(
    (
        *("a", "an", "the", "any", "my", "your", "his", "her", "their", "our", "its", "so"),
        *("usually", "typically", "generally", "commonly", "normally", "mostly", "mainly"),
        *("primarily", "often", "frequently", "actually", "really", "just", "even", "basically"),
        *("essentially", "likely", "probably", "possibly", "simply", "perhaps", "maybe", "also"),
        *("very", "quite", "rather", "pretty", "fairly", "relatively", "typical", "currently"),
        *("specifically", "ordinarily", "largely", "please", "roughly", "approximately"),
        *("potentially", "predominantly", "chiefly", "exactly"),
    )
)


def clean(text: str) -> str | None:
    """Lower-case text in the letters a to z, with contractions kept; None if it is too long."""
    if len(text) > LONGEST:
        return None
    if text.isascii():
        plain = text.lower()
    else:
        parted = unicodedata.normalize("NFKD", text.translate(_QUOTES).lower())
        plain = "".join(
            letter if letter.isascii() else UNREADABLE if letter.isalpha() else " "
            for letter in parted
            if not unicodedata.combining(letter)
        )
    plain = _ODD.sub(lambda odd: odd[0] if odd[0] == UNREADABLE else " ", plain)
    plain = _DECIMAL.sub("_", _NUMBER_COMMA.sub("", plain))
    return _ABBREVIATION.sub(r"\1", _INITIALS.sub(r"\1\2", plain))


def one_sentence(plain: str) -> str | None:
    """The words of the only question, or of the only statement; None if there are several or none.

    >>> one_sentence("well, it has legs. isn't it an animal?")
    'is it an animal'
    """
    found = [(_words(part), "?" in part) for part in _SENTENCE.findall(plain)]
    asked = [words for words, question in found if question and words]
    told = [words for words, question in found if not question and words]
    chosen = asked or told
    return chosen[0] if len(chosen) == 1 else None


def _words(part: str) -> str:
    """One sentence without punctuation, contractions, or what politeness puts around it."""
    words = part.strip(" .?!;:,\n'-")
    for pattern, replacement in _CONTRACTIONS:
        words = pattern.sub(replacement, words)
    words = " ".join(_WORD.findall(words.replace("'s ", " s ").replace("'", "")))
    while (shorter := _OPENING.sub("", words + " ", count=1).strip()) != words:
        words = shorter
    while (shorter := _CLOSING.sub("", words, count=1)) != words:
        words = shorter
    return words


def without_fillers(words: str) -> str:
    """The words without articles, possessives and adverbs of habit."""
    return " ".join(word for word in words.split() if word not in _DROPPED)


_WHOLE = frozenset(
    (
        *("painting", "building", "drawing", "clothes", "clothing", "gardening", "thing", "king"),
        *("ring", "being"),
    )
)
"""Words that mean something else than the word that they seem to come from."""


_IRREGULAR = {
    **{"feet": "foot", "teeth": "tooth", "children": "child", "women": "woman", "knives": "knife"},
    **{"leaves": "leaf", "mice": "mouse", "hooves": "hoof", "halves": "half", "geese": "goose"},
    **{"people": "you", "someone": "you", "somebody": "you", "everyone": "you", "persons": "you"},
    **{"jewellery": "jewelry", "colour": "color", "colours": "color", "grey": "gray"},
}
"""Forms that no ending explains; whoever plays, works or wears is `you`."""


def lemmas(vocabulary: Iterable[str]) -> Mapping[str, str]:
    """Plural, -s and -ing forms of known words, by form.

    >>> found = lemmas(["cut", "bake", "berry", "cutting", "box", "paint", "painting"])
    >>> found["cuts"], found["cutting"], found["baking"], found["berries"], found["boxes"]
    ('cut', 'cut', 'bake', 'berry', 'box')
    >>> "painting" in found
    False
    """
    forms = dict(_IRREGULAR)
    for word in sorted(set(vocabulary)):
        if len(word) < 3 or not word.isalpha():
            continue
        ends = {word + "s", word + "es", word + "ing", word + word[-1] + "ing"}
        if word.endswith("y"):
            ends.add(word[:-1] + "ies")
        if word.endswith("e"):
            ends.add(word[:-1] + "ing")
        if word.endswith("f"):
            ends.add(word[:-1] + "ves")
        for form in ends - _WHOLE:
            forms.setdefault(form, word)
    for form, word in forms.items():  # "writings" is "write": two steps
        forms[form] = forms.get(word, word)
    return forms
