"""Behaviour cloning on a file: the same as in memory, and never more than a minibatch in it."""

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.rollout import collect
from algorithms import support
from algorithms.behaviour_cloning import Config, TinyConfig, clone, pretrain, train
from algorithms.datasets.batches import Held, Streamed
from algorithms.datasets.file import EpisodeFile
from lmenvs.types import Episode, write_episodes
from tests.support.training import MICROWAVE, beginner, cloning, flat, metrics, start

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "episodes.jsonl"
    write_episodes(path, collect(MICROWAVE, "random", range(48), width=48))
    return path


def test_streamed_rows_are_the_rows_of_the_batch_in_memory(recorded: Path):
    _, chat = beginner()
    file = EpisodeFile(recorded)
    held, streamed = Held(list(file), chat, CPU), Streamed(file, chat, CPU)
    assert len(held) == len(streamed) == 48
    for index in (np.array([5, 0, 31]), np.arange(48)):
        one, other = held.rows(index), streamed.rows(index)
        for name in ("ids", "lengths", "policy_mask", "turn_index", "before_turn", "turn_mask"):
            assert torch.equal(getattr(one, name), getattr(other, name))
    assert streamed.metrics.items() <= held.metrics.items()


@pytest.mark.parametrize("keep", [1.0, 0.3])
def test_cloning_a_file_is_cloning_its_episodes_to_the_last_bit(
    keep: float, recorded: Path, tmp_path: Path
):
    config = cloning(keep=keep, epochs=2)
    run = train(MICROWAVE, start(), tmp_path / "file", config, data=recorded)
    model, chat = beginner()
    file = EpisodeFile(recorded, MICROWAVE)
    clone(support.open_run(tmp_path / "held", {}), model, chat, file.read(file.best(keep)), config)
    streamed, _ = _loaded(run)
    assert torch.equal(flat(streamed), flat(model))
    for one, other in zip(metrics(run), metrics(tmp_path / "held"), strict=True):
        assert one.items() <= other.items() and one["demonstration/episodes"] == len(
            file.best(keep)
        )


def _loaded(run: Path):
    from agents.models import load_model

    return load_model(run / "checkpoints")


def test_data_is_another_name_of_demonstrations(recorded: Path, tmp_path: Path):
    config = cloning(epochs=1)
    one = train(MICROWAVE, start(), tmp_path / "a", config, data=recorded)
    named = replace(config, demonstrations=str(recorded))
    other = train(MICROWAVE, start(), tmp_path / "b", named)
    assert metrics(one) == metrics(other)
    with pytest.raises(ValueError, match=r"expected one file of episodes, got .* and .*--data"):
        train(MICROWAVE, start(), tmp_path / "c", named, data=recorded)
    assert not (tmp_path / "c").exists()


def test_a_model_made_on_the_spot_reads_a_file_too(recorded: Path, tmp_path: Path):
    config = TinyConfig(
        hidden=16, layers=1, heads=2, clone=cloning(epochs=1, demonstrations=str(recorded))
    )
    assert metrics(pretrain(MICROWAVE, tmp_path / "run", config))[0]["demonstration/episodes"] == 48


def test_only_a_minibatch_of_episodes_is_alive_at_a_step(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gc.collect()
    before, most = _living(), 0
    rows = Streamed.rows

    def counted(self: Streamed, index: np.ndarray):
        nonlocal most
        batch = rows(self, index)
        most = max(most, _living())
        return batch

    monkeypatch.setattr(Streamed, "rows", counted)
    config: Config = cloning(epochs=1, batch_size=16)
    train(MICROWAVE, start(), tmp_path / "run", config, data=recorded)
    # after a step its episodes are gone again, whatever the number in the file
    assert most == before


def _living() -> int:
    return sum(type(one) is Episode for one in gc.get_objects())
