"""What credit is worth to a learner: every estimator trains the same table on exact environments.

The policy is a table, a softmax over the next word for each prefix of an action in each state, and
begins uniform over actions. Each iteration draws a sample with the policy as it is, lets the
estimator judge it, and takes one step along the sampled policy gradient. Every estimator may spend
the same environment turns; forks, greedy plays and a critic's or tracker's episodes count, and what
one iteration leaves or overspends is the next one's. The value V of each policy is computed, not
sampled, and written as (V - V_uniform) / (V_optimal - V_uniform).

The step is Adam's, of one size for all. Estimators differ in scale, some because a standard
deviation divides them, and environments differ in theirs; Adam's step stays the same when all
gradients are multiplied by one number, so nobody gains by being large.

The table sees the state and not the turn; where the best action depends on the turns that are left,
no table reaches 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from . import draws
from .estimators import Estimator
from .measures import turn_credit
from .words import Floats, Words
from .world import Model, World, build

COST_MEMORY = 0.9  # of what a unit costs, in episodes


@dataclass(frozen=True, slots=True)
class Settings:
    """What all cells share.

    Attributes:
        iterations: Steps on the table.
        episodes: An iteration may spend the turns that so many episodes of uniform play take.
        step_size: Of Adam.
        every: Iterations between the values that are kept of a curve.
    """

    iterations: int = 100
    episodes: int = 32
    step_size: float = 0.1
    every: int = 10


class Adam:
    """Adam (Kingma and Ba, 2015, algorithm 1), uphill.

    Args:
        logits_P: Where it begins.
        step_size: Of one step where all gradients agree.
    """

    MEMORY, SQUARES_MEMORY, LEAST = 0.9, 0.999, 1e-8

    def __init__(self, logits_P: Floats, step_size: float):
        self.logits_P = logits_P
        self._step_size, self._steps = step_size, 0
        self._mean_P, self._squares_P = np.zeros((2, len(logits_P)))

    def follow(self, gradient_P: Floats) -> None:
        """Take one step along the gradient."""
        self._steps += 1
        self._mean_P += (1 - self.MEMORY) * (gradient_P - self._mean_P)
        self._squares_P += (1 - self.SQUARES_MEMORY) * (gradient_P**2 - self._squares_P)
        mean_P = self._mean_P / (1 - self.MEMORY**self._steps)
        size_P = np.sqrt(self._squares_P / (1 - self.SQUARES_MEMORY**self._steps))
        self.logits_P = self.logits_P + self._step_size * mean_P / (size_P + self.LEAST)


@dataclass(frozen=True)
class Place:
    """An environment to learn in, with what is known of uniform and of optimal play.

    Attributes:
        model: What can happen.
        bounds: The lowest and the highest return.
        uniform: Its value.
        optimal: Its value.
        turns: Environment turns of a uniform episode.
        costs: Turns that one unit of each way of drawing takes under uniform play.
    """

    model: Model
    bounds: tuple[float, float]
    uniform: float
    optimal: float
    turns: float
    costs: Mapping[str, float]

    def world(self, logits_P: Floats) -> World:
        """This place under the policy of a table."""
        return World(self.model, action_chances(self.model.words, logits_P), self.bounds)

    def normalised(self, world: World) -> float:
        """The value of a policy: 0 as uniform play, 1 as optimal play."""
        value = self.model.start_value(world.values_I)
        return (value - self.uniform) / (self.optimal - self.uniform)


@cache
def place(env: str) -> Place:
    """An environment's; it is asked once."""
    model = build(env)
    bounds = model.bounds()
    world = World(model, uniform_chances(model.words), bounds)
    return Place(
        model,
        bounds,
        model.start_value(world.values_I),
        model.start_value(model.values(None)[0]),
        world.turns_per_episode,
        draws.unit_costs(world, seed=0),
    )


def uniform_chances(words: Words) -> Floats:
    """[A] the chances of the policy that takes every action of a state equally often."""
    counts_S = np.diff(words.first_action)
    return np.repeat(1.0 / counts_S, counts_S)


def action_chances(words: Words, logits_P: Floats) -> Floats:
    """[A] the chance of each action: the product of its words', each a softmax over its row."""
    highest_R = np.full(len(words.options), -np.inf)
    np.maximum.at(highest_R, words.rows, logits_P)
    shifted_P = logits_P - highest_R[words.rows]
    totals_R = np.bincount(words.rows, np.exp(shifted_P))
    logs_P = shifted_P - np.log(totals_R)[words.rows]
    return np.exp(np.add.reduceat(logs_P[words.entries], words.first_word[:-1]))


def policy_gradient(sample: draws.Sample, estimator: Estimator) -> Floats:
    """[P] the sum of weight * credit * score over the words of a sample."""
    plays = sample.plays
    words_K = turn_credit(plays, estimator.credit(sample)).words_K
    return plays.world.gradient(
        plays.actions_N, words_K * np.repeat(sample.weights_N, plays.words_N)
    )


@dataclass(frozen=True, slots=True)
class Learned:
    """One learner's way.

    Attributes:
        values: The normalised value before each iteration, and after the last.
        turns: Environment turns that were spent.
        steps: Iterations whose turns paid for a sample; with the others nothing happened.
    """

    values: Sequence[float]
    turns: int
    steps: int


def learn(here: Place, estimator: Estimator, seed: int, settings: Settings) -> Learned:
    """Let one estimator teach one table."""
    begin_P = np.log(here.model.words.chances(uniform_chances(here.model.words)))
    table, cost = Adam(begin_P, settings.step_size), here.costs[estimator.draw] / here.turns
    values, spent, steps = list[float](), 0, 0
    for iteration in range(settings.iterations):
        world = here.world(table.logits_P)
        values.append(here.normalised(world))
        # the same chance for all estimators that draw alike
        generator = np.random.default_rng((seed, iteration, *estimator.draw.encode()))
        allowed = (iteration + 1) * settings.episodes * here.turns - spent
        units = int(allowed / (cost * world.turns_per_episode) + 1e-9)
        if units < 1:
            continue
        sample = draws.DRAWS[estimator.draw](world, units, generator)
        table.follow(policy_gradient(sample, estimator))
        spent, steps = spent + sample.turns, steps + 1
        # slowly, as one lucky unit would make the next sample many times too large
        now = sample.turns / units / world.turns_per_episode
        cost = COST_MEMORY * cost + (1 - COST_MEMORY) * now
    values.append(here.normalised(here.world(table.logits_P)))
    return Learned(values, spent, steps)
