from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import exp, isnan
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx

from algorithms import epo
from algorithms.epo import Config, credit, phase_weight, remembered, smoothed, turn_entropies, usual
from algorithms.forward import recompute
from algorithms.trainer.learner import Learner
from algorithms.trainer.objective import Objective
from algorithms.trainer.update import update
from algorithms.trainer_state import read_state
from lmenvs.types import Action, Episode, Turn
from tests.support.learners import descend, prepared
from tests.support.training import MICROWAVE, beginner, flat, metrics, played, start

PLAIN = Config(groups=4, epochs=1, minibatches=1, scale="none", max_norm=1e9, objective=Objective())


def episode(group: str, *rewards: float) -> Episode:
    turns = tuple(Turn("seen", Action("said"), reward) for reward in rewards)
    return Episode("e", "e", 0, "all", "i", turns, "", True, False, False, group=group)


def test_credit_by_hand():
    given = credit([episode("a", 0, 3), episode("a", 0), episode("b", 5)], PLAIN)
    assert [a.tolist() for a in given] == [[1.5, 1.5], [-1.5], [0.0]]
    scaled = credit([episode("a", 2), episode("a", 0)], replace(PLAIN, scale="std"))
    assert scaled[0] == approx([1 / (np.sqrt(2) + 1e-6)])


def test_the_weight_falls_from_twice_to_once_and_at_no_decay_stays():
    weights = [phase_weight(k / 100, decay=2.0) for k in range(101)]
    assert weights[0] == 2.0 and weights[50] == approx(1 + exp(-2)) and weights[-1] < 1.02
    assert all(before > after for before, after in pairwise(weights))
    assert {phase_weight(done, 0.0) for done in (0.0, 0.5, 1.0)} == {2.0}


def test_the_usual_entropy_is_the_mean_of_the_iterations_means():
    # turn 0: means of 1 and 3; turn 1 was not reached at first, then 4; turn 2 said no token
    history = remembered(remembered([], [(2.0, 2)]), [(9.0, 3), (4.0, 1), (0.0, 0)])
    assert history == [(4.0, 2), (4.0, 1), (0.0, 0)]
    known = usual(history, 4).tolist()
    assert known[:2] == [2.0, 4.0] and all(map(isnan, known[2:]))
    assert usual(history, 1).tolist() == [2.0]


def test_entropies_are_gathered_by_the_turn_of_the_episode():
    _, seen = prepared(played(), judges="nothing")
    grid, mask = seen.entropies, seen.tokens.policy_mask
    found = turn_entropies(seen)
    for turn, (total, count) in enumerate(found):
        here = mask & (seen.tokens.turn_index == turn)
        assert count == int(here.sum()) and total == approx(float(grid[here].sum()), rel=1e-4)
    assert sum(count for _, count in found) == seen.tokens.policy_tokens


def after(smoothing: float, history: float, **fields: float) -> tuple[Learner, dict[str, float]]:
    """A learner after one step on the hinge alone, with one usual entropy at all turns."""
    config = replace(PLAIN, smoothing=smoothing, **fields)  # type: ignore[arg-type]
    learner, seen = prepared(played(), judges="nothing")
    descend(learner, 0.1)
    loss = partial(smoothed, history_T=torch.full((5,), history), weight=smoothing, config=config)
    zeros, chance = torch.zeros_like(seen.old_logprobs), np.random.default_rng(0)
    measured = update(
        learner, seen, zeros, config, chance, policy_loss=loss, trains_entropy=smoothing > 0
    )
    return learner, measured


def mean_entropy(learner: Learner) -> float:
    _, seen = prepared(played(), judges="nothing")
    _, entropies = recompute(learner.model, seen.tokens, 10**6)
    return float(entropies[seen.mask].mean())


def test_the_smoothing_has_a_gradient_that_leads_back_to_the_past():
    before = flat(beginner()[0])
    without, _ = after(0.0, 3.0)
    assert torch.equal(flat(without.model), before)  # no advantage, no bonus: nothing else moves
    higher, measured = after(0.3, 3.0)
    assert measured["loss/smoothed_fraction"] > 0.5
    lower, _ = after(0.3, 0.01)
    assert mean_entropy(lower) < mean_entropy(without) - 1e-3
    assert mean_entropy(higher) > mean_entropy(without) + 1e-3


def test_within_the_band_and_at_turns_never_seen_nothing_is_smoothed():
    before = flat(beginner()[0])
    for history, band in ((1.0, {"low": 0.0, "high": 100.0}), (float("nan"), {})):
        learner, measured = after(0.3, history, **band)
        assert measured["loss/smoothed_fraction"] == 0.0
        assert torch.equal(flat(learner.model), before)


def test_a_rows_turns_are_looked_up_as_turns_of_the_episode():
    # the same tokens as the second row of an episode whose prompt was rebuilt after 3 turns
    _, seen = prepared(played(1), judges="nothing")
    history = torch.tensor([1.0] * 3 + [50.0] * 5)
    fractions = []
    for first in (0, 3):
        tokens = replace(seen.tokens, first_turn=torch.tensor([first]))
        part = epo.Part(
            *(tokens, seen.mask, seen.old_logprobs, torch.ones_like(seen.entropies)),
            *(seen.old_logprobs, torch.zeros_like(seen.entropies), None, None, 1.0),
        )
        inside = smoothed(part, Objective(), history, 1.0, PLAIN).metrics["smoothed_fraction"]
        fractions.append(inside)
    turns = seen.tokens.turn_index[seen.mask]
    assert fractions == approx([float((turns >= 3).float().mean()), 1.0])


@pytest.mark.parametrize(
    "wrong", [{"low": 1.5}, {"high": 0.5}, {"smoothing": -1.0}, {"decay": -1.0}, {"groups": 0}]
)
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(PLAIN, **wrong)  # type: ignore[arg-type]


def test_a_run_remembers_its_entropies_from_the_first_iteration_on(tmp_path: Path):
    config = Config(iterations=2, groups=3, group_size=4, max_new_tokens=8)
    run = epo.train(MICROWAVE, start(), tmp_path / "run", config)
    first, second = metrics(run)
    assert first["loss/smoothed_fraction"] == 0.0 < second["loss/smoothed_fraction"]
    assert (first["loss/smoothing"], second["loss/smoothing"]) == approx(
        (0.02, 0.01 * (1 + exp(-1)))
    )
    history = read_state(run / "checkpoints")["kept"]["entropies"]
    assert 1 <= len(history) <= 5 and history[0][1] == 2 and history[0][0] > 0
