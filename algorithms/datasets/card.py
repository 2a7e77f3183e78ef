"""The data card of a file of episodes: what is in it, and how it was made.

A card is measured in one pass that holds a few numbers for each episode. `card.json` has it for
programs, `card.md` for people.
"""

import json
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import file_digest
from pathlib import Path

import numpy as np

from lmenvs.lines import write_lines

from .coverage import Coverage, Distinct, Visits
from .file import scan

MOST_VALUES = 16  # with more different returns the histogram has bins
BINS = 10
_MOST_SHOWN = 8  # environments with a row of their own in a table


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, standard deviation (of the sample as it is), least and greatest."""

    mean: float
    deviation: float
    least: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Part:
    """Episodes `first` to `last`, the last not included, which one policy played."""

    policy: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Made:
    """How a file was made.

    Attributes:
        how: "played" or "imported".
        settings: What making it again takes.
        parts: Which policy played which episodes.
        versions: Of what it was made with.
        commit: Of the checkout, None outside one.
    """

    how: str
    settings: dict[str, object]
    parts: list[Part]
    versions: dict[str, str]
    commit: str | None


@dataclass(frozen=True, slots=True)
class Card:
    """What stands on a data card; shares are in [0, 1].

    Attributes:
        file: Name of the file.
        size: In bytes.
        sha256: Of its bytes.
        episodes: How many.
        turns: In all episodes together.
        tasks: Different (environment, split, seed).
        returns: Undiscounted, per episode.
        histogram: (from, to, episodes): bins that hold their lower end, the last one both; or, with
            from equal to to, the episodes of one return.
        lengths: Turns per episode.
        success: Share of the episodes.
        truncated: Share of the episodes.
        invalid: Share of the turns.
        coverage: One entry for each environment and split.
        parts: (part, mean return, share of successes) of each policy's episodes.
        made: How it was made; None where nobody knows.
    """

    file: str
    size: int
    sha256: str
    episodes: int
    turns: int
    tasks: int
    returns: Spread
    histogram: list[tuple[float, float, int]]
    lengths: Spread
    success: float
    truncated: float
    invalid: float
    coverage: list[Coverage]
    parts: list[tuple[Part, float, float]] = field(default_factory=list)
    made: Made | None = None


def measure(path: Path, made: Made | None = None) -> Card:
    """The card of a file.

    Raises:
        ValueError: on a line that is not an episode, or where there is none.
    """
    returns, lengths, success = array("d"), array("q"), array("b")
    truncated = invalid = 0
    visits: dict[tuple[str, str], Visits] = {}
    tasks = Distinct()
    for _, raw in scan(path):
        turns = raw["turns"]
        returns.append(sum(turn["reward"] for turn in turns))
        lengths.append(len(turns))
        success.append(raw["success"])
        truncated += raw["truncated"]
        invalid += sum(not turn.get("valid", True) for turn in turns)
        where = raw["env"], raw["split"]
        tasks.add(*where, str(raw["seed"]))
        visited = visits.setdefault(where, Visits())
        for turn in turns:
            visited.add(turn.get("state_key"), turn["action"]["text"])
    if not returns:
        raise ValueError(f"{path}: expected episodes, got an empty file; name another one")
    returns_E, success_E = np.array(returns), np.array(success, dtype=bool)
    with path.open("rb") as file:
        sha256 = file_digest(file, "sha256").hexdigest()
    return Card(
        file=path.name,
        size=path.stat().st_size,
        sha256=sha256,
        episodes=len(returns_E),
        turns=int(sum(lengths)),
        tasks=len(tasks),
        returns=_spread(returns_E),
        histogram=histogram(returns_E),
        lengths=_spread(np.array(lengths)),
        success=float(success_E.mean()),
        truncated=truncated / len(returns_E),
        invalid=invalid / max(1, sum(lengths)),
        coverage=[visited.coverage(*where) for where, visited in visits.items()],
        parts=[_part(part, returns_E, success_E) for part in (made.parts if made else ())],
        made=made,
    )


def histogram(returns_E: Sequence[float] | np.ndarray) -> list[tuple[float, float, int]]:
    """(from, to, episodes) in order: one entry for each return, or equal bins where there are many.

    >>> histogram([1.0, 0.0, 1.0])
    [(0.0, 0.0, 1), (1.0, 1.0, 2)]
    """
    values, counts = np.unique(returns_E, return_counts=True)
    if len(values) <= MOST_VALUES:
        return [(float(v), float(v), int(n)) for v, n in zip(values, counts, strict=True)]
    counts, edges = np.histogram(returns_E, bins=BINS)
    return [(float(edges[i]), float(edges[i + 1]), int(n)) for i, n in enumerate(counts)]


def _spread(values_E: np.ndarray) -> Spread:
    return Spread(
        float(values_E.mean()), float(values_E.std()), float(values_E.min()), float(values_E.max())
    )


def _part(part: Part, returns_E: np.ndarray, success_E: np.ndarray) -> tuple[Part, float, float]:
    own = slice(part.first, part.last)
    return part, float(returns_E[own].mean()), float(success_E[own].mean())


def write_card(card: Card, folder: Path) -> None:
    """Write `card.json` and `card.md` into a folder."""
    write_lines(folder / "card.json", [json.dumps(asdict(card), indent=2)])
    write_lines(folder / "card.md", [markdown(card)])


def read_made(path: Path) -> Made | None:
    """How a file was made, from the card beside it; None where there is no card of these bytes."""
    beside = path.parent / "card.json"
    try:
        raw = json.loads(beside.read_text(encoding="utf-8"))
        if raw["made"] is None or (raw["file"], raw["size"]) != (path.name, path.stat().st_size):
            return None
        with path.open("rb") as file:
            if file_digest(file, "sha256").hexdigest() != raw["sha256"]:
                return None
        parts = [Part(**part) for part in raw["made"].pop("parts")]
        return Made(**raw["made"], parts=parts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # somebody else's card


Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""(title, head, rows)."""


def tables(card: Card) -> list[Table]:
    """The card as tables of text."""
    numbers = [
        ("episodes", f"{card.episodes}"),
        ("turns", f"{card.turns}"),
        ("tasks", f"{card.tasks}"),
        ("return", _shown(card.returns)),
        ("turns per episode", _shown(card.lengths)),
        ("success", f"{100 * card.success:.1f} %"),
        ("truncated", f"{100 * card.truncated:.1f} %"),
        ("invalid turns", f"{100 * card.invalid:.1f} %"),
        ("bytes", f"{card.size}"),
        ("sha256", card.sha256),
    ]
    most = max(count for *_, count in card.histogram)
    bars = [
        (
            f"{low:g}" if low == high else f"{low:g} to {high:g}",
            str(count),
            "█" * round(30 * count / most),
        )
        for low, high, count in card.histogram
    ]
    found: list[Table] = [
        (card.file, ("", "value"), numbers),
        ("returns", ("return", "episodes", ""), bars),
        ("coverage", ("environment", "split", "states", "pairs", "of all pairs"), _covered(card)),
    ]
    if card.parts:
        rows = [
            (part.policy, f"{part.first} to {part.last - 1}", f"{mean:.3f}", f"{100 * won:.1f} %")
            for part, mean, won in card.parts
        ]
        found.append(("policies", ("policy", "episodes", "return", "success"), rows))
    found.append(("made", ("", "value"), _made(card.made)))
    return found


def _covered(card: Card) -> list[tuple[str, ...]]:
    rows = [
        (one.env, one.split, str(one.states), str(one.pairs), _share(one))
        for one in card.coverage[:_MOST_SHOWN]
    ]
    more = len(card.coverage) - _MOST_SHOWN
    return rows + ([(f"and {more} more", "", "", "", "")] if more > 0 else [])


def _share(one: Coverage) -> str:
    if one.covered is None or one.reachable is None:
        return f"unknown: {one.unknown}"
    return f"{one.covered} / {one.reachable} = {100 * one.covered / one.reachable:.1f} %"


def _made(made: Made | None) -> list[tuple[str, ...]]:
    if made is None:
        return [("how", "unknown: no card of these bytes lies beside the file")]
    rows = [("how", made.how)]
    rows += [(name, str(value)) for name, value in made.settings.items() if value is not None]
    rows.append(("versions", ", ".join(f"{name} {v}" for name, v in made.versions.items())))
    return [*rows, ("commit", made.commit or "unknown")]


def _shown(spread: Spread) -> str:
    return (
        f"{spread.mean:.3f} (deviation {spread.deviation:.3f}, {spread.least:g} to "
        f"{spread.greatest:g})"
    )


def markdown(card: Card) -> str:
    """The card as a page."""
    lines = ["# Data card"]
    for title, head, rows in tables(card):
        lines += ["", f"## {title}", "", _row(head), _row(["---"] * len(head))]
        lines += [_row(row) for row in rows]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
