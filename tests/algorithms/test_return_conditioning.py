"""Return conditioning: cloning where there is nothing to tell, and told what it is asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx

from agents import make_policy
from agents.conditioned import Conditioned, Conditioning, read
from agents.models import load_model
from agents.rollout import collect
from algorithms import losses, return_conditioning, support
from algorithms.batch import make_batch
from algorithms.forward import policy_logprobs
from algorithms.return_conditioning import Config, class_weight, conditioning_of, train
from lmenvs.types import Episode, write_episodes
from tests.support.training import MICROWAVE, beginner, flat, metrics, start

SHORT = Config(
    iterations=2, steps=3, batch_size=8, evaluations=2, max_new_tokens=8, classes=2, save_every=1
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "random.jsonl"
    write_episodes(file, collect(MICROWAVE, make_policy("random"), range(24)))
    return file


def cloned(data: Path, config: Config) -> torch.Tensor:
    """Plain behaviour cloning, written out: the same draws, the mean over the demonstrated ones."""
    from algorithms.trainer.learner import Learner, rate_share
    from lmenvs.types import read_episodes

    model, chat = beginner()
    learner, episodes = Learner(model, chat, config), list(read_episodes(data))
    for iteration in range(config.iterations):
        learner.set_rates(rate_share(iteration / config.iterations, config.anneal), config)
        generator = np.random.default_rng((config.seed, iteration))
        for _ in range(config.steps):
            numbers = generator.integers(len(episodes), size=config.batch_size)
            batch = make_batch([episodes[number] for number in numbers], chat)
            logprobs, _ = policy_logprobs(model, batch)
            losses.negative_log_likelihood(logprobs, batch.policy_mask).loss.backward()
            support.optimizer_step(learner.optimizer, learner.trained, config.max_norm)
    return flat(model)


def test_with_one_class_it_is_behaviour_cloning(data: Path, tmp_path: Path):
    config = replace(SHORT, classes=1)
    run = train(MICROWAVE, start(), tmp_path / "run", config, data=data)
    model, _ = load_model(run)
    assert (flat(model) - flat(beginner()[0])).abs().max() > 1e-3
    torch.testing.assert_close(flat(model), cloned(data, config), atol=1e-6, rtol=1e-4)


def test_a_trained_folder_knows_what_to_ask_for(data: Path, tmp_path: Path):
    run = train(MICROWAVE, start(), tmp_path / "run", SHORT, data=data)
    beside = read(run / "checkpoints")
    assert beside == Conditioning("class", "turn", target=1.0, edges=(-1.0,))
    player = make_policy(f"hf:{run}", max_new_tokens=8)
    assert isinstance(player, Conditioned) and player.conditioning == beside
    asked = make_policy(f"hf:{run}?return=-1")
    assert isinstance(asked, Conditioned) and asked.conditioning.target == -1.0
    (one,) = collect(MICROWAVE, player, [0])
    said = load_model(run)[1].tokenizer.decode(list(one.turns[0].action.prompt_ids))
    assert "Aim: quality 2 of 2." in said
    assert metrics(run)[-1]["rollout/episodes"] == 2


def test_classes_weigh_by_the_exponential_of_their_reward():
    conditioning = Conditioning("class", edges=(0.0, 1.0))
    beta = -1 / np.log(0.1)  # OpenChat's, with rewards 0, 1/2 and 1
    wanted = [np.exp((reward - 1) / beta) for reward in (0.0, 0.5, 1.0)]
    assert [class_weight(r, conditioning, 0.1) for r in (0.0, 1.0, 2.0)] == approx(wanted)
    assert class_weight(5.0, Conditioning("class"), 0.1) == 1.0


def test_bad_episodes_of_low_weight_hardly_move_the_policy(data: Path, tmp_path: Path):
    """With weight 0.001 for failures a step is the step on the successes, per token of all."""
    config = replace(SHORT, worst_weight=1e-3, iterations=1, steps=1, batch_size=16, max_norm=1e9)
    from algorithms.trainer.offline import open_offline

    session = open_offline("x", MICROWAVE, data, start(), tmp_path / "run", config)
    episodes: list[Episode] = session.read(range(16))
    batch = session.batch(episodes)
    weights_E = [1.0 if one.success else 1e-3 for one in episodes]
    assert len(set(weights_E)) == 2
    session.learner.optimizer = torch.optim.SGD(session.learner.trained, lr=0.1)
    before = flat(session.learner.model)
    return_conditioning.policy_update(session, batch, weights_E, config)
    moved = flat(session.learner.model) - before
    model, chat = beginner()
    rows = make_batch([one for one in episodes if one.success], chat)
    logprobs, _ = policy_logprobs(model, rows)
    loss = losses.negative_log_likelihood(
        logprobs, rows.policy_mask, total=batch.policy_tokens
    ).loss
    slopes = torch.autograd.grad(loss, list(model.parameters()))
    wanted = -0.1 * torch.cat([slope.flatten() for slope in slopes])
    assert wanted.abs().max() > 1e-3
    torch.testing.assert_close(moved, wanted, atol=2e-4, rtol=0.0)


def test_the_target_is_the_best_return_of_the_file_or_what_is_given():
    returns_E = np.array([-1.0, 3.0, 0.5])
    told = conditioning_of(returns_E, Config(what="return", per="episode", decimals=1))
    assert told == Conditioning("return", "episode", target=3.0, decimals=1)
    assert conditioning_of(returns_E, Config(target=0.5)).target == 0.5


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"worst_weight 0\.1 with returns: it weighs classes"):
        Config(what="return", worst_weight=0.1)
    with pytest.raises(ValueError, match=r"classes 0, worst_weight 1\.0, decimals 0; expected"):
        Config(classes=0)
