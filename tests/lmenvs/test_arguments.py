import math
from pathlib import Path

import pytest

from lmenvs.arguments import check_choice, check_count, check_flag, check_number, check_path


def refused(check, *arguments, **bounds) -> str:
    with pytest.raises(ValueError, match="expected") as caught:
        check("size", *arguments, **bounds)
    return str(caught.value)


def test_a_whole_number_within_its_bounds_is_taken():
    check_count("size", 2, 2, 5)
    check_count("size", 5, 2, 5)
    check_count("size", 10**30, 0)


@pytest.mark.parametrize("value", [1, 6, 2.0, True, "3", None, [3], 10**400])
def test_what_is_no_whole_number_within_its_bounds_is_refused(value):
    assert refused(check_count, value, 2, 5) == (
        f"size={value!r}; expected a whole number from 2 to 5"
    )


def test_a_number_within_its_bounds_is_taken():
    for value in (0, 0.5, 1, -0.0):
        check_number("size", value, 0, 1)
    check_number("size", 1e-300, 0, 1, above=True)
    check_number("size", -1e300)
    check_number("size", 1e300, 0)


@pytest.mark.parametrize(
    "value", [-0.1, 1.1, math.nan, math.inf, -math.inf, True, "0.5", None, [0.5], {}, 10**400, 1j]
)
def test_what_is_no_number_within_its_bounds_is_refused(value):
    assert refused(check_number, value, 0, 1) == f"size={value!r}; expected a number from 0 to 1"


def test_the_words_say_which_bounds_there_are():
    assert refused(check_number, 0, 0, 1, above=True).endswith("a number above 0 and at most 1")
    assert refused(check_number, 0, 0, above=True).endswith("a finite number above 0")
    assert refused(check_number, -1, 0).endswith("a finite number >= 0")
    for value in (math.nan, math.inf, 10**400):
        assert refused(check_number, value).endswith("a finite number")


def test_what_is_no_choice_or_no_flag_is_refused():
    check_choice("size", "small", ("small", "big"))
    check_flag("size", False)
    for value in ("tiny", None, ["small"], 1):
        assert refused(check_choice, value, ("small", "big")).endswith("one of 'small', 'big'")
    for value in (0, "True", None):
        assert refused(check_flag, value).endswith("True or False")


def test_a_path_is_text_or_a_path():
    check_path("file", "")
    check_path("file", Path("game.z8"))
    for value in (None, 3, b"game.z8", ["game.z8"]):
        assert refused(check_path, value).startswith(f"size={value!r}; expected the path of a file")
