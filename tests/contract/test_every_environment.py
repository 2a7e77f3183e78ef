"""Every row of the table keeps the contract, through every door by which it can be made."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec as GymSpec
from gymnasium.utils.env_checker import check_env as gymnasium_check_env

import lmenvs
from lmenvs import TABLE, NoExactModel
from lmenvs.testing import check_env
from tests.support.extras import require

# these generate and compile a game for every seed: a small pool keeps that to once a machine
POOLED = {
    "lmenvs/TextWorldCoinCollector-v0": "lmenvs/TextWorldCoinCollector-v0?games=6",
    "lmenvs/TextWorldQuest-v0": "lmenvs/TextWorldQuest-v0?games=6",
    "lmenvs/TextWorldTreasureHunter-v0": "lmenvs/TextWorldTreasureHunter-v0?games=4",
    "lmenvs/TextWorldCooking-v0": "lmenvs/TextWorldCooking-v0?games=3",
}
VARIANTS = tuple(name for spec in TABLE.values() for name in spec.variants)


# ScienceWorld asks a Java process for every answer and takes minutes
SLOW = [name for name in (*TABLE, *VARIANTS) if "ScienceWorld" in name]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(POOLED.get(name, name), marks=[pytest.mark.slow] if name in SLOW else [])
        for name in (*TABLE, *VARIANTS)
    ],
)
def test_it_keeps_the_contract(name: str):
    require(name)
    check_env(name)


@pytest.mark.parametrize("name", TABLE)
def test_gymnasiums_checker_has_nothing_to_warn_about(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    require(name)
    # the checker resets without a seed, which would leave other games in the cache every time
    monkeypatch.setenv("LMENVS_CACHE", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(name, **TABLE[name].kwargs)
        gymnasium_check_env(env.unwrapped)
        env.close()


@pytest.mark.parametrize("name", TABLE)
def test_its_spec_survives_json(name: str):
    require(name)
    env = lmenvs.make(POOLED.get(name, name))
    assert env.spec is not None
    written = json.loads(json.dumps(json.loads(env.spec.to_json())))
    spec = GymSpec.from_json(json.dumps(written))
    assert spec == env.spec and isinstance(spec.entry_point, str)
    assert gymnasium.make(spec).reset(seed=5) == env.reset(seed=5)


@pytest.mark.parametrize("name", TABLE)
def test_its_row_says_what_it_is(name: str):
    require(name)
    spec, env = TABLE[name], lmenvs.make(POOLED.get(name, name))
    assert env.turn_limit == spec.turn_limit
    assert spec.summary and spec.tags and "\n" not in spec.summary
    if "exact" in spec.tags:
        assert lmenvs.make(name).start_states()
    else:  # the tag is that of the default arguments; a smaller pool may have a model
        with pytest.raises(NoExactModel) as caught:
            lmenvs.make(name).start_states()
        assert "\n" not in str(caught.value)
    low, high = spec.return_range
    for seed in range(3):
        env.reset(seed=seed)
        total, terminated, info = 0.0, False, {}
        while not terminated:
            _, reward, terminated, _, info = env.step(env.expert_action() if seed else "?")
            total += reward
        assert low - 1e-9 <= total <= high + 1e-9, (seed, total)
        assert info["success"] in (True, False)


def test_references_are_bounds_in_order_and_name_their_source():
    for spec in TABLE.values():
        for name, scores in spec.references.items():
            assert lmenvs.find(name) is spec
            assert all(reference.source.strip() for reference in scores.values())
            if {"min", "average", "max"} <= set(scores):
                assert scores["min"].value < scores["average"].value < scores["max"].value


def test_ids_are_found_without_importing_lmenvs(tmp_path: Path):
    code = (
        "import gymnasium, sys\n"
        "assert 'lmenvs' not in sys.modules\n"
        "env = gymnasium.make('lmenvs:lmenvs/Maze-v0', layout='u')\n"
        "print(env.reset(seed=2)[0])"
    )
    root = Path(lmenvs.__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == lmenvs.make("lmenvs/Maze-v0?layout=u").reset(seed=2)[0]


def test_a_misspelt_id_is_told_the_nearest_one():
    with pytest.raises(
        ValueError, match=r"no environment 'lmenvs/Mazes-v0'; did you mean lmenvs/M"
    ):
        lmenvs.make("lmenvs/Mazes-v0")


def test_an_unknown_argument_is_one_line():
    with pytest.raises(ValueError, match="colour") as caught:
        lmenvs.make("lmenvs/Maze-v0?colour=red")
    assert "\n" not in str(caught.value)
