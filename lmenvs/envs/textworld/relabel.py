"""Relabelling: the same game with its directions and room names exchanged, for more variety.

A `Relabelling` is a bijection between words: directions among directions (the map turned or
mirrored), room names among room names. What the player reads is mapped forward, what it types is
mapped back, so the game itself does not change. Only its names do: a policy cannot win by
remembering them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np

DIRECTIONS: tuple[str, ...] = ("east", "north", "south", "west")
BACK = {"north": "south", "south": "north", "east": "west", "west": "east"}
ROOM_NAMES = (
    "attic", "bar", "basement", "bathroom", "bedchamber", "bedroom", "canteen", "cellar", "chamber",
    "closet", "cookery", "cookhouse", "cubicle", "cupboard", "dish-pit", "garage", "kitchen",
    "kitchenette", "launderette", "laundromat", "laundry place", "lounge", "office", "pantry",
    "parlor", "playroom", "recreation zone", "restroom", "salon", "sauna", "scullery", "shower",
    "spare room", "steam room", "studio", "study", "vault", "washroom", "workshop",
)  # fmt: skip
"""The room names of TextWorld's theme "house" (MIT licence)."""

_NAMES = re.compile(
    r"(?<![a-z-])("
    + "|".join(sorted(DIRECTIONS + ROOM_NAMES, key=len, reverse=True))
    + r")(?![a-z-])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Relabelling:
    """A bijection, as the images of `DIRECTIONS` and of `ROOM_NAMES` in their order."""

    directions: tuple[str, ...] = DIRECTIONS
    rooms: tuple[str, ...] = ROOM_NAMES

    def show(self, text: str) -> str:
        """What the player reads in place of the game's text.

        >>> Relabelling(("west", "north", "south", "east")).show("You go East to the attic.")
        'You go West to the attic.'
        """
        return _replace(text, _forward(self))

    def read(self, text: str) -> str:
        """The game's text for what the player typed; the inverse of `show`."""
        return _replace(text, _backward(self))


def hash_labels(labels: Relabelling | None) -> str:
    """A short name for a relabelling."""
    words = "" if labels is None else ",".join(labels.directions + labels.rooms)
    return blake2b(words.encode(), digest_size=6).hexdigest() if words else "plain"


def draw_relabelling(random: np.random.Generator) -> Relabelling:
    """A bijection drawn uniformly among those that keep opposites opposite.

    Directions are turned and mirrored like a map (8 ways), not shuffled (24): if "south" did not
    lead back from where "north" leads, a game could not teach its player the way back.
    """
    compass = ("east", "north", "west", "south")
    turn, mirror = int(random.integers(4)), int(random.choice((1, -1)))
    image = {name: compass[(turn + mirror * i) % 4] for i, name in enumerate(compass)}
    return Relabelling(
        tuple(image[name] for name in DIRECTIONS),
        tuple(ROOM_NAMES[i] for i in random.permutation(len(ROOM_NAMES))),
    )


@lru_cache(maxsize=1024)
def _forward(labels: Relabelling) -> Mapping[str, str]:
    return dict(zip(DIRECTIONS + ROOM_NAMES, labels.directions + labels.rooms, strict=True))


@lru_cache(maxsize=1024)
def _backward(labels: Relabelling) -> Mapping[str, str]:
    return {image: name for name, image in _forward(labels).items()}


def _replace(text: str, words: Mapping[str, str]) -> str:
    def image(match: re.Match[str]) -> str:
        found = match.group(0)
        new = words[found.lower()]
        if found.islower():
            return new
        return new.upper() if found.isupper() else new.title()

    return _NAMES.sub(image, text)
