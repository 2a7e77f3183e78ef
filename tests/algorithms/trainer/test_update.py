from dataclasses import replace

import numpy as np
import pytest
import torch
from pytest import approx

from algorithms import support
from algorithms.trainer.update import update
from tests.support.learners import (
    CONFIG,
    UNITS,
    Unit,
    credited,
    prepared,
    trained,
    under,
    updated,
)
from tests.support.training import beginner, flat, played


@pytest.mark.parametrize("ratio", ["token", "turn", "sequence", "hybrid"])
def test_before_the_first_step_every_ratio_is_one(ratio: str):
    config = under(ratio=ratio)
    _, measured = updated(config)
    assert measured["loss/ratio_max"] == approx(1.0, abs=1e-4)
    assert measured["loss/clip_fraction"] == 0.0
    assert measured["loss/approx_kl"] == approx(0.0, abs=1e-8)
    _, later = updated(replace(config, epochs=3, learning_rate=0.01))
    assert later["loss/approx_kl"] > 1e-5
    if ratio != "sequence":  # whose mean ratios all fell
        assert later["loss/ratio_max"] > 1.01


OPTIONS = {
    "token": {},
    "turn": {"reduction": "turn", "ratio": "turn"},
    "episode": {"reduction": "episode", "ratio": "sequence"},
    "covariance": {"clip_covariance": 0.2, "kl_covariance": 0.2, "entropy_share": 0.5},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("minibatches", [1, 4])
def test_eight_micro_batches_of_one_equal_one_of_eight(minibatches: int, options: str):
    config = replace(CONFIG, minibatches=minibatches, epochs=2, target_kl=None)
    config = under(config, entropy_bonus=0.1, **OPTIONS[options])
    judges: Unit = "tokens" if options == "episode" else "turns"
    (small, one), (large, other) = (
        updated(replace(config, micro_tokens=n), sgd=0.1, judges=judges) for n in (1, 10**6)
    )
    torch.testing.assert_close(flat(small.model), flat(large.model), atol=1e-5, rtol=0)
    assert small.critic is not None and large.critic is not None
    torch.testing.assert_close(flat(small.critic), flat(large.critic), atol=1e-5, rtol=0)
    assert (flat(large.model) - flat(beginner()[0])).abs().max() > 1e-4
    # of what is logged, the critic's error alone is a mean over micro-batches
    names = sorted(name for name in one if name.startswith("loss/") and "critic" not in name)
    names.remove("loss/value_error")
    assert [one[n] for n in names] == approx([other[n] for n in names], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("reduction", ["token", "turn", "episode"])
def test_fewer_episodes_than_minibatches_take_steps_of_the_usual_length(reduction: str):
    norms = []
    for minibatches in (1, 4):
        config = under(replace(CONFIG, minibatches=minibatches), reduction=reduction)
        _, measured = updated(config, played(1), sgd=0.1)
        norms.append((measured["loss/grad_norm"], measured["loss/critic_grad_norm"]))
    assert norms[0] == approx(norms[1], rel=1e-4) and min(norms[0]) > 0


@pytest.mark.parametrize("judges", UNITS)
def test_policy_and_critic_share_nothing(judges: Unit):
    still, _ = updated(replace(CONFIG, critic_learning_rate=0.0), judges=judges)
    moved, _ = updated(CONFIG, judges=judges)
    assert torch.equal(flat(still.model), flat(moved.model))
    frozen, _ = updated(replace(CONFIG, learning_rate=0.0), judges=judges)
    assert frozen.critic is not None and moved.critic is not None and still.critic is not None
    assert torch.equal(flat(frozen.critic), flat(moved.critic))
    assert not torch.equal(flat(still.critic), flat(moved.critic))
    assert torch.equal(flat(frozen.model), flat(beginner()[0]))


def test_without_a_critic_the_policy_takes_the_same_steps():
    config = replace(CONFIG, epochs=2, minibatches=2)
    learner, seen = prepared(played(), config)
    given = credited(learner, seen)
    trained(learner, seen, config, given)
    alone, seen = prepared(played(), config, "nothing")
    advantages = seen.spread(given.advantages_ET, "standardise")
    update(alone, seen, advantages, config, np.random.default_rng(0))
    assert torch.equal(flat(alone.model), flat(learner.model))


def test_the_policy_rests_once_it_moved_too_far():
    moving = replace(CONFIG, epochs=4, learning_rate=0.05, target_kl=None)
    _, free = updated(moving)
    _, held = updated(replace(moving, target_kl=1e-6))
    assert free["loss/resting"] == 0
    assert held["loss/resting"] == approx(3 / 4)  # the first step cannot have moved yet


def test_a_policy_that_is_no_number_does_not_rest_but_stops_the_run():
    config = under(replace(CONFIG, minibatches=4), target_entropy=1.0)
    learner, seen = prepared(played(), config)
    given = credited(learner, seen)
    with torch.no_grad():
        for weight in learner.model.lm_head.parameters():  # type: ignore[union-attr]
            weight.mul_(torch.nan)
    measured = trained(learner, seen, config, given)
    assert measured["loss/skipped_steps"] == 4 and measured["loss/resting"] == 0
    assert learner.entropy_bonus == 0.0  # entropies that are no number steer nothing
    with pytest.raises(support.Diverged, match="nan in 10 optimizer steps in a row"):
        for _ in range(2):
            trained(learner, seen, config, given)


def test_rows_that_are_trained_nowhere_move_nothing_and_weigh_nothing():
    episodes = played(4)
    half = [np.full(len(e.turns), i < 2) for i, e in enumerate(episodes)]
    config = replace(CONFIG, micro_tokens=1, minibatches=1, target_kl=None)
    both, seen = prepared(episodes, config, "nothing", trained_turns_ET=half)
    ones = [np.ones(len(e.turns)) for e in episodes]
    first = update(both, seen, seen.spread(ones), config, np.random.default_rng(0))
    alone, some = prepared(episodes[:2], config, "nothing")
    second = update(alone, some, some.spread(ones[:2]), config, np.random.default_rng(0))
    torch.testing.assert_close(flat(both.model), flat(alone.model), atol=1e-6, rtol=0)
    for name in ("loss/entropy", "loss/policy_per_token", "loss/grad_norm"):
        assert first[name] == approx(second[name], rel=1e-4)
    # a minibatch that holds none but such rows takes its step and says 0
    config = replace(config, minibatches=4)
    measured = update(both, seen, seen.spread(ones), config, np.random.default_rng(0))
    assert measured["loss/approx_kl"] >= 0 and measured["loss/skipped_steps"] == 0
