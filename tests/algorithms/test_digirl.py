"""DigiRL's two filters: which turns and which episodes they let through."""

from dataclasses import replace

import numpy as np
import pytest
from pytest import approx

from algorithms.batch import make_batch
from algorithms.digirl import Config, credit, first_turns, surprising
from lmenvs.types import Action, Episode, Turn
from tests.support.language import chat


def episode(name: str, turns: int, success: bool, *, rebuilt: bool = False) -> Episode:
    said = tuple(
        Turn("room", Action("go", (1, 2), (3, 4), fresh=rebuilt), 0.0) for _ in range(turns)
    )
    return Episode(name, "lmenvs/X-v0", 0, "all", "Play.", said, "end", True, False, success)


def passes(before: float, after: float, success: bool, config: Config) -> bool:
    """Whether the first of two turns does, if the chance of success goes from before to after."""
    (advantages_T,) = credit([episode("e", 2, success)], [np.array([before, after])], config)
    return bool(advantages_T[0] > config.threshold)


@pytest.mark.parametrize(
    ("before", "after", "success", "kept"),
    [
        (0.2, 0.8, True, True),  # likelier, and it went well
        (0.2, 0.8, False, True),  # likelier, whatever came of it: the values are trusted
        (0.8, 0.2, False, False),  # less likely, and it failed
        (0.5, 0.5, True, True),  # no difference, but the outcome is trusted as well
        (0.5, 0.5, False, False),  # no difference, and it failed
        (0.9, 0.3, True, False),  # so much less likely that success behind it was others' doing
    ],
)
def test_the_filter_lets_a_turn_through_that(
    before: float, after: float, success: bool, kept: bool
):
    assert passes(before, after, success, Config(form="sum", discount=0.5)) is kept
    assert passes(before, after, success, Config(form="mixed", lam=0.25)) is kept


def test_the_last_turn_passes_exactly_where_it_succeeds():
    for form in ("sum", "mixed"):
        for chance in (0.0, 0.5, 1.0):
            for success in (False, True):
                (advantages_T,) = credit(
                    [episode("e", 1, success)], [np.array([chance])], Config(form=form)
                )
                assert (advantages_T[0] > 0.05) is np.bool_(success)


def test_the_advantages_by_hand():
    chances_ET = [np.array([0.5, 0.75, 0.25])]
    summed = credit([episode("e", 3, True)], chances_ET, Config(form="sum", discount=0.5))
    # p' - p + r + discounted success: .25 + .25, -.5 + .5, -.25 + 1 + 1
    assert summed[0] == approx([0.5, 0.0, 1.75])
    mixed = credit([episode("e", 3, True)], chances_ET, Config(form="mixed", lam=0.5))
    # w = 1/4, 1/2, 1: .25 + .75 * .25, .5 + .5 * -.5, 1
    assert mixed[0] == approx([0.4375, 0.25, 1.0])
    failed = credit([episode("e", 3, False)], chances_ET, Config(form="sum", discount=0.5))
    assert failed[0] == approx([0.25, -0.5, -0.25])


def test_episodes_are_chosen_by_how_much_better_they_went_than_foreseen():
    easy, hard, lost = (episode(n, 1, n != "lost") for n in ("easy", "hard", "lost"))
    pool, foreseen_E = [easy, lost, hard], [0.9, 0.0, 0.1]
    assert surprising(pool, foreseen_E, 0.3) == [hard]
    assert surprising(pool, foreseen_E, 0.7) == [easy, hard]
    assert surprising(pool, foreseen_E, 0.01) == [hard]
    assert surprising(pool, foreseen_E, 1.0) == pool


def test_a_task_is_judged_where_its_episode_begins_and_nowhere_else():
    batch = make_batch([episode("a", 3, True), episode("b", 2, True, rebuilt=True)], chat())
    # b's prompts were rebuilt: it stands in two rows, and begins in one
    assert batch.episode.tolist() == [0, 1, 1]
    assert first_turns(batch).tolist() == [
        [True, False, False],
        [True, False, False],
        [False, False, False],
    ]


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"keep 0, pool 512; expected a share in \(0, 1\]"):
        replace(Config(), keep=0)
    with pytest.raises(ValueError, match=r"critic_iterations 20; expected fewer than iterations"):
        replace(Config(), critic_iterations=20)
