"""Branches packed onto one copy of an episode, against the same branches written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pytest import approx
from torch import Tensor

from agents.critics import TurnCritic
from agents.lm import LMPolicy
from agents.sampling import Sampling
from algorithms.batch import TokenBatch, make_batch
from algorithms.utterances.siblings import Siblings, draws, grow, sample_siblings, sibling_logprobs
from tests.support.language import (
    FULL_ATTENTION,
    full_logprobs,
    model,
    policy,
    talk,
    with_random_heads,
)

COUNT, LONGEST = 3, 5


def grown_batch(family: str = "llama") -> tuple[LMPolicy, TokenBatch, Siblings]:
    """Three episodes of unequal length with three branches at every turn."""
    speaker = policy(model(family))
    talks = [*talk(speaker, ["a", "bee"], turns=3), *talk(speaker, ["d"], turns=1)]
    batch = make_batch([one.episode() for one in talks], speaker.chat)
    sampling = Sampling(max_new_tokens=LONGEST)
    chance = draws(batch, COUNT, sampling, np.random.default_rng(3))
    siblings = sample_siblings(speaker.model, batch, COUNT, speaker.chat.stop_id, sampling, chance)
    return speaker, batch, siblings


def written_out(batch: TokenBatch, siblings: Siblings, row: int, branch: int) -> list[int]:
    """The episode up to the observation that the branch answers, and the branch."""
    stem = batch.ids[row, : int(batch.before_turn[row, branch // COUNT]) + 1]
    return [*stem.tolist(), *siblings.token_ids[row, branch][siblings.mask[row, branch]].tolist()]


@pytest.mark.parametrize("family", FULL_ATTENTION)
def test_packed_branches_have_the_logprobs_of_written_out_ones(family: str):
    speaker, batch, siblings = grown_batch(family)
    packed, entropy = sibling_logprobs(speaker.model, grow(batch, siblings), siblings)
    # what was recorded while sampling is what is computed again
    torch.testing.assert_close(siblings.logprobs, packed.detach(), atol=2e-4, rtol=1e-3)
    lengths = set()
    for row, branch in siblings.branch_mask.nonzero().tolist():
        ids = written_out(batch, siblings, row, branch)
        count = int(siblings.mask[row, branch].sum())
        expected = full_logprobs(speaker.model, ids)[-count:]
        assert packed[row, branch, :count].tolist() == approx(expected, abs=2e-4)
        lengths.add(count)
    assert len(lengths) > 1
    assert packed[~siblings.mask].abs().max() == 0 == entropy[~siblings.mask].abs().max()


def test_there_are_branches_exactly_where_there_are_turns():
    _, batch, siblings = grown_batch()
    assert torch.equal(siblings.branch_mask, batch.turn_mask.repeat_interleave(COUNT, 1))
    stop = 1
    for row, branch in siblings.branch_mask.nonzero().tolist():
        said = siblings.token_ids[row, branch][siblings.mask[row, branch]].tolist()
        assert stop not in said[:-1]
        assert said[-1] == stop or len(said) == LONGEST


def test_branches_are_drawn_as_the_policy_draws():
    # the same uniform numbers give the same tokens as sampling in a conversation would
    speaker, batch, siblings = grown_batch()
    uniforms = np.random.default_rng(3).random((*siblings.branch_mask.shape, LONGEST))
    branches = siblings.branch_mask.shape[1]
    for branch in range(branches):
        turn = branch // COUNT
        asked = batch.ids[0, : int(batch.before_turn[0, turn]) + 1].tolist()
        said: list[int] = []
        for step in range(LONGEST):
            ids = torch.tensor([asked + said])
            logits = speaker.model(input_ids=ids).logits[0, -1].detach().double()
            cumulative = torch.softmax(logits, -1).cumsum(-1)
            said.append(int((cumulative <= uniforms[0, branch, step] * cumulative[-1]).sum()))
            if said[-1] == speaker.chat.stop_id:
                break
        assert siblings.token_ids[0, branch][siblings.mask[0, branch]].tolist() == said


def test_branches_come_as_often_as_the_policy_says():
    speaker = policy(tokens=1)
    (one,) = talk(speaker, ["a"], turns=1)
    batch = make_batch([one.episode()], speaker.chat)
    many = 20_000
    once = Sampling(max_new_tokens=1)
    chance = draws(batch, many, once, np.random.default_rng(3))
    siblings = sample_siblings(speaker.model, batch, many, 1, once, chance)
    share = torch.bincount(siblings.token_ids.flatten()).float() / many
    logits = speaker.model(input_ids=batch.ids[:, : int(batch.before_turn[0, 0]) + 1]).logits
    expected = torch.softmax(logits[0, -1], -1)[: len(share)]
    error = (expected * (1 - expected) / many).sqrt() * 5 + 1e-4
    assert ((share - expected).abs() < error).all()


@torch.no_grad()
def test_branches_do_not_see_each_other_nor_what_follows_in_the_episode():
    speaker, batch, siblings = grown_batch()
    plain, _ = sibling_logprobs(speaker.model, grow(batch, siblings), siblings)
    tokens = siblings.token_ids.clone()
    tokens[0, 1] += 7 * siblings.mask[0, 1]  # another branch of the same turn says something else
    after = torch.arange(batch.ids.shape[1]) > batch.before_turn[:, 1:2]
    other = replace(batch, ids=torch.where(after, 50, batch.ids))  # and so do later turns
    changed = replace(siblings, token_ids=tokens)
    moved, _ = sibling_logprobs(speaker.model, grow(other, changed), changed)
    kept = torch.ones(siblings.branch_mask.shape, dtype=torch.bool)
    kept[0, 1] = kept[2] = False  # (the last episode has no second turn)
    kept[:, 2 * COUNT :] = False  # the third turn's branches do follow what was changed
    torch.testing.assert_close(moved[kept], plain[kept], atol=1e-5, rtol=1e-4)
    assert (moved[0, 1] - plain[0, 1]).abs().max() > 1e-2
    assert (moved[0, 2 * COUNT :] - plain[0, 2 * COUNT :]).abs().max() > 1e-2


@torch.no_grad()
def test_the_episode_itself_is_read_as_without_branches():
    speaker, batch, siblings = grown_batch()
    critic = TurnCritic(speaker.model, values=2, action_values=2)
    with_random_heads(critic)
    grown = grow(batch, siblings)
    hidden = critic.encode_masked(grown.ids, grown.visible, grown.positions)
    plain = critic.encode(batch.ids)
    torch.testing.assert_close(hidden[:, : batch.ids.shape[1]], plain, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_q_at_the_end_of_a_branch_is_that_of_the_written_out_action():
    speaker, batch, siblings = grown_batch()
    critic = TurnCritic(speaker.model, action_values=2)
    with_random_heads(critic)
    grown = grow(batch, siblings)
    hidden = critic.encode_masked(grown.ids, grown.visible, grown.positions)
    packed = critic.action_values(hidden, grown.last)
    for row, branch in siblings.branch_mask.nonzero().tolist():
        ids = torch.tensor([written_out(batch, siblings, row, branch)])
        last = torch.tensor([[ids.shape[1] - 1]])
        expected = critic.action_values(critic.encode(ids), last)[0, 0]
        torch.testing.assert_close(packed[row, branch], expected, atol=1e-4, rtol=1e-3)


def gradient(language_model: torch.nn.Module, loss: Tensor) -> Tensor:
    slopes = torch.autograd.grad(loss, list(language_model.parameters()))
    return torch.cat([slope.flatten() for slope in slopes])


def test_the_gradient_through_packed_branches_is_that_of_written_out_ones():
    speaker, batch, siblings = grown_batch()
    packed, _ = sibling_logprobs(speaker.model, grow(batch, siblings), siblings)
    weights = torch.linspace(-1, 1, siblings.mask.shape[1])[None, :, None]
    expected = torch.zeros(())
    for row, branch in siblings.branch_mask.nonzero().tolist():
        ids = torch.tensor([written_out(batch, siblings, row, branch)])
        count = int(siblings.mask[row, branch].sum())
        logprobs = torch.log_softmax(speaker.model(input_ids=ids).logits[0, :-1], -1)
        chosen = logprobs.gather(1, ids[0, 1:, None])[-count:].sum()
        expected = expected + weights[0, branch, 0] * chosen
    torch.testing.assert_close(
        gradient(speaker.model, (packed * weights).sum()),
        gradient(speaker.model, expected),
        atol=2e-3,
        rtol=1e-3,
    )


@pytest.mark.parametrize("family", FULL_ATTENTION)
def test_branches_end_where_the_window_does(family: str):
    speaker = policy(model(family, context=48), tokens=4)
    (one,) = talk(speaker, ["a"], turns=1)
    batch = make_batch([one.episode()], speaker.chat)
    start = int(batch.before_turn[0, 0]) + 1
    batch = replace(batch, ids=batch.ids[:, : start + 2])
    near = policy(model(family, context=start + 2))
    six = Sampling(max_new_tokens=6)
    chance = draws(batch, 8, six, np.random.default_rng(0))
    siblings = sample_siblings(near.model, batch, 8, 1, six, chance)
    assert int(siblings.mask.sum(-1).max()) == 2
    packed, _ = sibling_logprobs(near.model, grow(batch, siblings), siblings)
    torch.testing.assert_close(siblings.logprobs, packed.detach(), atol=2e-4, rtol=1e-3)


def test_a_model_that_looks_back_over_a_window_has_no_branches():
    with pytest.raises(ValueError, match="window") as refusal:
        grown_batch("mistral")
    assert "\n" not in str(refusal.value)


def test_splitting_a_batch_changes_no_branch():
    speaker, batch, siblings = grown_batch()
    sampling = Sampling(max_new_tokens=LONGEST)
    chance = draws(batch, COUNT, sampling, np.random.default_rng(3))
    for row in range(len(batch)):
        part = batch.rows([row])
        alone = sample_siblings(
            speaker.model, part, COUNT, speaker.chat.stop_id, sampling, chance[[row]]
        )
        for branch in range(alone.mask.shape[1]):
            assert written_out(part, alone, 0, branch) == written_out(batch, siblings, row, branch)
