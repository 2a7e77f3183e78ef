"""Tell a policy how well to play: a return or a class of quality, as text in its prompt. No torch.

What is told in training stands in `conditioning.json` beside the weights, so that a trained folder
plays as it was trained: `hf:DIR` is told what its folder says, `hf:DIR?return=-6` something else.

A player sees no rewards, so what is fair to tell is known before the first turn: the class or the
return of the whole episode. A class stands in every observation (`per="turn"`), where it is near
the action, or once behind the instructions. A return that stands in every observation is what was
still to come. In play that is the target, less `reward_per_turn` for each turn gone by: what the
rules alone let a player know; 0, nothing, by default.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lmenvs.types import Action, Episode, Message

from .protocols import Conversation, Policy

FILE = "conditioning.json"
What = Literal["return", "class"]
Per = Literal["episode", "turn"]


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What is told, and what is asked for in play.

    Attributes:
        what: A return, or the class that a return falls into.
        per: Once, behind the instructions; or behind every observation: the episode's class, or the
            return that is still to come.
        target: The return that is asked for in play.
        edges: A return is of class 1 + the number of edges below it; a return that is told needs
            none. Without edges there is one class, and nothing to tell.
        decimals: Returns are rounded to so many.
        reward_per_turn: What a turn is known to pay, by the rules; for returns told per turn.
    """

    what: What = "class"
    per: Per = "turn"
    target: float = 0.0
    edges: tuple[float, ...] = ()
    decimals: int = 0
    reward_per_turn: float = 0.0

    def __post_init__(self) -> None:
        """Refuse edges that do not rise.

        Raises:
            ValueError: naming them.
        """
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"edges {self.edges}; expected rising numbers")

    @property
    def classes(self) -> int:
        """How many there are."""
        return 1 + len(self.edges)

    def class_of(self, total: float) -> int:
        """The class of a return: 1 is the worst.

        >>> [Conditioning("class", edges=(0.0, 5.0)).class_of(r) for r in (-1.0, 0.0, 1.0, 9.0)]
        [1, 1, 2, 3]
        """
        return 1 + sum(edge < total for edge in self.edges)

    def text(self, total: float) -> str:
        """How a return is told; "" where there is nothing to tell.

        >>> Conditioning("return", decimals=1).text(-6.04)
        'Aim: return -6.0.'
        >>> Conditioning("class", edges=(0.0,)).text(1.0)
        'Aim: quality 2 of 2.'
        """
        if self.what == "class":
            return f"Aim: quality {self.class_of(total)} of {self.classes}." if self.edges else ""
        # adding 0 makes -0.0 a plain 0
        return f"Aim: return {round(total, self.decimals) + 0.0:.{self.decimals}f}."

    def told(self, episode: Episode) -> Episode:
        """The episode as a player reads it who was told how it ends; its actions are text only.

        Ids that were sampled belong to a prompt that did not say so.
        """
        rewards_T = [turn.reward for turn in episode.turns]
        turns = tuple(replace(turn, action=Action(turn.action.text)) for turn in episode.turns)
        if self.per == "episode":
            told = _behind(episode.instructions, self.text(sum(rewards_T)))
            return replace(episode, instructions=told, turns=turns)
        to_go_T = np.cumsum(rewards_T[::-1])[::-1]
        if self.what == "class":  # a class is of the whole episode
            to_go_T = np.full(len(turns), sum(rewards_T))
        turns = tuple(
            replace(turn, observation=_behind(turn.observation, self.text(float(to_go))))
            for turn, to_go in zip(turns, to_go_T, strict=True)
        )
        return replace(episode, turns=turns)

    def asked(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages of a conversation with the aim in them."""
        if self.per == "episode":
            first, *rest = messages
            return (replace(first, content=_behind(first.content, self.text(self.target))), *rest)
        said: list[Message] = []
        turn = 0
        for message in messages:
            if message.role == "user":
                gone = turn * self.reward_per_turn if self.what == "return" else 0.0
                to_go = self.target - gone
                message = replace(message, content=_behind(message.content, self.text(to_go)))
                turn += 1
            said.append(message)
        return tuple(said)

    def save(self, folder: Path) -> None:
        """Write it beside a model."""
        Path(folder, FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")


def _behind(text: str, told: str) -> str:
    return f"{text}\n{told}" if told else text


def edges_of(returns_E: Sequence[float] | np.ndarray, classes: int) -> tuple[float, ...]:
    """Where equal shares of the returns part; fewer edges where returns are equal.

    The best class is never empty: the best return is above the last edge.

    >>> edges_of([0.0, 0.0, 0.0, 1.0], 2), edges_of([0.0, 1.0, 1.0, 1.0], 2), edges_of([1.0], 2)
    ((0.0,), (0.0,), ())
    """
    returns = np.asarray(returns_E, dtype=np.float64)
    below = returns[returns < returns.max()]
    if classes < 2 or not len(below):
        return ()
    shares = np.arange(1, classes) / classes
    cuts = np.minimum(np.quantile(returns, shares, method="lower"), below.max())
    return tuple(float(cut) for cut in np.unique(cuts))


def read(folder: str | Path) -> Conditioning | None:
    """What stands beside a model; None where nothing does.

    Raises:
        ValueError: for a file that says something else.
    """
    file = Path(folder, FILE)
    if not file.is_file():
        return None
    try:
        given: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        edges = tuple(given.pop("edges"))
        return Conditioning(**given, edges=edges)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{file}: expected what `lmenvs train return_conditioning` writes, got another text "
            f"({error}); copy it from the run again"
        ) from error


class Conditioned:
    """A policy that is told what to aim for.

    Args:
        base: Who acts.
        conditioning: What is told.
    """

    def __init__(self, base: Policy, conditioning: Conditioning):
        self._base = base
        self.conditioning = conditioning

    @property
    def version(self) -> int:
        """That of the base."""
        return self._base.version

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """What the base answers to the same conversations with the aim in them."""
        return self._base.act([self._with_aim(one) for one in conversations])

    def _with_aim(self, conversation: Conversation) -> Conversation:
        messages = self.conditioning.asked(conversation.messages)
        # a prompt in ids, where a client sent one, does not have the aim
        return replace(conversation, messages=messages, prompt_ids=None)

    def forget(self, ids: Iterable[str]) -> None:
        """The base forgets them."""
        self._base.forget(ids)


def conditioned(base: Policy, folder: str | Path, target: float | None = None) -> Policy:
    """The policy of a folder, told what stands beside it; as it is where nothing does.

    Args:
        base: The policy that was read from the folder.
        folder: A model's.
        target: The return to ask for; None for the one in the folder.

    Raises:
        ValueError: for a target where nothing is told.
    """
    known = read(folder)
    if known is None:
        if target is not None:
            raise ValueError(
                f"return={target}: {folder} has no {FILE}; train it with `lmenvs train "
                "return_conditioning`, or ask for no return"
            )
        return base
    return Conditioned(base, known if target is None else replace(known, target=float(target)))
