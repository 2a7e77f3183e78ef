"""check_env finds nothing in good environments, and in each broken one exactly what is broken."""

import os
import pickle
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from lmenvs import Outcome, TextEnv
from lmenvs.testing import CHECKS, check_env
from tests.lmenvs.broken import BROKEN
from tests.lmenvs.small import Hallway, Ladder


@pytest.mark.parametrize("env", [Hallway(), Ladder(limit=6), Ladder()], ids=["hall", "six", "free"])
def test_a_good_environment_passes(env: TextEnv):
    check_env(env)


def test_a_check_does_not_touch_the_environment_it_is_given():
    env = Hallway()
    env.reset(seed=3)
    env.step("left")
    before = pickle.dumps(env.snapshot())
    check_env(gymnasium.wrappers.TimeLimit(env, 5))
    assert pickle.dumps(env.snapshot()) == before


def test_what_is_no_text_environment_is_refused():
    with pytest.raises(TypeError, match="expected a TextEnv, got CartPoleEnv"):
        check_env(gymnasium.make("CartPole-v1"))
    with pytest.raises(AssertionError, match="no environment 'lmenvs/Nothing-v0'"):
        check_env("lmenvs/Nothing-v0")


@pytest.mark.parametrize("broken", BROKEN, ids=lambda cls: cls.__name__)
def test_a_broken_environment_is_caught_in_one_line(broken: type[TextEnv]):
    with pytest.raises(AssertionError, match=BROKEN[broken]) as caught:
        check_env(broken())
    message = str(caught.value)
    assert message.startswith(f"{broken.__name__}: ") and "\n" not in message


def test_a_spec_that_cannot_be_written_down_is_caught():
    def creator(**arguments: Any) -> TextEnv:
        return Hallway(**arguments)

    gymnasium.register("lmenvs-test/Unwritten-v0", entry_point=creator, disable_env_checker=True)
    with pytest.raises(AssertionError, match="entry point is no text"):
        check_env(gymnasium.make("lmenvs-test/Unwritten-v0"))


def test_every_check_has_a_sentence_to_say_when_it_breaks():
    assert len(CHECKS) == len({check.__doc__ for check in CHECKS}) == 19
    assert all(check.__doc__ for check in CHECKS)


def test_writes_are_noticed_however_they_are_made(tmp_path: Path):
    class Opening(Hallway):
        __doc__ = Hallway.__doc__

        def _play(self, action: str) -> Outcome:
            os.close(os.open(tmp_path / "log.txt", os.O_CREAT | os.O_WRONLY))
            return super()._play(action)

    class Appending(Hallway):
        __doc__ = Hallway.__doc__

        def _play(self, action: str) -> Outcome:
            with (tmp_path / "log.txt").open("a") as log:
                log.write("turn")
            return super()._play(action)

    class Reading(Hallway):
        __doc__ = Hallway.__doc__

        def _play(self, action: str) -> Outcome:
            Path(__file__).read_text(encoding="utf-8")
            return super()._play(action)

    for env in (Opening(), Appending()):
        with pytest.raises(AssertionError, match=r"a step touches the outside.*log\.txt"):
            check_env(env)
    check_env(Reading())
