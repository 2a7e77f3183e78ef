from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.rollout import collect
from algorithms import behaviour_cloning, chord, losses, rloo
from algorithms.batch import make_batch
from algorithms.chord import Config, Hard, Mix, fine_tune, imitate, mixed_loss, mu_at, phi
from algorithms.demonstrated import Demonstrations
from algorithms.forward import policy_logprobs
from algorithms.trainer.experience import read_episodes
from algorithms.trainer.learner import Learner
from algorithms.trainer.objective import Objective, clipped
from algorithms.trainer.update import update
from lmenvs.types import Episode
from tests.support.learners import descend
from tests.support.training import (
    MICROWAVE,
    beginner,
    cloning,
    flat,
    metrics,
    played,
    start,
    weights,
)

TINY: dict[str, Any] = {"iterations": 2, "groups": 3, "group_size": 3, "max_new_tokens": 8}
PLAIN = Config(minibatches=1, max_norm=1e9)
RATE = 0.1


def experts(seeds: Sequence[int] = range(5)) -> Demonstrations:
    return Demonstrations(collect(MICROWAVE, "expert", seeds), beginner()[1])


def moved(mu: float | None, config: Config = PLAIN) -> torch.Tensor:
    """Where one step of plain descent leads; None: without any expert episode."""
    learner = Learner(*beginner(), config)
    descend(learner, RATE)
    before, own = flat(learner.model), played()
    told = [] if mu is None else experts().read(range(5))
    trained_ET = [np.full(len(e.turns), i < len(own)) for i, e in enumerate([*own, *told])]
    seen = read_episodes(learner, [*own, *told], config, None, trained_ET)
    credit = [np.cos(np.arange(len(e.turns)) + i) for i, e in enumerate([*own, *told])]
    loss = clipped if mu is None else mixed_loss(seen, len(own), mu, config)
    chance = np.random.default_rng(0)
    update(learner, seen, seen.spread(credit), config, chance, policy_loss=loss)
    return flat(learner.model) - before


def imitation(weigh: bool = False) -> torch.Tensor:
    """The step of plain descent on the experts' mean negative log-likelihood, written out."""
    model, style = beginner()
    batch = make_batch(experts().read(range(5)), style)
    logprobs, _ = policy_logprobs(model, batch)
    said = logprobs[batch.policy_mask]
    weight = (said.exp() * (1 - said.exp())).detach() if weigh else torch.ones_like(said)
    slopes = torch.autograd.grad(-(weight * said).mean(), list(model.parameters()))
    return -RATE * torch.cat([slope.flatten() for slope in slopes])


def test_the_weights_of_tokens_by_hand():
    logprobs = torch.tensor([[0.5, 0.9, 1.0, 1e-6]]).log().requires_grad_()
    weighed = phi(logprobs)
    torch.testing.assert_close(weighed, torch.tensor([[0.25, 0.09, 0.0, 1e-6]]))
    assert not weighed.requires_grad
    mask = torch.ones(1, 4, dtype=torch.bool)
    loss = losses.negative_log_likelihood(logprobs, mask, weighed).loss
    by_hand = -(0.25 * np.log(0.5) + 0.09 * np.log(0.9) + 1e-6 * np.log(1e-6)) / 4
    assert float(loss.detach()) == pytest.approx(by_hand, rel=1e-4)


def test_mu_rises_in_a_line_and_falls_along_a_cosine():
    mix = Mix(peak=0.8, valley=0.2, warmup=4, decay=2)
    assert [mu_at(i, mix) for i in (0, 1, 4)] == pytest.approx([0, 0.2, 0.8])
    assert [mu_at(i, mix) for i in (5, 6, 99)] == pytest.approx([0.5, 0.2, 0.2])
    assert mu_at(0, Mix(peak=0.9, valley=0.1, warmup=0, decay=0)) == 0.1


def test_with_mu_0_the_step_is_that_of_the_policys_own_episodes():
    step = moved(None)
    assert step.abs().max() > 1e-3
    torch.testing.assert_close(moved(0.0), step, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("weigh", [False, True])
def test_with_mu_1_the_step_is_that_of_imitation(weigh: bool):
    step = moved(1.0, replace(PLAIN, mix=Mix(phi=weigh)))
    assert step.abs().max() > 1e-4
    torch.testing.assert_close(step, imitation(weigh), atol=1e-6, rtol=1e-3)


def test_between_them_both_count_by_their_shares():
    mixed = 0.7 * moved(0.0) + 0.3 * moved(1.0)
    torch.testing.assert_close(moved(0.3), mixed, atol=1e-6, rtol=1e-3)


def test_imitation_is_behaviour_cloning():
    model, style = beginner()
    told = experts().read(range(5))
    cloning_step = torch.optim.SGD(model.parameters(), RATE)
    behaviour_cloning.update(model, cloning_step, make_batch(told, style), cloning(max_norm=1e9))
    learner = Learner(*beginner(), PLAIN)
    descend(learner, RATE)
    imitate(learner, told, PLAIN)
    torch.testing.assert_close(flat(learner.model), flat(model), atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(flat(model) - flat(beginner()[0]), imitation(), atol=1e-6, rtol=1e-3)


def test_with_mu_0_a_run_is_rloo_to_the_last_bit(tmp_path: Path):
    shared: dict[str, Any] = {**TINY, "objective": Objective(entropy_bonus=0.01)}
    off = Config(**shared, mix=Mix(peak=0.0, valley=0.0))
    ours = chord.train(MICROWAVE, start(), tmp_path / "ours", off)
    plain = rloo.train(MICROWAVE, start(), tmp_path / "plain", rloo.Config(**shared))
    for mine, theirs in zip(metrics(ours), metrics(plain), strict=True):
        assert mine == {**theirs, "expert/mu": 0.0}
    one, other = weights(ours), weights(plain)
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
    on = chord.train(MICROWAVE, start(), tmp_path / "on", Config(**shared, mix=Mix(valley=0.5)))
    assert not all(torch.equal(weights(on)[name], one[name]) for name in one)


def outcome(seed: int, success: bool) -> Episode:
    return replace(played(1)[0], seed=seed, success=success)


def test_a_task_waits_as_long_as_it_was_never_solved():
    hard = Hard().after([outcome(1, False), outcome(2, True), outcome(2, False), outcome(3, False)])
    assert hard == Hard((2,), (1, 3))
    assert hard.after([outcome(3, True), outcome(4, False)]) == Hard((2, 3), (1, 4))
    assert hard.after([outcome(2, False)]) == hard  # it was solved once


def test_relift_imitates_the_demonstrations_of_what_was_never_solved_and_no_other():
    config = Config(method="relift", experts=2, max_norm=1e9)
    given = experts([4, 5, 6, 7])
    tasks = given.tasks(MICROWAVE)
    assert tasks == {4: 0, 5: 1, 6: 2, 7: 3}
    learner = Learner(*beginner(), config)
    descend(learner, RATE)
    before = flat(learner.model)
    first = fine_tune(learner, [outcome(4, True), outcome(5, False)], given, tasks, config)
    assert first == {"expert/unsolved": 3, "expert/waiting": 1}  # too few for a step
    assert torch.equal(flat(learner.model), before)
    fails = [outcome(7, False), outcome(4, False)]
    told = fine_tune(learner, fails, given, tasks, config)
    assert told["expert/waiting"] == 0 and told["loss/expert_grad_norm"] > 0
    other = Learner(*beginner(), config)
    descend(other, RATE)
    imitate(other, given.read([1, 3]), config)
    assert torch.equal(flat(learner.model), flat(other.model))


def test_relift_plays_the_tasks_that_were_demonstrated(tmp_path: Path):
    tiny = Config(**TINY, method="relift", experts=2, demonstrations=3)
    run = chord.train("lmenvs/DelayedKey-v0?delay=1", start(), tmp_path / "run", tiny)
    rows = metrics(run)
    assert all(row["expert/mu"] == 0 for row in rows)
    # this model knows nothing of keys: all fail, and a full buffer is imitated and emptied
    assert all(row["expert/unsolved"] == 3 for row in rows)
    assert any("loss/expert_negative_log_likelihood" in row for row in rows)


def test_of_a_task_the_best_demonstration_is_taken():
    told = [outcome(3, False), outcome(3, True), outcome(5, True)]
    best = replace(told[1], turns=(*told[1].turns[:-1], replace(told[1].turns[-1], reward=9.0)))
    given = Demonstrations([told[0], best, told[2]], beginner()[1])
    assert given.tasks(MICROWAVE) == {3: 1, 5: 2}


WRONG: list[tuple[str, Any]] = [
    ("experts", lambda: Config(experts=0)),
    ("demonstrations", lambda: Config(demonstrations=0)),
    ("mix.peak", lambda: Mix(peak=1.2)),
    ("mix.decay", lambda: Mix(decay=-1)),
]


@pytest.mark.parametrize(("name", "make"), WRONG)
def test_a_config_that_cannot_be_trained_is_refused(name: str, make: Any):
    with pytest.raises(ValueError, match=name):
        make()
