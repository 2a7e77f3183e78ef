"""Group-in-group credit (GiGPO): a turn is compared with the others that were in the same state.

Feng et al., Group-in-Group Policy Optimization for LLM Agent Training (2025), section 4. Two levels
are added: the episode against its group, and the turn against its anchor, which is all turns of the
group that were taken in one state (an episode that comes back counts each time).

Give state keys, not observations, where they can be had. Observations alias: in ALFWorld the same
countertop looks the same whatever the hand holds, and turns that stand at different distances from
the goal are then judged against each other. `similarity` trusts observations further still.

Where this differs from the published code (verl-agent): an episode counts once in its group's mean,
however many turns it took; `count="turn"` has the published weighting. Similarity is difflib's true
ratio, without the rule that ignores frequent characters in strings of 200 and more.
"""

from collections.abc import Hashable, Sequence
from difflib import SequenceMatcher
from itertools import chain
from typing import Literal

import numpy as np

from .groups import Scale, against_mean, check_choice, codes_of, group_codes
from .ragged import Floats, Indices, episode_sums, flatten, returns_to_go, split
from .returns import Numbers

Count = Literal["episode", "turn"]


def group_in_group(
    rewards_ET: Sequence[Numbers],
    state_keys_ET: Sequence[Sequence[Hashable]],
    groups_E: Sequence[Hashable],
    discount: float,
    weight: float = 1.0,
    scale: Scale = "std",
    count: Count = "episode",
    similarity: float | None = None,
) -> list[Floats]:
    """The episode's advantage plus that of each turn in its state: A_{i,t} = A_i + w * a_{i,t}.

    A_i compares the undiscounted sums of rewards inside the group. a_{i,t} compares the discounted
    returns-to-go D_{i,t} = r_{i,t} + discount * D_{i,t+1} inside the anchor of state_keys_ET[i][t],
    read before the action. Both subtract the mean and, with `scale="std"`, divide by (sample
    standard deviation + 1e-6). A group of one episode gives A_i = 0, an anchor of one turn
    a_{i,t} = 0; an episode that comes back to a state is judged against itself even where it is
    alone. An episode cut short counts as if nothing had followed.

    Class: biased. Both means contain the turn that they judge, an anchor's weight depends on how
    often the state is met, the two levels count the same reward twice, and the division has seen
    the action. Source: Feng et al. (2025), equations 3, 6, 7 and 8.

    Measured bias with `scale="std"`, in groups of 3, as (cosine to the true gradient, relative
    error): Microwave (1.0000, 0.156), StopOrContinue (0.9594, 3.077), DelayedKey (1.0000,
    1.309), a chain of words (0.9776, 0.978).

    Args:
        rewards_ET: the rewards of each episode's turns.
        state_keys_ET: the state in which each turn's action was taken.
        groups_E: the task of each episode; anchors match inside one group only.
        discount: for the turns' returns-to-go.
        weight: of the anchor level; 0 leaves the episode level alone.
        scale: whether both levels divide by the standard deviation.
        count: "turn" weights the episode level's mean and deviation by the number of turns.
        similarity: two states match if their difflib ratio is at least this (0.9 in the published
            question answering variant). Keys must be strings. A state joins the first anchor whose
            first member it resembles, so the order of episodes matters. None asks for equal keys.

    >>> a, b = group_in_group([[0, 1], [0]], [["s", "x"], ["s"]], "gg", 0.5, scale="none")
    >>> a.tolist(), b.tolist()
    ([0.75, 0.5], [-0.75])
    """
    check_choice("count", count, ("episode", "turn"))
    if not np.isfinite(weight):
        raise ValueError(f"weight is {weight}; expected a finite number")
    rewards, turns_E = flatten("rewards_ET", rewards_ET)
    groups = group_codes(groups_E, len(turns_E))
    anchors = _anchors(state_keys_ET, groups, turns_E, similarity)
    returns_E = episode_sums(rewards, turns_E)
    of_episodes = against_mean(returns_E, groups, scale, turns_E if count == "turn" else None)
    of_turns = against_mean(returns_to_go(rewards, turns_E, discount), anchors, scale)
    return split(np.repeat(of_episodes, turns_E) + weight * of_turns, turns_E)


def _anchors(
    state_keys_ET: Sequence[Sequence[Hashable]],
    groups: Indices,
    turns_E: Indices,
    similarity: float | None,
) -> Indices:
    """One integer per turn, equal where the group and the state are."""
    if len(state_keys_ET) != len(turns_E):
        raise ValueError(
            f"state keys of {len(state_keys_ET)} episodes for rewards of {len(turns_E)}; give one "
            "sequence per episode"
        )
    for episode, (keys_T, turns) in enumerate(zip(state_keys_ET, turns_E.tolist(), strict=True)):
        if len(keys_T) != turns:
            raise ValueError(
                f"episode {episode}: {len(keys_T)} state keys for {turns} rewards; give one per "
                "turn, read before its action"
            )
    keys = list(chain.from_iterable(state_keys_ET))
    states = codes_of(keys)
    pairs = np.repeat(groups, turns_E) * (states.max(initial=0) + 1) + states
    _, first, anchors = np.unique(pairs, return_index=True, return_inverse=True)
    if similarity is None:
        return anchors
    group_of_pair = np.repeat(groups, turns_E)[first]
    return _merged([keys[turn] for turn in first], group_of_pair, first, similarity)[anchors]


def _merged(
    keys: Sequence[Hashable], groups: Indices, first_turns: Indices, similarity: float
) -> Indices:
    """The cluster of every distinct key of a group, joined in the order they were first met."""
    if not 0.0 < similarity <= 1.0:
        raise ValueError(f"similarity is {similarity}; expected a number above 0 and up to 1")
    clusters = np.zeros(len(keys), dtype=np.intp)
    founders: dict[int, list[tuple[str, int]]] = {}  # by group: a cluster's first key and number
    matcher, found = SequenceMatcher(autojunk=False), 0
    for met in np.argsort(first_turns).tolist():
        key = keys[met]
        if not isinstance(key, str):
            raise ValueError(
                f"state key {key!r} is no string; similarity compares strings only, leave it out "
                "to match equal keys"
            )
        matcher.set_seq2(key)
        candidates = founders.setdefault(int(groups[met]), [])
        for founder, cluster in candidates:
            matcher.set_seq1(founder)
            if _alike(matcher, similarity):
                clusters[met] = cluster
                break
        else:
            candidates.append((key, found))
            clusters[met] = found
            found += 1
    return clusters


def _alike(matcher: SequenceMatcher[str], similarity: float) -> bool:
    # the first two are upper bounds of the third, and cheap
    return (
        matcher.real_quick_ratio() >= similarity
        and matcher.quick_ratio() >= similarity
        and matcher.ratio() >= similarity
    )
