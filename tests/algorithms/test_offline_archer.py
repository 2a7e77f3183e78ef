from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.best_of_n import BestOfN
from agents.making import make_policy
from agents.utterance_critics import UtteranceCritic
from algorithms import offline_archer, utterance_iql
from algorithms.forward import policy_logprobs
from algorithms.trainer.offline import OfflineSession, open_offline
from algorithms.utterances.critic import critic_of, judge
from algorithms.utterances.offline import prepare_unit
from lmenvs.types import write_episodes
from tests.support.language import with_random_heads
from tests.support.training import MICROWAVE, flat, metrics, played, start, weights

CONFIG = offline_archer.Config(
    iterations=3, critic_iterations=1, steps=2, batch_size=4, evaluations=4, max_new_tokens=8
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "episodes.jsonl"
    write_episodes(file, played(12))
    return file


def opened(data: Path, out: Path, config: offline_archer.Config = CONFIG) -> OfflineSession:
    """A session whose critic says something."""
    session = open_offline(
        "offline_archer",
        MICROWAVE,
        data,
        start(),
        out,
        config,
        judges="turns",
        critic_learning_rate=1e-3,
        critic=lambda model: UtteranceCritic(model, config.critic.reading),
        target=True,
    )
    prepare_unit(session, config.discount)
    for seed, critic in enumerate(critic_of(session.learner)):
        with_random_heads(critic, seed)
    return session


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_policy_moves_along_the_weighted_slope_of_the_datas_logprobs(
    data: Path, tmp_path: Path, temperature: float
):
    config = replace(CONFIG, temperature=temperature, max_norm=1e9)
    session = opened(data, tmp_path / "run", config)
    learner = session.learner
    episodes = session.read(range(4))
    batch = session.batch(episodes)
    judged = judge(learner, episodes, batch, 10**6)
    logprobs, _ = policy_logprobs(learner.model, batch)
    wanted = torch.zeros(())
    for row, advantages_T in enumerate(judged.advantages_ET):
        for turn, advantage in enumerate(advantages_T):
            weight = min(float(np.exp(advantage / temperature)), 100.0)
            own = (batch.turn_index[row] == turn) & batch.policy_mask[row]
            wanted = wanted + weight * logprobs[row][own].sum()
    slopes = torch.autograd.grad(wanted / batch.policy_tokens, list(learner.model.parameters()))
    learner.optimizer = torch.optim.SGD(learner.trained, lr=0.1)
    before = flat(learner.model)
    numbers = offline_archer.imitate(session, episodes, batch, None, config)
    step = 0.1 * torch.cat([slope.flatten() for slope in slopes])
    assert step.abs().max() > 1e-4
    torch.testing.assert_close(flat(learner.model) - before, step, atol=1e-6, rtol=1e-3)
    assert numbers["weight_mean"] > 0


def test_at_the_start_the_pull_towards_it_is_nothing(data: Path, tmp_path: Path):
    moved, numbers = [], dict[str, float]()
    for kl in (0.0, 5.0):
        session = opened(data, tmp_path / str(kl), replace(CONFIG, kl=kl))
        episodes = session.read(range(4))
        reference = session.reference() if kl else None
        batch = session.batch(episodes)
        for _ in range(3):
            numbers = offline_archer.imitate(
                session, episodes, batch, reference, replace(CONFIG, kl=kl)
            )
        moved.append(flat(session.learner.model))
    assert numbers["reference_kl"] > 0
    begun = flat(opened(data, tmp_path / "begun").learner.model)
    assert (moved[1] - begun).abs().sum() < (moved[0] - begun).abs().sum()


def test_the_critic_comes_first(data: Path, tmp_path: Path):
    before = weights(start())
    for name, iterations in (("critic", 1), ("both", 2)):
        config = replace(CONFIG, iterations=iterations)
        run = offline_archer.train(MICROWAVE, start(), tmp_path / name, config, data=data)
        after = weights(run)
        model = [key for key in before if not key.startswith("state")]
        assert all(torch.equal(before[key], after[key]) for key in model) == (name == "critic")
        assert "loss/q1_error" in metrics(run)[0]


def test_a_run_of_utterance_iql_plays_the_best_of_its_clones_answers(data: Path, tmp_path: Path):
    config = utterance_iql.Config(
        iterations=1, steps=2, batch_size=4, candidates=3, evaluations=4, max_new_tokens=8
    )
    run = utterance_iql.train(MICROWAVE, None, tmp_path / "run", config, data=data)
    assert isinstance(make_policy(f"hf:{run}?max_new_tokens=8"), BestOfN)
    assert metrics(run)[0]["rollout/episodes"] == 4


@pytest.mark.parametrize("wrong", [{"temperature": 0}, {"kl": -1}, {"steps": 0}])
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"v_target 'sampled'"):
        replace(CONFIG, critic=replace(CONFIG.critic, v_target="sampled"))
