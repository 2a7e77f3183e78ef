from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.critics import TurnCritic
from agents.models import load_model
from agents.rollout import collect
from algorithms import support
from algorithms.trainer.offline import HELD_TURNS, OfflineSession, open_offline
from algorithms.trainer.opening import DIVERGED
from algorithms.trainer.plausible import PATIENCE
from algorithms.trainer_state import read_state
from lmenvs.types import Action, write_episodes
from tests.support.training import MICROWAVE, flat, metrics, start


@dataclass(frozen=True, slots=True)
class Config:
    seed: int = 0
    iterations: int = 3
    steps: int = 2
    batch_size: int = 4
    learning_rate: float = 1e-3
    anneal: float = 0.1
    max_norm: float = 1.0
    lora_rank: int = 0
    micro_tokens: int = 2048
    gradient_checkpointing: bool = False
    save_every: int = 10
    evaluations: int = 0
    max_new_tokens: int = 8
    max_turns: int | None = None
    width: int = 64


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "episodes.jsonl"
    write_episodes(file, collect(MICROWAVE, "random", range(20)))
    return file


def opened(
    out: Path,
    data: Path,
    config: Config = Config(),
    *,
    target: bool = False,
    resume: bool = False,
) -> OfflineSession:
    return open_offline(
        *("any", MICROWAVE, data, start(), out, config),
        judges="turns",
        critic_learning_rate=1e-3,
        target=target,
        resume=resume,
    )


def test_draws_repeat_with_the_generator_and_carry_token_ids(tmp_path: Path, data: Path):
    session = opened(tmp_path / "run", data)
    drawn = session.draw(np.random.default_rng(1))
    assert drawn == session.draw(np.random.default_rng(1)) and len(drawn) == 4
    assert all(turn.action.token_ids for episode in drawn for turn in episode.turns)
    few = session.draw(np.random.default_rng(1), among=[3, 7], count=50)
    assert {episode.id for episode in few} == {session.data[3].id, session.data[7].id}


def test_ids_of_another_tokenizer_are_not_trusted(tmp_path: Path, data: Path):
    plain = opened(tmp_path / "plain", data)
    foreign = tmp_path / "foreign.jsonl"
    strange = replace(Action("open the microwave"), prompt_ids=(1, 2), token_ids=(9999, 3))
    episodes = [
        replace(e, turns=tuple(replace(t, action=strange) for t in e.turns)) for e in plain.data
    ]
    write_episodes(foreign, episodes)
    (read,) = opened(tmp_path / "foreign", foreign).read([0])
    chat = plain.learner.chat
    assert read.turns[0].action.token_ids == tuple(chat.encode_action("open the microwave"))


def test_only_so_many_turns_are_held(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch):
    session = opened(tmp_path / "run", data)
    monkeypatch.setattr("algorithms.trainer.offline.HELD_TURNS", 12)
    for _ in range(2):
        session.read(range(20))
        assert 0 < sum(len(one.turns) for one in session._held.values()) <= 12 < HELD_TURNS


def test_without_a_model_one_is_made_for_the_file(tmp_path: Path, data: Path):
    runs = [
        open_offline("any", MICROWAVE, data, None, tmp_path / side, Config()).path
        for side in ("one", "other")
    ]
    (one, chat), (other, _) = (load_model(run / "start") for run in runs)
    assert torch.equal(flat(one), flat(other))
    for command in ("open the microwave", "put the pancake in the microwave"):
        assert len(chat.encode_action(command)) == 2  # a phrase of the file is one token


def test_a_target_critic_is_a_copy_that_the_checkpoint_keeps(tmp_path: Path, data: Path):
    def make(resume: bool) -> OfflineSession:
        config = replace(Config(), iterations=1)
        return opened(tmp_path / "run", data, config, target=True, resume=resume)

    session = make(False)
    target = session.learner.target
    assert isinstance(target, TurnCritic) and session.learner.critic is not None
    assert torch.equal(flat(target), flat(session.learner.critic))
    assert not any(weight.requires_grad for weight in target.parameters())
    for iteration, _ in session.iterations():
        with torch.no_grad():
            for weight in target.parameters():
                weight += 1
        session.log(iteration, {})
    again = make(True).learner
    assert again.target is not None and again.critic is not None
    assert torch.equal(flat(again.target), flat(again.critic) + 1)


def test_evaluations_play_training_tasks_and_are_logged(tmp_path: Path, data: Path):
    config = replace(Config(), iterations=2, evaluations=5)
    session = opened(tmp_path / "run", data, config)
    for iteration, _ in session.iterations():
        session.log(iteration, {"loss/policy": 1.0})
    rows = metrics(session.path)
    assert [row["rollout/episodes"] for row in rows] == [5, 5]
    assert len((session.path / "episodes.jsonl").read_text().splitlines()) == 10


def test_values_that_cannot_be_stop_the_run_and_leave_its_checkpoint(tmp_path: Path, data: Path):
    config = replace(Config(), save_every=1)
    session = opened(tmp_path / "run", data, config)
    mask = torch.ones(4, dtype=torch.bool)
    with pytest.raises(support.Diverged, match=r"the weights of now are in .*diverged"):
        for iteration, _ in session.iterations():
            if iteration == 1:
                for _ in range(PATIENCE):
                    session.check(torch.full((4,), 1e4), mask)
            session.log(iteration, {})
    assert read_state(session.path / "checkpoints")["iteration"] == 1
    load_model(session.path / DIVERGED)
    assert read_state(session.path / DIVERGED)["critic"].keys()


def test_another_file_is_another_run(tmp_path: Path, data: Path):
    session = opened(tmp_path / "run", data, replace(Config(), iterations=1))
    for iteration, _ in session.iterations():
        session.log(iteration, {})
    del session  # it holds the folder's lock
    other = tmp_path / "other.jsonl"
    write_episodes(other, collect(MICROWAVE, "random", range(3)))
    with pytest.raises(ValueError, match=r"got data: .*data_bytes: "):
        opened(tmp_path / "run", other, resume=True)
