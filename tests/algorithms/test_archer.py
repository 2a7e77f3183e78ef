from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import archer, archer_actor
from algorithms.archer import Config, Learner
from algorithms.archer_actor import update_actor
from algorithms.archer_critic import credit, encode, update_critic
from algorithms.batch import TokenBatch, make_batch
from algorithms.credit import discounted_returns
from algorithms.siblings import draws
from lmenvs.types import Episode
from tests.support.language import with_random_heads
from tests.support.training import MICROWAVE, beginner, flat, metrics, played, start, weights

CONFIG = Config(
    discount=0.5,
    lam=0.0,
    batch_size=8,
    actor_steps=1,
    max_new_tokens=6,
    residual_q=False,
)


def prepared(config: Config = CONFIG) -> tuple[Learner, TokenBatch, list[Episode]]:
    """A learner whose four heads and whose target say something, and episodes of both endings."""
    learner = Learner(*beginner(), config)
    with_random_heads(learner.critic, seed=1)
    with_random_heads(learner.target, seed=2)
    episodes = [*played(4), *played(4, max_turns=2)]
    assert {one.truncated for one in episodes} == {True, False}
    learner.replay.add(episodes)
    return learner, make_batch(episodes, learner.chat), episodes


def drawn(learner: Learner, batch: TokenBatch) -> Tensor:
    return draws(batch, CONFIG.siblings, learner.sampling, chance())


def chance() -> np.random.Generator:
    return np.random.default_rng(0)


def by_sgd(learner: Learner, rate: float = 0.1) -> Learner:
    # plain descent: Adam would make rounding errors as large as its steps
    actor = (p for p in learner.model.parameters() if p.requires_grad)
    vars(learner)["optimizer"] = torch.optim.SGD(actor, lr=rate)
    vars(learner)["critic_optimizer"] = torch.optim.SGD(learner.critic.parameters(), lr=rate)
    return learner


@torch.no_grad()
def values_of(learner: Learner, episode: Episode) -> Tensor:
    """The target's V heads before every turn and behind the end, [turns + 1, 2], one by one."""
    ids: list[int] = []
    found: list[Tensor] = []
    for turn in episode.turns:
        ids += turn.action.prompt_ids
        found.append(_v(learner, ids))
        ids += turn.action.token_ids
    behind = _v(learner, ids + learner.chat.final_ids(episode))
    return torch.stack([*found, behind if episode.truncated else torch.zeros(2)])


def _v(learner: Learner, ids: list[int]) -> Tensor:
    hidden = learner.target.encode(torch.tensor([ids]))
    return learner.target.values(hidden, torch.tensor([[len(ids) - 1]]))[0, 0]


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_q_is_fitted_to_the_return_that_its_own_target_continues(lam: float):
    config = replace(CONFIG, lam=lam)
    learner, batch, episodes = prepared(config)
    targets = credit(learner, batch, episodes, config, False, chance())
    for index, episode in enumerate(episodes):
        values = values_of(learner, episode)
        following = values[-1]  # 0 where it terminated, the value behind it where it was cut
        for turn in reversed(range(len(episode.turns))):
            mixed = (1 - lam) * values[turn + 1] + lam * following
            following = episode.turns[turn].reward + config.discount * mixed
            torch.testing.assert_close(targets.q[index, turn], following, atol=1e-4, rtol=1e-4)


def test_v_is_fitted_to_the_targets_q_of_what_the_policy_would_say_now():
    learner, batch, episodes = prepared()
    language_model = learner.model
    with torch.no_grad():  # a policy that is certain: it says the token 7 and then the stop token
        for weight in language_model.lm_head.parameters():  # type: ignore[union-attr]
            weight.zero_()
    seen: list[Tensor] = []
    original = language_model.lm_head  # type: ignore[union-attr]

    def certain(module: torch.nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        said = torch.full_like(output, -50.0)
        said[..., 7 if not seen else learner.chat.stop_id] = 50.0
        seen.append(output)
        return said

    hook = original.register_forward_hook(certain)  # type: ignore[operator]
    targets = credit(learner, batch, episodes, CONFIG, False, chance())
    hook.remove()
    with torch.no_grad():
        for index, episode in enumerate(episodes):
            ids: list[int] = []
            for turn, one in enumerate(episode.turns):
                ids += one.action.prompt_ids
                answer = torch.tensor([[*ids, 7, learner.chat.stop_id]])
                hidden = learner.target.encode(answer)
                last = torch.tensor([[answer.shape[1] - 1]])
                expected = learner.target.action_values(hidden, last)[0, 0]
                torch.testing.assert_close(targets.v[index, turn], expected, atol=1e-4, rtol=1e-3)
                ids += one.action.token_ids


def test_a_warm_critic_is_fitted_to_monte_carlo_returns():
    learner, batch, episodes = prepared()
    targets = credit(learner, batch, episodes, CONFIG, True, chance())
    assert torch.equal(targets.q, targets.v)
    for index, episode in enumerate(episodes):
        rewards = [turn.reward for turn in episode.turns]
        for head in range(2):
            behind = float(values_of(learner, episode)[-1, head])
            expected = discounted_returns(rewards, CONFIG.discount, behind)
            got = targets.q[index, : len(rewards), head]
            assert got.tolist() == approx(expected, abs=1e-4)


def test_a_paper_warm_up_uses_the_same_targets_as_later():
    learner, batch, episodes = prepared()
    config = replace(CONFIG, warmup_target="td")
    early, late = (
        credit(learner, batch, episodes, config, warm, chance()) for warm in (True, False)
    )
    assert torch.equal(early.q, late.q) and torch.equal(early.v, late.v)


@pytest.mark.parametrize("residual", [True, False])
def test_small_micro_batches_move_the_critic_as_one_large_batch(residual: bool):
    after = []
    for micro_tokens in (1, 10**6):
        config = replace(CONFIG, micro_tokens=micro_tokens, residual_q=residual)
        learner = by_sgd(prepared(config)[0])
        update_critic(learner, config, False, chance())
        after.append(flat(learner.critic))
    torch.testing.assert_close(*after, atol=1e-5, rtol=0)
    assert (after[0] - flat(prepared()[0].critic)).abs().max() > 1e-4


def test_the_target_follows_the_critic_by_the_polyak_rate():
    learner, _, _ = prepared()
    before = flat(learner.target)
    update_critic(learner, CONFIG, False, chance())
    expected = before + CONFIG.polyak * (flat(learner.critic) - before)
    torch.testing.assert_close(flat(learner.target), expected)


def test_a_critic_step_leaves_the_actor_and_an_actor_step_the_critic():
    learner, _, _ = prepared()
    actor, critic, target = flat(learner.model), flat(learner.critic), flat(learner.target)
    update_critic(learner, CONFIG, False, chance())
    assert torch.equal(flat(learner.model), actor)
    fitted = flat(learner.critic)
    assert not torch.equal(fitted, critic)
    followed = flat(learner.target)
    assert not torch.equal(followed, target)
    update_actor(learner, CONFIG, chance())
    assert not torch.equal(flat(learner.model), actor)
    assert torch.equal(flat(learner.critic), fitted)
    assert torch.equal(flat(learner.target), followed)


@pytest.mark.parametrize("clip", [0.2, None])
def test_small_micro_batches_move_the_actor_as_one_large_batch(clip: float | None):
    config = replace(CONFIG, clip=clip, micro_tokens=10**6)
    after = []
    for split in (1, 4):
        learner, batch, _ = prepared(config)
        by_sgd(learner)
        whole = archer_actor._imagine(learner, batch, config, drawn(learner, batch))
        parts = [_rows(whole, rows) for rows in torch.arange(len(batch)).chunk(split)]
        archer_actor._actor_step(learner, config, parts, float(whole.siblings.mask.sum()))
        after.append(flat(learner.model))
    torch.testing.assert_close(*after, atol=1e-5, rtol=0)
    assert (after[0] - flat(beginner()[0])).abs().max() > 1e-5


def _rows(part: archer_actor._Part, rows: Tensor) -> archer_actor._Part:
    def cut(whole: object) -> dict[str, Tensor]:
        tensors = {f.name: getattr(whole, f.name) for f in fields(whole)}  # type: ignore[arg-type]
        return {name: value[rows] for name, value in tensors.items() if isinstance(value, Tensor)}

    siblings = replace(part.siblings, **cut(part.siblings))  # type: ignore[arg-type]
    grown = replace(part.grown, **cut(part.grown))
    return archer_actor._Part(siblings, grown, part.advantages[rows], part.old_logprobs[rows])


def test_before_the_first_actor_step_every_ratio_is_one():
    learner, _, _ = prepared()
    first = update_actor(learner, CONFIG, chance())
    assert first["loss/ratio_max"] == approx(1.0, abs=1e-4)
    assert first["loss/clip_fraction"] == 0.0
    learner, _, _ = prepared()
    several = replace(CONFIG, actor_steps=4, learning_rate=0.01)
    learner.optimizer.param_groups[0]["lr"] = 0.01
    assert update_actor(learner, several, chance())["loss/ratio_max"] > 1.001


def test_a_token_baseline_that_says_zero_changes_nothing():
    after = []
    for token_baseline in (False, True):
        config = replace(CONFIG, token_baseline=token_baseline)
        learner, _, _ = prepared(config)
        with torch.no_grad():
            for weight in learner.critic.token_value_head[-1].parameters():  # type: ignore[index]
                weight.zero_()
        before = {name: weight.clone() for name, weight in learner.critic.named_parameters()}
        update_actor(learner, config, chance())
        after.append(flat(learner.model))
        moved = {
            name
            for name, weight in learner.critic.named_parameters()
            if not torch.equal(weight, before[name])
        }
        assert bool(moved) == token_baseline  # it is fitted, and nothing else of the critic is
        assert all(name.startswith("token_value_head") for name in moved)
    assert torch.equal(*after)


def test_a_token_baseline_that_foresees_the_advantage_leaves_nothing_to_learn():
    config = replace(CONFIG, token_baseline=True, clip=None, siblings=1)
    learner, _, _ = prepared(config)
    with torch.no_grad():
        for head in (learner.critic.action_value_head, learner.critic.value_head):
            head[-1].weight.zero_()  # type: ignore[index, union-attr]
            head[-1].bias.fill_(0.25)  # type: ignore[index, union-attr]
        learner.critic.action_value_head[-1].bias.fill_(1.0)  # type: ignore[index]  # A = 0.75
        learner.critic.token_value_head[-1].weight.zero_()  # type: ignore[index]
        learner.critic.token_value_head[-1].bias.fill_(0.75)  # type: ignore[index]
    before = flat(learner.model)
    by_sgd(learner)
    update_actor(learner, config, chance())
    torch.testing.assert_close(flat(learner.model), before, atol=1e-6, rtol=0)


@torch.no_grad()
def test_the_advantage_takes_the_lesser_head_of_each():
    learner, batch, _ = prepared()
    part = archer_actor._imagine(learner, batch, CONFIG, drawn(learner, batch))
    hidden = encode(learner.critic, part.grown)
    q = learner.critic.action_values(hidden, part.grown.last)
    v = learner.critic.values(hidden, batch.before_turn)
    for row, branch in part.siblings.branch_mask.nonzero().tolist():
        lesser = q[row, branch].min() - v[row, branch // CONFIG.siblings].min()
        assert part.advantages[row, branch].item() == approx(lesser.item(), abs=1e-5)
    residual = archer_actor._imagine(
        learner, batch, replace(CONFIG, residual_q=True), drawn(learner, batch)
    )
    for row, branch in part.siblings.branch_mask.nonzero().tolist():
        before = v[row, branch // CONFIG.siblings]
        lesser = (q[row, branch] + before).min() - before.min()
        assert residual.advantages[row, branch].item() == approx(lesser.item(), abs=1e-5)


TINY = replace(CONFIG, episodes=8, critic_steps=2, batch_size=4)


def test_warming_up_leaves_the_actor_as_it_was(tmp_path: Path):
    before = weights(start())
    for name, iterations in (("warm", 2), ("moved", 3)):
        config = replace(TINY, iterations=iterations, warmup_iterations=2)
        after = weights(archer.train(MICROWAVE, start(), tmp_path / name, config))
        actor = [key for key in before if not key.startswith("state")]
        assert all(torch.equal(before[key], after[key]) for key in actor) == (name == "warm")
        logged = metrics(tmp_path / name)
        assert ["loss/ratio_max" in row for row in logged] == [False, False, True][:iterations]


def test_lora_trains_its_adapters_and_saves_only_them(tmp_path: Path):
    config = replace(TINY, iterations=1, warmup_iterations=0, lora_rank=2)
    kept = weights(archer.train(MICROWAVE, start(), tmp_path / "run", config))
    model = [name for name in kept if not name.startswith("state")]
    assert model and all("lora_" in name for name in model)
    assert any(kept[name].abs().max() > 0 for name in model if "lora_B" in name)
    assert not any("lora" in name for name in kept if name.startswith("state.critic."))


@pytest.mark.parametrize(
    "wrong", [{"lam": -1}, {"polyak": 0}, {"clip": 0}, {"siblings": 0}, {"batch_size": 0}]
)
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]
