"""The mean over a mask that every loss ends in, and what losses share (torch)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Mask = Bool[Tensor, "row token"] | Float[Tensor, "row token"]
Values = Float[Tensor, "row token"]
Turns = Int[Tensor, "row token"]
Reduction = Literal["token", "turn", "episode"]


@dataclass(frozen=True, slots=True)
class LossOutput:
    """A loss to minimise, with its graph, and plain numbers about it."""

    loss: Tensor
    metrics: dict[str, float]


def masked_mean(
    values: Values,
    mask: Mask,
    reduction: Reduction = "token",
    total: float | int | None = None,
    turn_index: Turns | None = None,
) -> Float[Tensor, ""]:
    """The mean of the values that the mask keeps; 0 where it keeps none.

    | reduction | the mean | what counts alike | `total` replaces the count of |
    |---|---|---|---|
    | token | sum of kept / number of kept | every token | kept tokens |
    | turn | mean over turns of each turn's mean over its kept tokens | every turn | turns |
    | episode | mean over rows of each row's mean over its kept tokens | every row | rows |

    Turns and rows without a kept token do not count. "turn" reads `turn_index`, the turn that a
    token belongs to in its row (any number where masked). An episode laid out over several rows
    counts once per row.
    """
    if total is not None and not total > 0:
        raise ValueError(f"total is {total}; expected the positive count of the whole batch")
    kept = only_kept(values, mask)
    if reduction == "token":
        means, counts = kept, mask != 0
    elif reduction == "turn":
        turns = turns_of(turn_index, mask, 'reduction "turn"')
        counts = per_turn((mask != 0).float(), turns)
        means = per_turn(kept, turns) / counts.clamp(min=1.0)
    elif reduction == "episode":
        counts = (mask != 0).sum(dim=1).float()
        means = kept.sum(dim=1) / counts.clamp(min=1.0)
    else:
        raise ValueError(f"reduction is {reduction!r}; expected 'token', 'turn' or 'episode'")
    return means.sum() / ((counts > 0).sum().clamp(min=1).float() if total is None else total)


def only_kept(values: Tensor, mask: Tensor) -> Tensor:
    """The values in float32, 0 where masked."""
    # where, not a product: 0 * inf would be nan, and so would its gradient
    return torch.where(mask != 0, values.float(), 0.0)


def detached(name: str, values: Tensor, mask: Tensor) -> Tensor:
    """`only_kept` of what is not trained.

    Raises:
        ValueError: if it carries a gradient.
    """
    if values.requires_grad:
        raise ValueError(f"{name} carries a gradient; detach it where it is made")
    return only_kept(values, mask)


def turns_of(turn_index: Tensor | None, mask: Tensor, what: str) -> Tensor:
    """The turn of each kept token, and 0 where masked: [row, token] int64.

    Raises:
        ValueError: if it is missing, which `what` needs, or negative on a kept token.
    """
    if turn_index is None:
        raise ValueError(f"{what} needs turn_index; give the turn of each token, [row, token]")
    turns = torch.where(mask != 0, turn_index, 0).long()
    if turns.numel() and int(turns.min()) < 0:
        raise ValueError("turn_index is negative on a kept token; expected 0, 1, 2, ...")
    return turns


def per_turn(values: Tensor, turns: Tensor) -> Tensor:
    """The sum of the values over each turn of each row: [row, turn], with its gradient."""
    number = int(turns.max()) + 1 if turns.numel() else 0
    return values.new_zeros(len(values), number).scatter_add(1, turns, values)
