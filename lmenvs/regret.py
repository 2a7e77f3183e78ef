"""Regret curves: what a player lost by not knowing the best arm, and how fast that grows.

    f(t) = lambda_1 log(t)^alpha / gap + beta t + lambda_2

is what EVOLvE fits (Nie et al., 2024, arXiv 2410.06238, section "Functional Interpretation of LLM
Exploration Behavior"), with T for t and Delta_min for the gap from the second best arm to the best.
`alpha` and `lambda_1` describe the part that flattens, as for an efficient explorer, and `beta` the
part that grows for ever: a small `alpha` and no `beta` are best. All but `lambda_2` are held >= 0
here, and `alpha` at most `MOST_ALPHA`. numpy only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .core import TextEnv
from .registration import make
from .types import Episode

MOST_ALPHA = 8.0
_GRID = 161  # values of alpha tried before the best one is refined
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_NOTHING = 1e-9  # of the curve's height
_ROUNDS = 60  # of the golden section; each leaves 0.62 of the interval

Curve = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RegretFit:
    """The curve that comes nearest in least squares.

    Attributes:
        alpha: The power of the logarithm; 0 where `lambda_1` is 0.
        beta: Regret per turn that never ends.
        lambda_1: The weight of the logarithm.
        lambda_2: The offset.
        gap: As given.
        error: The root of the mean square of what is left.
    """

    alpha: float
    beta: float
    lambda_1: float
    lambda_2: float
    gap: float
    error: float

    def at(self, turns: int | Sequence[int] | NDArray[np.integer]) -> Curve:
        """The values at these turns, which count from 1.

        >>> RegretFit(1.0, 0.5, 0.0, 2.0, gap=1.0, error=0.0).at([1, 10]).tolist()
        [2.5, 7.0]
        """
        times = np.asarray(turns, dtype=np.float64)
        return (
            self.lambda_1 * np.log(times) ** self.alpha / self.gap
            + self.beta * times
            + self.lambda_2
        )


def fit_regret(curve_T: Sequence[float] | Curve, gap: float = 1.0) -> RegretFit:
    """Fit f to a curve of cumulative regret, whose first value is that after turn 1.

    For each alpha the other three are a least-squares problem with bounds, solved exactly; alpha is
    searched on a grid and refined by golden section. The same curve gives the same numbers on every
    machine, up to rounding.

    Args:
        curve_T: Cumulative regret, often the mean of several episodes' curves.
        gap: What the best arm pays more than the second best; it only scales `lambda_1`.

    Raises:
        ValueError: for fewer than 5 turns, a value that is not finite, or a gap that is not > 0.

    >>> fit = fit_regret([3.0 * t for t in range(1, 101)])
    >>> round(fit.beta, 6), round(fit.lambda_1, 6), round(fit.error, 6)
    (3.0, 0.0, 0.0)
    """
    curve = np.asarray(curve_T, dtype=np.float64)
    if curve.ndim != 1 or len(curve) < 5 or not np.isfinite(curve).all():
        raise ValueError(
            f"a curve of shape {curve.shape}; expected a list of at least 5 finite numbers, the "
            "cumulative regret after each turn"
        )
    if not (math.isfinite(gap) and gap > 0):
        raise ValueError(f"gap={gap!r}; expected a number above 0")
    times = np.arange(1, len(curve) + 1, dtype=np.float64)
    logs = np.log(times)

    def loss(alpha: float) -> float:
        return _solve(logs**alpha, times, curve)[0]

    alphas = np.linspace(0.0, MOST_ALPHA, _GRID)
    place = int(np.argmin([loss(float(alpha)) for alpha in alphas]))
    low, high = float(alphas[max(place - 1, 0)]), float(alphas[min(place + 1, _GRID - 1)])
    for _ in range(_ROUNDS):
        inner, outer = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(inner) <= loss(outer):
            high = outer
        else:
            low = inner
    alpha = min((0.5 * (low + high), float(alphas[place])), key=loss)
    square, (weight, slope, offset) = _solve(logs**alpha, times, curve)
    if weight * logs[-1] ** alpha <= _NOTHING * float(np.abs(curve).max()):
        alpha, weight = 0.0, 0.0  # what is left of the logarithm is rounding
    return RegretFit(
        alpha, slope, weight * gap, offset, gap, math.sqrt(max(square, 0.0) / len(curve))
    )


def _solve(power: Curve, times: Curve, curve: Curve) -> tuple[float, tuple[float, float, float]]:
    """The least squares and (weight, slope, offset) with weight, slope >= 0.

    With two bounds there are four cases of what is held at 0; the best feasible one is the optimum.
    """
    best: tuple[float, tuple[float, float, float]] = (math.inf, (0.0, 0.0, 0.0))
    columns = (power, times)
    for free in (kept for size in (2, 1, 0) for kept in combinations((0, 1), size)):
        design = np.stack([*(columns[index] for index in free), np.ones_like(times)], axis=1)
        found = np.linalg.lstsq(design, curve, rcond=None)[0]
        if (found[:-1] < 0.0).any():
            continue
        values = dict(zip(free, found[:-1], strict=True))
        square = float(((design @ found - curve) ** 2).sum())
        if square < best[0]:
            solution = (float(values.get(0, 0.0)), float(values.get(1, 0.0)), float(found[-1]))
            best = (square, solution)
    return best


def regrets(episode: Episode) -> Curve:
    """The expected regret of every turn, found by playing the episode's actions again.

    Its environment must tell `info["regret"]`. Sum it up with `numpy.cumsum` for a curve.

    Raises:
        ValueError: where the environment tells none, or answers otherwise than the episode says.
    """
    name = episode.env if episode.split == "all" else f"{episode.env}{_split(episode)}"
    env = make(name)
    try:
        return np.array(_replay(env, episode))
    finally:
        env.close()


def _split(episode: Episode) -> str:
    return ("&" if "?" in episode.env else "?") + f"split={episode.split}"


def _replay(env: TextEnv, episode: Episode) -> list[float]:
    observation, _ = env.reset(seed=episode.seed, options={"noise": episode.noise})
    found: list[float] = []
    for index, turn in enumerate(episode.turns):
        if observation != turn.observation:
            raise ValueError(
                f"episode {episode.id} does not replay: turn {index} shows {observation[:60]!r}, "
                "but it says otherwise; use the version that it was played with, and no branches"
            )
        observation, _, _, _, info = env.step(turn.action.text)
        if "regret" not in info:
            raise ValueError(
                f"{episode.env} tells no regret; expected an environment tagged `bandit`"
            )
        found.append(float(info["regret"]))
    return found
