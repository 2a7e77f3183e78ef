"""The report's bars: where the seconds of a training iteration go."""

import json
import re
from pathlib import Path

import pytest

from algorithms import report
from algorithms.report.phases import REST, iteration_seconds, phases_of
from algorithms.report.reading import read_run
from tests.algorithms.test_report import CHROMIUM, Page, in_browser, training_run


def timed_run(folder: Path, phases: dict[str, list[float]]) -> Path:
    """A run that logged the seconds of its phases, and half a second more in each iteration."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"config": {"algorithm": "ppo"}}))
    lines, now = [], 0.0
    for number, seconds in enumerate(zip(*phases.values(), strict=True)):
        now += sum(seconds) + 0.5
        times = {f"time/{name}": value for name, value in zip(phases, seconds, strict=True)}
        lines.append(json.dumps({"iteration": number, "time": now, **times}))
    (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    return folder


def test_the_phases_of_an_iteration_are_means_without_the_first(tmp_path):
    seconds = {"collect": [9.0, 2.0, 4.0], "update": [9.0, 1.0, 1.0]}
    run = read_run(timed_run(tmp_path / "run", seconds))
    assert iteration_seconds(run) == pytest.approx({"collect": 3.0, "update": 1.0, REST: 0.5})
    alone = read_run(timed_run(tmp_path / "alone", {"collect": [2.0]}))
    assert iteration_seconds(alone) == pytest.approx({"collect": 2.0, REST: 0.5})


def test_a_bar_is_as_long_as_its_seconds_and_phases_share_their_colours(tmp_path):
    first = timed_run(tmp_path / "first", {"collect": [3.0], "update": [1.0]})
    second = timed_run(tmp_path / "second", {"collect": [1.5], "actor": [0.5]})
    found = phases_of([read_run(first), read_run(second)])
    assert list(found.names) == ["collect", "update", "actor", REST]
    widths: dict[str, list[float]] = {}
    for path, style in re.findall(r'<path d="([^"]+)"[^>]*style="fill: ([^"]+)"', found.picture):
        places = [float(x) for x in re.findall(r"[ML] ([\d.-]+) ", path)]
        widths.setdefault(style, []).append(max(places) - min(places))
    collects, (update,), (actor,) = (widths[f"var(--series-{n})"] for n in range(3))
    assert collects[0] == pytest.approx(2 * collects[1], rel=1e-3)
    assert collects[0] == pytest.approx(3 * update, rel=1e-3)
    assert update == pytest.approx(2 * actor, rel=1e-3)


def test_more_phases_than_colours_leave_the_shortest_to_the_rest(tmp_path):
    run = timed_run(tmp_path / "run", {f"p{n}": [float(n)] for n in range(1, 9)})
    found = phases_of([read_run(run)])
    assert list(found.names) == ["p3", "p4", "p5", "p6", "p7", "p8", REST]
    assert found.rows[0][1][-1] == pytest.approx(1 + 2 + 0.5)
    assert found.rows[0][2] == pytest.approx(36.5)


def test_the_page_draws_the_phases_where_a_run_has_them_and_says_their_seconds(tmp_path):
    run = timed_run(tmp_path / "run", {"collect": [9.0, 3.0], "update": [9.0, 1.0]})
    page = Page(report.build([run], tmp_path / "r.html").read_text())
    assert page.named("section")[0]["id"] == "phases"
    assert any(a.get("href") == "#phases" for a in page.named("a"))
    said = " ".join(page.text.split())
    assert "run3.001.000.504.50" in said and "67 %" in said
    plain = Page(report.build([training_run(tmp_path / "old")], tmp_path / "o.html").read_text())
    assert "phases" not in {a.get("id") for a in plain.named("section")}


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_a_browser_the_phases_have_a_width_and_their_colours(tmp_path):
    run = timed_run(tmp_path / "run", {"collect": [9.0, 3.0], "update": [9.0, 1.0]})
    page = report.build([run], tmp_path / "r.html")
    html = re.sub(r"<meta http-equiv=[^>]*>", "", page.read_text())
    look = (
        "<script>const bars = [...document.querySelectorAll('#phases svg path')].filter("
        "p => p.getAttribute('style').includes('--series-'));"
        "document.title = bars.map(p => getComputedStyle(p).fill + ' '"
        " + Math.round(p.getBoundingClientRect().width)).join(';')</script></body>"
    )
    page.write_text(html.replace("</body>", look))
    (title,) = re.findall(r"<title>([^<]*)</title>", in_browser(page))
    (blue, long), (orange, short) = (bar.rsplit(" ", 1) for bar in title.split(";"))
    assert blue.startswith("rgb(") and blue != orange
    assert int(long) == pytest.approx(3 * int(short), abs=4) and int(short) > 50
