"""One string names an environment: what it says is what is made."""

import importlib

import gymnasium
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lmenvs
from lmenvs import TABLE, find, format_env_string, make, parse_env_string
from lmenvs.registration import register_all

KEYS = st.text("abcxyz_09 &=?%+#;é日", min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(st.dictionaries(KEYS, VALUES))
def test_any_arguments_come_back_from_their_string(arguments: dict[str, object]):
    name = format_env_string("lmenvs/Maze-v0", arguments)
    assert parse_env_string(name) == ("lmenvs/Maze-v0", arguments)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("lmenvs/Maze-v0", {}),
        ("lmenvs/Maze-v0?layout=u", {"layout": "u"}),
        (
            "lmenvs/Maze-v0?level=104&admissible=true&words=null",
            {"level": 104, "admissible": True, "words": None},
        ),
        ("lmenvs/Maze-v0?means=[0.1,0.9]", {"means": [0.1, 0.9]}),
        ("lmenvs/Maze-v0?path=a%20b%26c%3F.z8", {"path": "a b&c?.z8"}),
        ("lmenvs/Maze-v0?name=", {"name": ""}),
        ('lmenvs/Maze-v0?word="104"', {"word": "104"}),
    ],
)
def test_a_string_reads_as_a_user_expects(text: str, arguments: dict[str, object]):
    assert parse_env_string(text) == ("lmenvs/Maze-v0", arguments)


@pytest.mark.parametrize("text", ["104", "true", "null", "[1]", '"', "1e3", "a=b&c", "ü 日"])
def test_text_that_looks_like_something_else_stays_text(text: str):
    name = format_env_string("lmenvs/Maze-v0", {"word": text})
    assert parse_env_string(name) == ("lmenvs/Maze-v0", {"word": text})


def test_a_string_without_values_is_refused():
    with pytest.raises(ValueError, match=r"expected ID\?key=value&key=value, got 'layout'"):
        parse_env_string("lmenvs/Maze-v0?layout")


def test_a_string_that_names_an_argument_twice_is_refused():
    with pytest.raises(ValueError, match="expected each argument once, got 'arms' twice"):
        make("lmenvs/BernoulliBandit-v0?arms=5&gap=0.2&arms=6")


def test_arguments_in_the_call_go_over_those_in_the_string():
    env = make("lmenvs/Maze-v0?layout=u&observability=partial", layout="double_t")
    assert env.spec is not None
    assert (env.spec.kwargs["layout"], env.spec.kwargs["observability"]) == ("double_t", "partial")


def test_every_row_is_registered_under_its_own_id_and_importable():
    for name, spec in TABLE.items():
        assert spec.id == name and name.startswith("lmenvs/") and name in gymnasium.registry
        module, _, cls = spec.entry_point.partition(":")
        assert issubclass(getattr(importlib.import_module(module), cls), lmenvs.TextEnv)
        assert find(f"{name}?x=1") is spec


def test_registering_twice_changes_nothing():
    before = dict(gymnasium.registry)
    register_all()
    assert dict(gymnasium.registry) == before


def test_an_unknown_id_is_refused_with_a_hint():
    with pytest.raises(ValueError, match="did you mean lmenvs/Wordle-v0"):
        find("lmenvs/Wordel-v0")
    with pytest.raises(ValueError, match="lmenvs list"):
        find("CartPole-v1")


def test_a_bad_value_is_refused_by_the_environment_in_one_line():
    with pytest.raises(ValueError, match=r"layout='round'; expected one of") as caught:
        make("lmenvs/Maze-v0?layout=round")
    assert "\n" not in str(caught.value)


def test_a_row_says_what_is_missing_on_this_machine(monkeypatch):
    chess, science = (lmenvs.find(f"lmenvs/{name}-v0") for name in ("Chess", "ScienceWorld"))
    assert lmenvs.find("lmenvs/Maze-v0").missing is None
    monkeypatch.setattr("lmenvs.spec.find_spec", lambda name: None)
    assert chess.missing == "pip install 'lmenvs[chess]'"
    monkeypatch.setattr("lmenvs.spec.find_spec", lambda name: object())
    monkeypatch.setattr("lmenvs.spec.shutil.which", lambda name: None)
    assert (chess.missing, science.missing) == (None, "install Java")
