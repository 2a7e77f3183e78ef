"""ArCHer's actor moves along advantage times slope, and its token baseline takes nothing away."""

from dataclasses import replace

import pytest
import torch
from pytest import approx

from algorithms.trainer.objective import Objective
from algorithms.utterances.actor import (
    FADING,
    SPREAD,
    normalised,
    recent_spread,
    update_actor,
)
from algorithms.utterances.critic import critic_of, sibling_advantages
from algorithms.utterances.siblings import grow, sibling_logprobs
from tests.algorithms.test_archer import CONFIG, by_sgd, chance, prepared
from tests.support.training import beginner, flat


@pytest.mark.parametrize("kind", ["clip", "reinforce"])
def test_small_micro_batches_move_the_actor_as_one_large_batch(kind: str):
    after = []
    for micro_tokens in (1, 10**6):
        config = replace(CONFIG, actor=kind, micro_tokens=micro_tokens)  # type: ignore[arg-type]
        learner, seen, _ = prepared(config)
        update_actor(by_sgd(learner), seen, config, chance())
        after.append(flat(learner.model))
    torch.testing.assert_close(*after, atol=1e-5, rtol=0)
    assert (after[0] - flat(beginner()[0])).abs().max() > 1e-5


def test_before_the_first_actor_step_every_ratio_is_one():
    learner, seen, _ = prepared()
    first = update_actor(learner, seen, CONFIG, chance())
    assert first["loss/ratio_max"] == approx(1.0, abs=1e-4)
    assert first["loss/clip_fraction"] == 0.0
    several = replace(CONFIG, actor_steps=4)
    learner, seen, _ = prepared(several)
    learner.optimizer.param_groups[0]["lr"] = 0.01
    assert update_actor(learner, seen, several, chance())["loss/ratio_max"] > 1.001


def test_the_papers_actor_step_is_advantage_times_the_slope_of_the_logprobs():
    plain = replace(CONFIG, actor="reinforce", objective=Objective(), max_norm=1e9)
    learner, seen, _ = prepared(plain)
    judged = sibling_advantages(learner, seen, 10**6)
    assert seen.siblings is not None
    model = learner.model
    said, _ = sibling_logprobs(model, grow(seen.tokens, seen.siblings), seen.siblings)
    wanted = (said.sum(-1) * judged).sum() / seen.siblings.mask.sum()
    slopes = torch.autograd.grad(wanted, list(model.parameters()))
    before = flat(model)
    update_actor(by_sgd(learner, 0.5), seen, plain, chance())
    step = 0.5 * torch.cat([slope.flatten() for slope in slopes])
    assert step.abs().max() > 1e-3
    torch.testing.assert_close(flat(model) - before, step, atol=1e-5, rtol=1e-3)


def test_a_token_baseline_that_says_zero_changes_nothing():
    after = []
    for token_baseline in (False, True):
        config = replace(CONFIG, token_baseline=token_baseline)
        learner, seen, _ = prepared(config)
        critic, _ = critic_of(learner)
        with torch.no_grad():
            for weight in critic.token_value_head.heads[0][-1].parameters():  # type: ignore[index, union-attr, operator]
                weight.zero_()
        before = {name: weight.clone() for name, weight in critic.named_parameters()}
        update_actor(learner, seen, config, chance())
        after.append(flat(learner.model))
        now = dict(critic.named_parameters())
        moved = {name for name in before if not torch.equal(now[name], before[name])}
        assert bool(moved) == token_baseline  # it is fitted, and nothing else of the critic is
        assert all(name.startswith("token_value_head") for name in moved)
    assert torch.equal(*after)


def test_a_token_baseline_that_foresees_the_advantage_leaves_nothing_to_learn():
    config = replace(
        CONFIG, token_baseline=True, actor="reinforce", objective=Objective(), siblings=1
    )
    learner, seen, _ = prepared(config)
    critic, _ = critic_of(learner)
    with torch.no_grad():
        for head, says in (
            (critic.action_value_head, 1.0),  # A = 0.75
            (critic.value_head, 0.25),
            (critic.token_value_head, 0.75),
        ):
            for one in head.heads:
                one[-1].weight.zero_()  # type: ignore[index, union-attr]
                one[-1].bias.fill_(says)  # type: ignore[index, union-attr]
    before = flat(learner.model)
    update_actor(by_sgd(learner), seen, config, chance())
    torch.testing.assert_close(flat(learner.model), before, atol=1e-6, rtol=0)


def test_steps_are_scaled_by_the_largest_spread_of_late():
    learner = prepared(CONFIG)[0]
    assert recent_spread(learner, 2.0) == 2.0
    assert recent_spread(learner, 0.1) == approx(FADING * 2.0)
    assert recent_spread(learner, 5.0) == learner.kept[SPREAD] == 5.0
    mask = torch.tensor([[True, True, False]])
    scaled = normalised(torch.tensor([[1.0, 3.0, 9.0]]), mask, CONFIG, spread=4.0)
    torch.testing.assert_close(scaled, torch.tensor([[-0.25, 0.25, 0.0]]))
