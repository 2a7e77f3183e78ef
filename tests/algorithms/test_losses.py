"""The losses: what holds for all of them, then each by identity and by hand.

That the policy gradient's expectation is right is proved in tests/identities.
"""

from collections.abc import Callable

import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import losses
from algorithms.losses import LossOutput

ROWS, TOKENS = 8, 6


def uniform(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def batch(seed: int = 0) -> dict[str, Tensor]:
    """Random values for every kind of argument; about a third of the mask is 0."""
    mask = uniform((ROWS, TOKENS), seed + 1) > 0.3
    mask[3] = False  # a row without any kept token
    return {
        "values": -2.0 * uniform((ROWS, TOKENS), seed + 2),
        "old": -2.0 * uniform((ROWS, TOKENS), seed + 3),
        "advantages": 4.0 * uniform((ROWS, TOKENS), seed + 4) - 2.0,
        "weights": uniform((ROWS, TOKENS), seed + 5),
        "mask": mask,
        "turns": torch.arange(TOKENS).expand(ROWS, TOKENS) // 2,
    }


Loss = Callable[[dict[str, Tensor], float | None], LossOutput]


def archer(b: dict[str, Tensor], total: float | None) -> LossOutput:
    v, targets, mask = b["values"], b["old"], b["mask"]
    return losses.archer_critic(
        v,
        2 * v,
        3 * v,
        4 * v,
        targets_for_q1=targets,
        targets_for_q2=targets + 1,
        targets_for_v1=targets + 2,
        targets_for_v2=targets + 3,
        mask=mask,
        total=total,
    )


def logits_of(b: dict[str, Tensor]) -> Tensor:
    return torch.stack([b["values"], 2 * b["values"], -b["values"]], dim=-1)


EVERY: dict[str, Loss] = {
    "likelihood": lambda b, n: losses.negative_log_likelihood(b["values"], b["mask"], total=n),
    "weighted": lambda b, n: losses.negative_log_likelihood(
        b["values"], b["mask"], b["weights"], n
    ),
    "policy": lambda b, n: losses.policy_gradient(b["values"], b["advantages"], b["mask"], n),
    "ppo": lambda b, n: losses.ppo_clip(
        b["values"], b["old"], b["advantages"], b["mask"], dual_clip=3.0, total=n
    ),
    "ppo by turn": lambda b, n: losses.ppo_clip(
        b["values"],
        b["old"],
        b["advantages"],
        b["mask"],
        ratio="turn",
        turn_index=b["turns"],
        total=n,
    ),
    "ppo by row": lambda b, n: losses.ppo_clip(
        b["values"], b["old"], b["advantages"], b["mask"], ratio="sequence", total=n
    ),
    "ppo by both": lambda b, n: losses.ppo_clip(
        b["values"],
        b["old"],
        b["advantages"],
        b["mask"],
        ratio="hybrid",
        total=n,
    ),
    "opmd": lambda b, n: losses.opmd(
        b["values"], b["old"], b["advantages"], b["mask"], tau=0.3, total=n
    ),
    "smoothing": lambda b, n: losses.entropy_smoothing(
        -b["values"], b["mask"], b["turns"], torch.tensor([0.8, 1.0, 1.2, 0.0, 0.0]), total=n
    ),
    "value": lambda b, n: losses.value_mse(b["values"], b["advantages"], b["mask"], total=n),
    "clipped value": lambda b, n: losses.value_mse(
        b["values"], b["advantages"], b["mask"], old_values=b["old"], clip=0.2, total=n
    ),
    "expectile": lambda b, n: losses.expectile(
        b["values"], b["advantages"], b["mask"], 0.8, total=n
    ),
    "kl": lambda b, n: losses.kl_penalty(b["values"], b["old"], b["mask"], "k3", total=n),
    "entropy": lambda b, n: losses.entropy(logits_of(b), b["mask"], total=n),
    "entropies": lambda b, n: losses.entropy(b["values"], b["mask"], total=n),
    "archer": archer,
}
every_loss = pytest.mark.parametrize("loss", EVERY.values(), ids=EVERY.keys())


def gradient(loss: Loss, b: dict[str, Tensor], total: float | None = None) -> Tensor:
    leaf = b["values"].clone().requires_grad_()
    (result,) = torch.autograd.grad(loss({**b, "values": leaf}, total).loss, leaf)
    return result


@every_loss
def test_eight_micro_batches_add_up_to_one_batch(loss: Loss):
    b = batch()
    total = float(b["mask"].sum())
    whole = loss(b, None)
    parts = [{name: value[row : row + 1] for name, value in b.items()} for row in range(ROWS)]
    assert sum(float(loss(part, total).loss) for part in parts) == approx(float(whole.loss))
    rows = torch.cat([gradient(loss, part, total) for part in parts])
    torch.testing.assert_close(rows, gradient(loss, b))


@every_loss
@pytest.mark.parametrize("junk", [123.0, float("inf"), float("-inf"), float("nan")])
def test_only_kept_entries_reach_the_loss_and_the_gradient(loss: Loss, junk: float):
    b = batch()
    spoiled = dict(b)
    for name in ("values", "old", "advantages", "weights"):
        spoiled[name] = torch.where(b["mask"], b[name], junk)
    spoiled["turns"] = torch.where(b["mask"], b["turns"], -1)
    assert float(loss(spoiled, None).loss) == float(loss(b, None).loss)
    assert loss(spoiled, None).metrics == loss(b, None).metrics
    plain, slopes = gradient(loss, b), gradient(loss, spoiled)
    torch.testing.assert_close(slopes, plain)
    assert slopes[~b["mask"]].abs().max() == 0.0
    assert plain[b["mask"]].abs().max() > 0.0


@every_loss
def test_padding_on_the_right_and_the_order_of_the_rows_change_nothing(loss: Loss):
    b = batch()
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(5))
    shuffled = {name: value[order] for name, value in b.items()}
    padded = {name: torch.nn.functional.pad(value, (0, 3)) for name, value in b.items()}
    expected = float(loss(b, None).loss)
    assert float(loss(shuffled, None).loss) == approx(expected)
    assert float(loss(padded, None).loss) == approx(expected)


@every_loss
def test_half_precision_input_is_computed_in_float32(loss: Loss):
    b = batch()
    halves = {
        name: value.bfloat16() if value.is_floating_point() else value for name, value in b.items()
    }
    widened = {
        name: value.float() if value.is_floating_point() else value
        for name, value in halves.items()
    }
    assert loss(halves, None).loss.dtype == torch.float32
    # what the helpers of this file compute from the values (2 * v, t + 1) may round on the way
    assert float(loss(halves, None).loss) == approx(float(loss(widened, None).loss), rel=2e-3)


@every_loss
def test_a_batch_without_any_kept_entry_gives_zero_loss_and_gradient(loss: Loss):
    b = batch()
    b["mask"] = torch.zeros_like(b["mask"])
    assert float(loss(b, None).loss) == 0.0
    assert gradient(loss, b).abs().max() == 0.0


@every_loss
def test_a_float_mask_of_zeros_and_ones_is_a_mask(loss: Loss):
    b = batch()
    as_float = {**b, "mask": b["mask"].float()}
    assert float(loss(as_float, None).loss) == float(loss(b, None).loss)


def test_what_is_not_trained_must_arrive_detached():
    b = batch()
    live = b["old"].clone().requires_grad_()
    with pytest.raises(ValueError, match="old_logprobs carries a gradient; detach it where"):
        losses.ppo_clip(b["values"], live, b["advantages"], b["mask"])
    with pytest.raises(ValueError, match="advantages carries a gradient"):
        losses.policy_gradient(b["values"], live, b["mask"])
    with pytest.raises(ValueError, match="targets carries a gradient"):
        losses.value_mse(b["values"], live, b["mask"])
    with pytest.raises(ValueError, match="reference_logprobs carries a gradient"):
        losses.kl_penalty(b["values"], live, b["mask"])
    with pytest.raises(ValueError, match="targets_for_q1 carries a gradient"):
        archer({**b, "old": live}, None)


def test_shapes_that_do_not_fit_are_refused_in_these_tests():
    b = batch()
    with pytest.raises(Exception, match="mask"):
        losses.policy_gradient(b["values"], b["advantages"], b["mask"][:, :1])
    with pytest.raises(Exception, match="advantages"):
        losses.policy_gradient(b["values"], b["advantages"][0], b["mask"])
