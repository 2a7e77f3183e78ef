from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx

from agents.lm import LMPolicy
from agents.models import load_model
from agents.rollout import collect
from algorithms import support, turn_ppo
from algorithms.batch import TokenBatch, make_batch
from algorithms.forward import policy_logprobs, recompute_logprobs
from algorithms.metrics import normalised
from algorithms.mismatch import mismatch, sampler_logprobs
from algorithms.turn_ppo import Config, Learner, TurnCredit, credit, judge
from lmenvs.types import Action, Episode, Turn
from tests.support.language import chat, model, policy, talk, with_random_heads
from tests.support.training import MICROWAVE, beginner, flat, played, start, weights

CONFIG = Config(discount=0.5, lam=0.5, epochs=1, minibatches=1)


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


def prepared(episodes: list[Episode], config: Config = CONFIG) -> tuple[Learner, TokenBatch]:
    learner = Learner(*beginner(), config)
    with_random_heads(learner.critic)
    return learner, make_batch(episodes, learner.chat)


def credited(learner: Learner, batch: TokenBatch, episodes: list[Episode]) -> TurnCredit:
    values_ET, bootstraps_E = judge(learner.critic, batch, len(episodes), 10**6)
    return credit(episodes, values_ET, bootstraps_E, CONFIG)


@torch.no_grad()
def test_a_value_is_read_before_its_action_and_behind_a_truncated_end():
    episodes = [*played(4), *played(4, max_turns=2)]
    assert {one.truncated for one in episodes} == {True, False}
    learner, batch = prepared(episodes)
    for micro_tokens in (1, 10**6):
        values_ET, bootstraps_E = judge(learner.critic, batch, len(episodes), micro_tokens)
        for index, one in enumerate(episodes):
            ids: list[int] = []
            for turn, value in zip(one.turns, values_ET[index], strict=True):
                ids += turn.action.prompt_ids
                assert read(learner, ids) == approx(value, abs=1e-4)
                ids += turn.action.token_ids
            if one.terminated:
                assert bootstraps_E[index] == 0.0
            else:
                ids += learner.chat.final_ids(one)
                assert bootstraps_E[index] == approx(read(learner, ids), abs=1e-4)
                assert abs(bootstraps_E[index]) > 1e-3


def read(learner: Learner, ids: list[int]) -> float:
    hidden = learner.critic.encode(torch.tensor([ids]))
    return learner.critic.values(hidden, torch.tensor([[len(ids) - 1]])).item()


def old(learner: turn_ppo.Learner, batch: TokenBatch) -> torch.Tensor:
    return recompute_logprobs(learner.model, batch, 10**6)


def update(config: Config, episodes: list[Episode], sgd: float | None = None):
    learner, batch = prepared(episodes, config)
    if sgd is not None:  # plain descent: Adam would make rounding errors as large as its steps
        for name, module in (("optimizer", learner.model), ("critic_optimizer", learner.critic)):
            vars(learner)[name] = torch.optim.SGD(module.parameters(), lr=sgd)
    given = credited(learner, batch, episodes)
    measured = turn_ppo.update(
        learner, batch, old(learner, batch), given, config, np.random.default_rng(0)
    )
    return learner, measured


@pytest.mark.parametrize("ratio", ["token", "turn"])
def test_before_the_first_step_every_ratio_is_one(ratio: str):
    config = replace(CONFIG, ratio=ratio)  # type: ignore[arg-type]
    _, measured = update(config, played())
    assert measured["loss/ratio_max"] == approx(1.0, abs=1e-4)
    assert measured["loss/clip_fraction"] == 0.0
    assert measured["loss/approx_kl"] == approx(0.0, abs=1e-8)
    _, later = update(replace(config, epochs=3, learning_rate=0.01), played())
    assert later["loss/ratio_max"] > 1.01 and later["loss/approx_kl"] > 1e-5


@pytest.mark.parametrize("minibatches", [1, 4])
def test_eight_micro_batches_of_one_equal_one_of_eight(minibatches: int):
    config = replace(CONFIG, minibatches=minibatches, entropy_bonus=0.1, epochs=2)
    (small, _), (large, _) = (
        update(replace(config, micro_tokens=n), played(), sgd=0.1) for n in (1, 10**6)
    )
    torch.testing.assert_close(flat(small.model), flat(large.model), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat(small.critic), flat(large.critic), atol=1e-5, rtol=0)
    assert (flat(large.model) - flat(beginner()[0])).abs().max() > 1e-4


@pytest.mark.parametrize("ratio", ["token", "turn"])
def test_the_first_step_is_that_of_reinforce(ratio: str):
    config = replace(CONFIG, ratio=ratio, max_norm=1e9)  # type: ignore[arg-type]
    learner, _ = update(config, played(), sgd=0.1)
    plain, batch = prepared(played(), config)
    advantages = batch.spread(normalised(credited(plain, batch, played()).advantages_ET))
    logprobs, _ = policy_logprobs(plain.model, batch)
    objective = (advantages * logprobs).sum() / batch.policy_tokens
    slopes = torch.autograd.grad(objective, list(plain.model.parameters()))
    step = 0.1 * torch.cat([slope.flatten() for slope in slopes])
    assert step.abs().max() > 1e-3
    torch.testing.assert_close(flat(learner.model) - flat(plain.model), step, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_a_model_that_drops_units_in_its_own_training_drops_none_here(
    lora_rank: int, tmp_path: Path
):
    made = model("gpt2")
    assert made.config.resid_pdrop > 0 < made.config.attn_pdrop
    chat().save(made, tmp_path)
    learner = Learner(*load_model(tmp_path), replace(CONFIG, lora_rank=lora_rank))
    episodes = [one.episode() for one in talk(policy(learner.model), ["a", "bee"], turns=3)]
    batch = make_batch(episodes, learner.chat)
    before = old(learner, batch)
    for checkpointing in (False, True):
        again, _ = policy_logprobs(learner.model, batch, checkpointing=checkpointing)
        torch.testing.assert_close(again.detach(), before, atol=1e-5, rtol=0)
        again.sum().backward()  # blocks that are computed again are so without dropping, too
    first = learner.critic.encode(batch.ids, batch.lengths)
    assert torch.equal(first, learner.critic.encode(batch.ids, batch.lengths))


def test_fewer_episodes_than_minibatches_take_steps_of_the_usual_length():
    norms = []
    for minibatches in (1, 4):
        config = replace(CONFIG, minibatches=minibatches)
        _, measured = update(config, played(1), sgd=0.1)
        norms.append((measured["loss/grad_norm"], measured["loss/critic_grad_norm"]))
    assert norms[0] == approx(norms[1], rel=1e-4) and min(norms[0]) > 0


def test_policy_and_critic_share_nothing():
    still, _ = update(replace(CONFIG, critic_learning_rate=0.0), played())
    moved, _ = update(CONFIG, played())
    assert torch.equal(flat(still.model), flat(moved.model))
    frozen, _ = update(replace(CONFIG, learning_rate=0.0), played())
    assert torch.equal(flat(frozen.critic), flat(moved.critic))
    assert torch.equal(flat(frozen.model), flat(beginner()[0]))


def test_the_critic_comes_to_predict_its_targets():
    config = replace(CONFIG, epochs=60, learning_rate=0.0)
    learner, batch = prepared(played(), config)
    given = credited(learner, batch, played())
    turn_ppo.update(learner, batch, old(learner, batch), given, config, np.random.default_rng(0))
    values_ET, _ = judge(learner.critic, batch, 12, 10**6)
    errors = [v - y for v, y in zip(values_ET, given.value_targets_ET, strict=True)]
    before = [v - y for v, y in zip(given.values_ET, given.value_targets_ET, strict=True)]
    assert np.square(np.concatenate(errors)).mean() < 0.2 * np.square(np.concatenate(before)).mean()


def test_lora_trains_its_adapters_and_saves_only_them(tmp_path: Path):
    config = Config(iterations=1, episodes=4, lora_rank=2, max_new_tokens=8)
    run = turn_ppo.train(MICROWAVE, start(), tmp_path / "run", config)
    kept = weights(run)
    names = [name for name in kept if not name.startswith("state")]
    assert names and all("lora_" in name for name in names)
    assert any(kept[name].abs().max() > 0 for name in names if "lora_B" in name)
    assert not any("lora" in name for name in kept if name.startswith("state.critic."))


def test_an_episode_that_fills_the_window_is_trained_to_its_last_token(tmp_path: Path):
    language_model, style = beginner()
    episodes = played()
    longest = max(len(turn.action.prompt_ids) for one in episodes for turn in one.turns)
    language_model.config.max_position_embeddings = style.context = longest + 16
    cut = collect(MICROWAVE, LMPolicy(language_model, style), range(8))
    assert any(one.truncated and len(one.turns) < 5 for one in cut)
    batch = make_batch(cut, style)
    assert int(batch.lengths.max()) <= longest + 16
    learner = Learner(language_model, style, CONFIG)
    given = credited(learner, batch, cut)
    measured = turn_ppo.update(
        learner, batch, old(learner, batch), given, CONFIG, np.random.default_rng(0)
    )
    assert np.isfinite(measured["loss/grad_norm"])


@pytest.mark.parametrize("wrong", [{"lam": 1.5}, {"clip": 0}, {"epochs": 0}, {"save_every": 0}])
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]


def test_sampler_and_learner_agree_until_one_of_them_changes():
    episodes = played()
    learner, batch = prepared(episodes)
    logprobs = old(learner, batch)
    sampled = sampler_logprobs(batch, episodes)
    agreed = mismatch(sampled, logprobs)
    assert agreed["kl/sampler"] == approx(0.0, abs=1e-9)
    assert agreed["kl/sampler_ratio_max"] == approx(1.0, abs=1e-4)
    # a ratio of 2 everywhere: k3 is 2 - 1 - log 2
    apart = mismatch(sampled, logprobs + np.log(2.0))
    assert apart["kl/sampler"] == approx(1 - np.log(2.0), rel=1e-4)
    assert apart["kl/sampler_ratio_max"] == approx(2.0, rel=1e-4)


def test_the_policy_rests_once_it_moved_too_far():
    moving = replace(CONFIG, epochs=4, learning_rate=0.05, target_kl=None)
    _, free = update(moving, played())
    _, held = update(replace(moving, target_kl=1e-6), played())
    assert free["loss/resting"] == 0
    assert held["loss/resting"] == approx(3 / 4)  # the first step cannot have moved yet


def test_a_policy_that_is_no_number_does_not_rest_but_stops_the_run():
    learner, batch = prepared(played())
    given = credited(learner, batch, played())
    with torch.no_grad():
        for weight in learner.model.lm_head.parameters():  # type: ignore[union-attr]
            weight.mul_(torch.nan)
    config = replace(CONFIG, minibatches=4)

    def update_once() -> dict[str, float]:
        chance = np.random.default_rng(0)
        return turn_ppo.update(learner, batch, old(learner, batch), given, config, chance)

    measured = update_once()
    assert measured["loss/skipped_steps"] == 4 and measured["loss/resting"] == 0
    with pytest.raises(support.Diverged, match="nan in 10 optimizer steps in a row"):
        for _ in range(2):
            update_once()


def test_the_pace_falls_where_the_policy_rested_and_recovers():
    learner, _ = prepared(played())
    seen: list[float] = []
    for resting in (0.75, 0.25, 0.0, 0.0, 0.0):
        learner.keep_pace(resting)
        learner.set_rates(0.5, CONFIG)
        rates = [o.param_groups[0]["lr"] for o in (learner.optimizer, learner.critic_optimizer)]
        assert rates[1] == 0.5 * CONFIG.critic_learning_rate
        seen.append(rates[0] / (0.5 * CONFIG.learning_rate))
    assert seen == approx([0.7, 0.7, 0.84, 1.0, 1.0])
    other, _ = prepared(played())
    learner.keep_pace(1.0)
    other.load(learner.state())
    assert other.pace == learner.pace == approx(0.7)
