"""The car dealer's world: cars, buyers and their personalities, drawn from a generator.

What a buyer would pay for a car, the most: the lower of the budget and what the car is worth to
them, raised by 5 % for each of the (two) kinds of argument that win their personality over.
"""

import json
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .seller_lines import ARGUMENTS, BRANDS, COLOURS, FEATURES, KINDS, Argument

LOT = 6  # cars for sale
FEATURES_EACH = 3
WANTED_FEATURES = 2

KIND_PRICES = (44_000, 41_000, 22_000, 28_000, 35_000, 39_000)
BRAND_FACTORS = (1.35, 1.4, 0.95, 1.0, 0.9, 1.35, 0.95, 1.45, 1.9, 1.0, 1.3, 1.05, 1.0)
PRICE_SPREAD = (0.9, 1.1)  # list price over kind price times brand factor
BUDGET_SPREAD = (0.8, 1.2)  # budget over the list price of the car that the buyer came for

BASE_WORTH = 0.78  # of the list price, for a car with nothing that the buyer wants
BRAND_WORTH = 0.08
KIND_WORTH = 0.08
FEATURE_WORTH = 0.03  # each of the two
ARGUMENT_GAIN = 0.05
ROUNDING = 100  # dollars; the buyer's offers are whole hundreds
SMALL_STEP = 0.025  # coming down by less than this share of the price tries the buyer's patience
FAR = 1.3  # a price above this many times the most they would pay does too


class Persona(NamedTuple):
    """How a buyer can be persuaded and how they bargain.

    Attributes:
        name: For `answer()` and transcripts' readers.
        likes: Kinds of argument that raise what they would pay; asked, they tell the first.
        dislikes: The kind that costs patience each time it is used.
        opening: Their first offer, as a share of the most they would pay.
        rate: The share of what is left to give that they give in one round at most.
        echo: How much they come up for each dollar that the seller comes down.
        tolerance: How close a price must be to their offer, as a share of the most, to be taken.
        patience: What can be done to them before they leave.
        open_budget: Whether they tell roughly what they can spend.
    """

    name: str
    likes: tuple[Argument, ...]
    dislikes: Argument
    opening: float
    rate: float
    echo: float
    tolerance: float
    patience: int
    open_budget: bool


PERSONAS = (
    Persona("careful", ("warranty", "empathy"), "pressure", 0.84, 0.30, 0.6, 0.03, 7, True),
    Persona("enthusiast", ("features", "financing"), "trade-in", 0.88, 0.40, 0.8, 0.05, 7, True),
    Persona("thrifty", ("financing", "trade-in"), "pressure", 0.80, 0.25, 0.5, 0.02, 9, True),
    Persona("sociable", ("empathy", "features"), "financing", 0.87, 0.40, 0.9, 0.05, 8, True),
    Persona("hurried", ("warranty", "pressure"), "empathy", 0.90, 0.50, 1.0, 0.06, 4, False),
    Persona("stubborn", ("features", "trade-in"), "empathy", 0.78, 0.20, 0.4, 0.02, 6, False),
)


class Round(NamedTuple):
    """What a price does: the buyer's offer then, its cost in patience, whether it is taken."""

    bid: int
    cost: int
    taken: bool
    raised: bool
    far: bool


def bargain(persona: Persona, top: float, listed: int, last: int, bid: int, price: int) -> Round:
    """One round: the seller asks `price` of a buyer who would pay `top` at most.

    Args:
        persona: How the buyer bargains.
        top: The most they would pay.
        listed: The car's list price.
        last: The seller's last price for it, 0 for none.
        bid: The buyer's offer, 0 for none: the first is a share of `top`. Later ones come up by
            min(rate * what is left, echo * what the seller came down).
        price: What is asked now; taken if it is not above `top` and close enough to the offer.
    """
    cost, raised = 0, False
    if not bid:
        bid = max(1, _rounded(persona.opening * top))
    else:
        down = (last or listed) - price
        bid = max(bid, _rounded(bid + min(persona.rate * (top - bid), persona.echo * down)))
        raised = 0 < last < price
        cost = int(raised or down < SMALL_STEP * price)
    close = price <= top and price - bid <= persona.tolerance * top
    taken = price <= bid or close
    far = not taken and price > FAR * top
    return Round(bid, cost + far, taken, raised, far)


def _rounded(dollars: float) -> int:
    return int(dollars / ROUNDING + 1e-9) * ROUNDING


class Car(NamedTuple):
    """A car for sale; words are places in `BRANDS`, `KINDS`, `FEATURES`, `COLOURS`."""

    brand: int
    kind: int
    colour: int
    features: tuple[int, ...]
    price: int

    @property
    def name(self) -> str:
        """Brand and kind."""
        return f"{BRANDS[self.brand]} {kind_noun(self.kind)}"


class Scenario(NamedTuple):
    """One hidden task: the lot, which the seller sees, and the buyer, whom they do not know."""

    lot: tuple[Car, ...]
    brand: int
    kind: int
    features: tuple[int, ...]
    budget: int
    persona: int

    @property
    def content(self) -> str:
        """The scenario as text; `read_scenario` reads it."""
        return _write_scenario(self)


@lru_cache(maxsize=256)
def _write_scenario(scenario: Scenario) -> str:
    return json.dumps(scenario, separators=(",", ":"))


@lru_cache(maxsize=256)
def read_scenario(content: str) -> Scenario:
    """The scenario of a text that `Scenario.content` wrote."""
    lot, *numbers = json.loads(content)
    cars = tuple(
        Car(brand, kind, colour, tuple(features), price)
        for brand, kind, colour, features, price in lot
    )
    brand, kind, features, budget, persona = numbers
    return Scenario(cars, brand, kind, tuple(features), budget, persona)


def kind_noun(kind: int) -> str:
    """A kind of car as a noun.

    >>> kind_noun(KINDS.index("electric"))
    'electric car'
    """
    return "electric car" if KINDS[kind] == "electric" else KINDS[kind]


def feature_noun(feature: int) -> str:
    """A feature as a noun, with its article.

    >>> feature_noun(FEATURES.index("sunroof")), feature_noun(FEATURES.index("heated seats"))
    ('a sunroof', 'heated seats')
    """
    name = FEATURES[feature]
    return name if name.endswith(("seats", "ing")) else f"a {name}"


def draw_scenario(task: np.random.Generator) -> Scenario:
    """A scenario: six cars of different brands, and a buyer who came for one of them."""
    brands = task.permutation(len(BRANDS))[:LOT].tolist()
    kinds = task.integers(len(KINDS), size=LOT).tolist()
    colours = task.integers(len(COLOURS), size=LOT).tolist()
    spreads = task.uniform(*PRICE_SPREAD, size=LOT).tolist()
    features = np.argsort(task.random((LOT, len(FEATURES))), axis=1)[:, :FEATURES_EACH].tolist()
    lot = tuple(
        Car(
            brands[place],
            kinds[place],
            colours[place],
            tuple(sorted(features[place])),
            list_price(kinds[place], brands[place], spreads[place]),
        )
        for place in range(LOT)
    )
    wish, persona = task.integers(LOT), task.integers(len(PERSONAS))
    first = lot[wish].features[int(task.integers(FEATURES_EACH))]
    others = [feature for feature in range(len(FEATURES)) if feature != first]
    second = others[int(task.integers(len(others)))]
    budget = 500 * round(lot[wish].price * task.uniform(*BUDGET_SPREAD) / 500)
    wanted = tuple(sorted((first, second)))
    return Scenario(lot, lot[wish].brand, lot[wish].kind, wanted, budget, int(persona))


def list_price(kind: int, brand: int, spread: float) -> int:
    """The list price of a car, in whole hundreds."""
    return 100 * round(KIND_PRICES[kind] * BRAND_FACTORS[brand] * spread / 100)


def worth(scenario: Scenario, car: int) -> float:
    """What a car is worth to the buyer, before the budget and before any argument."""
    what = scenario.lot[car]
    share = BASE_WORTH + BRAND_WORTH * (what.brand == scenario.brand)
    share += KIND_WORTH * (what.kind == scenario.kind)
    share += FEATURE_WORTH * sum(feature in what.features for feature in scenario.features)
    return share * what.price


def most(scenario: Scenario, car: int, won: int) -> int:
    """The most the buyer would pay for a car, with `won` (at most two) arguments that took."""
    return int(min(scenario.budget, worth(scenario, car)) * (1 + ARGUMENT_GAIN * won) + 1e-9)


def sale_score(price: int, budget: int, listed: int) -> float:
    """LMRL-Gym's score of a sale: price / (0.5 (budget + list price))."""
    return price / (0.5 * (budget + listed))


def lost_score(budget: int, listed: int) -> float:
    """LMRL-Gym's score of a lost sale to the letter: -(budget - list price) / list price.

    It is positive where the car costs more than the budget.
    """
    return -(budget - listed) / listed


def ceiling(scenario: Scenario) -> tuple[float, int]:
    """The best score of a sale and the highest price that this buyer would ever agree to."""
    tops = [most(scenario, car, 2) for car in range(len(scenario.lot))]
    scores = [
        sale_score(top, scenario.budget, car.price)
        for top, car in zip(tops, scenario.lot, strict=True)
    ]
    return max(scores), max(tops)


LIKED_BITS = tuple(
    sum(1 << ARGUMENTS.index(name) for name in persona.likes) for persona in PERSONAS
)
"""For each personality the arguments that win it over, as bits in the order of `ARGUMENTS`."""
