"""What credit is measured against: every play of a finite environment, and its true gradient.

The policy is a table over state keys (`agents.tabular`), so its gradient is one number per (key,
action) and known exactly. `true_gradient` is the policy gradient theorem with the solver's values
(Sutton et al., Policy Gradient Methods for Reinforcement Learning with Function Approximation,
1999, theorem 1); `gradient` is what an estimator's advantages make of plays, weighted with their
probabilities.

Left out: environments without a model, and policies that do not see the state. A turn that the
limit cuts off is followed by nothing, as in `lmenvs.exact`.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import gymnasium
import numpy as np
from numpy.typing import NDArray

from agents.tabular import TabularSoftmaxPolicy, state_of
from lmenvs import make
from lmenvs.core import TextEnv
from lmenvs.exact import Solution, solve
from lmenvs.model import States

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Environment = gymnasium.Env[str, str] | str
MOST_PLAYS = 200_000


@dataclass(frozen=True, slots=True)
class Play:
    """One possible episode.

    Attributes:
        probability: Of this play under the policy, chance included.
        keys_T: The state in which each action was taken.
        terminated: False if the turn limit cut it off.
    """

    probability: float
    keys_T: tuple[str, ...]
    actions_T: tuple[str, ...]
    rewards_T: tuple[float, ...]
    terminated: bool


@dataclass(frozen=True, slots=True)
class Parameters:
    """The policy's table as one flat vector, in the order in which play reaches its keys.

    Attributes:
        places: (key, action) -> its place in the vector.
        rows: The number of each entry's key.
        chances: pi(action | key) of each entry.
        temperature: The policy's.
    """

    places: dict[tuple[str, str], int]
    rows: Indices
    chances: Floats
    temperature: float


def plays(env: Environment, policy: TabularSoftmaxPolicy, most: int = MOST_PLAYS) -> list[Play]:
    """Every episode that can happen; their probabilities sum to 1.

    Raises:
        ValueError: if there are more than `most`.
    """
    states, turns = _model(env, policy)
    steps_at = _steps(states, policy)

    def extend(probability: float, node: int, taken: tuple[_Step, ...]) -> Iterator[Play]:
        for step in steps_at(node, len(taken)):
            chance, longer = probability * step.chance, (*taken, step)
            if step.after < 0 or len(longer) == turns:
                yield _play(chance, longer)
            else:
                yield from extend(chance, step.after, longer)

    found: list[Play] = []
    for probability, node, _ in states.starts():
        for play in extend(probability, node, ()):
            found.append(play)
            if len(found) > most:
                raise ValueError(
                    f"{env}: more than {most} possible plays; give a smaller environment"
                )
    return found


def true_gradient(env: Environment, policy: TabularSoftmaxPolicy, discount: float = 1.0) -> Floats:
    """The gradient of the start value in `parameters`, by the policy gradient theorem:

    sum over t and s of discount ** t * P(s_t = s) * sum_a pi(a|s) * grad log pi(a|s) * A_t(s, a).

    With a discount below 1 it is that of the discounted value, weights discount ** t included.
    """
    solution = solve(env, discount=discount, policy=policy)
    states, turns = _model(env, policy)
    table = parameters(env, policy)
    weights = np.zeros(len(table.places))
    for turn, visits in enumerate(_visits(states, policy, turns)):
        for node, visit in visits.items():
            key, actions = states.key(node), states.actions(node, turn)
            chances = policy.probabilities(key, actions)
            for action, chance in zip(actions, chances, strict=True):
                gain = solution.advantage(key, action, turn)
                weights[table.places[key, action]] += discount**turn * visit * chance * gain
    return weighted_scores(table, np.arange(len(weights)), weights)


def true_advantages(solution: Solution, play: Play) -> Floats:
    """A_t(s_t, a_t) of every turn of a play, from `lmenvs.exact.solve(env, policy=policy)`."""
    pairs = zip(play.keys_T, play.actions_T, strict=True)
    return np.array([solution.advantage(key, action, t) for t, (key, action) in enumerate(pairs)])


def true_values(solution: Solution, play: Play) -> Floats:
    """V_t(s_t) of every turn of a play."""
    return np.array([solution.value(key, t) for t, key in enumerate(play.keys_T)])


def parameters(env: Environment, policy: TabularSoftmaxPolicy) -> Parameters:
    """Every logit that play can come to use.

    Raises:
        ValueError: if one key admits different actions at different turns.
    """
    states, turns = _model(env, policy)
    options: dict[str, tuple[str, ...]] = {}
    for turn, visits in enumerate(_visits(states, policy, turns)):
        for node in visits:
            actions = states.actions(node, turn)
            known = options.setdefault(states.key(node), actions)
            if known != actions:
                raise ValueError(
                    f"state {states.key(node)!r} admits {list(actions)} at turn {turn} and "
                    f"{list(known)} before; expected the same, or a key that tells them apart"
                )
    pairs = [(key, action) for key, actions in options.items() for action in actions]
    rows = np.repeat(np.arange(len(options)), [len(actions) for actions in options.values()])
    chances = [policy.probabilities(key, actions) for key, actions in options.items()]
    places = {pair: place for place, pair in enumerate(pairs)}
    return Parameters(places, rows, np.concatenate(chances), policy.temperature)


def places_of(table: Parameters, played: Sequence[Play]) -> Indices:
    """The place of every action taken, all plays end to end."""
    taken = [pair for play in played for pair in zip(play.keys_T, play.actions_T, strict=True)]
    try:
        return np.fromiter(map(table.places.__getitem__, taken), dtype=np.intp, count=len(taken))
    except KeyError as missing:
        key, action = missing.args[0]
        raise ValueError(
            f"action {action!r} in state {key!r} has no parameter; give plays of the environment "
            "that the parameters were made from"
        ) from None


def weighted_scores(table: Parameters, places: Indices, weights: Floats) -> Floats:
    """The sum of weight * grad log pi over actions taken, given by their places in the table.

    An action at weight w adds w at its own place, and -w * pi over its whole row.
    """
    taken = np.bincount(places, weights, len(table.places))
    return (taken - table.chances * np.bincount(table.rows, taken)[table.rows]) / table.temperature


def gradient(
    table: Parameters, played: Sequence[Play], advantages_ET: Sequence[Sequence[float] | Floats]
) -> Floats:
    """The policy gradient that advantages make: sum over plays of probability * sum_t A_t * score.

    Over all `plays` it is the estimator's expectation.
    """
    for episode, (play, advantages_T) in enumerate(zip(played, advantages_ET, strict=True)):
        if len(advantages_T) != len(play.keys_T):
            raise ValueError(
                f"play {episode}: {len(advantages_T)} advantages for {len(play.keys_T)} turns; "
                "credit must give one per turn"
            )
    turns_E = [len(play.keys_T) for play in played]
    weights = np.repeat([play.probability for play in played], turns_E)
    return weighted_scores(
        table, places_of(table, played), weights * np.concatenate([np.zeros(0), *advantages_ET])
    )


def cosine(one: Floats, other: Floats) -> float:
    """How well two gradients agree in direction; 0 if one of them is 0."""
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norms if norms else 0.0


def _model(env: Environment, policy: TabularSoftmaxPolicy) -> tuple[States, int]:
    """The environment's model, and how many turns it allows."""
    unwrapped = make(env) if isinstance(env, str) else env.unwrapped
    if not isinstance(unwrapped, TextEnv) or unwrapped.turn_limit is None:
        raise ValueError(f"{env}: expected an environment of this project that has a turn limit")
    if policy.key is not state_of or policy.temperature == 0:
        raise ValueError(
            "expected a policy over states with a temperature above 0; leave out `key` and "
            "`temperature`"
        )
    return States(copy.deepcopy(unwrapped), stationary=False), unwrapped.turn_limit


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing that can happen in a state; `after` is the node behind it, -1 at the end."""

    chance: float
    key: str
    action: str
    reward: float
    over: bool
    after: int


def _steps(states: States, policy: TabularSoftmaxPolicy) -> Callable[[int, int], list[_Step]]:
    """What can happen in a node at a turn, looked up once."""

    @cache
    def steps_at(node: int, turn: int) -> list[_Step]:
        key, actions = states.key(node), states.actions(node, turn)
        steps = list[_Step]()
        for action, chance in zip(actions, policy(key, actions), strict=True):
            row = states.rows[states.row_id(node, turn, action)]
            for probability, after, _, reward, over in row:
                if probability * chance > 0.0:
                    steps.append(_Step(probability * chance, key, action, reward, over, after))
        return steps

    return steps_at


def _play(probability: float, taken: Sequence[_Step]) -> Play:
    return Play(
        probability,
        tuple(step.key for step in taken),
        tuple(step.action for step in taken),
        tuple(step.reward for step in taken),
        taken[-1].over,
    )


def _visits(states: States, policy: TabularSoftmaxPolicy, turns: int) -> Iterator[dict[int, float]]:
    """For every turn, the probability of being in each node when it begins."""
    visits: dict[int, float] = {}
    for probability, node, _ in states.starts():
        visits[node] = visits.get(node, 0.0) + probability
    for turn in range(turns):
        if visits:
            yield visits
        following: dict[int, float] = {}
        for node, visit in visits.items():
            edges = states.edges(node, turn)
            actions = [action for action, _, _ in edges]
            chances = policy.probabilities(states.key(node), actions).tolist()
            for (_, _, after), chance in zip(edges, chances, strict=True):
                for probability, target, _ in after:
                    following[target] = following.get(target, 0.0) + visit * chance * probability
        visits = following
