"""Tree search: statistics by hand, and the actions that exact values call best."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pytest import approx

from agents.branching import branch
from agents.rollout import collect
from algorithms.preferences.mcts import Search, Tree, search_trees, tree_pairs
from algorithms.preferences.pairs import Pair
from lmenvs.exact import solve
from lmenvs.types import Action, Episode, Turn
from tests.support.training import MICROWAVE

STOP = "lmenvs/StopOrContinue-v0?turns=3"
ICE = "lmenvs/FrozenLakeText-v0"


def forks_in(env: str, policy: str = "random", **options: Any):
    """Ways on in an environment, for the search."""

    def fork(
        episodes: Sequence[Episode], turns: Any, ways: int, ancestors: Iterable[Episode]
    ) -> list[Episode]:
        return branch(env, policy, episodes, turns, ways, ancestors=ancestors, **options)

    return fork


SHORT = Search()


def searched(env: str, seeds: Sequence[int] = (0,), search: Search = SHORT, **options: Any):
    roots = collect(env, "random", seeds, **options)
    return search_trees(roots, forks_in(env, **options), search)


# a world of two turns: the first action is the second observation
REWARDS = {"l": 0.0, "r": 1.0, "x": 4.0, "y": -2.0}


def play(name: str, said: str, parent: tuple[str, int] | None = None) -> Episode:
    seen = ["", *said]
    turns = tuple(Turn(seen[t], Action(a), REWARDS[a]) for t, a in enumerate(said))
    return Episode(
        name, "e", 0, "all", "i", turns, said[-1], True, False, False, "g", parent=parent
    )


def scripted(said: Sequence[Sequence[str]]):
    """Each call to fork gives the next of these."""
    calls = iter(said)

    def fork(
        episodes: Sequence[Episode], turns: Any, ways: int, ancestors: Iterable[Episode]
    ) -> list[Episode]:
        (one,) = episodes
        (turn,) = turns(one)
        return [play(f"{one.id}/{turn}.{n}", s, (one.id, turn)) for n, s in enumerate(next(calls))]

    return fork


@pytest.mark.parametrize("bonus", ["puct", "uct"])
def test_tree_statistics_by_hand(bonus: Any):
    # the root is opened by lx (4), ly (-2), rx (5); then both bonuses choose r: (5, 1 visit)
    # against l (mean 1, 2 visits); behind r: rx (4) and ry (-2), with the 1 on the way 5 and -1
    fork = scripted([["lx", "ly", "rx"], ["rx", "ry", "ry"]])
    search = Search(simulations=2, ways=3, bonus=bonus, exploration=0.5)
    (tree,) = search_trees([play("start", "lx")], fork, search)
    left, right = tree.root.edges["l"], tree.root.edges["r"]
    assert (left.visits, left.value, left.said) == (2, 1.0, 2)
    assert (right.visits, right.total, right.said) == (4, 5 + 5 - 1 - 1, 1)
    (behind,) = right.outcomes.values()
    assert (behind.seen, behind.walked, behind.reward) == (1, 4, 1.0)
    assert {a: (e.visits, e.value) for a, e in behind.node.edges.items()} == {
        "x": (1, 4.0),
        "y": (2, -2.0),
    }
    assert tree.root.visits == 6 and len(tree.nodes()) == 2


def test_discounted_returns_are_backed_up():
    fork = scripted([["lx", "rx"], ["rx", "ry"]])
    (tree,) = search_trees([play("s", "lx")], fork, Search(simulations=2, ways=2, discount=0.5))
    # 0 + 2, 1 + 2; then behind r: 1 + 0.5 * 4 and 1 + 0.5 * -2
    assert tree.root.edges["l"].total == 2.0
    assert tree.root.edges["r"].total == 3.0 + 3.0 + 0.0


def test_an_end_is_visited_again_without_playing():
    fork = scripted([["l", "r"]])  # a second call would have nothing to give
    (tree,) = search_trees([play("s", "l")], fork, Search(simulations=3, ways=2, exploration=0.0))
    assert {a: (e.visits, e.value) for a, e in tree.root.edges.items()} == {
        "l": (1, 0.0),
        "r": (3, 1.0),
    }


def test_a_leaf_whose_ways_on_all_broke_counts_what_was_earned_once():
    fork = scripted([["lx", "ry"], []])
    search = Search(simulations=3, ways=2, exploration=0.0)
    (tree,) = search_trees([play("s", "lx")], fork, search)
    assert (tree.root.edges["l"].visits, tree.root.edges["l"].value) == (3, 4.0)


def test_walks_follow_each_answer_as_often_as_it_was_given():
    tree = Tree(play("s", "lx"), Search(ways=2))

    def answered(name: str, answer: str) -> Episode:
        one = play(name, "lx", ("s", 0))
        return replace(one, turns=(one.turns[0], replace(one.turns[1], observation=answer)))

    ways = [answered(f"w{n}", "a" if n < 3 else "b") for n in range(4)]
    tree.grow([], tree.root, ways)
    (edge,) = tree.root.edges.values()
    taken = []
    for _ in range(8):
        steps, leaf = tree.walk()
        taken.append(leaf.episode.turns[1].observation)
        steps[0][1].walked += 1
    assert taken.count("a") == 6 and taken.count("b") == 2
    assert edge.said == 4


WIDE = Search(simulations=96, ways=6, bonus="uct", exploration=2.0)


def chosen(episode: Episode, turn: int) -> tuple[str, str]:
    """The state and the action there."""
    taken = episode.turns[turn]
    assert taken.state_key is not None
    return taken.state_key, taken.action.text


@pytest.mark.parametrize("bonus", ["puct", "uct"])
@pytest.mark.parametrize("env", [MICROWAVE, STOP])
def test_the_best_actions_are_those_of_the_exact_solution(env: str, bonus: Any):
    search = Search(simulations=96, ways=6, bonus=bonus, exploration=2.0, discount=0.9)
    (tree,) = searched(env, search=search)
    exact = solve(env, discount=0.9)
    compared = tree.compared(least=3)
    assert len(compared) >= 2 and compared[0][0] is tree.root
    for node, best, worst in compared:
        q = {
            action: exact.q(*chosen(e.episode, node.turn), node.turn)
            for action, e in node.edges.items()
        }
        assert q[chosen(best.episode, node.turn)[1]] == max(q.values())
        assert q[chosen(worst.episode, node.turn)[1]] < max(q.values())


def test_at_the_last_turn_the_values_are_exact():
    (tree,) = searched(MICROWAVE, search=WIDE)
    exact, last = solve(MICROWAVE), [node for node in tree.nodes() if node.turn == 4]
    assert sum(len(node.edges) for node in last) > 1
    for node in last:
        for edge in node.edges.values():
            assert edge.value == approx(exact.q(*chosen(edge.episode, 4), 4))


def test_the_only_winning_action_is_found_and_compared():
    trees = searched(MICROWAVE, seeds=range(4), search=WIDE)
    exact = solve(MICROWAVE)
    episodes, pairs = tree_pairs(trees, least=2)
    found: list[list[float]] = []
    for pair in pairs:
        better, worse = (chosen(episodes[n], pair.first) for n in (pair.chosen, pair.rejected))
        assert better[0] == worse[0]
        values = {
            action: exact.q(better[0], action, pair.first) for action in (better[1], worse[1])
        }
        if set(values.values()) == {1.0, -1.0}:  # from here one of them wins and the other cannot
            found.append([*values.values()])
    assert len(found) >= 4 and all(one == [1.0, -1.0] for one in found)


def test_pairs_share_the_turns_before_and_train_one():
    trees = searched(MICROWAVE, seeds=(0, 1), search=Search(simulations=24, ways=4))
    episodes, pairs = tree_pairs(trees, least=2)
    assert len(pairs) >= 4
    assert len({episode.id for episode in episodes}) == len(episodes)
    for pair in pairs:
        one, other = episodes[pair.chosen], episodes[pair.rejected]
        assert pair.turns == 1
        assert one.turns[: pair.first] == other.turns[: pair.first]
        assert one.turns[pair.first].action.text != other.turns[pair.first].action.text


def test_rarely_visited_and_nearly_equal_actions_are_not_compared():
    fork = scripted([["lx", "lx", "ry"]])
    (tree,) = search_trees([play("s", "lx")], fork, Search(simulations=1, ways=3))
    assert tree_pairs([tree], least=1)[1] == [Pair(0, 1, 5.0, 0, 1)]
    assert tree_pairs([tree], least=2)[1] == []
    assert tree_pairs([tree], least=1, margin=5.0)[1] == []


def shape(tree: Tree) -> list[Any]:
    return [
        (node.turn, [(action, e.visits, e.total) for action, e in node.edges.items()])
        for node in tree.nodes()
    ]


def test_a_search_repeats_and_does_not_depend_on_its_neighbours_or_the_width():
    search = Search(simulations=12, ways=3)
    together = searched(ICE, seeds=(0, 1, 2), search=search, max_turns=6)
    again = searched(ICE, seeds=(0, 1, 2), search=search, max_turns=6, width=2)
    assert [*map(shape, together)] == [*map(shape, again)]
    (alone,) = searched(ICE, seeds=(1,), search=search, max_turns=6)
    assert shape(alone) == shape(together[1])
    assert shape(together[0]) != shape(together[1])


def test_where_the_world_has_chance_an_action_has_several_outcomes():
    (tree,) = searched(ICE, search=Search(simulations=16, ways=6), max_turns=4)
    edges = [edge for node in tree.nodes() for edge in node.edges.values()]
    assert max(len(edge.outcomes) for edge in edges) > 1
    for edge in edges:
        assert sum(outcome.seen for outcome in edge.outcomes.values()) == edge.said
        assert sum(outcome.walked for outcome in edge.outcomes.values()) == edge.visits


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"ways": 1}, "ways 1"), ({"bonus": "x"}, "'puct' or 'uct'"), ({"discount": 2.0}, "discount")],
)
def test_searches_that_cannot_be_are_refused(fields: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        Search(**fields)
