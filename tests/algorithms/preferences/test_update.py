"""The step that compared episodes drive: against written-out gradients, in parts and at once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import eto
from algorithms.batch import make_batch
from algorithms.forward import policy_logprobs
from algorithms.losses.preference import kto
from algorithms.preferences.pairs import Pair
from algorithms.preferences.update import (
    Compared,
    Layout,
    Preference,
    dpo_of,
    paired,
    renumbered,
    standing,
    step,
    turn_logprobs,
    update,
)
from algorithms.trainer.experience import Experience, read_episodes
from algorithms.trainer.learner import Learner
from tests.support.training import beginner, flat, played

CONFIG = eto.Config(epochs=1, minibatches=1, max_norm=1e9, micro_tokens=10**6)
BETA = 0.3
PLAIN = Preference(BETA, sft_weight=0.0)
# the numbers of episodes that share nothing but the task, and what of them is compared
PAIRS = [Pair(0, 1, 1.0), Pair(2, 1, 1.0, first=1), Pair(3, 2, 1.0, first=2, turns=1)]


def prepared(config: eto.Config = CONFIG) -> tuple[Learner, Experience]:
    """A learner that descends plainly, and four episodes of five turns."""
    learner = Learner(*beginner(), config)
    learner.optimizer = torch.optim.SGD(learner.trained, lr=0.1)
    long = [episode for episode in played(24, group_size=4) if len(episode.turns) == 5]
    return learner, read_episodes(learner, long[:4], config)


def trained(pairs: Sequence[Pair], config: eto.Config = CONFIG, **preference: Any) -> Tensor:
    """How far one update moves the weights."""
    learner, seen = prepared(config)
    before, chance = flat(learner.model), np.random.default_rng(0)
    chosen = replace(PLAIN, **preference)
    update(learner, seen, pairs, seen.old_logprobs, chosen, config, chance)
    return flat(learner.model) - before


def slope(episode: int, turns: range) -> Tensor:
    """The gradient of what some turns of an episode are likely, read alone."""
    learner, seen = prepared()
    tokens = make_batch([seen.episodes[episode]], learner.chat)
    logprobs, _ = policy_logprobs(learner.model, tokens)
    own = torch.zeros_like(tokens.policy_mask)
    for turn in turns:
        own |= tokens.turn_index == turn
    said = logprobs[own].sum()
    return torch.cat([g.flatten() for g in torch.autograd.grad(said, learner.trained)])


def test_sums_per_turn_are_the_sums_of_their_tokens():
    _, seen = prepared()
    table = Layout(seen.tokens, 4).sums(seen.tokens, seen.old_logprobs)
    tokens_ETL = seen.tokens.by_token(seen.old_logprobs, 4)
    wanted = [[float(tokens_L.sum()) for tokens_L in turns_TL] for turns_TL in tokens_ETL]
    torch.testing.assert_close(table, torch.tensor(wanted), atol=1e-4, rtol=1e-4)


def test_an_episode_of_several_rows_has_its_turns_in_order():
    learner, seen = prepared()
    episode = seen.episodes[0]
    cut = replace(
        episode,
        turns=tuple(
            replace(turn, action=replace(turn.action, fresh=number in (0, 2)))
            for number, turn in enumerate(episode.turns)
        ),
    )
    tokens = make_batch([cut, episode], learner.chat)
    assert len(tokens) == 3
    table = Layout(tokens, 2).sums(tokens, tokens.policy_mask.float())
    counts = [float(len(turn.action.token_ids)) for turn in episode.turns]
    assert table[0].tolist() == table[1].tolist() == counts


def test_the_first_step_pushes_each_pair_apart_by_half_beta_and_only_what_it_trains():
    wanted = slope(0, range(5)) - slope(1, range(5))
    wanted += slope(2, range(1, 5)) - slope(1, range(1, 5))
    wanted += slope(3, range(2, 3)) - slope(2, range(2, 3))
    moved = trained(PAIRS)
    assert moved.abs().max() > 1e-3
    torch.testing.assert_close(moved, 0.1 * BETA / 2 / 3 * wanted, atol=1e-5, rtol=1e-3)


def test_what_a_pair_does_not_train_gets_no_gradient():
    # the pair differs in turn 2 only, so no gradient depends on what stands behind it
    learner, seen = prepared()
    cut = [replace(e, turns=e.turns[:3], truncated=False, terminated=True) for e in seen.episodes]
    before, pairs = flat(learner.model), PAIRS[2:]
    short = read_episodes(learner, cut, CONFIG)
    chance = np.random.default_rng(0)
    update(learner, short, pairs, short.old_logprobs, PLAIN, CONFIG, chance)
    moved = flat(learner.model) - before
    torch.testing.assert_close(moved, trained(pairs), atol=1e-6, rtol=1e-3)


def test_per_token_divides_by_what_is_trained():
    _, seen = prepared()
    counts = Layout(seen.tokens, 4).counts
    size = [float(counts[pair, 1:].sum()) for pair in (2, 1)]
    wanted = slope(2, range(1, 5)) / size[0] - slope(1, range(1, 5)) / size[1]
    moved = trained(PAIRS[1:2], per_token=True)
    torch.testing.assert_close(moved, 0.1 * BETA / 2 * wanted, atol=1e-6, rtol=1e-3)


def test_in_parts_the_gradient_is_the_same():
    parts = replace(CONFIG, micro_tokens=64)  # one row each
    for preference in ({}, {"sft_weight": 0.1, "label_noise": 0.2, "per_token": True}):
        whole, pieces = (trained(PAIRS, config, **preference) for config in (CONFIG, parts))
        assert whole.abs().max() > 1e-4
        torch.testing.assert_close(pieces, whole, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("micro_tokens", [64, 10**6])
def test_any_loss_of_the_sums_can_be_stepped_along(micro_tokens: int):
    config = replace(CONFIG, micro_tokens=micro_tokens)
    learner, seen = prepared(config)
    before, layout = flat(learner.model), Layout(seen.tokens, 4)
    near = layout.sums(seen.tokens, seen.old_logprobs).sum(1)
    good = torch.tensor([True, False, True, False])
    read = turn_logprobs(learner.model, layout, config)
    step(learner, seen.tokens, read, lambda t: kto(t.sum(1), near, good, BETA), config)
    wanted = slope(0, range(5)) - slope(1, range(5)) + slope(2, range(5)) - slope(3, range(5))
    moved = flat(learner.model) - before
    torch.testing.assert_close(moved, 0.1 * BETA / 4 / 4 * wanted, atol=1e-5, rtol=1e-3)


def test_one_update_raises_the_margin():
    learner, seen = prepared()
    layout = Layout(seen.tokens, 4)
    near = layout.sums(seen.tokens, seen.old_logprobs)
    compared = Compared(PAIRS, near)
    loss = dpo_of(compared, near, layout.counts, PLAIN)
    assert loss(near).metrics["margin"] == approx(0.0, abs=1e-5)
    chance = np.random.default_rng(0)
    measured = update(learner, seen, PAIRS, seen.old_logprobs, PLAIN, CONFIG, chance)
    assert measured["loss/preference"] == approx(np.log(2), rel=1e-4)
    assert measured["loss/pairs"] == 3 and measured["loss/return_gap"] == 1.0
    with torch.no_grad():
        table = turn_logprobs(learner.model, layout, CONFIG)(seen.tokens)
    assert loss(table).metrics["margin"] > 0.01
    assert float(loss(table).loss) < np.log(2)


def test_without_pairs_nothing_moves():
    learner, seen = prepared()
    before, chance = flat(learner.model), np.random.default_rng(0)
    measured = update(learner, seen, [], seen.old_logprobs, Preference(), CONFIG, chance)
    assert measured == {"loss/pairs": 0, "loss/return_gap": 0.0}
    assert torch.equal(flat(learner.model), before)


def test_each_pass_takes_every_pair_once():
    config = replace(CONFIG, minibatches=3, epochs=2)
    learner, seen = prepared(config)
    steps = []
    learner.optimizer.register_step_post_hook(lambda *_: steps.append(1))
    chance = np.random.default_rng(0)
    update(learner, seen, PAIRS, seen.old_logprobs, PLAIN, config, chance)
    assert len(steps) == 6


def test_pairs_keep_their_meaning_when_episodes_are_left_out():
    numbers, pairs = renumbered([Pair(7, 2, 1.0), Pair(4, 2, 1.0, 3, 1)])
    assert numbers == [2, 4, 7]
    assert pairs == [Pair(2, 0, 1.0), Pair(1, 0, 1.0, 3, 1)]
    episodes = played(24, group_size=4)
    known, own = paired(episodes, [Pair(7, 2, 1.0)])
    assert [episodes.index(one) for one in known] == [2, 7] and own == [Pair(1, 0, 1.0)]
    assert paired(episodes, [], otherwise=3) == (episodes[:3], [])


def test_standing_counts_wins_and_losses_per_turn():
    _, seen = prepared()
    wins_ET = standing(seen.episodes, PAIRS)
    assert [wins_T.tolist() for wins_T in wins_ET] == [
        [1, 1, 1, 1, 1],
        [-1, -2, -2, -2, -2],
        [0, 1, 0, 1, 1],
        [0, 0, 1, 0, 0],
    ]


@pytest.mark.parametrize(
    "fields", [{"beta": 0.0}, {"label_noise": 0.5}, {"sft_weight": -1.0}, {"reference": "x"}]
)
def test_preferences_that_cannot_be_are_refused(fields: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(fields))):
        Preference(**fields)
