"""Monte Carlo tree search over turns, in the real environment: which action is worth more, where.

A node is what the player has seen so far; its edges are actions that the policy said there; behind
an edge lies one node for each answer that the environment gave. A simulation walks down from the
root to a node without edges, plays some ways on from it to the end of the episode, makes edges of
their first actions, and adds each way's return to every edge on the path (Kocsis and Szepesvari,
Bandit Based Monte-Carlo Planning, 2006). The environment is brought back to a node by playing the
episode that reached it again (`agents.branching`).

An edge is chosen by the mean of its returns, scaled to [0, 1] over the tree as in MuZero
(Schrittwieser et al., 2020, equation 5), plus what makes rarely tried ones attractive:
    uct   c * sqrt(ln N / n)
    puct  c * share * sqrt(N) / (1 + n)
with n the visits of the edge and N those of all edges of the node. `share` is how often the policy
said the action among the ways sampled there, which is an unbiased prior (Hubert et al., Learning
and Planning in Complex Action Spaces, 2021). Ties go to what was said first, so that nothing here
draws chance: the tree follows from the episodes that the forks return.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lmenvs.types import Episode

from .pairs import Pair

Turns = Callable[[Episode], Iterable[int]]
Fork = Callable[[Sequence[Episode], Turns, int, Sequence[Episode]], list[Episode]]
"""(episodes, the turns to fork each at, ways, their ancestors) -> the ways on."""
Bonus = Literal["puct", "uct"]


@dataclass(frozen=True, slots=True)
class Search:
    """How trees are searched."""

    simulations: int = 16  # walks from the root, each ending in `ways` rollouts
    ways: int = 4  # actions sampled where a node is opened
    bonus: Bonus = "puct"  # puct trusts the policy's shares, uct only counts
    exploration: float = 1.0  # c: larger tries more actions, smaller deepens the best
    discount: float = 1.0  # per turn

    def __post_init__(self) -> None:
        """Refuse what cannot be searched."""
        if self.simulations < 1 or self.ways < 2:
            raise ValueError(
                f"simulations {self.simulations}, ways {self.ways}; expected at least 1, and at "
                "least 2 ways: one action has no other to be compared with"
            )
        if self.bonus not in ("puct", "uct"):
            raise ValueError(f"bonus {self.bonus!r}; expected 'puct' or 'uct'")
        if not 0 <= self.discount <= 1 or not self.exploration >= 0:
            raise ValueError(
                f"discount {self.discount}, exploration {self.exploration}; expected a discount "
                "from 0 to 1 and an exploration of at least 0"
            )


@dataclass(slots=True, eq=False)
class Node:
    """A moment before a turn.

    Attributes:
        episode: One that reached it; its first `turn` turns lead here.
        turn: How many turns were taken.
        over: Nothing more can be played: the episode ended here, or its ways on broke.
        edges: By action text.
    """

    episode: Episode
    turn: int
    over: bool
    edges: "dict[str, Edge]" = field(default_factory=dict)

    @property
    def visits(self) -> int:
        """How often an edge of it was taken."""
        return sum(edge.visits for edge in self.edges.values())


@dataclass(slots=True, eq=False)
class Outcome:
    """An answer of the environment.

    Attributes:
        reward: The mean of the rewards that came with it.
        seen: How often it was the answer when the action was played.
        walked: How often a walk went through it.
    """

    node: Node
    reward: float = 0.0
    seen: int = 0
    walked: int = 0


@dataclass(slots=True, eq=False)
class Edge:
    """An action at a node.

    Attributes:
        episode: One that took it.
        said: How often it was sampled when the node was opened.
        visits: How many returns it has.
        total: Their sum; a return counts the rewards from this action on.
    """

    episode: Episode
    said: int = 0
    visits: int = 0
    total: float = 0.0
    outcomes: dict[tuple[str, bool], Outcome] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The mean return behind it."""
        return self.total / self.visits


Step = tuple[Edge, Outcome]


class Tree:
    """The search from one root.

    Args:
        episode: Any play of the task; the root is the moment before its first turn.
        search: How.

    Attributes:
        root: The node to begin at.
        episodes: All that were played in the search, by id, in order.
    """

    def __init__(self, episode: Episode, search: Search):
        self.search = search
        self.root = Node(episode, 0, over=False)
        self.episodes = {episode.id: episode}
        self._low, self._high = math.inf, -math.inf

    def walk(self) -> tuple[list[Step], Node]:
        """Down to a node without edges: the steps, and that node."""
        steps: list[Step] = []
        node = self.root
        while node.edges:
            edge = self._chosen(node)
            # the answer whose walks lag most behind how often it was given
            outcome = max(edge.outcomes.values(), key=lambda one: one.seen / (1 + one.walked))
            steps.append((edge, outcome))
            node = outcome.node
        return steps, node

    def grow(self, steps: Sequence[Step], leaf: Node, ways: Sequence[Episode]) -> None:
        """Open the leaf by the ways played on from it, and add what they earned to the path."""
        own = [way for way in ways if len(way.turns) > leaf.turn]
        if not own:
            # an end is worth nothing more; where nothing can be played, what was earned once is
            leaf.over = True
            self._add(steps, _return(leaf.episode, leaf.turn, self.search.discount))
        for way in own:
            self.episodes[way.id] = way
            edge, outcome = _taken(leaf, way)
            earned = _return(way, leaf.turn, self.search.discount)
            self._count(edge, earned)
            outcome.walked += 1
            edge.said += 1
            self._add(steps, earned)

    def lineage(self, episode: Episode) -> list[Episode]:
        """The episodes that this one descends from."""
        found: list[Episode] = []
        while episode.parent is not None:
            episode = self.episodes[episode.parent[0]]
            found.append(episode)
        return found

    def nodes(self) -> list[Node]:
        """Those with edges, a parent before its children."""
        found = [self.root] if self.root.edges else []
        for node in found:
            for edge in node.edges.values():
                found += [one.node for one in edge.outcomes.values() if one.node.edges]
        return found

    def compared(self, least: int = 1, margin: float = 0.0) -> list[tuple[Node, Edge, Edge]]:
        """Nodes with the best and the worst of their actions that have `least` returns or more,
        where the values differ by more than `margin`.
        """
        found: list[tuple[Node, Edge, Edge]] = []
        for node in self.nodes():
            known = [edge for edge in node.edges.values() if edge.visits >= least]
            if len(known) < 2:
                continue
            best = max(known, key=lambda edge: edge.value)
            worst = min(known, key=lambda edge: edge.value)
            if best.value - worst.value > margin:
                found.append((node, best, worst))
        return found

    def _chosen(self, node: Node) -> Edge:
        visits, said = node.visits, sum(edge.said for edge in node.edges.values())
        width = self._high - self._low

        def score(edge: Edge) -> float:
            value = (edge.value - self._low) / width if width > 0 else 0.0
            if self.search.bonus == "uct":
                bonus = math.sqrt(math.log(visits) / edge.visits)
            else:
                bonus = edge.said / said * math.sqrt(visits) / (1 + edge.visits)
            return value + self.search.exploration * bonus

        return max(node.edges.values(), key=score)

    def _add(self, steps: Sequence[Step], earned: float) -> None:
        """Add to every edge of the path what was earned from it on."""
        for edge, outcome in reversed(steps):
            earned = outcome.reward + self.search.discount * earned
            self._count(edge, earned)
            outcome.walked += 1

    def _count(self, edge: Edge, earned: float) -> None:
        edge.visits += 1
        edge.total += earned
        self._low, self._high = min(self._low, earned), max(self._high, earned)


def search_trees(roots: Sequence[Episode], fork: Fork, search: Search) -> list[Tree]:
    """Search from the beginning of each episode, all trees side by side: the ways on of one
    simulation are played in one call.
    """
    trees = [Tree(episode, search) for episode in roots]
    for _ in range(search.simulations):
        walks = [tree.walk() for tree in trees]
        going = [
            (tree, leaf) for tree, (_, leaf) in zip(trees, walks, strict=True) if not leaf.over
        ]
        ways = _ways_on(going, fork, search.ways) if going else {}
        for tree, (steps, leaf) in zip(trees, walks, strict=True):
            tree.grow(steps, leaf, ways.get((leaf.episode.id, leaf.turn), []))
    return trees


def _ways_on(
    going: Sequence[tuple[Tree, Node]], fork: Fork, count: int
) -> dict[tuple[str, int], list[Episode]]:
    """What is played on from each leaf, by the episode and turn that it was forked at."""
    at = {leaf.episode.id: leaf.turn for _, leaf in going}
    ancestors = [one for tree, leaf in going for one in tree.lineage(leaf.episode)]
    ways: dict[tuple[str, int], list[Episode]] = {}
    leaves = [leaf.episode for _, leaf in going]
    for way in fork(leaves, lambda one: [at[one.id]], count, ancestors):
        assert way.parent is not None
        ways.setdefault(way.parent, []).append(way)
    return ways


def tree_pairs(
    trees: Iterable[Tree], least: int = 2, margin: float = 0.0
) -> tuple[list[Episode], list[Pair]]:
    """The actions worth comparing: episodes that took them, and pairs that train that turn only."""
    episodes: list[Episode] = []
    numbers: dict[str, int] = {}

    def number(episode: Episode) -> int:
        if episode.id not in numbers:
            numbers[episode.id] = len(episodes)
            episodes.append(episode)
        return numbers[episode.id]

    pairs = [
        Pair(
            number(best.episode),
            number(worst.episode),
            best.value - worst.value,
            first=node.turn,
            turns=1,
        )
        for tree in trees
        for node, best, worst in tree.compared(least, margin)
    ]
    return episodes, pairs


def _taken(leaf: Node, way: Episode) -> Step:
    """The edge and the outcome of a way's first own turn, made where they are new."""
    turn, after = way.turns[leaf.turn], leaf.turn + 1
    ends = len(way.turns) == after
    answer = way.final_observation if ends else way.turns[after].observation
    edge = leaf.edges.setdefault(turn.action.text, Edge(way))
    outcome = edge.outcomes.setdefault((answer, ends), Outcome(Node(way, after, over=ends)))
    outcome.seen += 1
    outcome.reward += (turn.reward - outcome.reward) / outcome.seen
    return edge, outcome


def _return(episode: Episode, turn: int, discount: float) -> float:
    """The discounted sum of the rewards from a turn on."""
    return sum(discount**t * turn.reward for t, turn in enumerate(episode.turns[turn:]))
