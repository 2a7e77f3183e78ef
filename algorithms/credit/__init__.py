"""Credit assignment: which action earned how much. Pure functions on numpy arrays, no torch.

| file | what it compares an action with |
|---|---|
| returns | nothing, or a critic's values per turn; the time convention of all files |
| tokens, macro | a critic's values per token, or per run of tokens |
| flattened | (the foil of tokens, which counts the environment's) |
| groups, beta | the returns of other plays of the task |
| turn_baselines, anchors | other plays at the same turn, or in the same state |
| strata, phases | other plays that are built alike, or their same phase |
| trees, siblings, segments | other ways on from the same beginning |
| tracker | what the task has returned so far |
| penalties | (what is taken off the rewards before) |
"""

from .anchors import group_in_group
from .beta import beta_normalised, beta_shape
from .flattened import flattened_gae
from .groups import (
    equal_groups,
    greedy_baseline,
    group_relative,
    identical_credit,
    leave_one_out,
    spread,
)
from .macro import macro_action_gae, ngram_macros, phrase_macros, sentence_macros, turn_macros
from .penalties import penalised_rewards
from .phases import phase_factored
from .returns import discounted_returns, explained_variance, gae, lambda_targets
from .segments import (
    low_probability_segments,
    probability_mask,
    segment_advantages,
    spread_segments,
)
from .siblings import pivotal, shared_prefix_turns, sibling_relative
from .strata import stratified
from .tokens import (
    action_decomposition_gae,
    bilevel_gae,
    dual_discount_gae,
    token_gae,
)
from .tracker import (
    initial_tracker,
    task_probabilities,
    tracked_advantages,
    tracked_values,
    updated_tracker,
)
from .trees import prefix_tree, segment_tree, tree_values
from .turn_baselines import turn_index_normalised, turn_leave_one_out

__all__ = [
    "action_decomposition_gae",
    "beta_normalised",
    "beta_shape",
    "bilevel_gae",
    "discounted_returns",
    "dual_discount_gae",
    "equal_groups",
    "explained_variance",
    "flattened_gae",
    "gae",
    "greedy_baseline",
    "group_in_group",
    "group_relative",
    "identical_credit",
    "initial_tracker",
    "lambda_targets",
    "leave_one_out",
    "low_probability_segments",
    "macro_action_gae",
    "ngram_macros",
    "penalised_rewards",
    "phase_factored",
    "phrase_macros",
    "pivotal",
    "prefix_tree",
    "probability_mask",
    "segment_advantages",
    "segment_tree",
    "sentence_macros",
    "shared_prefix_turns",
    "sibling_relative",
    "spread",
    "spread_segments",
    "stratified",
    "task_probabilities",
    "token_gae",
    "tracked_advantages",
    "tracked_values",
    "tree_values",
    "turn_index_normalised",
    "turn_leave_one_out",
    "turn_macros",
    "updated_tracker",
]
