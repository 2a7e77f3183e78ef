"""What each estimator makes of a sample: the calls of `algorithms.credit`.

A function here takes a `Sample` and returns one number per turn, or one per word (token). "Learned"
values are the mean returns that a table has seen in half of the budget; "exact" ones are the truth.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from ... import credit
from ...credit.groups import Scale
from ...credit.macro import macro_action_gae, ngram_macros
from ...credit.phases import phase_factored
from ...credit.segments import segment_advantages
from ...credit.siblings import sibling_relative
from ...credit.tracker import initial_tracker, tracked_advantages
from ...credit.trees import prefix_tree, segment_tree
from .draws import Sample
from .plays import Plays
from .words import Floats

Values = Literal["learned", "exact"]
TokenGAE = Callable[[Sequence[float] | Floats, Sequence[Floats], Plays, int], list[Floats]]


def monte_carlo(sample: Sample, discount: float) -> Floats:
    """Discounted returns, without a baseline."""
    rewards_ET = sample.plays.per_episode(sample.plays.rewards_N)
    return np.concatenate([credit.discounted_returns(row, discount) for row in rewards_ET])


def turn_gae(sample: Sample, lam: float, values: Values) -> Floats:
    """GAE over turns, discount 1."""
    plays = sample.plays
    values_N = (
        plays.world.values_I[plays.situations_N]
        if values == "exact"
        else sample.critic(1.0, 1.0)[plays.world.words.first_row[plays.states_N]]
    )
    pairs = zip(plays.per_episode(plays.rewards_N), plays.per_episode(values_N), strict=True)
    return np.concatenate([credit.gae(r_T, v_T, 1.0, lam) for r_T, v_T in pairs])


def word_gae(
    sample: Sample, gae: TokenGAE, values: Values, discounts: tuple[float, float] = (1.0, 1.0)
) -> Floats:
    """One of the token-level functions; the critic has its discounts (turn, word)."""
    plays = sample.plays
    values_K = (
        plays.world.word_values(plays.options_N)
        if values == "exact"
        else sample.critic(*discounts)[plays.rows_K]
    )
    rows = zip(plays.per_episode(plays.rewards_N), plays.per_word(values_K), strict=True)
    found = [
        words_L
        for episode, (rewards_T, values_TL) in enumerate(rows)
        for words_L in gae(rewards_T, values_TL, plays, episode)
    ]
    return np.concatenate(found)


def naive(discount: float, lam: float) -> TokenGAE:
    """`token_gae`, whose discount acts at every word."""
    return lambda r, v, plays, episode: credit.token_gae(r, v, discount, lam)


def decomposed(discount: float, lam: float) -> TokenGAE:
    """`action_decomposition_gae`."""
    return lambda r, v, plays, episode: credit.action_decomposition_gae(r, v, discount, lam)


def bilevel(discount: float, lam: float) -> TokenGAE:
    """`bilevel_gae`, which discounts between turns."""
    return lambda r, v, plays, episode: credit.bilevel_gae(r, v, discount, 1.0, lam)


def dual(discount: float, lam: float) -> TokenGAE:
    """`dual_discount_gae`, with 1 and 1 inside turns."""
    return lambda r, v, plays, episode: credit.dual_discount_gae(r, v, discount, lam, 1.0, 1.0)


def macro(n: int, lam: float) -> TokenGAE:
    """`macro_action_gae` over n words at a time."""
    return lambda r, v, plays, episode: macro_action_gae(
        r, v, ngram_macros(list(map(len, v)), n), 1.0, lam
    )


def flattened(discount: float, lam: float) -> TokenGAE:
    """`flattened_gae`, which counts the environment's words."""

    def gae(
        r: Sequence[float] | Floats, v: Sequence[Floats], plays: Plays, episode: int
    ) -> list[Floats]:
        first = plays.starts_E[episode]
        texts_T = plays.texts_N[first : first + plays.turns_E[episode]]
        return credit.flattened_gae(r, v, texts_T, discount, lam)

    return gae


def of_episodes(sample: Sample, judge: Callable[[Sample], Floats]) -> Floats:
    """One number per episode, given to all of its turns."""
    return np.repeat(judge(sample), sample.plays.turns_E)


def remax(sample: Sample) -> Floats:
    """Against the greedy play of the same task."""
    return credit.greedy_baseline(sample.plays.returns_E, sample.greedy_returns_E)


def bnpo(sample: Sample) -> Floats:
    """`beta_normalised`, of returns from 0 to 1."""
    return credit.beta_normalised(_rates(sample.plays), sample.groups_E)


def stratified(sample: Sample, blend: float) -> Floats:
    """The stratum is the number of turns."""
    plays = sample.plays
    return credit.stratified(plays.returns_E, sample.groups_E, plays.turns_E.tolist(), blend)


def single_stream(sample: Sample, scale: Scale) -> Floats:
    """A tracker that has seen the history."""
    if sample.history is None:
        raise ValueError("this way of drawing has no history; a tracker needs one")
    rates_E = _rates(sample.history)
    seen = {
        task: rates_E[sample.history_tasks_E == task]
        for task in np.unique(sample.history_tasks_E).tolist()
    }
    return tracked_advantages(
        _rates(sample.plays), sample.tasks_E.tolist(), initial_tracker(seen), scale=scale
    )


def by_turns(sample: Sample, judge: Callable[..., list[Floats]], **options: object) -> Floats:
    """A group's function of rewards: `turn_leave_one_out`, `turn_index_normalised`."""
    plays = sample.plays
    rewards_ET = plays.per_episode(plays.rewards_N)
    return np.concatenate(judge(rewards_ET, sample.groups_E, **options))


def gigpo(sample: Sample, scale: Scale) -> Floats:
    """`group_in_group` on true states, discount .95."""
    plays = sample.plays
    return np.concatenate(
        credit.group_in_group(
            plays.per_episode(plays.rewards_N),
            [row.tolist() for row in plays.per_episode(plays.states_N)],
            sample.groups_E,
            0.95,
            scale=scale,
        )
    )


def tempo(sample: Sample, scale: Scale) -> Floats:
    """`prefix_tree`; a step is the action and what it led to."""
    plays = sample.plays
    steps_N = plays.options_N * (len(plays.world.model.states) + 1) + plays.targets_N + 1
    paths = [row.tolist() for row in plays.per_episode(steps_N)]
    return np.concatenate(prefix_tree(plays.returns_E, paths, sample.groups_E, scale=scale))


def phased(sample: Sample) -> Floats:
    """`phase_factored`: taking the key is one phase and walking another, each with its return.

    Who tells the phases apart knows what each is for: what the door pays is the return of taking
    the key, though it is paid on the walk.
    """
    plays = sample.plays
    earned = [{"take": paid, "walk": 0.0} for paid in plays.returns_E.tolist()]
    phases = [["take", *["walk"] * (turns - 1)] for turns in plays.turns_E.tolist()]
    return np.concatenate(phase_factored(earned, phases, sample.groups_E))


def spo_chain(sample: Sample) -> Floats:
    """`segment_advantages`, a segment's to all of its turns."""
    values_ES = np.split(sample.node_values, np.cumsum(sample.segments_E)[:-1])
    advantages = segment_advantages(values_ES, sample.plays.returns_E)
    return np.concatenate(advantages)[sample.nodes_N]


def spo_tree(sample: Sample, scale: Scale) -> Floats:
    """`segment_tree`, a node's to all turns that lead to it."""
    return segment_tree(sample.node_values, sample.parents, scale)[sample.nodes_N]


def slate(sample: Sample, scale: Scale, values: Values) -> Floats:
    """`sibling_relative`; the judge of a step is its reward and the value of where it leads."""
    plays, world = sample.plays, sample.plays.world
    over = plays.targets_N < 0
    if values == "exact":
        after = world.values_I[plays.targets_N]
    else:
        states = world.model.states[plays.targets_N]
        after = sample.critic(1.0, 1.0)[world.words.first_row[states]]
    worth = plays.rewards_N + np.where(over, 0.0, after)
    return sibling_relative(worth, sample.nodes_N.tolist(), scale)


def _rates(plays: Plays) -> Floats:
    lowest, highest = plays.world.bounds
    return np.clip((plays.returns_E - lowest) / (highest - lowest), 0.0, 1.0)


def relative(scale: Scale) -> Callable[[Sample], Floats]:
    """`group_relative`."""
    return lambda sample: credit.group_relative(sample.plays.returns_E, sample.groups_E, scale)


def left_out(sample: Sample) -> Floats:
    """`leave_one_out`."""
    return credit.leave_one_out(sample.plays.returns_E, sample.groups_E)
