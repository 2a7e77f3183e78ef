"""The two levels of a run: their learners, how they play together, read and are updated (torch).

A `Session` has one learner; where both levels are models of their own (or adapters), this file
keeps the planner's beside it, in the same checkpoint.
"""

import contextlib
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from agents.hierarchical import Hierarchy, Planned, TwoLevels
from agents.in_context import InContextPlanner
from agents.level_models import (
    PLANNER,
    LevelsRecord,
    WithAdapter,
    untrained,
)
from agents.making import open_engine
from agents.protocols import Policy
from agents.sampling import Sampling
from lmenvs.types import Episode

from ..metrics import normalised
from ..reference import Reference
from .credited import TurnCredit
from .experience import Experience, read_episodes
from .learner import Learner, rate_share
from .objective import Normalise
from .session import Session
from .update import update
from .values import ValueTargets, critic_of, judge_turns

Level = Literal["planner", "actor"]
KEPT = "levels"  # where the session's learner keeps the planner's state


@dataclass(frozen=True, slots=True)
class Judged:
    """What a level's critic says: the value before each turn, and behind truncated episodes."""

    values_ET: list[np.ndarray]
    bootstraps_E: list[float]


@dataclass(frozen=True, slots=True)
class Group:
    """A learner with the levels that it plays, and the adapter it plays them with."""

    learner: Learner
    levels: tuple[Level, ...]
    adapter: str | None = None
    reference: Reference | None = None

    def speak(self) -> None:
        """Let the learner's model be this group's, where it has several adapters."""
        if self.adapter is not None:
            self.learner.model.set_adapter(self.adapter)  # type: ignore[operator]  # peft's


@dataclass(frozen=True, slots=True)
class Seen:
    """The episodes of a group as its learner reads them.

    Attributes:
        experience: First the planner's episodes, then the actor's, as far as the group has them.
        judged: By level.
    """

    group: Group
    experience: Experience
    judged: Mapping[Level, Judged]

    def advantages(self, given: Mapping[Level, TurnCredit], how: Normalise) -> list[np.ndarray]:
        """One array per episode, normalised level by level."""
        scaled = [_scaled(given[level].advantages_ET, how) for level in self.group.levels]
        return [advantages_T for level in scaled for advantages_T in level]

    def targets(self, given: Mapping[Level, TurnCredit]) -> ValueTargets:
        """What the critic is fitted to, laid out over the turns of the batch."""
        tokens = self.experience.tokens
        targets_ET = [t for level in self.group.levels for t in given[level].value_targets_ET]
        return ValueTargets(tokens.turn_grid(targets_ET), tokens.turn_mask)

    def turns_of(self, levels: Container[Level]) -> torch.Tensor:
        """[B, T] the turns of the batch that belong to these levels."""
        tokens, own = self.experience.tokens, self.group.levels
        size = len(self.experience.played) // len(own)
        chosen = torch.tensor([level in levels for level in own], device=tokens.ids.device)
        return tokens.turn_mask & chosen[tokens.episode // size][:, None]


class Levels:
    """Both levels of a run; made by `open_levels`.

    Attributes:
        groups: One learner for both levels, or one for each that is trained; the first is the
            session's.
        others: The policy of each level that is not trained.
    """

    def __init__(
        self, session: Session, hierarchy: Hierarchy, groups: list[Group], start: str | Path
    ):
        self._session, self.hierarchy, self.groups = session, hierarchy, groups
        self._start = start
        kept = session.learner.kept.get(KEPT, {})
        sampling = Sampling(max_new_tokens=session.config.max_new_tokens)
        kinds: dict[Level, str] = {"planner": hierarchy.planner, "actor": hierarchy.actor}
        self.others: dict[Level, Policy] = {
            level: untrained(kind, start, sampling, kept.get("plans"))
            for level, kind in kinds.items()
            if kind != "policy"
        }
        session.learner.beside.append(self._write)

    def _write(self, folder: Path) -> None:
        LevelsRecord(self.hierarchy, str(self._start), self._plans()).write(folder)
        for group in self.groups[1:]:
            if group.adapter is None:  # adapters are written with the model that they belong to
                group.learner.save(folder / PLANNER)

    def _plans(self) -> list[tuple[str, int, float]]:
        planner = self.others.get("planner")
        return planner.record if isinstance(planner, InContextPlanner) else []

    @contextlib.contextmanager
    def sampler(self, iteration: int) -> Iterator[TwoLevels]:
        """What plays with the weights of now; they must not move before it is closed."""
        config = self._session.config
        sampling = Sampling(max_new_tokens=config.max_new_tokens)
        policies = dict(self.others)
        share = rate_share(self._session.done(iteration), config.anneal)
        with contextlib.ExitStack() as stack:
            for group in self.groups:
                group.speak()
                group.learner.set_rates(share, config)
                learner = group.learner
                policy = stack.enter_context(
                    open_engine(config.engine, learner.model, learner.chat, sampling, iteration)
                )
                if group.adapter is not None:
                    policy = WithAdapter(policy, learner.model, group.adapter)
                policies |= dict.fromkeys(group.levels, policy)
            yield TwoLevels(policies["planner"], policies["actor"], self.hierarchy, keep=True)

    def read(self, planned: Sequence[Planned]) -> list[Seen]:
        """Batch each level's episodes and let its models read them."""
        return [self._read(group, planned) for group in self.groups]

    def _read(self, group: Group, planned: Sequence[Planned]) -> Seen:
        config = self._session.config
        group.speak()
        episodes = [episode for level in group.levels for episode in lived(planned, level)]
        if group is self.groups[0]:
            experience = self._session.read(episodes)
        else:
            experience = read_episodes(group.learner, episodes, config, group.reference)
        critic = critic_of(group.learner)
        values_ET, bootstraps_E = judge_turns(
            critic, experience.tokens, len(episodes), config.micro_tokens
        )
        size = len(planned)
        return Seen(
            group,
            experience,
            {
                level: Judged(values_ET[i * size :][:size], bootstraps_E[i * size :][:size])
                for i, level in enumerate(group.levels)
            },
        )

    def update(
        self,
        seen: Sequence[Seen],
        given: Mapping[Level, TurnCredit],
        generator: np.random.Generator,
        *,
        plausible: Container[Level] = ("planner", "actor"),
    ) -> dict[str, float]:
        """Train every group on its levels' credit; the numbers of a second one say `planner_`.

        `plausible` are the levels whose rewards are the game's, so that its returns bound their
        values.
        """
        session, measured = self._session, dict[str, float]()
        for number, one in enumerate(seen):
            one.group.speak()
            targets = one.targets(given)
            session.check(targets.grid, one.turns_of(plausible))
            advantages_ET = one.advantages(given, session.config.objective.normalise)
            numbers = update(
                one.group.learner,
                one.experience,
                one.experience.spread(advantages_ET),
                session.config,
                generator,
                value_targets=targets,
            )
            measured |= {f"planner_{k}" if number else k: v for k, v in numbers.items()}
        return measured

    def log(
        self,
        iteration: int,
        planned: Sequence[Planned],
        seen: Sequence[Seen],
        given: Mapping[Level, TurnCredit],
        measured: Mapping[str, float],
    ) -> None:
        """Write an iteration's numbers, and of its first games the episode of each level.

        What the run carries on is noted here, so this comes last in an iteration.
        """
        planner = self.others.get("planner")
        if isinstance(planner, InContextPlanner):
            planner.learn(planned)
        self._session.learner.kept[KEPT] = {
            "plans": self._plans(),
            "planner": [group.learner.state() for group in self.groups[1:]],
        }
        levels: list[Level] = [level for group in self.groups for level in group.levels]
        # a game's two levels one after the other, so that the first few episodes hold both
        each = [(lived(planned, level), given[level]) for level in levels]
        rows = [
            (episodes[i], one.advantages_ET[i], one.values_ET[i])
            for i in range(len(planned))
            for episodes, one in each
        ]
        episodes, advantages_ET, values_ET = (list(column) for column in zip(*rows, strict=True))
        shown = replace(
            seen[0].experience,
            played=episodes,
            trained_turns_ET=[np.ones(len(episode.turns), bool) for episode in episodes],
        )
        numbers = {**measured, **_level_metrics(planned)}
        for level in levels:
            numbers |= {f"{level}_{k}": v for k, v in given[level].metrics().items()}
        self._session.log(iteration, shown, advantages_ET, numbers, values_ET)


def lived(planned: Sequence[Planned], level: Level) -> list[Episode]:
    """The episodes of one level."""
    return [one.planner if level == "planner" else one.actor for one in planned]


def with_subgoal_reward(one: Planned, amount: float) -> np.ndarray:
    """The game's reward of each turn, and `amount` where a subgoal was met."""
    rewards_T = np.array([turn.reward for turn in one.whole.turns], dtype=np.float64)
    for turn in one.fulfilled() if amount else ():
        if turn is not None:
            rewards_T[turn] += amount
    return rewards_T


def _level_metrics(planned: Sequence[Planned]) -> dict[str, float]:
    lasted = np.concatenate([one.durations_J for one in planned])
    met = [turn is not None for one in planned for turn in one.fulfilled()]
    return {
        "levels/turns_per_subgoal": float(lasted.mean()),
        "levels/subgoals_per_episode": len(lasted) / len(planned),
        "levels/fulfilled": float(np.mean(met)),
    }


def _scaled(advantages_ET: Sequence[np.ndarray], how: Normalise) -> list[np.ndarray]:
    """Normalised over the turns of one level: the two levels' advantages differ in scale."""
    if how == "standardise":
        return normalised(advantages_ET)
    mean = np.concatenate(list(advantages_ET)).mean() if how == "centre" else 0.0
    return [advantages_T - mean for advantages_T in advantages_ET]
