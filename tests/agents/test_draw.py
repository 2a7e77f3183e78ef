"""Sampling one token a row: frequencies, filters, and the probabilities that are recorded."""

from typing import Any

import pytest
import torch
from pytest import approx
from torch import Tensor

from agents.sampling import Sampling, draw

ROWS = 20_000
EVEN = (torch.arange(ROWS, dtype=torch.float64) + 0.5) / ROWS  # every part of [0, 1) alike
PROBABILITIES = torch.tensor([0.02, 0.4, 0.0, 0.08, 0.3, 0.2])


def outcome(sampling: Sampling, probabilities: Tensor = PROBABILITIES) -> tuple[Tensor, Tensor]:
    """How often each token comes, and the probability recorded with it (0 where it never comes)."""
    logits = probabilities.log().expand(ROWS, -1)
    picks, logprobs = draw(logits, EVEN, sampling)
    share = torch.bincount(picks, minlength=len(probabilities)) / ROWS
    recorded = torch.zeros(len(probabilities)).index_put((picks,), logprobs.exp())
    return share, recorded


def normalised(weights: list[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), PROBABILITIES.tolist()),
        (Sampling(temperature=0.5), normalised([p**2 for p in PROBABILITIES.tolist()])),
        (Sampling(temperature=2.0), normalised([p**0.5 for p in PROBABILITIES.tolist()])),
        (Sampling(top_k=2), normalised([0, 0.4, 0, 0, 0.3, 0])),
        (Sampling(top_k=99), PROBABILITIES.tolist()),
        (Sampling(top_p=0.65), normalised([0, 0.4, 0, 0, 0.3, 0])),
        (Sampling(top_p=0.75), normalised([0, 0.4, 0, 0, 0.3, 0.2])),
        (Sampling(top_p=1e-6), [0, 1, 0, 0, 0, 0]),
        (Sampling(top_p=1.0), PROBABILITIES.tolist()),
        (Sampling(top_k=3, top_p=0.65), normalised([0, 0.4, 0, 0, 0.3, 0])),
        (Sampling(temperature=0.0), [0, 1, 0, 0, 0, 0]),
        (Sampling(min_p=0.45), normalised([0, 0.4, 0, 0, 0.3, 0.2])),
        (Sampling(min_p=0.55, temperature=0.5), normalised([0, 0.16, 0, 0, 0.09, 0])),
        (Sampling(min_p=1.0), [0, 1, 0, 0, 0, 0]),
        (Sampling(min_p=0.0), PROBABILITIES.tolist()),
    ],
    ids=str,
)
def test_tokens_come_as_often_as_they_should_and_say_so(sampling: Sampling, expected: list[float]):
    share, recorded = outcome(sampling)
    assert share.tolist() == approx(expected, abs=1.5 / ROWS)
    assert recorded.tolist() == approx(expected, abs=1e-5)
    assert float(recorded.sum()) == approx(1.0, abs=1e-5)


def test_what_is_impossible_is_never_drawn_even_at_the_ends_of_the_unit_interval():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf]]).expand(3, -1)
    ends = torch.tensor([0.0, 0.5, 1.0 - 2.0**-53], dtype=torch.float64)
    picks, logprobs = draw(logits, ends, Sampling())
    assert picks.tolist() == [1, 3, 3]
    assert torch.isfinite(logprobs).all()


def test_a_large_vocabulary_is_drawn_to_its_last_token():
    words = 150_000
    picks, _ = draw(torch.zeros(4, words), torch.tensor([0.0, 0.25, 0.5, 1 - 1e-9]), Sampling())
    assert picks.tolist() == approx([0, words / 4, words / 2, words - 1], abs=2)


def test_each_row_has_its_own_distribution_and_its_own_chance():
    logits = torch.tensor([[9.0, 0.0, 0.0], [0.0, 0.0, 9.0], [0.0, 0.0, 0.0]])
    picks, logprobs = draw(logits, torch.tensor([0.5, 0.5, 0.4]).double(), Sampling())
    assert picks.tolist() == [0, 2, 1]
    expected = torch.log_softmax(logits, -1)[torch.arange(3), picks]
    torch.testing.assert_close(logprobs, expected)


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1}, {"top_k": 0}, {"top_p": 0}, {"top_p": 1.5}, {"max_new_tokens": 0}],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, Any]):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} .*expected"):
        Sampling(**wrong)


@pytest.mark.parametrize("scale", [0.01, 3.0])  # a nucleus of thousands of tokens, and of a few
def test_the_nucleus_is_that_of_the_sorted_vocabulary(scale: float):
    logits = scale * torch.randn(1, 2000, generator=torch.Generator().manual_seed(0))
    probabilities = torch.softmax(logits[0].double(), -1)
    ordered, order = probabilities.sort(descending=True)
    kept = order[ordered.cumsum(0) - ordered < 0.6]
    middle = torch.zeros(2000, dtype=torch.float64)  # the number that picks each token it holds
    middle[kept.sort().values] = probabilities[kept.sort().values].cumsum(0) / (
        probabilities[kept].sum()
    ) - probabilities[kept.sort().values] / (2 * probabilities[kept].sum())
    uniforms = middle[kept]
    picks, logprobs = draw(logits.expand(len(kept), -1), uniforms, Sampling(top_p=0.6))
    assert picks.tolist() == kept.tolist()
    assert float(logprobs.exp().sum()) == approx(1.0, abs=1e-4)
