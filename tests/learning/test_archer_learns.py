"""ArCHer's critic finds what actions are worth, then its actor does what is worth most."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.models import load_model
from agents.utterance_critics import Reading, UtteranceCritic
from algorithms import archer
from algorithms.batch import make_batch
from algorithms.credit import explained_variance
from algorithms.forward import policy_logprobs
from algorithms.trainer.learner import Learner
from algorithms.trainer_state import read_state
from algorithms.utterances.critic import CriticOptions, judge
from lmenvs import exact
from lmenvs.envs.control.microwave import NEXT
from lmenvs.registration import make
from lmenvs.types import Action, Episode
from tests.learning.test_language_models_learn import play, player, success
from tests.support.training import MICROWAVE, metrics

ARCHER = archer.Config(
    critic=CriticOptions(Reading("turn"), warmup_target="td", critic_learning_rate=3e-3),
    max_new_tokens=8,
)


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


def learner_of(run: Path, reading: Reading) -> Learner:
    """The policy and the critic of a run."""
    model, chat = load_model(run)
    made = Learner(
        model, chat, ARCHER, "turns", 1e-3, lambda of: UtteranceCritic(of, reading), True
    )
    made.load(read_state(run / "checkpoints"))
    return made


@pytest.mark.slow
def test_archers_critic_finds_the_true_advantages_of_a_language_model(tmp_path: Path):
    # the whole past: what is still to come depends on how many turns are left
    critic = replace(ARCHER.critic, reading=Reading("turn", history=None))
    config = replace(ARCHER, critic=critic, iterations=4, warmup_iterations=4, critic_steps=60)
    run = archer.train(MICROWAVE, player(), tmp_path / "run", config)
    learner = learner_of(run, critic.reading)
    fresh = play(player(), 64)
    says = action_probabilities(player(), fresh[:24])
    solution = exact.solve(
        make(MICROWAVE), discount=ARCHER.discount, policy=lambda key, actions: says[key]
    )
    judged: list[tuple[float, float]] = []
    values: list[tuple[float, float]] = []
    with torch.no_grad():
        said = judge(learner, fresh, make_batch(fresh, learner.chat), 2048)
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
def test_archer_solves_microwave(tmp_path: Path):
    critic = CriticOptions(Reading("turn"), critic_learning_rate=1e-3, polyak=0.05)
    config = replace(ARCHER, critic=critic, iterations=30, learning_rate=1e-3, critic_steps=48)
    assert success(player()) < 0.8
    run = archer.train(MICROWAVE, player(), tmp_path / "run", config)
    assert success(run) >= 0.9


@pytest.mark.slow
def test_the_best_of_a_clones_answers_solves_microwave_without_an_actor(tmp_path: Path):
    config = replace(
        ARCHER,
        iterations=10,
        actor="none",
        siblings=6,
        critic=replace(ARCHER.critic, v_target="best"),
    )
    run = archer.train(MICROWAVE, player(), tmp_path / "run", config)
    assert metrics(run)[-1]["rollout/success"] >= 0.9
