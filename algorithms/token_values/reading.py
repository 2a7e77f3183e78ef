"""A batch as a value network reads it (torch): distinct states once, and what heads say there."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents.guidance import Guide
from agents.models import decoder
from agents.reading import Reading, read

from ..batch import TokenBatch


@dataclass(frozen=True, slots=True)
class Judged:
    """What the slow heads say of a batch.

    Attributes:
        values_ETL: V before every policy token; of each piece one array per turn.
        behind_E: V behind the end of a piece that was cut; 0 where it terminated.
        q: [B, L] min_k Q_k of the policy tokens.
        v: [B, L] the same V as a grid.
    """

    values_ETL: list[list[np.ndarray]]
    behind_E: list[float]
    q: Tensor
    v: Tensor


@dataclass(frozen=True, slots=True)
class Places:
    """Tokens of a batch, and the hidden states that predict them: rows that begin alike share them.

    Attributes:
        row: [N] of every token, row by row.
        column: [N] likewise.
        states: [U, width] distinct states.
        which: [N] the state that predicts each token.
    """

    row: Tensor
    column: Tensor
    states: Tensor
    which: Tensor


@dataclass(frozen=True, slots=True)
class Seen:
    """A batch as it was read.

    Attributes:
        reading: All hidden states.
        said: Where the policy tokens are.
    """

    reading: Reading
    said: Places


def see(model: PreTrainedModel, batch: TokenBatch, checkpointing: bool = False) -> Seen:
    """Read a batch."""
    reading = read(decoder(model), batch.ids, batch.lengths, checkpointing=checkpointing)
    return Seen(reading, places_of(reading, batch.policy_mask))


def places_of(reading: Reading, mask: Tensor) -> Places:
    """Where the mask says so."""
    row, column = mask.nonzero(as_tuple=True)
    distinct, which = reading.place[row, column - 1].unique(return_inverse=True)
    return Places(row, column, reading.flat.index_select(0, distinct), which)


@torch.no_grad()
def judge(slow: Guide, batch: TokenBatch, seen: Seen, count: int) -> Judged:
    """What the slow heads say of a batch of so many pieces."""
    said = seen.said
    tokens = batch.ids[said.row, said.column]
    v, q = torch.zeros(2, *batch.ids.shape, device=batch.ids.device)
    v[said.row, said.column] = slow.values(said.states)[said.which]
    q[said.row, said.column] = slow.action_values(said.states).amin(0)[said.which, tokens]
    rows = torch.arange(len(batch), device=batch.ids.device)
    places = seen.reading.place[rows, batch.bootstrap.clamp(min=0)]
    ends = slow.values(seen.reading.flat[places])
    behind_E = [0.0] * count
    for piece, cut, value in zip(
        batch.episode.tolist(), batch.bootstrap.tolist(), ends.tolist(), strict=True
    ):
        if cut >= 0:
            behind_E[piece] = value
    return Judged(batch.by_token(v, count), behind_E, q, v)
