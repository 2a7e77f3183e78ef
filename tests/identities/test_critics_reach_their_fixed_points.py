"""Tables trained with the critics' losses end at the values that dynamic programming gives.

A chain of three states: `on` leads right (from the last state out, with reward 1), `back` leads to
the first state at a cost of 0.2.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import losses

DISCOUNT = 0.9
ON, BACK = 0, 1
STATES = 3
POLICY = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]])  # quarters: see `situations`
REWARDS = np.array([[0.0, -0.2], [0.0, -0.2], [1.0, -0.2]])
NEXT = np.array([[1, 0], [2, 0], [2, 0]])
TERMINATED = np.array([[False, False], [False, False], [True, False]])


def policy_values() -> tuple[np.ndarray, np.ndarray]:
    """Exact policy evaluation: V = (1 - discount P)^-1 r, and Q from it."""
    transition, reward = np.zeros((STATES, STATES)), (POLICY * REWARDS).sum(axis=1)
    for state, action in np.ndindex(POLICY.shape):
        if not TERMINATED[state, action]:
            transition[state, NEXT[state, action]] += POLICY[state, action]
    values = np.linalg.solve(np.eye(STATES) - DISCOUNT * transition, reward)
    return values, REWARDS + DISCOUNT * ~TERMINATED * values[NEXT]


def best_values() -> np.ndarray:
    """Value iteration."""
    values = np.zeros(STATES)
    for _ in range(500):
        values = (REWARDS + DISCOUNT * ~TERMINATED * values[NEXT]).max(axis=1)
    return values


@dataclass
class Heads:
    """A double critic on tables, online or target."""

    q: Tensor  # [head, state, action]
    v: Tensor  # [head, state]


def situations() -> tuple[Tensor, Tensor, Tensor]:
    """Every (state, action taken, action resampled), the resampled one as often as the policy says.

    Probabilities are quarters, so that four rows stand for the policy's distribution exactly.
    """
    rows = [
        (state, taken, again)
        for state in range(STATES)
        for taken in range(2)
        for again in range(2)
        for _ in range(round(4 * POLICY[state, again]))
    ]
    state, taken, again = torch.tensor(rows).T
    return state, taken, again


def train_archer(sweeps: int, learning_rate: float, polyak: float) -> Heads:
    generator = torch.Generator().manual_seed(0)
    online = Heads(
        torch.randn(2, STATES, 2, generator=generator).requires_grad_(),
        torch.randn(2, STATES, generator=generator).requires_grad_(),
    )
    target = Heads(online.q.detach().clone(), online.v.detach().clone())
    state, taken, again = situations()
    reward = torch.tensor(REWARDS, dtype=torch.float32)[state, taken]
    goes_on = torch.from_numpy(~TERMINATED)[state, taken].float()
    after = torch.from_numpy(NEXT)[state, taken]
    for _ in range(sweeps):
        y_q = reward + DISCOUNT * goes_on * target.v[:, after]
        y_v = target.q[:, state, again]
        q, v = online.q[:, state, taken], online.v[:, state]
        output = losses.archer_critic(
            q[:1],
            q[1:],
            v[:1],
            v[1:],
            targets_for_q1=y_q[:1],
            targets_for_q2=y_q[1:],
            targets_for_v1=y_v[:1],
            targets_for_v2=y_v[1:],
            mask=torch.ones(1, len(state)),
        )
        q_slope, v_slope = torch.autograd.grad(output.loss, [online.q, online.v])
        with torch.no_grad():
            online.q -= learning_rate * q_slope
            online.v -= learning_rate * v_slope
            target.q += polyak * (online.q - target.q)
            target.v += polyak * (online.v - target.v)
    return Heads(online.q.detach(), online.v.detach())


def test_the_fixed_point_of_archers_turn_level_learning_is_exact_policy_evaluation():
    values, action_values = policy_values()
    heads = train_archer(sweeps=400, learning_rate=1.5, polyak=0.5)
    for head in range(2):
        assert heads.v[head].numpy() == approx(values, abs=1e-4)
        assert heads.q[head].numpy() == approx(action_values, abs=1e-4)
    # the two heads began apart, and the advantage that the actor reads is the true one
    advantages = heads.q.min(dim=0).values - heads.v.min(dim=0).values[:, None]
    assert advantages.numpy() == approx(action_values - values[:, None], abs=1e-4)
    assert (POLICY * advantages.numpy()).sum(axis=1) == approx(np.zeros(STATES), abs=1e-4)


def train_by_expectile(tau: float, sweeps: int = 200) -> np.ndarray:
    """Implicit Q-learning on tables, with each action equally often in the data."""
    values = torch.zeros(1, STATES, requires_grad=True)
    for _ in range(sweeps):
        following = values.detach()[0, torch.from_numpy(NEXT)]
        goes_on = torch.from_numpy(~TERMINATED).float()
        action_values = torch.tensor(REWARDS, dtype=torch.float32) + DISCOUNT * goes_on * following
        predictions = values.expand(2, STATES)
        mask = torch.ones(2, STATES, dtype=torch.bool)
        output = losses.expectile(predictions, action_values.T, mask, tau)
        (slope,) = torch.autograd.grad(output.loss, values)
        with torch.no_grad():
            values -= STATES * slope
    return values.detach()[0].numpy()


def test_the_expectile_critic_approaches_the_best_value_as_tau_goes_to_one():
    best = best_values()
    gaps = [np.abs(train_by_expectile(tau) - best).max() for tau in (0.5, 0.9, 0.99, 0.9999)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.3
    assert gaps[-1] < 1e-3


@pytest.mark.parametrize("tau", [0.5, 0.9])
def test_the_expectile_of_two_actions_weighs_the_better_one_with_tau(tau: float):
    values = train_by_expectile(tau)
    action_values = REWARDS + DISCOUNT * ~TERMINATED * values[NEXT]
    mixed = tau * action_values.max(axis=1) + (1 - tau) * action_values.min(axis=1)
    assert values == approx(mixed, abs=1e-4)


def train_implicitly(tau: float, sweeps: int = 300) -> Heads:
    """ArCHer's critic on data in which each action is equally frequent, without asking a policy."""
    online = Heads(
        torch.zeros(2, STATES, 2, requires_grad=True), torch.zeros(2, STATES, requires_grad=True)
    )
    state, action = torch.tensor([(s, a) for s in range(STATES) for a in range(2)]).T
    reward = torch.tensor(REWARDS, dtype=torch.float32)[state, action]
    goes_on = torch.from_numpy(~TERMINATED)[state, action].float()
    after = torch.from_numpy(NEXT)[state, action]
    for _ in range(sweeps):
        y_q = reward + DISCOUNT * goes_on * online.v.detach()[:, after]
        y_v = online.q.detach()[:, state, action]
        q, v = online.q[:, state, action], online.v[:, state]
        output = losses.archer_critic(
            q[:1],
            q[1:],
            v[:1],
            v[1:],
            targets_for_q1=y_q[:1],
            targets_for_q2=y_q[1:],
            targets_for_v1=y_v[:1],
            targets_for_v2=y_v[1:],
            mask=torch.ones(1, len(state)),
            tau=tau,
        )
        q_slope, v_slope = torch.autograd.grad(output.loss, [online.q, online.v])
        with torch.no_grad():
            online.q -= 2.0 * q_slope
            online.v -= 1.0 * v_slope
    return Heads(online.q.detach(), online.v.detach())


def test_archers_implicit_critic_with_tau_a_half_evaluates_whoever_made_the_data():
    transition = np.zeros((STATES, STATES))
    for state, action in np.ndindex(REWARDS.shape):
        if not TERMINATED[state, action]:
            transition[state, NEXT[state, action]] += 0.5
    values = np.linalg.solve(np.eye(STATES) - DISCOUNT * transition, REWARDS.mean(axis=1))
    heads = train_implicitly(0.5)
    assert heads.v[0].numpy() == approx(values, abs=1e-4)
    following = DISCOUNT * ~TERMINATED * values[NEXT]
    assert heads.q[1].numpy() == approx(REWARDS + following, abs=1e-4)


@pytest.mark.parametrize("tau", [0.7, 0.9])
def test_archers_implicit_critic_has_the_expectiles_fixed_point(tau: float):
    assert train_implicitly(tau).v[0].numpy() == approx(train_by_expectile(tau), abs=1e-4)
