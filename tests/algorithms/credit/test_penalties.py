"""A KL penalty in the reward has the exact gradient: by enumeration on and off policy; by hand.

Two turns of two tokens each, of a vocabulary of two; what is likely depends on all that was said.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from algorithms.credit import discounted_returns, penalised_rewards

LENGTH, COEFFICIENT = 4, 0.3
SAID: list[tuple[int, ...]] = list(itertools.product(range(2), repeat=LENGTH))
CONTEXTS = [said[:at] for at in range(LENGTH) for said in SAID if not any(said[at:])]
PLACE = {context: place for place, context in enumerate(CONTEXTS)}
LOGITS, REFERENCE, SAMPLER = (
    np.random.default_rng(seed).normal(size=len(CONTEXTS)) for seed in range(3)
)


def logprobs(said: Sequence[int], logits: np.ndarray) -> np.ndarray:
    """Of each token, where a context's logit is that of token 1 against token 0."""
    z = np.array([logits[PLACE[tuple(said[:at])]] for at in range(LENGTH)])
    return -np.logaddexp(0.0, np.where(np.array(said) == 1, -z, z))


def score(said: Sequence[int], at: int) -> np.ndarray:
    """The gradient of the log-probability of one token in all logits."""
    slope = np.zeros(len(CONTEXTS))
    place = PLACE[tuple(said[:at])]
    slope[place] = said[at] - 1 / (1 + np.exp(-LOGITS[place]))
    return slope


def rewards(said: Sequence[int]) -> list[float]:
    return [float(said[0] ^ said[1]), float(said[1] + 2 * said[3])]


def objective(logits: np.ndarray) -> float:
    """The expected return less the coefficient times KL(pi, reference) over episodes."""
    total = 0.0
    for said in SAID:
        ours, theirs = logprobs(said, logits), logprobs(said, REFERENCE)
        total += np.exp(ours.sum()) * (sum(rewards(said)) - COEFFICIENT * (ours - theirs).sum())
    return total


def true_gradient() -> np.ndarray:
    step = 1e-5 * np.eye(len(CONTEXTS))
    return np.array([objective(LOGITS + one) - objective(LOGITS - one) for one in step]) / 2e-5


def estimated_gradient(coefficient: float, sampler: np.ndarray = LOGITS) -> np.ndarray:
    """The expected policy gradient of returns of penalised rewards; off policy the ratio of the
    whole episode weighs it.
    """
    ratios_ETL = [np.split(logprobs(s, LOGITS) - logprobs(s, REFERENCE), 2) for s in SAID]
    penalised_ET = penalised_rewards([rewards(s) for s in SAID], ratios_ETL, coefficient)
    total = np.zeros(len(CONTEXTS))
    for said, penalised_T in zip(SAID, penalised_ET, strict=True):
        chance = np.exp(logprobs(said, sampler).sum())
        weight = np.exp((logprobs(said, LOGITS) - logprobs(said, sampler)).sum())
        returns_T = discounted_returns(penalised_T, 1.0)
        terms = [score(said, at) * returns_T[at // 2] for at in range(LENGTH)]
        total += chance * weight * np.sum(terms, axis=0)
    return total


@pytest.mark.parametrize("sampler", [LOGITS, SAMPLER], ids=["on policy", "off policy"])
def test_the_gradient_of_penalised_returns_is_that_of_the_penalised_objective(sampler: np.ndarray):
    assert estimated_gradient(COEFFICIENT, sampler) == pytest.approx(true_gradient(), abs=1e-8)
    assert np.abs(estimated_gradient(0.0) - true_gradient()).max() > 0.01  # the penalty is felt


def test_no_penalty_and_no_tokens_leave_the_rewards():
    rewards_ET = [[1.0, 2.0], [], [3.0]]
    ratios_ETL = [[[5.0], [6.0, 7.0]], [], [[]]]
    free = penalised_rewards(rewards_ET, ratios_ETL, 0.0)
    assert [r.tolist() for r in free] == rewards_ET
    penalised = penalised_rewards(rewards_ET, ratios_ETL, 0.5)
    assert [r.tolist() for r in penalised] == [[-1.5, -4.5], [], [3.0]]
    assert penalised_rewards([], [], 0.5) == []


def test_what_does_not_fit_is_refused_with_its_place():
    with pytest.raises(ValueError, match="2 episodes of rewards for 1 of log-ratios"):
        penalised_rewards([[0.0], [0.0]], [[[0.0]]], 0.1)
    with pytest.raises(ValueError, match="episode 1: 1 rewards for the log-ratios of 2 turns"):
        penalised_rewards([[0.0], [0.0]], [[[0.0]], [[0.0], [0.0]]], 0.1)
    with pytest.raises(ValueError, match="episode 1: a log-ratio is not finite in turn 1"):
        penalised_rewards([[0.0], [0.0, 0.0]], [[[0.0]], [[0.0], [np.nan]]], 0.1)
    with pytest.raises(ValueError, match="episode 0: a reward is not finite in turn 0"):
        penalised_rewards([[np.inf]], [[[0.0]]], 0.1)
    with pytest.raises(ValueError, match=r"coefficient is -1\.0; expected a finite number"):
        penalised_rewards([[0.0]], [[[0.0]]], -1.0)
