"""How far credit is from the truth: per sample, and over samples with 95 % intervals.

Per sample, over the turns at which there was a choice: `rank` is Spearman's correlation of credit
and true advantage (0 if the credit is constant); `sign` the share of true advantages beyond 5 % of
their root mean square whose sign the credit has (no credit is a wrong sign); `mse` the mean squared
error and `scaled_mse` the same after the best single factor, both over the mean squared advantage:
giving 0 to everybody scores 1. A token-level estimator's credit of a turn is the mean over the
turn's words that were a choice. `token_rank` compares word by word with the true advantage of the
word; turn-level credit counts for each word of the turn. `cosine` is that of the sample's gradient
and the true one.

Over samples, these have Student's intervals: with 12 samples a bootstrap's percentiles would hold
the mean in 91 of 100 cases, not in 95. The others below have the bootstrap's.

Over samples: `bias`, the length of the mean gradient's error, and `deviation`, the root of the
gradient's variance, both over the length of the true gradient; `scaled_bias`, the bias that is left
after the best single factor: the sine of the angle between the mean gradient and the true one. What
chance adds to the mean of few samples is taken out of both.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from ...truth import cosine
from .draws import Sample
from .plays import Plays
from .words import Floats

PER_SAMPLE = ("rank", "sign", "mse", "scaled_mse", "token_rank", "cosine")
NO_SIGN = 0.05  # of the root mean square: smaller advantages have no sign worth asking for
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Measured:
    """One sample's errors by name, and the gradient that its credit makes."""

    errors: Mapping[str, float]
    gradient: Floats


def measure(sample: Sample, given: Floats) -> Measured:
    """Compare the credit of a sample's turns or words with the truth of its world."""
    plays, world = sample.plays, sample.plays.world
    credit = turn_credit(plays, given)
    truth_N, truth_K = world.advantages_O[plays.options_N], world.word_advantages(plays.options_N)
    weights_K = credit.words_K * np.repeat(sample.weights_N, plays.words_N)
    gradient = world.gradient(plays.actions_N, weights_K)
    errors = against_truth(credit.turns_N[credit.chosen_N], truth_N[credit.chosen_N])
    errors["token_rank"] = rank_correlation(credit.words_K[plays.chosen_K], truth_K[plays.chosen_K])
    errors["cosine"] = cosine(gradient, world.true_gradient)
    return Measured(errors, gradient)


def measured(
    samples: Sequence[Sample],
    credit: Callable[[Sample], Floats],
    judge: Callable[[Sample, Floats], Measured],
    truth: Floats,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """What samples cost, and the errors that a judge finds in their credit; means over samples."""
    found, seconds = list[Measured](), 0.0
    for sample in samples:
        began = time.perf_counter()
        given = credit(sample)
        seconds += time.perf_counter() - began
        found.append(judge(sample, given))
    return {
        "samples": len(samples),
        "turns": float(np.mean([sample.turns for sample in samples])),
        "tokens": float(np.mean([sample.words for sample in samples])),
        "seconds": seconds / len(samples),
        **summary(found, truth, generator),
    }


@dataclass(frozen=True, slots=True)
class TurnCredit:
    """Credit of every word, of every turn, and which turns were a choice."""

    words_K: Floats
    turns_N: Floats
    chosen_N: np.ndarray


def turn_credit(plays: Plays, given: Floats) -> TurnCredit:
    """Credit of turns and of words, from either.

    Raises:
        ValueError: if it is neither one number a turn nor one a word.
    """
    if len(given) not in (plays.turns, plays.words):
        raise ValueError(
            f"{len(given)} numbers for {plays.turns} turns with {plays.words} words; credit must "
            "give one per turn or one per word"
        )
    words_K = given if len(given) == plays.words else np.repeat(given, plays.words_N)
    owners_K = np.repeat(np.arange(plays.turns), plays.words_N)
    choices_N = np.bincount(owners_K, plays.chosen_K, minlength=plays.turns)
    sums_N = np.bincount(owners_K, words_K * plays.chosen_K, minlength=plays.turns)
    return TurnCredit(words_K, sums_N / np.maximum(choices_N, 1), choices_N > 0)


def against_truth(given: Floats, truth: Floats) -> dict[str, float]:
    """`rank`, `sign`, `mse` and `scaled_mse` of credit against true advantages."""
    power = float(np.mean(truth**2)) if len(truth) else 0.0
    if not power:
        return {}
    clear = np.abs(truth) > NO_SIGN * np.sqrt(power)
    spent = float(np.mean(given**2))
    best = float(np.mean(given * truth)) / spent if spent else 0.0
    return {
        "rank": rank_correlation(given, truth),
        "sign": float(np.mean(np.sign(given[clear]) == np.sign(truth[clear]))),
        "mse": float(np.mean((given - truth) ** 2)) / power,
        "scaled_mse": float(np.mean((best * given - truth) ** 2)) / power,
    }


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's: the correlation of the ranks, equal values sharing theirs; 0 without any spread.

    >>> rank_correlation(np.array([1.0, 2.0, 4.0]), np.array([0.1, 0.5, 9.0]))
    1.0
    """
    ranks = [_ranks(values) for values in (one, other)]
    spreads = [float(np.std(rank)) if len(rank) else 0.0 for rank in ranks]
    if not all(spreads):
        return 0.0
    centred = [rank - rank.mean() for rank in ranks]
    return float(np.clip(np.mean(centred[0] * centred[1]) / (spreads[0] * spreads[1]), -1.0, 1.0))


def _ranks(values: Floats) -> Floats:
    # values that differ by rounding alone are equal: the truth has many that are the same
    rounded = np.round(values, 9)
    _, places, counts = np.unique(rounded, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def summary(
    measured: Sequence[Measured], truth: Floats, generator: np.random.Generator
) -> dict[str, dict[str, float]]:
    """{name: mean, low, high} over samples of one estimator at one budget."""
    count = len(measured)
    picks = generator.integers(count, size=(RESAMPLES, count))
    found = {
        name: student_interval(values)
        for name in PER_SAMPLE
        if len(values := _column(measured, name)) == count
    }
    length = float(np.linalg.norm(truth))
    if count > 1 and length:
        gradients = np.stack([one.gradient for one in measured]) / length
        times = np.zeros((RESAMPLES + 1, count))
        times[0] = 1.0  # the samples themselves, then the resamples
        np.add.at(times, (np.arange(1, RESAMPLES + 1)[:, None], picks), 1.0)
        of_means = _of_means(gradients, truth / length, times)
        found |= {name: _interval(float(all_[0]), all_[1:]) for name, all_ in of_means.items()}
    return found


def _column(measured: Sequence[Measured], name: str) -> Floats:
    return np.array([one.errors[name] for one in measured if name in one.errors])


def _interval(mean: float, resampled: Floats) -> dict[str, float]:
    low, high = np.quantile(resampled, (0.025, 0.975))
    return {"mean": mean, "low": min(float(low), mean), "high": max(float(high), mean)}


def student_interval(values: Sequence[float] | Floats) -> dict[str, float]:
    """The mean of independent values with its 95 % interval: mean +- t * s / sqrt(n).

    t is Student's quantile, by Abramowitz and Stegun's 26.7.5; from 3 values on it is right to 3 %.

    >>> {name: round(value, 3) for name, value in student_interval([1.0, 2.0, 2.0, 3.0]).items()}
    {'mean': 2.0, 'low': 0.71, 'high': 3.29}
    """
    given = np.asarray(values, dtype=np.float64)
    mean, freedom, z = float(given.mean()), max(len(given) - 1, 1), NormalDist().inv_cdf(0.975)
    student = (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
    squares = float(((given - mean) ** 2).sum())
    # equal values differ from their mean by rounding
    spread = (squares / freedom / len(given)) ** 0.5 if np.ptp(given) else 0.0
    return {"mean": mean, "low": mean - student * spread, "high": mean + student * spread}


def _of_means(gradients: Floats, truth: Floats, times: Floats) -> dict[str, Floats]:
    """`bias`, `scaled_bias` and `deviation` of every resample, which has sample i times[i] times.

    A squared mean is estimated by the products of different samples, whose errors do not meet.
    """
    along = gradients @ truth
    inner = gradients @ gradients.T
    counts = times.sum(axis=1)
    pairs = np.maximum(counts**2 - (times**2).sum(axis=1), 1.0)

    def of_pairs(products: Floats) -> Floats:
        whole = np.einsum("ri,ij,rj->r", times, products, times)
        return (whole - times**2 @ np.diag(products)) / pairs

    length = of_pairs(inner)
    agreement = of_pairs(np.outer(along, along)) / np.where(length > 0.0, length, np.inf)
    bias = length - 2.0 * (times @ along) / counts + 1.0
    spread = times @ np.diag(inner) - np.einsum("ri,ij,rj->r", times, inner, times) / counts
    return {
        "bias": np.sqrt(np.maximum(bias, 0.0)),
        "scaled_bias": np.sqrt(np.clip(1.0 - agreement, 0.0, 1.0)),
        "deviation": np.sqrt(np.maximum(spread / np.maximum(counts - 1.0, 1.0), 0.0)),
    }
