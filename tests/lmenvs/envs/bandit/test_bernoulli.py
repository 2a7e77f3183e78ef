import math
from collections import Counter
from typing import Any

import pytest

from lmenvs.core import TextEnv
from lmenvs.envs.bandit.arms import upper_confidence_index
from lmenvs.envs.bandit.bernoulli import BernoulliBandit, parse_arm
from lmenvs.envs.bandit.scenarios import LARGEST, SCENARIOS

NAMES = ("red", "blue", "green")


@pytest.mark.parametrize(
    ("text", "arm"),
    [
        ("red", 0),
        (" Blue.\n", 1),
        ("3", 2),
        ("button 2", 1),
        ("green button", 2),
        ("'red'", 0),
        ("0", "unknown"),
        ("4", "unknown"),
        ("999", "unknown"),
        ("1000", "malformed"),
        ("9" * 5000, "malformed"),
        ("٣", "malformed"),
        ("-1", "malformed"),
        ("1.0", "malformed"),
        ("", "malformed"),
        ("button", "malformed"),
        ("red blue", "malformed"),
        ("yellow", "malformed"),
        ("\ud800", "malformed"),
        ("red\x00", "malformed"),
    ],
)
def test_an_arm_is_read_from_text(text: str, arm: int | str):
    assert parse_arm(text, NAMES, "button") == arm


def test_every_scenario_names_twenty_different_arms_that_can_be_read_back():
    for scenario in SCENARIOS.values():
        names = scenario.arms()
        assert len(set(names)) == len(names) == LARGEST
        assert scenario.noun not in names
        assert [parse_arm(name, names, scenario.noun) for name in names] == list(range(LARGEST))


def test_machines_have_letters_for_names():
    names = SCENARIOS["machines"].arms()
    assert names == tuple("abcdefghijklmnopqrst")
    texts = ("a", "B", "machine b", "Machine C.", "20", "machine 1", "u", "a machine")
    read = [parse_arm(text, names, "machine") for text in texts]
    assert read == [0, 1, 1, 2, 19, 0, "malformed", 0]
    env = BernoulliBandit(scenario="machines", means=[1.0, 0.0])
    assert env.reset(seed=0)[0] == "Choose one machine: 1 a, 2 b."
    assert env.step("b")[0].startswith("You played machine b. Reward: ")


def test_the_gap_builds_one_good_arm_and_the_seed_moves_it():
    best = Counter[str]()
    for seed in range(400):
        env = BernoulliBandit(arms=4, gap=0.2)
        env.reset(seed=seed)
        assert sorted(map(float, env.state_key().split(","))) == [0.4, 0.4, 0.4, 0.6]
        best[env.answer()] += 1
    # 400 throws of a fair four-sided die: five standard deviations around 100 are 43
    assert len(best) == 4 and all(57 < count < 143 for count in best.values())


def test_an_arm_pays_as_often_as_its_chance_says():
    env = BernoulliBandit(means=[0.9, 0.2], horizon=4000)
    env.reset(seed=1)
    best = env.answer()
    other = next(name for name in env.admissible_actions() if name != best)
    paid = {name: sum(float(env.step(name)[1]) for _ in range(2000)) for name in (best, other)}
    # five standard deviations
    assert abs(paid[best] - 1800) < 67 and abs(paid[other] - 400) < 90


def test_noise_changes_the_draws_and_not_the_chances():
    draws: list[str] = []
    keys: set[str] = set()
    for noise in (0, 1, 0):
        env = BernoulliBandit(means=[0.5, 0.4])
        env.reset(seed=3, options={"noise": noise})
        keys.add(env.state_key())
        draws.append("".join(f"{env.step('red')[1]:g}" for _ in range(20)))
    assert len(keys) == 1 and draws[0] == draws[2] != draws[1]


def test_regret_is_what_the_best_arm_would_have_been_worth_more():
    env = BernoulliBandit(means=[0.75, 0.25], horizon=3)
    env.reset(seed=0)
    best = env.answer()
    other = next(name for name in env.admissible_actions() if name != best)
    infos = [env.step(action)[4] for action in (best, other, "hm")]
    assert [info["regret"] for info in infos] == [0.0, 0.5, 0.75]
    assert all(info["optimal_actions"] == [best] for info in infos)


def test_success_is_a_lead_of_the_best_arm_when_all_turns_are_played():
    for actions, success in (
        (("best", "best", "other"), True),
        (("best", "other", "other"), False),
        (("best", "other", "hm"), False),
        (("best", "hm", "hm"), True),
        (("hm", "hm", "hm"), False),
    ):
        env = BernoulliBandit(arms=2, horizon=3)
        env.reset(seed=0)
        names = {"best": env.answer(), "hm": "hm"}
        names["other"] = next(name for name in env.admissible_actions() if name != env.answer())
        for action in actions[:-1]:
            env.step(names[action])
            assert env.progress() < 1.0
        _, _, terminated, truncated, info = env.step(names[actions[-1]])
        assert (terminated, truncated, info["success"]) == (True, False, success)
        assert (env.progress() == 1.0) == success


@pytest.mark.parametrize("on_invalid", ["penalise", "noop", "terminate"])
def test_an_invalid_action_wastes_the_turn(on_invalid: Any):
    env = BernoulliBandit(on_invalid=on_invalid)
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step("99")
    assert (reward, terminated, info["error"]) == (0.0, on_invalid == "terminate", "unknown")
    assert env.turn == 1


def test_an_invalid_last_turn_does_not_spoil_a_success():
    env = BernoulliBandit(arms=2, horizon=2, on_invalid="terminate")
    env.reset(seed=0)
    env.step(env.answer())
    info = env.step("hm")[4]
    assert info["success"] and env.progress() == 1.0


def test_wasted_turns_say_nothing_about_the_arms():
    texts: list[list[str]] = []
    for seed in range(6):
        env = BernoulliBandit(context="guided")
        first, _ = env.reset(seed=seed)
        texts.append([env.instructions, first, *(env.step(text)[0] for text in ("hm", "77", ""))])
    assert all(text == texts[0] for text in texts)


def test_each_context_adds_to_the_one_before():
    lines: dict[str, list[str]] = {}
    for context in ("raw", "summary", "guided"):
        env = BernoulliBandit(means=[1.0, 1.0], context=context)  # type: ignore[arg-type]
        env.reset(seed=0)
        env.step("red")
        lines[context] = env.step("red")[0].split("\n")
    assert lines["raw"] == ["You pressed red. Reward: 1."]
    assert lines["summary"] == [*lines["raw"], "red: 2 pulls, mean 1.00", "blue: 0 pulls"]
    bonus = math.sqrt(0.5 * math.log(2) / 2)
    assert lines["guided"] == [
        *lines["raw"],
        f"red: 2 pulls, mean 1.00, bonus {bonus:.2f}, sum {1 + bonus:.2f}",
        "blue: 0 pulls, bonus unlimited",
    ]


def test_the_index_is_mean_plus_bonus_and_unbounded_for_an_untried_arm():
    assert upper_confidence_index(4, 1, 10) == pytest.approx(
        0.25 + math.sqrt(0.5 * math.log(10) / 4)
    )
    assert upper_confidence_index(0, 0, 10) == math.inf


def test_the_expert_tries_every_arm_once_and_then_beats_uniform_play():
    total = 0.0
    for seed in range(200):
        env = BernoulliBandit()
        env.reset(seed=seed)
        said: list[str] = []
        for _ in range(20):
            said.append(env.expert_action())
            total += float(env.step(said[-1])[1])
        assert said[:5] == env.admissible_actions()
    # uniform play earns 7.0 on average, the expert 9.67; the mean of 200 has a deviation of 0.19
    assert 8.7 < total / 200 < 10.6


@pytest.mark.parametrize(
    ("arms", "gap", "horizon", "scenario"),
    [(5, 0.5, 300, "videos"), (20, 0.2, 1000, "clothes")],
)
def test_the_settings_of_evolve_can_be_played_to_the_end(
    arms: int, gap: float, horizon: int, scenario: str
):
    env = BernoulliBandit(arms=arms, gap=gap, horizon=horizon, scenario=scenario)
    env.reset(seed=0)
    assert sorted(set(env.expected_rewards().values())) == pytest.approx(
        [0.5 - gap / 2, 0.5 + gap / 2]
    )
    total, regret, info = 0.0, 0.0, {}
    for turn in range(horizon):
        _, reward, terminated, _, info = env.step(env.answer())
        assert terminated == (turn == horizon - 1)
        total, regret = total + reward, regret + info["regret"]
    mean = 0.5 + gap / 2
    assert info["success"] and regret == 0.0
    # five standard deviations
    assert abs(total - mean * horizon) < 5 * math.sqrt(horizon * mean * (1 - mean))


def test_answers_are_the_same_whether_they_were_made_before_or_not():
    env, slow = BernoulliBandit(means=[0.9, 0.5]), BernoulliBandit(means=[0.9, 0.5])
    for seed in (0, 1, 2):  # a new task must not find the last one's answers
        env.reset(seed=seed)
        slow.reset(seed=seed)
        for name in ("red", "blue", "red", "red", "blue"):
            slow._answers.clear()
            assert env.step(name) == slow.step(f"Button {name.upper()}.")


@pytest.mark.parametrize(
    "arguments",
    [
        {"arms": 1},
        {"arms": 21},
        {"arms": 2.5},
        {"gap": 0},
        {"gap": 1.5},
        {"means": [0.5]},
        {"means": [0.5, 1.2]},
        {"means": [0.5, "a"]},
        {"means": 0.5},
        {"means": "01"},
        {"gap": "wide"},
        {"gap": True},
        {"gap": float("nan")},
        {"horizon": 0},
        {"horizon": True},
        {"scenario": "slots"},
        {"scenario": ["ads"]},
        {"context": "all"},
        {"context": None},
    ],
)
def test_an_impossible_argument_is_refused_in_one_line(arguments: dict[str, Any]):
    with pytest.raises(ValueError, match="expected") as caught:
        BernoulliBandit(**arguments)
    assert "\n" not in str(caught.value)


def test_the_message_names_the_mean_that_is_wrong():
    with pytest.raises(ValueError, match=r"means\[1\]=1.2; expected a number from 0 to 1"):
        BernoulliBandit(means=[0.5, 1.2])


def test_a_snapshot_carries_chances_counts_and_chance():
    env: TextEnv = BernoulliBandit(context="summary")
    env.reset(seed=5)
    for name in ("red", "2", "red"):
        env.step(name)
    snapshot = env.snapshot()
    rest = [env.step(name)[:2] for name in ("red", "blue", "green")]
    other = BernoulliBandit(context="summary")
    other.restore(snapshot)
    assert [other.step(name)[:2] for name in ("red", "blue", "green")] == rest
