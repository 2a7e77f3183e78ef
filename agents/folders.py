"""Where a model lies: a folder, a run's `--out` folder, or a hub id. No torch."""

import re
from pathlib import Path

BESIDE = {
    "two_levels.json": "a planner and an actor",
    "judge.json": "a judge of its answers",
    "conditioning.json": "a return to aim for",
    "guide.json": "value heads",
}
"""Files beside a model that say how it plays, and what they tell of: see saved.py."""


def model_folder(name: str) -> str:
    """The folder or hub id that holds the model: for a run's `--out` folder, its checkpoint.

    Raises:
        ValueError: for a folder that holds no model.
        FileNotFoundError: for a path that does not exist and cannot be a hub id.
    """
    path = Path(name).expanduser()
    if not path.exists():
        if re.fullmatch(r"[\w][\w.-]*(/[\w][\w.-]*)?", name):
            return name  # a hub id: Transformers looks in its cache and on the hub
        raise FileNotFoundError(
            f"no model folder {name!r}; give one with config.json, a run's --out folder or a hub id"
        )
    # a run's own config.json lies beside checkpoints/ and is not a model's
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    if any((folder / file).is_file() for file in ("config.json", "adapter_config.json")):
        return str(folder)
    raise ValueError(
        f"model folder {name!r}: expected config.json or adapter_config.json in it (or in its "
        "checkpoints/), got none; give a folder that save_pretrained or `lmenvs train --out` wrote"
    )


def beside(name: str) -> str | None:
    """What a folder's model plays with besides itself; None where it plays as it samples."""
    folder = Path(model_folder(name))
    return next((what for file, what in BESIDE.items() if (folder / file).is_file()), None)
