import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from algorithms import runs, support
from lmenvs.types import Action, Episode, Turn, read_episodes


def episode(name: str) -> Episode:
    turn = Turn("a room", Action("go east"), 1.0)
    return Episode(name, "lmenvs/X-v0", 0, "all", "play", (turn,), "end", True, False, True)


def save_weights(value: float):
    def save(folder: Path) -> None:
        (folder / "model.txt").write_text(str(value))

    return save


def weights(run: support.Run) -> float:
    return float((run.path / "checkpoints" / "model.txt").read_text())


def test_seed_all_makes_every_global_generator_repeat():
    def draws():
        support.seed_all(7)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert draws() == draws()


def test_set_threads_is_obeyed_and_refuses_zero():
    before = torch.get_num_threads()
    assert support.set_threads(1) == 1 == torch.get_num_threads()
    with pytest.raises(ValueError, match="integer >= 1"):
        support.set_threads(0)
    support.set_threads(before)


def test_optimizer_step_clips_the_gradient_and_returns_the_norm_before():
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    (weight * torch.tensor([3.0, 4.0])).sum().backward()
    assert support.optimizer_step(optimizer, [weight], max_norm=1.0) == pytest.approx(5.0)
    assert weight.detach().numpy() == pytest.approx([-0.6, -0.8], abs=1e-5)
    assert weight.grad is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_optimizer_step_leaves_the_weights_alone_when_the_gradient_is_not_finite(caplog, bad):
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    (weight * bad).sum().backward()
    assert not np.isfinite(support.optimizer_step(optimizer, [weight], max_norm=1.0))
    assert weight.detach().tolist() == [1.0, 1.0] and weight.grad is None
    assert "left out" in caplog.text


def test_bad_steps_are_passed_over_until_there_are_too_many_in_a_row():
    weight = torch.nn.Parameter(torch.ones(1))

    def step(optimizer: torch.optim.Optimizer, factor: float) -> float:
        (weight * factor).sum().backward()
        return support.optimizer_step(optimizer, [weight], max_norm=1.0)

    first = torch.optim.AdamW([weight], lr=0.0)
    for factor in ([float("nan")] * (support.MOST_SKIPPED - 1) + [1.0]) * 2:
        step(first, factor)  # never enough in a row
    for _ in range(support.MOST_SKIPPED - 1):
        step(first, float("nan"))
    second = torch.optim.AdamW([weight], lr=0.0)
    step(second, float("nan"))  # an optimizer counts its own
    resumed = torch.optim.AdamW([weight], lr=0.0)
    resumed.load_state_dict(first.state_dict())
    with pytest.raises(support.Diverged, match="10 optimizer steps in a row.*smaller learning"):
        step(resumed, float("nan"))
    assert weight.item() == 1.0


def test_a_new_run_records_configuration_versions_and_command(tmp_path):
    support.open_run(tmp_path / "a" / "b", {"seed": 3, "env": "lmenvs/Maze-v0"})
    record = json.loads((tmp_path / "a" / "b" / "config.json").read_text())
    assert record["config"] == {"seed": 3, "env": "lmenvs/Maze-v0"}
    assert record["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert record["versions"]["lmenvs"] and record["command"] == sys.argv


def test_a_folder_that_holds_another_run_is_refused_and_left_unchanged(tmp_path):
    support.open_run(tmp_path, {"seed": 1}).log(0, {"a/b": 1.0})
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"expected an empty folder.*--resume"):
        support.open_run(tmp_path, {"seed": 1})
    with pytest.raises(ValueError, match="seed: 1 -> 2"):
        support.open_run(tmp_path, {"seed": 2}, resume=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_run_that_failed_before_it_did_anything_does_not_block_its_folder(tmp_path):
    support.open_run(tmp_path, {"model": "runs/strat"})
    support.open_run(tmp_path, {"model": "runs/start"})
    assert runs.read_config(tmp_path)["config"] == {"model": "runs/start"}


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(ValueError, match="got a file"):
        support.open_run(tmp_path / "taken", {})


def test_resuming_drops_exactly_what_came_after_the_checkpoint(tmp_path):
    run = support.open_run(tmp_path, {"seed": 1})
    for iteration in range(3):
        run.log(iteration, {"rollout/return": iteration})
        run.episodes([episode(f"e{iteration}")])
        run.credit([(f"e{iteration}", [0.5], None)])
        if iteration == 1:
            run.save(save_weights(1.5), {"iteration": iteration + 1, "step": torch.ones(2)})
    with (tmp_path / "metrics.jsonl").open("a") as torn:
        torn.write('{"iteration": 3, "ti')

    again = support.open_run(tmp_path, {"seed": 1}, resume=True)
    state = again.load_state()
    assert state is not None and state["iteration"] == 2 and state["step"].tolist() == [1.0, 1.0]
    assert weights(again) == 1.5
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [0, 1]
    assert [e.id for e in read_episodes(tmp_path / "episodes.jsonl")] == ["e0", "e1"]
    assert (tmp_path / "credit.jsonl").read_text().count("\n") == 2
    again.log(2, {})
    later = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert later["time"] >= lines[-1]["time"]


def test_resuming_without_a_checkpoint_begins_again_from_nothing(tmp_path):
    support.open_run(tmp_path, {}).log(0, {})
    again = support.open_run(tmp_path, {}, resume=True)
    assert again.load_state() is None
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_a_checkpoint_refuses_what_is_neither_plain_nor_a_tensor(tmp_path):
    run = support.open_run(tmp_path, {})
    with pytest.raises(ValueError, match=r"state\['best'\] is float64"):
        run.save(save_weights(0), {"iteration": 1, "best": np.float64(1.0)})
    with pytest.raises(ValueError, match="number of complete iterations"):
        run.save(save_weights(0), {"step": 1})
    assert run.load_state() is None


def test_generator_and_optimizer_states_survive_a_checkpoint(tmp_path):
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()
    generator = np.random.default_rng(5)
    run = support.open_run(tmp_path, {})
    state = {"iteration": 1, "adam": optimizer.state_dict()}
    run.save(save_weights(0), {**state, "draws": generator.bit_generator.state})
    loaded = run.load_state()
    assert loaded is not None
    torch.optim.AdamW([weight]).load_state_dict(loaded["adam"])
    again = np.random.default_rng(0)
    again.bit_generator.state = loaded["draws"]
    assert again.random() == generator.random()


def test_ctrl_c_is_a_request_that_the_loop_answers_after_its_iteration():
    finished = []
    before = signal.getsignal(signal.SIGINT)  # a shell's background jobs ignore it
    with pytest.raises(support.Interrupted), support.interruptible() as stop:
        for iteration in range(5):
            if iteration == 1:
                os.kill(os.getpid(), signal.SIGINT)
            finished.append(iteration)
            if stop.requested:
                break
    assert finished == [0, 1]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_stops_at_once():
    with pytest.raises(KeyboardInterrupt) as caught, support.interruptible():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the loop went on")
    assert not isinstance(caught.value, support.Interrupted)


def test_progress_off_a_terminal_prints_at_most_a_line_in_ten_seconds(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 11.0, 11.0, 12.0])
    monkeypatch.setattr(support.time, "monotonic", lambda: next(clock))
    with support.progress("train", total=3) as advance:
        for success in (0.1, 0.2, 0.3):
            advance(1, success=success)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "train: 2/3 success 0.2\n"


def test_support_imports_neither_torch_nor_rich():
    program = (
        "import sys, algorithms.support; print([m for m in ('torch','rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_folder_that_is_not_a_run_is_named(tmp_path):
    with pytest.raises(ValueError, match="found no config.json"):
        runs.read_config(tmp_path)


def test_iterations_are_saved_when_due_and_left_on_request(tmp_path: Path):
    run = support.open_run(tmp_path / "run", {})
    saved: list[int] = []
    seen: list[int] = []
    with pytest.raises(support.Interrupted):
        for iteration in support.iterations(run, "test", 9, 1, 3, saved.append):
            seen.append(iteration)
            run.log(iteration, {"rollout/success": 0.5})
            if iteration == 6:
                signal.raise_signal(signal.SIGINT)
    assert (seen, saved) == ([1, 2, 3, 4, 5, 6], [3, 6, 7])
    rest = support.iterations(run, "test", 8, 7, 3, saved.append)
    assert list(rest) == [7] and saved[-1] == 8


def test_a_run_ends_with_the_iteration_that_reached_what_was_waited_for(tmp_path: Path):
    run = support.open_run(tmp_path / "run", {})
    saved: list[int] = []
    with support.until(lambda run: run.logged["rollout/success"] >= 0.5):
        for iteration in support.iterations(run, "test", 9, 0, 3, saved.append):
            run.log(iteration, {"rollout/success": iteration / 8})
    assert run.logged["rollout/success"] == 0.5 and saved == [3, 5]
    for iteration in support.iterations(run, "test", 9, 5, 3, saved.append):
        run.log(iteration, {"rollout/success": 1.0})
    assert saved == [3, 5, 6, 9]  # nothing is waited for outside
