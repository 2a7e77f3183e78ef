"""Episodes and all that could have been done in them, as tensors for a critic (torch).

Two ways to show a turn: within its whole episode, one row an episode; or by its last observation
alone, one row for each different observation of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from agents.chat import Chat
from lmenvs.types import Action, Episode, Message, Turn

from ...batch import TokenBatch, make_batch
from ...utterances.siblings import Siblings
from .truth import Floats, Moves, Truth

Shown = Literal["episode", "turn"]


@dataclass(frozen=True, slots=True)
class Played:
    """An episode, encoded, with all that could be done at each turn.

    Attributes:
        episode: With the ids of prompts and actions.
        moves_T: What could be done.
        taken_T: Which of it was done.
        rewards_T: What followed.
    """

    episode: Episode
    moves_T: list[Moves]
    taken_T: list[int]
    rewards_T: Floats


def known(episodes: Sequence[Episode], truth: Truth, chat: Chat) -> list[Played]:
    """Episodes with their exact values."""
    found: list[Played] = []
    for one in episodes:
        moves_T = truth.moves(one)
        turns = zip(one.turns, moves_T, strict=True)
        taken_T = [moves.actions.index(turn.action.text) for turn, moves in turns]
        rewards_T = np.array([turn.reward for turn in one.turns], dtype=np.float64)
        found.append(Played(chat.encode_episode(one), moves_T, taken_T, rewards_T))
    return found


@dataclass(frozen=True, slots=True)
class Rows:
    """What a critic reads.

    Attributes:
        batch: One row an episode, or one an observation.
        branches: [B, T x A, K] all admissible actions of every turn.
        taken: [B, T, K] the one that was taken, as a branch.
        spoken: [U, K] the different actions, encoded apart, padded with 0.
        spoken_last: [U] where each ends.
        spoken_index: [B, T, A] which of them a branch is.
    """

    batch: TokenBatch
    branches: Siblings
    taken: Siblings
    spoken: Tensor
    spoken_last: Tensor
    spoken_index: Tensor


@dataclass(frozen=True, slots=True)
class Inputs:
    """Rows, and where the N turns of some episodes stand in them.

    Attributes:
        rows: What is read.
        place_N: Row times turns plus turn, of every turn in the order of the episodes.
        taken_N: Which branch was taken.
        chances_NA: The player's probability of every branch; 0 where there is none.
    """

    rows: Rows
    place_N: Tensor
    taken_N: Tensor
    chances_NA: Tensor


class Layouts:
    """Lays turns out as a critic reads them; observations alone are laid out once.

    Args:
        chat: How texts are encoded.
        shown: What a critic sees of a turn.
        beyond: Whether Q is read where the next observation begins, one token behind the action.
    """

    def __init__(self, chat: Chat, shown: Shown, beyond: bool = False):
        self._chat, self._shown, self._beyond = chat, shown, beyond
        self._alone: dict[str, tuple[Episode, Moves]] = {}
        self._known: tuple[tuple[str, ...], Rows] | None = None

    def lay_out(self, played: Sequence[Played]) -> Inputs:
        """The turns of these episodes."""
        moves_N = [moves for one in played for moves in one.moves_T]
        if self._shown == "episode":
            batch = make_batch([one.episode for one in played], self._chat)
            rows = self._rows(batch, [(one.moves_T, one.taken_T) for one in played])
            turns = batch.turn_mask.shape[1]
            place = [b * turns + t for b, one in enumerate(played) for t in range(len(one.moves_T))]
        else:
            rows, place = self._observations(played)
        chances_NA = np.zeros((len(moves_N), rows.spoken_index.shape[2]), np.float32)
        for n, moves in enumerate(moves_N):
            chances_NA[n, : len(moves.actions)] = moves.chances_A
        return Inputs(
            rows=rows,
            place_N=torch.tensor(place),
            taken_N=torch.tensor([taken for one in played for taken in one.taken_T]),
            chances_NA=torch.from_numpy(chances_NA),
        )

    def _observations(self, played: Sequence[Played]) -> tuple[Rows, list[int]]:
        texts = [turn.observation for one in played for turn in one.episode.turns]
        for one in played:
            for turn, moves in zip(one.episode.turns, one.moves_T, strict=True):
                if turn.observation not in self._alone:
                    alone = self._chat.encode_episode(_alone(one.episode, turn))
                    self._alone[turn.observation] = alone, moves
        wanted = tuple(sorted(set(texts)))
        if self._known is None or self._known[0] != wanted:
            episodes, moves_B = zip(*(self._alone[text] for text in wanted), strict=True)
            batch = make_batch(episodes, self._chat)
            self._known = wanted, self._rows(batch, [([moves], [0]) for moves in moves_B])
        number = {text: b for b, text in enumerate(wanted)}
        return self._known[1], [number[text] for text in texts]

    def _rows(
        self, batch: TokenBatch, done_B: Sequence[tuple[Sequence[Moves], Sequence[int]]]
    ) -> Rows:
        """A batch with every admissible action of every turn, and the one that was taken."""
        moves_N = [moves for moves_T, _ in done_B for moves in moves_T]
        names = dict.fromkeys(action for moves in moves_N for action in moves.actions)
        number = {name: i for i, name in enumerate(names)}
        coded = [self._chat.encode_action(name) for name in names]
        if self._beyond:
            opening = self._chat.start([Message("user", "")])[0]
            coded = [[*ids, opening] for ids in coded]
        spoken = np.zeros((len(coded), max(map(len, coded))), np.int64)
        for i, ids in enumerate(coded):
            spoken[i, : len(ids)] = ids
        turns, count = batch.turn_mask.shape[1], max(len(moves.actions) for moves in moves_N)
        index = np.full((len(done_B), turns, count), -1)
        taken = np.full((len(done_B), turns, 1), -1)
        for b, (moves_T, taken_T) in enumerate(done_B):
            for t, (moves, chosen) in enumerate(zip(moves_T, taken_T, strict=True)):
                index[b, t, : len(moves.actions)] = [number[action] for action in moves.actions]
                taken[b, t] = index[b, t, chosen]
        last = torch.tensor([len(ids) - 1 for ids in coded])
        tokens, places = torch.from_numpy(spoken), torch.from_numpy(index)
        return Rows(
            batch,
            _branches(tokens, last, places),
            _branches(tokens, last, torch.from_numpy(taken)),
            tokens,
            last,
            places.clamp(min=0),
        )


def _alone(episode: Episode, turn: Turn) -> Episode:
    """A turn as an episode of its own, with nothing but its observation."""
    bare = replace(turn, action=Action(turn.action.text))
    return replace(episode, instructions="", turns=(bare,), terminated=True, truncated=False)


def _branches(spoken: Tensor, last: Tensor, index: Tensor) -> Siblings:
    flat = index.flatten(1)
    chosen = flat.clamp(min=0)
    mask = (torch.arange(spoken.shape[1]) <= last[chosen][..., None]) & (flat >= 0)[..., None]
    ids = spoken[chosen] * mask
    return Siblings(ids, mask, torch.zeros(ids.shape), index.shape[2])
