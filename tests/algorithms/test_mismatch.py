"""The correction between sampler and learner, by unit and by what becomes of large ratios."""

import math
from typing import Any

import torch
from pytest import approx

from algorithms.mismatch import importance_weights

NAN = math.nan
SAID = torch.tensor([[NAN, -1.0, -1.0, NAN, -1.0]])
OWN = torch.log(torch.tensor([[0.5, 2.0, 0.5, NAN, 4.0]])) + SAID.nan_to_num(nan=-1.0)
TURNS = torch.tensor([[-1, 0, 0, -1, 1]])


def test_a_unit_shares_one_ratio_and_what_is_unknown_weighs_one():
    def weights(**how: Any) -> list[float]:
        return importance_weights(SAID, OWN, 100.0, **how)[0].tolist()

    assert weights() == approx([1.0, 2.0, 0.5, 1.0, 4.0])
    assert weights(unit="turn", turn_index=TURNS) == approx([1.0, 1.0, 1.0, 1.0, 4.0])
    mean = 4.0 ** (1 / 3)
    assert weights(unit="sequence") == approx([1.0, mean, mean, 1.0, mean])


def test_a_ratio_above_the_cap_is_cut_or_dropped():
    cut = importance_weights(SAID, OWN, 3.0)
    assert cut[0].tolist() == approx([1.0, 2.0, 0.5, 1.0, 3.0])
    dropped = importance_weights(SAID, OWN, 3.0, beyond="drop")
    assert dropped[0].tolist() == approx([1.0, 2.0, 0.5, 1.0, 0.0])


def test_equal_words_weigh_one_and_no_cap_corrects_nothing():
    said = torch.tensor([[-0.5, -3.0]])
    assert importance_weights(said, said, 1.0).tolist() == [[1.0, 1.0]]
    assert importance_weights(said, said + 1.0, None).tolist() == [[1.0, 1.0]]


def test_impossible_words_give_finite_weights():
    said = torch.tensor([[-math.inf, -1.0, -1.0]])
    own = torch.tensor([[-1.0, -math.inf, -1.0]])
    weights = importance_weights(said, own, 2.0)
    assert weights[0].tolist() == approx([2.0, 0.0, 1.0], abs=1e-6)
    assert importance_weights(said, own, 2.0, unit="sequence").isfinite().all()
