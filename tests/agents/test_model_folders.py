"""Folders of models: what loads, from anywhere, and the one line that a broken one gets."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytest import approx
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.lm import load_policy
from agents.models import is_adapter, load_model, with_lora
from agents.sampling import Sampling
from tests.support.language import chat, full_logprobs, model, policy, talk

IDS = [2, 40, 41, 3, 50, 60, 4, 70]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    chat().save(model(), path)
    return path


def test_a_folder_is_an_ordinary_transformers_folder(folder: Path):
    loaded, chat = load_model(folder)
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    assert full_logprobs(loaded, IDS) == full_logprobs(theirs.eval(), IDS)
    assert full_logprobs(loaded, IDS) == approx(full_logprobs(model(), IDS))
    assert AutoTokenizer.from_pretrained(folder).encode("go east") == chat.tokenizer.encode(
        "go east"
    )
    assert chat.context == 1024
    assert loaded.dtype == torch.float32 and not loaded.training


def test_a_runs_folder_stands_for_its_checkpoint(folder: Path, tmp_path: Path):
    (tmp_path / "config.json").write_text('{"config": {}}')
    (tmp_path / "checkpoints").symlink_to(folder)
    assert load_policy(tmp_path).context == 1024


@pytest.mark.parametrize("relative", [True, False])
def test_a_lora_folder_finds_its_base_from_another_working_directory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
):
    monkeypatch.chdir(folder.parent)
    base, chat = load_model(Path("tiny") if relative else folder)
    adapted = with_lora(base, rank=2)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.05)
    expected = full_logprobs(adapted, IDS)
    chat.save(adapted, tmp_path / "adapter")
    monkeypatch.chdir(tmp_path)
    loaded, _ = load_model("adapter")
    assert full_logprobs(loaded, IDS) == approx(expected, abs=1e-6)
    assert expected != approx(full_logprobs(model(), IDS), abs=1e-3)
    trained = {name for name, weight in loaded.named_parameters() if weight.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    assert is_adapter(loaded) and with_lora(loaded, rank=4) is loaded


def test_fresh_adapters_change_nothing_and_are_all_that_is_trained():
    adapted = with_lora(model(), rank=2)
    assert full_logprobs(adapted, IDS) == approx(full_logprobs(model(), IDS), abs=1e-6)
    trained = [name for name, weight in adapted.named_parameters() if weight.requires_grad]
    assert trained and all("lora_" in name for name in trained)


class Evil:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.file,))


@pytest.mark.parametrize("kind", ["model", "adapter"])
def test_weights_in_a_pickle_are_refused_unread(folder: Path, tmp_path: Path, kind: str):
    copy, touched = tmp_path / "copy", tmp_path / "touched"
    if kind == "adapter":
        base, chat = load_model(folder)
        chat.save(with_lora(base, rank=2), copy)
    else:
        shutil.copytree(folder, copy)
    (weights,) = copy.glob("*.safetensors")
    weights.unlink()
    name = "pytorch_model.bin" if kind == "model" else "adapter_model.bin"
    torch.save({"weight": Evil(touched)}, copy / name)
    with pytest.raises(ValueError, match=rf"{name}: expected weights in safetensors, got a pickle"):
        load_model(copy)
    assert not touched.exists()


def _without_tokenizer(path: Path) -> None:
    for file in path.glob("*token*"):
        file.unlink()


def _of_another_size(path: Path) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))


def _with_adapter_of(base: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        (path / "config.json").unlink()
        config = {"peft_type": "LORA", "base_model_name_or_path": base, "task_type": "CAUSAL_LM"}
        (path / "adapter_config.json").write_text(json.dumps(config))

    return write


BROKEN: dict[str, Callable[[Path], object]] = {
    "no weights": lambda path: (path / "model.safetensors").unlink(),
    "garbage for weights": lambda path: (path / "model.safetensors").write_bytes(b"garbage"),
    "weights of another size": _of_another_size,
    "no JSON": lambda path: (path / "config.json").write_text("{oh"),
    "another model type": lambda path: (path / "config.json").write_text('{"model_type": "t5"}'),
    "no model type": lambda path: (path / "config.json").write_text('{"a": 1}'),
    "no tokenizer": _without_tokenizer,
    "half a tokenizer": lambda path: (path / "tokenizer.json").write_text("{}"),
    "an adapter without its base": _with_adapter_of("/nowhere/base"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_folder_gets_one_line_that_names_it(how: str, folder: Path, tmp_path: Path):
    copy = tmp_path / "broken"
    copy.mkdir()
    for file in folder.iterdir():
        os.link(file, copy / file.name)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):  # not the original's
        whole = (copy / name).read_bytes()
        (copy / name).unlink()
        (copy / name).write_bytes(whole)
    BROKEN[how](copy)
    with pytest.raises(ValueError, match="cannot load a causal language model") as refusal:
        load_model(copy)
    assert str(copy) in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_folder_without_a_model_and_no_folder_at_all_are_told_apart(tmp_path: Path):
    with pytest.raises(ValueError, match="expected config.json or adapter_config.json"):
        load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="no model folder"):
        load_model(tmp_path / "away" / "model")


def test_a_saved_policy_answers_as_before(folder: Path):
    talks = [
        talk(speaker, ["a", "bee"], turns=2)
        for speaker in (load_policy(folder, Sampling(max_new_tokens=6)), policy())
    ]
    for loaded, kept in zip(*talks, strict=True):
        assert [a.token_ids for a in loaded.actions] == [a.token_ids for a in kept.actions]
