"""Two policies in one conversation: a learner, and a guide that speaks at some of the turns.

What the guide says is recorded as text, without token ids: its tokenizer may be another one. So an
action with ids is the learner's (`learners_turns`), and `chat.Chat.encode_episode` gives the others
theirs when the episode is read for training. The guide in turn sees what was said as text.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from lmenvs.types import Action, Episode

from .protocols import Conversation, Policy


class MixedPolicy:
    """The learner, except where it is the guide's turn.

    Args:
        learner: Speaks where the guide does not; its actions keep their token ids.
        guide: Any policy.
        guides: Whether the guide answers a conversation; it may depend on nothing but that
            conversation, so that width and order change nothing.
    """

    def __init__(self, learner: Policy, guide: Policy, guides: Callable[[Conversation], bool]):
        self._learner, self._guide, self._guides = learner, guide, guides

    @property
    def version(self) -> int:
        """The learner's."""
        return self._learner.version

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """One action each, of the policy whose turn it is."""
        guided = [self._guides(conversation) for conversation in conversations]
        pairs = list(zip(conversations, guided, strict=True))
        learners = [conversation for conversation, hit in pairs if not hit]
        guides = [in_words(conversation) for conversation, hit in pairs if hit]
        own = iter(self._learner.act(learners) if learners else [])
        others = iter(self._guide.act(guides) if guides else [])
        return [text_only(next(others)) if hit else next(own) for hit in guided]

    def forget(self, ids: Iterable[str]) -> None:
        """Both forget them."""
        gone = list(ids)
        self._learner.forget(gone)
        self._guide.forget(gone)


def turn_of(conversation: Conversation) -> int:
    """How many turns have been taken in a conversation.

    The messages are the system's, two for each turn, and the observation to answer.
    """
    return len(conversation.messages) // 2 - 1


def in_words(conversation: Conversation) -> Conversation:
    """The conversation as text alone, for a policy with tokens of its own."""
    messages = tuple(replace(message, action=None) for message in conversation.messages)
    return replace(conversation, messages=messages, parent=None, prompt_ids=None)


def text_only(action: Action) -> Action:
    """What was said, without the ids of who said it.

    >>> text_only(Action("go on", prompt_ids=(1, 2), token_ids=(3,), logprobs=(-0.5,), fresh=True))
    Action(text='go on', prompt_ids=(), token_ids=(), logprobs=(), finish='stop', fresh=False)
    """
    return Action(action.text, finish=action.finish)


def episode_in_words(episode: Episode) -> Episode:
    """The same episode with text alone: what a learner with another tokenizer can read."""
    turns = tuple(replace(turn, action=text_only(turn.action)) for turn in episode.turns)
    return replace(episode, turns=turns)


def learners_turns(episode: Episode) -> np.ndarray:
    """Which turns of an episode that a `MixedPolicy` played are the learner's: booleans [T]."""
    return np.array([bool(turn.action.token_ids) for turn in episode.turns], bool)
