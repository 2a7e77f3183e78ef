"""What a seller's line means to the buyer: cars, prices, arguments, questions, agreement.

`read_line` reads the first `amounts.LONGEST` characters in one pass for tokens and one search a
meaning and sentence; a line that holds nothing known is `empty`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from .amounts import tokens
from .prices import sums

BRANDS = (
    *("Audi", "BMW", "Ford", "Honda", "Hyundai", "Lexus", "Mazda", "Mercedes", "Porsche"),
    *("Subaru", "Tesla", "Toyota", "Volkswagen"),
)
KINDS = ("convertible", "electric", "hatchback", "sedan", "SUV", "truck")
FEATURES = (
    *("backup camera", "navigation system", "heated seats", "leather seats"),
    *("third-row seating", "blind spot monitoring", "sunroof", "phone mirroring"),
)
COLOURS = ("black", "blue", "green", "red", "silver", "white")

Argument = Literal["features", "warranty", "financing", "empathy", "pressure", "trade-in"]
ARGUMENTS: tuple[Argument, ...] = (
    *("features", "warranty", "financing"),
    *("empathy", "pressure", "trade-in"),
)
Question = Literal["kind", "brand", "features", "budget", "priority"]
QUESTIONS: tuple[Question, ...] = ("kind", "brand", "features", "budget", "priority")

CACHED_LENGTH = 300  # longer lines are read anew each time, so that the cache stays small


@dataclass(frozen=True, slots=True)
class SellerLine:
    """A line as the buyer hears it.

    Attributes:
        price: The price asked in dollars, or None.
        off: A reduction in dollars, or None.
        percent_off: A reduction in per cent, or None.
        at_list: Whether the list price is asked, without naming it.
        halfway: Whether the middle between both prices is proposed.
        cars: Numbers of cars that are proposed.
        brands, kinds, features: Those that are proposed or claimed, as places in the tables above.
        arguments: Kinds of argument, in the order of the line.
        questions: What is asked.
        agrees, refuses: Whether the buyer's offer is accepted, is refused.
        insults: Whether the buyer is insulted.
        chats: Whether there is a greeting, thanks or another courtesy.
    """

    price: int | None = None
    off: int | None = None
    percent_off: float | None = None
    at_list: bool = False
    halfway: bool = False
    cars: tuple[int, ...] = ()
    brands: tuple[int, ...] = ()
    kinds: tuple[int, ...] = ()
    features: tuple[int, ...] = ()
    arguments: tuple[Argument, ...] = ()
    questions: tuple[Question, ...] = ()
    agrees: bool = False
    refuses: bool = False
    insults: bool = False
    chats: bool = False


NOTHING = SellerLine()


def _search(alternatives: str) -> re.Pattern[str]:
    return re.compile(f"(?<![a-z0-9])(?:{alternatives})(?![a-z0-9])")


_BRAND = _search(
    "(?:audi|bmw|beamer|ford|honda|hyundai|lexus|mazda|mercedes|benz|porsche|subaru|tesla|toyota|"
    "volkswagen|vw)s?"
)
_BRAND_ALIASES = {"beamer": "bmw", "benz": "mercedes", "vw": "volkswagen"}
_KIND = _search(
    "convertibles?|cabriolet|roadster|electrics?|evs?|electric (?:car|vehicle)|hatchbacks?|hatch|"
    "sedans?|saloon|suvs?|crossover|sport utility|trucks?|pickups?"
)
_KIND_ALIASES = {
    **{"cabriolet": "convertible", "roadster": "convertible", "ev": "electric"},
    **{"electric car": "electric", "electric vehicle": "electric", "hatch": "hatchback"},
    **{"saloon": "sedan", "crossover": "suv", "sport utility": "suv", "pickup": "truck"},
}
_FEATURE_WORDS: Mapping[str, re.Pattern[str]] = {
    "backup camera": _search(
        "(?:backup|back - up|back up|rear|rear - view|rear view|rearview|reversing) camera"
    ),
    "navigation system": _search("navigation|nav system|gps|sat ?nav"),
    "heated seats": _search("heated (?:and leather )?seats?|heated leather seats?|seat heating"),
    "leather seats": _search("leather"),
    "third-row seating": _search("third - row|third row|3rd row|seven seats|three rows"),
    "blind spot monitoring": _search("blind - spot|blind spots?"),
    "sunroof": _search("sunroof|sun roof|moonroof|panoramic roof"),
    "phone mirroring": _search("phone mirroring|carplay|car play|android auto"),
}
_ARGUMENT_WORDS: Mapping[Argument, re.Pattern[str]] = {
    "features": _search(
        "features?|comfort|comfortable(?! (?:with|at|paying|spending))|performance|technology|"
        "stylish|design|equipped|equipment|drives (?:like|so)|handling|interior|top trim|"
        "fully loaded"
    ),
    "warranty": _search(
        "warranty|warranties|guarantee|guaranteed|reliable|reliability|dependable|safe|safest|"
        "safety|crash tests?|peace of mind|inspected|inspection|service plan|free service"
    ),
    "financing": _search(
        "financ(?:e|ing)|monthly|installments?|instalments|apr|interest|loan|lease|leasing|"
        "payment plan|down payment|a month|per month|spread the cost|credit"
    ),
    "empathy": _search(
        "i (?:can |do )?(?:\\w+ly )?understand|understandable|i hear you|i appreciate|i feel|"
        "i see what you mean|take your time|no rush|no pressure|your family|your needs|"
        "your situation|sorry to hear|i know how|makes sense|you deserve|your comfort|"
        "right for you|want you to be happy"
    ),
    "pressure": _search(
        "today only|only today|last one|last chance|another (?:buyer|customer|client)|"
        "other (?:buyers|customers)|someone else|hurry|won't last|expires?|ends "
        "(?:today|tonight|soon)|now or never|limited time|act (?:fast|now)|right now|"
        "take it or leave it|sell(?:s|ing)? fast|gone (?:by )?tomorrow|before it's gone"
    ),
    "trade-in": _search(
        "trade - in|trade in|trade - ins|your (?:old|current) (?:car|vehicle)|"
        "(?:old|current) car in exchange|take your car"
    ),
}
_DENIED = re.compile(
    r"(?:^|[^a-z])(?:no|without|not|never|isn't|doesn't have|don't have)(?: an?| any)? $"
)
_ASKED: Mapping[Question, re.Pattern[str]] = {
    "kind": _search(
        "(?:what|which) (?:kind|type|sort|style|body)|what (?:car|vehicle)|"
        "an? (?:suv|sedan|truck|hatchback|convertible) or"
    ),
    "brand": _search("brands?|makes?|manufacturers?"),
    "features": _search("features?|options|equipment|must - haves?|must have|extras"),
    "budget": _search(
        "budget|afford|spend|price range|price point|"
        "how much (?:can|are|would|do|were|could) you|willing to pay|"
        "comfortable (?:with|paying|spending)"
    ),
    "priority": _search(
        "matters?|priority|priorities|care about|important|concerns?|worr(?:y|ies|ied)|convince you"
    ),
}
# an open question is one about the kind of car, unless the sentence asks for something else
_OPEN = _search(
    "looking for|in mind|(?:what|anything) (?:do|would|are) you (?:need|want|like)|brings you|"
    "help you|in the market|(?:anything|something) (?:in particular|specific)"
)
_TELL = re.compile(
    "(?:and |so |please |now )?(?:tell me|let me know|describe|what|which|how|who|may i|could you)"
)
_AGREED = _search(
    "deal|sold|i accept|we accept|accept your|accepted|agreed|i agree|shake (?:hands|on)|"
    "i'll take (?:it|that|your)|you (?:got|have) (?:it|yourself)|works for me|fine by me|"
    "it's yours|done|i can accept|happy to accept|(?:match|meet) your (?:offer|price)|that works|"
    "let's do it|you win"
)
_NO_DEAL = _search(
    "no|not|can't|cannot|won't|don't|never|unable|refuse|wouldn't|couldn't|if|unless|isn't|"
    "(?:great|good|best|better|amazing|special|fair|real|fantastic|big|sweet) deal|deal with|"
    "deals|deal breaker|once|when|before|after|done (?:with|deals)|a deal on|deal for you"
)
_REFUSED = _search(
    "too low|not enough|can't (?:accept|do|go|take|sell|let)|cannot (?:accept|do|go|take|sell)|"
    "can not|won't (?:work|do|accept)|no deal|no way|i decline|i refuse|not possible|"
    "i'm afraid not|couldn't|need more|have to do better|do better than|come up"
)
_NO = re.compile("no(?: ,|$| thanks?$| thank you$| sir$)")
_AT_LIST = _search("(?:at|for) (?:the )?(?:full )?(?:list|sticker|asking) price")
_HALFWAY = _search("(?:meet|meet you|meet me) (?:in the middle|halfway)|split the difference")
_INSULTED = _search(
    "idiots?|stupid|morons?|dumb|cheapskate|loser|fool|clown|jerk|pathetic|shut up|get lost|"
    "screw you|fuck(?:ing)?(?: you| off)?|damn you|asshole|bastard|wast(?:e|ing) my time|ugly|"
    "go away|hate you"
)
_CHATTED = _search(
    "hello|hi|hey|good (?:morning|afternoon|evening|day)|welcome|thanks?|thank you|please|sir|"
    "ma'am|sure|of course|certainly|great|nice|bye|goodbye|my name|how are you|okay|ok|yes|"
    "let me|happy to|glad|you|your|yourself|mileage|miles|mpg|engine|drives?|family|buy|excellent|"
    "perfect|wonderful|customer|car|cars|vehicle|price|offer|deal"
)


def read_line(text: str) -> SellerLine:
    """What a line says.

    >>> line = read_line("How about the blue Honda? It has a sunroof, and I can do $24,500.")
    >>> line.price, [BRANDS[place] for place in line.brands], line.arguments
    (24500, ['Honda'], ('features',))
    """
    return _cached(text) if len(text) <= CACHED_LENGTH else _read(text)


@lru_cache(maxsize=4096)
def _cached(text: str) -> SellerLine:
    return _read(text)


def _read(text: str) -> SellerLine:
    line = tokens(text)
    money = sums(line)
    joined = " ".join(token.text for token in line)
    sentences = _sentences(joined)
    arguments: dict[Argument, int] = {}
    questions: list[Question] = []
    brands: list[int] = []
    kinds: list[int] = []
    features: list[int] = []
    agrees, refuses, at = False, False, 0
    for sentence, mark in sentences:
        asks = mark == "?" or _TELL.match(sentence) is not None
        asked = _asked(sentence) if asks else []
        questions += asked
        if not asked:
            brands += _places(sentence, _BRAND, _BRAND_ALIASES, BRANDS)
            kinds += _places(sentence, _KIND, _KIND_ALIASES, KINDS)
            _argue(sentence, at, arguments, features)
        agrees = agrees or _agrees(sentence, mark)
        refuses = refuses or bool(_REFUSED.search(sentence) or _NO.match(sentence))
        at += len(sentence) + 1
    found = SellerLine(
        price=money.price,
        off=money.off,
        percent_off=money.percent_off,
        at_list=money.price is None and _AT_LIST.search(joined) is not None,
        halfway=money.price is None and _HALFWAY.search(joined) is not None,
        cars=money.cars,
        brands=tuple(brands),
        kinds=tuple(kinds),
        features=tuple(dict.fromkeys(features)),
        arguments=tuple(sorted(arguments, key=lambda name: arguments[name])),
        questions=tuple(dict.fromkeys(questions)),
        agrees=agrees,
        refuses=money.refused or refuses,
        insults=_INSULTED.search(joined) is not None,
        chats=_CHATTED.search(joined) is not None,
    )
    return NOTHING if found == NOTHING else found


def _sentences(joined: str) -> list[tuple[str, str]]:
    """(sentence without its mark, mark)."""
    parts = re.split(r" ?([.;!?\n]) ?", joined)
    return [
        (parts[place], parts[place + 1] if place + 1 < len(parts) else "")
        for place in range(0, len(parts), 2)
        if parts[place]
    ]


def _places(
    sentence: str, pattern: re.Pattern[str], aliases: Mapping[str, str], names: tuple[str, ...]
) -> list[int]:
    lower = [name.lower() for name in names]
    found: list[int] = []
    for match in pattern.finditer(sentence):
        word = match.group()
        if word not in lower and word not in aliases:
            word = word.removesuffix("s")
        found.append(lower.index(aliases.get(word, word)))
    return found


def _asked(sentence: str) -> list[Question]:
    asked: list[Question] = []
    for question in QUESTIONS:
        if _ASKED[question].search(sentence):
            asked.append(question)
    return asked or (["kind"] if _OPEN.search(sentence) else [])


def _argue(sentence: str, at: int, arguments: dict[Argument, int], features: list[int]) -> None:
    for place, name in enumerate(FEATURES):
        found = _FEATURE_WORDS[name].search(sentence)
        if found and not _DENIED.search(sentence[max(0, found.start() - 20) : found.start()]):
            features.append(place)
            arguments.setdefault("features", at + found.start())
    for argument, pattern in _ARGUMENT_WORDS.items():
        found = pattern.search(sentence)
        if found and not _DENIED.search(sentence[max(0, found.start() - 20) : found.start()]):
            arguments.setdefault(argument, at + found.start())


def _agrees(sentence: str, mark: str) -> bool:
    if mark == "?" or not _AGREED.search(sentence):
        return False
    return not _NO_DEAL.search(sentence)
