from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx
from transformers import AutoModelForCausalLM

from agents.rollout import collect
from algorithms import behaviour_cloning
from algorithms.batch import make_batch
from algorithms.behaviour_cloning import Config, best, demonstrations, train, update
from algorithms.forward import policy_logprobs
from lmenvs.types import write_episodes
from tests.support.training import MICROWAVE, beginner, cloning, flat, metrics, played, start

CONFIG = cloning()


def test_filtered_cloning_keeps_the_best_episodes_in_their_order():
    episodes = collect(MICROWAVE, "random", range(40))
    returns = [one.total_reward for one in episodes]
    kept = best(episodes, 0.25)
    assert [one.total_reward for one in kept] == sorted(returns)[-10:][::-1] == [1.0] * 10
    indices = [episodes.index(one) for one in kept]
    assert indices == [i for i, value in enumerate(returns) if value == 1.0][:10]
    assert best(episodes, 1.0) == episodes
    assert len(best(episodes, 1e-9)) == 1


def test_demonstrations_are_played_or_read(tmp_path: Path):
    script = demonstrations(MICROWAVE, replace(CONFIG, demonstrator="expert", episodes=3))
    assert len(script) == 3 and all(one.success for one in script)
    file = tmp_path / "episodes.jsonl"
    other = collect("lmenvs/Wordle-v0", "random", [0])
    write_episodes(file, [*other, *script])
    read = demonstrations(MICROWAVE, replace(CONFIG, demonstrations=str(file)))
    assert list(read) == script
    write_episodes(file, other)
    with pytest.raises(ValueError, match=r"expected episodes of lmenvs/Microwave-v0, got .*Wordle"):
        demonstrations(MICROWAVE, replace(CONFIG, demonstrations=str(file)))
    file.write_text("")
    with pytest.raises(ValueError, match="no episode with a turn"):
        demonstrations(MICROWAVE, replace(CONFIG, demonstrations=str(file)))


def test_a_step_raises_the_likelihood_of_what_was_shown_along_its_gradient():
    model, chat = beginner()
    batch = make_batch(played(), chat)
    logprobs, _ = policy_logprobs(model, batch)
    mean = logprobs.sum() / batch.policy_tokens
    slopes = torch.autograd.grad(mean, list(model.parameters()))
    expected = flat(model) + 0.1 * torch.cat([slope.flatten() for slope in slopes])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    measured = update(model, optimizer, batch, replace(CONFIG, max_norm=1e9))
    torch.testing.assert_close(flat(model), expected, atol=1e-6, rtol=0)
    assert measured["loss/negative_log_likelihood"] == approx(-mean.item(), rel=1e-5)


def test_with_a_weight_what_is_read_is_learned_too_and_counted_by_what_is_said():
    model, chat = beginner()
    batch = make_batch(played(), chat)
    logits = model(batch.ids).logits[:, :-1].float()
    every = -torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), batch.ids[:, 1:], reduction="none"
    )
    said = batch.policy_mask[:, 1:]
    read = (torch.arange(1, batch.ids.shape[1]) < batch.lengths[:, None]) & ~said
    likelihood = (every[said].sum() + 0.25 * every[read].sum()) / said.sum()
    slopes = torch.autograd.grad(likelihood, list(model.parameters()))
    expected = flat(model) + 0.1 * torch.cat([slope.flatten() for slope in slopes])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    config = replace(CONFIG, max_norm=1e9, observation_weight=0.25)
    measured = update(model, optimizer, batch, config)
    torch.testing.assert_close(flat(model), expected, atol=1e-6, rtol=0)
    assert measured["loss/negative_log_likelihood"] == approx(-every[said].mean().item(), rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_eight_micro_batches_of_one_equal_one_of_eight(weight: float):
    after = []
    for micro_tokens in (1, 10**6):
        model, chat = beginner()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        config = replace(CONFIG, micro_tokens=micro_tokens, observation_weight=weight)
        update(model, optimizer, make_batch(played(), chat), config)
        after.append(flat(model))
    torch.testing.assert_close(*after, atol=1e-5, rtol=0)
    assert (after[0] - flat(beginner()[0])).abs().max() > 1e-4


def test_an_expert_is_imitated_to_the_letter(tmp_path: Path):
    config = Config(demonstrator="expert", episodes=32, epochs=10, batch_size=8, learning_rate=1e-2)
    run = train(MICROWAVE, start(), tmp_path / "run", config)
    losses = [row["loss/negative_log_likelihood"] for row in metrics(run)]
    assert losses[-1] < 0.05 * losses[0]
    model = AutoModelForCausalLM.from_pretrained(run / "checkpoints")
    _, chat = beginner()
    batch = make_batch(collect(MICROWAVE, "expert", [0]), chat)
    said = batch.policy_mask[0, 1:]
    guesses = model(input_ids=batch.ids).logits[0, :-1].argmax(-1)
    assert torch.equal(guesses[said], batch.ids[0, 1:][said])


def test_cloning_more_than_the_window_holds_is_refused(tmp_path: Path):
    small = behaviour_cloning.TinyConfig(hidden=16, layers=1, heads=2, context=24, clone=CONFIG)
    with pytest.raises(ValueError, match="but the model reads 24"):
        behaviour_cloning.pretrain(MICROWAVE, tmp_path / "run", small)


@pytest.mark.parametrize("wrong", [{"keep": 0.0}, {"keep": 1.1}, {"epochs": 0}, {"batch_size": 0}])
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]


def test_the_learning_rate_rises_then_falls_to_nothing():
    weight = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = behaviour_cloning._schedule(optimizer, 100)
    rates: list[float] = []
    for _ in range(100):
        rates.append(float(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
    assert rates[0] == approx(0.2) and max(rates) == 1.0 == rates[5]
    assert np.all(np.diff(rates[5:]) <= 0) and rates[-1] < 1e-3
