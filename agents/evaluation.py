"""What an evaluation says: Report, made of episodes by `summarise`; nothing here plays."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lmenvs.scores import interval
from lmenvs.types import Episode

from .protocols import Usage


@dataclass(frozen=True, slots=True)
class Crash:
    """An exception in the environment: where, and what it said. It scores for nobody."""

    env: str
    seed: int
    noise: int
    turn: int
    error: str
    cause: Exception = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over episodes with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Report:
    """How a policy did on an environment.

    Attributes:
        env: The env string.
        policy: What the caller calls the policy.
        split: "all", "train" or "test".
        n: Episodes that were scored; crashes are not.
        success: The share of episodes that solved the task.
        returns: The undiscounted return.
        invalid: The share of actions that were invalid.
        turns: Turns per episode.
        tokens: Sampled tokens per episode; 0 for policies that sample none.
        truncated: The share of episodes that a limit of ours cut short.
        crashes: What the environment broke on.
        usage: What an endpoint counted, where the policy asks one.
        episodes: The episodes, in the order of their seeds.
    """

    env: str
    policy: str
    split: str
    n: int
    success: Estimate
    returns: Estimate
    invalid: float
    turns: float
    tokens: float
    truncated: float
    crashes: tuple[Crash, ...] = ()
    usage: Usage | None = None
    episodes: tuple[Episode, ...] = field(default=(), repr=False)

    def summary(self) -> dict[str, Any]:
        """The numbers as plain data, without the episodes; `return` is the name of the returns."""
        return {
            "env": self.env,
            "policy": self.policy,
            "split": self.split,
            "n": self.n,
            "success": dataclasses.asdict(self.success),
            "return": dataclasses.asdict(self.returns),
            "invalid": self.invalid,
            "turns": self.turns,
            "tokens": self.tokens,
            "truncated": self.truncated,
            "usage": dataclasses.asdict(self.usage) if self.usage is not None else None,
            "crashes": [
                {"seed": one.seed, "noise": one.noise, "turn": one.turn, "error": one.error}
                for one in self.crashes
            ],
        }

    def to_json(self) -> str:
        """`summary()` as one line of JSON."""
        return json.dumps(self.summary())


def summarise(
    env: str,
    split: str,
    policy: str,
    episodes: Sequence[Episode],
    crashes: Sequence[Crash] = (),
    usage: Usage | None = None,
) -> Report:
    """The report on episodes that were played.

    Raises:
        Exception: the first crash's own, where no episode was left to score.
        ValueError: where there are no episodes at all.
    """
    if not episodes and crashes:
        crashes[0].cause.add_note(f"{env}: all {len(crashes)} episodes crashed; this was the first")
        raise crashes[0].cause
    if not episodes:
        raise ValueError(f"{env}: expected at least one episode to summarise, got none")
    turns = sum(len(episode.turns) for episode in episodes)
    invalid = sum(not turn.valid for episode in episodes for turn in episode.turns)
    tokens = sum(len(turn.action.token_ids) for episode in episodes for turn in episode.turns)
    return Report(
        env=env,
        policy=policy,
        split=split,
        n=len(episodes),
        success=_estimate([float(episode.success) for episode in episodes]),
        returns=_estimate([episode.total_reward for episode in episodes]),
        invalid=invalid / max(turns, 1),
        turns=turns / len(episodes),
        tokens=tokens / len(episodes),
        truncated=sum(episode.truncated for episode in episodes) / len(episodes),
        crashes=tuple(crashes),
        usage=usage,
        episodes=tuple(episodes),
    )


def _estimate(values: Sequence[float]) -> Estimate:
    low, high = interval(values)
    return Estimate(float(sum(values) / len(values)), float(low), float(high))
