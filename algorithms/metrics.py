"""The numbers every algorithm logs, under the same names: area/quantity."""

from collections.abc import Mapping, Sequence

import numpy as np

from agents.sources import takes_split
from lmenvs.registration import parse_env_string
from lmenvs.types import Episode


def rollout_metrics(episodes: Sequence[Episode]) -> dict[str, float]:
    """What the policy did: return, success, turns, tokens per turn, invalid actions, equal
    groups.
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
    """One iteration's numbers from those of its steps: the largest of `*_max`, the mean of the
    rest.
    """
    names = sorted({name for row in history for name in row})
    gathered = {name: [row[name] for row in history if name in row] for name in names}
    return {
        f"loss/{name}": float(max(values) if name.endswith("_max") else np.mean(values))
        for name, values in gathered.items()
    }


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
