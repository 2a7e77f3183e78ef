"""Exact values and true credit: what each action was worth, computed and not estimated.

Run: python examples/04_exact_values.py
"""

import gymnasium as gym

import lmenvs  # noqa: F401  importing it makes the ids known to gymnasium
from agents.rollout import collect
from algorithms.credit import gae
from lmenvs import exact

env = gym.make("lmenvs/Microwave-v0").unwrapped
best = exact.solve(env)
uniform = exact.solve(env, policy="uniform")
print(f"optimal return {best.start_value:g}, of uniform play {uniform.start_value:g}")

# What one step of uniform play is worth, and what an action adds to it.
(start,) = uniform.start_states
for action in uniform.actions(start):
    value, added = uniform.q(start, action), uniform.advantage(start, action)
    print(f"  {action:<24} q {value:+.3f}  A {added:+.3f}")

# Credit that is estimated from one episode, beside the truth.
(episode,) = collect("lmenvs/Microwave-v0", "random", [1])
keys = [turn.state_key or "" for turn in episode.turns]
values_T = [uniform.value(key, t) for t, key in enumerate(keys)]
rewards_T = [turn.reward for turn in episode.turns]
estimated_T = gae(rewards_T, values_T, discount=1.0, lam=0.0)
print("one episode of random play: the action, one-step GAE on true values, the true advantage")
for t, turn in enumerate(episode.turns):
    truth = uniform.advantage(keys[t], turn.action.text, t)
    print(f"  {turn.action.text:<36} {estimated_T[t]:+.3f}  {truth:+.3f}")

# The partial view hides the position: the best a player can do is less than what an onlooker could.
hidden = gym.make("lmenvs/Maze-v0", observability="partial").unwrapped
player = exact.solve(hidden, information="observation").start_value
onlooker = exact.solve(hidden).start_value
print(f"maze, partial view: {player:.2f} for a player, {onlooker:.2f} for an onlooker")
