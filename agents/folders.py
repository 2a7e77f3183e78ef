"""Where a model lies: a folder, a run's `--out` folder, or a hub id. No torch."""

import re
from pathlib import Path


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
