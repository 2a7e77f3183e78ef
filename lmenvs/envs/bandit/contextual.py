"""ContextualBandit: recommend a film to each visitor, whose taste is told in numbers."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np

from lmenvs.arguments import check_choice, check_count
from lmenvs.core import OnInvalid, Outcome, TextEnv
from lmenvs.splits import Split, check_split

from .base import CONTEXTS, Context
from .films import MOST_FILMS, UNIT, Catalogue, draw_number, made_up, parse_film, titles_of
from .ledger import Ledger
from .movielens import load

MOST_FEATURES = 30


class ContextualBandit(TextEnv):
    """Recommend one of the films to every visitor, and learn who likes what.

    Description:
        Visitors come one after the other; each is described by a few numbers. The player shows one
        film, and is paid the visitor's rating, 0 to 5 stars. A rating is the product of the
        visitor's numbers with numbers of the film, which are hidden, so that it has to be found out
        which film suits whom. By default films and 200 visitors are made up anew by the seed of
        every episode (ratings of rank `features`, 3 stars on average; a taste moves them by 0.9);
        with `movielens` they are the films rated most in that folder, in an order drawn by the
        seed. Visitors are drawn with replacement.

    Actions:
        A film by its title (`Amber`, `Heat (1995)`, and `Heat` where only one film has that title),
        or by its number from 1; `film` may stand in front. A number without a film is `unknown`,
        everything else `malformed`; both use up a turn, and the visitor stays.

    Observations:
        At first the films with their numbers, and the first visitor: `Visitor: 1.00, -0.31, 0.87,
        0.05, -1.20`. Then the film that was shown, the rating, and the next visitor;
        `context="summary"` adds how often each film was shown and its mean rating; "guided" adds
        what LinUCB computes for this visitor: the value 2.5 + x'A^-1 b, the bonus 0.5 sqrt(x'A^-1
        x) and their sum, where x are the visitor's numbers, and A = I + sum x x' and b = sum (r -
        2.5) x run over the visitors that were shown the film and their ratings r.

    Rewards:
        The rating, to the digit; it is not noisy. An invalid action gets 0 (under every
        `on_invalid`; "terminate" also gives up the remaining turns). `info["regret"]` is this
        visitor's highest rating minus the one paid; `info["optimal_actions"]` names the films of
        the highest rating. Both are privileged.

    Episode end:
        Terminated after `horizon` turns. Success: all turns were played, and the regret in all is
        at most half of what uniform choice would have had with the same visitors. Never truncated.

    Arguments:
        arms: How many films, 2 to 30; EVOLvE has 10 and 30.
        horizon: Visitors per episode; EVOLvE's package has 200.
        features: How many numbers describe a visitor, 2 to 30: the rank of the ratings. With
            `movielens` at most `arms`; EVOLvE's package has the smaller of 20 and `arms`.
        context: "raw", "summary" or "guided".
        split: "all", "train" or "test": of the made-up ratings, or of the visitors in `movielens`.
        movielens: A folder with an unpacked MovieLens archive (ml-100k, ml-1m, ml-latest or alike),
            or None. Its singular vectors are the features, scaled to a mean square of 1, and its
            best approximation of rank `features` is what is paid; where the archive says who the
            visitors are, the player reads that too.

    Capability:
        Exploration against exploitation, and generalising over contexts.

    Source:
        The contextual bandit of EVOLvE (Nie et al., 2024; package banditbench), which uses
        MovieLens: its settings are `arms=10&features=10` and `arms=30&features=20` with `movielens`
        a folder of ml-1m. The made-up ratings and all texts are this project's. Other than there,
        features are scaled (there their squares sum to 1 over all visitors, so small that LinUCB's
        bonus hardly shrinks) and rounded; ratings are those of the rounded numbers and end at 0 and
        5; everybody who rated one of the films may come (there 200 people drawn beforehand, or all
        others), described without the place of living; the seed orders the films; LinUCB expects of
        a film never shown 2.5 stars, not 0; and there is a summary (there only guidance).

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring
        lmenvs/ContextualBandit-v0
        ContextualBandit-v0
            min 314.54 +- 1.4: worst policy, seeds 0 to 999
            average 598.09 +- 0.9: uniform over legal actions, seeds 0 to 999
            max 867.58 +- 1.1: best policy, seeds 0 to 999
            expert 805.8 +- 1: the expert, seeds 0 to 999
        ContextualBandit-v0?arms=30
            min 223.06 +- 0.97: worst policy, seeds 0 to 999
            average 597.97 +- 0.64: uniform over legal actions, seeds 0 to 999
            max 934.48 +- 0.57: best policy, seeds 0 to 999
            expert 806.28 +- 0.98: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    def __init__(
        self,
        arms: int = 10,
        horizon: int = 200,
        features: int = 5,
        context: Context = "raw",
        split: Split = "all",
        movielens: str | None = None,
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_count("arms", arms, 2, MOST_FILMS)
        check_count("horizon", horizon, 1)
        check_count("features", features, 2, MOST_FEATURES)
        check_choice("context", context, CONTEXTS)
        if movielens is not None and not isinstance(movielens, str):
            raise ValueError(f"movielens={movielens!r}; expected the path of a folder, or null")
        self.context: Context = context
        self.turn_limit = horizon
        self._count, self._size = arms, features
        self._split: Split = check_split(split)
        self._archive = (
            load(movielens, arms, features, self._split) if movielens is not None else None
        )
        self.instructions = _instructions(horizon, context == "guided")
        self._number = -1
        self._visitor = 0
        self._enter(0)

    # ---- an episode -------------------------------------------------------------------------

    def _enter(self, number: int) -> None:
        """Begin with the films and visitors of this number, nobody served yet."""
        if number != self._number:
            self._number = number
            self._open(number)
        self._ledger = Ledger(self._catalogue, self._order)

    def _open(self, number: int) -> None:
        if self._archive is None:
            self._catalogue: Catalogue = made_up(number, self._count, self._size)
            self._order = list(range(self._count))
        else:
            self._catalogue = self._archive
            order = np.random.default_rng(number).permutation(self._count)
            self._order = [int(column) for column in order]
        self._names = tuple(self._catalogue.names[index] for index in self._order)
        self._titles = titles_of(self._names)
        self._index = {name: index for index, name in enumerate(self._names)}

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        if self._archive is None:
            self._enter(draw_number(task, self._count, self._size, self._split))
        else:
            self._enter(int(task.integers(2**53)))
        # the first visitor belongs to the task, the others to chance
        pool = self._catalogue.pool
        self._visitor = pool[int(task.integers(len(pool)))]
        labels = (self._catalogue.labels[index] for index in self._order)
        films = "\n".join(f"{number} {label}" for number, label in enumerate(labels, start=1))
        return f"Films:\n{films}\n{self._introduce()}"

    def _introduce(self) -> str:
        person = self._catalogue.people[self._visitor]
        numbers = self._catalogue.features[self._visitor].tolist()
        told = ", ".join([f"{number / UNIT:.2f}" for number in numbers])
        return f"Visitor ({person}): {told}" if person else f"Visitor: {told}"

    def _play(self, action: str) -> Outcome:
        film = self._index.get(action)
        if film is None:
            parsed = parse_film(action, self._titles, self._count)
            if isinstance(parsed, str):
                return self._wasted(parsed)
            film = parsed
        visitor, catalogue = self._visitor, self._catalogue
        best, paid = self._ledger.serve(visitor, film)
        optimal = self._optimal(visitor, best)
        text = f"You recommended {self._names[film]}. Reward: {paid / UNIT:.2f}."
        if self._turn != self.turn_limit:
            pool = catalogue.pool
            self._visitor = pool[int(self.np_random.random() * len(pool))]
            text = f"{text}\n{self._introduce()}"
            if self.context != "raw":
                text = f"{text}\n{self._table()}"
        return Outcome(
            text, reward=paid / UNIT, regret=(best - paid) / UNIT, optimal_actions=optimal
        )

    def _optimal(self, visitor: int, best: int) -> tuple[str, ...]:
        row = self._catalogue.ratings[visitor].tolist()
        return tuple(
            [self._names[film] for film, column in enumerate(self._order) if row[column] == best]
        )

    def _wasted(self, error: str) -> Outcome:
        text = (
            f"That is not one film; name one or say its number, 1 to {self._count}. "
            "The visitor is still waiting."
        )
        best = self._ledger.waste(self._visitor)
        outcome = self._invalid(error, text, penalty=0.0)
        if outcome.terminated and self._turn == self.turn_limit:
            outcome = self._at_limit(outcome)
        optimal = self._optimal(self._visitor, best)
        return replace(outcome, regret=best / UNIT, optimal_actions=optimal)

    def _at_limit(self, outcome: Outcome) -> Outcome:
        return replace(outcome, terminated=True, success=self._ledger.quality() >= 1.0)

    def _table(self) -> str:
        rows: list[str] = []
        ledger = self._ledger
        for name, pulls, total in zip(self._names, ledger.pulls, ledger.sums, strict=True):
            row = f"{name}: {pulls} pull{'s' if pulls != 1 else ''}"
            rows.append(f"{row}, mean {total / UNIT / pulls:.2f}" if pulls else row)
        if self.context == "guided":
            model, features = ledger.model(), ledger.features(self._visitor)
            values, bonuses = model.values(features).tolist(), model.bonuses(features).tolist()
            for film, (value, bonus) in enumerate(zip(values, bonuses, strict=True)):
                rows[film] += f", value {value:z.2f}, bonus {bonus:.2f}, sum {value + bonus:z.2f}"
        return "\n".join(rows)

    def expert_action(self) -> str:
        """LinUCB with alpha 0.5 around 2.5 stars, the first film among equals: fair."""
        indices = self._ledger.model().indices(self._ledger.features(self._visitor))
        return self._names[int(indices.argmax())]

    # ---- state and scripts ------------------------------------------------------------------

    def _save(self) -> dict[str, Any]:
        return {
            "number": self._number,
            "visitor": self._visitor,
            "served": tuple(self._ledger.served),
            "lost": self._ledger.lost,
            "uniform": self._ledger.uniform,
        }

    def _load(self, state: Any) -> None:
        self._enter(int(state["number"]))
        for code in state["served"]:
            self._ledger.serve(*divmod(code, self._count))
        self._visitor = int(state["visitor"])
        # turns without a film are lost too, and not among those served
        self._ledger.lost, self._ledger.uniform = int(state["lost"]), int(state["uniform"])

    def admissible_actions(self) -> list[str]:
        """The titles of the films."""
        return list(self._names)

    def expected_rewards(self) -> dict[str, float]:
        """What this visitor would pay for each film; privileged."""
        row = self._catalogue.ratings[self._visitor].tolist()
        return {
            name: row[column] / UNIT for name, column in zip(self._names, self._order, strict=True)
        }

    def progress(self) -> float:
        """The share of turns played, held back while the regret is above half of uniform's."""
        assert self.turn_limit is not None
        return min(self._turn / self.turn_limit, self._ledger.quality())

    def answer(self) -> str:
        """The film that this visitor likes best (the first one among equals)."""
        return self._optimal(self._visitor, int(self._catalogue.best[self._visitor]))[0]

    def state_key(self) -> str:
        """The hidden ratings and the visitor; where a table is shown also who was shown what.

        What is earned from here on depends on nothing else; only `success` looks back.
        """
        key = f"{self._number}|{self._visitor}"
        if self.context != "raw":
            key += "|" + blake2b(repr(self._ledger.served).encode(), digest_size=12).hexdigest()
        return key


def _instructions(horizon: int, guided: bool) -> str:
    hint = " A good rule is to choose the film with the largest sum of value and bonus."
    return (
        "You recommend films on a web site. Visitors come one after the other, and each is "
        "described by numbers that tell their taste. To each you show one film, and your reward is "
        "the visitor's rating from 0 to 5. Visitors with alike numbers rate a film alike. You have "
        f"{horizon} turns; collect as much reward as you can.{hint if guided else ''}\n"
        "Answer with the title or the number of one film and nothing else. Any other answer "
        "wastes the turn."
    )
