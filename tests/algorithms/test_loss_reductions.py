"""What a loss counts alike: tokens, turns or episodes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import losses
from algorithms.losses import LossOutput, Reduction
from tests.algorithms.test_losses import ROWS, batch

REDUCTIONS: tuple[Reduction, ...] = ("token", "turn", "episode")
Reduced = Callable[[dict[str, Tensor], Reduction, float | None], LossOutput]


def kwargs(b: dict[str, Tensor], reduction: Reduction, total: float | None) -> dict[str, Any]:
    return {"total": total, "reduction": reduction, "turn_index": b["turns"]}


EVERY: dict[str, Reduced] = {
    "likelihood": lambda b, *how: losses.negative_log_likelihood(
        b["values"], b["mask"], b["weights"], **kwargs(b, *how)
    ),
    "policy": lambda b, *how: losses.policy_gradient(
        b["values"], b["advantages"], b["mask"], **kwargs(b, *how)
    ),
    "ppo": lambda b, *how: losses.ppo_clip(
        b["values"], b["old"], b["advantages"], b["mask"], ratio="hybrid", **kwargs(b, *how)
    ),
    "opmd": lambda b, *how: losses.opmd(
        b["values"], b["old"], b["advantages"], b["mask"], tau=0.5, **kwargs(b, *how)
    ),
    "kl": lambda b, *how: losses.kl_penalty(b["values"], b["old"], b["mask"], **kwargs(b, *how)),
    "entropy": lambda b, *how: losses.entropy(-b["values"], b["mask"], **kwargs(b, *how)),
    "smoothing": lambda b, *how: losses.entropy_smoothing(
        -b["values"], b["mask"], history_T=torch.tensor([0.8, 1.0, 1.2]), **kwargs(b, *how)
    ),
}
every_loss = pytest.mark.parametrize("loss", EVERY.values(), ids=EVERY.keys())
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


def count(b: dict[str, Tensor], reduction: Reduction) -> float:
    """By a loop that shares nothing with the losses."""
    kept = [(row, int(b["turns"][row, at])) for row, at in b["mask"].nonzero().tolist()]
    return {
        "token": len(kept),
        "turn": len(set(kept)),
        "episode": len({row for row, _ in kept}),
    }[reduction]


def slopes(loss: Reduced, b: dict[str, Tensor], *how: Any) -> Tensor:
    leaf = b["values"].clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss({**b, "values": leaf}, *how).loss, leaf)
    return slope


def test_the_token_mean_counts_tokens_alike_the_turn_mean_turns_and_the_episode_mean_rows():
    values = torch.tensor([[1.0, 3.0, 5.0, 9.0], [8.0, 9.0, 9.0, 9.0], [9.0, 9.0, 9.0, 9.0]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]).bool()
    turns = torch.tensor([[0, 0, 3, -1], [1, -1, -1, -1], [-1, -1, -1, -1]])
    assert float(losses.masked_mean(values, mask)) == 4.25  # (1 + 3 + 5 + 8) / 4
    by_turn = losses.masked_mean(values, mask, "turn", turn_index=turns)
    assert float(by_turn) == 5.0  # (2 + 5 + 8) / 3
    assert float(losses.masked_mean(values, mask, "episode")) == 5.5  # (3 + 8) / 2
    assert float(losses.masked_mean(values, mask, total=8.5)) == 2.0
    assert float(losses.masked_mean(values, mask, "turn", 7.5, turns)) == 2.0
    assert float(losses.masked_mean(values, mask, "episode", total=5.5)) == 2.0


@every_loss
@every_reduction
def test_micro_batches_add_up_to_the_whole_batch(loss: Reduced, reduction: Reduction):
    b = batch()
    total = count(b, reduction)
    whole = loss(b, reduction, None)
    parts = [{name: value[[row]] for name, value in b.items()} for row in range(ROWS)]
    parts_loss = sum(float(loss(part, reduction, total).loss) for part in parts)
    assert parts_loss == approx(float(whole.loss), rel=1e-5)
    rows = torch.cat([slopes(loss, part, reduction, total) for part in parts])
    torch.testing.assert_close(rows, slopes(loss, b, reduction, None))


@every_loss
def test_turns_of_one_token_reduce_as_tokens_and_rows_of_one_turn_as_rows(loss: Reduced):
    b = batch()
    each = {**b, "turns": torch.arange(b["turns"].shape[1]).expand_as(b["turns"])}
    whole = {**b, "turns": torch.zeros_like(b["turns"])}
    if loss is EVERY["smoothing"]:  # its history is by turn: one turn for all
        each = whole = {**whole, "mask": b["mask"] & (torch.arange(6) == 2)}
    by_turn, by_token = loss(each, "turn", None), loss(each, "token", None)
    assert float(by_turn.loss) == approx(float(by_token.loss), rel=1e-5)
    by_turn, by_row = loss(whole, "turn", None), loss(whole, "episode", None)
    assert float(by_turn.loss) == approx(float(by_row.loss), rel=1e-5)


@every_reduction
@pytest.mark.parametrize("junk", [float("inf"), float("nan")])
def test_only_kept_entries_reach_the_mean_and_its_gradient(reduction: Reduction, junk: float):
    b = batch()
    values = torch.where(b["mask"], b["values"], junk).requires_grad_()
    turns = torch.where(b["mask"], b["turns"], -7)
    mean = losses.masked_mean(values, b["mask"], reduction, turn_index=turns)
    clean = losses.masked_mean(b["values"], b["mask"], reduction, turn_index=b["turns"])
    assert float(mean.detach()) == float(clean)
    (slope,) = torch.autograd.grad(mean, values)
    assert float(slope.sum()) == approx(1.0)  # the weights of a mean
    assert slope[~b["mask"]].abs().max() == 0.0


def test_a_total_that_is_no_count_and_what_the_turn_mean_lacks_are_refused():
    b = batch()
    with pytest.raises(ValueError, match="total is 0; expected the positive count"):
        losses.masked_mean(b["values"], b["mask"], total=0)
    with pytest.raises(ValueError, match='reduction "turn" needs turn_index; give the turn of'):
        losses.masked_mean(b["values"], b["mask"], "turn")
    with pytest.raises(ValueError, match="turn_index is negative on a kept token"):
        losses.masked_mean(b["values"], b["mask"], "turn", turn_index=b["turns"] - 1)
    with pytest.raises(Exception, match="reduction"):
        losses.masked_mean(b["values"], b["mask"], "row")  # pyright: ignore[reportArgumentType]
