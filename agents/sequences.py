"""What the in-process engine keeps for a conversation: its tokens and the answer under way."""

from dataclasses import dataclass, field

import numpy as np

from .protocols import Conversation


@dataclass(slots=True, eq=False)
class Answer:
    """An answer under way.

    Attributes:
        name: The conversation's id.
        prompt_ids: What was added to its sequence before the answer.
        fresh: Whether that is the whole prompt, built anew.
        uniforms: One number in [0, 1) for each token that may be sampled.
        room: How many tokens the model's window still holds.
        token_ids: What was sampled so far.
        logprobs: Its log-probabilities, in nats.
    """

    name: str
    prompt_ids: tuple[int, ...]
    fresh: bool
    uniforms: np.ndarray
    room: int
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Slot:
    """A conversation's place in the key-value store.

    Attributes:
        row: Which slot of the store it is.
        ids: The whole sequence.
        stored: Of how many of them the keys and values are stored.
        answered: How many messages the ids cover.
        source: Another slot and how many of its first tokens will be copied.
        answer: None while nobody asks.
    """

    row: int
    ids: list[int] = field(default_factory=list)
    stored: int = 0
    answered: int = 0
    source: "tuple[Slot, int] | None" = None
    answer: Answer | None = None


def recorded(conversation: Conversation) -> tuple[list[int], int]:
    """The sampled sequence that the messages carry, and how many messages it covers."""
    ids: list[int] = []
    answered = 0
    for index, message in enumerate(conversation.messages):
        if message.action is not None and message.action.token_ids:
            action = message.action
            ids = [] if action.fresh else ids
            ids += [*action.prompt_ids, *action.token_ids]
            answered = index + 1
    return ids, answered
