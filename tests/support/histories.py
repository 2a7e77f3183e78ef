"""What a language model earns in a small game, exactly: every history it can come to (torch)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from agents.chat import Chat
from agents.models import load_model
from algorithms.batch import make_batch
from algorithms.forward import policy_logprobs
from lmenvs.core import TextEnv
from lmenvs.registration import make
from lmenvs.types import Action, Episode, Turn


@dataclass(frozen=True)
class Node:
    """A history at which the player chooses, and where its choices lead.

    Attributes:
        asked: The episode so far, with a last turn whose action stands to be chosen.
        options: (legal action, reward, the node behind it or None at the end).
    """

    asked: Episode
    options: tuple[tuple[str, float, "Node | None"], ...]


def histories(env: str, seed: int = 0) -> Node:
    """The tree of all legal play; the game has no chance."""
    game = make(env)
    assert isinstance(game, TextEnv)
    observation, _ = game.reset(seed=seed)
    return _grow(game, (), str(observation), env)


def _grow(game: TextEnv, before: tuple[Turn, ...], observation: str, env: str) -> Node:
    legal = game.admissible_actions() or []
    turns = (*before, Turn(observation, Action("?"), 0.0))
    asked = Episode("x", env, 0, "all", game.instructions, turns, "", True, False, False)
    here, options = game.snapshot(), list[tuple[str, float, Node | None]]()
    for action in legal:
        game.restore(here)
        seen, reward, terminated, truncated, _ = game.step(action)
        turn = Turn(observation, Action(action), float(reward))
        over = terminated or truncated or len(turns) == game.turn_limit
        after = None if over else _grow(game, (*before, turn), str(seen), env)
        options.append((action, float(reward), after))
    return Node(asked, tuple(options))


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for _, _, after in node.options:
        if after is not None:
            yield from _nodes(after)


def expected_return(
    folder: Path, root: Node, told: Callable[[Episode], Episode] = lambda episode: episode
) -> float:
    """The expected undiscounted return of the model that chooses among the legal actions.

    Args:
        folder: The model's.
        root: Of the game.
        told: What the player reads besides.
    """
    model, chat = load_model(folder)
    chances = _chances(model, chat, list(_nodes(root)), told)

    def value(node: Node) -> float:
        return sum(
            chance * (reward + (0.0 if after is None else value(after)))
            for chance, (_, reward, after) in zip(chances[id(node)], node.options, strict=True)
        )

    return value(root)


@torch.no_grad()
def _chances(
    model: torch.nn.Module, chat: Chat, nodes: list[Node], told: Callable[[Episode], Episode]
) -> dict[int, list[float]]:
    rows = [
        told(replace(node.asked, turns=(*node.asked.turns[:-1], _said(node, action))))
        for node in nodes
        for action, _, _ in node.options
    ]
    batch = make_batch(rows, chat)
    logprobs, _ = policy_logprobs(model, batch)  # type: ignore[arg-type]
    last = batch.turn_mask.sum(-1, keepdim=True) - 1
    said = torch.where(batch.turn_index == last, logprobs, 0.0).sum(1).double()
    found: dict[int, list[float]] = {}
    for node, one in zip(nodes, said.split([len(node.options) for node in nodes]), strict=True):
        found[id(node)] = torch.softmax(one, 0).tolist()
    return found


def _said(node: Node, action: str) -> Turn:
    return replace(node.asked.turns[-1], action=Action(action))
