"""A question about an object in plainer words, and the parts of one that joins two.

What the phrases of data/object_questions.txt do not hold as it stands is tried again here: without
what adds nothing ("rather than man-made", "in an office setting"), with one word for each meaning
(`SYNONYMS`, on both sides of the comparison), and in two parts where one thing is said about a kind
of thing ("a machine with an engine", "a bird that can't fly"): both parts must be understood.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from .book import DEPENDS, NO, YES, Question, make_question

_KINDS = (
    r"(?:animal|creature|vehicle|fruit|vegetable|food|plant|toy|tool|device|machine|instrument"
    r"|clothing|garment|furniture|utensil|product|entity|substance|material|appliance)"
)
_AUX = r"(?:is|are|was|does|do|did|can|could|would|will|has|have)"
_BODY = r"(?:head|neck|foot|feet|hands?|wrist|fingers?|body|ears?|legs?|arms?|face)"
_PLACES = r"(?:office|kitchen|school|home|household|garden|farm|workshop|classroom|indoor|outdoor)"
_PURPOSE = r"(?:purpose|function|use|role|job|aim|goal)"

REWORDED: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (rf"^({_AUX}) (?:the|this|that) {_KINDS}(?= (?!of\b))", r"\1 it"),
        (r" (?:rather than|as opposed to|instead of|and not|but not) .+$", ""),
        (r" (?:in order to|so as to) ", " to "),
        (
            rf"^(?:is|does) (?:(?:it|the|object|item|thing|this|s) )*(?:its )?(?:main |primary "
            rf"|principal |chief |intended |usual |typical |most common )*{_PURPOSE}"
            r"(?: of (?:it|this|the object))? (?:to be used |is )?(?:to|for|as|in|involve) ",
            "is it used to ",
        ),
        (r"\bmake use of\b", "use"),
        (r"(?<=\w) (?:using|by using|with the help of|by means of) (?:it|this)$", " with it"),
        (rf"\b(?:one|person|someone|somebody|wearer|people|human) s (?={_BODY}\b)", ""),
        (rf"\b({_PLACES}) (?:setting|environment|area|context|space)s?\b", r"\1"),
        (r" (?:each|one) (?:an)?other\b", " other people"),
        (r"\b(?:capable of|able to) (?:flight|flying|fly)\b", "able to fly"),
        (r"\b(?:most )?(?:likely|probably) ", ""),
        (r"\b(?:average|standard|regular|normal|ordinary|full sized?) (?=\w)", ""),
        (r"\b(?:domesticated|domestic|tame)(?: animal| creature)?$",
         "animal that is not wild animal"),
        (r"\b(?:domesticated|domestic|tame) (?:animal|creature) ", "animal "),
        (r"\bas (?:a )?(?:form of |type of |kind of )?food$", ""),
        (r"\b(?:family|category|class|group|order) of ", ""),
        (r"^(is it (?:in|part of|a member of) the) (\w+) (?:family|group)$", r"is it a \2"),
        (r"\bsurface of (?:the )?(?=ground|earth|soil|water)", ""),
        (r"^(?:would|does|do|can|could|might) (?:an? |the )?\w+ use it (?=(?:to|for) \w)",
         "is it used "),
        (r" when (?:you|people|one|it is) \w+(?: (?:it|them|on it))?$", ""),
        (r"(?<=\w) by (?:farmers|gardeners|people|humans|human beings|someone)$", ""),
        (r" purposes?$", ""),
        (r"\bphysical (?=object|thing|item)", ""),
        (r"(?<=^is it an )accessory(?= (?:worn|that|which))", "object"),
        (r"(?<=wall|home|room) as (?:a )?decoration$", ""),
        (r"\bspends? (?:most of )?(?:its|their) (?:entire |whole )?(?:life|time) (?=in|on|under)",
         "live "),
        (r"^does it have (?:a |an )?(\w+) (?:taste|flavou?r)$", r"does it taste \1"),
        (r"^(does|can|is) it (?:have|possess|feature|include|come with|contain) ", r"\1 it have "),
    )
)  # fmt: skip
"""Turns of phrase that say in more words what a shorter question asks."""

SYNONYMS: Mapping[str, str] = {
    **dict.fromkeys(("consume", "consumed", "devour", "ingest"), "eat"),
    **dict.fromkeys(("creature", "beast", "critter"), "animal"),
    **dict.fromkeys(("utilize", "utilise", "employ", "operate"), "use"),
    **dict.fromkeys(("require", "needs"), "need"),
    **dict.fromkeys(("possess", "contain", "feature", "include"), "have"),
    **dict.fromkeys(("beneath", "underneath", "below"), "under"),
    **dict.fromkeys(("flavor", "flavour"), "taste"),
    **dict.fromkeys(("image", "photo", "photograph"), "picture"),
    **dict.fromkeys(("produce", "create", "generate", "emit"), "make"),
    **dict.fromkeys(("kid", "toddler", "youngster"), "child"),
    **dict.fromkeys(("pupil", "schoolchild"), "student"),
    **dict.fromkeys(("sportsman", "sportsperson", "player"), "athlete"),
    **dict.fromkeys(("plaything",), "toy"),
    **dict.fromkeys(("clothes", "garment", "apparel", "attire"), "clothing"),
    **dict.fromkeys(("around", "round", "onto", "upon"), "on"),
    **dict.fromkeys(("into", "inside", "within"), "in"),
    **dict.fromkeys(("fasten", "attach", "bind", "join"), "fasten"),
    **dict.fromkeys(("dwell", "reside"), "live"),
    **dict.fromkeys(("ocean",), "sea"),
    **dict.fromkeys(("pricey", "costly"), "expensive"),
    **dict.fromkeys(("outlet", "socket"), "wall"),
    **dict.fromkeys(("gasoline", "petrol", "gas"), "fuel"),
    **dict.fromkeys(("originate",), "come"),
    **dict.fromkeys(("pointed",), "pointy"),
    **dict.fromkeys(("colder", "chilly"), "cold"),
}
"""One word for each meaning."""


def plainer(sentence: str) -> str:
    """A sentence in plainer words, articles kept."""
    for pattern, replacement in REWORDED:
        sentence = pattern.sub(replacement, sentence, count=1).strip()
    return sentence


def one_word_each(form: str) -> str:
    """A normal form with one word for each meaning; of two words joined by `or` the order is free.

    >>> one_word_each("it have motor or engine"), one_word_each("it require display")
    ('it have engine or motor', 'it need display')
    """
    words = [SYNONYMS.get(word, word) for word in form.split()]
    for at in range(1, len(words) - 1):
        if words[at] == "or" and words[at - 1] > words[at + 1]:
            words[at - 1], words[at + 1] = words[at + 1], words[at - 1]
    return " ".join(words)


SIZES = frozenset(("big", "heavy", "carry", "one_hand", "pocket"))
"""Keys of sizes: what is large for one kind of thing is small for another."""
CLASSES = frozenset(
    (
        *("animal", "mammal", "bird", "fish", "insect", "reptile", "amphibian", "pet", "living"),
        *("plant", "flower", "fruit", "vegetable", "edible", "wild_animal", "farm_animal"),
        *("vehicle", "land_vehicle", "aircraft", "boat", "machine", "appliance", "electronic"),
        *("clothing", "footwear", "jewelry", "toy", "ball", "sport", "furniture", "household"),
        *("instrument", "string_instrument", "wind_instrument", "office", "kitchenware"),
        *("tool", "hand_tool", "gardening", "container", "artwork", "art_supply", "decoration"),
        *("large_landform", "man_made"),
    )
)
"""Keys of the kinds of thing of which something more may be said."""
QUALITIES = frozenset(
    (
        *("living", "edible", "man_made", "nature", "wild", "meat", "tropical", "citrus", "leafy"),
        *(
            "sweet",
            "sour",
            "warm_blooded",
            "cold_blooded",
            "four_legs",
            "two_wheels",
            "extinct",
            "handheld",
        ),
        *("metal", "wood", "plastic", "glass", "fabric", "paper", "stone", "precious", "soft"),
        *("sharp", "round", "flat", "long_thin", "multicoloured", "dangerous", "expensive"),
        *("fragile", "electricity", "electronic", "battery", "motor", "human_power", "wheels"),
        *("music", "struck", "brass", "worn", "carry", "indoors", "outdoors", "household"),
        *("decoration", "fur", "feathers", "wings", "fly", "water_life", "loud"),
    )
)
"""Keys of what may stand in front of a kind of thing: not size, which is measured by the kind."""

_HEAD = r"^is it (?:an? |the |some )?((?:\w+ ){0,3}?\w+) (?:\w+ly )?"
_WHICH = r"(?:that|which|who)"
_PEOPLE = r"(?:you|people|one|someone|somebody|humans?|i|we|they|everyone|athletes?|children|kids)"
_DONE = (
    r"(?:used|worn|made|found|kept|played|powered|grown|raised|eaten|designed|meant|intended"
    r"|associated|related|covered|shaped|held|sold|seen|composed|driven|operated|stored|located)"
)
_JOINTS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(_HEAD + pattern + "(?: (.+))?$"), rest)
    for pattern, rest in (
        (rf"{_WHICH} (?:can|could|does|do|did|will|would|may|might)", "can it {}"),
        (rf"{_WHICH} (?:is|are|was|were|gets?)(?: \w+ly)?", "is it {}"),
        (rf"{_WHICH} (?:has|have|had)", "does it have {}"),
        (
            rf"(?:{_WHICH} |where |on which |in which )?{_PEOPLE}"
            r"(?: can| could| would| will| may| might)?",
            "do people {}",
        ),
        (_WHICH, "does it {}"),
        ("(?:with|having)", "does it have {}"),
        *((rf"{done}", f"is it {done} {{}}") for done in _DONE[3:-1].split("|")),
        *((preposition, f"is it {preposition} {{}}") for preposition in ("for", "from", "in")),
        ("to", "is it used to {}"),
    )
)  # fmt: skip


def _parts(sentence: str) -> Iterator[tuple[str, str]]:
    """The ways to part "is it a KIND that ..." and "is it a QUALITY KIND" in two questions."""
    for pattern, rest in _JOINTS:
        match = pattern.match(sentence)
        if match:
            more = match[2] or ""
            more = rest.format(_uninflected(more) if rest == "does it {}" else more)
            yield f"is it {match[1]}", more.strip()


def _uninflected(words: str) -> str:
    """The words with their first, a verb, as it stands behind `does it`.

    >>> _uninflected("goes on a finger"), _uninflected("flies"), _uninflected("uses ink")
    ('go on a finger', 'fly', 'use ink')
    """
    verb, _, rest = words.partition(" ")
    for end, plain in (("ies", "y"), ("oes", "o"), ("ches", "ch"), ("sses", "ss"), ("s", "")):
        if verb.endswith(end):
            verb = verb.removesuffix(end) + plain
            break
    return f"{verb} {rest}".strip()


def joined(sentence: str, ask: Callable[[str], Question | None]) -> Question | None:
    """The question whether a thing is of a kind and something more, if both are understood."""
    if sentence.startswith("is it not "):
        return None
    for kind, more in _parts(sentence):
        one, other = ask(kind), ask(more)
        if one is not None and other is not None and not _is_size(one):
            return both(one, other)
    words = sentence.removeprefix("is it ").removeprefix("a ").removeprefix("an ").split()
    for first in range(1, min(3, len(words))):
        one, other = (ask("is it " + " ".join(part)) for part in (words[:first], words[first:]))
        if one is not None and other is not None and other.key in CLASSES:
            quality = one.key.removeprefix("not ")
            if quality in QUALITIES or quality.startswith("colour "):
                return both(one, other)
    return None


def _is_size(question: Question) -> bool:
    key = question.key.removeprefix("not ")
    return key in SIZES or key.startswith(("bigger ", "smaller ", "heavier ", "lighter "))


def both(one: Question, other: Question) -> Question:
    """Whether both are so: no if one is not, yes if both are.

    >>> both(make_question("a", "", [YES, YES, NO]), make_question("b", "", [YES, DEPENDS, YES]))
    ... # doctest: +ELLIPSIS
    Question(key='a and b', text='', answers=('Yes.', 'It depends.', 'No.'), ...
    """
    answers = [
        NO if NO in pair else YES if set(pair) == {YES} else DEPENDS
        for pair in zip(one.answers, other.answers, strict=True)
    ]
    return make_question(f"{one.key} and {other.key}", "", answers)
