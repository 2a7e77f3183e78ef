"""How long credit takes: 10,000 episodes of 50 turns, and the share in a training (torch).

The first part times the functions of `algorithms.credit` on made-up episodes in groups of 8, best
of three. Some are given a critic's values, the others need no model. The second trains
a tiny model with `turn_ppo` and `grpo` and sets the seconds of their credit functions, on as many
episodes, beside those of a whole iteration.
"""

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ... import credit
from ...credit.macro import macro_action_gae, ngram_macros
from ...credit.phases import phase_factored
from ...credit.segments import segment_advantages
from ...credit.siblings import sibling_relative
from ...credit.tracker import initial_tracker, tracked_advantages
from ...credit.trees import prefix_tree, segment_tree

EPISODES, TURNS, WORDS, GROUP = 10_000, 50, 4, 8
REPEATS = 3
ENV, MOST_TURNS = "lmenvs/Maze-v0", 15


def measure_speed(
    seed: int,
    episodes: int = EPISODES,
    turns: int = TURNS,
    training: Mapping[str, Any] | None = MappingProxyType({}),
) -> dict[str, Any]:
    """Seconds of every credit function, and of training iterations.

    Args:
        seed: Of the made-up episodes and the training.
        episodes: How many are credited.
        turns: How many each has.
        training: Arguments of `training_shares`; None leaves it out.
    """
    rows = [
        {"function": name, "needs": needs, "seconds": min(_seconds(work) for _ in range(REPEATS))}
        for name, (needs, work) in _works(seed, episodes, turns).items()
    ]
    shares = [] if training is None else training_shares(seed, **training)
    return {"episodes": episodes, "turns": turns, "functions": rows, "training": shares}


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _works(seed: int, episodes: int, turns: int) -> dict[str, tuple[str, Callable[[], object]]]:
    """{function: (what it needs, a call)}; lists and arrays are made beforehand."""
    chance = np.random.default_rng(seed)
    rewards_ET = list(chance.random((episodes, turns)) < 0.1)
    rewards_ET = [row.astype(np.float64) for row in rewards_ET]
    values_ET = list(chance.random((episodes, turns)))
    keys_ET = chance.integers(200, size=(episodes, turns)).tolist()
    paths_ET = chance.integers(3, size=(episodes, turns)).tolist()
    groups = (np.arange(episodes) // GROUP).tolist()
    lengths = [turns] * episodes
    wins_E = (chance.random(episodes) < 0.5).astype(np.float64)
    earned = [{"a": first, "b": 1.0 - first} for first in wins_E.tolist()]
    phases = [["a"] * (turns // 2) + ["b"] * (turns - turns // 2)] * episodes
    tracker = initial_tracker({group: [1.0, 0.0] for group in set(groups)})
    leaves = chance.random(episodes * turns)
    branches = np.concatenate((np.full(1 + len(leaves) // 4, np.nan), leaves))
    parents = np.concatenate(
        ([-1], np.zeros(len(leaves) // 4, int), 1 + np.arange(len(leaves)) % (len(leaves) // 4))
    )
    siblings = (np.arange(len(leaves)) // 4).tolist()

    def spread(judge: Callable[[], Any]) -> Callable[[], object]:
        return lambda: credit.spread(judge(), lengths)

    free: dict[str, Callable[[], object]] = {
        "discounted_returns": lambda: [credit.discounted_returns(r, 0.95) for r in rewards_ET],
        "identical_credit": lambda: credit.identical_credit(wins_E, lengths),
        "group_relative": spread(lambda: credit.group_relative(wins_E, groups)),
        "leave_one_out": spread(lambda: credit.leave_one_out(wins_E, groups)),
        "greedy_baseline": spread(lambda: credit.greedy_baseline(wins_E, wins_E)),
        "beta_normalised": spread(lambda: credit.beta_normalised(wins_E, groups)),
        "stratified": spread(lambda: credit.stratified(wins_E, groups, groups)),
        "tracked_advantages": spread(lambda: tracked_advantages(wins_E, groups, tracker)),
        "turn_leave_one_out": lambda: credit.turn_leave_one_out(rewards_ET, groups),
        "turn_index_normalised": lambda: credit.turn_index_normalised(rewards_ET, groups),
        "group_in_group": lambda: credit.group_in_group(rewards_ET, keys_ET, groups, 0.95),
        "phase_factored": lambda: phase_factored(earned, phases, groups),
        "prefix_tree": lambda: prefix_tree(wins_E, paths_ET, groups),
        "segment_advantages": lambda: segment_advantages(values_ET, wins_E),
        "segment_tree": lambda: segment_tree(branches, parents),
        "sibling_relative": lambda: sibling_relative(leaves, siblings),
    }
    found = {name: ("no model", work) for name, work in free.items()}
    critic = _critics(rewards_ET, turns, chance)
    return found | {name: ("a critic's values", work) for name, work in critic.items()}


def _critics(
    rewards_ET: Sequence[Any], turns: int, chance: np.random.Generator
) -> dict[str, Callable[[], object]]:
    values_ET = list(chance.random((len(rewards_ET), turns)))
    values_ETL = [list(values) for values in chance.random((len(rewards_ET), turns, WORDS))]
    macros_TL = ngram_macros([WORDS] * turns, 2)

    def each(gae: Callable[[Any, Any], object], values: list[Any]) -> Callable[[], object]:
        return lambda: [gae(r, v) for r, v in zip(rewards_ET, values, strict=True)]

    return {
        "gae": each(lambda r, v: credit.gae(r, v, 0.95, 0.9), values_ET),
        "token_gae": each(lambda r, v: credit.token_gae(r, v, 0.95, 0.9), values_ETL),
        "action_decomposition_gae": each(
            lambda r, v: credit.action_decomposition_gae(r, v, 0.95, 0.9), values_ETL
        ),
        "dual_discount_gae": each(
            lambda r, v: credit.dual_discount_gae(r, v, 0.95, 0.9, 1.0, 1.0), values_ETL
        ),
        "bilevel_gae": each(lambda r, v: credit.bilevel_gae(r, v, 0.95, 1.0, 0.9), values_ETL),
        "macro_action_gae": each(
            lambda r, v: macro_action_gae(r, v, macros_TL, 1.0, 0.95), values_ETL
        ),
    }


def training_shares(
    seed: int, iterations: int = 2, episodes: int = 64, size: Any = None
) -> list[dict[str, Any]]:
    """How much of an iteration of turn_ppo and grpo credit is, with a tiny model on one thread.

    Args:
        seed: Of all of it.
        iterations: Of each training; the first is left out.
        episodes: Of an iteration.
        size: The model, a `TinyConfig`; by default one of 1 million parameters.
    """
    from agents.rollout import collect

    from ... import grpo, turn_ppo
    from ...behaviour_cloning import TinyConfig
    from ..engine import quietly
    from ..phases import imitator

    given: dict[str, Any] = {"seed": seed, "iterations": iterations, "max_new_tokens": 8}
    given |= {"max_turns": MOST_TURNS, "save_every": iterations}
    with quietly(), tempfile.TemporaryDirectory(prefix="lmenvs-bench-") as folder:
        start = imitator(ENV, Path(folder) / "start", seed, size or TinyConfig())
        seeds = range(seed, seed + episodes // GROUP)
        played = collect(ENV, "random", seeds, group_size=GROUP, max_turns=MOST_TURNS)
        values_ET = [np.zeros(len(episode.turns)) for episode in played]
        ppo = turn_ppo.Config(**given, episodes=episodes)
        group = grpo.Config(**given, groups=episodes // GROUP, group_size=GROUP)
        pure: dict[str, Callable[[], object]] = {
            "turn_ppo": lambda: turn_ppo.credit(played, values_ET, [0.0] * len(played), ppo),
            "grpo": lambda: grpo.credit(played, group),
        }
        turn_ppo.train(ENV, start, Path(folder) / "turn_ppo", ppo)
        grpo.train(ENV, start, Path(folder) / "grpo", group)
        counts = {"episodes": episodes, "turns": sum(len(episode.turns) for episode in played)}
        return [
            {"algorithm": name, **counts, **_share(Path(folder) / name, work)}
            for name, work in pure.items()
        ]


def _share(run: Path, work: Callable[[], object]) -> dict[str, Any]:
    from ..phases import phases

    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    whole = (lines[-1]["time"] - lines[0]["time"]) / max(len(lines) - 1, 1)
    seconds = min(_seconds(work) for _ in range(REPEATS))
    return {
        "credit_seconds": seconds,
        "iteration_seconds": whole,
        "share": seconds / whole,
        "phases": phases(lines[1:]),
    }
