"""Tiny language models learn Microwave from a clone of random play; each in seconds on one core."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.lm import LMPolicy
from agents.models import load_model
from agents.rollout import collect
from agents.sampling import Sampling
from algorithms import archer, archer_critic, reinforce, turn_ppo
from algorithms.batch import make_batch
from algorithms.credit import explained_variance
from algorithms.forward import policy_logprobs
from lmenvs import exact
from lmenvs.envs.control.microwave import NEXT
from lmenvs.registration import make
from lmenvs.types import Action, Episode
from tests.support.training import MICROWAVE, start


def player(layers: int = 1) -> Path:
    """A clone of random play: it says what is legal, and has no idea which to say."""
    if layers == 1:
        return start(hidden=32, episodes=256, epochs=24)
    return start(hidden=32, episodes=256, epochs=16, layers=layers, learning_rate=5e-3)


def play(folder: Path, episodes: int = 128) -> list[Episode]:
    policy = LMPolicy(*load_model(folder), Sampling(max_new_tokens=8))
    return collect(MICROWAVE, policy, range(episodes), policy_seed=7)


def success(folder: Path) -> float:
    return float(np.mean([one.success for one in play(folder)]))


def test_turn_ppo_solves_microwave(tmp_path: Path):
    config = turn_ppo.Config(
        iterations=16, episodes=64, learning_rate=3e-3, critic_learning_rate=3e-3, max_new_tokens=8
    )
    assert success(player()) < 0.8
    run = turn_ppo.train(MICROWAVE, player(), tmp_path / "run", config)
    assert success(run) >= 0.9


def test_reinforce_improves_on_microwave(tmp_path: Path):
    config = reinforce.Config(
        iterations=32, groups=8, group_size=8, learning_rate=1e-3, max_new_tokens=8
    )
    run = reinforce.train(MICROWAVE, player(), tmp_path / "run", config)
    assert success(run) >= success(player()) + 0.1


def action_probabilities(folder: Path, episodes: Sequence[Episode]) -> dict[str, list[float]]:
    """State -> what the model gives each legal action there, the mean over visits."""
    model, chat = load_model(folder)
    found: dict[str, list[np.ndarray]] = {}
    for one in episodes:
        for index, turn in enumerate(one.turns):
            said = [
                replace(turn, action=Action(action)) for action in NEXT[int(turn.state_key or 0)]
            ]
            rows = [replace(one, turns=(*one.turns[:index], instead)) for instead in said]
            batch = make_batch(rows, chat)
            with torch.no_grad():
                logprobs, _ = policy_logprobs(model, batch)
            of_turn = torch.where(batch.turn_index == index, logprobs, 0.0).sum(1).exp()
            found.setdefault(str(turn.state_key), []).append((of_turn / of_turn.sum()).numpy())
    means = {key: np.mean(visits, axis=0, dtype=np.float64) for key, visits in found.items()}
    return {key: list(mean / mean.sum()) for key, mean in means.items()}


# Q apart from V: on a game this small it finds what actions are worth in half the steps
ARCHER = archer.Config(batch_size=32, critic_learning_rate=2e-3, residual_q=False, max_new_tokens=8)


def test_archers_critic_finds_the_true_advantages_of_a_language_model():
    torch.manual_seed(0)
    model, chat = load_model(player(layers=2))
    learner = archer.Learner(model, chat, ARCHER)
    policy = LMPolicy(model, chat, learner.sampling)
    learner.replay.add(collect(MICROWAVE, policy, range(1024)))
    generator = np.random.default_rng(0)
    for _ in range(840):  # rounding decides when it leaves a plateau: after 200 to 700 steps
        archer_critic.update_critic(learner, ARCHER, True, generator)

    fresh = play(player(layers=2), 64)
    says = action_probabilities(player(layers=2), fresh[:24])
    solution = exact.solve(
        make(MICROWAVE), discount=ARCHER.discount, policy=lambda key, actions: says[key]
    )
    judged: list[tuple[float, float]] = []
    values: list[tuple[float, float]] = []
    said = archer_critic.judge(learner, fresh, ARCHER)
    for one, judged_T, values_T in zip(fresh, said.advantages_ET, said.values_ET, strict=True):
        for t, turn in enumerate(one.turns):
            key = str(turn.state_key)
            values.append((values_T[t], solution.value(key, t)))
            if turn.action.text in NEXT[int(key)]:
                judged.append((judged_T[t], solution.advantage(key, turn.action.text, t)))
    assert len(judged) > 0.9 * len(values)
    assert explained_variance(*np.transpose(values)) >= 0.8
    assert explained_variance(*np.transpose(judged)) >= 0.8


@pytest.mark.slow
def test_archer_improves_on_microwave(tmp_path: Path):
    config = replace(
        ARCHER,
        iterations=14,
        warmup_iterations=4,
        episodes=128,
        critic_steps=50,  # and 100 while it warms up
        learning_rate=1e-3,
    )
    run = archer.train(MICROWAVE, player(layers=2), tmp_path / "run", config)
    assert success(run) >= success(player(layers=2)) + 0.1
