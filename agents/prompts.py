"""What a language model reads next in a conversation, from what its messages carry. No torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .protocols import Conversation
from .sequences import recorded

if TYPE_CHECKING:
    from .chat import Chat


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt in ids.

    Attributes:
        ids: The whole sequence.
        new: Its end: what was added since the last sampled answer; everything if `fresh`.
        fresh: It was built from nothing instead of extended.
    """

    ids: tuple[int, ...]
    new: tuple[int, ...]
    fresh: bool


def next_prompt(conversation: Conversation, chat: "Chat") -> Prompt:
    """The last prompt, the ids that were sampled and the ids of what is new; or a fresh one."""
    ids, answered = recorded(conversation)
    if answered and ids:
        stopped = ids[-1] == chat.stop_id
        new = chat.delta(conversation.messages, answered - 1, stopped)
        if new is not None:
            return Prompt((*ids, *new), tuple(new), False)
    whole = tuple(conversation.prompt_ids or chat.start(conversation.messages))
    return Prompt(whole, whole, True)


def extension(conversation: Conversation, whole: tuple[int, ...]) -> Prompt:
    """The prompt that a server built: new ids behind those that are known, or else a fresh one."""
    ids, _ = recorded(conversation)
    if ids and whole[: len(ids)] == tuple(ids):
        return Prompt(whole, whole[len(ids) :], False)
    return Prompt(whole, whole, True)
