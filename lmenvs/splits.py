"""Train and test: one stable partition of items by their content, the same on every machine."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal

Split = Literal["all", "train", "test"]
SPLITS: tuple[Split, ...] = ("all", "train", "test")


def split_of(content: bytes | str) -> Literal["train", "test"]:
    """Which half an item belongs to: the lowest bit of the blake2b hash of its content.

    Text is hashed as UTF-8. The answer depends on nothing but the content: not on the order or the
    number of the other items, so a list may grow without moving an item across.

    >>> split_of("crane"), split_of(b"crane"), split_of("stone")
    ('train', 'train', 'test')
    """
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return "test" if blake2b(raw, digest_size=8).digest()[0] & 1 else "train"


def check_split(split: str) -> Split:
    """The split by its name.

    Raises:
        ValueError: for a name that is not a split.
    """
    for known in SPLITS:
        if split == known:
            return known
    raise ValueError(f"split={split!r}; expected 'all', 'train' or 'test'")


def select(items: Sequence[str], split: str) -> list[str]:
    """The items of a split, in their order; "all" is every item.

    Raises:
        ValueError: for a name that is not a split.
    """
    wanted = check_split(split)
    return [item for item in items if wanted == "all" or split_of(item) == wanted]
