"""Credit in a game without a model: the truth of a turn from many forked rollouts.

The policy draws uniformly from the admissible commands. The true advantage of action a in state s
after t turns is r + V_{t+1}(s') - V_t(s), each V being the mean return of continuations that
`agents.branching` forks there; the game itself has no chance, so every V is asked for once, and its
standard error says how well the truth is known; the rows' intervals are over samples, and take the
truth as it was found. Left out, and said so in the rows: estimators that
need forks of their own, greedy plays or exact values, and the gradient, whose truth nobody knows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from agents.branching import branch
from agents.protocols import Conversation
from agents.rollout import collect
from agents.tabular import TabularSoftmaxPolicy, state_of
from lmenvs.types import Action, Episode

from .draws import GROUP, SEEDS, Sample, chances, remembering, whole
from .estimators import Estimator
from .measures import Measured, against_truth, measured, turn_credit
from .plays import Plays, some
from .words import Floats, spelled
from .world import Model, World

ENV = "lmenvs/TextWorldCoinCollector-v0?level=103&games=4"
BUDGETS = {8: 66, 64: 18, 512: 6}  # as many samples of each seed
FORKS = 1000
Situation = tuple[str, int]
"""A state's key and the turn."""
Pool = tuple[str, int]
"""What was played, and with which seed."""


class _Watching:
    """A policy that draws uniformly and notes what it could choose from."""

    def __init__(self) -> None:
        self.version = 0
        self.options: dict[str, tuple[str, ...]] = {}
        self._policy = TabularSoftmaxPolicy()

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Sample one admissible action for each."""
        for one in conversations:
            if one.env is not None and state_of(one) not in self.options:
                self.options[state_of(one)] = tuple(one.env.admissible_actions() or ())
        return self._policy.act(conversations)

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept of conversations."""


@dataclass(frozen=True)
class Forked:
    """Values from forks: situation -> (mean, standard error)."""

    values: Mapping[Situation, tuple[float, float]]

    def advantage(self, episode: Episode, turn: int) -> tuple[float, float]:
        """(estimate, standard error) of the true advantage of an episode's turn."""
        before, error = self.values[situation(episode, turn)]
        if turn + 1 == len(episode.turns):
            return episode.turns[turn].reward - before, error
        after, later = self.values[situation(episode, turn + 1)]
        return episode.turns[turn].reward + after - before, float(np.hypot(error, later))


def situation(episode: Episode, turn: int) -> Situation:
    """Where an action was taken."""
    return str(episode.turns[turn].state_key), turn


def forked_values(
    env: str, policy: Any, episodes: Sequence[Episode], forks: int, seed: int
) -> Forked:
    """The value of every situation of these episodes, by `forks` continuations each."""
    found: dict[Situation, tuple[float, float]] = {}
    for episode in episodes:
        for turn in range(len(episode.turns)):
            if situation(episode, turn) in found:
                continue
            tails = branch(env, policy, episode, [turn], forks, policy_seed=seed)
            returns = np.array([sum(t.reward for t in tail.turns[turn:]) for tail in tails])
            error = float(returns.std(ddof=1)) / forks**0.5
            found[situation(episode, turn)] = float(returns.mean()), error
    return Forked(found)


def measure_by_forking(
    seed: int,
    estimators: Sequence[Estimator],
    env: str = ENV,
    budgets: Mapping[int, int] = BUDGETS,
    forks: int = FORKS,
) -> dict[str, Any]:
    """One row for each estimator and budget, and how well the truth is known."""
    policy = _Watching()
    pools = _played(env, policy, seed, budgets)
    everything = [episode for pool in pools.values() for episode in pool]
    known = forked_values(env, policy, everything, forks, seed + SEEDS)
    plays = _seen(everything, policy.options)
    pairs = np.array([known.advantage(e, t) for e in everything for t in range(len(e.turns))])
    edges = np.cumsum([0, *map(len, pools.values())])
    places = dict(zip(pools, pairwise(edges), strict=True))
    whole_pools = {pool: some(plays, np.arange(*ends)) for pool, ends in places.items()}
    truth_O = np.full(len(plays.world.chances_O), np.nan)
    truth_O[plays.options_N] = pairs[:, 0]
    distinct = np.unique(plays.options_N, return_index=True)[1]
    rows = [
        _row(one, budget, samples, whole_pools, truth_O, seed)
        for budget, samples in budgets.items()
        for one in estimators
    ]
    return {
        "env": env,
        "forks": forks,
        "situations": len(known.values),
        "turns_judged": len(distinct),
        "turns_per_episode": plays.turns / len(everything),
        "return": float(plays.returns_E.mean()),
        "truth": {
            "root_mean_square": float(np.sqrt(np.mean(pairs[:, 0] ** 2))),
            "standard_error": float(np.sqrt(np.mean(pairs[:, 1] ** 2))),
            "turns": [
                {"advantage": float(a), "low": float(a - 1.96 * e), "high": float(a + 1.96 * e)}
                for a, e in pairs[distinct]
            ],
        },
        "rows": rows,
    }


def _played(
    env: str, policy: Any, seed: int, budgets: Mapping[int, int]
) -> dict[Pool, list[Episode]]:
    """All that samples are taken from: enough of every kind with each of the seeds."""
    pools = dict[Pool, list[Episode]]()
    for own in sorted({own for count in budgets.values() for own, _ in chances(seed, count)}):
        mine = {
            budget: sum(used == own for used, _ in chances(seed, samples))
            for budget, samples in budgets.items()
        }
        count = max(budget * samples for budget, samples in mine.items())
        chance = np.random.default_rng(own)
        for kind, size in (("groups", GROUP), ("episodes", 1), ("past", 1)):
            tasks = chance.choice(2**31, count // size, replace=False).tolist()
            pools[kind, own] = collect(env, policy, tasks, group_size=size, policy_seed=own)
    return pools


def _row(
    one: Estimator,
    budget: int,
    samples: int,
    pools: Mapping[Pool, Plays],
    truth_O: Floats,
    seed: int,
) -> dict[str, Any]:
    named = {"estimator": one.name, "kind": one.kind, "needs": one.needs, "budget": budget}
    if one.kind == "oracle" or one.draw not in ("episodes", "groups", "with history"):
        return {**named, "not_run": f"{one.needs}: not made in the forked game"}
    if one.only:
        return {**named, "not_run": "the task has no phases"}
    drawn = [
        _sample(one.draw, budget, own, number, pools) for own, number in chances(seed, samples)
    ]
    judge, chance = partial(_judged, truth_O=truth_O), np.random.default_rng((seed, budget))
    return {**named, **measured(drawn, one.credit, judge, np.zeros(0), chance)}


def _judged(sample: Sample, given: Floats, truth_O: Floats) -> Measured:
    credit, truth_N = turn_credit(sample.plays, given), truth_O[sample.plays.options_N]
    errors = against_truth(credit.turns_N[credit.chosen_N], truth_N[credit.chosen_N])
    return Measured(errors, np.zeros(0))


def _sample(draw: str, budget: int, own: int, number: int, pools: Mapping[Pool, Plays]) -> Sample:
    size = GROUP if draw == "groups" else 1
    count = budget // 2 if draw == "with history" else budget
    chosen = np.arange(count) + number * count
    plays = some(pools["groups" if draw == "groups" else "episodes", own], chosen)
    sample = whole(plays, plays.states_N[plays.starts_E], size)
    if draw != "with history":
        return sample
    past = some(pools["past", own], chosen)
    return remembering(sample, whole(past, past.states_N[past.starts_E]))


def _seen(episodes: Sequence[Episode], options: Mapping[str, tuple[str, ...]]) -> Plays:
    """The episodes as plays, in the part of the game that they saw; the rest of it is nan."""
    met = {situation(e, t): None for e in episodes for t in range(len(e.turns))}
    situations = {pair: number for number, pair in enumerate(sorted(met, key=lambda p: p[1]))}
    states = {key: number for number, key in enumerate(dict.fromkeys(key for key, _ in situations))}
    counts = np.array([len(options[key]) for key, _ in situations], dtype=np.intp)
    first_option = np.concatenate(([0], np.cumsum(counts)))
    rewards, targets = np.full(first_option[-1], np.nan), np.full(first_option[-1], -1)
    taken, texts = list[int](), list[int]()
    for episode in episodes:
        for number, turn in enumerate(episode.turns):
            here = situation(episode, number)
            option = first_option[situations[here]] + options[here[0]].index(turn.action.text)
            rewards[option] = turn.reward
            if number + 1 < len(episode.turns):
                targets[option] = situations[situation(episode, number + 1)]
            taken.append(int(option))
            texts.append(len(turn.observation.split()))
    words = spelled([options[key] for key in states])
    model = Model(
        words=words,
        states=np.array([states[key] for key, _ in situations], dtype=np.intp),
        turns=np.array([turn for _, turn in situations], dtype=np.intp),
        first_option=first_option,
        first_outcome=np.arange(first_option[-1] + 1),
        outcome_chances=np.ones(first_option[-1]),
        rewards=rewards,
        targets=targets,
        texts=np.zeros(first_option[-1], dtype=np.intp),
        starts=np.flatnonzero([turn == 0 for _, turn in situations]),
        start_chances=np.ones(1),
        start_texts=np.zeros(1, dtype=np.intp),
        keys=tuple(states),
    )
    actions_S = np.diff(words.first_action)
    earned = [sum(turn.reward for turn in episode.turns) for episode in episodes]
    world = World(model, np.repeat(1.0 / actions_S, actions_S), (min(earned), max(earned)))
    return Plays(
        world,
        np.array([len(episode.turns) for episode in episodes], dtype=np.intp),
        np.array(taken, dtype=np.intp),
        rewards[taken],
        targets[taken],
        np.array(texts, dtype=np.intp),
    )
