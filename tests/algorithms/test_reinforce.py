import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest import approx

from agents.lm import LMPolicy
from agents.models import load_model
from agents.sampling import Sampling
from agents.serve import PolicyServer
from algorithms import losses, reinforce
from algorithms.forward import policy_logprobs
from algorithms.trainer.experience import Experience, read_episodes
from algorithms.trainer.learner import Learner
from algorithms.trainer.objective import Objective
from algorithms.trainer.update import update
from lmenvs.types import Action, Episode, Turn
from tests.support.learners import descend
from tests.support.training import (
    MICROWAVE,
    beginner,
    flat,
    metrics,
    played,
    start,
    weights,
)

CONFIG = reinforce.Config(groups=4, group_size=3, minibatches=1)


def episode(group: str, *rewards: float) -> Episode:
    turns = tuple(Turn("seen", Action("said"), reward) for reward in rewards)
    return Episode("e", "e", 0, "all", "i", turns, "", True, False, False, group=group)


GROUPS = [
    episode("a", 0, 0, 1),
    episode("a", -1),
    episode("a", 0, 0),
    episode("b", 0, 2),
    episode("b", 1, 1),
]


def test_the_advantage_is_the_return_minus_the_mean_of_the_others():
    advantages_ET = reinforce.credit(GROUPS)
    expected = [[1.5] * 3, [-1.5], [0.0] * 2, [0.0] * 2, [0.0] * 2]
    assert [a.tolist() for a in advantages_ET] == expected


def prepared(config: reinforce.Config, episodes: Sequence[Episode]) -> tuple[Learner, Experience]:
    learner = Learner(*beginner(), config)
    descend(learner, 0.1)
    return learner, read_episodes(learner, episodes, config)


def turns_of(seen: Experience, laid_out: torch.Tensor) -> np.ndarray:
    """One number for each turn, of its first token."""
    numbers_ETL = seen.tokens.by_token(laid_out, len(seen.episodes))
    return np.array([tokens_L[0] for turns_TL in numbers_ETL for tokens_L in turns_TL])


def test_centred_over_turns_long_failures_do_not_outweigh_short_successes():
    _, seen = prepared(CONFIG, played(4, group_size=3))
    credit = reinforce.credit(seen.episodes)
    uncentred = replace(CONFIG, objective=Objective(normalise="none"))
    plain = turns_of(seen, reinforce.laid_out(seen, credit, uncentred))
    centred = turns_of(seen, reinforce.laid_out(seen, credit, CONFIG))
    assert plain.tolist() == approx(np.concatenate(credit).tolist())
    assert abs(plain.mean()) > 0.01
    assert centred == approx(plain - plain.mean(), abs=1e-6)
    assert centred.sum() == approx(0.0, abs=1e-5)


def step(
    config: reinforce.Config,
    episodes: Sequence[Episode],
    credit: Sequence[np.ndarray] | None = None,
) -> tuple[Learner, dict[str, float]]:
    learner, seen = prepared(config, episodes)
    given = reinforce.credit(seen.episodes) if credit is None else credit
    advantages = reinforce.laid_out(seen, given, config)
    chance, loss = np.random.default_rng(0), reinforce.policy_loss(config)
    return learner, update(learner, seen, advantages, config, chance, policy_loss=loss)


FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "opmd": {"tau": 0.5},
    "asymmetric": {"delta": -0.25},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_step_goes_along_the_policy_gradient(form: str):
    config = replace(CONFIG, max_norm=1e9, form=form, **FORMS[form])  # type: ignore[arg-type]
    learner, _ = step(config, played(4, group_size=3))
    plain, seen = prepared(config, played(4, group_size=3))
    logprobs, _ = policy_logprobs(plain.model, seen.tokens)
    signal = seen.spread(reinforce.credit(seen.episodes), "centre")
    if form == "asymmetric":  # as much more as the baseline is lower, for every token
        signal = signal + 0.25 * seen.mask
    objective = (logprobs * signal).sum() / seen.tokens.policy_tokens
    slopes = torch.autograd.grad(objective, list(plain.model.parameters()))
    expected = flat(plain.model) + 0.1 * torch.cat([slope.flatten() for slope in slopes])
    torch.testing.assert_close(flat(learner.model), expected, atol=1e-6, rtol=0)


def test_the_asymmetric_form_is_its_papers_loss():
    config = replace(CONFIG, form="asymmetric", delta=-0.3)
    _, seen = prepared(config, played(4, group_size=3))
    credit = reinforce.credit(seen.episodes)
    uncentred = replace(config, objective=Objective())
    logprobs = seen.old_logprobs
    mine = losses.policy_gradient(
        logprobs, reinforce.laid_out(seen, credit, uncentred), seen.mask
    ).loss
    plain = losses.policy_gradient(logprobs, seen.spread(credit), seen.mask).loss
    imitation = losses.negative_log_likelihood(logprobs, seen.mask).loss
    assert float(mine) == approx(float(plain + 0.3 * imitation), rel=1e-5)


def test_tokens_that_are_left_out_stay_out_of_the_asymmetric_form():
    config = replace(CONFIG, form="asymmetric", objective=Objective(entropy_share=0.3))
    learner, seen = prepared(config, played(4, group_size=3))
    kept = losses.high_entropy_mask(seen.entropies, seen.mask, 0.3)
    equal = [np.zeros(len(one.turns)) for one in seen.episodes]
    advantages = reinforce.laid_out(seen, equal, config)
    assert sorted(set(advantages.flatten().tolist())) == approx([0.0, 0.1])
    update(learner, seen, advantages, config, np.random.default_rng(0))
    other, _ = prepared(CONFIG, played(4, group_size=3))
    by_hand = torch.where(kept, advantages, 0.0)
    update(other, seen, by_hand, CONFIG, np.random.default_rng(0))
    assert torch.equal(flat(learner.model), flat(other.model))


@pytest.mark.parametrize("minibatches", [1, 3])
def test_eight_micro_batches_of_one_equal_one_of_eight(minibatches: int):
    after = []
    for micro_tokens in (1, 10**6):
        config = replace(CONFIG, micro_tokens=micro_tokens, minibatches=minibatches)
        after.append(flat(step(config, played(4, group_size=3))[0].model))
    torch.testing.assert_close(*after, atol=1e-5, rtol=0)
    assert (after[0] - flat(beginner()[0])).abs().max() > 1e-4


def test_equal_returns_move_nothing():
    episodes = [replace(one, turns=one.turns[:1]) for one in played(4, group_size=3)]
    learner, _ = step(CONFIG, episodes)
    assert torch.equal(flat(learner.model), flat(beginner()[0]))


def test_more_minibatches_than_episodes_are_no_mistake():
    config = replace(CONFIG, minibatches=5, objective=Objective())
    two, credit = played(4, group_size=3)[:2], [np.ones(10), np.ones(10)]
    credit = [a[: len(one.turns)] for a, one in zip(credit, two, strict=True)]
    assert step(config, two, credit)[1]["loss/grad_norm"] > 0
    # the one step of one episode is as long as that of one minibatch
    norms = [
        step(replace(config, minibatches=n), two[:1], credit[:1])[1]["loss/grad_norm"]
        for n in (1, 5)
    ]
    assert norms[0] == approx(norms[1], rel=1e-5)


def test_lora_trains_its_adapters_and_nothing_else():
    base = {name: weight.clone() for name, weight in beginner()[0].state_dict().items()}
    learner, _ = step(replace(CONFIG, lora_rank=2), played(4, group_size=3))
    now = learner.model.state_dict()
    moved = [name for name in now if "lora_B" in name and now[name].abs().max() > 0]
    assert moved
    kept = {
        name.replace(".base_layer", "").removeprefix("base_model.model."): now[name]
        for name in now
        if "lora_" not in name
    }
    assert kept.keys() == base.keys()
    assert all(torch.equal(kept[name], base[name]) for name in base)


def test_a_lora_run_saves_its_adapters_and_nothing_else(tmp_path: Path):
    config = reinforce.Config(iterations=1, groups=4, group_size=4, lora_rank=2, max_new_tokens=8)
    run = reinforce.train(MICROWAVE, start(), tmp_path / "run", config)
    kept = {name: value for name, value in weights(run).items() if not name.startswith("state")}
    assert kept and all("lora_" in name for name in kept)
    assert any(value.abs().max() > 0 for name, value in kept.items() if "lora_B" in name)
    assert len(metrics(run)) == 1


@pytest.mark.parametrize("form", FORMS)
def test_drift_is_measured_as_the_clipped_loss_measures_it(form: str):
    config = replace(CONFIG, form=form)  # type: ignore[arg-type]
    learner, seen = prepared(config, played(4, group_size=3))
    advantages = reinforce.laid_out(seen, reinforce.credit(seen.episodes), config)
    loss = reinforce.policy_loss(config)

    def once(**how: Any) -> dict[str, float]:
        return update(learner, seen, advantages, config, np.random.default_rng(0), **how)

    first = once(policy_loss=loss)
    assert first["loss/ratio_max"] == approx(1.0, abs=1e-4)
    assert first["loss/approx_kl"] == approx(0.0, abs=1e-8)
    learner.optimizer.param_groups[0]["lr"] = 0.0
    clipped, mine = once(), once(policy_loss=loss)
    assert mine["loss/ratio_max"] == approx(clipped["loss/ratio_max"]) != approx(1.0, abs=1e-4)
    assert mine["loss/approx_kl"] == approx(clipped["loss/approx_kl"], rel=1e-4)


def test_opmd_holds_what_plain_steps_let_go():
    rested = {}
    for form in ("plain", "opmd"):
        config = replace(CONFIG, epochs=20, form=form, tau=20.0)  # type: ignore[arg-type]
        rested[form] = step(config, played(4, group_size=3))[1]["loss/approx_kl"]
    assert 0 < rested["opmd"] < 0.5 * rested["plain"]


@pytest.mark.parametrize("form", FORMS)
def test_a_sampler_that_plays_for_several_updates_is_that_much_older(form: str, tmp_path: Path):
    sizes: dict[str, Any] = {"iterations": 2, "groups": 3, "group_size": 3, "minibatches": 1}
    for sync_every in (1, 3):
        config = reinforce.Config(**sizes, sync_every=sync_every, max_new_tokens=8, form=form)  # type: ignore[arg-type]
        run = reinforce.train(MICROWAVE, start(), tmp_path / str(sync_every), config)
        rows = metrics(run)
        assert [row["rollout/episodes"] for row in rows] == [9 * sync_every] * 2
        for row in rows:  # all was read with the sampler's weights, then used when these were old
            assert row["kl/sampler_ratio_max"] == approx(1.0, abs=1e-3)
            assert (row["loss/ratio_max"] > 1.002) == (sync_every > 1)
            assert (row["loss/approx_kl"] > 1e-6) == (sync_every > 1)


@pytest.mark.parametrize(
    "wrong",
    [{"group_size": 1}, {"groups": 0}, {"minibatches": 0}, {"sync_every": 0}, {"tau": -1.0}],
)
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, int]):
    with pytest.raises(ValueError, match="at least"):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["openai", "continuous"])
def test_episodes_that_another_engine_sampled_are_trained_on_as_ones_of_this_process(
    kind: str, tmp_path: Path
):
    policy = LMPolicy(*load_model(start()), Sampling(max_new_tokens=1))
    server = PolicyServer(policy, "tiny", weights=tmp_path)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    engine = f"openai:tiny@{server.url}?weights={tmp_path}" if kind == "openai" else "continuous"
    config = replace(CONFIG, iterations=2, max_new_tokens=8, learning_rate=3e-3, engine=engine)
    try:
        run = reinforce.train(MICROWAVE, start(), tmp_path / "run", config)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    first, second = metrics(run)
    for row in (first, second):  # the engine had the weights that were to be trained, each time
        assert 0 <= row["kl/sampler"] < 1e-6 and row["rollout/turns"] > 1
    (before,), (after,) = ([flat(load_model(path)[0])] for path in (start(), run))
    assert (before - after).abs().max() > 1e-3
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
