"""Scripted sellers of cars: the fair expert, and players to measure bounds with."""

import numpy as np

from lmenvs.core import TextEnv

from .car_dealer import ACCEPT_LINE, PRICE_SHARES, PRICE_UNIT, TURN_LIMIT, CarDealer
from .car_dealer_buyer import HINT, MOOD, QUESTION_BITS, Talk, hint
from .car_dealer_rules import (
    ARGUMENT_GAIN,
    BASE_WORTH,
    BRAND_WORTH,
    FEATURE_WORTH,
    KIND_WORTH,
    PERSONAS,
    Car,
    Persona,
    bargain,
    ceiling,
    feature_noun,
)
from .seller_lines import ARGUMENTS, Argument, Question

OPENINGS: tuple[tuple[tuple[Question, ...], str], ...] = (
    (
        ("kind", "brand"),
        "Hello! What kind of car are you looking for, and which brand do you like?",
    ),
    (
        ("budget", "priority"),
        "What budget do you have in mind, and what matters most to you?",
    ),
    (("features",), "Which features would you like?"),
)
SPEECHES: dict[Argument, str] = {
    "warranty": "It comes with a five-year warranty.",
    "financing": "We can arrange financing at a low rate.",
    "empathy": "I understand what you need, and I want it to be right for you.",
    "pressure": "This offer is for today only.",
    "trade-in": "We would take your old car in exchange.",
}
USUAL_BUDGET = 1.0  # of the list price of the car the buyer came for, where they tell nothing
ANCHORS = (
    1.0,
    1.04,
    1.08,
    1.12,
    1.16,
    1.2,
    1.25,
    1.3,
)  # first prices, over the most they would pay
STEPS = (0.005, 0.026, 0.032, 0.04, 0.05, 0.07, 0.1)  # how much a price falls in a round


def expert_line(env: CarDealer) -> str:
    """What the fair expert says: it reads `env.talk` as a record of what was said."""
    talk, scenario = env.talk, env.scenario
    for questions, line in OPENINGS:
        if any(not talk.told & QUESTION_BITS[question] for question in questions):
            return line
    if talk.car < 0:
        return f"I suggest car {_choose(env) + 1}."
    car = scenario.lot[talk.car]
    if talk.won.bit_count() < 2 and talk.patience > MOOD:  # at MOOD the buyer says so
        argument = _next_argument(env, car)
        if argument is not None:
            return argument
    return _next_price(env, car)


def _likely(env: CarDealer) -> list[Persona]:
    """The personalities that fit what was said."""
    talk, true = env.talk, PERSONAS[env.scenario.persona]
    fitting: list[Persona] = []
    for persona in PERSONAS:
        same = persona.open_budget == true.open_budget and persona.likes[0] == true.likes[0]
        for place, argument in enumerate(ARGUMENTS):
            if talk.used >> place & 1:
                same = same and _effect(persona, argument) == _effect(true, argument)
        if same:
            fitting.append(persona)
    return fitting


def _effect(persona: Persona, argument: Argument) -> int:
    return (argument in persona.likes) - (argument == persona.dislikes)


def _known_budget(env: CarDealer) -> float:
    scenario = env.scenario
    if PERSONAS[scenario.persona].open_budget:
        return hint(scenario.budget) / HINT
    wish = next(car for car in scenario.lot if car.brand == scenario.brand)
    return USUAL_BUDGET * wish.price


def _estimate(env: CarDealer, car: Car, won: int) -> float:
    """What the buyer would pay for a car at most, as far as they have said what they want."""
    scenario = env.scenario
    share = BASE_WORTH + BRAND_WORTH * (car.brand == scenario.brand)
    share += KIND_WORTH * (car.kind == scenario.kind)
    share += FEATURE_WORTH * sum(feature in car.features for feature in scenario.features)
    return min(_known_budget(env), share * car.price) * (1 + ARGUMENT_GAIN * won)


def _choose(env: CarDealer) -> int:
    budget, lot = _known_budget(env), env.scenario.lot
    if env.reward == "price":
        worths = [_estimate(env, car, 2) for car in lot]
    else:
        worths = [_estimate(env, car, 2) / (budget + car.price) for car in lot]
    return max(range(len(lot)), key=worths.__getitem__)


def _next_argument(env: CarDealer, car: Car) -> str | None:
    """The argument that most of the fitting personalities like, and none dislikes."""
    likely, talk = _likely(env), env.talk
    wanted = [feature for feature in env.scenario.features if feature in car.features]
    best: tuple[int, int] | None = None
    for place, argument in enumerate(ARGUMENTS):
        usable = not talk.used >> place & 1 and (argument != "features" or wanted)
        gain = sum(_effect(persona, argument) for persona in likely)
        if usable and gain > 0 and (best is None or gain > best[0]):
            best = gain, place
    if best is None:
        return None
    argument = ARGUMENTS[best[1]]
    return f"It has {feature_noun(wanted[0])}." if argument == "features" else SPEECHES[argument]


def _next_price(env: CarDealer, car: Car) -> str:
    talk, persona = env.talk, _likely(env)[0]
    won = talk.won.bit_count()
    # the first offer is a known share of the most they would pay, rounded down
    top = talk.opened / persona.opening if talk.opened else _estimate(env, car, won)
    # every loss of patience is told, so that what is left follows from the personality
    lost = PERSONAS[env.scenario.persona].patience - talk.patience
    price = best_price(
        persona, top, car.price, talk, persona.patience - lost, TURN_LIMIT - env.turn
    )
    return _ask(price) if price else ACCEPT_LINE


def best_price(
    persona: Persona, top: float, listed: int, talk: Talk, patience: int, turns: int
) -> int:
    """The price to ask next, or 0 to accept the offer.

    Tried are series of prices that fall by a constant share, by the buyer's own rule.
    """
    asks = [talk.price * (1 - step) for step in STEPS] if talk.price else [top * m for m in ANCHORS]
    best, choice = (float(talk.bid), 0)
    for first in asks:
        for step in STEPS:
            end = _series(persona, top, listed, talk, patience, turns, first, step)
            if end > best:
                best, choice = end, int(first)
    return choice


def _series(
    persona: Persona,
    top: float,
    listed: int,
    talk: Talk,
    patience: int,
    turns: int,
    price: float,
    step: float,
) -> float:
    """What a series of prices ends with: the price taken, or the offer that is left to accept."""
    last, bid, best = talk.price, talk.bid, float(talk.bid)
    for turn in range(turns):
        found = bargain(persona, top, listed, last, bid, int(price))
        patience -= found.cost
        if found.taken:
            return max(best, int(price))
        if patience <= 0:
            return best if turn else 0.0
        last, bid = int(price), found.bid
        best = float(bid) if turn < turns - 1 else best
        price *= 1 - step
    return best


def _ask(price: int) -> str:
    return f"I can let you have it for ${price:,}."


# ---- players to measure bounds with -------------------------------------------------------------


def _dealer(env: TextEnv) -> CarDealer:
    if not isinstance(env, CarDealer):
        raise ValueError(f"this seller sells cars, got {type(env).__name__}; give it a CarDealer")
    return env


def naive(env: TextEnv, generator: np.random.Generator) -> str:
    """Proposes any car and names its list price, again and again."""
    game = _dealer(env)
    if game.talk.car < 0:
        return f"I suggest car {int(generator.integers(len(game.scenario.lot))) + 1}."
    return f"The price is ${game.scenario.lot[game.talk.car].price:,}."


def falling(env: TextEnv, generator: np.random.Generator) -> str:
    """Proposes any car, names its list price, and comes down step by step; takes the offer last."""
    game = _dealer(env)
    talk = game.talk
    if talk.car < 0 or not talk.price:
        return naive(env, generator)
    car = game.scenario.lot[talk.car]
    lower = [share for share in PRICE_SHARES if int(share * car.price) < talk.price]
    return f"I can do ${int(lower[0] * car.price):,}." if lower else ACCEPT_LINE


def dataset(env: TextEnv, generator: np.random.Generator) -> str:
    """Half the lines are drawn from the plain ones, half are those of `falling`."""
    game = _dealer(env)
    if generator.random() < 0.5:
        return falling(env, generator)
    lines = game.admissible_actions()
    return lines[int(generator.integers(len(lines)))]


def worst(env: TextEnv, generator: np.random.Generator) -> str:
    """Shows the cheapest car and insults the buyer: no play is worth less in "score"."""
    game = _dealer(env)
    lot = game.scenario.lot
    cheapest = min(range(len(lot)), key=lambda place: lot[place].price)
    return "You fool." if game.talk.car == cheapest else f"I suggest car {cheapest + 1}."


def most_worth(env: TextEnv) -> float:
    """The reward of the best sale that this buyer would ever agree to: no play is worth more."""
    game = _dealer(env)
    score, price = ceiling(game.scenario)
    return price / PRICE_UNIT if game.reward == "price" else score
