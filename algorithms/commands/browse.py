"""`lmenvs list` and `lmenvs play`: see what there is, and see it played."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from agents.secrets import hidden_values, masked
from lmenvs.lines import write_lines
from lmenvs.references import references
from lmenvs.registration import TABLE
from lmenvs.spec import EnvSpec
from lmenvs.types import Episode, to_json


@dataclass(frozen=True, slots=True)
class List:
    """Show the environments, their turn limits, return ranges, reference scores and tags.

    A score that was measured has its standard error behind +-; `python -m lmenvs.measuring ID`
    measures it again. --json has the scores for other arguments, their sources and commands too.

    Examples:
      lmenvs list
      lmenvs list --tag exact
      lmenvs list --json --out environments.json
    """

    tag: str | None = None  # only environments with this tag
    json: bool = False  # one JSON list instead of a table
    out: Path | None = None  # write to this new file instead of the terminal


@dataclass(frozen=True, slots=True)
class Play:
    """Play one episode and show every turn.

    Examples:
      lmenvs play lmenvs/Maze-v0
      lmenvs play "lmenvs/Maze-v0?layout=u" --policy random --seed 3
      lmenvs play lmenvs/Wordle-v0 --policy human
      lmenvs play lmenvs/Maze-v0 --policy hf:runs/demo
    """

    env: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ENV")]
    """An id, with arguments behind a question mark: lmenvs/Maze-v0?layout=u"""
    policy: str = "expert"
    """random, expert, human, bandit:NAME, hf:FOLDER_OR_ID, openai:MODEL@URL or module:function"""
    seed: int = 0  # which task is drawn
    max_turns: int | None = None  # stop after this many turns
    out: Path | None = None  # also write the episode to this new file, as a JSON line


def list_environments(options: List) -> int:
    """Print the table of environments."""
    tags = sorted({tag for spec in TABLE.values() for tag in spec.tags})
    if options.tag is not None and options.tag not in tags:
        raise ValueError(f"no environment has the tag {options.tag!r}; tags are {', '.join(tags)}")
    chosen = [spec for spec in TABLE.values() if options.tag is None or options.tag in spec.tags]
    rows = [_row(spec) for spec in chosen]
    text = json.dumps(rows, indent=2) if options.json else _table(chosen)
    if options.out is None:
        print(text)
    else:
        write_new(options.out, text + "\n")
    return 0


def write_new(path: Path, text: str) -> None:
    """Write a file that must not exist yet, whole or not at all.

    Raises:
        ValueError: if it does.
        OSError: where it cannot be written, with what to do about it.
    """
    if path.exists():
        raise ValueError(f"--out {path}: expected a new file, got one that exists; name another")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_lines(path, [text.removesuffix("\n")])


def _row(spec: EnvSpec) -> dict[str, object]:
    return {
        "id": spec.id,
        "summary": spec.summary,
        "turn_limit": spec.turn_limit,
        "return_range": list(spec.return_range),
        "tags": sorted(spec.tags),
        "extra": spec.extra,
        "installed": spec.missing is None,
        "references": {
            env: {name: asdict(reference) for name, reference in references(env).items()}
            for env in dict.fromkeys([*spec.references, *spec.measures])
        },
    }


def _table(specs: list[EnvSpec]) -> str:
    head = ("id", "turns", "return", "min / average / max / expert", "tags", "what")
    rows: list[tuple[str, ...]] = [head]
    for spec in specs:
        low, high = spec.return_range
        turns = "-" if spec.turn_limit is None else str(spec.turn_limit)
        what = spec.summary
        if spec.missing is not None:
            what += f" ({spec.missing})"
        tags = " ".join(sorted(spec.tags))
        rows.append((spec.id, turns, f"{low:g} to {high:g}", _scores(spec), tags, what))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _scores(spec: EnvSpec) -> str:
    """The scores that a normalised one is computed from and the expert's, of the first arguments
    that have them.
    """
    names = ("min", "average", "max", "expert")
    for env in dict.fromkeys([spec.id, *spec.references, *spec.measures]):
        known = references(env)
        if set(names) <= set(known):
            shown = " / ".join(known[name].shown(4) for name in names)
            return shown + env.removeprefix(spec.id).replace("?", " ?", 1)
    return "-"


def play(options: Play) -> int:
    """Play one episode and print it."""
    from agents.rollout import collect

    if options.out is not None and options.out.exists():
        raise ValueError(
            f"--out {options.out}: expected a new file, got one that exists; name another"
        )
    limit = options.max_turns
    episodes = collect(options.env, options.policy, [options.seed], max_turns=limit)
    # whoever played has seen all but the last answer
    human = options.policy == "human"
    said = episodes[0].final_observation if human else transcript(episodes[0])
    print(hidden_values(said))
    print(_ending(episodes[0]))
    if options.out is not None:
        shown = [to_json(replace(episode, env=masked(episode.env))) for episode in episodes]
        write_new(options.out, hidden_values("\n".join(shown)))
    return 0


def transcript(episode: Episode) -> str:
    """An episode as text: what was said, what was answered, what it was worth."""
    lines = [episode.instructions, ""]
    for number, turn in enumerate(episode.turns, start=1):
        mark = "" if turn.valid else f", invalid: {turn.error}"
        lines += [
            turn.observation,
            f"[{number}] > {turn.action.text}   ({turn.reward:+g}{mark})",
            "",
        ]
        if turn.feedback:
            lines.insert(-1, turn.feedback)
    return "\n".join([*lines, episode.final_observation])


def _ending(episode: Episode) -> str:
    how = "truncated" if episode.truncated else "solved" if episode.success else "not solved"
    return f"\n{how} after {len(episode.turns)} turns, return {episode.total_reward:g}"
