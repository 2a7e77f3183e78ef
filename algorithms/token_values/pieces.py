"""Pieces of long episodes for value learning: some turns, and what was still to come behind them.

A piece is an episode of its own: it begins anew with the instructions, and where more followed it
was cut (`truncated`), so that the value behind its end stands for the rest. Reading 24 turns of a
hundred is several times cheaper per turn, and a value learner needs many short looks more than a
few long ones. What was said before the piece is lost to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from agents.chat import Chat
from lmenvs.types import Episode, Message

from ..credit import action_decomposition_gae, token_gae

Unit = Literal["turn", "token"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some turns of an episode.

    Attributes:
        episode: Them, as an episode.
        behind: The discounted return that followed; 0 where the episode terminated with the piece,
            None where nobody knows: the episode itself was cut.
    """

    episode: Episode
    behind: float | None


def piece_of(
    episode: Episode,
    turns: int | None,
    discount: float,
    unit: Unit,
    chat: Chat,
    generator: np.random.Generator,
) -> Piece:
    """So many consecutive turns of an episode with token ids, drawn so that every turn comes about
    equally often and the first and last ones most; None for all turns.
    """
    count = len(episode.turns)
    if turns is None or count <= turns:
        return Piece(episode, None if episode.truncated else 0.0)
    start = int(np.clip(generator.integers(1 - turns, count), 0, count - turns))
    end = start + turns
    kept = list(episode.turns[start:end])
    messages = [Message("system", episode.instructions), Message("user", kept[0].observation)]
    prompt = tuple(chat.start(messages))
    if start:
        kept[0] = replace(kept[0], action=replace(kept[0].action, prompt_ids=prompt, fresh=True))
    if end == count:
        shorter = replace(episode, turns=tuple(kept))
        return Piece(shorter, None if episode.truncated else 0.0)
    cut = replace(
        episode,
        turns=tuple(kept),
        final_observation=episode.turns[end].observation,
        terminated=False,
        truncated=True,
        success=False,
    )
    if episode.truncated:
        return Piece(cut, None)
    tail = replace(episode, turns=episode.turns[end:])
    following = np.concatenate([np.zeros(0), *returns_of(tail, discount, unit)])
    return Piece(cut, float(following[0]) if len(following) else 0.0)


def returns_of(
    episode: Episode, discount: float, unit: Unit, bootstrap: float = 0.0
) -> list[np.ndarray]:
    """The discounted reward still to come at every token: one array per turn."""
    nothing = [np.zeros(len(turn.action.token_ids)) for turn in episode.turns]
    return targets_of(episode, nothing, discount, 1.0, unit, bootstrap)


def targets_of(
    episode: Episode,
    values_TL: Sequence[np.ndarray],
    discount: float,
    lam: float,
    unit: Unit,
    bootstrap: float = 0.0,
) -> list[np.ndarray]:
    """The lambda-return at every token, y = A + V: one array per turn.

    With lam = 0 it is r + discount * V' at the end of a turn, V' being read before the next
    policy token, and inside a turn V' alone (`unit` "turn") or discount * V' ("token").
    """
    rewards_T = [turn.reward for turn in episode.turns]
    gae = action_decomposition_gae if unit == "turn" else token_gae
    advantages_TL = gae(rewards_T, values_TL, discount, lam, bootstrap)
    return [a + v for a, v in zip(advantages_TL, values_TL, strict=True)]


def played_returns(
    pieces: Sequence[Piece], behind_E: Sequence[float], discount: float, unit: Unit
) -> list[list[np.ndarray]]:
    """The discounted return that followed every token of pieces; where nobody knows what came
    behind one, `behind_E` stands for it: the critic's value there.
    """
    return [
        returns_of(piece.episode, discount, unit, value if piece.behind is None else piece.behind)
        for piece, value in zip(pieces, behind_E, strict=True)
    ]
