"""Score policies on the same tasks, with intervals, and compare them pair by pair.

Run: python examples/02_evaluate_expert.py [--smoke]
"""

import sys

from agents.rollout import evaluate
from lmenvs import scores

episodes = 16 if "--smoke" in sys.argv else 200

for env in ("lmenvs/Maze-v0", "lmenvs/Wordle-v0"):
    # Any policy spec works here: "hf:FOLDER_OR_HUB_ID", "openai:MODEL@URL", "module:function", ...
    expert = evaluate(env, "expert", episodes=episodes, seed=0)
    random = evaluate(env, "random", episodes=episodes, seed=0)
    print(f"{env}, {expert.n} tasks of split {expert.split}")
    for report in (expert, random):
        success, returns = report.success, report.returns
        print(
            f"  {report.policy:<8}"
            f" success {success.mean:.2f} [{success.low:.2f}, {success.high:.2f}]"
            f"   return {returns.mean:.2f} [{returns.low:.2f}, {returns.high:.2f}]"
            f"   normalised {scores.normalise(env, returns.mean):.1f}"
        )
    difference = scores.compare(expert.episodes, random.episodes)
    print(
        f"  expert - random = {difference.difference:.2f} "
        f"[{difference.low:.2f}, {difference.high:.2f}], p = {difference.p:.2g}"
    )
