import dataclasses

import numpy as np
import pytest

from agents.rollout import collect
from lmenvs import make
from lmenvs.envs.bandit.bernoulli import BernoulliBandit
from lmenvs.envs.bandit.contextual import ContextualBandit
from lmenvs.envs.bandit.gaussian import GaussianBandit
from lmenvs.regret import MOST_ALPHA, RegretFit, fit_regret, regrets
from lmenvs.types import Action

TIMES = np.arange(1, 301)


@pytest.mark.parametrize(
    ("alpha", "lambda_1", "beta", "lambda_2"),
    [(1.0, 2.0, 0.0, 1.0), (2.0, 0.3, 0.05, -0.5), (0.5, 4.0, 0.1, 0.0), (3.3, 0.01, 0.0, 2.0)],
)
def test_a_curve_of_the_form_is_found_again(
    alpha: float, lambda_1: float, beta: float, lambda_2: float
):
    truth = RegretFit(alpha, beta, lambda_1, lambda_2, gap=0.5, error=0.0)
    fit = fit_regret(truth.at(TIMES), gap=0.5)
    assert fit.error < 1e-9
    assert (fit.alpha, fit.lambda_1) == pytest.approx((alpha, lambda_1), rel=1e-6)
    assert (fit.beta, fit.lambda_2) == pytest.approx((beta, lambda_2), abs=1e-6)
    assert fit.at(TIMES) == pytest.approx(truth.at(TIMES))


def test_steady_loss_is_all_beta():
    fit = fit_regret([0.2 * t for t in range(1, 201)])
    assert (fit.alpha, fit.lambda_1) == (0.0, 0.0)
    assert (fit.beta, fit.lambda_2, fit.error) == pytest.approx((0.2, 0.0, 0.0), abs=1e-9)


def test_no_loss_is_all_zero():
    fit = fit_regret([0.0] * 10)
    assert (fit.alpha, fit.beta, fit.lambda_1, fit.lambda_2, fit.error) == (0, 0, 0, 0, 0)


def test_a_power_above_the_limit_is_held_there():
    curve = np.log(TIMES) ** (MOST_ALPHA + 2)
    assert fit_regret(curve).alpha == pytest.approx(MOST_ALPHA)


def noisy() -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.cumsum(generator.random(200) / np.arange(1, 201)) + 0.1 * np.arange(1, 201)


def test_the_gap_only_scales_the_logarithm():
    one, half = fit_regret(noisy(), gap=1.0), fit_regret(noisy(), gap=0.5)
    assert half.lambda_1 == pytest.approx(0.5 * one.lambda_1)
    assert (half.alpha, half.beta, half.error) == (one.alpha, one.beta, one.error)


def test_the_fit_moves_and_stretches_with_the_curve():
    fit = fit_regret(noisy())
    moved, stretched = fit_regret(noisy() + 5.0), fit_regret(3.0 * noisy())
    assert moved.lambda_2 == pytest.approx(fit.lambda_2 + 5.0, abs=1e-5)
    assert (moved.beta, moved.error) == pytest.approx((fit.beta, fit.error), rel=1e-5)
    assert stretched.beta == pytest.approx(3.0 * fit.beta, rel=1e-5)
    assert stretched.error == pytest.approx(3.0 * fit.error, rel=1e-5)


def test_no_other_parameters_come_nearer():
    curve, fit = noisy(), fit_regret(noisy())
    assert fit.error == pytest.approx(float(np.sqrt(((fit.at(range(1, 201)) - curve) ** 2).mean())))
    generator = np.random.default_rng(1)
    for _ in range(200):
        alpha, beta, weight, offset = np.array(
            [fit.alpha, fit.beta, fit.lambda_1, fit.lambda_2]
        ) + generator.normal(size=4) * [0.3, 0.01, 0.1, 0.2]
        other = RegretFit(max(alpha, 0), max(beta, 0), max(weight, 0), offset, 1.0, 0.0)
        error = np.sqrt(((other.at(range(1, 201)) - curve) ** 2).mean())
        assert error >= fit.error - 1e-12


def test_a_curve_that_flattens_has_no_negative_slope():
    curve = 3.0 - 1.0 / TIMES
    fit = fit_regret(curve)
    assert fit.beta >= 0 and fit.lambda_1 >= 0


@pytest.mark.parametrize("curve", [[1.0] * 4, [1.0, float("nan"), 2.0, 3.0, 4.0], [[1.0] * 9]])
def test_what_is_no_curve_is_refused(curve: list[float]):
    with pytest.raises(ValueError, match="expected a list of at least 5 finite numbers"):
        fit_regret(curve)


def test_a_gap_of_nothing_is_refused():
    with pytest.raises(ValueError, match="gap"):
        fit_regret([1.0] * 9, gap=0.0)


def test_the_regret_of_an_episode_is_what_the_arms_say():
    name = "lmenvs/BernoulliBandit-v0?means=[0.9,0.5,0.4]"
    (episode,) = collect(name, "random", [3], noise=2)
    by_hand = []
    for turn in episode.turns:
        means = [float(mean) for mean in (turn.state_key or "").split(",")]
        arms = ["red", "blue", "green"]
        by_hand.append(max(means) - means[arms.index(turn.action.text)])
    assert regrets(episode).tolist() == by_hand and len(set(by_hand)) == 3


def test_a_regret_curve_by_hand():
    # 0.9 is the best chance: blue costs 0.4 and green 0.5, what is no arm 0.9
    actions = ["red", "blue", "hm", "green", "red", "blue"]
    env = BernoulliBandit(means=[0.9, 0.5, 0.4], horizon=6)
    seed = next(s for s in range(99) if env.reset(seed=s) and env.state_key() == "0.9,0.5,0.4")

    class Script:
        version = 0

        def act(self, conversations):
            return [Action(actions[len(c.messages) // 2 - 1]) for c in conversations]

        def forget(self, ids):
            pass

    name = "lmenvs/BernoulliBandit-v0?means=[0.9,0.5,0.4]&horizon=6"
    (episode,) = collect(name, Script(), [seed])
    assert regrets(episode) == pytest.approx([0.0, 0.4, 0.9, 0.5, 0.0, 0.4])
    assert np.cumsum(regrets(episode)) == pytest.approx([0.0, 0.4, 1.3, 1.8, 1.8, 2.2])


@pytest.mark.parametrize(
    "name",
    ["lmenvs/GaussianBandit-v0?spread=2&sigma=3", "lmenvs/ContextualBandit-v0?horizon=20&arms=4"],
)
def test_regret_is_the_best_expectation_minus_that_of_the_action(name: str):
    (episode,) = collect(name, "random", [5])
    env = make(name)
    assert isinstance(env, GaussianBandit | ContextualBandit)
    env.reset(seed=5, options={"noise": episode.noise})
    by_hand = []
    for turn in episode.turns:
        worth = env.expected_rewards()
        by_hand.append(max(worth.values()) - worth[turn.action.text])
        env.step(turn.action.text)
    assert regrets(episode) == pytest.approx(by_hand) and max(by_hand) > 0


def test_the_regret_of_a_split_is_found_in_that_split():
    (episode,) = collect("lmenvs/ContextualBandit-v0?horizon=8", "expert", [0], split="test")
    assert len(regrets(episode)) == 8


def test_an_episode_of_something_else_has_no_regret():
    (episode,) = collect("lmenvs/Microwave-v0", "expert", [0])
    with pytest.raises(ValueError, match="tells no regret"):
        regrets(episode)


def test_an_episode_that_does_not_replay_is_refused():
    one, two = collect("lmenvs/BernoulliBandit-v0", "random", [0, 1])
    mixed = dataclasses.replace(one, turns=two.turns)
    with pytest.raises(ValueError, match="does not replay"):
        regrets(mixed)
