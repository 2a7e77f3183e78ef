"""`lmenvs dataset make`, `card` and `import`: files of episodes and what is in them."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from lmenvs.registration import make, parse_env_string

from ..datasets.card import Card, measure, read_made, tables, write_card
from ..datasets.make import EPISODES, Recipe, make_dataset, parse_mix
from .evaluation import print_table


@dataclass(frozen=True, slots=True)
class Make:
    """Play episodes into a file, with a data card: returns, coverage, how it was made.

    The same options give the same bytes. Episodes are written as they end; Ctrl-C stops behind
    those that are written, and --resume goes on there.

    Examples:
      lmenvs dataset make --env lmenvs/Maze-v0 --policy expert --episodes 1000 --out runs/maze
      lmenvs dataset make --env lmenvs/Maze-v0 --mix "random:0.85,expert:0.15" --episodes 1000 \
--out runs/maze
    """

    env: str  # the environment, with arguments behind a question mark
    out: Path  # a new folder for episodes.jsonl, card.json, card.md and config.json
    policy: str | None = None
    """random, expert?noise=0.5, bandit:NAME, hf:FOLDER_OR_ID, openai:MODEL@URL, module:function"""
    mix: str | None = None
    """several policies with their shares, one after the other: POLICY:SHARE,POLICY:SHARE"""
    episodes: int = 1000  # how many
    seed: int = 0  # seeds the tasks and the policies
    split: Literal["all", "train", "test"] | None = None  # by default train, where there are splits
    max_turns: int | None = None  # truncate episodes here, besides the task's own limit
    per_task: int = 1  # episodes of each task; preference learning compares those of one task
    width: int = 64  # conversations answered at once; the file does not depend on it
    env_workers: int = 0  # processes that step slow environments; 0 steps them in line
    step_timeout: float | None = None  # seconds until a worker's environment counts as hung
    resume: bool = False  # go on in the folder in which the same options were interrupted


@dataclass(frozen=True, slots=True)
class ShowCard:
    """Measure a file of episodes and show its data card.

    Examples:
      lmenvs dataset card runs/maze/episodes.jsonl
      lmenvs dataset card runs/maze --out runs/maze-card
    """

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """a file of episodes, or the folder in which one lies"""
    out: Path | None = None  # a new folder for card.json and card.md


@dataclass(frozen=True, slots=True)
class Import:
    """Turn chat logs or Minari datasets into a file of episodes, with a data card.

    Everything is checked first; what is wrong is named with its line and field. `chat` reads JSON
    lines of {"messages": [...]} or {"conversations": [...]}, with "reward" or "rewards", "success",
    "env", "seed" and more beside them; `minari` reads datasets of text spaces.

    Examples:
      lmenvs dataset import --format chat log.jsonl --env lmenvs/Maze-v0 --out runs/log
      lmenvs dataset import --format minari maze/expert-v0 --out runs/minari
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """a file of JSON lines; or the id of a Minari dataset on this machine, or its folder"""
    format: Literal["chat", "minari"]  # what the source is
    out: Path  # a new folder for episodes.jsonl, card.json, card.md and config.json
    env: str | None = None  # the environment of the episodes that name none
    skip_broken: bool = False  # leave out what is wrong, and list it


def dataset(arguments: Sequence[str]) -> int:
    """Do what the first argument says."""
    from ..cli import parse

    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        print(_overview())
        return 0
    if name not in _PARTS:
        near = difflib.get_close_matches(name, _PARTS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_PARTS)}"
        raise ValueError(f"expected make, card or import, got {name or 'none'!r}; {hint}")
    options, function, _ = _PARTS[name]
    return function(parse(options, f"lmenvs dataset {name}", arguments[1:]))


def _make(options: Make) -> int:
    if (options.policy is None) == (options.mix is None):
        got = "neither" if options.policy is None else "both"
        raise ValueError(f"expected --policy or --mix, got {got}; give one of them")
    policies = parse_mix(options.mix) if options.mix else ((options.policy or "", 1.0),)
    make(options.env).close()  # a mistake is told before a folder is made
    recipe = Recipe(
        options.env,
        policies,
        options.episodes,
        options.seed,
        options.split,
        options.max_turns,
        options.per_task,
    )
    card = make_dataset(
        recipe,
        options.out,
        resume=options.resume,
        width=options.width,
        env_workers=options.env_workers,
        step_timeout=options.step_timeout,
    )
    _show(card)
    print(f"written to {options.out}; train on it with: --data {options.out / EPISODES}")
    return 0


def _card(options: ShowCard) -> int:
    file = options.file / EPISODES if options.file.is_dir() else options.file
    if options.out is not None and options.out.exists():
        raise ValueError(f"--out {options.out}: expected a new folder, got one that exists")
    card = measure(file, read_made(file))
    _show(card)
    if options.out is not None:
        options.out.mkdir(parents=True)
        write_card(card, options.out)
    return 0


def _import(options: Import) -> int:
    from ..datasets.chatlog import read_chat_log
    from ..datasets.importing import import_dataset

    if options.env is not None:
        parse_env_string(options.env)
    if options.format == "chat":
        file = Path(options.source)

        def read():
            return read_chat_log(file, options.env)
    else:
        from lmenvs.integrations.minari import read_minari

        def read():
            return read_minari(options.source, options.env)

    settings = {"source": options.source, "format": options.format, "env": options.env}
    found = import_dataset(read, options.out, settings, skip_broken=options.skip_broken)
    _show(found.card)
    if found.broken:
        print(f"{found.broken} broken, left out:")
        print("\n".join(f"  {line}" for line in found.listed))
    print(f"written to {options.out}; train on it with: --data {options.out / EPISODES}")
    return 0


def _show(card: Card) -> None:
    for title, head, rows in tables(card):
        print_table(head, rows, title=title)


def _overview() -> str:
    lines = ["usage: lmenvs dataset make|card|import [OPTIONS]", "", "Files of episodes.", ""]
    lines += [f"  {name:<10}{summary}" for name, (_, _, summary) in _PARTS.items()]
    lines += [
        "",
        "Examples:",
        "  lmenvs dataset make --env lmenvs/Maze-v0 --policy expert --out runs/maze",
        "  lmenvs dataset card runs/maze/episodes.jsonl",
        "  lmenvs dataset import --format chat log.jsonl --env lmenvs/Maze-v0 --out runs/log",
        "",
        "`lmenvs dataset make --help` shows the options and more examples.",
    ]
    return "\n".join(lines)


_PARTS: dict[str, tuple[type, Callable[[Any], int], str]] = {
    "make": (Make, _make, "play episodes into a file"),
    "card": (ShowCard, _card, "what is in a file of episodes"),
    "import": (Import, _import, "chat logs and Minari datasets as episodes"),
}
