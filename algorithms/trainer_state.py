"""What a trainer resumes from, as two files: tensors in safetensors, the rest in JSON (torch).

Nothing is ever unpickled: a checkpoint of a stranger can be wrong, but it cannot run code. The
JSON holds the state's own tree; where JSON knows no such thing (a tensor, a tuple, bytes, a key
that is no text) stands an object with the one key `$tensor`, `$tuple`, `$bytes` or `$pairs`.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .checkpoints import REST

TENSORS = "trainer.safetensors"
FORMAT = "lmenvs trainer state 1"
_PLAIN = (str, int, float, bool, type(None))


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the two files into a folder.

    Raises:
        ValueError: for what is neither plain data nor a tensor; it says where that stands.
        OSError, SafetensorError: where the disk does not take it.
    """
    tensors: dict[str, Tensor] = {}
    tree = _packed(state, "state", tensors)
    save_file(_apart(tensors), folder / TENSORS)
    text = json.dumps({"format": FORMAT, "tensors": len(tensors), "state": tree})
    (folder / REST).write_text(text, encoding="utf-8")


def read_state(folder: Path) -> dict[str, Any]:
    """What `write_state` wrote, tensors on the CPU.

    Raises:
        ValueError: if a file is missing, torn or of something else; one line.
    """
    file = folder / REST
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']!r} instead of {FORMAT!r}")
        file = folder / TENSORS
        tensors = load_file(file, device="cpu")
        if len(tensors) != record["tensors"]:
            raise ValueError(f"{len(tensors)} tensors instead of {record['tensors']}")
        file = folder / REST
        return cast("dict[str, Any]", _unpacked(record["state"], tensors))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{file}: expected the state of a trainer, got a torn or foreign file ({reason})"
        ) from error


def _packed(value: object, where: str, tensors: dict[str, Tensor]) -> object:
    if type(value) is Tensor or type(value) is torch.nn.Parameter:
        return {"$tensor": _kept(value, where, tensors)}
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        if all(type(key) is str and not key.startswith("$") for key, _ in items):
            return {str(k): _packed(v, f"{where}[{k!r}]", tensors) for k, v in items}
        return {
            "$pairs": [
                [_packed(k, f"a key of {where}", tensors), _packed(v, f"{where}[{k!r}]", tensors)]
                for k, v in items
            ]
        }
    if isinstance(value, list | tuple):
        sequence = cast("Sequence[object]", value)
        each = [_packed(item, f"{where}[{i}]", tensors) for i, item in enumerate(sequence)]
        return {"$tuple": each} if isinstance(value, tuple) else each
    if type(value) is bytes:
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    # exact types: a numpy scalar is a float to isinstance, but not when it comes back
    if type(value) in _PLAIN:
        return value
    raise ValueError(
        f"{where} is {type(value).__name__}; a checkpoint takes plain data and tensors only"
    )


def _kept(tensor: Tensor, where: str, tensors: dict[str, Tensor]) -> str:
    if tensor.layout != torch.strided:
        raise ValueError(f"{where} is a {tensor.layout} tensor; a checkpoint takes dense ones only")
    kept = tensor.detach().cpu().contiguous()
    if kept.untyped_storage().nbytes() != kept.nbytes:  # a view: the rest is not of the state
        kept = kept.clone()
    tensors[where] = kept
    return where


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, none of them in memory that another one uses: safetensors refuses those."""
    seen: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return apart


def _unpacked(tree: object, tensors: Mapping[str, Tensor]) -> object:
    if isinstance(tree, list):
        return [_unpacked(item, tensors) for item in cast("list[object]", tree)]
    if not isinstance(tree, dict):
        return tree
    node = cast("dict[str, Any]", tree)
    if len(node) == 1:
        ((kind, held),) = node.items()
        if kind == "$tensor":
            return tensors[held]
        if kind == "$tuple":
            return tuple(_unpacked(item, tensors) for item in held)
        if kind == "$bytes":
            return base64.b64decode(held)
        if kind == "$pairs":
            return {_unpacked(key, tensors): _unpacked(item, tensors) for key, item in held}
    return {key: _unpacked(item, tensors) for key, item in node.items()}
