import statistics
from typing import Any

import pytest

import lmenvs
from lmenvs.envs.bandit.gaussian import FARTHEST, GaussianBandit


def other_than(env: GaussianBandit) -> str:
    return next(name for name in env.admissible_actions() if name != env.answer())


def test_the_reward_told_is_the_reward_paid():
    env = GaussianBandit(means=[-0.01, 0.0, 3.0], sigma=0.02, horizon=600)
    env.reset(seed=0)
    paid: list[float] = []
    for turn in range(600):
        text, reward, *_ = env.step(env.admissible_actions()[turn % 3])
        told = text.partition(" Reward: ")[2].removesuffix(".")
        assert told == f"{reward:.2f}" and told != "-0.00"
        paid.append(reward)
    assert len({f"{reward:.2f}" for reward in paid}) > 10  # chance was at work


def test_rewards_scatter_around_the_mean_as_sigma_says():
    env = GaussianBandit(means=[1.5, 0.0], sigma=0.4, horizon=4000)
    env.reset(seed=3)
    rewards = [env.step(env.answer())[1] for _ in range(4000)]
    # five standard errors: 0.4 / sqrt(4000) and 0.4 / sqrt(8000)
    assert statistics.fmean(rewards) == pytest.approx(1.5, abs=0.032)
    assert statistics.stdev(rewards) == pytest.approx(0.4, abs=0.023)


def test_no_reward_is_farther_from_its_mean_than_six_deviations():
    env = GaussianBandit(means=[0.5, 0.5], sigma=1.0)
    env.reset(seed=0)
    extremes: list[float] = []
    for drawn in (-1e9, 1e9):

        class Extreme:
            def standard_normal(self, drawn: float = drawn) -> float:
                return drawn

        env._np_random = Extreme()  # type: ignore[assignment]
        extremes.append(env.step("red")[1])
    assert extremes == [0.5 - FARTHEST, 0.5 + FARTHEST]


def test_by_default_one_arm_is_better_by_the_gap():
    env = GaussianBandit(arms=4, gap=0.2)
    env.reset(seed=0)
    assert sorted(env.expected_rewards().values()) == [0.4, 0.4, 0.4, 0.6]
    assert env.expected_rewards()[env.answer()] == 0.6


def test_with_spread_every_episode_draws_its_own_means():
    env = GaussianBandit(arms=20, spread=2.0)
    drawn: list[float] = []
    tasks: set[tuple[float, ...]] = set()
    for seed in range(50):
        env.reset(seed=seed)
        means = tuple(env.expected_rewards().values())
        tasks.add(means)
        drawn += means
        assert means == pytest.approx([round(mean, 2) for mean in means], abs=0)
    assert len(tasks) == 50
    # 1000 draws: five standard errors of mean and deviation are 0.32 and 0.23
    assert statistics.fmean(drawn) == pytest.approx(0.0, abs=0.32)
    assert statistics.stdev(drawn) == pytest.approx(2.0, abs=0.23)
    env.reset(seed=0)
    assert tuple(env.expected_rewards().values()) in tasks


def test_regret_is_what_the_best_mean_is_worth_more():
    env = GaussianBandit(means=[0.75, 0.25], horizon=3)
    env.reset(seed=0)
    infos = [env.step(action)[4] for action in (env.answer(), other_than(env), "hm")]
    assert [info["regret"] for info in infos] == [0.0, 0.5, 0.75]
    assert all(info["optimal_actions"] == [env.answer()] for info in infos)


@pytest.mark.parametrize(
    ("arguments", "cost"),
    [({}, 0.0), ({"means": [-2.0, 1.0]}, -2.0), ({"means": [2.0, 1.0]}, 0.0), ({"spread": 3}, -9)],
)
def test_an_answer_that_names_no_arm_is_never_better_than_the_worst_arm_given(
    arguments: dict[str, Any], cost: float
):
    env = GaussianBandit(**arguments)
    env.reset(seed=0)
    _, reward, _, _, info = env.step("hm")
    assert reward == cost
    assert info["regret"] == pytest.approx(max(env.expected_rewards().values()) - cost)
    free = GaussianBandit(**arguments, on_invalid="noop")
    free.reset(seed=0)
    assert free.step("hm")[1] == 0.0


def test_success_is_a_lead_of_the_best_arm():
    for first, success in ((True, True), (False, False)):
        env = GaussianBandit(arms=2, horizon=3)
        env.reset(seed=1)
        names = [env.answer(), other_than(env)]
        for action in (names[0], names[1]):
            env.step(action)
        info = env.step(names[0] if first else names[1])[4]
        assert info["success"] == success == (env.progress() == 1.0)


def test_a_snapshot_carries_means_counts_and_chance():
    env = GaussianBandit(spread=1.0, context="guided", arms=3)
    env.reset(seed=5)
    for name in ("red", "2", "red"):
        env.step(name)
    snapshot = env.snapshot()
    rest = [env.step(name)[:2] for name in ("red", "blue", "green")]
    other = GaussianBandit(spread=1.0, context="guided", arms=3)
    other.reset(seed=9)
    other.restore(snapshot)
    assert [other.step(name)[:2] for name in ("red", "blue", "green")] == rest


@pytest.mark.parametrize(
    "arguments",
    [
        {"sigma": 0},
        {"sigma": float("nan")},
        {"sigma": "wide"},
        {"spread": -1},
        {"spread": True},
        {"spread": 1.0, "means": [0.1, 0.2]},
        {"spread": 1.0, "arms": 21},
        {"means": []},
        {"means": "01"},
        {"means": [0.1, float("inf")]},
        {"arms": True},
        {"horizon": 2.0},
        {"scenario": "slots"},
        {"context": "all"},
    ],
)
def test_an_impossible_argument_is_refused_in_one_line(arguments: dict[str, Any]):
    with pytest.raises(ValueError, match="expected") as caught:
        GaussianBandit(**arguments)
    assert "\n" not in str(caught.value)


def test_a_gap_counts_for_nothing_where_means_are_given_or_drawn():
    assert GaussianBandit(gap=0, spread=1.0).turn_limit == 20
    assert GaussianBandit(gap=0, means=[3, -1]).turn_limit == 20


@pytest.mark.parametrize(("arms", "spread", "horizon"), [(5, 1, 300), (20, 3, 1000)])
def test_the_settings_of_evolve_can_be_played_to_the_end(arms: int, spread: int, horizon: int):
    env = GaussianBandit(arms=arms, spread=spread, sigma=spread, horizon=horizon)
    env.reset(seed=0)
    means = env.expected_rewards()
    total, terminated, info = 0.0, False, {}
    for _ in range(horizon):
        _, reward, terminated, _, info = env.step(env.answer())
        total += reward
        assert info["regret"] == 0.0
    assert terminated and info["success"]
    # five standard deviations of the noise
    assert abs(total - horizon * max(means.values())) < 5 * spread * horizon**0.5


def test_it_is_made_by_its_env_string():
    env = lmenvs.make("lmenvs/GaussianBandit-v0?means=[0.5,0.25,0]&scenario=videos")
    env.reset(seed=0)
    assert env.admissible_actions() == ["volcanoes", "penguins", "bridges"]
    assert "score" in env.instructions and "(1)" not in env.instructions
