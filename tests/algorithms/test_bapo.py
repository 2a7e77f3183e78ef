from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx

from agents.models import load_model
from algorithms import bapo
from algorithms.bapo import Config, balanced, credit
from algorithms.trainer.learner import Learner
from algorithms.trainer.objective import Objective, Part
from algorithms.trainer.update import update
from lmenvs.types import Action, Episode, Turn
from tests.support.learners import descend, prepared
from tests.support.training import MICROWAVE, beginner, flat, metrics, played, start

CONFIG = Config(groups=4, group_size=3, epochs=1, minibatches=1, scale="none", max_norm=1e9)
LOUD = [np.full(len(one.turns), 1.0 if i % 3 else -4.0) for i, one in enumerate(played())]


def episode(group: str, *rewards: float) -> Episode:
    turns = tuple(Turn("seen", Action("said"), reward) for reward in rewards)
    return Episode("e", "e", 0, "all", "i", turns, "", True, False, False, group=group)


def test_credit_by_hand():
    group = [episode("a", 0, 3), episode("a", 0), episode("b", 5)]
    given = credit(group, CONFIG)
    assert [a.tolist() for a in given] == [[1.5, 1.5], [-1.5], [0.0]]
    scaled = credit(group, replace(CONFIG, scale="std"))
    assert scaled[0] == approx([1.5 / (np.sqrt(4.5) + 1e-6)] * 2)  # 1.5 squared twice, over 1


def part(ratios: list[float], advantages: list[float], turns: list[int]) -> Part:
    _, seen = prepared(played(1), judges="nothing")
    given = torch.tensor([advantages])
    tokens = replace(seen.tokens, turn_index=torch.tensor([turns]))
    logs, zeros = torch.tensor([ratios]).log(), torch.zeros(1, len(ratios))
    return Part(tokens, zeros == 0, logs, zeros, zeros, given, None, None, 1.0)


def test_bounds_by_hand():
    # 1.35 is let through from the bound 1.35 on: 1.35 of 2.35 is more than half
    found, numbers = balanced(part([1.35, 1.0], [1.0, -1.0], [0, 0]), Objective(), CONFIG)
    assert (found.clip_low, found.clip_high) == approx((0.4, 0.35))
    assert numbers == approx({"clip_low": 0.4, "clip_high": 0.35, "positive_share": 1.35 / 2.35})
    narrow = replace(CONFIG, low=(0.8, 0.9), high=(1.1, 1.2), positive_share=0.9)
    found, numbers = balanced(part([1.0, 1.0], [1.0, -1.0], [0, 0]), Objective(), narrow)
    assert (found.clip_low, found.clip_high, numbers["positive_share"]) == approx((0.1, 0.2, 0.5))


def test_the_bounds_are_those_of_the_ratio_that_is_clipped():
    moved = part([1.2, 1.25, 1.0], [1.0, 1.0, -1.0], [0, 0, 1])
    by_token, _ = balanced(moved, Objective(), CONFIG)
    assert by_token.clip_high == approx(0.2)  # 1.2 of 2.2
    by_turn, _ = balanced(moved, Objective(ratio="turn"), CONFIG)
    assert by_turn.clip_high == approx(0.5)  # the turn's ratio is 1.2 * 1.25


def updated(config: Config) -> tuple[Learner, dict[str, float]]:
    learner, seen = prepared(played(), judges="nothing")
    descend(learner, 0.1)
    measured = update(
        learner,
        seen,
        seen.spread(LOUD),
        config,
        np.random.default_rng(0),
        adapt=lambda minibatch, objective: balanced(minibatch, objective, config),
    )
    return learner, measured


def test_the_bounds_are_the_whole_minibatchs_however_it_is_split():
    config = replace(CONFIG, epochs=3, minibatches=2)
    (one, of_one), (many, of_many) = (
        updated(replace(config, micro_tokens=tokens)) for tokens in (10**6, 1)
    )
    for name in ("loss/clip_low", "loss/clip_high", "loss/positive_share"):
        assert of_one[name] == approx(of_many[name], rel=1e-3)
    assert of_one["loss/clip_high"] > 0.21  # something had to move
    torch.testing.assert_close(flat(one.model), flat(many.model), atol=1e-4, rtol=0)


def test_bounds_that_cannot_move_are_a_plain_clip():
    still = replace(CONFIG, epochs=3, low=(0.8, 0.8), high=(1.2, 1.2))
    adapted, measured = updated(still)
    assert (measured["loss/clip_low"], measured["loss/clip_high"]) == approx((0.2, 0.2))
    learner, seen = prepared(played(), judges="nothing")
    descend(learner, 0.1)
    update(learner, seen, seen.spread(LOUD), still, np.random.default_rng(0))
    assert torch.equal(flat(learner.model), flat(adapted.model))
    free, _ = updated(replace(CONFIG, epochs=3))
    assert not torch.equal(flat(free.model), flat(adapted.model))


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"low": (0.9, 0.6)}, "expected 0 <= low < 1 < high"),
        ({"high": (0.9, 3.0)}, "expected 0 <= low < 1 < high"),
        ({"positive_share": 1.5}, "positive_share 1.5"),
        ({"objective": Objective(ratio="hybrid")}, "one clip per token"),
        ({"objective": Objective(dual_clip=3.0)}, "no dual_clip"),
        ({"groups": 0}, "at least 1"),
    ],
)
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, object], line: str):
    with pytest.raises(ValueError, match=line):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]


def test_a_run_moves_the_policy_and_logs_its_bounds(tmp_path: Path):
    config = Config(iterations=2, groups=3, group_size=4, max_new_tokens=8, learning_rate=3e-3)
    run = bapo.train(MICROWAVE, start(), tmp_path / "run", config)
    rows = metrics(run)
    assert len(rows) == 2
    for row in rows:
        assert 0.09 < row["loss/clip_low"] < 0.41 and 0.19 < row["loss/clip_high"] < 2.01
        assert 0.0 <= row["loss/positive_share"] <= 1.0
    assert any(row["loss/approx_kl"] > 1e-5 for row in rows)
    assert (flat(beginner()[0]) - flat(load_model(run)[0])).abs().max() > 1e-3
