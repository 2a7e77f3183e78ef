import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from algorithms import report, support
from algorithms.report.charts import Curve, chart
from algorithms.report.reading import chosen_episodes, environment_turns, read_run, score_rows
from lmenvs.types import Action, Episode, Turn

ATTACK = (
    "</p><script>document.title='stolen'</script><img src=x onerror=\"document.title='stolen'\">"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Page(HTMLParser):
    """Tags with their attributes, and the text that a reader sees."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._hidden = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._hidden = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self._hidden = ""

    def handle_data(self, data):
        if not self._hidden:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def of_class(self, name: str) -> list[dict[str, str]]:
        return [a for _, a in self.tags if name in a.get("class", "").split()]


def episode(number: int, *, success: bool, observation: str = "a room") -> Episode:
    turns = tuple(
        Turn(observation, Action(f"go {number}.{turn}"), float(success and turn == 1))
        for turn in range(2)
    )
    return Episode(
        f"e{number}", "lmenvs/X-v0", number, "test", "play", turns, "end", True, False, success
    )


def score(success: float) -> dict[str, object]:
    bounds = {"mean": success, "low": success - 0.05, "high": success + 0.05}
    return {"n": 64, "success": bounds, "return": bounds, "turns": 5.0, "invalid": 0.25}


def training_run(
    folder: Path, algorithm: str = "ppo", observation: str = "a room", iterations: int = 1
) -> Path:
    run = support.open_run(folder, {"algorithm": algorithm, "episodes": 10, "env": "lmenvs/X-v0"})
    for iteration in range(iterations):  # one point is no curve, and drawing takes time
        rollout = {"rollout/turns": 2.0, "rollout/episodes": 10.0}
        run.log(iteration, {"rollout/success": iteration / 4, **rollout})
    episodes = [episode(n, success=n % 2 == 0, observation=observation) for n in range(4)]
    run.episodes(episodes)
    run.credit((e.id, [0.5, -1.25], [0.75, 0.5]) for e in episodes)
    return folder


def scored_run(folder: Path, policies: dict[str, float]) -> Path:
    support.open_run(folder, {"command": "demo"})
    rows = {name: score(success) for name, success in policies.items()}
    summary = {"env": "lmenvs/X-v0", "policies": rows}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def test_the_page_shows_scores_curves_transcripts_and_configuration(tmp_path):
    scored = scored_run(tmp_path / "demo", {"start": 0.4, "trained": 0.9, "trained greedy": 0.95})
    trained = training_run(tmp_path / "run", algorithm="turn_ppo", iterations=4)
    html = report.build(
        [scored, trained], tmp_path / "r.html", title="T & U", notes="A < B"
    ).read_text()
    page = Page(html)
    assert "T & U" in page.text and "A < B" in page.text
    assert "90.0\xa0% 85.0 to 95.0" in page.text
    assert "95.0\xa0% 90.0 to 100.0" in page.text
    assert "25.0 %" in page.text  # invalid actions
    assert [s["aria-label"] for s in page.named("svg")] == [
        "success over environment turns",
        "success over seconds",
        "turns per episode over environment turns",
        "turns per episode over seconds",
    ]
    assert [e["data-result"] for e in page.of_class("episode")] == ["solved", "failed"] * 2
    assert "go 3.1" in page.text and "turn_ppo" in page.text and "lmenvs/X-v0" in page.text
    assert support.versions()["python"] in page.text


def test_each_turn_shows_its_advantage_as_a_number_and_a_colour(tmp_path):
    html = report.build([training_run(tmp_path / "ppo")], tmp_path / "r.html").read_text()
    page = Page(html)
    shown = page.of_class("advantage")
    assert [s["class"].split()[1] for s in shown] == ["positive", "negative"] * 4
    assert [s["style"] for s in shown[:2]] == ["--strength:40%", "--strength:100%"]
    assert "the critic expected 0.75" in shown[0]["title"]
    assert page.text.count("+0.50") == 4 and page.text.count("-1.25") == 4


def test_the_page_loads_nothing_and_runs_only_its_own_script(tmp_path):
    run = training_run(tmp_path / "run", iterations=2)
    html = report.build([run], tmp_path / "r.html").read_text()
    page = Page(html)
    for attributes in (a for _, a in page.tags):
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert not re.match(r"(?i)\s*(https?:|//|file:|javascript:)", attributes.get(name, ""))
    assert not re.search(r"@import|url\((?!#)", html)
    policy = next(m["content"] for m in page.named("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy
    assert len(page.named("script")) == 1


def test_text_of_strangers_stays_text(tmp_path):
    folder = training_run(tmp_path / "<b>run", algorithm="<i>x", observation=ATTACK)
    html = report.build([folder], tmp_path / "r.html", title=ATTACK, notes=[ATTACK]).read_text()
    page = Page(html)
    assert len(page.named("script")) == 1 and not page.named("img")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count("document.title='stolen'") >= 2 * (8 + 3)


def test_control_characters_and_lone_surrogates_become_visible(tmp_path):
    folder = training_run(tmp_path / "run", observation="nul \0 escape \x1b half \ud83d whole 🎲")
    text = report.build([folder], tmp_path / "r.html").read_text(encoding="utf-8")
    assert "nul ␀ escape ␛ half \\ud83d whole 🎲" in text and "\0" not in text


def test_a_very_long_observation_is_shortened_and_says_by_how_much(tmp_path):
    folder = training_run(tmp_path / "run", observation="x" * 100_000)
    html = report.build([folder], tmp_path / "r.html").read_text()
    assert "96,000 more characters" in html and len(html) < 200_000


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_a_browser_the_filters_work_and_the_attack_does_not(tmp_path):
    folder = training_run(tmp_path / "run", observation=ATTACK)
    page = report.build([folder], tmp_path / "r.html", title="safe")
    dom = in_browser(page)
    assert "<title>safe</title>" in dom
    assert "4 of 4 episodes" in dom

    # the click comes from a script that the page's own policy would not let run
    html = re.sub(r"<meta http-equiv=[^>]*>", "", page.read_text())
    click = "<script>document.querySelector('[data-filter=failed]').click()</script></body>"
    page.write_text(html.replace("</body>", click))
    dom = in_browser(page)
    assert "2 of 4 episodes" in dom
    hidden = re.findall(r'<details class="episode"[^>]*hidden[^>]*>', dom)
    assert len(hidden) == 2 and all('data-result="solved"' in tag for tag in hidden)
    assert re.search(r'data-filter="failed" aria-pressed="true"', dom)


def in_browser(page: Path) -> str:
    assert CHROMIUM is not None
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=1000"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [CHROMIUM, *flags, profile, "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_report_replaces_an_older_report_and_no_other_file(tmp_path):
    folder = training_run(tmp_path / "run")
    page = report.build([folder], tmp_path / "r.html", title="first")
    assert "second" in report.build([folder], page, title="second").read_text()
    other = tmp_path / "thesis.html"
    other.write_text("years of work")
    with pytest.raises(ValueError, match="expected a new file or an older report"):
        report.build([folder], other)
    assert other.read_text() == "years of work"


def test_a_run_that_was_killed_while_it_wrote_a_line_is_reported(tmp_path):
    folder = training_run(tmp_path / "run")
    for name in ("metrics.jsonl", "episodes.jsonl", "credit.jsonl"):
        with (folder / name).open("a") as file:
            file.write('{"iteration": 7, "ti')
    assert report.build([folder], tmp_path / "r.html").stat().st_size > 1000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_page_that_does_not_fit_leaves_the_older_one(tmp_path):
    folder = training_run(tmp_path / "run")
    page = report.build([folder], tmp_path / "r.html")
    before = page.read_text()
    (tmp_path / "r.html.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="r.html: No space left on device; free some space"):
        report.build([folder], page)
    assert page.read_text() == before


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("config.json", "{", "expected the configuration of a run"),
        ("metrics.jsonl", '{"iteration": 0}\n{"iter\n', "metrics.jsonl, line 2"),
        ("episodes.jsonl", "[]\n", "episodes.jsonl, line 1"),
        ("summary.json", '{"env": "x"}', "expected the summary of an evaluation"),
    ],
)
def test_a_broken_file_is_named_in_one_line(tmp_path, file, content, says):
    folder = training_run(tmp_path / "run")
    (folder / file).write_text(content)
    with pytest.raises(ValueError, match=says) as caught:
        report.build([folder], tmp_path / "r.html")
    assert "\n" not in str(caught.value) and not (tmp_path / "r.html").exists()


def test_greedy_scores_stand_beside_the_sampled_ones_of_the_same_policy(tmp_path):
    policies = {"start": 0.4, "start greedy": 0.3, "lone greedy": 0.2, "expert": 0.95}
    rows = score_rows([read_run(scored_run(tmp_path / "demo", policies))])
    measured = {
        row.policy: (row.sampled["success"]["mean"], row.greedy and row.greedy["success"]["mean"])
        for row in rows
    }
    assert measured == {
        "start": (0.4, 0.3),
        "expert": (0.95, None),
        "lone (greedy)": (0.2, None),
    }


def test_transcripts_are_spread_over_the_run_and_hold_as_many_failures_as_there_are(tmp_path):
    run = support.open_run(tmp_path, {})
    run.episodes(episode(n, success=n not in (50, 90)) for n in range(100))
    chosen = chosen_episodes(read_run(tmp_path), 10)
    numbers = [e.seed for e in chosen]
    assert len(numbers) == 10 and numbers == sorted(numbers)
    assert {50, 90} <= set(numbers) and 0 in numbers and 99 in numbers


def test_environment_turns_add_up_over_iterations(tmp_path):
    assert environment_turns(read_run(training_run(tmp_path, iterations=4))) == [
        20.0,
        40.0,
        60.0,
        80.0,
    ]


def test_runs_of_one_algorithm_are_drawn_as_their_mean_over_the_shared_range():
    curves = [Curve("ppo", 0, [0, 10], [0.0, 0.0]), Curve("ppo", 0, [0, 20], [1.0, 1.0])]
    picture = chart("c", curves, x_label="turns", y_label="success", percent=True)
    thick = [p for p in re.findall(r'<path d="([^"]*)"[^>]*stroke-width: 2.2', picture)]
    assert len(thick) == 1
    points = np.array(
        [[float(v) for v in p.split()] for p in re.findall(r"[ML] ([\d. ]+)", thick[0])]
    )
    assert np.ptp(points[:, 1]) == 0  # flat, half way between the two flat lines
    thin = re.findall(
        r'<path d="M [\d.]+ ([\d.]+)[^"]*"[^>]*stroke-width: 0.8; stroke-opacity|'
        r'<path d="M [\d.]+ ([\d.]+)[^"]*"[^>]*stroke-opacity: 0.35',
        picture,
    )
    heights = [float(a or b) for a, b in thin]
    assert points[0, 1] == pytest.approx(np.mean(heights), abs=0.01)
