"""What an estimator is given for a budget: episodes, groups, forks, a critic's history, its cost.

A budget is what so many independent episodes cost in environment turns. A way of drawing has a unit
(an episode, a group of 8, a tree) and takes as many units as the budget pays for, never more. What
the estimator judges is `Sample.plays`; everything else that was played for it is in its cost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...credit.returns import backward_sums
from .plays import Plays, begin, greedy_chances, picked, play
from .words import Floats, Indices
from .world import World

GROUP = 8
SEGMENTS, FORKS = 4, 2  # SPO-chain: segments of a mean episode, continuations at each boundary
BRANCHES = 3  # SPO-tree: at the start and again half a mean episode later
SIBLINGS = 4  # SLATE: next steps from each prefix, the one that is followed among them
PILOT = 2000  # units played beforehand, to learn what one costs
SEEDS = 3  # one after the other: samples are spread over them


@dataclass(frozen=True)
class Sample:
    """What was drawn.

    Attributes:
        plays: The turns to be judged.
        weights_N: What each turn counts for in the gradient.
        turns: All environment turns that it cost.
        words: All words that the policy wrote for it.
        tasks_E: The start of each episode.
        groups_E: The group of each episode, 8 of one start.
        history: Episodes of before, for a critic or a tracker.
        history_tasks_E: Their starts.
        greedy_returns_E: The return of each task's greedy play.
        nodes_N: The segment or tree node that each turn belongs to, or the siblings' prefix.
        node_values: Segments: the value before each, those of an episode one after another.
        segments_E: How many segments each episode has.
        parents: Tree: the node above each node.
    """

    plays: Plays
    weights_N: Floats
    turns: int
    words: int
    tasks_E: Indices
    groups_E: Sequence[int] = ()
    history: Plays | None = None
    history_tasks_E: Indices = field(default_factory=lambda: np.zeros(0, np.intp))
    greedy_returns_E: Floats = field(default_factory=lambda: np.zeros(0))
    nodes_N: Indices = field(default_factory=lambda: np.zeros(0, np.intp))
    node_values: Floats = field(default_factory=lambda: np.zeros(0))
    segments_E: Indices = field(default_factory=lambda: np.zeros(0, np.intp))
    parents: Indices = field(default_factory=lambda: np.zeros(0, np.intp))

    def critic(self, turn_discount: float, word_discount: float) -> Floats:
        """[R] the mean discounted return that followed each prefix in the history.

        A prefix that the history does not have gets the mean of all.
        """
        if self.history is None:
            raise ValueError("this way of drawing has no history; a critic needs one")
        past, ends = self.history, np.cumsum(self.history.words_N) - 1
        rewards_K = np.zeros(past.words)
        rewards_K[ends] = past.rewards_N
        decays_K = np.full(past.words, word_discount)
        decays_K[ends] = turn_discount
        decays_K[ends[past.starts_E + past.turns_E - 1]] = 0.0
        returns_K = backward_sums(rewards_K, decays_K[::-1].tolist())
        rows = len(past.world.words.options)
        met_R = np.bincount(past.rows_K, minlength=rows)
        sums_R = np.bincount(past.rows_K, returns_K, minlength=rows)
        return np.where(met_R > 0, sums_R / np.maximum(met_R, 1), returns_K.mean())


def episodes(world: World, count: int, generator: np.random.Generator) -> Sample:
    """Independent episodes."""
    tasks = begin(world, count, generator)
    return whole(_played(world, tasks, generator), tasks)


def groups(world: World, count: int, generator: np.random.Generator) -> Sample:
    """Groups of 8 that share their start."""
    tasks = np.repeat(begin(world, count, generator), GROUP)
    return whole(_played(world, tasks, generator), tasks, GROUP)


def with_history(world: World, count: int, generator: np.random.Generator) -> Sample:
    """Pairs of episodes: one of each is judged, the other was played before and is learned from."""
    now, past = episodes(world, count, generator), episodes(world, count, generator)
    return remembering(now, past)


def greedy(world: World, count: int, generator: np.random.Generator) -> Sample:
    """Episodes, and for each the play of its task that takes the likeliest action everywhere."""
    sample = episodes(world, count, generator)
    best = greedy_chances(world)
    plays = play(world, world.model.starts[sample.tasks_E], generator, chances_O=best)
    return _costing(replace(sample, greedy_returns_E=plays.returns_E), plays)


def chain(world: World, count: int, generator: np.random.Generator) -> Sample:
    """Episodes cut into segments of equally many turns, with forks where each begins."""
    sample = episodes(world, count, generator)
    main, length = sample.plays, max(1, round(world.turns_per_episode / SEGMENTS))
    within = np.arange(main.turns) - np.repeat(main.starts_E, main.turns_E)
    opens = within % length == 0
    earned = np.cumsum(main.rewards_N) - main.rewards_N
    earned = earned - np.repeat(earned[main.starts_E], main.turns_E)
    forks = play(world, np.repeat(main.situations_N[opens], FORKS), generator)
    values = earned[opens] + forks.returns_E.reshape(-1, FORKS).mean(axis=1)
    owners = np.repeat(np.arange(count), main.turns_E)
    return _costing(
        replace(
            sample,
            nodes_N=np.cumsum(opens) - 1,
            node_values=values,
            segments_E=np.bincount(owners[opens], minlength=count),
        ),
        forks,
    )


def tree(world: World, count: int, generator: np.random.Generator) -> Sample:
    """Trees: from every start 3 plays, and from where each is half an episode later 3 more.

    Nodes are the starts, then the first pieces, then the second.
    """
    tasks = begin(world, count, generator)
    half = max(1, round(world.turns_per_episode / 2))
    first = _played(world, np.repeat(tasks, BRANCHES), generator, most=half)
    reached = first.targets_N[first.starts_E + first.turns_E - 1]
    open_ = np.flatnonzero(reached >= 0)
    second = play(world, np.repeat(reached[open_], BRANCHES), generator) if len(open_) else None
    plays = first if second is None else _joined(first, second)
    parents = np.concatenate(
        (
            np.full(count, -1),
            np.repeat(np.arange(count), BRANCHES),
            np.repeat(open_ + count, BRANCHES),
        )
    )
    pieces = plays.returns_E
    returns = np.concatenate((np.full(count, np.nan), pieces))
    later = slice(count + len(first.turns_E), None)
    returns[later] += returns[parents[later]]  # a leaf's return is that of the whole way to it
    returns[count + open_] = np.nan
    nodes_N = np.repeat(np.arange(len(pieces)) + count, plays.turns_E)
    depth_weights = np.where(nodes_N < count + len(first.turns_E), 1 / BRANCHES, 1 / BRANCHES**2)
    return Sample(
        plays,
        depth_weights / count,
        plays.turns,
        plays.words,
        np.repeat(tasks, BRANCHES),
        nodes_N=nodes_N,
        node_values=returns,
        parents=parents,
    )


def siblings(world: World, count: int, generator: np.random.Generator) -> Sample:
    """Episodes with 3 other next steps at every turn; the judged pieces are single steps."""
    sample = episodes(world, count, generator)
    main = sample.plays
    others = play(world, np.repeat(main.situations_N, SIBLINGS - 1), generator, most=1)
    both = _joined(main, others)
    steps = picked(both, np.arange(both.turns), np.ones(both.turns, np.intp))
    prefixes = np.concatenate(
        (np.arange(main.turns), np.repeat(np.arange(main.turns), SIBLINGS - 1))
    )
    return Sample(
        steps,
        np.full(steps.turns, 1 / (SIBLINGS * count)),
        steps.turns,
        steps.words,
        sample.tasks_E,
        nodes_N=prefixes,
    )


def siblings_with_history(world: World, count: int, generator: np.random.Generator) -> Sample:
    """`siblings`, and as many episodes of before as cost the same: they judge the steps."""
    sample = siblings(world, count, generator)
    return remembering(sample, episodes(world, count * SIBLINGS, generator))


DRAWS: Mapping[str, Callable[[World, int, np.random.Generator], Sample]] = {
    "episodes": episodes,
    "groups": groups,
    "with history": with_history,
    "greedy": greedy,
    "chain": chain,
    "tree": tree,
    "siblings": siblings,
    "siblings with history": siblings_with_history,
}
"""Every way of drawing: so many units from a world."""


def chances(seed: int, samples: int) -> list[tuple[int, int]]:
    """(seed, number) of each sample: they take turns on seed, seed + 1 and seed + 2.

    >>> chances(7, 4)
    [(7, 0), (8, 0), (9, 0), (7, 1)]
    """
    return [(seed + place % SEEDS, place // SEEDS) for place in range(samples)]


def unit_costs(world: World, seed: int) -> dict[str, float]:
    """How many environment turns one unit of each way of drawing takes, on average."""
    mean = world.turns_per_episode
    known = {
        "episodes": mean,
        "groups": GROUP * mean,
        "with history": 2 * mean,
        "siblings": SIBLINGS * mean,
        "siblings with history": 2 * SIBLINGS * mean,
    }
    for name in DRAWS.keys() - known.keys():
        generator = np.random.default_rng((seed, *name.encode()))
        known[name] = DRAWS[name](world, PILOT, generator).turns / PILOT
    return known


def _played(
    world: World, tasks_E: Indices, generator: np.random.Generator, most: int | None = None
) -> Plays:
    model = world.model
    texts = model.start_texts[tasks_E]
    return play(world, model.starts[tasks_E], generator, most=most, texts_E=texts)


def whole(plays: Plays, tasks_E: Indices, size: int = 1) -> Sample:
    """Whole episodes, `size` in a row to a group."""
    count = len(plays.turns_E)
    weights, groups_E = np.full(plays.turns, 1 / count), np.arange(count) // size
    return Sample(plays, weights, plays.turns, plays.words, tasks_E, groups_E.tolist())


def _costing(sample: Sample, more: Plays) -> Sample:
    return replace(sample, turns=sample.turns + more.turns, words=sample.words + more.words)


def remembering(sample: Sample, past: Sample) -> Sample:
    """The sample with episodes of before, whose cost it bears."""
    both = replace(sample, history=past.plays, history_tasks_E=past.tasks_E)
    return _costing(both, past.plays)


def _joined(one: Plays, other: Plays) -> Plays:
    return Plays(
        one.world,
        np.concatenate((one.turns_E, other.turns_E)),
        np.concatenate((one.options_N, other.options_N)),
        np.concatenate((one.rewards_N, other.rewards_N)),
        np.concatenate((one.targets_N, other.targets_N)),
        np.concatenate((one.texts_N, other.texts_N)),
    )
