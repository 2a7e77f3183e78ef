"""The correction between sampler and learner, and what becomes of large ratios."""

import math
from dataclasses import replace

import torch
from pytest import approx

from algorithms.batch import make_batch
from algorithms.mismatch import importance_weights, sampler_logprobs
from lmenvs.types import Action, Episode, Turn
from tests.support.language import chat

NAN = math.nan
SAID = torch.tensor([[NAN, -1.0, -1.0, NAN, -1.0]])
OWN = torch.log(torch.tensor([[0.5, 2.0, 0.5, NAN, 4.0]])) + SAID.nan_to_num(nan=-1.0)


def test_a_token_weighs_its_ratio_up_to_the_cap_and_what_is_unknown_weighs_one():
    free, cut = (importance_weights(SAID, OWN, cap)[0].tolist() for cap in (100.0, 3.0))
    assert free == approx([1.0, 2.0, 0.5, 1.0, 4.0])
    assert cut == approx([1.0, 2.0, 0.5, 1.0, 3.0])


def test_equal_words_weigh_one_and_no_cap_corrects_nothing():
    said = torch.tensor([[-0.5, -3.0]])
    assert importance_weights(said, said, 1.0).tolist() == [[1.0, 1.0]]
    assert importance_weights(said, said + 1.0, None).tolist() == [[1.0, 1.0]]


def test_impossible_words_give_finite_weights():
    said = torch.tensor([[-math.inf, -1.0, -1.0]])
    own = torch.tensor([[-1.0, -math.inf, -1.0]])
    weights = importance_weights(said, own, 2.0)
    assert weights[0].tolist() == approx([2.0, 0.0, 1.0], abs=1e-6)


def test_what_the_sampler_said_is_known_turn_by_turn():
    said = Action("a", (1,), (5, 6), (-0.5, -0.25), fresh=True)
    silent = Action("b", (2,), (7,))
    turns = tuple(Turn("seen", one, 0.0) for one in (said, silent, replace(said, fresh=False)))
    one = Episode("e", "e", 0, "all", "i", turns, "z", True, False, False)
    batch = make_batch([one], chat())
    found = sampler_logprobs(batch, [one])[batch.policy_mask].tolist()
    assert found[:2] == found[3:] == [-0.5, -0.25] and math.isnan(found[2])
