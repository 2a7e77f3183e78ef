"""Episodes from elsewhere: all are checked before the first is written."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.secrets import masked_data
from lmenvs.lines import write_lines
from lmenvs.types import Episode, to_json

from ..provenance import commit, versions
from ..runs import open_run
from .card import Card, Made, measure, write_card
from .make import EPISODES

Found = tuple[str, Episode | ValueError]
"""(where it stands, the episode or what is wrong with it)."""
MOST_LISTED = 20  # broken ones on the card


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import: the data card, and what was left out."""

    card: Card
    broken: int
    listed: list[str]


def import_dataset(
    read: Callable[[], Iterator[Found]],
    out: Path,
    settings: Mapping[str, object],
    *,
    skip_broken: bool = False,
) -> Imported:
    """Check every episode, then write `episodes.jsonl` and the data card into a new folder.

    Args:
        read: Reads the source from its beginning; called twice, so that nothing is kept.
        out: The folder.
        settings: What importing again takes, for the card.
        skip_broken: Leave broken episodes out; the first `MOST_LISTED` are named.

    Raises:
        ValueError: on the first broken episode unless `skip_broken`, or where none is left; nothing
            is written then.
    """
    good, broken, listed = 0, 0, list[str]()
    for place, found in read():
        if not isinstance(found, ValueError):
            good += 1
        elif not skip_broken:
            raise ValueError(
                f"{place}, {found}; correct it, or leave broken ones out with --skip-broken"
            ) from found
        else:
            broken += 1
            listed += [f"{place}, {found}"] * (len(listed) < MOST_LISTED)
    if not good:
        why = f"; the first one: {listed[0]}" if listed else ""
        raise ValueError(f"expected one good episode at least, got {broken} broken ones{why}")
    open_run(out, {"command": "dataset import", **settings})
    lines = (to_json(found) for _, found in read() if not isinstance(found, ValueError))
    write_lines(out / EPISODES, lines)
    record = masked_data({**settings, "broken": broken, "broken_first": listed})
    card = measure(out / EPISODES, Made("imported", record, [], versions(), commit()))
    write_card(card, out)
    return Imported(card, broken, listed)
