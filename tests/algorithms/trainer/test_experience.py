from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pytest import approx

from algorithms.forward import recompute_logprobs
from algorithms.metrics import normalised
from algorithms.mismatch import mismatch
from algorithms.reference import Reference
from algorithms.trainer.experience import kept_groups
from algorithms.trainer.update import update
from lmenvs.types import Action, Episode, Turn
from tests.support.learners import CONFIG, prepared, under
from tests.support.training import beginner, played, start


def grown() -> tuple[Any, Any]:
    """A model that has left its start."""
    model, style = beginner()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    return model, style


def rewards(episodes: list[Episode]) -> list[list[float]]:
    return [[turn.reward for turn in one.turns] for one in episodes]


@pytest.mark.parametrize("coefficient", [0.1, 0.5])
def test_a_kl_in_the_reward_is_taken_off_turn_by_turn(coefficient: float):
    config = under(reference_kl=coefficient, kl_in="reward")
    model, style = grown()
    reference = Reference(model, start())
    learner, seen = prepared(played(), config, "nothing", of=(model, style), reference=reference)
    near = recompute_logprobs(beginner()[0], seen.tokens, 10**6)
    x = (recompute_logprobs(model, seen.tokens, 10**6) - near).double()
    largest = 0.0
    for row, (one, before) in enumerate(zip(seen.episodes, played(), strict=True)):
        for t, (turn, was) in enumerate(zip(one.turns, before.turns, strict=True)):
            k1 = float(x[row][seen.tokens.turn_index[row] == t].sum())
            assert turn.reward == approx(was.reward - coefficient * k1, abs=1e-5)
            assert replace(turn, reward=was.reward) == was
            largest = max(largest, abs(k1))
    assert largest > 0.05
    assert seen.played == played() and seen.reference is None
    measured = update(learner, seen, seen.mask.float(), config, np.random.default_rng(0))
    assert "loss/reference_kl" not in measured  # it is not counted twice


def test_a_kl_in_the_loss_leaves_rewards_as_they_are():
    config = under(reference_kl=0.5)
    model, style = grown()
    reference = Reference(model, start())
    learner, seen = prepared(played(), config, "nothing", of=(model, style), reference=reference)
    assert seen.episodes == seen.played == played()
    assert seen.reference is not None
    near = recompute_logprobs(beginner()[0], seen.tokens, config.micro_tokens)
    assert torch.equal(seen.reference, near)
    measured = update(learner, seen, seen.mask.float(), config, np.random.default_rng(0))
    assert measured["loss/reference_kl"] > 1e-3


def of_group(group: str | None, reward: float) -> Episode:
    turns = (Turn("o", Action("a"), reward),)
    return Episode("e", "e", 0, "all", "i", turns, "", True, False, False, group=group)


def test_groups_of_equal_returns_are_left_out_if_that_is_asked():
    equal = [of_group("a", 1.0), of_group("a", 1.0)]
    apart = [of_group("b", 0.0), of_group("b", 1.0)]
    alone = [of_group("c", 3.0)]
    mixed = [equal[0], apart[0], alone[0], apart[1], equal[1]]
    assert kept_groups(mixed, "keep") == mixed
    assert kept_groups(mixed, "drop") == apart
    assert kept_groups([*equal, *alone], "drop") == [*equal, *alone]  # nothing else is there


def test_left_out_groups_count_in_no_mean():
    episodes = [replace(one, group=str(i // 4)) for i, one in enumerate(played())]
    same = [replace(one, turns=one.turns[:1]) for one in episodes[:4]]  # nobody has won yet
    assert len(set(map(sum, rewards(same)))) == 1
    differing = [one for one in episodes[4:] if kept_groups(episodes[4:], "drop").count(one)]
    assert differing
    advantages = {}
    for how in ("keep", "drop"):
        _, seen = prepared(kept_groups([*same, *differing], how), CONFIG, "nothing")
        advantages[how] = seen
    assert advantages["drop"].episodes == differing
    assert len(advantages["keep"].episodes) == len(differing) + 4
    assert advantages["drop"].mask.sum() < advantages["keep"].mask.sum()


def test_turns_are_normalised_however_long_they_are_and_tokens_one_by_one():
    episodes = played(4)
    _, seen = prepared(episodes, CONFIG, "nothing")
    chance = np.random.default_rng(0)
    per_turn = [chance.normal(size=len(one.turns)) for one in episodes]
    per_token = [
        [chance.normal(size=len(turn.action.token_ids)) for turn in one.turns] for one in episodes
    ]
    plain = seen.spread(per_turn)
    assert torch.equal(plain, seen.tokens.spread(per_turn))
    flat_T = np.concatenate(per_turn)
    centred = seen.spread(per_turn, "centre")
    expected = torch.where(seen.mask, plain - flat_T.mean(), 0.0)
    torch.testing.assert_close(centred, expected, atol=1e-6, rtol=0)
    assert torch.equal(
        seen.spread(per_turn, "standardise"), seen.tokens.spread(normalised(per_turn))
    )
    laid = seen.lay_out(per_token)
    assert torch.equal(laid, seen.tokens.token_grid(per_token))
    centred, scaled = (seen.lay_out(per_token, how)[seen.mask] for how in ("centre", "standardise"))
    torch.testing.assert_close(centred, laid[seen.mask] - laid[seen.mask].mean())
    assert float(scaled.mean()) == approx(0.0, abs=1e-6)
    assert float(scaled.std(correction=0)) == approx(1.0, abs=1e-5)


def test_what_is_not_trained_counts_in_no_mean():
    episodes = played(4)
    trained_ET = [np.arange(len(one.turns)) % 2 == 0 for one in episodes]
    _, seen = prepared(episodes, CONFIG, "nothing", trained_turns_ET=trained_ET)
    _, whole = prepared(episodes, CONFIG, "nothing")
    chosen = [np.where(trained_T, i + 1.0, 1e6) for i, trained_T in enumerate(trained_ET)]
    centred = seen.spread(chosen, "centre")
    mean = np.concatenate([c[t] for c, t in zip(chosen, trained_ET, strict=True)]).mean()
    assert bool((seen.mask <= whole.mask).all()) and bool((centred[~seen.mask] == 0).all())
    for i, row in enumerate(seen.tokens.episode.tolist()):
        assert centred[i][seen.mask[i]].tolist() == approx(
            [row + 1 - mean] * int(seen.mask[i].sum()), abs=1e-5
        )
    per_token = [
        [np.full(len(t.action.token_ids), c) for t, c in zip(one.turns, chosen_T, strict=True)]
        for one, chosen_T in zip(episodes, chosen, strict=True)
    ]
    laid = seen.lay_out(per_token, "centre")
    assert float(laid[seen.mask].mean()) == approx(0.0, abs=1e-5)
    assert float(laid.abs().max()) < 5 and bool((laid[~seen.mask] == 0).all())
    assert [a.tolist() for a in seen.trained(chosen)] == [
        [i + 1.0] * int(t.sum()) for i, t in enumerate(trained_ET)
    ]


@pytest.mark.parametrize("extra", [-1, 1])
def test_credit_of_another_length_is_refused_by_name(extra: int):
    _, seen = prepared(played(3), CONFIG, "nothing")
    one, turns = seen.episodes[1], [len(one.turns) for one in seen.episodes]
    wrong = [np.zeros(n + (extra if i == 1 else 0)) for i, n in enumerate(turns)]
    said = f"episode {one.id}: {turns[1] + extra} advantages for {turns[1]} turns; credit must"
    with pytest.raises(ValueError, match=said):
        seen.spread(wrong)
    per_token = [[np.zeros(1)] * len(numbers_T) for numbers_T in wrong]
    with pytest.raises(ValueError, match=said):
        seen.lay_out(per_token)
    lengths = [[len(turn.action.token_ids) for turn in one.turns] for one in seen.episodes]
    lengths[2][1] += extra
    with pytest.raises(ValueError, match="episode 2 of the batch: .* one per token"):
        seen.lay_out([[np.zeros(n) for n in lengths_T] for lengths_T in lengths])


def test_sampler_and_learner_agree_until_one_of_them_changes():
    _, seen = prepared(played())
    agreed = mismatch(seen.sampled, seen.old_logprobs)
    assert agreed["kl/sampler"] == approx(0.0, abs=1e-9)
    assert agreed["kl/sampler_ratio_max"] == approx(1.0, abs=1e-4)
    # a ratio of 2 everywhere: k3 is 2 - 1 - log 2
    apart = mismatch(seen.sampled, seen.old_logprobs + np.log(2.0))
    assert apart["kl/sampler"] == approx(1 - np.log(2.0), rel=1e-4)
    assert apart["kl/sampler_ratio_max"] == approx(2.0, rel=1e-4)
