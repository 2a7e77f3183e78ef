"""What acts and what scores, as types: Conversation, Policy, and the usage of a metered one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from lmenvs.core import TextEnv
from lmenvs.types import Action, Message


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that was said in one episode so far; the last message is the one to answer.

    Attributes:
        id: Unique among the conversations that are alive; policies keep their caches under it.
        messages: The system message, then user (observation) and assistant (action) in turn.
            Assistant messages carry the `Action` they came from, so that sampled ids are never
            encoded again.
        seed: Seeds the sampling of this conversation's next action; distinct for every turn.
        parent: (conversation id, messages shared) where this one was forked from another.
        env: The live environment, for scripted policies that ask it for its expert or its legal
            actions. A policy that is evaluated on what the player sees must not look at it.
        prompt_ids: The whole prompt in ids, where who asks has encoded it (a client over HTTP);
            a language model then reads these instead of the messages.
    """

    id: str
    messages: tuple[Message, ...]
    seed: tuple[int, ...] = (0,)
    parent: tuple[str, int] | None = None
    env: TextEnv | None = field(default=None, compare=False, repr=False)
    prompt_ids: tuple[int, ...] | None = None


@runtime_checkable
class Policy(Protocol):
    """Anything that answers conversations."""

    @property
    def version(self) -> int:
        """How many updates the policy has received; recorded in episodes."""
        ...

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """One action for each conversation, in order; neither width nor order changes an action."""
        ...

    def forget(self, ids: Iterable[str]) -> None:
        """These conversations are over: drop what is kept for them."""
        ...


@runtime_checkable
class StreamingPolicy(Policy, Protocol):
    """A policy that answers conversations as they come, nobody waiting for the slowest."""

    def submit(self, conversations: Sequence[Conversation]) -> None:
        """Take these up; each is answered by some later `advance`."""
        ...

    def advance(self) -> list[tuple[str, Action]]:
        """Work on all that were submitted; (conversation id, action) of those that are done now.

        Called until everything is answered. With nothing submitted it returns nothing.
        """
        ...


@dataclass(frozen=True, slots=True)
class Usage:
    """What an endpoint has counted so far: requests answered, and their tokens."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(
            self.requests - earlier.requests,
            self.prompt_tokens - earlier.prompt_tokens,
            self.completion_tokens - earlier.completion_tokens,
        )


@runtime_checkable
class Metered(Protocol):
    """A policy that counts its tokens itself, because it never sees their ids."""

    @property
    def usage(self) -> Usage:
        """The total since the policy was made."""
        ...
