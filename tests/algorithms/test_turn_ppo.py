from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.lm import LMPolicy
from agents.rollout import collect
from algorithms import turn_ppo
from algorithms.forward import policy_logprobs
from algorithms.metrics import normalised
from algorithms.turn_ppo import Config, credit
from lmenvs.types import Action, Episode, Turn
from tests.support.learners import CONFIG, credited, prepared, trained, under, updated
from tests.support.training import MICROWAVE, beginner, flat, played, start, weights


def episode(*rewards: float, truncated: bool = False) -> Episode:
    turns = tuple(Turn("seen", Action("said"), reward) for reward in rewards)
    return Episode("e", "e", 0, "all", "i", turns, "", not truncated, truncated, False)


def test_credit_by_hand():
    # errors: 0 + .5*2 - 1 = 0 and 1 + .5*b - 2: -1 where it ended, 3 where 8 was still to come
    episodes = [episode(0, 1), episode(0, 1, truncated=True)]
    values_ET = [np.array([1.0, 2.0])] * 2
    given = credit(episodes, values_ET, [0.0, 8.0], CONFIG)
    assert [a.tolist() for a in given.advantages_ET] == [[-0.25, -1.0], [0.75, 3.0]]
    assert [y.tolist() for y in given.value_targets_ET] == [[0.75, 1.0], [1.75, 5.0]]


@pytest.mark.parametrize("ratio", ["token", "turn"])
def test_the_first_step_is_that_of_reinforce(ratio: str):
    config = under(replace(CONFIG, max_norm=1e9), ratio=ratio)
    learner, _ = updated(config, sgd=0.1)
    plain, seen = prepared(played(), config)
    advantages = seen.tokens.spread(normalised(credited(plain, seen).advantages_ET))
    logprobs, _ = policy_logprobs(plain.model, seen.tokens)
    objective = (advantages * logprobs).sum() / seen.tokens.policy_tokens
    slopes = torch.autograd.grad(objective, list(plain.model.parameters()))
    step = 0.1 * torch.cat([slope.flatten() for slope in slopes])
    assert step.abs().max() > 1e-3
    torch.testing.assert_close(flat(learner.model) - flat(plain.model), step, atol=1e-6, rtol=1e-3)


def test_lora_trains_its_adapters_and_saves_only_them(tmp_path: Path):
    config = Config(iterations=1, episodes=4, lora_rank=2, max_new_tokens=8)
    run = turn_ppo.train(MICROWAVE, start(), tmp_path / "run", config)
    kept = weights(run)
    names = [name for name in kept if not name.startswith("state")]
    assert names and all("lora_" in name for name in names)
    assert any(kept[name].abs().max() > 0 for name in names if "lora_B" in name)
    assert not any("lora" in name for name in kept if name.startswith("state.critic."))


def test_an_episode_that_fills_the_window_is_trained_to_its_last_token():
    language_model, style = beginner()
    longest = max(len(turn.action.prompt_ids) for one in played() for turn in one.turns)
    language_model.config.max_position_embeddings = style.context = longest + 16
    cut = collect(MICROWAVE, LMPolicy(language_model, style), range(8))
    assert any(one.truncated and len(one.turns) < 5 for one in cut)
    learner, seen = prepared(cut, of=(language_model, style))
    assert int(seen.tokens.lengths.max()) <= longest + 16
    measured = trained(learner, seen, CONFIG, credited(learner, seen))
    assert np.isfinite(measured["loss/grad_norm"])


@pytest.mark.parametrize("wrong", [{"lam": 1.5}, {"epochs": 0}, {"save_every": 0}])
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]
