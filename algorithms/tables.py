"""The README's tables, made from code and result files: `python -m algorithms.tables --write`.

Environments come from the table in lmenvs.registration, algorithms from the files that `lmenvs
train` knows, results from examples/benchmarks/results/*.json, the engine's speeds from
examples/benchmarks/speeds/engine.json. A test fails while the README is old.
"""

import ast
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmenvs.registration import TABLE

from .commands.training import ALGORITHMS
from .report.reading import result_rows, score_table

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "examples" / "benchmarks" / "results"
ENGINE = ROOT / "examples" / "benchmarks" / "speeds" / "engine.json"
_NEEDED = ("command", "commit", "machine", "seeds")


def environments() -> str:
    """One line for each environment."""
    rows = []
    for spec in TABLE.values():
        low, high = spec.return_range
        limit = "" if spec.turn_limit is None else str(spec.turn_limit)
        extra = f"`{spec.extra}`" if spec.extra else ""
        exact = "yes" if "exact" in spec.tags else ""
        name = f"`{spec.id}`"
        rows.append((name, spec.summary, limit, f"{low:g} to {high:g}", exact, extra))
    head = ("id", "task", "turns", "return", "exact values", "extra")
    return _markdown(head, rows)


def algorithms() -> str:
    """One line for each algorithm: the first of its file."""
    rows = [(f"[`{name}`](algorithms/{name}.py)", _first_line(name)) for name in ALGORITHMS]
    return _markdown(("`lmenvs train`", "what it does"), rows)


def _first_line(name: str) -> str:
    source = (ROOT / "algorithms" / f"{name}.py").read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source)) or ""
    return docstring.partition("\n")[0].removesuffix(".").replace(" (torch)", "")


def results() -> str:
    """One table for each result file, with how it was made; nothing while there is none."""
    parts = [_result(file) for file in sorted(RESULTS.glob("*.json"))]
    return "\n\n".join(["## Results", *parts]) if parts else ""


def _result(file: Path) -> str:
    record = json.loads(file.read_text(encoding="utf-8"))
    missing = [name for name in _NEEDED if name not in record]
    if missing:
        raise ValueError(
            f"{file}: expected {', '.join(_NEEDED)} beside the scores, "
            f"got no {', '.join(missing)}; a number without them cannot be checked"
        )
    rows = [
        (
            row.policy,
            _share(row.sampled["success"]),
            _share(row.greedy["success"]) if row.greedy else "",
            str(row.sampled["n"]),
        )
        for row in score_table(result_rows(record, file))
    ]
    head = ("policy", "success, sampled [95 %]", "success, greedy [95 %]", "episodes")
    title = record.get("title", file.stem)
    machine = record["machine"]
    if isinstance(machine, Mapping):
        machine = machine.get("processor", machine.get("platform", ""))
    made = (
        f"`{_command(record['command'])}`, seeds {_listed(record['seeds'])}, "
        f"commit `{str(record['commit'])[:12]}`, {machine}"
    )
    link = file.relative_to(ROOT).as_posix()
    return f"**{title}** ({made}; [{file.name}]({link}))\n\n{_markdown(head, rows)}"


def engine() -> str:
    """What `lmenvs bench engine` measured; nothing while there is no such file."""
    if not ENGINE.exists():
        return ""
    record = json.loads(ENGINE.read_text(encoding="utf-8"))
    parts: dict[str, Any] = record["parts"]
    link = ENGINE.relative_to(ROOT).as_posix()
    threads = record["machine"]["threads"]
    made = (
        f"`{record['command']}`, {record['date']}, commit `{str(record['commit'])[:12]}`, "
        f"{record['machine']['processor']}, {threads} thread{'s' if threads != 1 else ''}, torch "
        f"{record['versions']['torch']}, transformers {record['versions']['transformers']}; "
        f"[{ENGINE.name}]({link})"
    )
    texts = [f"## Speed\n\n{_SPEED} ({made})."]
    texts += [_rollouts(parts), _training(parts), _overheads(parts), _iterations(parts)]
    if "leaks" in parts:
        found = parts["leaks"]
        texts.append(
            f"From iteration {found['early']['iteration']} to {found['late']['iteration']} of a "
            f"training that saves after each: {found['grown_mib']:+.1f} MiB, "
            f"{found['grown_files']:+d} open files."
        )
    return "\n\n".join(text for text in texts if text)


_SPEED = (
    "32 conversations of a 2 M-parameter model, 40 new tokens a turn and up to 8 sampled, beside "
    "`model.generate` on the whole history and beside a bare cached loop that knows all lengths "
    "in advance, but computes the whole last block, of which the sampler computes what it reads"
)


def _of(parts: Mapping[str, Any], kind: str) -> list[tuple[str, Any]]:
    return [(name, found) for name, found in parts.items() if name.startswith(f"{kind}: ")]


def _rollouts(parts: Mapping[str, Any]) -> str:
    rows = [
        (
            found["regime"],
            str(found["turns"]),
            f"{found['tokens_per_second']:,.0f}",
            f"{found['episodes_per_second']:.3g}",
            f"{found['times_generate']:.1f}" if found["times_generate"] else "",
            f"{found['of_limit']:.2f}",
            f"{found['forwarded_per_distinct']:.2f}",
        )
        for _, found in _of(parts, "rollout")
    ]
    head = ("rollouts", "turns", "sampled tokens/s", "episodes/s", "times `generate`")
    return _markdown((*head, "of the bare loop", "tokens read per token"), rows) if rows else ""


def _training(parts: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{found['turns']} turns",
            f"{found['tokens_per_second']:,.0f}",
            f"{found['of_bare']:.2f}",
            f"{found['times_row_per_turn']:.1f}",
        )
        for _, found in _of(parts, "training")
    ]
    head = ("training", "tokens/s", "of a bare forward-backward loop", "times one row a turn")
    return _markdown(head, rows) if rows else ""


def _overheads(parts: Mapping[str, Any]) -> str:
    rows = [
        (
            f"`{row['env']}`".replace(", first time`", "`, first time"),
            *(f"{100 * row['shares'][name]:.1f} %" for name in _SHARES),
        )
        for _, found in _of(parts, "overhead")
        for row in found
    ]
    return _markdown(("a 1 M-parameter model plays", *_SHARES.values()), rows) if rows else ""


_SHARES = {
    "environment": "environment",
    "chat": "text to tokens and back",
    "scheduling": "scheduling",
    "sampling": "sampling",
    "forward": "forward",
}
"""What rollouts spend their time on, as it is recorded and as it is called."""


def _iterations(parts: Mapping[str, Any]) -> str:
    timed = _of(parts, "iteration")
    names = list(dict.fromkeys(phase for _, found in timed for phase in found["seconds"]))
    rows = [
        (
            name.removeprefix("iteration: "),
            *(f"{found['seconds'][p]:.2f}" if p in found["seconds"] else "" for p in names),
        )
        for name, found in timed
    ]
    return _markdown(("seconds of an iteration", *names), rows) if rows else ""


def _command(command: str | Sequence[str]) -> str:
    return command if isinstance(command, str) else " ".join(command)


def _listed(seeds: Any) -> str:
    return ", ".join(map(str, seeds)) if isinstance(seeds, list) else str(seeds)


def _share(estimate: Mapping[str, float]) -> str:
    mean, low, high = (100 * estimate[name] for name in ("mean", "low", "high"))
    return f"{mean:.1f} % [{low:.1f}, {high:.1f}]"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def filled(readme: str) -> str:
    """The README with its tables as they should be.

    Raises:
        ValueError: if a marker is missing.
    """
    for name, text in (
        ("environments", environments()),
        ("algorithms", algorithms()),
        ("results", results()),
        ("engine", engine()),
    ):
        block = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not block.search(readme):
            raise ValueError(f"README.md: expected the marks of the table {name}, found none")
        body = text + "\n" if text else ""
        readme = block.sub(lambda m, body=body: m[1] + body + m[2], readme)
    return readme


def main(arguments: Sequence[str]) -> int:
    """Write the tables with `--write`; otherwise say whether they are up to date."""
    now = README.read_text(encoding="utf-8")
    wanted = filled(now)
    if arguments == ["--write"]:
        README.write_text(wanted, encoding="utf-8", newline="\n")
        return 0
    if now != wanted:
        print("README.md is out of date; run python -m algorithms.tables --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
