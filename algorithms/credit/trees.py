"""Credit from trees: what a choice changes in the mean return of the episodes that made it.

`prefix_tree` finds the tree in the episodes of a group that happen to begin alike (TEMPO: Tran et
al., Exploiting Tree Structure for Credit Assignment in RL Training of LLMs, 2025). `segment_tree`
is given one that was grown on purpose (SPO-tree: Guo et al., Segment Policy Optimization, 2025).
"""

from collections.abc import Hashable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from .groups import EPSILON, Scale, against_mean, check_choice, codes_of, group_codes
from .ragged import Floats, Indices, split, turn_counts
from .returns import Numbers, numbers, usable

Steps = Sequence[Hashable] | NDArray[np.integer]
"""What an episode did, step by step: texts of turns, token ids, or anything else with a hash."""


def prefix_tree(
    returns_E: Numbers,
    paths_E: Sequence[Steps],
    groups_E: Sequence[Hashable],
    weight: float = 1.0,
    scale: Scale = "std",
) -> list[Floats]:
    """Group credit, corrected where episodes part: A_t = (R - mean + w (V_{t+1} - V_t)) / std.

    V_t is the mean return of the group's episodes that begin with the same t steps, the mean and
    the sample standard deviation (ddof = 1, plus 1e-6) are the group's; `scale="none"` leaves the
    division out. Where nothing branches V does not change and the advantage is `group_relative`.

    Class: biased, though with `scale="none"` only in how much each prefix weighs. After a prefix
    the expected advantage is the true one times (N - 1) / N + w E[(n - 1) / n], n of the N episodes
    having reached it: no action is misjudged against its alternatives, and a prefix that many reach
    weighs up to 1 + w times as much as one that nobody shares. `scale="std"` is biased. Source:
    Tran et al. (2025), prefix-to-tree and the branch-gated advantage; undiscounted, since a
    discount would correct where nothing branches.

    Measured bias with `scale="std"`, in groups of 3, as (cosine to the true gradient, relative
    error): Microwave (0.9930, 0.175), StopOrContinue (0.9574, 3.073), DelayedKey (1.0000,
    1.309), a chain of words (0.9659, 0.690).

    Args:
        returns_E: what each episode earned.
        paths_E: the steps of each episode. A step is all that tells its outcome apart, the action
            and, where the environment is random, the observation that followed.
        groups_E: the task of each episode; trees do not cross groups.
        weight: of the correction; 0 is `group_relative`.
        scale: whether all is divided by the group's standard deviation.

    >>> paths = [["left", "up"], ["left", "down"], ["right", "up"]]
    >>> turns = prefix_tree([3.0, 1.0, 2.0], paths, ["a"] * 3, scale="none")
    >>> [advantages.tolist() for advantages in turns]
    [[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0]]
    """
    check_choice("scale", scale, ("std", "none"))
    if not np.isfinite(weight):
        raise ValueError(f"weight is {weight}; expected a finite number")
    returns = numbers("returns_E", returns_E)
    if len(paths_E) != len(returns):
        raise ValueError(f"{len(paths_E)} paths for {len(returns)} returns; give one per episode")
    turns_E = turn_counts(list(map(len, paths_E)))
    groups = group_codes(groups_E, len(returns))
    # measured from the group's mean, equal returns give exactly 0 everywhere
    centred_E = against_mean(returns, groups, "none")
    steps = codes_of(list(chain.from_iterable(paths_E)))
    flat = np.repeat(centred_E, turns_E) + weight * _corrections(centred_E, steps, turns_E, groups)
    if scale == "std":
        sizes = np.bincount(groups)
        deviations = np.sqrt(np.bincount(groups, centred_E**2) / np.maximum(sizes - 1, 1))
        flat /= np.repeat((deviations + EPSILON)[groups], turns_E)
    return split(flat, turns_E)


def tree_values(returns_N: Numbers, parents_N: Sequence[int] | Indices) -> Floats:
    """The value of every node of a tree: its return at a leaf, elsewhere its children's mean.

    parents_N[n] is the index of the node that n continues, always below n, and -1 for a root.
    returns_N has the return of each leaf, and nan at nodes that have children. Class: unbiased for
    the value of the state at the node, as its children are independent continuations. Source: Guo
    et al. (2025), tree-based advantage estimation.

    >>> nan = float("nan")
    >>> tree_values([nan, nan, 1.0, 1.0, 0.0], [-1, 0, 0, 1, 1]).tolist()
    [0.75, 0.5, 1.0, 1.0, 0.0]
    """
    returns = np.asarray(returns_N, dtype=np.float64)
    parents = _parents(parents_N, len(returns))
    children_N = np.bincount(parents[parents >= 0], minlength=len(returns))
    right = np.where(children_N == 0, usable(returns), np.isnan(returns))
    wrong = np.flatnonzero(~right)
    if len(wrong):
        node = wrong[0]
        raise ValueError(
            f"node {node} has {children_N[node]} children and the return {returns[node]}; expected "
            "a finite return at every leaf and nan at every other node"
        )
    values = np.where(children_N == 0, returns, 0.0).tolist()
    counts = np.maximum(children_N, 1).tolist()
    above = parents.tolist()
    # a node's children all come after it, so their values are complete when it is reached
    for node in reversed(range(len(values))):
        values[node] /= counts[node]
        if above[node] >= 0:
            values[above[node]] += values[node]
    return np.array(values, dtype=np.float64)


def segment_tree(
    returns_N: Numbers, parents_N: Sequence[int] | Indices, scale: Scale = "none"
) -> Floats:
    """The advantage of the segment that leads to each node: A_n = V_n - V_parent(n), 0 at a root.

    The arguments are those of `tree_values`, which gives V. `scale="std"` divides by the sample
    standard deviation of the siblings' values plus 1e-6.

    Class: with `scale="none"` exact up to the factor (k - 1) / k, k being the number of siblings:
    V_parent contains the segment's own child. `scale="std"` is biased. Source: Guo et al. (2025),
    tree-based advantage estimation; as V_parent is the siblings' mean, this is `group_relative`
    over them.

    >>> nan = float("nan")
    >>> segment_tree([nan, nan, 1.0, 1.0, 0.0], [-1, 0, 0, 1, 1]).tolist()
    [0.0, -0.25, 0.25, 0.5, -0.5]
    """
    values = tree_values(returns_N, parents_N)
    parents = _parents(parents_N, len(values))
    _, siblings = np.unique(parents, return_inverse=True)
    advantages_N = against_mean(values, siblings, scale)
    return np.where(parents < 0, 0.0, advantages_N)


def _corrections(values_E: Floats, steps: Indices, turns_E: Indices, groups: Indices) -> Floats:
    # All episodes walk down their trees together, one step at a time. An episode that walks alone
    # has reached a leaf's value and leaves: nothing is corrected there.
    corrections = np.zeros(len(steps))
    kinds = int(steps.max(initial=0)) + 1
    starts_E = np.cumsum(turns_E) - turns_E
    walking = np.arange(len(values_E))
    nodes = groups  # the prefix that each walking episode has reached
    before = (np.bincount(groups, values_E) / np.bincount(groups))[groups]  # its value
    turn = 0
    while len(walking):
        _, nodes, sizes = np.unique(
            nodes * kinds + steps[starts_E[walking] + turn],
            return_inverse=True,
            return_counts=True,
        )
        after = (np.bincount(nodes, values_E[walking]) / sizes)[nodes]
        corrections[starts_E[walking] + turn] = after - before
        turn += 1
        stay = (sizes[nodes] > 1) & (turns_E[walking] > turn)
        walking, nodes, before = walking[stay], nodes[stay], after[stay]
    return corrections


def _parents(parents_N: Sequence[int] | Indices, nodes: int) -> Indices:
    parents = np.asarray(parents_N, dtype=np.intp)
    if parents.shape != (nodes,):
        raise ValueError(f"{len(parents)} parents for {nodes} returns; give one per node")
    wrong = np.flatnonzero((parents < -1) | (parents >= np.arange(nodes)))
    if len(wrong):
        raise ValueError(
            f"node {wrong[0]} has the parent {parents[wrong[0]]}; expected a node before it, "
            "or -1 for a root"
        )
    return parents
