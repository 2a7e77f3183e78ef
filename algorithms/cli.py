"""The `lmenvs` command: finds the subcommand, reads its options, and answers mistakes in one line.

Exit codes: 0 success, 1 the work was done but something in it failed, 2 bad input, 130 Ctrl-C. With
LMENVS_DEBUG=1 a mistake shows its traceback. Subcommands are imported when they are called, so that
`lmenvs list` does not wait for torch.
"""

import contextlib
import difflib
import errno
import importlib
import inspect
import io
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from agents.faults import TooManyBroke
from agents.secrets import masked, masked_arguments
from agents.threads import set_threads
from lmenvs.lines import reason_and_remedy
from lmenvs.version import __version__

EXTRAS = {
    "tyro": ("cli", "the command line reads its options with it"),
    "rich": ("cli", "tables and progress bars are drawn with it"),
    "textworld": ("textworld", "the TextWorld games run on it"),
    "jericho": ("textworld", "the TextWorld games run on it"),
    "torch": ("train", "language models run on it"),
    "transformers": ("train", "language models are loaded with it"),
    "tokenizers": ("train", "language models read text with it"),
    "peft": ("train", "LoRA adapters are made with it"),
    "safetensors": ("train", "model weights are stored with it"),
    "jinja2": ("report", "the report page is written with it"),
    "matplotlib": ("report", "the report's curves are drawn with it"),
    "minari": ("minari", "Minari datasets are read with it"),
    "httpx": ("api", "endpoints are asked with it"),
    "tenacity": ("api", "endpoints are asked again with it"),
}


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand: where its options and its function are, and what it is for."""

    module: str
    options: str
    function: str
    summary: str


COMMANDS = {
    "list": Command(
        "browse", "List", "list_environments", "the environments, their limits and tags"
    ),
    "play": Command("browse", "Play", "play", "one episode on the terminal"),
    "eval": Command("evaluation", "Evaluate", "evaluate", "score a policy on environments"),
    "compare": Command("evaluation", "Compare", "compare", "two evaluations, paired by seed"),
    "pretrain": Command("training", "pretrain_options", "pretrain", "make and clone a tiny model"),
    "train": Command("training", "", "train", "improve a model on an environment"),
    "dataset": Command("datasets", "", "dataset", "make, describe or import a file of episodes"),
    "report": Command("reporting", "Report", "report", "one HTML page of one or several runs"),
    "bench": Command("benchmarking", "Bench", "bench", "speeds of this machine"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:  # this process is the command's own
        sys.excepthook = show_without_secrets
    try:
        _refuse_other_bytes(given)
        set_threads()  # before a subcommand imports torch
        code = _dispatch(given)
        sys.stdout.flush()  # at the interpreter's end it would be too late to answer an error
        return code
    except KeyboardInterrupt as stop:
        return _stopped(stop, given)
    except BrokenPipeError:  # `lmenvs list | head`: whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, ImportError, EOFError) as mistake:
        if os.environ.get("LMENVS_DEBUG"):
            raise
        print(f"lmenvs: {explain(mistake)}", file=sys.stderr)
        return 2
    except TooManyBroke as broken:
        if os.environ.get("LMENVS_DEBUG"):
            raise
        print(f"lmenvs: {explain(broken)}; LMENVS_DEBUG=1 shows where", file=sys.stderr)
        return 1


def _refuse_other_bytes(given: Sequence[str]) -> None:
    """Names that are not UTF-8 could be neither recorded nor printed, at the end of the work."""
    for argument in given:
        if not argument.isascii() and any("\ud800" <= letter <= "\udfff" for letter in argument):
            shown = argument.encode("utf-8", "backslashreplace").decode()
            raise ValueError(f"expected arguments in UTF-8, got {shown!r}; rename the file")


def _dispatch(given: list[str]) -> int:
    name, rest = (given[0], given[1:]) if given else ("", [])
    if name in ("-h", "--help", "help"):
        print(overview())
        return 0
    if name in ("-V", "--version"):
        print(f"lmenvs {__version__}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "`lmenvs --help` lists them"
        raise ValueError(f"expected a subcommand, got {name or 'none'!r}; {hint}")
    command = COMMANDS[name]
    module = importlib.import_module(f"algorithms.commands.{command.module}")
    function: Callable[..., int | None] = vars(module)[command.function]
    if not command.options:  # a second name decides about them
        return function(rest) or 0
    return function(parse(vars(module)[command.options], f"lmenvs {name}", rest)) or 0


def overview() -> str:
    """What `lmenvs --help` prints."""
    lines = ["usage: lmenvs COMMAND [OPTIONS]", "", "Text environments for language agents.", ""]
    lines += [f"  {name:<10}{command.summary}" for name, command in COMMANDS.items()]
    lines += [
        "",
        "Examples:",
        "  lmenvs list --tag exact",
        "  lmenvs play lmenvs/Maze-v0 --policy expert",
        "  lmenvs eval --env lmenvs/Maze-v0 --policy random --episodes 64 --out runs/random",
        "",
        "`lmenvs COMMAND --help` shows the options and more examples.",
    ]
    return "\n".join(lines)


def parse(options: Any, program: str, arguments: Sequence[str]) -> Any:
    """Read options with tyro; its boxed complaints become one ValueError line.

    Args:
        options: A dataclass whose fields are the options, or a function that makes one.
        program: What to call the command in help and complaints.
        arguments: What stands behind the command.
    """
    import tyro

    if not isinstance(options, type):
        options = options()
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                options,
                prog=program,
                description=inspect.cleandoc(options.__doc__ or ""),
                args=list(arguments),
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as end:
        if not end.code:
            raise  # --help was asked for and given
    raise ValueError(unbox(complaint.getvalue()) + f"; see {program} --help") from None


def unbox(boxed: str) -> str:
    """The message within tyro's box, as one line; with the option it thinks was meant.

    >>> lines = ["╭─ Oops ─╮", "│ no --sed │", "│ ─── │", "│ Perhaps you meant: │", "│ --seed I │"]
    >>> unbox(chr(10).join(lines))
    'no --sed; did you mean --seed?'
    """
    lines = [line.strip().strip("│").strip() for line in boxed.splitlines()]
    sections: list[list[str]] = [[]]
    for line in lines:
        if line and not line.strip("─-"):
            sections.append([])
        elif line and line[0] not in "╭╰":
            sections[-1].append(line)
    if "╭" not in boxed and len(sections) > 1:
        del sections[0]  # where the terminal has no box characters, the title is a section
    message = " ".join(sections[0])
    meant = [line for part in sections[1:] if part and "meant" in part[0] for line in part[1:]]
    options = [line.split()[0] for line in meant if line.startswith("--")]
    given = [word.rstrip(",") for word in message.split() if word.startswith("--")]
    # tyro lists everything that shares a part; the nearest name is what was meant
    near = difflib.get_close_matches(given[0], options, n=1, cutoff=0) if given else options
    return f"{message}; did you mean {near[0]}?" if near else message


def explain(mistake: Exception) -> str:
    """One line on what was wrong; for a missing package, what to install and why."""
    if isinstance(mistake, ModuleNotFoundError) and mistake.name is not None:
        package = mistake.name.split(".")[0]
        if package in EXTRAS:
            extra, why = EXTRAS[package]
            return f"{package} is not installed, and {why}; pip install 'lmenvs[{extra}]'"
    # what the system says of a file has no remedy yet; errors that were explained have no strerror
    if isinstance(mistake, OSError) and mistake.strerror and mistake.errno is not None:
        if mistake.filename is not None:
            return masked(f"{mistake.filename}: {reason_and_remedy(mistake.errno)}")
        if mistake.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            return f"cannot write the output: {reason_and_remedy(mistake.errno)}"
    return masked(" ".join(str(mistake).split())) or type(mistake).__name__


def show_without_secrets(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print a traceback as Python does, keys and logins masked."""
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def _stopped(stop: KeyboardInterrupt, given: Sequence[str]) -> int:
    from .support import Interrupted

    line = "stopped"
    if isinstance(stop, Interrupted):
        again = [*masked_arguments(given), *([] if "--resume" in given else ["--resume"])]
        line = f"{stop}; go on with: lmenvs {shlex.join(again)}"
    print(f"lmenvs: {line}", file=sys.stderr)
    return 130


if __name__ == "__main__":
    sys.exit(main())
