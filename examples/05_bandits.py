"""Explore and exploit: how fast regret grows, and lessons for a student from an optimal algorithm.

Run: python examples/05_bandits.py [--smoke]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from agents.distillation import demonstrate, few_shot
from agents.rollout import collect
from lmenvs.regret import fit_regret, regrets

episodes = 8 if "--smoke" in sys.argv else 100
env = "lmenvs/BernoulliBandit-v0?arms=5&gap=0.5&horizon=300&scenario=videos"

print(f"{env}, {episodes} tasks")
for rule in ("ucb", "thompson", "greedy", "uniform"):
    # The policies read the conversation only, as a language model would.
    played = collect(env, f"bandit:{rule}", range(episodes), record=False)
    curve_T = np.mean([np.cumsum(regrets(episode)) for episode in played], axis=0)
    fit = fit_regret(curve_T, gap=0.5)
    print(
        f"  {rule:<9} regret after 75, 150, 300 turns: "
        f"{curve_T[74]:5.1f} {curve_T[149]:5.1f} {curve_T[299]:5.1f}   "
        f"{fit.lambda_1:.3f} log(t)^{fit.alpha:.2f} / 0.5 + {fit.beta:.3f} t {fit.lambda_2:+.2f}"
    )

# With a context, LinUCB uses what it is told about each visitor, and UCB does not.
for rule in ("linucb", "ucb"):
    played = collect("lmenvs/ContextualBandit-v0", f"bandit:{rule}", range(episodes), record=False)
    total = np.mean([regrets(episode).sum() for episode in played])
    print(f"  recommending films, {rule}: regret {total:.1f} in 200 turns")

# Algorithm distillation: episodes to imitate (`lmenvs train behaviour_cloning --demonstrations`),
# or a text to put before a model's instructions (agents.distillation.FewShot).
path = Path(tempfile.mkdtemp(prefix="lmenvs-")) / "ucb.jsonl"
lessons = demonstrate(env, "bandit:ucb", range(1000, 1000 + episodes), out=path)
print(f"{len(lessons)} demonstrations in {path}")
print(few_shot(lessons[0], examples=1, skip=4))
