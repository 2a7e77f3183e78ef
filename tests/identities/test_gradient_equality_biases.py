"""Estimators that are biased, and by how much: the table that their docstrings refer to.

For each one and each scene: the cosine between the expected and the true policy gradient, and the
relative error |g - true| / |true|. Groups are of three. The policies are random tables (see
`tests.support.enumeration`), so the numbers show sizes and not limits; a cosine of 1 with an error
says that only the length of the step is wrong.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
from pytest import approx

from algorithms import credit
from algorithms.credit import discounted_returns, gae, group_relative
from algorithms.credit.anchors import group_in_group
from algorithms.credit.beta import beta_normalised
from algorithms.credit.groups import Scale, against_mean, codes_of, spread
from algorithms.credit.ragged import flatten, returns_to_go, split, turn_indices
from algorithms.credit.strata import stratified
from algorithms.credit.tracker import tracked_advantages
from algorithms.credit.trees import prefix_tree
from algorithms.credit.turn_baselines import turn_index_normalised, turn_leave_one_out
from tests.support.enumeration import (
    CHAIN,
    KEY,
    MICROWAVE,
    SIZE,
    STOP,
    Batch,
    bias,
    documented_bias,
    scene,
)

SCENES = (MICROWAVE, STOP, KEY, CHAIN)
Estimator = Callable[[Batch], Sequence[np.ndarray]]


def divided_by_std(batch: Batch) -> Sequence[np.ndarray]:
    return spread(group_relative(batch.returns_E, batch.groups_E), batch.turns_E)


def gigpo(batch: Batch, scale: Scale, discount: float) -> Sequence[np.ndarray]:
    return group_in_group(batch.rewards_ET, batch.keys_ET, batch.groups_E, discount, scale=scale)


def rewards_normalised_per_turn(batch: Batch, scale: Scale) -> Sequence[np.ndarray]:
    return turn_index_normalised(batch.rewards_ET, batch.groups_E, scale)


def returns_centred_per_turn(batch: Batch) -> Sequence[np.ndarray]:
    """The mean is over the plays that still go on at this turn, oneself included."""
    rewards, turns_E = flatten("rewards_ET", batch.rewards_ET)
    slots = np.repeat(batch.groups_E, turns_E) * 100 + turn_indices(turns_E)
    return split(
        against_mean(returns_to_go(rewards, turns_E, 1.0), codes_of(slots.tolist()), "none"),
        turns_E,
    )


def gae_without_values(batch: Batch, lam: float) -> Sequence[np.ndarray]:
    return [gae(r, np.zeros(len(r)), 1.0, lam) for r in batch.rewards_ET]


def discounted(batch: Batch, discount: float) -> Sequence[np.ndarray]:
    return [discounted_returns(rewards_T, discount) for rewards_T in batch.rewards_ET]


def beta(batch: Batch) -> Sequence[np.ndarray]:
    """The shape that stands for GRPO; the returns brought to [0, 1]."""
    low, high = min(batch.returns_E), max(batch.returns_E)
    rates_E = (np.array(batch.returns_E) - low) / (high - low)
    return spread(beta_normalised(rates_E, batch.groups_E, shape=(1.5, 1.5)), batch.turns_E)


def by_length(batch: Batch, blend: float) -> Sequence[np.ndarray]:
    """Strata of equally many turns."""
    advantages_E = stratified(batch.returns_E, batch.groups_E, batch.turns_E, blend)
    return spread(advantages_E, batch.turns_E)


def tempo(batch: Batch, scale: Scale) -> Sequence[np.ndarray]:
    paths_E = [list(zip(play.actions_T, play.rewards_T, strict=True)) for play in batch.plays]
    return prefix_tree(batch.returns_E, paths_E, batch.groups_E, scale=scale)


def others_discounted(batch: Batch) -> Sequence[np.ndarray]:
    return turn_leave_one_out(batch.rewards_ET, batch.groups_E, 0.9)


def single_stream(batch: Batch) -> Sequence[np.ndarray]:
    """Every group a batch of its own, against a tracker that knows nothing."""
    bounds = min(batch.returns_E), max(batch.returns_E)
    tasks_E = [keys_T[0] for keys_T in batch.keys_ET]
    advantages_E = [
        tracked_advantages(batch.returns_E[at : at + SIZE], tasks_E[at : at + SIZE], {}, *bounds)
        for at in range(0, len(tasks_E), SIZE)
    ]
    return spread(np.concatenate(advantages_E), batch.turns_E)


ALONE: dict[str, Estimator] = {
    "GAE, lambda 0.95, values 0": partial(gae_without_values, lam=0.95),
    "GAE, lambda 0.5, values 0": partial(gae_without_values, lam=0.5),
    "discount 0.9 without its weight": partial(discounted, discount=0.9),
}
GROUPED: dict[str, Estimator] = {
    "GRPO, divided by std": divided_by_std,
    "BNPO, shape 3/2": beta,
    "GiGPO, divided by std": partial(gigpo, scale="std", discount=1.0),
    "GiGPO, centred only": partial(gigpo, scale="none", discount=1.0),
    "GiGPO, published: std, discount 0.95": partial(gigpo, scale="std", discount=0.95),
    "returns centred per turn": returns_centred_per_turn,
    "MT-GRPO, published: std": partial(rewards_normalised_per_turn, scale="std"),
    "MT-GRPO, centred only": partial(rewards_normalised_per_turn, scale="none"),
    "Stratified by length": partial(by_length, blend=1.0),
    "Stratified by length, half blended": partial(by_length, blend=0.5),
    "TEMPO, divided by std": partial(tempo, scale="std"),
    "TEMPO, centred only": partial(tempo, scale="none"),
    "Single-stream, batches of 3, std": single_stream,
    "leave one out per turn, discount 0.9": others_discounted,
}

# fmt: off
BIASES = {  # (cosine, relative error) in each of SCENES
    "GAE, lambda 0.95, values 0":
        ((0.9984, 0.065), (0.9997, 0.101), (1.0000, 0.097), (0.9983, 0.068)),
    "GAE, lambda 0.5, values 0":
        ((0.9066, 0.425), (0.6475, 0.879), (1.0000, 0.750), (0.8111, 0.592)),
    "discount 0.9 without its weight":
        ((0.9938, 0.124), (0.9987, 0.198), (1.0000, 0.190), (0.9931, 0.134)),
    "GRPO, divided by std":
        ((1.0000, 0.423), (0.9568, 1.090), (1.0000, 0.155), (0.9753, 0.306)),
    "BNPO, shape 3/2":
        ((1.0000, 0.722), (0.9951, 0.397), (1.0000, 0.445), (0.9999, 0.727)),
    "GiGPO, divided by std":
        ((1.0000, 0.156), (0.9594, 3.077), (1.0000, 1.309), (0.9776, 0.978)),
    "GiGPO, centred only":
        ((0.9997, 0.253), (0.9946, 0.294), (1.0000, 0.333), (0.9965, 0.185)),
    "GiGPO, published: std, discount 0.95":
        ((0.9976, 0.470), (0.9594, 3.078), (1.0000, 1.309), (0.9771, 0.991)),
    "returns centred per turn":
        ((0.9953, 0.428), (0.9764, 0.425), (1.0000, 0.333), (0.9845, 0.507)),
    "MT-GRPO, published: std":
        ((0.9995, 0.295), (-0.9483, 3.102), (1.0000, 0.155), (0.3185, 2.488)),
    "MT-GRPO, centred only":
        ((0.9999, 0.489), (-0.9448, 1.298), (1.0000, 0.333), (0.5320, 0.848)),
    "Stratified by length":
        ((0.9975, 0.864), (0.1530, 0.991), (1.0000, 0.155), (0.8842, 0.684)),
    "Stratified by length, half blended":
        ((0.9999, 0.644), (0.9606, 0.282), (1.0000, 0.155), (0.9622, 0.329)),
    "TEMPO, divided by std":
        ((0.9930, 0.175), (0.9574, 3.073), (1.0000, 1.309), (0.9659, 0.690)),
    "TEMPO, centred only":
        ((0.9930, 0.118), (0.9946, 0.294), (1.0000, 0.333), (0.9881, 0.167)),
    "Single-stream, batches of 3, std":
        ((1.0000, 0.423), (0.9568, 1.090), (1.0000, 0.155), (0.9753, 0.306)),
    "leave one out per turn, discount 0.9":
        ((0.9938, 0.124), (0.9987, 0.198), (1.0000, 0.190), (0.9931, 0.134)),
}
# fmt: on


def biases(name: str) -> list[tuple[float, float]]:
    if name in ALONE:
        return [bias(scene(one), scene(one).alone, ALONE[name]) for one in SCENES]
    return [bias(scene(one), scene(one).grouped, GROUPED[name]) for one in SCENES]


@pytest.mark.parametrize("name", [*ALONE, *GROUPED])
def test_the_bias_is_the_recorded_one(name: str):
    cosines, errors = np.transpose(biases(name))
    recorded_cosines, recorded_errors = np.transpose(BIASES[name])
    assert cosines == approx(recorded_cosines, abs=6e-5)
    assert errors == approx(recorded_errors, abs=6e-4)


@pytest.mark.parametrize("estimator", [divided_by_std, beta])
def test_with_one_task_and_two_possible_returns_only_the_length_of_the_step_is_wrong(
    estimator: Estimator,
):
    """The division is then a factor per task, and a bias only towards some of the tasks."""
    cosine, error = bias(scene(MICROWAVE), scene(MICROWAVE).grouped, estimator)
    assert cosine == approx(1.0, abs=1e-9)
    assert error > 0.4


DOCUMENTED = {
    "GAE, lambda 0.95, values 0": credit.gae,
    "discount 0.9 without its weight": credit.discounted_returns,
    "GRPO, divided by std": credit.group_relative,
    "BNPO, shape 3/2": credit.beta_normalised,
    "GiGPO, divided by std": credit.group_in_group,
    "MT-GRPO, published: std": credit.turn_index_normalised,
    "Stratified by length": credit.stratified,
    "TEMPO, divided by std": credit.prefix_tree,
    "Single-stream, batches of 3, std": credit.tracked_advantages,
    "leave one out per turn, discount 0.9": credit.discounted_returns,
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_biased_estimators_docstring_says_how_much(name: str):
    assert documented_bias(DOCUMENTED[name]) == list(BIASES[name])


def test_the_published_turn_normalisation_points_away_from_the_true_gradient():
    cosine, _ = bias(scene(STOP), scene(STOP).grouped, GROUPED["MT-GRPO, published: std"])
    assert cosine < -0.9
