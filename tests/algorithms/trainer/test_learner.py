from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pytest import approx

from agents.models import load_model
from algorithms.batch import make_batch
from algorithms.forward import policy_logprobs, recompute_logprobs
from algorithms.trainer.learner import Learner, rate_share
from algorithms.trainer.values import critic_of
from tests.support.language import chat, model, policy, talk
from tests.support.learners import CONFIG, prepared
from tests.support.training import played


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_a_model_that_drops_units_in_its_own_training_drops_none_here(
    lora_rank: int, tmp_path: Path
):
    made = model("gpt2")
    assert made.config.resid_pdrop > 0 < made.config.attn_pdrop
    chat().save(made, tmp_path)
    learner = Learner(*load_model(tmp_path), replace(CONFIG, lora_rank=lora_rank), "turns")
    episodes = [one.episode() for one in talk(policy(learner.model), ["a", "bee"], turns=3)]
    batch = make_batch(episodes, learner.chat)
    before = recompute_logprobs(learner.model, batch, 10**6)
    for checkpointing in (False, True):
        again, _ = policy_logprobs(learner.model, batch, checkpointing=checkpointing)
        torch.testing.assert_close(again.detach(), before, atol=1e-5, rtol=0)
        again.sum().backward()  # blocks that are computed again are so without dropping, too
    critic = critic_of(learner)
    first = critic.encode(batch.ids, batch.lengths)
    assert torch.equal(first, critic.encode(batch.ids, batch.lengths))


def test_the_pace_falls_where_the_policy_rested_and_recovers():
    learner, _ = prepared(played())
    seen: list[float] = []
    for resting in (0.75, 0.25, 0.0, 0.0, 0.0):
        learner.keep_pace(resting)
        learner.set_rates(0.5, CONFIG)
        assert learner.critic_optimizer is not None
        rates = [o.param_groups[0]["lr"] for o in (learner.optimizer, learner.critic_optimizer)]
        assert rates[1] == 0.5 * CONFIG.critic_learning_rate
        seen.append(rates[0] / (0.5 * CONFIG.learning_rate))
    assert seen == approx([0.7, 0.7, 0.84, 1.0, 1.0])


def test_a_learner_takes_on_what_another_has_come_to():
    learner, _ = prepared(played())
    learner.keep_pace(1.0)
    learner.entropy_bonus = 0.25
    learner.kept["rate"] = 0.5
    other, _ = prepared(played())
    other.load(learner.state())
    assert other.pace == learner.pace == approx(0.7)
    assert other.entropy_bonus == 0.25 and other.kept == {"rate": 0.5}


def test_a_learner_without_a_critic_keeps_none_and_says_so():
    learner, _ = prepared(played(), CONFIG, "nothing")
    assert not any(name.startswith("critic") for name in learner.state())
    with pytest.raises(ValueError, match="expected a learner with a critic"):
        critic_of(learner)


def test_rates_fall_over_the_last_third():
    shares = [rate_share(iteration / 9, anneal=0.1) for iteration in range(9)]
    assert shares == approx([1.0] * 7 + [0.7, 0.4])
