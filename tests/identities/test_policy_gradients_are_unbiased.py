"""The expected gradient of each estimator is the gradient of the expected return, by enumeration.

Microwave with a softmax over the admissible actions of each of its three states: every episode is
listed with its probability, given to `credit` and `losses`, and the expectation of their gradient
compared with finite differences of the exact value. Estimators that are known to be biased must
differ, which shows that the comparison can fail.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from algorithms import losses
from algorithms.credit import discounted_returns, gae, group_relative, leave_one_out
from lmenvs.exact import Solution, solve
from lmenvs.registration import make

STATES = ("0", "1", "2")
ACTIONS = {
    "0": ["open the microwave", "close the microwave"],
    "1": ["put the pancake in the microwave"],
}
ACTIONS["2"] = ACTIONS["0"]
WIDTH = 2
LOGITS = np.array(
    [[0.3, -0.4], [0.7, 0.0], [-0.2, 0.5]]
)  # a policy that is neither good nor uniform
TURNS = 5


@dataclass(frozen=True)
class Play:
    """One possible episode: what was done where, and what it earned."""

    states: tuple[int, ...]
    actions: tuple[int, ...]
    rewards: tuple[float, ...]


def probabilities(state: int, logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits[state, : len(ACTIONS[STATES[state]])])
    return weights / weights.sum()


def exact(logits: np.ndarray) -> Solution:
    def policy(key: str, actions: list[str]) -> list[float]:
        assert actions == ACTIONS[key]
        return probabilities(int(key), logits).tolist()

    return solve(make("lmenvs/Microwave-v0"), policy=policy)


@cache
def true_gradient() -> np.ndarray:
    """Central differences of the exact start value in each logit."""
    slopes = np.zeros_like(LOGITS)
    step = 1e-5
    for index in np.ndindex(LOGITS.shape):
        nudge = np.zeros_like(LOGITS)
        nudge[index] = step
        ahead, behind = exact(LOGITS + nudge).start_value, exact(LOGITS - nudge).start_value
        slopes[index] = (ahead - behind) / (2 * step)
    return slopes


@cache
def plays() -> list[Play]:
    """Every episode of the game under admissible actions."""
    env = make("lmenvs/Microwave-v0")
    env.reset(seed=0)

    def extend(play: Play) -> Iterator[Play]:
        here, state = env.snapshot(), env.state_key()
        for index, action in enumerate(ACTIONS[state]):
            env.restore(here)
            _, reward, terminated, _, _ = env.step(action)
            longer = Play(
                (*play.states, int(state)), (*play.actions, index), (*play.rewards, reward)
            )
            if terminated:
                yield longer
            else:
                yield from extend(longer)

    return list(extend(Play((), (), ())))


def likelihood(play: Play) -> float:
    chances = [
        probabilities(state, LOGITS)[action]
        for state, action in zip(play.states, play.actions, strict=True)
    ]
    return float(np.prod(chances))


def values_before(play: Play, of: Solution) -> list[float]:
    return [of.value(STATES[state], turn) for turn, state in enumerate(play.states)]


def expected_gradient(advantages_ET: list[np.ndarray], loss: str = "policy_gradient") -> np.ndarray:
    """Minus the gradient of the expected loss: each play weighs in with its probability."""
    logits = torch.tensor(LOGITS, requires_grad=True)
    allowed = torch.tensor([[True, True], [True, False], [True, True]])
    table = torch.where(allowed, logits, -1e9).log_softmax(-1)
    shape = (len(plays()), TURNS)
    states, actions = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    mask, weighted = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape)
    for row, (play, advantages_T) in enumerate(zip(plays(), advantages_ET, strict=True)):
        turns = len(advantages_T)
        states[row, :turns] = torch.tensor(play.states[:turns])
        actions[row, :turns] = torch.tensor(play.actions[:turns])
        weighted[row, :turns] = torch.from_numpy(likelihood(play) * advantages_T)
        mask[row, :turns] = True
    logprobs: Tensor = table[states, actions]
    if loss == "ppo_clip":
        output = losses.ppo_clip(logprobs, logprobs.detach(), weighted, mask, total=1)
    else:
        output = losses.policy_gradient(logprobs, weighted, mask, total=1)
    (slopes,) = torch.autograd.grad(output.loss, logits)
    return -slopes.numpy()


def in_groups_of_three(
    estimate: Callable[[list[float], list[str]], np.ndarray],
) -> list[np.ndarray]:
    """Each play's mean advantage over every group of three it can be in, spread over its turns."""
    chances = [likelihood(play) for play in plays()]
    returns = [sum(play.rewards) for play in plays()]
    means = np.zeros(len(returns))
    for group in itertools.product(range(len(returns)), repeat=3):
        advantages = estimate([returns[index] for index in group], ["task"] * 3)
        chance = np.prod([chances[index] for index in group])
        for index, advantage in zip(group, advantages, strict=True):
            means[index] += chance * advantage / 3 / chances[index]
    return [np.full(len(p.rewards), mean) for p, mean in zip(plays(), means, strict=True)]


def test_the_enumeration_is_complete_and_agrees_with_the_exact_value():
    assert sum(likelihood(play) for play in plays()) == pytest.approx(1.0)
    mean = sum(likelihood(play) * sum(play.rewards) for play in plays())
    assert mean == pytest.approx(exact(LOGITS).start_value)
    assert np.abs(true_gradient()[0]).min() > 0.1  # there is something to estimate


@pytest.mark.parametrize("loss", ["policy_gradient", "ppo_clip"])
def test_reinforce_with_monte_carlo_returns_is_unbiased(loss: str):
    advantages = [discounted_returns(play.rewards, discount=1.0) for play in plays()]
    assert expected_gradient(advantages, loss) == pytest.approx(true_gradient(), abs=1e-6)


def test_the_whole_episodes_return_on_every_turn_is_unbiased():
    advantages = [np.full(len(play.rewards), sum(play.rewards)) for play in plays()]
    assert expected_gradient(advantages) == pytest.approx(true_gradient(), abs=1e-6)


def test_gae_with_lambda_one_is_unbiased_for_any_values_of_the_states():
    wrong = np.array([3.0, -1.0, 0.5])
    advantages = [gae(p.rewards, wrong[list(p.states)], 1.0, 1.0) for p in plays()]
    assert expected_gradient(advantages) == pytest.approx(true_gradient(), abs=1e-6)


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.9])
def test_gae_with_any_lambda_is_unbiased_for_the_true_values_only(lam: float):
    truth = exact(LOGITS)
    right = [gae(p.rewards, values_before(p, truth), 1.0, lam) for p in plays()]
    assert expected_gradient(right) == pytest.approx(true_gradient(), abs=1e-6)
    wrong = [gae(p.rewards, np.zeros(len(p.rewards)), 1.0, lam) for p in plays()]
    assert np.abs(expected_gradient(wrong) - true_gradient()).max() > 0.01


def test_leave_one_out_is_unbiased():
    advantages = in_groups_of_three(leave_one_out)
    assert expected_gradient(advantages) == pytest.approx(true_gradient(), abs=1e-6)


def test_group_relative_without_scale_is_unbiased_up_to_the_factor_two_thirds():
    advantages = in_groups_of_three(lambda r, g: group_relative(r, g, scale="none"))
    assert expected_gradient(advantages) == pytest.approx(true_gradient() * 2 / 3, abs=1e-6)


def test_division_by_the_standard_deviation_makes_group_relative_biased():
    slopes = expected_gradient(in_groups_of_three(group_relative))
    assert np.abs(slopes - true_gradient()).max() > 0.01


def test_at_truncation_only_the_value_of_the_cut_state_keeps_the_gradient():
    """Cut after three turns: the gradient of those turns' choices is that of the whole game."""
    truth, cut = exact(LOGITS), 3
    full = [gae(p.rewards, values_before(p, truth), 1.0, 1.0)[:cut] for p in plays()]
    expected = expected_gradient(full)

    def cut_short(bootstrapped: bool) -> list[np.ndarray]:
        advantages: list[np.ndarray] = []
        for play in plays():
            truncated = len(play.states) > cut
            behind = values_before(play, truth)[cut] if truncated and bootstrapped else 0.0
            advantages.append(discounted_returns(play.rewards[:cut], 1.0, behind))
        return advantages

    assert expected_gradient(cut_short(bootstrapped=True)) == pytest.approx(expected, abs=1e-6)
    assert np.abs(expected_gradient(cut_short(bootstrapped=False)) - expected).max() > 0.01
