"""Credit that is measured and not believed: estimators beside the true advantages.

Run: python examples/07_measure_credit.py; `lmenvs bench credit` does this for every estimator, on
every environment with exact values.
"""

import numpy as np

from agents.rollout import collect
from agents.tabular import TabularSoftmaxPolicy
from algorithms.credit import group_in_group, group_relative, leave_one_out, spread
from algorithms.truth import cosine, parameters, true_gradient, weighted_scores
from lmenvs import exact

ENV = "lmenvs/Microwave-v0"
OPEN, CLOSE = "open the microwave", "close the microwave"
policy = TabularSoftmaxPolicy({"0": {OPEN: 0.5}, "2": {CLOSE: 0.5}})
solution = exact.solve(ENV, policy=policy)
print(f"the policy is worth {solution.start_value:.3f}, the best one 1")

# Groups of eight plays, and what every action in them was truly worth to this policy.
episodes = collect(ENV, policy, range(64), group_size=8)
groups_E = [episode.group for episode in episodes]
turns_E = [len(episode.turns) for episode in episodes]
returns_E = [episode.total_reward for episode in episodes]
rewards_ET = [[turn.reward for turn in episode.turns] for episode in episodes]
keys_ET = [[str(turn.state_key) for turn in episode.turns] for episode in episodes]
taken = [
    (str(turn.state_key), turn.action.text, t)
    for episode in episodes
    for t, turn in enumerate(episode.turns)
]
truth = np.array([solution.advantage(key, action, t) for key, action, t in taken])

# A policy is a table here, so the gradient that advantages make can be compared with the true one.
table = parameters(ENV, policy)
places = np.array([table.places[key, action] for key, action, _ in taken])
wanted = true_gradient(ENV, policy)

estimates = {
    "truth": truth,
    "RLOO": np.concatenate(spread(leave_one_out(returns_E, groups_E), turns_E)),
    "GRPO": np.concatenate(spread(group_relative(returns_E, groups_E), turns_E)),
    "GiGPO": np.concatenate(group_in_group(rewards_ET, keys_ET, groups_E, discount=0.95)),
}
print(f"{len(truth)} turns of {len(episodes)} episodes")
print("estimator  sign right where an action matters  correlation  cosine to the true gradient")
matters = np.abs(truth) > 1e-9
for name, estimated in estimates.items():
    right = np.mean(np.sign(estimated[matters]) == np.sign(truth[matters]))
    correlation = np.corrcoef(estimated, truth)[0, 1]
    direction = cosine(weighted_scores(table, places, estimated), wanted)
    print(f"{name:<10} {right:>35.1%} {correlation:>12.3f} {direction:>28.4f}")
