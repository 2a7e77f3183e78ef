"""Whole runs of ArCHer's variants: each goes on as if it had never been stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.best_of_n import BestOfN
from agents.making import make_policy
from agents.utterance_critics import Reading
from algorithms import archer, offline_archer, support, utterance_iql
from algorithms.trainer.objective import Objective
from algorithms.utterances.critic import CriticOptions
from lmenvs.types import write_episodes
from tests.agents.test_encoders import encoder_folder
from tests.support.language import interrupted_after
from tests.support.training import MICROWAVE, assert_same_run, metrics, played, start

TINY = archer.Config(
    iterations=3,
    episodes=6,
    batch_size=6,
    warmup_iterations=1,
    critic_steps=2,
    actor_steps=2,
    max_new_tokens=8,
    critic=CriticOptions(critic_batch=4),
)
VARIANTS: dict[str, archer.Config] = {
    "token baseline": replace(TINY, token_baseline=True, actor="reinforce", objective=Objective()),
    "implicit critic": replace(
        TINY, critic=CriticOptions(v_target="expectile", expectile=0.8, lam=0.5)
    ),
    "encoder": replace(TINY, critic=CriticOptions(Reading("apart", encoder_folder(), 1))),
    "heads on the policy": replace(
        TINY, critic=CriticOptions(Reading("policy"), warmup_target="td")
    ),
    "best of n": replace(
        TINY, actor="none", critic=CriticOptions(Reading("turn"), v_target="best")
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_that_was_stopped_goes_on_as_if_it_had_not_been(name: str, tmp_path: Path):
    def train(out: Path, resume: bool) -> Path:
        return archer.train(MICROWAVE, start(), out, VARIANTS[name], resume=resume)

    start()  # made before the decoders' runs are counted
    with interrupted_after(0) as counted:
        whole = train(tmp_path / "whole", False)
    part = tmp_path / "part"
    with pytest.raises(support.Interrupted), interrupted_after(counted.forwards // 2):
        train(part, False)
    assert 0 < len(metrics(part)) < len(metrics(whole)) == 3
    train(part, True)
    assert_same_run(part, whole)
    assert isinstance(make_policy(f"hf:{whole}"), BestOfN) == (name == "best of n")


@pytest.mark.parametrize("module", [offline_archer, utterance_iql])
def test_an_offline_run_that_was_stopped_goes_on_as_if_it_had_not_been(module: Any, tmp_path: Path):
    data = tmp_path / "episodes.jsonl"
    write_episodes(data, played(12))
    few: dict[str, Any] = {"critic_iterations": 1} if module is offline_archer else {}
    few |= {"iterations": 3, "steps": 2, "batch_size": 4, "evaluations": 2, "max_new_tokens": 8}

    def train(out: Path, resume: bool) -> Path:
        config = module.Config(**few)
        return module.train(MICROWAVE, start(), out, config, data=data, resume=resume)

    start()  # made before the decoders' runs are counted
    with interrupted_after(0) as counted:
        whole = train(tmp_path / "whole", False)
    part = tmp_path / "part"
    with pytest.raises(support.Interrupted), interrupted_after(counted.forwards // 2):
        train(part, False)
    assert 0 < len(metrics(part)) < 3
    train(part, True)
    assert_same_run(part, whole)


@pytest.mark.parametrize(
    "option", [{"reference_kl": 0.1}, {"ratio": "turn"}, {"target_entropy": 1.0}, {"positive": 2.0}]
)
def test_an_option_that_the_actor_does_not_heed_is_refused(option: dict[str, Any]):
    (name,) = option
    with pytest.raises(ValueError, match=rf"^objective\.{name} .*: ArCHer's actor heeds clip_low"):
        archer.Config(objective=Objective(**option))
    heeded = Objective(clip_low=0.1, clip_high=0.3, dual_clip=3.0, entropy_bonus=0.01)
    assert archer.Config(objective=heeded).objective is heeded
