"""Tree credit: it is group credit where nothing branches, and its expectation by enumeration."""

import itertools
from collections.abc import Hashable, Sequence
from math import comb

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.groups import group_relative
from algorithms.credit.trees import prefix_tree, segment_tree, tree_values

SEEDS = range(10)
NAN = float("nan")


def written_out(
    returns: Sequence[float], paths: Sequence[Sequence[Hashable]], groups: Sequence[str], weight
) -> list[list[float]]:
    """The correction by the definition, for every prefix anew."""

    def value(group: str, prefix: Sequence[Hashable]) -> float:
        same = [
            earned
            for earned, path, its in zip(returns, paths, groups, strict=True)
            if its == group and list(path[: len(prefix)]) == list(prefix)
        ]
        return float(np.mean(same))

    centred = group_relative(returns, groups, scale="none")
    return [
        [
            centred[e] + weight * (value(groups[e], path[: t + 1]) - value(groups[e], path[:t]))
            for t in range(len(path))
        ]
        for e, path in enumerate(paths)
    ]


def random_episodes(seed: int) -> tuple[list[float], list[list[str]], list[str]]:
    generator = np.random.default_rng((seed, 33))
    lengths = generator.integers(1, 7, size=25).tolist()
    paths = [[f"go {way}" for way in generator.integers(0, 2, size=turns)] for turns in lengths]
    groups = [f"task {pick}" for pick in generator.integers(0, 3, size=25)]
    return generator.normal(size=25).tolist(), paths, groups


@pytest.mark.parametrize("weight", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_advantages_are_those_of_the_definition(seed: int, weight: float):
    returns, paths, groups = random_episodes(seed)
    advantages = prefix_tree(returns, paths, groups, weight, scale="none")
    for found, expected in zip(
        advantages, written_out(returns, paths, groups, weight), strict=True
    ):
        assert found == approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_both_parts_are_divided_by_the_deviation_of_the_groups_returns(seed: int):
    returns, paths, groups = random_episodes(seed)
    plain = prefix_tree(returns, paths, groups, scale="none")
    scaled = prefix_tree(returns, paths, groups, scale="std")
    for episode, group in enumerate(groups):
        members = [earned for earned, its in zip(returns, groups, strict=True) if its == group]
        deviation = np.std(members, ddof=1) if len(members) > 1 else 0.0
        assert scaled[episode] == approx(plain[episode] / (deviation + 1e-6), abs=1e-9)


@pytest.mark.parametrize("scale", ["std", "none"])
@pytest.mark.parametrize("seed", SEEDS)
def test_where_nothing_branches_it_is_the_group_relative_advantage(seed: int, scale):
    generator = np.random.default_rng((seed, 34))
    returns = generator.normal(size=9)
    groups = [f"task {pick}" for pick in generator.integers(0, 3, size=9)]
    # the last step parts the episodes of a group; before it they are as one
    paths = [["open", "put", "close", f"ending {episode}"] for episode in range(9)]
    expected = group_relative(returns, groups, scale)
    for episode, found in enumerate(prefix_tree(returns, paths, groups, scale=scale)):
        assert found[:3] == approx(np.full(3, expected[episode]), abs=1e-12)


def test_after_its_last_companion_left_an_episode_is_not_corrected():
    paths = [["a", "b", "c"], ["a", "d", "c"]]
    advantages = prefix_tree([1.0, 0.0], paths, ["g", "g"], scale="none")
    assert [turns.tolist() for turns in advantages] == [[0.5, 1.0, 0.5], [-0.5, -1.0, -0.5]]


def test_equal_returns_and_groups_of_one_give_exactly_zero():
    returns = [0.1, 0.1, 0.1, 0.7]
    paths = [["a", "b"], ["a", "c"], ["d"], ["a"]]
    for turns in prefix_tree(returns, paths, ["equal"] * 3 + ["single"]):
        assert not turns.any()


def test_tokens_are_steps_as_well_as_texts():
    texts = prefix_tree([1.0, 0.0], [["x", "y"], ["x", "z"]], ["g", "g"])
    tokens = prefix_tree([1.0, 0.0], [np.array([7, 8]), np.array([7, 9])], ["g", "g"])
    for one, other in zip(texts, tokens, strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize("weight", [0.0, 1.0, 0.5])
def test_in_expectation_each_prefix_gets_its_true_gradient_times_a_known_factor(weight: float):
    # two binary choices; P(1) after each prefix, and what each of the four endings earns
    odds: dict[tuple[int, ...], float] = {(): 0.3, (0,): 0.6, (1,): 0.2}
    worth = {(0, 0): 1.0, (0, 1): -0.5, (1, 0): 0.25, (1, 1): 2.0}
    members = 3

    def probability(path: tuple[int, ...]) -> float:
        steps = [(odds[path[:t]], path[t]) for t in range(2)]
        return float(np.prod([p if step else 1 - p for p, step in steps]))

    found = dict.fromkeys(odds, 0.0)
    for group in itertools.product(worth, repeat=members):
        chance = np.prod([probability(path) for path in group])
        returns = [worth[path] for path in group]
        credit = prefix_tree(returns, group, ["g"] * members, weight, scale="none")
        for path, turns in zip(group, credit, strict=True):
            for t, advantage in enumerate(turns):
                score = path[t] - odds[path[:t]]  # d log p(step) / d logit
                found[path[:t]] += chance * advantage * score / members
    value = {
        (way,): (1 - odds[way,]) * worth[way, 0] + odds[way,] * worth[way, 1] for way in (0, 1)
    }
    reach: dict[tuple[int, ...], float] = {(): 1.0, (0,): 1 - odds[()], (1,): odds[()]}
    gap: dict[tuple[int, ...], float] = {(): value[1,] - value[0,], (0,): -1.5, (1,): 1.75}
    for prefix, p in odds.items():
        shared = sum(  # E[(n - 1) / n] over how many others reached the prefix as well
            comb(members - 1, others)
            * reach[prefix] ** others
            * (1 - reach[prefix]) ** (members - 1 - others)
            * (others / (others + 1))
            for others in range(members)
        )
        true = reach[prefix] * p * (1 - p) * gap[prefix]
        assert found[prefix] == approx((2 / 3 + weight * shared) * true, abs=1e-12)


def test_a_parents_value_is_its_childrens_mean_and_not_its_leaves():
    # the first child has three leaves, the second is one: 1/2 (1/3) + 1/2 (1), not 2/4
    returns = [NAN, NAN, 1.0, 1.0, 0.0, 0.0]
    parents = [-1, 0, 0, 1, 1, 1]
    assert tree_values(returns, parents) == approx([2 / 3, 1 / 3, 1.0, 1.0, 0.0, 0.0])
    third = 1 / 3
    expected = [0.0, -third, third, 2 * third, -third, -third]
    assert segment_tree(returns, parents) == approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_along_a_path_segments_add_up_from_the_root_to_the_leafs_return(seed: int):
    generator = np.random.default_rng((seed, 35))
    parents = [-1] + [int(generator.integers(0, node)) for node in range(1, 30)]
    inner = set(parents)
    returns = [NAN if node in inner else generator.normal() for node in range(30)]
    advantages, values = segment_tree(returns, parents), tree_values(returns, parents)
    for node in range(30):
        if node in inner:
            continue
        total, above = 0.0, node
        while above >= 0:
            total, above = total + advantages[above], parents[above]
        assert values[0] + total == approx(returns[node])


def test_segments_are_group_relative_among_siblings():
    returns = [NAN, NAN, 1.0, 2.0, 0.0, 5.0]
    parents = [-1, 0, 0, 1, 1, 1]
    values = tree_values(returns, parents)
    for scale in ("std", "none"):
        expected = group_relative(values[1:], parents[1:], scale)
        assert segment_tree(returns, parents, scale)[1:] == approx(expected)


def test_equal_siblings_give_exactly_zero():
    returns = [NAN, 0.1, 0.1, 0.1]
    assert segment_tree(returns, [-1, 0, 0, 0], scale="std").tolist() == [0.0] * 4


def test_an_only_child_is_a_group_of_one_and_gives_zero():
    for scale in ("std", "none"):
        assert segment_tree([NAN, NAN, 0.7], [-1, 0, 1], scale).tolist() == [0.0] * 3


def test_wrong_arguments_are_refused_in_one_line():
    with pytest.raises(ValueError, match="1 paths for 2 returns; give one per episode"):
        prefix_tree([1.0, 0.0], [["a"]], ["g", "g"])
    with pytest.raises(ValueError, match="episode 1 has 0 turns"):
        prefix_tree([1.0, 0.0], [["a"], []], ["g", "g"])
    for weight in (NAN, float("inf")):
        with pytest.raises(ValueError, match=f"weight is {weight}; expected a finite number"):
            prefix_tree([1.0, 0.0], [["a"], ["b"]], ["g", "g"], weight)
    with pytest.raises(ValueError, match="node 0 has 1 children and the return inf"):
        segment_tree([float("inf"), 1.0], [-1, 0])
    with pytest.raises(ValueError, match="node 0 has 1 children and the return 1"):
        segment_tree([1.0, 1.0], [-1, 0])
    with pytest.raises(ValueError, match="node 1 has 0 children and the return nan"):
        segment_tree([NAN, NAN], [-1, 0])
    with pytest.raises(ValueError, match="node 1 has the parent 1; expected a node before it"):
        segment_tree([1.0, 1.0], [-1, 1])
    with pytest.raises(ValueError, match="1 parents for 2 returns; give one per node"):
        segment_tree([NAN, 1.0], [-1])
