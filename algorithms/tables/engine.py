"""The engine's speeds: examples/benchmarks/speeds/engine.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .markdown import table

FILE = "examples/benchmarks/speeds/engine.json"


def engine(root: Path) -> str:
    """What `lmenvs bench engine` measured; nothing while there is no such file."""
    file = root / FILE
    if not file.exists():
        return ""
    record = json.loads(file.read_text(encoding="utf-8"))
    parts: dict[str, Any] = record["parts"]
    threads = record["machine"]["threads"]
    made = (
        f"`{record['command']}`, {record['date']}, commit `{str(record['commit'])[:12]}`, "
        f"{record['machine']['processor']}, {threads} thread{'s' if threads != 1 else ''}, torch "
        f"{record['versions']['torch']}, transformers {record['versions']['transformers']}; "
        f"[{file.name}]({FILE})"
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
    return table((*head, "of the bare loop", "tokens read per token"), rows) if rows else ""


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
    return table(head, rows) if rows else ""


def _overheads(parts: Mapping[str, Any]) -> str:
    rows = [
        (
            f"`{row['env']}`".replace(", first time`", "`, first time"),
            *(f"{100 * row['shares'][name]:.1f} %" for name in _SHARES),
        )
        for _, found in _of(parts, "overhead")
        for row in found
    ]
    return table(("a 1 M-parameter model plays", *_SHARES.values()), rows) if rows else ""


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
    return table(("seconds of an iteration", *names), rows) if rows else ""
