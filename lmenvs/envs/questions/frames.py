"""The normal form of a question: one of a few frames, whatever the words it was asked in.

is it / could it be / is it a kind of X         be X
does it / can it / has it got / is there X on   it X, it have X
do you / can people / is it something you X     you X       (the object left out)
is it made of X                                 of X
is it found in / do you keep it in X            in X
is it used for / does it help to X              use X
is it used by X / does a X use it               by X
has it to do with X                             about X
"""

import re
from collections.abc import Mapping, Sequence

Rules = Sequence[tuple[re.Pattern[str], str]]

_AUX = r"(?:do|does|did|can|could|will|would|might|may|should|must|shall)"
_PEOPLE = (
    r"(?:you|people|someone|somebody|one person|single person|one|humans?|person|persons|we|they"
    r"|everyone|anyone|anybody"
    r"|everybody|most people|many people|i|folks|man|human beings?|average person|normal person"
    r"|ordinary person|ordinary people)"
)
_THING = (
    r"(?:object|item|thing|something|anything|one|kind of thing|type of thing|type of object"
    r"|kind of object|type of item|sort of thing|stuff|things|objects|one of those things)"
)
_IT = r"(?:it|this|that|they|these|those|he|she)"
_NOUN = r"(?:object|item|thing|word|answer|things|objects|solution|secret)"
_MADE = r"(?:made|composed|constructed|built|crafted|manufactured|formed|produced|consist|consists)"
_KIND = (
    r"(?:kind|type|sort|form|piece|example|variety|species|bit|item|article|member|category"
    r"|instance|pieces|items|kinds|types|class)"
)
_PLACED = (
    r"(?:found|kept|stored|seen|located|placed|used|put|present|situated|owned|displayed|lying"
    r"|standing|encountered|spotted|in use|available)"
)
_IN = r"(?:inside of|inside|in|at|around|within|on|into|onto)"


def _rules(pairs: Sequence[tuple[str, str]]) -> Rules:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


SUBJECTS = _rules(
    [
        (rf"\b(?:this|that|these|secret|hidden|mystery|given) (?:{_NOUN})\b", "it"),
        (r"^(?:are|were) (?:we|you) (?:talking|speaking|thinking|asking) (?:about|of) ", "is it "),
        (r"\b(?:you are|you re|you were) thinking of\b ?|\byou (?:have|had) in mind\b ?", ""),
        (r"\b(?:you are|you were) thinking about\b ?", ""),
        (rf"^(is|was|are|does|do|did|can|could|will|would|has|have) {_NOUN} (?!of )", r"\1 it "),
        (rf"^(is|was|are|does|do|did|can|could|will|would|has|have) {_IT}(?= |$)", r"\1 it"),
        (rf"^{_IT}(?= (?:is|was|are|has|have|can|could|would|might|must|should|does|had)\b)", "it"),
    ]
)  # fmt: skip
"""What the hidden thing is called becomes `it`."""

OBJECTS = _rules(
    [
        (rf"^(?:can|could) {_PEOPLE} hold(?: it| this)? in hands?$", "be held in one hand"),
        (r"^are there (.+?)(?: (?:on|in|inside|to|with|for|at|of) it)?$", r"it have \1"),
        (r"^is there (.+?)(?: (?:on|in|inside|to|with|for|at|of) it)?$", r"it have \1"),
        (r"^(?:has|have|had) it(?: got)? ", "it have "),
        (r"^(?:is|was|are) it ", "be "),
        (r"^are you ", "you be "),
        (rf"^{_AUX} it (?:be|been|get|gets) ", "be "),
        (r"^it (?:is|was|are) ", "be "),
        (r"^it (?:can|could|must|might|should|would|has to|have to|will) be ", "be "),
        (r"^it has (?:got )?", "it have "),
        (rf"^it {_AUX} ", "it "),
        (rf"^{_AUX} it ", "it "),
        (rf"^be (?:possible|easy|common|normal|usual|safe)(?: for {_PEOPLE})? to (?!lift|carry"
         rf"|move|break)", "you "),
        (rf"^be (?:like |just )?{_THING}(?: (?:that|which|what))? (?:is|are|was|gets?) ", "be "),
        (rf"^be {_THING}(?: (?:that|which))? {_AUX} be ", "be "),
        (rf"^be {_THING}(?: (?:that|which|where|with which))? {_PEOPLE} (?:{_AUX} )?", "you "),
        (rf"^be {_THING} (?:that|which) {_AUX} ", "it "),
        (rf"^be {_THING} (?:that|which) (?:has|have) ", "it have "),
        (rf"^be {_THING} (?:that|which) ", "it "),
        (rf"^be {_THING} with ", "it have "),
        (rf"^be {_THING} (?!of\b)(?=\w)", "be "),
        (rf"^{_AUX} {_PEOPLE} ", "you "),
        (rf"^{_PEOPLE} (?:can|could|would|do|will|might) ", "you "),
        (r"^you be (?:able|allowed) to ", "you "),
        (r"^you (?:normally |usually )?expect to ", "you "),
        (r"^you (?:like|want|need|tend) to (?=wear|eat|sit|keep|see|find|use)", "you "),
        (r"^it (?:be able|happen|tend|appear|seem) to ", "it "),
        (r"^it be ", "be "),
        (r"^be (?:able to|capable of) ", "it "),
        (r"^it (?:count|qualify|class) as ", "be "),
        (r"^you (?:consider|call|classify|describe|categorize|label) (?:it |this |that )?"
         r"(?:as |to be |is )?", "be "),
        (r"^be (?:considered|classified|categorized|categorised|regarded|described|known|viewed"
         r"|counted|thought of|treated|labeled|called)(?: to be| as)? ", "be "),
        (rf"^be (?:\w+ )?{_KIND} of (?!art$|technology$|equipment)", "be "),
        (rf"^be {_KIND} of (?=\w+ )", "be "),
        (r"^be (?:related|connected|associated|linked|tied)(?: to| with) ", "about "),
        (r"^it (?:relate to|have something to do with|have to do with|have anything to do with) ",
         "about "),
        (r"^be about ", "about "),
        (r"^it (?:belong to|fall under|fall into|be in)(?: category(?: of)?)? (.+?)"
         r"(?: category| family| group| class)?$", r"be \1"),
        (rf"^(?:be|it) (?:\w+ly )?{_MADE}(?: up| out)? (?:of|from|with|using|out of) ", "of "),
        (r"^be (?:used|useful|meant|designed|intended|made|good|built|needed|employed|utilized"
         r"|utilised|supposed)(?: by (?:you|people|humans?))? (?:for|to|when|while|as)"
         r"(?: help| be used to| be used for)?(?: you| people)? (?!be )", "use "),
        (r"^you use (?:it |this |that |them |these )?(?:for|to|when|while)(?: help)? ", "use "),
        (r"^use (?:for |to )", "use "),
        (r"^it (?:help|let|allow|enable)s?(?: you| people| someone)?(?: to)? (?:with )?", "use "),
        (r"^it serve to ", "use "),
        (r"^(?:is|be) (?:it )?(?:main |primary )?purpose (?:of it )?(?:to |for |for )?", "use "),
        (r"^be used by (?!hand)", "by "),
        (rf"^(?:{_AUX} )(?!it |you )(\w+(?: \w+)?) (?:use|work with|play with)"
         r"(?: it| this| that)?$", r"by \1"),
        (r"^(?:be used|you use(?: it| this)?) (?:on|in) (?=water|sea\b|ocean|lake)",
         "it travel on "),
        (r"^(?:be used|you use(?: it| this)?) on (?=ice\b)", "use "),
        (r"^(?:you put(?: it| this)?|it go|be put) (?:on|around|over) "
         r"(?=body|head|foot|feet|hands?\b|wrist|neck|fingers?\b)", "you wear on "),
        (rf"^be {_PLACED} {_IN} ", "in "),
        (r"^be (?:inside of|inside|in|at|on) ", "in "),
        (rf"^you (?:find|keep|see|store|have|put|use|encounter|place|own|spot|get|come across|look"
         rf" for|leave|go to find)(?: it| this| that| one| something like it| something like this)?"
         rf" {_IN} ", "in "),
        (rf"^it (?:belong|go|stay|sit) {_IN} ", "in "),
        (r"^(?:is|be) colou?r (?:of it )?", "be "),
        (r"^be (.+) (?:in|of) colou?r$", r"be \1"),
        (r"^be (.+) colou?red$", r"be \1"),
        (r"^(?:is|be) (?:size|taste|shape) (?:of it )?", "be "),
        (r"^(be \w+(?: \w+)*) (?:object|item|thing)s?$", r"\1"),
        (r"^be (?:something|anything|thing|object) ", "be "),
        (r"^(you .+?) (?:it|this|that|them)\b", r"\1"),
        (r"^(you .+?) (?:it|this|that|them)\b", r"\1"),
        (rf"^(?:{_AUX}|are|is) (?!it |you )(.+)$", r"\1"),
        (r"^((?!it |be |of |in |use |by |about |you ).+?) it\b", r"\1"),
        (r"(?<=\w) (?:it|this|that|them)$", ""),
    ]
)  # fmt: skip

GUESS = re.compile(
    r"^(?:(?:i|we) (?:would |will |am going to |want to |going to )?(?:guess|think|believe|say|bet"
    r"|suspect|suppose)(?: that| on| with)?(?: it)?(?: is| be)?"
    r"|(?:final |last |best )?(?:guess|answer)(?: it)?(?: is| was| be)?(?: it is)?"
    r"|is (?:it )?(?:final )?(?:answer|guess|word|solution)"
    r"|(?:are|were) you (?:thinking of|referring to|talking about)|you be(?: thinking of)?"
    r"|you (?:thinking of)|(?:it|this) (?:must|has to|have to|should|could|might|may|can) be"
    r"|(?:are|is|were) (?:we|you) (?:talking|speaking) about|(?:is|was) it|(?:could|might|can|may"
    r"|would) it be|(?:it|that|this) (?:is|was)|are (?:they|these|those)|be) "
)
"""What may stand in front of a guess, or of the name of a class."""


_OPPOSITE = re.compile(r"\b(?:in|non|un)(animate|edible|living|alive|organic|eatable|breakable)\b")


def framed(words: str, rules: Rules, forms: Mapping[str, str]) -> tuple[str, bool]:
    """The normal form of fillerless words, and whether it is denied ("is it not alive?")."""
    plain = _OPPOSITE.sub(r"not \1", words).split()
    denied = plain.count("not") + plain.count("non")
    words = " ".join(word for word in plain if word not in ("not", "non"))
    for pattern, replacement in (*SUBJECTS, *rules):
        words = pattern.sub(replacement, words, count=1).strip()
    words = " ".join(forms.get(word, word) for word in words.split())
    return ("", False) if denied > 1 else (words, denied == 1)
