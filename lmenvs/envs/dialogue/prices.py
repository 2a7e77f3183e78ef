"""Sums of money in what a car seller says: prices, reductions, and numbers that are neither.

Every number is found (`amounts.numbers`), and the words around it say what it is (`role`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .amounts import CAR_WORDS, Number, Token, numbers, word_set

MOST = 10_000_000  # dollars; a number above is not a price
FIRST_YEAR, LAST_YEAR = 1950, 2035  # a bare number of four figures between them is a year
SHORT_LEAST, SHORT_MOST = 10, 300  # "I can do 30": a small number that stands for thousands

Role = Literal["price", "listed", "past", "off", "percent off", "refused", "car", "other"]


@dataclass(frozen=True, slots=True)
class Sums:
    """What the numbers of a line say.

    Attributes:
        price: The price that is asked, in dollars, or None.
        off: A reduction in dollars, or None.
        percent_off: A reduction in per cent, or None.
        refused: Whether a price is named only to refuse it.
        cars: Numbers of cars ("car 3").
    """

    price: int | None = None
    off: int | None = None
    percent_off: float | None = None
    refused: bool = False
    cars: tuple[int, ...] = ()


# ---- what a number is ---------------------------------------------------------------------------

_UNITS = word_set(
    """mile miles mi km kilometers kilometres mpg mph kwh kw hp horsepower cc rpm litre liter
    litres liters l inch inches door doors seat seats seater seaters row rows year years yr yrs
    month months week weeks day days hour hours minute minutes seconds second owner
    owners airbags airbag cylinder cylinders speed gear gears star stars people passengers
    adults kids children times point points payments keys wheels tires tyres models cars
    percentage x am pm cameras speakers zone zones cups pounds-feet options things reasons"""
)
_PERIOD = word_set("month months monthly mo week weekly biweekly mth")
_OFF_AFTER = word_set("off discount less cheaper rebate lower back")
_OFF_BEFORE = word_set(
    """save saves saving savings knock discount reduction rebate reduce shave slash cut"""
)
_BY_BEFORE = word_set("drop lower come reduce cut go down price it")
_OTHER_BEFORE = word_set(
    """deposit fee fees tax taxes payment payments installment installments instalments apr
    monthly warranty towing insurance bonus gift"""
)
_COMPARED = word_set("below under above over more extra beneath")
_EXTRAS = word_set(
    """worth deposit fee fees tax taxes warranty gift voucher credit bonus package upgrade
    accessories"""
)
_LISTED_BEFORE = word_set(
    """list listed msrp sticker tag retail retails worth valued value lists stickered"""
)
_PAST_BEFORE = word_set("from was originally than below under above over usually normally")
_NEGATED = word_set(
    """can't cannot couldn't won't wouldn't not never don't refuse reject unable isn't doesn't cant
    couldnt wont wouldnt dont"""
)
_FLOOR = word_set("below under lower less than beneath")
_CUES = word_set(
    """do does for at offer price asking ask take accept go want make give say around about sell
    yours pay only just is be to settle meet cost costs need get consider us final"""
)
_NEARLY = word_set("under below over above")
_RATE = word_set("apr interest financing finance down deposit rate loan tax cash money")
_STOPS = frozenset(".;!?\n")


def _before(words: Sequence[str], first: int, most: int) -> list[str]:
    """Up to `most` words in front of a number, nearest first, within its sentence."""
    near: list[str] = []
    for place in range(first - 1, max(-1, first - 1 - most), -1):
        if words[place] in _STOPS:
            break
        near.append(words[place])
    return near


def _behind(words: Sequence[str], after: int, most: int) -> list[str]:
    """Up to `most` words behind a number, within its sentence."""
    near: list[str] = []
    for word in words[after : after + most]:
        if word in _STOPS:
            break
        near.append(word)
    return near


def role(words: Sequence[str], number: Number) -> Role:
    """What a number is, from the words around it."""
    before = [word for word in _before(words, number.first, 8) if word not in "$€£"]
    behind = _behind(words, number.after, 6)
    next_word = behind[0] if behind else ""
    last = before[0] if before else ""
    if next_word in ("%", "percent", "per") and (next_word != "per" or "cent" in behind[:2]):
        return _percent(before, behind)
    sure = number.money or number.scaled
    if not sure and last in CAR_WORDS and number.value <= 20:
        return "car"
    if _is_counted(number, before, behind) or not 0 < number.value <= MOST:
        return "other"
    if _is_reduction(before, behind):
        return "off"
    given = last == "worth" and "throw" in _before(words, number.first, 15)
    if given or _is_aside(before, behind):
        return "other"
    if not sure and number.value < 1000 and not _is_short(number, words):
        return "other"
    kind = _kind_of_price(before, behind)
    gift = kind == "listed" and number.money and not number.scaled and number.value <= SHORT_MOST
    return "other" if gift else kind


def _percent(before: list[str], behind: list[str]) -> Role:
    near = {*before[:4], *behind}
    cut = near & (_OFF_AFTER | _OFF_BEFORE | {"reduced", "off", "by", "lower", "take"})
    return "percent off" if cut and not {*before[:2], *behind[1:3]} & _RATE else "other"


def _is_counted(number: Number, before: list[str], behind: list[str]) -> bool:
    """A year, a count of something, a part of a name (V6, 4x4)."""
    last = before[0] if before else ""
    unit = behind[1] if len(behind) > 1 and behind[0] in ("-", "/") else (behind or [""])[0]
    if not number.money and unit in _UNITS:
        return True
    if not (number.money or number.scaled) and (last in ("v", "x") or last[:1].isdigit()):
        return True
    if last in ("to", "-") and before[1:2] == ["0"]:  # 0 to 60
        return True
    year = number.plain and FIRST_YEAR <= number.value <= LAST_YEAR
    return year and not number.money


def _is_aside(before: list[str], behind: list[str]) -> bool:
    """A payment, a deposit, a trade-in, a gift, a difference: money, but not the price."""
    next_word = behind[0] if behind else ""
    if set(behind[:3]) & _PERIOD or behind[:2] in (["a", "day"], ["per", "day"]):
        return True
    if next_word in _COMPARED or next_word in _EXTRAS:
        return True
    if next_word == "down" and behind[1:2] != ["from"]:
        return True
    if next_word in ("in", "of") and set(behind[1:2]) & _EXTRAS:
        return True
    clause = before[: before.index(",")] if "," in before else before
    if set(clause) & _OTHER_BEFORE or "throw" in clause[:4]:
        return True
    return "trade" in before or "trade" in behind[:4]


def _is_reduction(before: list[str], behind: list[str]) -> bool:
    if behind[:1] and behind[0] in _OFF_AFTER and behind[1:2] != ["than"]:
        return True
    if "discount" in behind[:3] or "rebate" in behind[:3] or behind[:2] == ["cash", "back"]:
        return True
    if before[:1] == ["down"] and before[1:2] in (["come"], ["go"], ["coming"], ["bring"]):
        return True
    if before[:1] == ["by"] and set(before[1:5]) & _BY_BEFORE:
        return True
    near = before[:3]
    return bool(set(near) & _OFF_BEFORE) and not set(near) & {"to", "at", "for"}


def _is_short(number: Number, words: Sequence[str]) -> bool:
    """Whether a small bare number stands for thousands: "I can do 30"."""
    if not SHORT_LEAST <= number.value <= SHORT_MOST:
        return False
    before, behind = _before(words, number.first, 3), _behind(words, number.after, 2)
    if behind and behind[0] not in {
        ",",
        "and",
        "but",
        "for",
        "if",
        "flat",
        "even",
        "today",
        "as",
        "sound",
    }:
        return False
    return bool(set(before[:2]) & _CUES)


def _kind_of_price(before: list[str], behind: list[str]) -> Role:
    clause = before[: before.index("but")] if "but" in before else before
    floor = bool(set(clause[:3]) & _FLOOR)
    if floor and set(clause[1:3]) & {"no", "nothing"}:  # "no less than"
        return "price"
    if set(clause) & _NEGATED or clause[:3] == ["way", "no"]:
        return "price" if floor else "refused"
    told = " ".join(behind)
    if "too low" in told or "not enough" in told or "n't enough" in told or "too little" in told:
        return "refused"
    if "your" in clause[:4] or ("you" in clause[:4] and set(clause[:4]) & {"offered", "said"}):
        return "refused"
    near = clause[:4]
    if set(near) & _LISTED_BEFORE:
        return "listed"
    if (
        near[:1]
        and near[0] in _NEARLY
        and {"for", "at", "just", "little", "slightly"} & set(near[1:3])
    ):
        return "price"  # "for just under $30,000"
    return "past" if (near and near[0] in _PAST_BEFORE) or "instead" in near[:2] else "price"


def sums(line: Sequence[Token]) -> Sums:
    """What the numbers of a line say: of several prices the last one counts.

    >>> from .amounts import tokens
    >>> sums(tokens("It has 40,000 miles and lists at $35,000, but I can do 32.5k."))
    Sums(price=32500, off=None, percent_off=None, refused=False, cars=())
    """
    words = [token.text for token in line]
    by_role: dict[Role, list[float]] = {}
    for number in numbers(line):
        value = number.value
        kind = role(words, number)
        short = kind in ("price", "listed", "past", "refused") and value <= SHORT_MOST
        if short and not number.scaled:
            value *= 1000
        by_role.setdefault(kind, []).append(value)
    asked, listed = by_role.get("price") or [], by_role.get("listed") or []
    off, percent = by_role.get("off"), by_role.get("percent off")
    if listed and not asked:  # "it lists at $42,000, and I take $2,000 off"
        reduced = listed[-1] - off[-1] if off else listed[-1]
        asked = [reduced * (1 - percent[-1] / 100) if percent and not off else reduced]
    return Sums(
        price=max(1, round(asked[-1])) if asked else None,
        off=round(off[-1]) if off and not asked else None,
        percent_off=percent[-1] if percent and not asked and percent[-1] <= 90 else None,
        refused="refused" in by_role and not asked,
        cars=tuple(int(value) for value in by_role.get("car", ())),
    )
