"""A trainer's state comes back as it was, and a file of strangers can be wrong but runs nothing."""

import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.trainer_state import read_state, write_state

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
LEAVES |= st.binary(max_size=9)
KEYS = st.text(max_size=4) | st.integers() | st.sampled_from(["$tensor", "$pairs", "$"])
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


def back(folder: Path, state: dict[str, Any]) -> dict[str, Any]:
    write_state(folder, state)
    return read_state(folder)


@given(tree=TREES)
def test_any_plain_state_comes_back_as_it_was(tree: Any, tmp_path_factory: Any):
    folder = tmp_path_factory.mktemp("state")
    found = back(folder, {"tree": tree})
    assert found == {"tree": tree} and repr(found) == repr({"tree": tree})


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_come_back_to_the_bit(kind: torch.dtype, tmp_path: Path):
    whole = torch.arange(12).reshape(3, 4)
    tensors = [whole, whole.T, whole[1], whole[:, 1:2], whole, torch.tensor(3), torch.zeros(0, 2)]
    tensors = [tensor.to(kind) for tensor in tensors]
    tensors.append(tensors[0])  # twice the same memory
    found = back(tmp_path, {"t": tensors, "p": torch.nn.Parameter(torch.ones(2))})
    assert all(torch.equal(a, b) for a, b in zip(found["t"], tensors, strict=True))
    assert [t.dtype for t in found["t"]] == [kind] * 8 and found["p"].tolist() == [1.0, 1.0]
    assert (tmp_path / "trainer.safetensors").stat().st_size < 4000


def test_what_is_not_a_number_stays_so(tmp_path: Path):
    found = back(tmp_path, {"x": [math.inf, math.nan], "t": torch.tensor([math.nan])})
    assert found["x"][0] == math.inf and math.isnan(found["x"][1]) and found["t"].isnan().all()


def test_an_optimizer_goes_on_from_its_state_to_the_bit(tmp_path: Path):
    def trained(steps: int, stop: int | None) -> torch.Tensor:
        torch.manual_seed(0)
        net = torch.nn.Linear(3, 2)
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
        for step in range(steps):
            if step == stop:
                state = {"adam": optimizer.state_dict(), "rate": schedule.state_dict()}
                assert list(state["adam"]["state"]) == [0, 1]  # keys are integers
                found = back(tmp_path, state)
                optimizer = torch.optim.AdamW(net.parameters(), lr=9.0)
                schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
                optimizer.load_state_dict(found["adam"])
                schedule.load_state_dict(found["rate"])
            net(torch.ones(3)).square().sum().backward()
            optimizer.step()
            schedule.step()
        return net.weight.detach()

    with torch.random.fork_rng():
        assert torch.equal(trained(6, None), trained(6, 3))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.float64(1), r"state\['a'\]\[1\] is float64"),
        (object(), r"state\['a'\]\[1\] is object"),
        (torch.eye(2).to_sparse(), "sparse"),
        ({frozenset(): 1}, "a key of state"),
    ],
)
def test_what_cannot_be_kept_is_named(value: object, says: str, tmp_path: Path):
    with pytest.raises(ValueError, match=says):
        write_state(tmp_path, {"a": [0, value]})
    assert not list(tmp_path.iterdir())


class Harmful:
    def __reduce__(self) -> Any:
        return (print, ("this ran",))


def _foreign(folder: Path) -> None:
    for name in ("trainer.json", "trainer.safetensors"):
        (folder / name).write_bytes(pickle.dumps(Harmful()))


def _fewer(folder: Path) -> None:
    record = json.loads((folder / "trainer.json").read_text())
    (folder / "trainer.json").write_text(json.dumps(record | {"tensors": 7}))


def _unknown(folder: Path) -> None:
    text = (folder / "trainer.json").read_text()
    (folder / "trainer.json").write_text(text.replace("state['a']", "state['z']"))


def _cut(name: str, size: int) -> Any:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


@pytest.mark.parametrize(
    "damage",
    [
        *(_cut("trainer.json", size) for size in (0, 1, 60)),
        *(_cut("trainer.safetensors", size) for size in (0, 5, 40, -1)),
        lambda folder: (folder / "trainer.safetensors").unlink(),
        lambda folder: (folder / "trainer.json").write_text("[1, 2]"),
        lambda folder: (folder / "trainer.json").write_text('{"format": "of others"}'),
        _foreign,
        _fewer,
        _unknown,
    ],
)
def test_a_torn_or_foreign_file_is_refused_in_one_line(
    damage: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_state(tmp_path, {"a": torch.ones(3), "b": 1})
    damage(tmp_path)
    with pytest.raises(ValueError, match="trainer.*: expected the state of a trainer") as caught:
        read_state(tmp_path)
    assert "\n" not in str(caught.value) and "this ran" not in capsys.readouterr().out
