"""Segment credit: sums that telescope, an exact gradient, and the paper's cuts and masks."""

import itertools

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.segments import (
    low_probability_segments,
    probability_mask,
    segment_advantages,
    spread_segments,
)

SEEDS = range(10)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_episodes_segments_add_up_to_its_return_minus_the_first_value(seed: int):
    generator = np.random.default_rng((seed, 36))
    values = [generator.normal(size=count) for count in generator.integers(1, 6, size=8)]
    returns = generator.normal(size=8)
    for row, earned, found in zip(
        values, returns, segment_advantages(values, returns), strict=True
    ):
        assert found.sum() == approx(earned - row[0])
        assert found[:-1] == approx(np.diff(row))


def test_one_segment_is_the_return_against_the_start_value():
    assert [row.tolist() for row in segment_advantages([[0.25], [0.5]], [1.0, 0.0])] == [
        [0.75],
        [-0.5],
    ]


def test_with_one_fork_per_boundary_the_expected_gradient_is_exact():
    # two binary turns; P(1) at the start and after each first action; what the endings earn
    odds: dict[tuple[int, ...], float] = {(): 0.3, (0,): 0.6, (1,): 0.2}
    worth = {(0, 0): 1.0, (0, 1): -0.5, (1, 0): 0.25, (1, 1): 2.0}

    def chance(path: tuple[int, ...], after: tuple[int, ...] = ()) -> float:
        whole = after + path
        steps = [(odds[whole[:t]], whole[t]) for t in range(len(after), len(whole))]
        return float(np.prod([p if step else 1 - p for p, step in steps]))

    found = dict.fromkeys(odds, 0.0)
    for path, first in itertools.product(worth, repeat=2):  # the episode; the fork at its start
        for second in ((0,), (1,)):  # the fork at its second turn
            weight = chance(path) * chance(first) * chance(second, after=path[:1])
            forked = [[worth[first], worth[path[0], second[0]]]]
            (credit,) = segment_advantages(forked, [worth[path]])
            for t in range(2):
                found[path[:t]] += weight * credit[t] * (path[t] - odds[path[:t]])
    value = [(1 - odds[way,]) * worth[way, 0] + odds[way,] * worth[way, 1] for way in (0, 1)]
    gap: dict[tuple[int, ...], float] = {(): value[1] - value[0], (0,): -1.5, (1,): 1.75}
    reach: dict[tuple[int, ...], float] = {(): 1.0, (0,): 1 - odds[()], (1,): odds[()]}
    for prefix, p in odds.items():
        assert found[prefix] == approx(reach[prefix] * p * (1 - p) * gap[prefix], abs=1e-12)


def test_a_segment_ends_after_the_last_of_its_unlikely_tokens():
    logprobs = [np.log([0.95, 0.5, 0.95]), np.log([0.2, 0.95, 0.8, 0.3, 0.99])]
    cut = [row.tolist() for row in low_probability_segments(logprobs, count=2)]
    assert cut == [[0, 0, 0], [0, 1, 1, 1, 2]]
    every = [row.tolist() for row in low_probability_segments(logprobs, count=1)]
    assert every == [[0, 0, 1], [1, 2, 2, 3, 4]]


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_segment_but_the_last_has_count_unlikely_tokens_and_ends_with_one(seed, count):
    generator = np.random.default_rng((seed, 37))
    logprobs = [np.log(generator.uniform(0.6, 1.0, size=9)) for _ in range(4)]
    segments = np.concatenate(low_probability_segments(logprobs, count, threshold=0.8))
    unlikely = np.concatenate(probability_mask(logprobs, threshold=0.8))
    for segment in range(segments.max()):
        inside = unlikely[segments == segment]
        assert inside.sum() == count
        assert inside[-1]


def test_the_mask_keeps_tokens_strictly_below_the_threshold():
    logprobs = [np.log([0.5, 0.25]), np.log([0.75, 0.1])]
    assert [row.tolist() for row in probability_mask(logprobs, threshold=0.5)] == [
        [False, True],
        [False, True],
    ]
    # at 1, all but the certain are trained
    assert [row.tolist() for row in probability_mask([[0.0, -1e-4]], 1.0)] == [[False, True]]


def test_tokens_earn_what_their_segment_earns_across_turns():
    logprobs = [np.log([0.5, 0.99, 0.5]), np.log([0.5, 0.99])]
    segments = low_probability_segments(logprobs, count=2)
    tokens = spread_segments([0.25, -1.0], segments)
    assert [row.tolist() for row in tokens] == [[0.25, 0.25, 0.25], [-1.0, -1.0]]


def test_wrong_arguments_are_refused_in_one_line():
    with pytest.raises(ValueError, match="1 rows of values for 2 returns; give one per episode"):
        segment_advantages([[0.5]], [1.0, 0.0])
    with pytest.raises(ValueError, match="episode 1 has 0 turns"):
        segment_advantages([[0.5], []], [1.0, 0.0])
    with pytest.raises(ValueError, match=r"values_ES\[1\]\[0\] is nan"):
        segment_advantages([[0.5], [float("nan")]], [1.0, 0.0])
    with pytest.raises(ValueError, match=r"holds 0\.5; expected natural logarithms"):
        probability_mask([[0.5]])
    with pytest.raises(ValueError, match=r"threshold is 0\.0; expected a probability above 0"):
        probability_mask([[-1.0]], threshold=0.0)
    with pytest.raises(ValueError, match="count is 0; expected at least one"):
        low_probability_segments([[-1.0]], count=0)
    with pytest.raises(ValueError, match="logprobs_TL has no turns"):
        low_probability_segments([], count=1)
    with pytest.raises(ValueError, match="1 advantages for 2 segments; give one per segment"):
        spread_segments([1.0], [np.array([0, 1])])
