"""The numbers every algorithm logs, under the same names: area/quantity."""

from collections.abc import Mapping, Sequence

import numpy as np

from agents.evaluation import Crash
from agents.sources import takes_split
from lmenvs.registration import parse_env_string
from lmenvs.types import Episode


def rollout_metrics(episodes: Sequence[Episode], crashes: Sequence[Crash] = ()) -> dict[str, float]:
    """What the policy did: return, success, turns, tokens per turn, invalid actions, equal
    groups; and how many episodes broke their environment.
    """
    turns = [turn for episode in episodes for turn in episode.turns]
    returns: dict[str, list[float]] = {}
    for episode in episodes:
        returns.setdefault(episode.group or episode.id, []).append(episode.total_reward)
    count = max(len(turns), 1)
    return {
        "rollout/episodes": len(episodes),
        "rollout/return": float(np.mean([episode.total_reward for episode in episodes])),
        "rollout/success": float(np.mean([episode.success for episode in episodes])),
        "rollout/turns": len(turns) / len(episodes),
        "rollout/tokens_per_turn": sum(len(turn.action.token_ids) for turn in turns) / count,
        "rollout/invalid_rate": sum(not turn.valid for turn in turns) / count,
        "rollout/truncated": float(np.mean([episode.truncated for episode in episodes])),
        "rollout/crashes": len(crashes),
        "rollout/equal_groups": float(
            np.mean([len(set(group)) == 1 for group in returns.values()])
        ),
    }


def credit_metrics(advantages_ET: Sequence[np.ndarray]) -> dict[str, float]:
    """How the credit is spread over turns."""
    flat = np.concatenate([np.zeros(0), *advantages_ET])
    return {
        "credit/advantage_mean": float(flat.mean()),
        "credit/advantage_std": float(flat.std()),
        "credit/zero_share": float(np.mean(np.abs(flat) < 1e-8)),
    }


def update_metrics(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """One iteration's numbers from those of its steps, under `loss/`: see `merged`."""
    return {f"loss/{name}": value for name, value in merged(history).items()}


def merged(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """One number for each name: the largest of `*_max`, the sum of `*skipped_steps`, the mean of
    the rest over the steps in which it was finite.

    Beside a `*grad_norm` stands how many steps were left out because it was not finite.
    """
    rows = [{**_skipped(row), **row} for row in history]
    gathered = {
        name: np.array([row[name] for row in rows if name in row])
        for name in sorted({name for row in rows for name in row})
    }
    return {name: _one(name, values) for name, values in gathered.items()}


def _skipped(row: Mapping[str, float]) -> dict[str, float]:
    return {
        name.removesuffix("grad_norm") + "skipped_steps": float(not np.isfinite(norm))
        for name, norm in row.items()
        if name.endswith("grad_norm")
    }


def _one(name: str, values: np.ndarray) -> float:
    if name.endswith("skipped_steps"):
        return float(values.sum())
    if name.endswith("_max"):
        return float(values.max())
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float(values.mean())


def normalised(advantages_ET: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Centre and scale over all turns of all episodes (a turn counts once, however long it is).

    Centring over turns matters where failures are longer than successes: centred over episodes, the
    many turns of the failures outweigh the few of the successes.
    """
    flat = np.concatenate([np.zeros(0), *advantages_ET])
    mean, scale = flat.mean(), flat.std() + 1e-8
    return [(advantages_T - mean) / scale for advantages_T in advantages_ET]


def training_split(env: str) -> str | None:
    """The split to train on: "train" where the environment has splits and its string names none."""
    env_id, kwargs = parse_env_string(env)
    return "train" if takes_split(env_id) and "split" not in kwargs else None
