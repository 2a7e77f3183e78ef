"""An episode under way: what was said, what its environment answers; nothing here steps."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lmenvs.types import Action, Episode, Message, Turn

from .playing import Opening, Reply
from .protocols import Conversation
from .sources import EnvSource
from .starts import Limits, Start
from .workers import Seat


@dataclass(slots=True, eq=False)
class Slot:
    """One episode under way in one environment."""

    index: int
    start: Start
    source: EnvSource
    seat: Seat
    version: int
    limits: Limits
    instructions: str = ""
    observation: str = ""
    messages: list[Message] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    episode: Episode | None = None
    crashed: bool = False
    _said: Action | None = None
    _answer: "Callable[[], Opening] | Callable[[], Reply] | None" = None

    def begin(self) -> None:
        """Send the environment to where this episode starts."""
        start = self.start
        self._answer = self.seat.begin(start.seed, start.noise, start.snapshot)

    def say(self, action: Action) -> None:
        """Give the policy's action to the environment."""
        self._said = action
        self._answer = self.seat.play(action.text)

    def listen(self) -> None:
        """Wait for what the environment answers and write it down; raises what it raised."""
        assert self._answer is not None
        answer = self._answer()
        if isinstance(answer, Opening):
            self._open(answer)
        else:
            self._receive(answer)

    def _open(self, opening: Opening) -> None:
        start = self.start
        self.observation = opening.observation
        told = start.instructions
        self.instructions = opening.instructions if told is None else told
        self.messages = [Message("system", self.instructions)]
        for turn in start.earlier:
            # ids that were sampled behind another prompt are no part of this conversation's
            action = turn.action if start.shares_prompt else None
            self.messages.append(Message("user", turn.observation))
            self.messages.append(Message("assistant", turn.action.text, action))
        self.messages.append(Message("user", self.observation))
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
            messages=tuple(self.messages),
            seed=(self.limits.policy_seed, start.seed, start.noise, start.attempt, len(self.turns)),
            parent=shared,
            env=self.seat.game,
        )

    def _receive(self, reply: Reply) -> None:
        """Write down one turn; sets `episode` where it was the last."""
        action = self._said
        assert action is not None
        self.turns.append(
            Turn(
                self.observation,
                action,
                reply.reward,
                valid=reply.valid,
                error=reply.error,
                progress=reply.progress,
                state_key=reply.state_key,
                feedback=reply.feedback,
                tool_calls=reply.tool_calls,
                cost=reply.cost,
            )
        )
        self.observation = reply.observation
        limit = self.limits.max_turns
        at_limit = limit is not None and len(self.turns) >= limit
        if reply.terminated or reply.truncated or at_limit:
            # the task's own end wins: where both strike on one turn there is nothing to bootstrap
            self.end(reply.terminated, reply.terminated and reply.success)
        else:
            self.messages.append(Message("assistant", action.text, action))
            self.messages.append(Message("user", self.observation))

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
