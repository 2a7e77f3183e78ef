from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from pytest import approx
from torch import Tensor

from agents.chat import Chat
from algorithms import losses
from algorithms.batch import TokenBatch, make_batch
from algorithms.forward import by_length, policy_logprobs, recompute_logprobs
from lmenvs.types import Action, Episode, Turn
from tests.support.language import chat, model, policy, talk, tokenizer

END, SYSTEM, USER, ASSISTANT = 1, 2, 3, 4


def played(*actions: Action, truncated: bool = False, final: str = "z") -> Episode:
    turns = tuple(Turn("seen", action, 0.0) for action in actions)
    return Episode("e", "e", 0, "all", "i", turns, final, not truncated, truncated, False)


def action(prompt: Sequence[int], tokens: Sequence[int], *, fresh: bool = False) -> Action:
    return Action("said", tuple(prompt), tuple(tokens), fresh=fresh)


TWO = [
    played(action([10, 11], [20, END], fresh=True), action([12], [21, 22, END])),
    played(action([10], [23], fresh=True), truncated=True),
]


def sampled() -> tuple[list[Episode], Chat]:
    """Five episodes of a language model, of different lengths; two of them were cut."""
    speaker = policy()
    long, short = talk(speaker, ["a", "bee", "cedar"], turns=4), talk(speaker, ["d", "e2"], turns=2)
    episodes = [one.episode(truncated=one.name in "bee d") for one in (*long, *short)]
    return episodes, speaker.chat


def test_two_episodes_laid_out_by_hand():
    batch = make_batch(TWO, chat())
    shown = [END, USER, *tokenizer().encode("z"), ASSISTANT]  # the answer was cut before its end
    second = [10, 23, *shown]
    assert batch.ids[0].tolist() == [10, 11, 20, END, 12, 21, 22, END]
    assert batch.ids[1, : len(second)].tolist() == second
    assert batch.lengths.tolist() == [8, len(second)]
    assert batch.policy_mask.int().tolist() == [[0, 0, 1, 1, 0, 1, 1, 1], [0, 1, 0, 0, 0, 0, 0, 0]]
    assert batch.turn_index[0].tolist() == [-1, -1, 0, 0, -1, 1, 1, 1]
    assert batch.before_turn.tolist() == [[1, 4], [0, 0]]
    assert batch.after_turn.tolist() == [[3, 7], [1, 0]]
    assert batch.turn_mask.tolist() == [[True, True], [True, False]]
    assert batch.bootstrap.tolist() == [-1, len(second) - 1]
    assert batch.episode.tolist() == [0, 1]
    assert batch.policy_tokens == 6 and len(batch) == 2


def test_a_prompt_that_was_rebuilt_begins_a_row_and_no_token_comes_twice():
    cut = played(
        action([10], [20, END], fresh=True),
        action([11], [21, END]),
        action([10, 11, 12], [22, END], fresh=True),
        action([13], [23, END]),
        truncated=True,
    )
    batch = make_batch([TWO[0], cut], chat())
    assert batch.episode.tolist() == [0, 1, 1] and batch.first_turn.tolist() == [0, 0, 2]
    trained = [batch.ids[row][batch.policy_mask[row]].tolist() for row in range(3)]
    assert trained == [[20, END, 21, 22, END], [20, END, 21, END], [22, END, 23, END]]
    assert batch.bootstrap[1] == -1  # an episode is cut once, behind its last row
    assert batch.bootstrap[2] == batch.lengths[2] - 1 > batch.after_turn[2, 1]
    numbers = [np.arange(2.0), np.array([5.0, 6.0, 7.0, 8.0])]
    grid = batch.turn_grid(numbers)
    assert grid.tolist() == [[0, 1], [5, 6], [7, 8]]
    assert [a.tolist() for a in batch.by_episode(grid, 2)] == [a.tolist() for a in numbers]


def test_merged_and_split_prompts_train_the_same_tokens_alike():
    # one row with two turns, against the same turns as two rows that both begin at the start
    first, second = action([2, 40], [41, END], fresh=True), action([3, 42, 4], [43, 44, END])
    whole = (*first.prompt_ids, *first.token_ids, *second.prompt_ids)
    rebuilt = action(whole, second.token_ids, fresh=True)
    language_model = model()
    merged, split = (make_batch([played(first, last)], chat()) for last in (second, rebuilt))
    assert len(merged) == 1 and len(split) == 2
    signal = [np.array([2.0, -1.0])]
    results = []
    for batch in (merged, split):
        logprobs, _ = policy_logprobs(language_model, batch)
        loss = losses.policy_gradient(logprobs, batch.spread(signal), batch.policy_mask).loss
        results.append((float(loss.detach()), gradient(language_model, loss)))
    assert results[0][0] == approx(results[1][0], rel=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-5, rtol=1e-4)


def gradient(language_model: torch.nn.Module, loss: Tensor) -> Tensor:
    slopes = torch.autograd.grad(loss, list(language_model.parameters()))
    return torch.cat([slope.flatten() for slope in slopes])


def nll(batch: TokenBatch, language_model: torch.nn.Module, total: float | None = None) -> Tensor:
    logprobs, _ = policy_logprobs(language_model, batch)  # type: ignore[arg-type]
    return losses.negative_log_likelihood(logprobs, batch.policy_mask, total=total).loss


def test_the_learners_logprobs_are_the_samplers():
    speaker = policy()
    talks = talk(speaker, ["a", "bee", "cedar"], turns=4)
    batch = make_batch([one.episode() for one in talks], speaker.chat)
    logprobs, entropy = policy_logprobs(speaker.model, batch)
    for row, one in enumerate(talks):
        recorded = [logprob for a in one.actions for logprob in a.logprobs]
        assert logprobs[row][batch.policy_mask[row]].tolist() == approx(recorded, abs=2e-4)
    off = ~batch.policy_mask
    assert logprobs[off].abs().max() == 0 == entropy[off].abs().max()
    assert (entropy[batch.policy_mask] > 0).all()
    ids = batch.ids[:1, :5]  # the entropy by its definition, of one position
    distribution = torch.softmax(speaker.model(ids).logits[0, -1].detach(), -1)
    one = replace(batch.rows([0]), policy_mask=torch.zeros_like(batch.rows([0]).policy_mask))
    one.policy_mask[0, 5] = True
    expected = -(distribution * distribution.log()).sum().item()
    assert policy_logprobs(speaker.model, one)[1][0, 5].item() == approx(expected, abs=1e-4)


def test_at_another_temperature_the_logits_are_divided_by_it():
    episodes, style = sampled()
    batch, language_model = make_batch(episodes, style), model()
    cold = model()
    with torch.no_grad():
        cold.lm_head.weight *= 2  # type: ignore[index, union-attr]
    halved, _ = policy_logprobs(language_model, batch, temperature=0.5)
    torch.testing.assert_close(halved, policy_logprobs(cold, batch)[0], atol=1e-4, rtol=1e-4)


def test_padding_order_and_micro_batches_change_neither_loss_nor_gradient():
    episodes, style = sampled()
    language_model = model()
    batch = make_batch(episodes, style)
    loss = nll(batch, language_model)
    expected = gradient(language_model, loss)
    padded = replace(
        batch,
        ids=torch.nn.functional.pad(batch.ids, (0, 9), value=77),
        policy_mask=torch.nn.functional.pad(batch.policy_mask, (0, 9)),
        turn_index=torch.nn.functional.pad(batch.turn_index, (0, 9), value=-1),
    )
    for same in (padded, batch.rows([3, 0, 4, 1, 2]), make_batch(episodes[::-1], style)):
        other = nll(same, language_model)
        assert float(other) == approx(float(loss), rel=1e-5)
        torch.testing.assert_close(gradient(language_model, other), expected, atol=1e-5, rtol=1e-3)
    total = float(batch.policy_tokens)
    for micro_tokens in (1, 150, 10**6):
        parts = [batch.rows(rows) for rows in by_length(batch.lengths, micro_tokens)]
        slopes = [gradient(language_model, nll(part, language_model, total)) for part in parts]
        torch.testing.assert_close(sum(slopes), expected, atol=1e-5, rtol=1e-3)


def test_only_what_the_policy_said_is_trained():
    episodes, style = sampled()
    batch, language_model = make_batch(episodes, style), model()
    logprobs, _ = policy_logprobs(language_model, batch)
    loss = losses.negative_log_likelihood(logprobs, batch.policy_mask).loss
    # a token after an episode's last policy token can be anything
    after = torch.arange(batch.ids.shape[1]) > batch.after_turn.amax(-1, keepdim=True)
    changed = replace(batch, ids=torch.where(after, 99, batch.ids))
    assert float(nll(changed, language_model)) == approx(float(loss), rel=1e-5)
    # the logits where the world speaks get no gradient: only predictors of policy tokens do
    seen: list[Tensor] = []
    head = language_model.get_output_embeddings()
    hook = head.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))  # type: ignore[union-attr]
    policy_logprobs(language_model, batch)
    hook.remove()
    told = {tuple(batch.ids[row, :column].tolist()) for row, column in batch.policy_mask.nonzero()}
    assert sum(len(rows) for rows in seen) == len(told) <= batch.policy_tokens < batch.ids.numel()


@pytest.mark.parametrize("way", ["auto", "padded", "shared", "packed", "computed again"])
def test_groups_train_as_a_plain_padded_masked_forward_says(way: str):
    # the members of a group begin alike, and two of them say the same for a while
    speaker = policy()
    episodes = [one.episode(truncated=one.name == "a") for one in talk(speaker, ["a", "bee"], 3)]
    last = episodes[0].turns[2]
    other = replace(last, action=replace(last.action, token_ids=(40, 41, END)))
    episodes.append(replace(episodes[0], turns=(*episodes[0].turns[:2], other)))
    batch, language_model = make_batch(episodes, speaker.chat), model().double()
    advantages = torch.randn(batch.ids.shape, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(batch.ids.shape[1]) < batch.lengths[:, None]
    logits = language_model(input_ids=batch.ids, attention_mask=mask.long()).logits
    every = torch.log_softmax(logits[:, :-1], -1).gather(-1, batch.ids[:, 1:, None])[..., 0]
    chosen = torch.nn.functional.pad(every, (1, 0))
    expected = -(torch.where(batch.policy_mask, chosen * advantages, 0.0)).sum()
    again = way == "computed again"
    logprobs, _ = policy_logprobs(
        language_model,
        batch,
        way="shared" if again else way,  # type: ignore[arg-type]
        checkpointing=again,
    )
    loss = -(logprobs * advantages * batch.policy_mask).sum()
    assert loss.item() == approx(expected.item(), rel=1e-6)
    slopes = gradient(language_model, expected)
    torch.testing.assert_close(
        gradient(language_model, loss), slopes, rtol=0, atol=1e-6 * float(slopes.abs().max())
    )


def test_rows_are_cut_to_what_they_need():
    batch = make_batch(sampled()[0], chat())
    part = batch.rows([4, 3])
    assert part.ids.shape[1] == int(batch.lengths[3:].max()) < batch.ids.shape[1]
    assert part.turn_mask.shape[1] == 2
    assert part.episode.tolist() == [4, 3]
    everything = batch.rows(range(5))
    assert all(
        torch.equal(getattr(everything, f.name), getattr(batch, f.name)) for f in fields(batch)
    )
    assert batch.rows(np.array([4, 3])).episode.tolist() == [4, 3]


def test_every_row_is_in_one_micro_batch_and_none_is_too_wide():
    lengths = torch.tensor([5, 100, 7, 30, 31, 100, 1])
    groups = [rows.tolist() for rows in by_length(lengths, 64)]
    assert sorted(row for rows in groups for row in rows) == list(range(7))
    for rows in groups:
        assert len(rows) == 1 or len(rows) * int(lengths[rows].max()) <= 64
    assert [1] in groups and [5] in groups  # too long for any company
    assert [rows.tolist() for rows in by_length(lengths, 10**9)] == [[1, 5, 4, 3, 2, 0, 6]]


def test_logprobs_recomputed_in_parts_are_those_of_the_whole():
    episodes, style = sampled()
    batch, language_model = make_batch(episodes, style), model()
    whole, _ = policy_logprobs(language_model, batch)
    for micro_tokens in (1, 200, 10**6):
        parts = recompute_logprobs(language_model, batch, micro_tokens)
        assert not parts.requires_grad
        torch.testing.assert_close(parts, whole.detach(), atol=2e-5, rtol=1e-4)


def test_each_policy_token_gets_the_number_of_its_turn():
    batch = make_batch(TWO, chat())
    spread = batch.spread([np.array([3.0, 4.0]), np.array([5.0])])
    assert spread[0].tolist() == [0, 0, 3, 3, 0, 4, 4, 4]
    assert spread[1].tolist() == [0, 5, 0, 0, 0, 0, 0, 0]
    assert spread.dtype == torch.float32
    with pytest.raises(ValueError, match="episode 0 .* 1 numbers for at least 2 turns"):
        batch.spread([np.array([3.0]), np.array([5.0])])


def test_turn_grid_and_by_episode_are_inverse():
    episodes, style = sampled()
    batch = make_batch([*episodes[:2], replace(episodes[2], turns=()), *episodes[3:]], style)
    draws = np.random.default_rng(0)
    numbers = [draws.normal(size=n).astype(np.float32) for n in (4, 4, 0, 2, 2)]
    mixed = batch.rows([2, 0, 3, 1])
    for one in (batch, mixed):
        back = one.by_episode(one.turn_grid(numbers), 5)
        assert all((a == b).all() and len(a) == len(b) for a, b in zip(back, numbers, strict=True))


def test_a_full_window_is_bootstrapped_at_the_last_token_that_fits():
    whole = make_batch([TWO[1]], chat())
    small = make_batch([TWO[1]], Chat(tokenizer(), context=4))
    assert small.ids.tolist() == whole.ids[:, :4].tolist()
    assert small.bootstrap.tolist() == [3]
    exact = make_batch([TWO[1]], Chat(tokenizer(), context=2))
    assert exact.ids.tolist() == [[10, 23]] and exact.bootstrap.tolist() == [1]
    with pytest.raises(ValueError, match="8 tokens, but the model reads 7"):
        make_batch([TWO[0]], Chat(tokenizer(), context=7))


def test_episodes_without_turns_cannot_be_trained_on():
    with pytest.raises(ValueError, match="no episode with a turn"):
        make_batch([replace(TWO[0], turns=())], chat())
