"""How a question about a city is asked that a sentence answers."""

import re
from collections.abc import Mapping

_ASK = r"(?:in |on |at |to |of |near |by |along )?(?:what|which) "
_TELL = r"(?:can you |could you |will you )?(?:tell me|name|give me|describe)(?: about)? "


def _asked(noun: str, verbs: str) -> str:
    """Ways to ask for a noun: what N VERBS, what is N, tell me N, N."""
    after = r"(?: of it| there| it is in| of country| it is on)?"
    named = rf"(?:name of )?(?:{noun})"
    return (
        rf"{_ASK}{named}(?: (?:{verbs}))?|what (?:is|are) {named}{after}(?: like)?(?: there)?"
        rf"|{_TELL}{named}{after}|{named}{after}"
    )


_IN = (
    r"(?:would|could|can|do) people (?:find|visit)(?: it| this| there)?"
    r"|does it (?:lie|sit)(?: in| on)?|can it be(?: in)?"
    r"|is it(?: in| from| part of| on| at)?|does it belong(?: to)?|it is in"
)
_SPOKEN = (
    r"(?:is|are) (?:mainly |mostly |most )?spoken(?: there| by people)?|(?:do|does"
    r"|would) people (?:mainly )?"
    r"speak(?: there)?|is used(?: there)?|is it"
)
_THROUGH = (
    r"(?:flows?|runs?|goes|passes|flowing|running)(?: through| by| along| past)? ?(?:it|there)?"
)
_PRESENT = r"(?:is|are|does|do) (?:it|people) (?:{})(?: there)?"

OPEN: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (key, re.compile(pattern))
    for key, pattern in (
        ("country", _asked("country|nation", _IN) + r"|where is it|where is this"),
        ("continent", _asked("continent", _IN)),
        (
            "region",
            _asked("part of world|region of world|region|area of world|world region"
                   "|part of continent|corner of world|area of globe"
                   "|(?:part|region|area) of (?:europe"
                   "|asia|africa|america|americas|globe|continent|north america|south america)"
                   "|geographic(?:al)? region", _IN)
            + r"|where in world is it",
        ),
        (
            "state",
            _asked("(?:us |american )?(?:state|province|state or province|province or state"
                   "|federal state)", _IN)
            + r"|(?:what|which) part of country is it in",
        ),
        (
            "language",
            _asked("(?:main |official |primary |local |native |most common |dominant |principal "
                   ")?(?:language|tongue)s?(?: spoken)?", _SPOKEN)
            + r"|what (?:do|does|would) people (?:mainly )?speak(?: there)?",
        ),
        (
            "currency",
            _asked("(?:local |official |national )?(?:currency|money|kind of money)",
                   r"(?:do|does|would) people (?:use|pay with|pay in)(?: there)?|is used(?: there)?"
                   r"|does it use|is it") + r"|what (?:do|would) people pay with(?: there)?",
        ),
        (
            "population",
            _asked("(?:approximate |total |estimated |rough )?(?:population(?: size)?|number of "
                   "(?:people|inhabitants|residents)|size)", r"does it have")
            + r"|how many (?:people|inhabitants|residents|citizens)"
            r"(?: (?:live|reside|are)(?: there)?|does it have| are there(?: there)?| there)?"
            r"|how (?:big|large|populous|populated)(?: is (?:it|population|its population))?"
            r"|how large is population",
        ),
        (
            "climate",
            _asked("(?:kind of |type of |sort of |local |general )?(?:climate|weather)",
                   r"does it (?:have|get|experience)|is it(?: like)?|do people (?:have"
                   r"|get)(?: there)?")
            + r"|how is (?:weather|climate)(?: there)?"
            r"|how (?:would|do|can|could) people (?:describe|characterize) (?:weather|climate)"
            r"(?: there)?",
        ),
        (
            "river",
            _asked("(?:main |major |big |large )?rivers?",
                   r"is it (?:on|by|near|next to|along)|is it|" + _THROUGH
                   + r"|does it (?:lie|sit|stand) on|does it have|(?:is|are) (?:there|in it)")
            + rf"|name of river (?:that |which )?{_THROUGH}"
            rf"|what is name of river (?:that |which )?{_THROUGH}"
            r"|what rivers? (?:are|is) there there",
        ),
        (
            "sea",
            _asked("(?:sea|ocean|body of water|coast|water|sea or ocean|ocean or sea|coastline)",
                   r"is it(?: on| near| by| next to| close to| at| closest to| beside| along"
                   r"| nearest)?"
                   r"|does it (?:lie|sit|stand|border)(?: on| by| at)?|is closest(?: to it)?"
                   r"|is nearby|is near it|is next to it"),
        ),
        (
            "landmark",
            _asked("(?:most |some |main |major |best )?(?:famous |well known |important |kind of "
                   "|iconic |notable |type of )*(?:landmark|sight|attraction|building|tourist "
                   "attraction|monument)s?",
                   r"is it (?:known|famous) for|is it|does it have|are there(?: there)?"
                   r"|are there there"
                   r"|is there(?: there)?|(?:do|can|would) people (?:see|visit|find)(?: there)?")
            + r"|(?:what|which thing) is it (?:most |best )?(?:famous|known|well known|renowned"
              r"|noted)"
            r" for|what makes it famous|why is it famous|what is there to see(?: there)?"
            r"|what can (?:people|i|you|one) (?:see|visit)(?: there)?",
        ),
        ("latitude", _asked("(?:rough |approximate )?latitude", _IN)),
        (
            "hemisphere",
            _asked("hemispheres?", _IN)
            + r"|is it in (?:northern|southern|eastern|western)(?: hemisphere)? or (?:in )?"
            r"(?:northern|southern|eastern|western) hemisphere",
        ),
        (
            "olympics",
            r"(?:when|(?:in )?(?:what|which) year) (?:did|has|was) it (?:last )?(?:host|hold"
            r"|hosted)"
            r" (?:summer )?(?:olympics|olympic games)",
        ),
        (
            "driving",
            r"(?:on )?(?:what|which) side(?: of (?:road|street))? (?:do|does|would) people drive"
            r"(?: on)?(?: there)?|how do people drive(?: there)?",
        ),
    )
)  # fmt: skip
"""Questions that a sentence answers: the key, and the whole of the question."""

CANONICAL_TOLD: Mapping[str, str] = {
    "state": "What state or province is it in?",
    "country": "What country is it in?",
    "continent": "What continent is it on?",
    "region": "What part of the world is it in?",
    "language": "What language do people speak there?",
    "currency": "What is the currency?",
    "population": "How many people live there?",
    "climate": "What is the climate like?",
    "river": "What river is it on?",
    "sea": "What sea is it on?",
    "landmark": "What kind of landmark is it known for?",
    "latitude": "What latitude is it at?",
    "hemisphere": "Which hemisphere is it in?",
    "olympics": "When did it host the Olympics?",
    "driving": "On which side of the road do people drive?",
}
