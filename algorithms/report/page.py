"""Builds the page: gathers what the template shows and renders it. The template holds no logic."""

import base64
import hashlib
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from agents.secrets import masked
from lmenvs.lines import write_lines
from lmenvs.types import Episode
from lmenvs.version import __version__

from .charts import SERIES, Curve, Level, chart
from .credit import credit_file, read_credit, section_of
from .phases import REST, phases_of
from .reading import (
    Credit,
    RunRecord,
    ScoreRow,
    chosen_episodes,
    environment_turns,
    flat,
    read_run,
    score_rows,
)

TRANSCRIPTS = 16  # of each run: enough to see what happens, few enough to read
LONGEST = 4000  # characters of one observation
MARK = '<meta name="generator" content="lmenvs report">'

_MEASURES = (
    ("rollout/success", "success", True),
    ("rollout/return", "return", False),
    ("rollout/turns", "turns per episode", False),
    ("rollout/invalid_rate", "invalid actions", True),
    ("critic/explained_variance", "explained variance of the critic", False),
    ("loss/negative_log_likelihood", "loss of imitation", False),
)


def build(
    dirs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    title: str = "lmenvs report",
    notes: str | Sequence[str] = (),
) -> Path:
    """Write one self-contained HTML file about the runs in `dirs`; returns its path.

    Args:
        dirs: Run folders; what a folder does not hold (curves, scores, transcripts) is left out.
            Files of `lmenvs bench credit`, or folders with a credit.json, may stand among them.
        out: The page; an older report there is replaced, any other file is refused.
        title: The page's heading.
        notes: Paragraphs below the heading, as plain text.

    Raises:
        ValueError: if a folder is no run, or `out` is a file that is not a report.
    """
    page = Path(out)
    if page.exists() and (page.is_dir() or MARK not in page.read_text("utf-8", "replace")[:2000]):
        raise ValueError(f"{page}: expected a new file or an older report, got another; rename it")
    if not dirs:
        raise ValueError("expected at least one run folder, got none; name what --out made")
    files = {folder: credit_file(Path(folder)) for folder in dirs}
    credits = [section_of(read_credit(f), i) for i, f in enumerate(filter(None, files.values()))]
    runs = [read_run(Path(folder)) for folder, file in files.items() if file is None]
    paragraphs = [notes] if isinstance(notes, str) else list(notes)
    scores = score_rows(runs)
    html = _template().render(
        mark=Markup(MARK),
        title=masked(title),
        notes=[masked(note) for note in paragraphs if note],
        version=__version__,
        runs=[_run(run) for run in runs],
        scores=_score_tables(scores),
        headline=_headline(scores),
        **_curves(runs, scores),
        **_phases(runs),
        credits=credits,
        transcripts=[t for run in runs for t in _transcripts(run)],
        run_names=[run.name for run in runs if run.episodes],
        **_assets(),
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    write_lines(page, [html.removesuffix("\n")])
    return page


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("algorithms.report", "data"),
        autoescape=True,  # observations are text of strangers
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )
    return environment.get_template("page.html.jinja")


def _assets() -> dict[str, Any]:
    data = resources.files("algorithms.report") / "data"
    script = (data / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (data / "page.css").read_text(encoding="utf-8")
    # the page runs this one script and none that an observation might smuggle in
    return {"style": Markup(style), "script": Markup(script), "script_hash": f"sha256-{digest}"}


def visible(value: object) -> object:
    """Text that HTML and UTF-8 can hold: control characters and lone surrogates become visible.

    >>> visible("a" + chr(0) + chr(0xE000 - 1)) == "a" + chr(0x2400) + chr(92) + "udfff"
    True
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    pictures = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}
    return value.translate(pictures).encode("utf-8", "backslashreplace").decode("utf-8")


def _run(run: RunRecord) -> dict[str, Any]:
    config = run.config
    turns = environment_turns(run)
    facts = [
        (name, str(config[name])) for name in ("env", "model", "policy", "seed") if name in config
    ]
    if run.metrics:
        facts.append(("iterations", str(len(run.metrics))))
        facts.append(("time", f"{float(run.metrics[-1].get('time', 0)):.0f} s"))
    if turns and turns[-1]:
        facts.append(("environment turns", f"{turns[-1]:,.0f}"))
    command = run.record.get("command", [])
    return {
        "name": run.name,
        "algorithm": run.algorithm,
        "facts": facts,
        "config": flat(config),
        "versions": flat(run.record.get("versions", {})),
        "machine": flat(run.record.get("machine", {})),
        "command": command if isinstance(command, str) else " ".join(map(str, command)),
        "commit": run.record.get("commit") or "",
    }


def _score_tables(rows: Sequence[ScoreRow]) -> list[dict[str, Any]]:
    """One table for each environment."""
    tables: list[dict[str, Any]] = []
    for env in dict.fromkeys(row.env for row in rows):
        mine = [row for row in rows if row.env == env]
        tables.append(
            {
                "env": env,
                "rows": mine,
                "split": mine[0].sampled.get("split", ""),
                "greedy": any(row.greedy for row in mine),
            }
        )
    return tables


def _headline(rows: Sequence[ScoreRow]) -> list[dict[str, Any]]:
    """The numbers to read first: every policy's success, where there is one environment."""
    if len({row.env for row in rows}) != 1:
        return []
    return [{"policy": row.policy, "success": row.sampled["success"]} for row in rows]


def _curves(runs: Sequence[RunRecord], scores: Sequence[ScoreRow]) -> dict[str, Any]:
    trained = [run for run in runs if run.metrics]
    algorithms = list(dict.fromkeys(run.algorithm for run in trained))
    first: list[str] = []
    more: list[str] = []
    for measure, label, percent in _MEASURES:
        for x_name in ("turns", "seconds"):
            curves = [c for run in trained if (c := _curve(run, measure, x_name, algorithms))]
            if not curves:
                continue
            levels = _levels(scores) if measure == "rollout/success" else []
            picture = chart(
                f"{measure.replace('/', '-')}-{x_name}",
                curves,
                x_label="environment turns" if x_name == "turns" else "seconds",
                y_label=label,
                levels=levels,
                percent=percent,
            )
            target = first if measure in ("rollout/success", "rollout/return") else more
            target.append(picture)
    legend = [(name, index % SERIES) for index, name in enumerate(algorithms)]
    return {
        "charts": [Markup(c) for c in first],
        "more_charts": [Markup(c) for c in more],
        "legend": legend,
    }


def _phases(runs: Sequence[RunRecord]) -> dict[str, Any]:
    found = phases_of(runs)
    legend = [(name, None if name == REST else i % SERIES) for i, name in enumerate(found.names)]
    return {
        "phase_chart": Markup(found.picture),
        "phase_legend": legend,
        "phase_rows": found.rows,
    }


def _curve(run: RunRecord, measure: str, x_name: str, algorithms: Sequence[str]) -> Curve | None:
    turns = environment_turns(run)
    points = [
        (turns[i] if x_name == "turns" else float(line.get("time", i)), float(line[measure]))
        for i, line in enumerate(run.metrics)
        if measure in line
    ]
    if len(points) < 2 or (x_name == "turns" and not turns[-1]):
        return None
    x, y = zip(*points, strict=True)
    return Curve(run.algorithm, algorithms.index(run.algorithm), x, y)


def _levels(scores: Sequence[ScoreRow]) -> list[Level]:
    named = {row.policy: row.sampled["success"]["mean"] for row in scores}
    return [Level(name, named[name]) for name in ("random", "start", "expert") if name in named]


def _transcripts(run: RunRecord) -> list[dict[str, Any]]:
    chosen = chosen_episodes(run, TRANSCRIPTS)
    known = [abs(a) for e in chosen if e.id in run.credit for a in run.credit[e.id].advantages_T]
    scale = sorted(known)[int(0.95 * (len(known) - 1))] if known else 0.0
    return [_transcript(run, episode, run.credit.get(episode.id), scale) for episode in chosen]


def _transcript(
    run: RunRecord, episode: Episode, credit: Credit | None, scale: float
) -> dict[str, Any]:
    advantages = credit.advantages_T if credit else ()
    values = (credit.values_T if credit else None) or ()
    turns = [
        {
            "observation": _shortened(turn.observation),
            "action": turn.action.text,
            "reward": turn.reward,
            "valid": turn.valid,
            "error": turn.error,
            "feedback": turn.feedback,
            "advantage": advantages[index] if index < len(advantages) else None,
            "strength": _strength(advantages[index], scale) if index < len(advantages) else 0,
            "value": values[index] if index < len(values) else None,
        }
        for index, turn in enumerate(episode.turns)
    ]
    how = "solved" if episode.success else "truncated" if episode.truncated else "failed"
    return {
        "run": run.name,
        "id": episode.id,
        "env": episode.env,
        "seed": episode.seed,
        "updates": episode.policy_version,
        "instructions": episode.instructions,
        "turns": turns,
        "final": _shortened(episode.final_observation),
        "success": episode.success,
        "how": how,
        "return": episode.total_reward,
        "credited": credit is not None,
    }


def _strength(advantage: float, scale: float) -> int:
    """How strongly a turn is coloured, in percent; the run's 95th percentile is full colour."""
    return 0 if scale <= 0 else round(100 * min(1.0, abs(advantage) / scale))


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]} […{len(text) - LONGEST:,} more characters]"
