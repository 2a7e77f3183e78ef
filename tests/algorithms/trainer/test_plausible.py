import pytest
import torch

from algorithms.support import Diverged
from algorithms.trainer.plausible import PATIENCE, PlausibleValues, plausible_values
from tests.support.training import played

TURNS = torch.ones(4, dtype=torch.bool)


def full_of(value: float) -> torch.Tensor:
    return torch.full((4,), value)


def assert_nothing_counts_yet(values: PlausibleValues) -> None:
    """What was checked so far has not begun the count: it takes all of `PATIENCE` to stop."""
    for _ in range(PATIENCE - 1):
        values.check(full_of(1e9), TURNS)
    with pytest.raises(Diverged):
        values.check(full_of(1e9), TURNS)


def test_the_range_is_the_registered_one_and_holds_nothing_more_to_come():
    maze = plausible_values("lmenvs/Maze-v0?layout=u")
    assert (maze.low, maze.high) == (-401.0, 0.0)
    assert (PlausibleValues(2.0, 5.0).low, PlausibleValues(-5.0, -2.0).high) == (0.0, 0.0)


def test_targets_within_the_range_never_stop_a_run():
    values = PlausibleValues(-1.0, 1.0)
    for value in (-1.0, 1.0, 1.19, -1.19) * PATIENCE:
        values.check(full_of(value), TURNS)
    assert_nothing_counts_yet(values)


@pytest.mark.parametrize("value", [1.21, -1.21, 1e9, float("inf"), float("nan")])
def test_a_mean_outside_for_long_enough_stops_it(value: float):
    values = PlausibleValues(-1.0, 1.0)
    for _ in range(PATIENCE - 1):
        values.check(full_of(value), TURNS)
    with pytest.raises(Diverged, match=r"between -1 and 1, .* the critic diverges; begin anew"):
        values.check(full_of(value), TURNS)


def test_one_batch_inside_begins_the_count_anew():
    values = PlausibleValues(-1.0, 1.0)
    for _ in range(3):
        for _ in range(PATIENCE - 1):
            values.check(full_of(5.0), TURNS)
        values.check(full_of(0.0), TURNS)
    assert_nothing_counts_yet(values)


def test_what_the_mask_leaves_out_counts_nowhere():
    values = PlausibleValues(-1.0, 1.0)
    mask = torch.tensor([True, False, False, False])
    for _ in range(2 * PATIENCE):
        values.check(torch.tensor([0.5, 1e9, 1e9, 1e9]), mask)
        values.check(full_of(1e9), ~TURNS)
    assert_nothing_counts_yet(values)


def test_returns_that_were_earned_widen_the_range():
    values = PlausibleValues(0.0, 0.0)
    values.saw(played())
    returns = [episode.total_reward for episode in played()]
    assert (values.low, values.high) == (min(0.0, *returns), max(0.0, *returns)) == (-1.0, 1.0)
