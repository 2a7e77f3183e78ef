"""Where the tokens of rows that begin alike lie, each shared beginning once (torch, numpy)."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the tokens of padded rows lie in one flat row in which shared beginnings stand once.

    Attributes:
        place: [B, L] the place of each token in the flat row; 0 for padding.
        first: [N] for each place, the cell of [B * L] that it was taken from.
        repeated: Cells of [B * L] whose token already has a place.
        at: The places of those.
        positions: [N] how many tokens precede each token of the flat row in its sequence.
        rows: [M] the places of all tokens, row after row without padding.
        cuts: [B + 1] where each row begins there, and where the last one ends; int32.
        own: [N] for each place, where the token that it was taken from stands there.
    """

    place: Tensor
    first: Tensor
    repeated: Tensor
    at: Tensor
    positions: Tensor
    rows: Tensor
    cuts: Tensor
    own: Tensor

    def __len__(self) -> int:
        return len(self.first)

    def to(self, device: torch.device) -> "Layout":
        """The same layout on another device."""
        return Layout(*(getattr(self, one.name).to(device) for one in fields(self)))


def lay_out(ids: Tensor, lengths: Tensor) -> Layout:
    """The tree of rows padded on the right: [B, L] ids of which the first `lengths` [B] count.

    Args:
        ids: Token ids; what stands behind a row's length is ignored.
        lengths: Tokens of each row.
    """
    rows, width = ids.shape
    real = np.arange(width) < lengths.cpu().numpy()[:, None]
    order, shared = shared_beginnings(ids, lengths)
    fresh = real[order]
    fresh[1:] &= np.arange(width) >= shared[:, None]
    number = np.cumsum(fresh).reshape(fresh.shape) - 1
    # a cell that is not fresh has the place of the last fresh one above it
    owner = np.maximum.accumulate(np.where(fresh, np.arange(rows)[:, None], 0), axis=0)
    columns = np.arange(width)
    sorted_place = np.where(real[order], number[owner, columns], 0)
    place = np.empty_like(sorted_place)
    place[order] = sorted_place
    cells = order[:, None] * width + columns
    again = real[order] & ~fresh
    standing = np.cumsum(real) - 1  # [B * L] where a real cell stands among the real ones
    parts = (
        place,
        cells[fresh],
        cells[again],
        sorted_place[again],
        np.broadcast_to(columns, fresh.shape)[fresh],
        place[real],
        np.concatenate([[0], real.sum(1).cumsum()]).astype(np.int32),
        standing[cells[fresh]],
    )
    return Layout(*map(torch.from_numpy, parts))


def shared_beginnings(ids: Tensor, lengths: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Rows ordered so that those that begin alike are neighbours, and how much neighbours share.

    Returns:
        order [B] of the rows; for each but the last, the tokens it shares with the next [B - 1].

    >>> ids = torch.tensor([[7, 8, 1], [5, 5, 5], [7, 8, 2]])
    >>> order, shared = shared_beginnings(ids, torch.tensor([3, 2, 3]))
    >>> order.tolist(), shared.tolist()
    ([1, 0, 2], [0, 2])
    """
    words, counts = ids.cpu().numpy(), lengths.cpu().numpy()
    # big-endian bytes sort as the numbers do; 0 stands for padding
    keys = np.where(np.arange(words.shape[1]) < counts[:, None], words + 1, 0).astype(">u4")
    order = np.array(sorted(range(len(keys)), key=lambda row: keys[row].tobytes()), np.int64)
    ranked = keys[order]
    same = (ranked[1:] == ranked[:-1]) & (ranked[1:] != 0)
    return order, np.logical_and.accumulate(same, axis=1).sum(1)
