"""Episodes of a world, many at once: all turns end to end, episode after episode."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .words import Floats, Indices, ranges
from .world import World

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Plays:
    """Episodes, or pieces of episodes, with N turns in all.

    Attributes:
        world: Where they were played.
        turns_E: How many turns each has.
        options_N: What was done, as the world's model counts options.
        rewards_N: What it paid.
        targets_N: The situation that followed, -1 at the end.
        texts_N: The environment's words that stand before the turn.
    """

    world: World
    turns_E: Indices
    options_N: Indices
    rewards_N: Floats
    targets_N: Indices
    texts_N: Indices

    @cached_property
    def situations_N(self) -> Indices:
        """In which each action was taken."""
        return self.world.situations_O[self.options_N]

    @cached_property
    def states_N(self) -> Indices:
        """The state in which each action was taken."""
        return self.world.model.states[self.situations_N]

    @cached_property
    def actions_N(self) -> Indices:
        """As `words` counts actions."""
        return self.world.actions_O[self.options_N]

    @cached_property
    def words_N(self) -> Indices:
        """Words that each turn has."""
        return self.world.words.lengths[self.actions_N]

    @cached_property
    def entries_K(self) -> Indices:
        """The entry of every word."""
        return self.world.words_of(self.actions_N)

    @cached_property
    def rows_K(self) -> Indices:
        """The row at which every word was chosen."""
        return self.world.words.rows[self.entries_K]

    @cached_property
    def chosen_K(self) -> np.ndarray:
        """Which words were a choice: another could have stood there."""
        return self.world.words.options[self.rows_K] > 1

    @cached_property
    def returns_E(self) -> Floats:
        """The sum of each episode's rewards."""
        owners = np.repeat(np.arange(len(self.turns_E)), self.turns_E)
        return np.bincount(owners, self.rewards_N, len(self.turns_E)).astype(np.float64)

    @property
    def turns(self) -> int:
        """All of them."""
        return len(self.options_N)

    @property
    def words(self) -> int:
        """All that the policy wrote."""
        return int(self.words_N.sum())

    @cached_property
    def starts_E(self) -> Indices:
        """Where each episode begins."""
        return np.cumsum(self.turns_E) - self.turns_E

    def per_episode(self, values_N: NDArray[Scalar]) -> list[NDArray[Scalar]]:
        """Values of turns as one array for each episode."""
        return np.split(values_N, self.starts_E[1:])

    def per_word(self, values_K: Floats) -> list[list[Floats]]:
        """Values of words as one list for each episode, of one array for each turn."""
        ends = np.cumsum(self.words_N)
        pairs = zip((ends - self.words_N).tolist(), ends.tolist(), strict=True)
        turns = [values_K[first:last] for first, last in pairs]
        bounds = zip(self.starts_E.tolist(), (self.starts_E + self.turns_E).tolist(), strict=True)
        return [turns[first:last] for first, last in bounds]


def play(
    world: World,
    starts_E: Indices,
    generator: np.random.Generator,
    *,
    most: int | None = None,
    texts_E: Indices | None = None,
    chances_O: Floats | None = None,
) -> Plays:
    """Play one episode from each of these situations.

    Args:
        world: Where.
        starts_E: A situation may stand here often.
        generator: Of all chance.
        most: Stop each after so many turns.
        texts_E: The environment's words before the first turn, 0 unless they are given.
        chances_O: Act by these chances of options instead of the world's policy.
    """
    model = world.model
    ahead_O = _ladder(world.chances_O if chances_O is None else chances_O, model.first_option)
    ahead_N = _ladder(model.outcome_chances, model.first_outcome)
    alive, here = np.arange(len(starts_E)), np.asarray(starts_E, dtype=np.intp)
    texts = np.zeros(len(starts_E), dtype=np.intp) if texts_E is None else texts_E
    found: list[tuple[Indices, Indices, Indices, Indices]] = []
    while len(alive) and (most is None or len(found) < most):
        options = _drawn(ahead_O, model.first_option, here, generator)
        outcomes = _drawn(ahead_N, model.first_outcome, options, generator)
        found.append((alive, options, outcomes, texts))
        goes_on = model.targets[outcomes] >= 0
        alive, here = alive[goes_on], model.targets[outcomes][goes_on]
        texts = model.texts[outcomes][goes_on]
    owners, options, outcomes, texts = (
        np.concatenate(column) for column in zip(*found, strict=True)
    )
    order = np.argsort(owners, kind="stable")
    outcomes = outcomes[order]
    return Plays(
        world,
        np.bincount(owners, minlength=len(starts_E)),
        options[order],
        model.rewards[outcomes],
        model.targets[outcomes],
        texts[order],
    )


def begin(world: World, count: int, generator: np.random.Generator) -> Indices:
    """Numbers of starts, drawn by their chances."""
    chances = world.model.start_chances
    return generator.choice(len(chances), count, p=chances / chances.sum())


def greedy_chances(world: World) -> Floats:
    """[O] 1 for each situation's likeliest action, the first of them, and 0 for the others."""
    first = world.model.first_option
    best_I = np.maximum.reduceat(world.chances_O, first[:-1])
    best = np.flatnonzero(world.chances_O == best_I[world.situations_O])
    chosen = best[np.unique(world.situations_O[best], return_index=True)[1]]
    chances = np.zeros(len(world.chances_O))
    chances[chosen] = 1.0
    return chances


def picked(plays: Plays, turns: Indices, turns_E: Sequence[int] | Indices) -> Plays:
    """These turns, laid out anew as episodes of these lengths."""
    return Plays(
        plays.world,
        np.asarray(turns_E, dtype=np.intp),
        plays.options_N[turns],
        plays.rewards_N[turns],
        plays.targets_N[turns],
        plays.texts_N[turns],
    )


def some(plays: Plays, episodes: Indices) -> Plays:
    """These episodes."""
    turns_E = plays.turns_E[episodes]
    return picked(plays, ranges(plays.starts_E[episodes], turns_E), turns_E)


def _ladder(chances: Floats, first: Indices) -> Floats:
    """Cumulated chances, every owner's own, shifted to lie between its number and the next."""
    totals = np.cumsum(chances)
    before = np.concatenate(([0.0], totals))[first]
    counts = np.diff(first)
    share = (totals - np.repeat(before[:-1], counts)) / np.repeat(np.diff(before), counts)
    return share + np.repeat(np.arange(len(counts)), counts)


def _drawn(
    ladder: Floats, first: Indices, owners: Indices, generator: np.random.Generator
) -> Indices:
    places = np.searchsorted(ladder, owners + generator.random(len(owners)), side="right")
    return np.clip(places, first[owners], first[owners + 1] - 1)
