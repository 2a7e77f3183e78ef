"""Numbers that are not finite are passed over and counted, and in the end told; nothing is lost."""

import dataclasses
import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from algorithms import behaviour_cloning, cli, reinforce, support
from algorithms.commands.training import ALGORITHMS
from algorithms.trainer.experience import read_episodes
from algorithms.trainer.learner import Learner
from algorithms.trainer.update import update
from tests.support.language import interrupted_after
from tests.support.learners import descend
from tests.support.training import MICROWAVE, beginner, cloning, flat, metrics, played, start


def test_one_batch_that_is_not_a_number_costs_its_step_and_no_more():
    config = reinforce.Config(groups=4, group_size=2, minibatches=1)
    learner = Learner(*beginner(), config)
    descend(learner, 0.1)
    seen = read_episodes(learner, played(8, group_size=2), config)
    good = seen.spread([np.ones(len(episode.turns)) for episode in seen.episodes])
    bad = good.clone()
    bad[0, seen.mask[0]] = torch.nan

    def update_once(advantages: torch.Tensor) -> dict[str, float]:
        chance, loss = np.random.default_rng(0), reinforce.policy_loss(config)
        return update(learner, seen, advantages, config, chance, policy_loss=loss)

    before = flat(learner.model)
    measured = update_once(bad)
    assert measured["loss/skipped_steps"] == 1.0 and torch.equal(flat(learner.model), before)
    measured = update_once(good)
    assert measured["loss/skipped_steps"] == 0.0 and not torch.equal(flat(learner.model), before)
    assert torch.isfinite(flat(learner.model)).all()


def test_a_run_whose_loss_stays_nan_stops_with_its_checkpoint_kept(tmp_path: Path):
    run, model = tmp_path / "run", str(start())
    config = cloning(episodes=60, epochs=2, batch_size=4)
    with pytest.raises(support.Interrupted), interrupted_after(1):
        behaviour_cloning.train(MICROWAVE, model, run, config)
    file = run / "checkpoints" / "model.safetensors"
    whole = load_file(file)
    save_file({n: w * torch.nan for n, w in whole.items()}, file, metadata={"format": "pt"})
    progress = json.loads((run / "checkpoints" / "progress.json").read_text())
    del progress["sums"]  # they would tell that somebody has changed the weights
    (run / "checkpoints" / "progress.json").write_text(json.dumps(progress))
    kept = {file: file.read_bytes() for file in (run / "checkpoints").iterdir()}
    with pytest.raises(support.Diverged, match=r"nan in 10 optimizer steps in a row.*--model OUT"):
        behaviour_cloning.train(MICROWAVE, model, run, config, resume=True)
    assert {file: file.read_bytes() for file in (run / "checkpoints").iterdir()} == kept
    assert len(metrics(run)) == 1


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path):
    model, chat = beginner()
    run = support.open_run(tmp_path, {})
    run.save(lambda folder: chat.save(model, folder), {"iteration": 1})
    kept = {file: file.read_bytes() for file in (tmp_path / "checkpoints").iterdir()}
    with torch.no_grad():
        next(model.parameters())[0] = torch.inf
    with pytest.raises(ValueError, match="expected finite weights, got others in .*smaller"):
        run.save(lambda folder: chat.save(model, folder), {"iteration": 2})
    assert {file: file.read_bytes() for file in (tmp_path / "checkpoints").iterdir()} == kept
    assert not (tmp_path / "checkpoints.new").exists()


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize(
    ("setting", "value", "wanted"),
    [
        ("learning_rate", math.nan, "a finite number"),
        ("learning_rate", -1.0, "at least 0"),
        ("max_norm", math.nan, "a finite number"),
        ("max_norm", 0.0, "a number above 0"),
        ("micro_tokens", 0, "at least 1"),
        ("save_every", -1, "at least 1"),
        ("seed", -1, "at least 0"),
    ],
)
def test_a_number_that_cannot_be_trained_with_is_refused(
    name: str, setting: str, value: float, wanted: str
):
    config = importlib.import_module(f"algorithms.{name}").Config
    with pytest.raises(ValueError, match=f"^{setting} {value}; expected {wanted}$"):
        config(**{setting: value})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_group_of_one_and_a_budget_of_nothing_are_refused(name: str):
    config = importlib.import_module(f"algorithms.{name}").Config
    known = {field.name for field in dataclasses.fields(config)}
    for setting, value, wanted in (("group_size", 1, "at least 2"), ("turn_budget", 0, "at least")):
        if setting in known:
            with pytest.raises(ValueError, match=f"^{setting} {value}; expected {wanted}"):
                config(**{setting: value})


def test_the_command_tells_it_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    arguments = ["train", "behaviour_cloning", "--env", MICROWAVE, "--model", str(start())]
    arguments += ["--out", str(tmp_path / "run"), "--learning-rate", "1e38", "--episodes", "400"]
    assert cli.main(arguments) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("lmenvs: expected a finite gradient, got nan in 10 optimizer steps")
