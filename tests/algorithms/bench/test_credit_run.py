"""The whole benchmark on tiny settings: kept part by part, and told as the file says."""

import json

import numpy as np
import pytest

from agents.rollout import collect
from agents.tabular import TabularSoftmaxPolicy
from algorithms import cli, report, tables
from algorithms.bench.credit import run, summary
from algorithms.bench.credit.environments import ENVIRONMENTS
from algorithms.bench.credit.estimators import ESTIMATORS
from algorithms.bench.credit.speed import measure_speed
from algorithms.bench.credit.textworld import forked_values, measure_by_forking
from algorithms.tables.credit import FILE
from lmenvs.exact import solve

SMALL = ["--only", "Microwave", "StopOrContinue", "--budgets", "8", "64", "--samples", "3"]
MICROWAVE = "lmenvs/Microwave-v0"
NAMES = [estimator.name for estimator in ESTIMATORS]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    file = tmp_path_factory.mktemp("credit") / "credit.json"
    assert cli.main(["bench", "credit", *SMALL, "--out", str(file)]) == 0
    return file


def test_the_file_has_a_row_for_each_estimator_and_budget_and_says_how_it_was_made(measured):
    record = json.loads(measured.read_text())
    assert record["benchmark"] == "credit" and record["seeds"] == [0, 1, 2]
    assert {"command", "commit", "machine", "versions", "date"} <= record.keys()
    assert list(record["parts"]) == ["Microwave", "StopOrContinue"]
    for found in record["parts"].values():
        assert [row["estimator"] for row in found["rows"]] == NAMES * 2
        for row in found["rows"]:
            assert ("not_run" in row) != ("rank" in row)
    assert list(measured.parent.glob("*.partial")) == []


def test_no_estimator_spends_more_than_its_budget_on_average(measured):
    for found in json.loads(measured.read_text())["parts"].values():
        for row in found["rows"]:
            if "turns" in row and row["budget"] == 64:
                assert row["turns"] < 1.25 * 64 * found["turns_per_episode"], row["estimator"]


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    plan = run.planned(["Microwave", "StopOrContinue"], [8], 2)
    file, whole = tmp_path / "credit.json", run.measure_all(0, None, plan=plan)
    real, asked = run.measure_environment, list[str]()

    def failing(name, *rest):
        asked.append(name)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return real(name, *rest)

    monkeypatch.setattr(run, "measure_environment", failing)
    with pytest.raises(KeyboardInterrupt):
        run.measure_all(0, file, plan=plan)
    again = run.measure_all(0, file, plan=plan)
    assert asked == ["Microwave", "StopOrContinue", "StopOrContinue"]
    assert without_seconds(again) == without_seconds(whole)


def test_results_so_far_of_another_seed_are_refused(tmp_path):
    plan = run.planned(["Microwave"], [8], 2)
    run.measure_all(0, tmp_path / "credit.json", plan=plan)
    with pytest.raises(ValueError, match="got another seed; move it away"):
        run.measure_all(1, tmp_path / "credit.json", plan=plan)


def without_seconds(value):
    """What does not depend on the clock."""
    if isinstance(value, dict):
        return {name: without_seconds(v) for name, v in value.items() if name != "seconds"}
    return [without_seconds(part) for part in value] if isinstance(value, list) else value


def test_other_parts_and_budgets_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"no part 'Chess'; expected one of Microwave, "):
        run.planned(["Chess"], [], 0)
    with pytest.raises(ValueError, match="a budget of 0 episodes; expected at least 1"):
        run.planned([], [0], 0)


def test_options_of_the_credit_part_are_refused_elsewhere(capsys):
    assert cli.main(["bench", "env", "--samples", "3"]) != 0
    assert "expected the part credit, got env" in capsys.readouterr().err


def test_an_environment_without_a_model_is_refused_in_its_part():
    found = run.measure_environment("Chess", "lmenvs/Chess-v0", 0, run.Plan(budgets={8: 1}))
    assert found["refused"]
    assert summary.not_measured({"Chess": found}) == [f"Chess: refused, {found['refused']}"]


def test_a_unit_that_costs_more_than_the_budget_is_not_run():
    rows = run.measure_environment("Microwave", MICROWAVE, 0, run.Plan(budgets={4: 1}))["rows"]
    told = {row["estimator"]: row.get("not_run") for row in rows}
    assert told["GRPO"] == "one unit costs 8.0 episodes"
    assert told["Monte Carlo"] is None


def test_the_summary_is_the_mean_over_environments(measured):
    parts = json.loads(measured.read_text())["parts"]
    rows = [row for found in parts.values() for row in found["rows"]]
    mine = [row for row in rows if row["estimator"] == "GiGPO" and row["budget"] == 64]
    overall = next(row for row in summary.overall(parts, 64) if row.name == "GiGPO")
    assert overall.ran == 2
    assert overall.means["rank"] == pytest.approx(np.mean([row["rank"]["mean"] for row in mine]))
    cells = dict(zip(summary.HEAD, summary.cells(parts, 64)[NAMES.index("GiGPO")], strict=True))
    assert cells["rank"] == f"{overall.means['rank']:.2f}"
    assert cells["environments"] == "2 of 2"


def _row(name, low, high, spent=1000.0):
    """A row with an interval of the cosine."""
    shares = {"kind": "method", "needs": "", "budget": 8, "seconds": 1.0, "turns": spent}
    cosine = {"mean": (low + high) / 2, "low": low, "high": high}
    return {"estimator": name, **shares, "tokens": 3 * spent, "cosine": cosine}


def _parts(rows, names="XYZ"):
    """Environments with the same rows."""
    facts = {"returns": {}, "smaller": "", "turns_per_episode": 100.0, "tokens_per_episode": 400.0}
    return {name: {**facts, "rows": rows} for name in names}


ROWS = [_row("RLOO", 0.4, 0.6), _row("a", 0.7, 0.8), _row("b", 0.1, 0.3), _row("c", 0.5, 0.8)]


def test_better_and_worse_are_intervals_that_do_not_meet():
    found = summary.overall(_parts(ROWS, "XY"), 8)
    assert [(row.better, row.worse) for row in found] == [
        ([], []),
        (["X", "Y"], []),
        ([], ["X", "Y"]),
        ([], []),
    ]


def test_the_verdict_says_who_earns_the_cost_and_where_not():
    parts = _parts(ROWS) | _parts([ROWS[0], _row("a", 0.1, 0.2)], "W")
    told = summary.verdict(parts)
    assert told[1].endswith("(better / worse, of 4 environments): a (3 / 1: W).")
    assert told[2] == "These do not earn it: b (0 / 3)."
    assert told[3].endswith("worse in as many: c (0 / 0).")
    assert "of these 10 comparisons, 0.1 would come out so by chance if all were equal" in told[4]
    assert told[5] == "First in each environment, at that cost: a on X, Y, Z; RLOO on W."
    assert told[6] == "Its interval lies above those of all other methods on: W."


def test_a_lead_of_one_environment_is_no_verdict():
    told = summary.verdict(_parts(ROWS, "X"))
    assert told[1].endswith(": none.") and told[2].endswith(": none.")
    assert told[3].endswith("worse in as many: a (1 / 0), b (0 / 1), c (0 / 0).")


def test_luck_seldom_gives_any_of_the_equal_methods_a_lead_that_counts():
    lead = np.array([1.0])  # the chances of a lead of -n to n after n environments
    for _ in ENVIRONMENTS:
        one_sided = summary.BY_CHANCE / 2
        lead = np.convolve(lead, [one_sided, 1 - 2 * one_sided, one_sided])
    counts = np.abs(np.arange(len(lead)) - len(lead) // 2) >= summary.LEAD
    methods = sum(one.kind == "method" and one.name != "RLOO" for one in ESTIMATORS)
    assert 1 - (1 - lead[counts].sum()) ** methods < 0.05


def test_costs_are_told_as_shares_of_what_the_budgets_episodes_take():
    # 8 episodes take 800 turns and 3200 tokens
    lines = summary.costs(_parts([_row("a", 0.4, 0.6, spent=600.0)]), 8)
    assert lines == [("", "", "75 %", "56 %", f"{1000 / 0.6:.2g}")]
    nothing = {"estimator": "a", "kind": "method", "needs": "", "budget": 8, "not_run": "why"}
    assert summary.costs(_parts([nothing]), 8) == [("not run",) * len(summary.COST_HEAD)]


def test_what_episodes_cost_in_turns_and_tokens_is_what_sampled_ones_cost():
    found = run.measure_environment("Microwave", MICROWAVE, 0, run.Plan(budgets={512: 3}))
    row = next(row for row in found["rows"] if row["estimator"] == "Monte Carlo")
    assert row["turns"] / 512 == pytest.approx(found["turns_per_episode"], rel=0.05)
    assert row["tokens"] / 512 == pytest.approx(found["tokens_per_episode"], rel=0.05)


def test_the_tables_have_the_numbers_of_the_file(measured, tmp_path):
    assert tables.credit(tmp_path) == tables.credit_verdict(tmp_path) == ""
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(measured.read_text())
    written = tables.credit(tmp_path)
    parts = json.loads(measured.read_text())["parts"]
    rows = {row.name: row for row in summary.overall(parts, 64)}
    for name in ("GRPO", "TEMPO", "SPO-chain"):
        assert f"| {name} | {rows[name].needs} | {rows[name].means['rank']:.2f} |" in written
    assert "| F-GRPO | groups of 8, phases | not run |" in written
    told = tables.credit_verdict(tmp_path)
    assert all(f"- {sentence}" in told for sentence in summary.verdict(parts))


def test_the_report_draws_each_environment_and_prints_the_summary(measured, tmp_path):
    page = report.build([measured], tmp_path / "page.html").read_text()
    parts = json.loads(measured.read_text())["parts"]
    for env in ("Microwave", "StopOrContinue"):
        assert f"<summary>{env}</summary>" in page
        assert f'aria-label="Errors of credit on {env}, by estimator"' in page
    assert page.count("GRPO, blend .5") >= 2 + 2, "in both pictures and both tables"
    assert "F-GRPO: not run" in page
    assert all(f"<p>{sentence}</p>" in page for sentence in summary.verdict(parts))
    for cells, costs in zip(summary.cells(parts, 64), summary.costs(parts, 64), strict=True):
        line = "".join(f"<td>{cell}</td>" for cell in (*cells[1:], *costs))
        assert f'<th scope="row">{cells[0]}</th>{line}' in page


def test_a_folder_with_the_file_is_as_good_as_the_file(measured, tmp_path):
    pages = [
        report.build([source], tmp_path / f"{number}.html").read_text()
        for number, source in enumerate((measured, measured.parent))
    ]
    assert pages[0] == pages[1]


def test_names_from_a_strangers_file_stay_text(measured, tmp_path):
    record = json.loads(measured.read_text())
    attack = '"><script>alert(1)</script>'
    record["parts"] = {attack: record["parts"]["Microwave"]}
    (tmp_path / "credit.json").write_text(json.dumps(record))
    page = report.build([tmp_path], tmp_path / "page.html").read_text()
    assert "Errors of credit on &quot;" in page
    assert "<script>alert" not in page


def test_a_file_that_is_no_credit_benchmark_is_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"benchmark": "speed"}')
    with pytest.raises(ValueError, match="expected what lmenvs bench credit --out wrote"):
        report.build([tmp_path / "other.json"], tmp_path / "page.html")


def test_forked_values_agree_with_the_exact_ones_within_their_errors():
    env, policy = "lmenvs/StopOrContinue-v0?turns=4", TabularSoftmaxPolicy()
    episodes = collect(env, policy, range(6))
    forked, exact = forked_values(env, policy, episodes, 400, 1), solve(env, policy="uniform")
    for (key, turn), (mean, error) in forked.values.items():
        assert abs(mean - exact.value(key, turn)) <= 4 * error + 1e-12
    for episode in episodes:
        for number, turn in enumerate(episode.turns):
            found, error = forked.advantage(episode, number)
            true = exact.advantage(str(turn.state_key), turn.action.text, number)
            assert abs(found - true) <= 4 * error + 1e-12


def test_a_game_without_a_model_is_judged_by_forks_and_says_what_it_left_out():
    found = measure_by_forking(0, ESTIMATORS, "lmenvs/DelayedKey-v0?delay=2", {16: 2}, 50)
    rows = {row["estimator"]: row for row in found["rows"]}
    assert list(rows) == NAMES
    assert rows["turn GAE, lambda 0"]["rank"]["mean"] > rows["RLOO"]["rank"]["mean"]
    assert "cosine" not in rows["RLOO"]
    assert rows["RLOO"]["tokens"] > rows["RLOO"]["turns"] == 16 * 3, "3 turns an episode"
    assert rows["SPO-chain"]["not_run"] == "forks: not made in the forked game"
    assert len(found["truth"]["turns"]) == found["turns_judged"]
    assert all(turn["low"] <= turn["advantage"] <= turn["high"] for turn in found["truth"]["turns"])


def test_the_page_says_how_well_forked_truth_is_known(tmp_path):
    forked = measure_by_forking(0, ESTIMATORS, "lmenvs/DelayedKey-v0?delay=2", {16: 3}, 50)
    (told,) = summary.forked_truth({"by forking": forked})
    assert f"standard error of {forked['truth']['standard_error']:.3f}" in told
    (tmp_path / "credit.json").write_text(run.record({"by forking": forked}, [0, 1, 2], ["x"]))
    page = report.build([tmp_path], tmp_path / "page.html").read_text()
    assert told in page and "<summary>by forking</summary>" in page


def test_the_speed_part_times_every_function_it_names():
    found = measure_speed(0, episodes=16, turns=4, training=None)
    rows = found["functions"]
    assert len(rows) == 22 and all(row["seconds"] > 0.0 for row in rows)
    assert {row["needs"] for row in rows} == {"no model", "a critic's values"}
    told = summary.speeds({"speed": found})
    assert told[0][0] == "discounted_returns, 16 episodes of 4 turns, no model"


def test_rows_of_the_file_stand_on_one_line_each(measured):
    lines = [line for line in measured.read_text().splitlines() if '"estimator"' in line]
    assert len(lines) == 2 * 2 * len(NAMES)
    assert json.loads(run.compact({"a": [{"b": 1.5}], "c": []})) == {"a": [{"b": 1.5}], "c": []}
