"""Car dealer: sell a car to a buyer whose budget, wishes and personality are hidden."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from lmenvs.arguments import check_choice
from lmenvs.core import OnInvalid, Outcome, TextEnv
from lmenvs.splits import Split, check_split, split_of

from .buyer_words import BLANK, UNKNOWN, WORDS
from .car_dealer_buyer import NONE, UNRESOLVED, Talk, hear, resolve
from .car_dealer_rules import (
    PERSONAS,
    Car,
    Scenario,
    draw_scenario,
    feature_noun,
    kind_noun,
    lost_score,
    most,
    read_scenario,
    sale_score,
)
from .seller_lines import BRANDS, COLOURS, FEATURES, NOTHING, read_line

LINES = 50  # both sides together, so that the seller has half of them
TURN_LIMIT = LINES // 2
PRICE_UNIT = 1000.0  # dollars that count as 1 in the reward "price"
NEARLY = 0.99  # progress at most while there is no sale

Reward = Literal["score", "lmrl", "price"]
REWARDS: tuple[Reward, ...] = ("score", "lmrl", "price")

QUESTION_LINES = (
    "What kind of car are you looking for?",
    "Which brand do you like?",
    "Which features do you want?",
    "What is your budget?",
    "What matters most to you when you buy a car?",
)
ARGUMENT_LINES = (
    "It comes with a long warranty.",
    "We can arrange financing for you.",
    "I understand, take your time.",
    "This price is good for today only.",
    "We can take your old car in exchange.",
)
PRICE_SHARES = (1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.78, 0.74, 0.7)
ACCEPT_LINE = "I accept your offer."


class CarDealer(TextEnv):
    """Sell one of six cars, for as much as this buyer can be brought to pay.

    Description:
        You are the seller. The buyer (scripted, in words of this project) has a budget, a kind of
        car, a brand and two features in mind, and one of six personalities; all of that is hidden.
        A car is worth 78 % of its list price to them, 8 points more each for the brand and the
        kind, 3 for each wanted feature; they pay at most the lower of that and of the budget,
        raised by 5 % for each of two kinds of argument that suit their personality. Their first
        offer is below that; they come up as you come down, take a price that is close enough to
        their offer, and lose patience with insults, unwanted arguments, claims that the sticker
        does not bear out, repeated questions, small steps and higher prices. They never go back
        on an offer for the car under discussion.

    Actions:
        Any English text (`seller_lines.read_line`, `prices.sums`): questions (kind, brand,
        features, budget, priorities), a car by number, brand or kind, arguments (features,
        warranty, financing, empathy, pressure, trade-in; two a line are weighed), a price
        (`$32,500`, `32.5k`, `thirty-two thousand`, `I can do 30`, `5 % off`, `at list price`,
        `split the difference`; of several the last, and none below a fifth of the list price),
        agreement to the buyer's offer (`deal`). The first 2,000 characters are read. A line without
        any of these is `malformed`, one that names only a car that is not there `unknown`.
        `admissible_actions()` lists plain lines that play the whole game.

    Observations:
        First the lot with list prices and the buyer's greeting, then what the buyer says; the
        wording varies. The end tells neither the budget nor the personality.

    Rewards:
        0 until the end. `reward="score"`: price / (0.5 (budget + list price)) for a sale and
        -max(0, budget - list price) / list price otherwise, with the list price of the car under
        discussion (of the one the buyer came for, if none is). `reward="lmrl"`: the same with
        -(budget - list price) / list price as published, which pays for losing a buyer over a car
        beyond the budget. `reward="price"`: the price in thousands of dollars, 0 without a sale. An
        invalid line costs only its turn under `on_invalid="penalise"` (the default) and "noop";
        under "terminate" it loses the sale.

    Episode end:
        Terminated by a sale, when the buyer has lost patience, and after 50 lines of both sides
        (25 of yours), without a sale. Never truncated.

    Arguments:
        reward: "score", "lmrl" or "price", as above.
        split: "all", "train" or "test": which scenarios (lot and buyer) are drawn.

    Capability:
        Asking, persuading, bargaining with hidden preferences.

    Source:
        The Car Dealer task of LMRL-Gym (Abdulhai et al., 2023): roles, 50 lines, rewards. Its buyer
        is a language model, this one is not: scores are not comparable with the published ones.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/CarDealer-v0
        CarDealer-v0
            min -0.66602 +- 0.021: worst policy, seeds 0 to 999
            average 0.51713 +- 0.013: dataset policy, seeds 0 to 999
            naive -0.25001 +- 0.013: naive policy, seeds 0 to 999
            falling 0.60742 +- 0.0094: falling policy, seeds 0 to 999
            uniform 0.36775 +- 0.016: uniform over legal actions, seeds 0 to 999
            expert 1.0182 +- 0.0012: the expert, seeds 0 to 999
            max 1.0336 +- 0.001: what the tasks are worth at most, by the rules, seeds 0 to 999
        CarDealer-v0?reward=price
            min 0 +- 0: worst policy, seeds 0 to 999
            average 23.013 +- 0.47: dataset policy, seeds 0 to 999
            naive 0 +- 0: naive policy, seeds 0 to 999
            falling 25.536 +- 0.45: falling policy, seeds 0 to 999
            uniform 18.308 +- 0.49: uniform over legal actions, seeds 0 to 999
            expert 44.469 +- 0.47: the expert, seeds 0 to 999
            max 45.443 +- 0.48: what the tasks are worth at most, by the rules, seeds 0 to 999

    Version history:
        v0: first version.
    """

    turn_limit = TURN_LIMIT
    instructions = (
        "You sell cars. A buyer comes in; find out what they want, propose one of the cars on your "
        "lot, and sell it for as much as you can. You know the list prices; you may ask for more "
        "or less. The buyer has a budget that you do not know, can be won over by some arguments "
        "and put off by others, and leaves when you try their patience. The sale is made when the "
        "buyer takes your price or you accept theirs ('I accept your offer').\nAnswer with what "
        f"you say to the buyer and nothing else. You may speak {TURN_LIMIT} times."
    )

    def __init__(
        self,
        reward: Reward = "score",
        split: Split = "all",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_choice("reward", reward, REWARDS)
        self.reward: Reward = reward
        self.split = check_split(split)
        self._scenario = Scenario((), 0, 0, (), 0, 0)
        self._talk = Talk(0)
        self._sold = 0

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        scenario = draw_scenario(task)
        while self.split != "all" and split_of(scenario.content) != self.split:
            scenario = draw_scenario(task)
        self._scenario = scenario
        self._talk = Talk(PERSONAS[scenario.persona].patience)
        self._sold = 0
        cars = "\n".join(f"{place}. {describe(car)}" for place, car in enumerate(scenario.lot, 1))
        return f"Cars on the lot:\n{cars}\nBuyer: {self._word('greeting')}"

    def _word(self, key: str, values: Mapping[str, object] | None = None) -> str:
        wordings = WORDS[key]
        chosen = wordings[int(self.np_random.random() * len(wordings))]
        return chosen.format_map(values) if values else chosen

    def _play(self, action: str) -> Outcome:
        line = read_line(action)
        if line is NOTHING:
            return self._refuse("malformed", BLANK)
        scenario, talk = self._scenario, self._talk
        car = resolve(scenario, talk.car, line)
        if car == UNRESOLVED:
            if replace(line, cars=(), brands=(), kinds=(), chats=False) == NOTHING:
                return self._refuse("unknown", UNKNOWN)
            car = NONE
        reply = hear(scenario, talk, line, car)
        text = " ".join([self._word(key, values) for key, values in reply.said])
        if reply.sold is not None:
            self._sold = reply.sold
            return Outcome(text, reward=self._sale(reply.sold), terminated=True, success=True)
        if reply.left:
            return Outcome(text, reward=self._lost(), terminated=True)
        return Outcome(text)

    def _sale(self, price: int) -> float:
        if self.reward == "price":
            return price / PRICE_UNIT
        listed = self._scenario.lot[self._talk.car].price
        return sale_score(price, self._scenario.budget, listed)

    def _lost(self) -> float:
        if self.reward == "price":
            return 0.0
        car = self._talk.car if self._talk.car >= 0 else self._wish()
        score = lost_score(self._scenario.budget, self._scenario.lot[car].price)
        return score if self.reward == "lmrl" else min(0.0, score)

    def _wish(self) -> int:
        """The car that the buyer came for: the only one of its brand."""
        brands = [car.brand for car in self._scenario.lot]
        return brands.index(self._scenario.brand)

    def _refuse(self, error: str, text: str) -> Outcome:
        penalty = self._lost() if self.on_invalid == "terminate" else 0.0
        return self._invalid(error, text, penalty=penalty)

    def _at_limit(self, outcome: Outcome) -> Outcome:
        text = f"{outcome.observation} {self._word('closing')}"
        return replace(outcome, observation=text, reward=self._lost(), terminated=True)

    def _save(self) -> dict[str, Any]:
        return {
            "scenario": self._scenario.content,
            "talk": self._talk.numbers(),
            "sold": self._sold,
        }

    def _load(self, state: Any) -> None:
        self._scenario = read_scenario(str(state["scenario"]))
        self._talk = Talk(*state["talk"])
        self._sold = int(state["sold"])

    @property
    def scenario(self) -> Scenario:
        """The lot and the hidden buyer; privileged but for the lot."""
        return self._scenario

    @property
    def talk(self) -> Talk:
        """Where the conversation stands; its `patience` is privileged, the rest was said."""
        return self._talk

    def admissible_actions(self) -> list[str]:
        """Plain lines for everything a seller can do now; any other text is legal too."""
        lines = [*QUESTION_LINES, *ARGUMENT_LINES]
        lines += [f"I suggest car {number}." for number in range(1, len(self._scenario.lot) + 1)]
        if self._talk.car >= 0:
            lines += _lines_about(self._scenario.lot[self._talk.car])
        if self._talk.bid:
            lines.append(ACCEPT_LINE)
        return lines

    def expert_action(self) -> str:
        """Ask, propose, persuade, come down in steps, take the offer in time (`car_dealer_seller`).

        Fair: it uses the lot and what the buyer has said.
        """
        from .car_dealer_seller import expert_line

        return expert_line(self)

    def progress(self) -> float:
        """1 for a sale; before it the offer's share of the most the buyer would pay for the car."""
        if self._sold:
            return 1.0
        if not self._talk.bid:
            return 0.1 if self._talk.car >= 0 else 0.0
        return min(NEARLY, self._talk.bid / most(self._scenario, self._talk.car, 2))

    def answer(self) -> str:
        """The buyer: what they want, can spend, and how they are."""
        scenario = self._scenario
        persona = PERSONAS[scenario.persona]
        features = " and ".join(feature_noun(feature) for feature in scenario.features)
        return (
            f"{persona.name} buyer, budget ${scenario.budget:,}, wants a {BRANDS[scenario.brand]} "
            f"{kind_noun(scenario.kind)} with {features}; won over by "
            f"{' and '.join(persona.likes)}, put off by {persona.dislikes}"
        )

    def state_key(self) -> str:
        """The scenario and where the conversation stands."""
        return f"{self._scenario.content} {self._talk.numbers()} {self._sold}"


def describe(car: Car) -> str:
    """A car as the seller sees it: colour, name, list price, features."""
    features = ", ".join(FEATURES[feature] for feature in car.features)
    return f"{COLOURS[car.colour]} {car.name}, ${car.price:,}: {features}"


@lru_cache(maxsize=256)
def _lines_about(car: Car) -> tuple[str, ...]:
    """The plain lines that argue for a car and name its price."""
    return (
        *(f"It has {feature_noun(feature)}." for feature in car.features),
        *(f"I can do ${int(share * car.price):,}." for share in PRICE_SHARES),
    )
