"""Where the seconds of a training iteration go: a bar for each run, its phases end to end."""

from collections.abc import Sequence
from dataclasses import dataclass

from .charts import SERIES, Bar, bars
from .reading import RunRecord

REST = "the rest"
_LEAST = 0.005  # a smaller share of the iteration is rounding, and not worth a word


@dataclass(frozen=True, slots=True)
class Phases:
    """What the template shows.

    Attributes:
        picture: The bars, as SVG; empty where no run has phases.
        names: Of the phases, in the order of an iteration; `REST` last, where there is any.
        rows: (run, seconds of each phase in an iteration, seconds of all of it).
    """

    picture: str
    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float], float]]


def iteration_seconds(run: RunRecord) -> dict[str, float]:
    """The mean seconds of each phase in an iteration, and of what is in none; empty without any.

    The first iteration warms up caches; it is left out where there are others.
    """
    lines = [line for line in run.metrics if any(name.startswith("time/") for name in line)]
    names = dict.fromkeys(name for line in lines for name in line if name.startswith("time/"))
    before = 0.0
    if len(lines) > 1:
        before, lines = float(lines[0].get("time", 0.0)), lines[1:]
    if not lines:
        return {}
    found = {
        name.removeprefix("time/"): sum(float(line.get(name, 0.0)) for line in lines) / len(lines)
        for name in names
    }
    whole = (float(lines[-1].get("time", 0.0)) - before) / len(lines)
    rest = whole - sum(found.values())
    return {**found, REST: rest} if rest > _LEAST * whole else found


def phases_of(runs: Sequence[RunRecord]) -> Phases:
    """The phases of all runs that logged them."""
    timed = [(run.name, seconds) for run in runs if (seconds := iteration_seconds(run))]
    names = list(dict.fromkeys(name for _, seconds in timed for name in seconds if name != REST))
    if len(names) > SERIES:  # the longest keep their colours
        total = {name: sum(s.get(name, 0.0) for _, s in timed) for name in names}
        kept = sorted(names, key=lambda name: -total[name])[:SERIES]
        timed = [(run, _merged(seconds, kept)) for run, seconds in timed]
        names = [name for name in names if name in kept]
    if any(REST in seconds for _, seconds in timed):
        names.append(REST)
    rows = [
        (run, [seconds.get(name, 0.0) for name in names], sum(seconds.values()))
        for run, seconds in timed
    ]
    if not rows:
        return Phases("", (), ())
    drawn = [Bar(run, parts) for run, parts, _ in rows]
    picture = bars("phases", drawn, names, rest=REST, x_label="seconds of an iteration")
    return Phases(picture, names, rows)


def _merged(seconds: dict[str, float], kept: Sequence[str]) -> dict[str, float]:
    found = {name: value for name, value in seconds.items() if name in kept}
    rest = sum(value for name, value in seconds.items() if name not in kept)
    return {**found, REST: rest} if rest else found
