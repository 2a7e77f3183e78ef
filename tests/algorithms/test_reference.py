from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.devices import find_device, mixed_precision
from agents.models import is_adapter, load_model, with_lora
from algorithms import cli, losses, reinforce, support, turn_ppo
from algorithms.batch import make_batch
from algorithms.forward import policy_logprobs, recompute_logprobs
from algorithms.mismatch import importance_weights, mismatch, sampler_logprobs
from algorithms.reference import Reference
from algorithms.trainer.experience import read_episodes
from algorithms.trainer.learner import Learner
from algorithms.trainer.objective import Objective
from algorithms.trainer.update import update
from lmenvs.types import Action, Episode, Turn
from tests.support.language import chat, interrupted_after
from tests.support.learners import CONFIG, descend, under
from tests.support.training import (
    MICROWAVE,
    assert_same_run,
    beginner,
    flat,
    metrics,
    played,
    start,
)


def adapted() -> torch.nn.Module:
    """The beginner with adapters that say something."""
    model = with_lora(beginner()[0], 2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) / 4)
    return model


def test_without_its_adapter_a_policy_is_its_base_bit_for_bit():
    base, style = beginner()
    batch = make_batch(played(6), style)
    policy: Any = adapted()
    reference = Reference(policy, start())
    assert torch.equal(reference.logprobs(batch, 500), recompute_logprobs(base, batch, 500))
    assert not torch.allclose(
        recompute_logprobs(policy, batch, 500), reference.logprobs(batch, 500)
    )


def test_with_adapters_memory_holds_one_base():
    policy: Any = adapted()
    reference = Reference(policy, start())
    assert reference.copy is None
    held = {weight.data_ptr() for weight in policy.parameters()}
    plain = {name for name, _ in policy.named_parameters() if "lora_" not in name}
    assert len(plain) == len(list(beginner()[0].parameters()))
    assert len(held) == len(list(policy.parameters()))


def test_without_adapters_a_frozen_copy_stays_where_training_began():
    model, style = beginner()
    batch = make_batch(played(6), style)
    reference = Reference(model, start())
    before = recompute_logprobs(model, batch, 500)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
    assert torch.equal(reference.logprobs(batch, 500), before)
    assert reference.copy is not None
    assert not any(weight.requires_grad for weight in reference.copy.parameters())


def test_a_policy_that_goes_on_from_adapters_stays_close_to_where_they_were(tmp_path: Path):
    style = beginner()[1]
    style.save(adapted(), tmp_path)  # type: ignore[arg-type]
    policy, style = load_model(tmp_path)
    assert is_adapter(policy)
    batch = make_batch(played(6), style)
    began = recompute_logprobs(policy, batch, 500)
    reference = Reference(policy, tmp_path)
    with torch.no_grad():
        for name, weight in policy.named_parameters():
            if "lora_" in name:
                weight.mul_(1.5)
    assert not torch.allclose(recompute_logprobs(policy, batch, 500), began)
    assert torch.equal(reference.logprobs(batch, 500), began)


def moved(sampler: float = 1.1, **options: Any) -> tuple[Tensor, dict[str, float]]:
    """Where one PPO step of plain descent leads, from a policy that has left its reference; the
    policy's weights are 1.1 times the reference's, those of what sampled `sampler` times.
    """
    config = under(replace(CONFIG, max_norm=1e9, target_kl=None), **options)
    model, style = beginner()
    scale(model, 1.1)
    learner = Learner(model, style, config)
    descend(learner, 0.1)
    reference = Reference(model, start()) if config.objective.reference_kl else None
    seen = read_episodes(learner, played(), config, reference)
    old = recompute_logprobs(scale(beginner()[0], sampler), seen.tokens, 10**6)
    nothing = seen.spread([np.zeros(len(e.turns)) for e in played()])
    before = flat(model)
    chance = np.random.default_rng(0)
    measured = update(learner, replace(seen, old_logprobs=old), nothing, config, chance)
    return flat(model) - before, measured


def scale(model: Any, factor: float) -> Any:
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(factor)
    return model


@pytest.mark.parametrize("sampler", [1.1, 1.15])  # the policy before its first step, another one
def test_the_penalty_pulls_along_the_gradient_of_the_kl(sampler: float):
    still, _ = moved(sampler)
    assert still.abs().max() == 0  # no advantage, no penalty
    step, measured = moved(sampler, reference_kl=0.5)
    model, style = beginner()
    batch = make_batch(played(), style)
    reference = recompute_logprobs(model, batch, 10**6)
    old = recompute_logprobs(scale(beginner()[0], sampler), batch, 10**6)
    logprobs, _ = policy_logprobs(scale(model, 1.1), batch)
    gap = (logprobs - reference)[batch.policy_mask]
    ratio = (logprobs.detach() - old)[batch.policy_mask].exp()
    assert bool((ratio - 1).abs().max() > 0.05) == (sampler != 1.1)
    penalty = 0.5 * (ratio * gap**2 / 2).mean()
    slopes = torch.autograd.grad(penalty, list(model.parameters()))
    expected = -0.1 * torch.cat([slope.flatten() for slope in slopes])
    assert expected.abs().max() > 1e-4
    torch.testing.assert_close(step, expected, atol=1e-6, rtol=1e-3)
    assert measured["loss/reference_kl"] == pytest.approx(
        float((ratio * (gap.neg().exp() - 1 + gap)).detach().mean()), rel=1e-3
    )


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_training_near_a_reference_resumes_as_if_never_stopped(lora_rank: int, tmp_path: Path):
    fields: dict[str, Any] = {"iterations": 3, "max_new_tokens": 8, "lora_rank": lora_rank}
    fields |= {"objective": Objective(reference_kl=0.1, sampler_cap=2.0, normalise="centre")}
    fields |= {"gradient_checkpointing": True}
    ppo, rloo = turn_ppo.Config(episodes=4, **fields), reinforce.Config(groups=2, **fields)
    start()  # made before the decoders' runs are counted
    for name, train in (
        ("ppo", lambda out, again: turn_ppo.train(MICROWAVE, start(), out, ppo, resume=again)),
        ("rloo", lambda out, again: reinforce.train(MICROWAVE, start(), out, rloo, resume=again)),
    ):
        with interrupted_after(0) as counted:
            whole = train(tmp_path / name, False)
        part = tmp_path / f"{name}, stopped"
        with pytest.raises(support.Interrupted), interrupted_after(counted.forwards // 2):
            train(part, False)
        assert 0 < len(metrics(part)) < 3
        train(part, True)
        assert_same_run(part, whole)
        rows = metrics(whole)
        assert rows[-1]["loss/reference_kl"] > 0
        assert rows[0]["kl/sampler_ratio_max"] == pytest.approx(1.0, abs=1e-3)


def said(*logprobs: float) -> Episode:
    actions = [Action("a", (10,), (20, 21), logprobs=logprobs)] if logprobs else []
    actions = actions or [Action("a", (10,), (20, 21))]
    turns = tuple(Turn("o", action, 0.0) for action in actions)
    return Episode("e", "e", 0, "all", "i", turns, "", True, False, False)


def test_weights_by_hand():
    # the learner finds the tokens 4 times as likely, half as likely; nothing is known of the third
    episodes = [said(-2.0, -1.0), said()]
    batch = make_batch(episodes, chat())
    sampled = sampler_logprobs(batch, episodes)
    assert sampled[0, 1:3].tolist() == [-2.0, -1.0] and bool(sampled[1].isnan().all())
    learned = torch.where(batch.policy_mask, -1.0, 0.0)
    learned[0, 1:3] = torch.tensor([-2.0 + np.log(4), -1.0 - np.log(2)])
    weights = importance_weights(sampled, learned, cap=3.0)
    assert weights[0, 1:3].tolist() == pytest.approx([3.0, 0.5])
    assert weights[1].tolist() == [1.0] * weights.shape[1] == weights[:, 0:1].tolist()[0] * 3
    loss = losses.policy_gradient(
        learned, weights * torch.where(batch.policy_mask, 1.0, 0.0), batch.policy_mask
    ).loss
    by_hand = -(3 * (-2 + np.log(4)) + 0.5 * (-1 - np.log(2)) - 1 - 1) / 4
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)
    assert mismatch(sampled, learned)["kl/sampler_ratio_max"] == pytest.approx(4.0)


def test_where_both_agree_every_weight_is_one():
    model, style = beginner()
    episodes = played()
    batch = make_batch(episodes, style)
    sampled, own = sampler_logprobs(batch, episodes), recompute_logprobs(model, batch, 10**6)
    exact = importance_weights(own, own, 2.0)
    assert torch.equal(exact, torch.ones_like(exact))
    close = importance_weights(sampled, own, 2.0)
    torch.testing.assert_close(close, torch.ones_like(close), atol=1e-4, rtol=0)
    assert torch.equal(importance_weights(sampled, own - 3, None), torch.ones_like(own))


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "mps", ""])
def test_a_device_that_is_not_here_is_one_line(name: str, tmp_path: Path, capsys: Any):
    with pytest.raises(ValueError, match="device .*(expected cpu, cuda|use --device cpu)"):
        find_device(name)
    out = tmp_path / "run"
    command = ["train", "turn_ppo", "--env", MICROWAVE, "--model", str(start()), "--out", str(out)]
    assert cli.main([*command, "--device", name]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "device" in err and not out.exists()


def test_on_a_cpu_nothing_is_computed_in_half_precision():
    assert find_device("cpu") == torch.device("cpu")
    with mixed_precision(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
