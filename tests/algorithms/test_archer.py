from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx
from torch import Tensor

from agents.utterance_critics import Reading, UtteranceCritic
from algorithms import archer
from algorithms.archer import Config, imagine
from algorithms.credit import discounted_returns
from algorithms.trainer.learner import Learner
from algorithms.utterances.actor import update_actor
from algorithms.utterances.critic import (
    CriticOptions,
    credit,
    critic_of,
    set_unit,
    sibling_advantages,
    update_critic,
)
from algorithms.utterances.situations import Situations, read
from lmenvs.types import Episode
from tests.support.language import with_random_heads
from tests.support.training import MICROWAVE, beginner, flat, metrics, played, start, weights

CONFIG = Config(
    discount=0.5,
    critic=CriticOptions(lam=0.0),
    siblings=2,
    batch_size=8,
    actor_steps=1,
    max_new_tokens=6,
)
READINGS = {
    "episode": Reading("episode"),
    "policy": Reading("policy"),
    "turn": Reading("turn", history=None),
    "apart": Reading("apart", history=1),
}


def learner_of(config: Config = CONFIG) -> Learner:
    """A learner whose heads and whose target's heads say something, each of its own."""
    reading = config.critic.reading
    learner = Learner(
        *beginner(), config, "turns", 1e-3, lambda model: UtteranceCritic(model, reading), True
    )
    for seed, critic in enumerate(critic_of(learner)):
        with_random_heads(critic, seed)
    return learner


def prepared(config: Config = CONFIG) -> tuple[Learner, Situations, list[Episode]]:
    """Such a learner, and what it sees of episodes of both endings."""
    learner = learner_of(config)
    episodes = [*played(4), *played(4, max_turns=2)]
    assert {one.truncated for one in episodes} == {True, False}
    return learner, imagine(learner, episodes, config, chance()), episodes


def reading(name: str, config: Config = CONFIG, **options: object) -> Config:
    critic = replace(config.critic, reading=READINGS[name], **options)  # type: ignore[arg-type]
    return replace(config, critic=critic)


def chance() -> np.random.Generator:
    return np.random.default_rng(0)


def by_sgd(learner: Learner, rate: float = 0.1) -> Learner:
    # plain descent: Adam would make rounding errors as large as its steps
    learner.optimizer = torch.optim.SGD(learner.trained, lr=rate)
    learner.critic_optimizer = torch.optim.SGD(critic_of(learner)[0].parameters(), lr=rate)
    return learner


def fitted(learner: Learner, seen: Situations, episodes: list[Episode], config: Config) -> None:
    """One step of the critic towards its targets."""
    targets = credit(learner, seen, episodes, config.critic, config.discount)
    update_critic(
        learner, seen, targets, config.critic, config.max_norm, micro_tokens=config.micro_tokens
    )


@torch.no_grad()
def values_of(learner: Learner, seen: Situations, episode: int) -> Tensor:
    """The target's V heads before every turn of an episode and behind its end, [turns + 1, 2]."""
    _, target = critic_of(learner)
    states = read(target, learner.model, seen)
    turns = int(seen.tokens.turn_mask[episode].sum())
    behind = target.values(states.cut[episode])
    if seen.tokens.bootstrap[episode] < 0:
        behind = torch.zeros(2)
    return torch.stack([*target.values(states.before[episode, :turns]), behind])


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("name", READINGS)
def test_q_is_fitted_to_the_return_that_its_own_target_continues(name: str, lam: float):
    config = reading(name, lam=lam)
    learner, seen, episodes = prepared(config)
    targets = credit(learner, seen, episodes, config.critic, config.discount, micro_tokens=1)
    for index, episode in enumerate(episodes):
        values = values_of(learner, seen, index)
        following = values[-1]  # 0 where it terminated, the value behind it where it was cut
        for turn in reversed(range(len(episode.turns))):
            mixed = (1 - lam) * values[turn + 1] + lam * following
            following = episode.turns[turn].reward + config.discount * mixed
            torch.testing.assert_close(targets.q[index, turn], following, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", READINGS)
@torch.no_grad()
def test_v_is_fitted_to_the_targets_q_of_what_the_policy_would_say_now(name: str):
    config = reading(name)
    learner, seen, episodes = prepared(config)
    _, target = critic_of(learner)
    states = read(target, learner.model, seen, siblings=True)
    assert states.siblings is not None
    q = target.action_values(states.before_siblings, states.siblings)
    mean = credit(learner, seen, episodes, config.critic, 0.5).v
    best = credit(learner, seen, episodes, replace(config.critic, v_target="best"), 0.5).v
    apart = 0
    for row, turn in seen.tokens.turn_mask.nonzero().tolist():
        first, second = q[row, 2 * turn], q[row, 2 * turn + 1]
        torch.testing.assert_close(mean[row, turn], (first + second) / 2)
        better = first if first.min() >= second.min() else second
        torch.testing.assert_close(best[row, turn], better)
        apart += not torch.equal(first, second)
    assert apart > 5


@torch.no_grad()
def test_with_an_expectile_v_is_fitted_to_the_targets_q_of_what_was_said():
    config = reading("episode", v_target="expectile")
    learner, seen, episodes = prepared(config)
    _, target = critic_of(learner)
    states = read(target, learner.model, seen)
    expected = target.action_values(states.before, states.said)
    found = credit(learner, replace(seen, siblings=None), episodes, config.critic, 0.5).v
    mask = seen.tokens.turn_mask
    torch.testing.assert_close(found[mask], expected[mask])


def test_a_warm_critic_is_fitted_to_monte_carlo_returns():
    learner, seen, episodes = prepared()
    targets = credit(learner, seen, episodes, CONFIG.critic, CONFIG.discount, monte_carlo=True)
    assert torch.equal(targets.q, targets.v)
    for index, episode in enumerate(episodes):
        rewards = [turn.reward for turn in episode.turns]
        for head in range(2):
            behind = float(values_of(learner, seen, index)[-1, head])
            expected = discounted_returns(rewards, CONFIG.discount, behind)
            got = targets.q[index, : len(rewards), head]
            assert got.tolist() == approx(expected, abs=1e-4)


def test_targets_of_some_rows_are_those_rows_of_all_targets():
    learner, seen, episodes = prepared()
    whole = credit(learner, seen, episodes, CONFIG.critic, CONFIG.discount)
    rows = np.array([1, 5, 6])
    some = credit(learner, seen.rows(rows), episodes, CONFIG.critic, CONFIG.discount)
    width = some.q.shape[1]
    torch.testing.assert_close(some.q, whole.q[rows, :width])
    torch.testing.assert_close(some.v, whole.v[rows, :width])


@pytest.mark.parametrize("name", READINGS)
def test_small_micro_batches_move_the_critic_as_one_large_batch(name: str):
    after = []
    for micro_tokens in (1, 10**6):
        config = replace(reading(name), micro_tokens=micro_tokens)
        learner, seen, episodes = prepared(config)
        before = flat(critic_of(learner)[0])
        fitted(by_sgd(learner), seen, episodes, config)
        after.append(flat(critic_of(learner)[0]))
    torch.testing.assert_close(*after, atol=1e-5, rtol=0)
    assert (after[0] - before).abs().max() > 1e-4


def test_the_target_follows_the_critic_by_the_polyak_rate():
    learner, seen, episodes = prepared()
    critic, target = critic_of(learner)
    before = flat(target)
    fitted(learner, seen, episodes, CONFIG)
    expected = before + CONFIG.critic.polyak * (flat(critic) - before)
    torch.testing.assert_close(flat(target), expected)


@pytest.mark.parametrize("name", READINGS)
def test_a_critic_step_leaves_the_actor_and_an_actor_step_the_critic(name: str):
    config = reading(name)
    learner, seen, episodes = prepared(config)
    critic, target = critic_of(learner)
    actor, judge, slow = flat(learner.model), flat(critic), flat(target)
    fitted(learner, seen, episodes, config)
    assert torch.equal(flat(learner.model), actor)
    assert all(weight.grad is None for weight in learner.model.parameters())
    now, followed = flat(critic), flat(target)
    assert not torch.equal(now, judge) and not torch.equal(followed, slow)
    update_actor(learner, seen, config, chance())
    assert not torch.equal(flat(learner.model), actor)
    assert torch.equal(flat(critic), now) and torch.equal(flat(target), followed)


def test_heads_that_begin_alike_become_two():
    learner, seen, episodes = prepared()
    fresh = UtteranceCritic(learner.model)
    learner.critic, learner.target = fresh, critic_of(learner)[1]
    learner.target.load_state_dict(fresh.state_dict())
    learner.critic_optimizer = torch.optim.Adam(fresh.parameters(), 0.01)
    for _ in range(3):
        targets = credit(learner, seen, episodes, CONFIG.critic, 0.5, monte_carlo=True)
        update_critic(learner, seen, targets, CONFIG.critic, 1.0)
    with torch.no_grad():
        states = read(fresh, learner.model, seen)
        heads = fresh.values(states.before)[seen.tokens.turn_mask]
    assert (heads[:, 0] - heads[:, 1]).abs().max() > 1e-4


def test_untouched_heads_say_the_mean_return_in_the_unit_of_the_episodes():
    learner, seen, episodes = prepared()
    critic = learner.critic = UtteranceCritic(learner.model)
    set_unit(learner, episodes, CONFIG.discount)
    returns = np.concatenate(
        [discounted_returns([t.reward for t in e.turns], CONFIG.discount) for e in episodes]
    )
    with torch.no_grad():
        states = read(critic, learner.model, seen)
        values = critic.values(states.before)
    assert values.flatten().tolist() == approx([returns.mean()] * values.numel(), abs=1e-5)
    assert float(critic_of(learner)[1].scale) == approx(returns.std())


@torch.no_grad()
def test_the_advantage_takes_the_lesser_head_of_each():
    learner, seen, _ = prepared()
    critic, _ = critic_of(learner)
    states = read(critic, learner.model, seen, siblings=True)
    assert states.siblings is not None and seen.siblings is not None
    q = critic.action_values(states.before_siblings, states.siblings)
    v = critic.values(states.before)
    judged = sibling_advantages(learner, seen, micro_tokens=1)
    for row, branch in seen.siblings.branch_mask.nonzero().tolist():
        lesser = q[row, branch].min() - v[row, branch // CONFIG.siblings].min()
        assert judged[row, branch].item() == approx(lesser.item(), abs=1e-4)


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
    "wrong", [{"learning_rate": -1}, {"siblings": 0}, {"batch_size": 0}, {"actor": "some"}]
)
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"lam": -1}, {"polyak": 0}, {"expectile": 1}, {"v_target": "min"}]
)
def test_a_critic_that_cannot_be_fitted_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(CONFIG.critic, **wrong)  # type: ignore[arg-type]
