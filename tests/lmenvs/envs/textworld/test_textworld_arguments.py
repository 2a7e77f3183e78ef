import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest

import lmenvs
from lmenvs import TABLE

GAMES = [name for name, spec in TABLE.items() if "textworld" in spec.tags and "ALF" not in name]
GENERATED = [name for name in GAMES if "generated" in TABLE[name].tags]


def refused(name: str, **arguments: Any) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        gymnasium.make(name, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", GAMES)
def test_a_wrong_argument_is_named_with_what_was_expected(name):
    for argument, value in [
        ("admissible", "no"),
        ("admissible", 1),
        ("turn_limit", 0),
        ("turn_limit", "9"),
        ("on_invalid", "x"),
    ]:
        assert refused(name, **{argument: value}).startswith(f"{argument}={value!r}; expected ")


@pytest.mark.parametrize("name", GENERATED)
def test_a_wrong_pool_or_view_is_named_with_what_was_expected(name):
    for argument, value in [
        ("split", "dev"),
        ("games", 0),
        ("games", 2.5),
        ("first_game", -1),
        ("reward", []),
        ("objective", None),
        ("description", "short"),
    ]:
        assert refused(name, **{argument: value}).startswith(f"{argument}={value!r}; expected ")
    if "Cooking" not in name:
        assert refused(name, relabel="no") == "relabel='no'; expected True or False"


@pytest.mark.parametrize("path", [None, 3, ["game.z8"], b"game.z8"])
def test_what_names_no_file_is_refused(path):
    assert refused("lmenvs/TextWorldFile-v0", path=path).startswith(f"path={path!r}; expected the")


@pytest.mark.parametrize("path", ["", ".", "/", "nowhere.z8", "nowhere.json", "a\0b.z8"])
def test_a_file_that_is_not_there_is_told_with_how_to_make_one(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in (path, Path(path)):
        assert "tw-make --format z8" in refused("lmenvs/TextWorldFile-v0", path=given)


@pytest.mark.parametrize("name", GAMES)
def test_without_textworld_one_line_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "textworld", None)
    with pytest.raises(ImportError, match=r"pip install 'lmenvs\[textworld\]'") as caught:
        lmenvs.make(name)
    assert "\n" not in str(caught.value)
