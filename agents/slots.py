"""An episode under way: Slot keeps one and the environment it is played in; nothing here steps."""

import contextlib
from dataclasses import dataclass, field
from typing import Any

from lmenvs.core import TextEnv
from lmenvs.types import Action, Episode, Message, Turn

from .protocols import Conversation
from .sources import AnyEnv, EnvSource
from .starts import Limits, Start

StepResult = tuple[str, Any, bool, bool, dict[str, Any]]


@dataclass(slots=True, eq=False)
class Slot:
    """One episode under way in one environment."""

    index: int
    start: Start
    source: EnvSource
    env: AnyEnv
    version: int
    limits: Limits
    instructions: str = ""
    observation: str = ""
    messages: tuple[Message, ...] = ()
    turns: list[Turn] = field(default_factory=list)
    episode: Episode | None = None
    crashed: bool = False

    @property
    def game(self) -> TextEnv:
        """The environment without its wrappers."""
        game = self.env.unwrapped
        assert isinstance(game, TextEnv)
        return game

    def begin(self) -> None:
        """Bring the environment to where this episode starts."""
        start = self.start
        if start.snapshot is None:
            self.observation, _ = self.env.reset(seed=start.seed, options={"noise": start.noise})
        else:
            self.game.restore(start.snapshot, noise=start.noise)
            self.observation = start.snapshot.observation
        told = start.instructions
        self.instructions = self.game.instructions if told is None else told
        self.messages = (Message("system", self.instructions),)
        for turn in start.earlier:
            # ids that were sampled behind another prompt are no part of this conversation's
            action = turn.action if start.shares_prompt else None
            said = Message("assistant", turn.action.text, action)
            self.messages += (Message("user", turn.observation), said)
        self.messages += (Message("user", self.observation),)
        self.turns = list(start.earlier)

    def conversation(self) -> Conversation:
        """What the policy is asked next."""
        start = self.start
        shared = None
        if start.parent is not None and start.shares_prompt:
            # the system message, two messages for each earlier turn, and the observation after them
            shared = (start.parent[0], 2 * start.parent[1] + 2)
        return Conversation(
            id=start.id,
            messages=self.messages,
            seed=(self.limits.policy_seed, start.seed, start.noise, start.attempt, len(self.turns)),
            parent=shared,
            env=self.game,
        )

    def privileged(self) -> tuple[float | None, str | None]:
        """The true progress and the state key of this moment, where they are recorded."""
        if not self.limits.record:
            return None, None
        return self.game.progress(), self.game.state_key()

    def receive(
        self, action: Action, before: tuple[float | None, str | None], result: StepResult
    ) -> None:
        """Write down one turn; sets `episode` where it was the last."""
        asked, (progress, state_key) = self.observation, before
        self.observation, reward, terminated, truncated, info = result
        self.turns.append(
            Turn(
                asked,
                action,
                float(reward),
                valid=info.get("valid", True),
                error=info.get("error"),
                progress=progress,
                state_key=state_key,
                feedback=info.get("feedback"),
                tool_calls=tuple(info.get("tool_calls", ())),
                cost=float(info.get("cost", 0.0)),
            )
        )
        limit = self.limits.max_turns
        at_limit = limit is not None and len(self.turns) >= limit
        if terminated or truncated or at_limit:
            # the task's own end wins: where both strike on one turn there is nothing to bootstrap
            self.end(bool(terminated), bool(terminated and info.get("success", False)))
        else:
            said = Message("assistant", action.text, action)
            self.messages += (said, Message("user", self.observation))

    def end(self, terminated: bool, success: bool) -> None:
        """Close the episode: terminated, or else truncated."""
        self.episode = Episode(
            id=self.start.id,
            env=self.source.name,
            seed=self.start.seed,
            split=self.source.split,
            instructions=self.instructions,
            turns=tuple(self.turns),
            final_observation=self.observation,
            terminated=terminated,
            truncated=not terminated,
            success=success,
            group=self.start.group,
            parent=self.start.parent,
            attempt=self.start.attempt,
            noise=self.start.noise,
            policy_version=self.version,
        )


class Environments:
    """The environments of one rollout: made when needed, used again, closed at the end."""

    def __init__(self, source: EnvSource):
        self._source = source
        self._idle: list[AnyEnv] = []
        self._made: list[AnyEnv] = []

    def take(self) -> AnyEnv:
        """An environment that no episode is using."""
        if self._idle:
            return self._idle.pop()
        env = self._source.make()
        if any(env is other for other in self._made):
            raise ValueError(
                "the function that makes environments returned the same one twice; "
                "expected a new one from each call, or pass the environment itself"
            )
        if not self._source.instance:
            self._made.append(env)
        return env

    def give_back(self, env: AnyEnv) -> None:
        """This one is free again."""
        self._idle.append(env)

    def drop(self, env: AnyEnv) -> None:
        """This one broke and is not used again."""
        if not self._source.instance:
            self._made = [other for other in self._made if other is not env]
            with contextlib.suppress(Exception):  # what broke it has been recorded already
                env.close()

    def close(self) -> None:
        """Close what was made here."""
        for env in self._made:
            env.close()
