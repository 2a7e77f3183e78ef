"""The value of logged turns: its unit, what it is fitted to, and the advantages it gives."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx

from algorithms import losses
from algorithms.a_lol import Config
from algorithms.batch import TokenBatch
from algorithms.credit import discounted_returns, explained_variance
from algorithms.trainer.logged_values import LoggedValues, policy_step
from algorithms.trainer.offline import OfflineSession, open_offline
from algorithms.trainer.values import critic_of, judge_turns
from lmenvs import exact
from lmenvs.envs.control.microwave import TEXTS
from lmenvs.types import Action, Episode, Turn, write_episodes
from tests.support.language import with_random_heads
from tests.support.training import MICROWAVE, flat, played, start

CONFIG = Config(batch_size=8, critic_learning_rate=3e-3, discount=0.5)


def opened(folder: Path, episodes: Sequence[Episode], config: Config = CONFIG) -> OfflineSession:
    write_episodes(folder / "played.jsonl", episodes)
    return open_offline(
        "x",
        MICROWAVE,
        folder / "played.jsonl",
        start(),
        folder / "run",
        config,
        judges="turns",
        critic_learning_rate=config.critic_learning_rate,
    )


def once(name: str, observation: str, reward: float) -> Episode:
    turns = (Turn(observation, Action("open the microwave"), reward),)
    return Episode(name, MICROWAVE, 0, "all", "Cook.", turns, "", True, False, False)


def test_a_critic_that_has_learned_nothing_says_the_mean_of_the_file(tmp_path: Path):
    session = opened(tmp_path, [once(str(i), TEXTS[0], reward) for i, reward in enumerate((2, 6))])
    values = LoggedValues(session, discount=0.5)
    episodes = session.read([0, 1])
    batch = session.batch(episodes)
    advantages_ET = values.advantages(episodes, batch, 1.0, 999)
    assert np.concatenate(advantages_ET) == approx([-2.0, 2.0])
    # mean 4 and spread 2 stand in the checkpoint, so that a resumed run has the same unit
    assert session.learner.kept["value_unit"] == [4.0, 2.0]


def test_advantages_are_what_followed_less_the_value_in_the_environments_unit(tmp_path: Path):
    cut = played(12, max_turns=3)
    assert any(one.truncated for one in cut) and any(one.terminated for one in cut)
    session = opened(tmp_path, cut)
    session.learner.kept["value_unit"] = [0.25, 2.0]
    with_random_heads(critic_of(session.learner))
    values = LoggedValues(session, discount=0.5)
    episodes = session.read(range(12))
    batch = session.batch(episodes)
    raw_ET, raw_E = judge_turns(critic_of(session.learner), batch, 12, 999)
    for lam in (0.0, 1.0):
        advantages_ET = values.advantages(episodes, batch, lam, 64)
        for one, got_T, raw_T, raw in zip(episodes, advantages_ET, raw_ET, raw_E, strict=True):
            values_T = 0.25 + 2.0 * raw_T
            behind = 0.25 + 2.0 * raw if one.truncated else 0.0
            rewards_T = [turn.reward for turn in one.turns]
            wanted_T = discounted_returns(rewards_T, 0.5, behind)
            if lam == 0.0:
                wanted_T = np.array(rewards_T) + 0.5 * np.append(values_T[1:], behind)
            assert got_T == approx(wanted_T - values_T, abs=1e-5)


def test_values_are_fitted_to_the_mean_of_what_followed(tmp_path: Path):
    rewards = {TEXTS[0]: (0.0, 1.0, 1.0, 1.0), TEXTS[2]: (0.0, 0.0, 0.0, 1.0)}
    logged = [
        once(f"{text}{i}", text, reward)
        for text, paid in rewards.items()
        for i, reward in enumerate(paid)
    ]
    session = opened(tmp_path, logged)
    values = LoggedValues(session, discount=1.0)
    episodes = session.read(range(8))
    batch = session.batch(episodes)
    numbers = [values.fit(episodes, batch, CONFIG) for _ in range(40)]
    left = np.concatenate(values.advantages(episodes, batch, 1.0, 999))
    said = np.concatenate([list(paid) for paid in rewards.values()]) - left
    assert said == approx([0.75] * 4 + [0.25] * 4, abs=0.03)
    assert numbers[0]["explained_variance"] == approx(0.0, abs=1e-6)
    # of a variance of 1/4, 1/16 lies between the two means
    assert numbers[-1]["explained_variance"] == approx(0.25, abs=0.01)


def test_a_step_does_not_depend_on_how_the_batch_is_cut(tmp_path: Path):
    moved: list[torch.Tensor] = []
    for number, micro_tokens in enumerate((60, 100_000)):
        folder = tmp_path / str(number)
        folder.mkdir()
        session = opened(folder, played())
        learner = session.learner
        learner.optimizer = torch.optim.SGD(learner.trained, lr=0.1)
        batch, before = session.batch(session.read(range(12))), flat(learner.model)
        total = batch.policy_tokens

        def loss(part: TokenBatch, rows: torch.Tensor, logprobs: torch.Tensor, total: int = total):
            return losses.negative_log_likelihood(logprobs, part.policy_mask, total=total)

        numbers = policy_step(learner, batch, loss, replace(CONFIG, micro_tokens=micro_tokens))
        assert numbers["negative_log_likelihood"] > 0.1
        moved.append(flat(learner.model) - before)
    assert moved[0].abs().max() > 1e-4
    torch.testing.assert_close(moved[0], moved[1], atol=1e-6, rtol=1e-4)


@pytest.mark.slow
def test_values_fitted_to_random_play_are_the_players_exact_values(tmp_path: Path):
    from agents import make_policy
    from agents.rollout import collect

    logged = collect(MICROWAVE, make_policy("random"), range(512))
    config = replace(CONFIG, batch_size=32, critic_learning_rate=2e-3, discount=0.95)
    session = opened(tmp_path, logged, config)
    values = LoggedValues(session, discount=0.95)
    generator = np.random.default_rng(0)
    for _ in range(800):  # rounding decides when it leaves a plateau
        episodes = session.draw(generator)
        values.fit(episodes, session.batch(episodes), config)
    solution = exact.solve(MICROWAVE, discount=0.95, policy="uniform")
    episodes = session.read(range(128))
    advantages_ET = values.advantages(episodes, session.batch(episodes), 1.0, 2048)
    said, true = list[float](), list[float]()
    for one, advantages_T in zip(episodes, advantages_ET, strict=True):
        returns_T = discounted_returns([turn.reward for turn in one.turns], 0.95)
        for t, turn in enumerate(one.turns):
            said.append(returns_T[t] - advantages_T[t])
            true.append(solution.value(str(turn.state_key), t))
    assert explained_variance(said, true) >= 0.8
