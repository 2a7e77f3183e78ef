"""Algorithm distillation: an optimal algorithm's play, as training episodes and as few-shot text.

EVOLvE (Nie et al., 2024) lets language models learn exploration from UCB and LinUCB, by examples in
the prompt or by fine-tuning. `demonstrate` plays and writes the episodes that
`lmenvs train behaviour_cloning --demonstrations FILE` reads; `few_shot` makes a text of some of
their decisions, and `FewShot` puts such a text behind the instructions that a policy reads. As in
EVOLvE's package, five decisions are shown, every other one from the third; the words are ours.

There a summary stands in the prompt instead of the history. Here a conversation keeps all that was
said, and `Recent` shows a policy only the end of it: with `context=summary`, one turn is enough.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lmenvs.arguments import check_count
from lmenvs.registration import parse_env_string
from lmenvs.types import Action, Episode, Message, write_episodes

from .protocols import Conversation, Policy
from .rollout import collect
from .sources import takes_split

INTRODUCTION = "Here is how an expert chose in other rounds, which hide other arms:"


def demonstrate(
    env: str,
    policy: Policy | str = "bandit:ucb",
    seeds: Iterable[int] = range(64),
    *,
    out: str | os.PathLike[str] | None = None,
    split: str | None = None,
    width: int = 64,
) -> list[Episode]:
    """Let an algorithm play, one episode for each seed; with `out`, write them as JSON lines.

    Args:
        env: The env string that the student will play: demonstrations look as its play will.
        policy: Who shows how; "bandit:linucb" where there is a context.
        seeds: The tasks; take others for evaluation.
        out: A file of episodes.
        split: By default "train" where the environment has splits and the string names none.
        width: Episodes alive at once.
    """
    env_id, kwargs = parse_env_string(env)
    if split is None and "split" not in kwargs and takes_split(env_id):
        split = "train"
    episodes = collect(env, policy, seeds, split=split, width=width)
    if out is not None:
        write_episodes(out, episodes)
    return episodes


def few_shot(
    episodes: Episode | Sequence[Episode],
    examples: int = 5,
    *,
    skip: int = 2,
    every: int = 2,
    earlier: int | None = None,
) -> str:
    """A text of decisions: each shows the play up to a turn, and what was answered there.

    Args:
        episodes: What was played.
        examples: How many decisions of each episode; fewer where it is too short.
        skip: The first turns are no examples, since little was known.
        every: Turns from one example to the next.
        earlier: How many turns before its own an example shows; None is all of them. With
            `context=summary` 0 is enough, since the newest observation says it all.

    Raises:
        ValueError: where no episode is long enough, or for numbers out of range.
    """
    check_count("examples", examples, 1)
    check_count("skip", skip, 0)
    check_count("every", every, 1)
    if earlier is not None:
        check_count("earlier", earlier, 0)
    given = [episodes] if isinstance(episodes, Episode) else list(episodes)
    shown = [
        _example(episode, turn, 0 if earlier is None else max(turn - earlier, 0))
        for episode in given
        for turn in range(skip, len(episode.turns), every)[:examples]
    ]
    if not shown:
        raise ValueError(f"expected an episode of more than skip={skip} turns, got none")
    blocks = [f"=== Example {number}\n{text}" for number, text in enumerate(shown, start=1)]
    return "\n\n".join([INTRODUCTION, *blocks])


def _example(episode: Episode, last: int, first: int) -> str:
    before = [f"{turn.observation}\n> {turn.action.text}" for turn in episode.turns[first:last]]
    turn = episode.turns[last]
    return "\n".join([*before, turn.observation, f"Answer: {turn.action.text}"])


class FewShot:
    """A policy that reads examples before it acts.

    Args:
        base: Who acts.
        examples: What stands behind the instructions, as from `few_shot`.
    """

    def __init__(self, base: Policy, examples: str):
        self._base = base
        self._examples = examples

    @property
    def version(self) -> int:
        """That of the base."""
        return self._base.version

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """What the base answers to the same conversations with the examples in front."""
        return self._base.act([self._with_examples(one) for one in conversations])

    def _with_examples(self, conversation: Conversation) -> Conversation:
        first, *rest = conversation.messages
        told = Message(first.role, f"{first.content}\n\n{self._examples}")
        return replace(conversation, messages=(told, *rest))

    def forget(self, ids: Iterable[str]) -> None:
        """The base forgets them."""
        self._base.forget(ids)


class Recent:
    """A policy that reads the instructions, the first observation and the newest turns only.

    Args:
        base: Who acts; a rule of `agents.bandits` needs the whole conversation.
        turns: How many turns it reads; one is its last action and what that led to.
    """

    def __init__(self, base: Policy, turns: int = 1):
        check_count("turns", turns, 1)
        self._base = base
        self._turns = turns

    @property
    def version(self) -> int:
        """That of the base."""
        return self._base.version

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """What the base answers to the same conversations without their middle."""
        shown = [self._shortened(one) for one in conversations]
        # what the base keeps for a conversation begins with turns that it reads no more
        self._base.forget(
            new.id for new, old in zip(shown, conversations, strict=True) if new is not old
        )
        return self._base.act(shown)

    def _shortened(self, conversation: Conversation) -> Conversation:
        # what comes before the first action, then an action and an observation for each turn
        said = conversation.messages
        opening = next((i for i, one in enumerate(said) if one.role == "assistant"), len(said))
        start = len(said) - 2 * self._turns
        if start <= opening:
            return conversation
        # sampled ids would bring back the prompt that they followed
        kept = tuple(Message(one.role, one.content) for one in said[start:])
        return replace(conversation, messages=(*said[:opening], *kept), parent=None)

    def forget(self, ids: Iterable[str]) -> None:
        """The base forgets them."""
        self._base.forget(ids)
