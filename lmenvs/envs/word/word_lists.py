"""Lists of five-letter words: the shipped one, a user's own, and the published ones by name."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

LETTERS = 5

KNOWN_LISTS: Mapping[str, str] = {
    "433c429a3fc53ed07650f7c91c35eef8dd9c7cc62b24d4de1205819ed823ac8d": "LMRL-Gym 400",
}
"""Published lists that this project does not ship, by `fingerprint`.

"LMRL-Gym 400" is the file `wordle_official_400.txt` of LMRL-Gym, which despite its name holds 431
words; `words=<its path>` with `feedback="lmrl"` is the setting of the paper's Wordle scores.
"""


def shipped_words() -> tuple[tuple[str, ...], frozenset[str]]:
    """The package's own list: (answers in sorted order, all that may be guessed)."""
    return _shipped()


@lru_cache(maxsize=1)
def _shipped() -> tuple[tuple[str, ...], frozenset[str]]:
    data = resources.files("lmenvs.envs.word").joinpath("data")
    answers = _read(data.joinpath("answers.txt").read_text(encoding="ascii"), "answers.txt")
    others = _read(data.joinpath("guesses.txt").read_text(encoding="ascii"), "guesses.txt")
    return answers, frozenset(answers + others)


def load_words(words: str | os.PathLike[str] | Sequence[str]) -> tuple[str, ...]:
    """A user's words, lower-case, without repetitions, sorted.

    Args:
        words: A sequence of words, or the path of a text file with one word a line; blank lines and
            lines that begin with `#` are passed over.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the list is empty or an entry is not five letters a to z.
    """
    if isinstance(words, str | os.PathLike):
        path = Path(words)
        if not path.is_file():
            raise FileNotFoundError(
                f"words={str(words)!r}: no such file; expected the path of a list, one word a line"
            )
        return _read(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(words, Iterable):
        raise ValueError(f"words={words!r}; expected a path or a list of words")
    return _checked(words, "words")


def fingerprint(words: Iterable[str]) -> str:
    """SHA-256 of a list as a set: its distinct lower-case words, sorted, each ended by a newline.

    >>> fingerprint(["Slate", "crane"]) == fingerprint(["crane", "slate", "crane"])
    True
    """
    content = "".join(f"{word}\n" for word in sorted({word.lower() for word in words}))
    return hashlib.sha256(content.encode("utf-8")).hexdigest()


def reference_name(words: str | os.PathLike[str] | Sequence[str]) -> str:
    """How the environment table names a list: `sha256:` and its fingerprint, wherever it lies.

    `scores.normalise("lmenvs/Wordle-v0?feedback=lmrl&words=" + reference_name(path), raw)` puts a
    return on LMRL-Gym's scale if the file at `path` is LMRL-Gym's list.
    """
    return f"sha256:{fingerprint(load_words(words))}"


def _read(text: str, source: str) -> tuple[str, ...]:
    lines = (line.strip() for line in text.splitlines())
    return _checked([line for line in lines if line and not line.startswith("#")], source)


def _checked(words: Iterable[object], source: str) -> tuple[str, ...]:
    distinct: set[str] = set()
    for word in words:
        if not isinstance(word, str) or not is_word(word.lower()):
            raise ValueError(
                f"{source}: {word!r} is no word; expected {LETTERS} letters a to z each"
            )
        distinct.add(word.lower())
    if not distinct:
        raise ValueError(f"{source}: no words; expected at least one word of {LETTERS} letters")
    return tuple(sorted(distinct))


def is_word(text: str) -> bool:
    """Whether a text has the form of a word: five letters a to z, lower-case."""
    return len(text) == LETTERS and text.isascii() and text.isalpha() and text.islower()
