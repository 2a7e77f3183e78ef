"""Runs of two levels: resumed, loaded for evaluation, with one level trained, and refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

from agents import make_policy
from agents.hierarchical import Hierarchy, TwoLevels
from agents.level_models import load_two_levels
from agents.lm import LMPolicy
from agents.models import load_model
from agents.rollout import collect
from agents.sampling import Sampling
from algorithms import hierarchical, support
from algorithms.trainer_state import read_state
from tests.support.language import interrupted_after
from tests.support.levels import ARRANGEMENTS, KEY, SHORT, AnyOf, levels, only, opened, start
from tests.support.training import assert_same_run, metrics


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_stopped_and_resumed_is_as_if_never_stopped(name: str, tmp_path: Path):
    config = ARRANGEMENTS[name]

    def train(out: Path, resume: bool) -> Path:
        return hierarchical.train(KEY, start(), out, config, resume=resume)

    start()  # made before the decoders' runs are counted
    with interrupted_after(0) as counted:
        whole = train(tmp_path / "whole", False)
    part = tmp_path / "part"
    with pytest.raises(support.Interrupted), interrupted_after(counted.forwards // 2):
        train(part, False)
    assert 0 < len(metrics(part)) < len(metrics(whole)) == 3
    train(part, True)
    assert_same_run(part, whole)
    assert _files(part) == _files(whole)
    states = [read_state(run / "checkpoints")["kept"]["levels"] for run in (part, whole)]
    assert len(states[0]["planner"]) == (name != "shared")
    moved = [row for row in metrics(whole) if name == "shared" or row["planner_loss/grad_norm"] > 0]
    assert len(moved) == 3


def _files(run: Path) -> dict[str, bytes]:
    """What plays: the weights of both levels and the record beside them."""
    folder = run / "checkpoints"
    kinds = ("*.safetensors", "planner/*.safetensors", "two_levels.json")
    found = [file for kind in kinds for file in folder.glob(kind)]
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in found
        if file.name != "trainer.safetensors"  # compared tensor by tensor in assert_same_run
    }


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_a_run_is_loaded_for_evaluation_as_it_was_when_it_was_saved(name: str, tmp_path: Path):
    config = replace(ARRANGEMENTS[name], iterations=1, episodes=4)
    session, both = opened(config, tmp_path / "run")
    for iteration, generator in session.iterations():
        with both.sampler(iteration) as policy:
            planned = policy.split(session.collect(policy, range(4)))
        given = only(planned, "planner")
        given["actor"] = only(planned, "actor")["actor"]
        seen = both.read(planned)
        both.log(iteration, planned, seen, given, both.update(seen, given, generator))
    loaded = make_policy(f"hf:{tmp_path / 'run'}", max_new_tokens=6)
    assert isinstance(loaded, TwoLevels) and loaded.hierarchy == config.hierarchy
    with both.sampler(0) as policy:
        trained = collect(KEY, policy, range(3), policy_seed=1)
    assert collect(KEY, loaded, range(3), policy_seed=1) == trained
    model = LMPolicy(*load_model(start()), Sampling(max_new_tokens=6))
    unmoved = TwoLevels(model, model, levels())
    before = collect(KEY, unmoved, range(3), policy_seed=1)
    said = [[t.action.logprobs for t in e.turns] for e in (*trained, *before)]
    assert said[:3] != said[3:]


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({"planner": "tests.support.levels:sign_reader"}, ("actor",)),
        ({"actor": "tests.support.levels:obedient"}, ("planner",)),
        ({"planner": "in-context:tests.support.levels:sign_reader"}, ("actor",)),
        ({"planner": "in-context"}, ("actor",)),
        ({"actor": "frozen", "models": "two"}, ("planner",)),
    ],
)
def test_one_level_can_be_trained_alone(fields: dict[str, Any], kinds: tuple[str], tmp_path: Path):
    config = replace(SHORT, hierarchy=levels(**fields), iterations=2)
    run = hierarchical.train(KEY, start(), tmp_path / "run", config)
    rows = metrics(run)
    assert {f"{kind}_critic/explained_variance" for kind in kinds} < rows[0].keys()
    assert all(row["loss/grad_norm"] > 0 for row in rows)
    policy = load_two_levels(run, Sampling(max_new_tokens=6))
    assert len(collect(KEY, policy, range(2))) == 2
    if "in-context" in fields.get("planner", ""):
        tried = policy.planner.record  # type: ignore[attr-defined]
        assert sum(count for _, count, _ in tried) == 2 * 6 * 2  # iterations, episodes, decisions


def test_a_planner_in_context_goes_on_where_a_resumed_run_stopped(tmp_path: Path):
    planner = "in-context:tests.support.levels:sign_reader"
    config = replace(SHORT, hierarchy=levels(planner=planner))
    whole = hierarchical.train(KEY, start(), tmp_path / "whole", config)
    part = tmp_path / "part"
    with pytest.raises(support.Interrupted), interrupted_after(20):
        hierarchical.train(KEY, start(), part, config)
    hierarchical.train(KEY, start(), part, config, resume=True)
    assert_same_run(part, whole)
    assert _files(part) == _files(whole)


def test_a_constant_subgoal_gives_the_flat_models_episodes():
    model = LMPolicy(*load_model(start()), Sampling(max_new_tokens=6))
    plain = Hierarchy(every=2, planner_task="", actor_task="")
    two = TwoLevels(AnyOf([""]), model, plain)
    for one, other in zip(collect(KEY, two, range(8)), collect(KEY, model, range(8)), strict=True):
        assert [turn.observation for turn in one.turns] == [t.observation for t in other.turns]
        for mine, theirs in zip(one.turns, other.turns, strict=True):
            assert mine.action.prompt_ids == theirs.action.prompt_ids
            assert mine.action.token_ids == theirs.action.token_ids
            # a flat policy streams: who is answered beside whom moves the last bits
            assert mine.action.logprobs == approx(theirs.action.logprobs, abs=1e-4)


def test_what_cannot_be_trained_is_refused_in_one_line(tmp_path: Path):
    nobody = replace(SHORT, hierarchy=levels(planner="random", actor="random"))
    with pytest.raises(ValueError, match="expected one of them to be 'policy'"):
        hierarchical.train(KEY, start(), tmp_path / "a", nobody)
    with pytest.raises(ValueError, match="lora_rank of at least 1"):
        hierarchical.train(
            KEY, start(), tmp_path / "b", replace(SHORT, hierarchy=levels(models="adapters"))
        )
    with pytest.raises(ValueError, match="serves one model"):
        engine = replace(SHORT, hierarchy=levels(models="two"), engine="continuous")
        hierarchical.train(KEY, start(), tmp_path / "c", engine)
    with pytest.raises(ValueError, match="two levels earn the same rewards"):
        replace(SHORT, objective=replace(SHORT.objective, reference_kl=0.1, kl_in="reward"))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "config.json").write_text("{}")
    (tmp_path / "d" / "two_levels.json").write_text("{}")
    with pytest.raises(ValueError, match="record of a two-level run"):
        make_policy(f"hf:{tmp_path / 'd'}")
