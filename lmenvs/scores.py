"""Scores that compare: LMRL-Gym's normalisation, bootstrap intervals, comparisons paired by seed.

Everything here is a function of its arguments; the generators are made from the `seed` argument, so
that the same numbers give the same interval on every machine.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .references import references
from .registration import TABLE, find
from .types import Episode

RESAMPLES = 10_000
PERMUTATIONS = 20_000
EXACT_SIGNS = 14  # up to this many pairs all 2^n sign flips are tried instead of a sample of them
_CHUNK = 2_000_000  # random numbers held at once

Scores = Sequence[float] | NDArray[Any] | Mapping[int, float] | Sequence[Episode]


def normalise(env: str, raw: float) -> float:
    """A raw return on LMRL-Gym's scale: minimum 0, dataset average 50, maximum 100.

    50 + 50 (raw - average) / (max - average) from the average upwards, 50 (raw - min) / (average -
    min) below it, with the bounds that the table keeps for this env string.

    >>> normalise("lmenvs/Maze-v0", -6.84), normalise("lmenvs/Maze-v0", -92.0)
    (100.0, 25.0)

    Raises:
        ValueError: where the table has no bounds for this env string.
    """
    spec = find(env)
    bounds = {name: reference.value for name, reference in references(env).items()}
    missing = [name for name in ("min", "average", "max") if name not in bounds]
    if missing:
        known = sorted(
            name
            for row in TABLE.values()
            for name in {**row.references, **row.measures}
            if {"min", "average", "max"} <= set(references(name))
        )
        raise ValueError(
            f"{env!r} has no reference {', '.join(missing)} in the row of {spec.id}; "
            f"environments with bounds: {', '.join(known) or 'none'}"
        )
    return between(raw, bounds["min"], bounds["average"], bounds["max"])


def between(raw: float, least: float, average: float, most: float) -> float:
    """A raw return between bounds: 0 the least, 50 the average, 100 the most, straight between.

    >>> between(-45.0, -101.0, -83.0, -7.0)
    75.0
    """
    if raw >= average:
        return 50.0 + 50.0 * (raw - average) / (most - average)
    return 50.0 * (raw - least) / (average - least)


def interval(
    values: Sequence[float] | NDArray[Any],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of independent values (low, high).

    Successes are values too; where every value is the same 0 or 1 the bootstrap has nothing to
    resample, and the interval is Wilson's, which stays honest there.

    >>> interval([2.0, 2.0, 2.0])
    (2.0, 2.0)

    Raises:
        ValueError: without values, with values that are not finite, or for a level outside (0, 1).
    """
    given = _finite(values, "interval")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level={level!r}; expected a number between 0 and 1")
    if resamples < 1:
        raise ValueError(f"resamples={resamples!r}; expected at least 1")
    if (given == given[0]).all():
        if given[0] in (0.0, 1.0):
            return wilson(int(given.sum()), len(given), level=level)
        return float(given[0]), float(given[0])
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(given))
    means = np.concatenate(
        [
            given[
                generator.integers(0, len(given), size=(min(rows, resamples - at), len(given)))
            ].mean(axis=1)
            for at in range(0, resamples, rows)
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilson(successes: int, trials: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (low, high).

    (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n), with p = successes / n.

    >>> low, high = wilson(0, 10)
    >>> low, round(high, 4)
    (0.0, 0.2775)
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials; expected 0 <= s <= n, n >= 1")
    from statistics import NormalDist  # slow to import, and seldom needed

    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == trials else (centre + half) / scale
    return low, high


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sets of scores of the same tasks, compared pair by pair.

    Attributes:
        pairs: How many tasks both have.
        mean_a: Mean score of the first.
        mean_b: Mean score of the second.
        difference: mean_a - mean_b.
        low: Lower end of the 95 % interval of the difference.
        high: Its upper end.
        p: Two-sided permutation test: the chance of a difference at least this large if the labels
            a and b of each pair were tossed.
    """

    pairs: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p: float


def compare(a: Scores, b: Scores, *, seed: int = 0) -> Comparison:
    """Compare two sets of scores of the same tasks, paired by seed.

    Args:
        a: Scores in the order of their seeds, or a mapping from seed to score, or episodes (their
            total rewards; several episodes of one seed count as their mean).
        b: The same kind for the same tasks.
        seed: Seeds the bootstrap and the permutations.

    Raises:
        ValueError: where the two do not pair: other lengths, other seeds, other environments.
    """
    scores_a, scores_b = _paired(a, b)
    differences = scores_a - scores_b
    low, high = interval(differences, seed=seed)
    if (differences == differences[0]).all():
        low = high = float(differences[0])  # a constant difference is no proportion
    return Comparison(
        pairs=len(differences),
        mean_a=float(scores_a.mean()),
        mean_b=float(scores_b.mean()),
        difference=float(differences.mean()),
        low=low,
        high=high,
        p=_permutation_p(differences, seed),
    )


def _permutation_p(differences: NDArray[np.float64], seed: int) -> float:
    observed = abs(float(differences.sum()))
    n = len(differences)
    # sums in another order differ in the last bits; equal ones must count as equal
    reached = observed - 1e-9 * max(1.0, float(np.abs(differences).sum()))
    if n <= EXACT_SIGNS:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((np.abs(signs @ differences) >= reached).mean())
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // n)
    hits = 0
    for at in range(0, PERMUTATIONS, rows):
        signs = 1 - 2 * generator.integers(0, 2, size=(min(rows, PERMUTATIONS - at), n))
        hits += int((np.abs(signs @ differences) >= reached).sum())
    # the observed labelling is one of the permutations: p is never 0
    return (hits + 1) / (PERMUTATIONS + 1)


def _paired(a: Scores, b: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    keyed_a, keyed_b = _keyed(a), _keyed(b)
    if keyed_a is None and keyed_b is None:
        plain_a = _finite(cast("Sequence[float]", a), "compare")
        plain_b = _finite(cast("Sequence[float]", b), "compare")
        if len(plain_a) != len(plain_b):
            raise ValueError(
                f"{len(plain_a)} scores against {len(plain_b)}; expected one each per seed"
            )
        return plain_a, plain_b
    if keyed_a is None or keyed_b is None:
        raise ValueError(
            "one side has seeds and the other has none; "
            "give both as episodes, as mappings from seed to score, or as plain scores"
        )
    if keyed_a.keys() != keyed_b.keys():
        only_a, only_b = (
            sorted(keyed_a.keys() - keyed_b.keys()),
            sorted(keyed_b.keys() - keyed_a.keys()),
        )
        raise ValueError(
            f"the seeds do not pair: {len(only_a)} only in a {only_a[:3]}, {len(only_b)} only in b "
            f"{only_b[:3]}; evaluate both on the same seeds"
        )
    order = sorted(keyed_a)
    return (
        _finite([keyed_a[key] for key in order], "compare"),
        _finite([keyed_b[key] for key in order], "compare"),
    )


def _keyed(scores: Scores) -> dict[tuple[str, int], float] | None:
    """(environment, seed) -> score, or None for scores that come without seeds."""
    if isinstance(scores, Mapping):
        return {("", seed): float(score) for seed, score in scores.items()}
    if not len(scores) or not isinstance(scores[0], Episode):
        return None
    grouped: dict[tuple[str, int], list[float]] = {}
    for episode in cast("Sequence[Episode]", scores):
        grouped.setdefault((episode.env, episode.seed), []).append(episode.total_reward)
    return {key: sum(each) / len(each) for key, each in grouped.items()}


def _finite(values: Sequence[float] | NDArray[Any], who: str) -> NDArray[np.float64]:
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or given.size == 0 or not np.isfinite(given).all():
        raise ValueError(
            f"{who}: expected one finite number per seed and at least one, "
            f"got an array of shape {given.shape}"
        )
    return given
