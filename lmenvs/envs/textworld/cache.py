"""The cache folder: generated games by recipe, compiled stories by content hash.

Every file begins with the hash of what follows, so a cut or damaged one is seen and made again.
Files appear whole (a temporary file is renamed), so several processes may write the same one.
"""

import json
import os
import sys
import tempfile
import warnings
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

_MARK = b"lmenvs1\n"
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of a generated game: the hash of its source, that of its task, its logic."""

    key: str
    task: str
    sheet: bytes


def folder() -> Path:
    """`$LMENVS_CACHE`, or `lmenvs` in the user's cache folder."""
    given = os.environ.get("LMENVS_CACHE")
    if given:
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lmenvs"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "lmenvs"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lmenvs"


def _recipe_path(name: str) -> Path:
    digest = blake2b(name.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return folder() / "textworld" / "recipes" / digest


def _rom_path(key: str) -> Path:
    return folder() / "textworld" / "stories" / key


def read_recipe(name: str) -> Entry | None:
    """The generated game of a recipe, or None if it is not there or damaged."""
    content = _read(_recipe_path(name))
    if content is None:
        return None
    head, _, sheet = content.partition(b"\n")
    found = json.loads(head)
    return Entry(found["key"], found["task"], sheet) if found["name"] == name else None


def write_recipe(name: str, entry: Entry) -> None:
    """Keep a generated game."""
    head = json.dumps({"name": name, "key": entry.key, "task": entry.task}).encode()
    _write(_recipe_path(name), head + b"\n" + entry.sheet)


def read_rom(key: str) -> bytes | None:
    """The compiled story of a content hash, or None if it is not there or damaged."""
    return _read(_rom_path(key))


def write_rom(key: str, rom: bytes) -> None:
    """Keep a compiled story."""
    _write(_rom_path(key), rom)


def _read(path: Path) -> bytes | None:
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    body = raw[len(_MARK) + _DIGEST_BYTES :]
    if raw[: len(_MARK)] != _MARK or raw[len(_MARK) : -len(body) or None] != _check(body):
        return None
    return zlib.decompress(body)


def _check(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _write(path: Path, content: bytes) -> None:
    body = zlib.compress(content, 6)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
            file.write(_MARK + _check(body) + body)
        os.replace(file.name, path)
    except OSError as error:
        warnings.warn(
            f"cannot keep compiled games in {folder()} ({error.strerror}); they are compiled again "
            "in the next process; set LMENVS_CACHE to a folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )
