"""Every stored score is what its recipe measures, and every docstring says what is stored."""

import math
import shlex

import pytest

import lmenvs
from lmenvs import TABLE
from lmenvs.envs.dialogue.car_dealer_seller import most_worth
from lmenvs.envs.word.wordle import Wordle
from lmenvs.measuring import block, filled, merged, source_file
from lmenvs.recipes import measure, values
from lmenvs.references import Row, canonical, references, stored, wanted
from lmenvs.spec import EnvSpec, Reference
from tests.support.extras import require, takes_long

EXACT = ("optimum", "belief", "uniform")
RECIPES = [(env, name, recipe) for env, rows in wanted().items() for name, recipe in rows.items()]
SLOW = {
    "lmenvs/FrozenLakeText-v0?map=8x8&turns=200",
    "lmenvs/Countdown-v0",
    "lmenvs/StringTransform-v0",
    "lmenvs/TextWorldCoinCollector-v0?level=104&games=448",
}
"""Where solving takes some seconds: only the mark `slow` does it again."""
QUICK = {
    (env, recipe): name
    for env, name, recipe in RECIPES
    if not takes_long(env) and not (env in SLOW and recipe in EXACT)
}
"""One name for each recipe: "max" and "expert" may be the same number."""


@pytest.mark.parametrize(("env", "recipe"), QUICK)
def test_a_stored_score_is_what_its_recipe_measures(env: str, recipe: str):
    require(env)
    row = stored()[env][QUICK[env, recipe]]
    assert row["recipe"] == recipe
    if recipe in EXACT:
        assert measure(env, recipe).value == pytest.approx(row["value"], abs=1e-9)
        return
    player, _, episodes = recipe.rpartition(":")
    some = values(env, player, range(min(int(episodes), 12)))
    spread = row["error"] * math.sqrt(int(episodes))
    distance = abs(sum(some) / len(some) - row["value"])
    assert distance <= 4.5 * spread / math.sqrt(len(some)) + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(("env", "name", "recipe"), RECIPES)
def test_every_stored_score_comes_out_the_same_to_the_last_digit(env: str, name: str, recipe: str):
    require(env)
    row, now = stored()[env][name], measure(env, recipe)
    assert (now.value, now.error) == pytest.approx((row["value"], row["error"]), abs=1e-9)


def test_nothing_is_stored_that_no_recipe_measures():
    assert {(e, n, r["recipe"]) for e, rows in stored().items() for n, r in rows.items()} == {
        (env, name, recipe) for env, name, recipe in RECIPES
    }


def test_no_score_is_both_published_and_measured():
    for spec in TABLE.values():
        for env, recipes in spec.measures.items():
            given = [s for name, s in spec.references.items() if canonical(name) == canonical(env)]
            assert not any(set(scores) & set(recipes) for scores in given), env


@pytest.mark.parametrize("name", TABLE)
def test_a_docstring_shows_the_references(name: str):
    require(name)
    spec = TABLE[name]
    code = source_file(spec).read_text(encoding="utf-8")
    assert filled(spec, code) == code, "run python -m lmenvs.measuring --write --missing"


UNLISTED = {"lmenvs/Jericho-v0"}
"""Where legal commands cannot be listed, no even play can be measured, so there is no average."""
DATA = {"lmenvs/ALFWorld-v0"}
"""Whose default arguments need files of the user's: other arguments have the bounds."""


@pytest.mark.parametrize("name", [name for name in TABLE if name not in UNLISTED])
def test_every_environment_has_bounds_to_be_scored_by(name: str):
    spec = TABLE[name]
    bounded = [
        env
        for env in {**spec.references, **spec.measures}
        if {"min", "average", "max"} <= set(references(env))
    ]
    assert spec.id in bounded or (bounded and name in DATA)
    for env in bounded:
        low, average, high = (references(env)[name].value for name in ("min", "average", "max"))
        assert low < average < high
        scores = [lmenvs.scores.normalise(env, raw) for raw in (low, average, high)]
        assert scores == [0.0, 50.0, 100.0]


def test_a_block_shows_value_error_and_source():
    spec = EnvSpec(
        id="lmenvs/Maze-v0",
        entry_point="lmenvs.envs.navigation.maze:Maze",
        summary="",
        turn_limit=1,
        return_range=(0.0, 1.0),
        tags=frozenset(),
        references={"lmenvs/Maze-v0?layout=u": {"made up": Reference(0.25, "by hand", 0.0123)}},
    )
    shown = block(spec)
    assert "        Maze-v0?layout=u\n" in shown
    known = references("lmenvs/Maze-v0?layout=u")
    assert all(f"            {name} {r.shown(5)}: " in shown for name, r in known.items())
    assert "+-" in known["expert"].shown(5) and "+-" not in known["min"].shown(5)
    assert "lmenvs.measuring" not in shown  # nothing of this row was measured


@pytest.mark.parametrize("name", [name for name, spec in TABLE.items() if spec.measures])
def test_every_measured_score_has_its_error_and_the_command_that_measures_it(name: str):
    shown = " ".join(block(TABLE[name]).split())
    assert f"Measured by python -m lmenvs.measuring {name} " in shown
    for env in TABLE[name].measures:
        for score in TABLE[name].measures[env]:
            known = references(env)[score]
            assert known.error is not None and f"{score} {known.value:.5g} +- " in shown
            words = shlex.split(known.command or "")
            assert words == ["python", "-m", "lmenvs.measuring", env]
            assert lmenvs.find(words[-1]) is TABLE[name]


def test_a_bound_is_asked_of_the_task_of_each_seed():
    recipe = "bound:lmenvs.envs.dialogue.car_dealer_seller:most_worth:20"
    env, worth = lmenvs.make("lmenvs/CarDealer-v0?reward=price"), list[float]()
    for seed in range(20):
        env.reset(seed=seed)
        worth.append(most_worth(env))
    found = measure("lmenvs/CarDealer-v0?reward=price", recipe)
    assert found.value == pytest.approx(sum(worth) / 20) and found.error > 0


def test_a_recipe_that_is_none_is_refused():
    with pytest.raises(ValueError, match="expected optimum, belief, uniform, or PLAYER:EPISODES"):
        measure("lmenvs/Maze-v0", "best")


def test_writing_keeps_what_another_run_wrote_and_drops_what_no_recipe_measures():
    def row(value: float) -> Row:
        return Row(value=value, error=0.0, recipe="optimum")

    kept = {"B": {"max": row(1), "old": row(2)}, "A": {"max": row(3)}, "gone": {"max": row(4)}}
    recipes = {"A": {"max": "optimum"}, "B": {"max": "optimum", "min": "uniform"}}
    rows = merged({"A": {"max": row(5)}}, kept, recipes)
    assert rows == {"A": {"max": row(5)}, "B": {"max": row(1)}} and list(rows) == ["A", "B"]


def test_playing_and_solving_agree_where_both_are_possible():
    env = "lmenvs/Maze-v0?layout=u"
    exact, played = measure(env, "uniform"), measure(env, "random:400")
    assert abs(exact.value - played.value) <= 4 * played.error
    assert measure(env, "expert:50").value <= measure(env, "optimum").value + 1.0


def test_every_score_of_the_default_arguments_lies_in_the_range_of_returns():
    for spec in TABLE.values():
        for name, reference in references(spec.id).items():
            slack = 3 * (reference.error or 0.0) + 1e-4
            least, most = spec.return_range
            assert least - slack <= reference.value <= most + slack, (spec.id, name)
            assert reference.source


def test_uniform_guessing_in_wordle_is_worth_what_arithmetic_says():
    miss = 1 - 1 / len(Wordle().admissible_actions())
    expected = -sum(miss**tries for tries in range(1, 7))
    for name in ("lmenvs/Wordle-v0", "lmenvs/Wordle-v0?feedback=lmrl"):
        assert references(name)["uniform"].value == pytest.approx(expected, abs=1e-4)


def test_the_bandit_bounds_follow_from_its_arms():
    means, horizon = [0.75] + 4 * [0.25], 20
    bounds = [
        references("lmenvs/BernoulliBandit-v0")[score].value for score in ("min", "average", "max")
    ]
    assert bounds == [horizon * min(means), horizon * sum(means) / 5, horizon * max(means)]


def test_the_published_list_of_lmrl_gym_is_known_by_its_hash():
    rows = [name for name in lmenvs.find("lmenvs/Wordle-v0").references if "sha256:" in name]
    assert len(rows) == 1
    # ILQL's published cell of LMRL-Gym's Wordle row
    assert references(rows[0])["ILQL"].value == -2.04
    assert lmenvs.scores.normalise(rows[0], -2.04) == pytest.approx(97.7, abs=0.05)


@pytest.mark.parametrize(
    ("env", "method", "raw", "normalised"),
    [  # the last column by hand, from the bounds: the paper's own cells do not all follow from them
        ("lmenvs/Maze-v0", "ILQL", -6.97, 50 + 50 * 76.03 / 76.16),
        ("lmenvs/Maze-v0", "GPT-4", -39.7, 50 + 50 * 43.3 / 76.16),
        ("lmenvs/Maze-v0?observability=partial", "BC", -79.5, 50 + 50 * 3.5 / 57.25),
        ("lmenvs/Maze-v0?observability=partial", "PPO", -91.7, 50 * 9.3 / 18),
    ],
)
def test_a_published_return_is_stored_raw_and_normalised_here(
    env: str, method: str, raw: float, normalised: float
):
    reference = references(env)[method]
    assert reference.value == raw and reference.source.startswith("LMRL-Gym")
    assert lmenvs.scores.normalise(env, raw) == pytest.approx(normalised)
