"""`lmenvs bench engine` in miniature: what it plays, what it is set beside, and how it goes on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.chat import Chat
from agents.lm import LMPolicy
from agents.rollout import collect
from agents.sampling import Sampling
from algorithms import cli, support
from algorithms.behaviour_cloning import TinyConfig
from algorithms.bench import engine, large, limit, phases, rollouts
from algorithms.bench.kept import finished
from algorithms.bench.rollouts import REGIMES, Regime
from algorithms.bench.scene import ANSWER, NEW_TOKENS, Talk, make_model, make_tokenizer

SHAPE = {"hidden": 32, "layers": 2, "heads": 4, "key_heads": 2, "inner": 64}
MICROWAVE = "lmenvs/Microwave-v0"
SIZES = engine.Sizes(
    turns=(2,),
    shape=SHAPE,
    training={"episodes": 2, "repeats": 1, "seconds": 0},
    seconds=0.0,
    environments=(),
    tiny=TinyConfig(hidden=16, layers=1, heads=2, context=512),
    episodes=4,
    iterations=2,
    leaks=4,
)


def played(stop: float, mixed: bool = False, turns: int = 4):
    policy = LMPolicy(
        make_model(stop=stop, **SHAPE), Chat(make_tokenizer()), Sampling(max_new_tokens=ANSWER)
    )
    return collect(lambda: Talk(turns, mixed), policy, range(24), width=8)


@pytest.mark.parametrize("stop", [0.0, 0.3])
def test_every_turn_adds_forty_tokens_however_the_answer_ended(stop: float):
    turns = [turn.action for episode in played(stop) for turn in episode.turns]
    assert {len(action.prompt_ids) for action in turns} == {NEW_TOKENS}
    assert {action.finish for action in turns} == ({"length"} if stop == 0 else {"length", "stop"})
    assert [action.fresh for action in turns].count(True) == 24


def test_answers_stop_about_as_often_as_is_wanted():
    answers = [turn.action for episode in played(0.3, turns=8) for turn in episode.turns]
    tokens = sum(len(answer.token_ids) for answer in answers)
    stops = sum(answer.finish == "stop" for answer in answers)
    assert 0.25 < stops / tokens < 0.35


def test_mixed_episodes_have_two_to_twice_as_many_turns():
    lengths = {len(episode.turns) for episode in played(0.3, mixed=True)}
    assert min(lengths) == 2 and max(lengths) == 8 and len(lengths) > 4


def test_the_default_model_has_two_million_parameters():
    count = sum(weights.numel() for weights in make_model().parameters())
    assert count == pytest.approx(2e6, rel=0.02)


def test_the_bare_loop_answers_as_one_forward_pass_over_each_whole_conversation():
    """The limit is one because it leaves out decisions, not because it leaves out work."""
    model = make_model(**SHAPE)
    lengths = [[3, 8, 2], [1, 4, 8], [8, 8], [2, 1], [5]]
    plan = limit.passes(lengths, seed=0)
    texts: list[list[int]] = [[] for _ in lengths]
    last: dict[int, torch.Tensor] = {}
    number = iter(plan)

    def listen(module: Any, given: Any, named: dict[str, Any], out: Any) -> None:
        one = next(number)
        for row, ids, logits in zip(
            range(one.first, one.last), named["input_ids"].tolist(), out.logits[:, -1], strict=True
        ):
            texts[row] += ids
            last[row] = logits

    hook = model.register_forward_hook(listen, with_kwargs=True)
    sampled = torch.zeros((len(lengths), 1), dtype=torch.int64)
    cache = limit.BareCache(model, len(lengths), 200)
    with torch.inference_mode():
        limit.run(model, cache, plan, sampled)
        hook.remove()
        for row, text in enumerate(texts):
            whole = model(torch.tensor([text])).logits[0, -1]
            torch.testing.assert_close(last[row], whole, rtol=1e-4, atol=1e-4)
    asked = sum(map(len, lengths)) * NEW_TOKENS
    # the last sampled token of a conversation is never read
    assert sum(map(len, texts)) == asked + sum(map(sum, lengths)) - len(lengths)


def test_answers_are_dealt_out_so_that_rows_that_still_answer_are_neighbours():
    lengths = [[3, 8, 2], [1, 4, 8], [8, 8], [2, 1], [5]]
    rows = limit.dealt(lengths)
    for turn in range(3):
        before = sorted(row[turn] for row in lengths if len(row) > turn)
        assert sorted(row[turn] for row in rows if len(row) > turn) == before
    for one in limit.passes(lengths, seed=0):
        assert one.new in (1, NEW_TOKENS, NEW_TOKENS + 1)
    singles = sum(one.last - one.first for one in limit.passes(lengths, 0) if one.new == 1)
    assert singles == sum(map(sum, lengths)) - sum(map(len, lengths))


def test_generate_reads_the_whole_history_and_answers_everybody_every_turn():
    model = make_model(**SHAPE)
    read: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda module, given, named: read.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    _, tokens = limit.generated(model, 3, 4, seed=0)
    hook.remove()
    assert tokens == 3 * 4 * ANSWER
    assert [length for length in read if length > 1] == [40, 88, 136]
    _, estimated = limit.generated(model, 3, 4, seed=0, every=3)
    assert estimated == tokens


def test_the_engine_beats_generate_and_forwards_nothing_twice():
    found = rollouts.rollout(REGIMES[1], 5, 0, seconds=0.0, **SHAPE)
    assert found["times_generate"] is not None and found["times_generate"] > 1.2
    assert found["forwarded_per_distinct"] <= 1.1
    assert sum(found["shares"].values()) == pytest.approx(1.0)
    assert set(found["shares"]) == {"forward", "sampling", "chat", "scheduling", "environment"}
    assert all(0 < share < 1 for share in found["shares"].values())


def test_what_is_timed_is_left_as_it_was():
    from agents import lm
    from agents.sampling import draw

    model = make_model(**SHAPE)
    rollouts.rollout(Regime("short", 0.3, episodes=4), 2, 0, seconds=0.0, **SHAPE)
    assert lm.draw is draw and not model.get_decoder()._forward_hooks


def test_a_large_model_is_measured_against_a_product_of_matrices():
    sampled, trained = large.large(
        torch.device("cpu"),
        0,
        dtype=torch.float32,
        shape={**SHAPE, "vocabulary": 3000},
        episodes=2,
        turns=2,
        trained=1,
        micro_tokens=64,
        product=64,
    )
    assert sampled["parameters"] == trained["parameters"] > 96_000
    assert all(row["of_peak"] > 0 and row["tokens_per_second"] > 0 for row in (sampled, trained))


def test_operations_are_two_for_each_parameter_and_token_four_for_each_pair_and_width():
    model = make_model(**SHAPE)
    # per block: 32x32 and 32 for queries, twice 32x16 and 16 for keys and values, 32x32 out,
    # three times 32x64, and two norms of 32
    block = 32 * 32 + 32 + 2 * (32 * 16 + 16) + 32 * 32 + 3 * 32 * 64 + 64
    expected = 10 * (2 * 2 * block + 4 * 2 * 32 * 7) + 3 * 2 * 2048 * 32
    assert large.operations_of(model, 10, 7, 3) == expected


def test_a_run_that_was_stopped_goes_on_and_measures_nothing_twice(tmp_path: Path):
    file = tmp_path / "engine.json"
    names = list(engine.parts("cpu", 0, tmp_path, SIZES))

    class Stopped(Exception):
        pass

    done: list[int] = []

    def stop(count: int) -> None:
        done.append(count)
        if len(done) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        engine.measure("cpu", 0, file, stop, SIZES)
    kept = json.loads((tmp_path / "engine.json.partial").read_text())["parts"]
    assert list(kept) == names[:2]
    counts: list[int] = []
    results = engine.measure("cpu", 0, file, counts.append, SIZES)
    assert list(results) == names and counts == [2, *[1] * (len(names) - 2)]
    assert {name: results[name] for name in kept} == kept
    record = json.loads(engine.record(results, "cpu", 0, ["lmenvs", "bench", "engine"]))
    assert {"command", "date", "commit", "machine", "versions", "parts"} <= set(record)
    with pytest.raises(ValueError, match="got another seed; move it away"):
        engine.measure("cpu", 1, file, sizes=SIZES)
    finished(file)
    assert list(tmp_path.glob("*.partial")) == []


@pytest.mark.slow
def test_every_part_gives_numbers_to_show():
    story = "lmenvs/TextWorldFile-v0?turn_limit=15"
    sizes = replace(SIZES, environments=(story, MICROWAVE))
    results = engine.measure("cpu", 0, sizes=sizes)
    assert len(results) == engine.count("cpu", sizes)
    shown = engine.rows(results)
    assert all(isinstance(value, int | float) for _, value, _ in shown)
    assert {what.partition(":")[0] for what, _, _ in shown} >= {"iteration", "leaks", MICROWAVE}
    first, again = results[f"overhead: {story}"]
    assert first["outside_model"] > again["outside_model"] > 0
    for algorithm in ("turn_ppo", "archer"):
        seconds = results[f"iteration: {algorithm}, cpu"]["seconds"]
        assert seconds["collect"] > 0 and min(seconds.values()) >= 0


def test_results_so_far_that_are_none_are_refused(tmp_path: Path):
    (tmp_path / "engine.json.partial").write_text("[]")
    with pytest.raises(ValueError, match="expected results of an interrupted run"):
        engine.measure("cpu", 0, tmp_path / "engine.json", sizes=SIZES)


def test_measuring_leaves_threads_and_environment_as_they_were(monkeypatch):
    monkeypatch.setenv("TRANSFORMERS_SDPA_FORCE_GQA", "0")
    threads = torch.get_num_threads()
    with engine.quietly():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads
    assert engine.os.environ["TRANSFORMERS_SDPA_FORCE_GQA"] == "0"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_one_line_says_so(tmp_path: Path, capsys):
    out = tmp_path / "engine.json"
    assert cli.main(["bench", "engine", "--device", "cuda", "--out", str(out)]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("lmenvs: device 'cuda': torch ")
    assert list(tmp_path.iterdir()) == []


def test_only_the_part_engine_runs_elsewhere(capsys):
    assert cli.main(["bench", "env", "--device", "cuda"]) == 2
    assert "expected the part engine, got env" in capsys.readouterr().err


def test_phases_are_means_over_iterations():
    rows = [{"time": 9.0, "time/collect": 2.0}, {"time/collect": 4.0, "time/save": 1.0}]
    assert phases.phases(rows) == {"collect": 3.0, "save": 0.5}


def test_ctrl_c_within_a_measured_training_names_no_option_that_there_is_not(monkeypatch, capsys):
    def stopped(*given: object) -> None:
        raise support.Interrupted("stopped on request; the checkpoint is saved")

    monkeypatch.setattr(engine, "measure", stopped)
    assert cli.main(["bench", "engine"]) == 130
    assert capsys.readouterr().err.strip() == "lmenvs: stopped"
