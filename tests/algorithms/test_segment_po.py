from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest import approx

from agents.branching import branch
from agents.lm import LMPolicy
from agents.rollout import collect
from agents.sampling import Sampling
from algorithms import segment_po
from algorithms.segment_po import (
    Config,
    chain_credit,
    grow_tree,
    own_turns,
    segment_starts,
    trained_tokens,
    tree_credit,
)
from algorithms.trainer.objective import Objective
from algorithms.trainer.session import open_session
from lmenvs.exact import solve
from lmenvs.types import Action, Episode, Turn
from tests.support.learners import (
    CONFIG,
    assert_first_step_is_credit_times_slope,
    by_token,
    prepared,
    under,
)
from tests.support.training import MICROWAVE, beginner, metrics, played, start

TREE = Config(method="tree", branching=(2, 2, 2))
TINY: dict[str, Any] = {"iterations": 2, "tasks": 2, "max_new_tokens": 8}


def episode(
    name: str, *rewards: float, parent: tuple[str, int] | None = None, group: str = "g"
) -> Episode:
    turns = tuple(Turn("seen", Action("said"), reward) for reward in rewards)
    return Episode(name, "e", 0, "all", "i", turns, "", True, False, False, group, parent)


def lists(advantages_ET: list[np.ndarray]) -> list[list[float]]:
    return [advantages_T.tolist() for advantages_T in advantages_ET]


def test_chain_credit_by_hand():
    episodes = [episode("a", 0, 1, 0, 3), episode("b", 1)]
    forks = [
        episode("a/0.0", 1, parent=("a", 0)),
        episode("a/0.1", 0, 0, 0, 2, parent=("a", 0)),
        episode("a/2.0", 0, 1, 1, parent=("a", 2)),
        episode("a/2.1", 0, 1, 0, 0, parent=("a", 2)),
        episode("b/0.0", 2, parent=("b", 0)),
        episode("b/0.1", 3, parent=("b", 0)),
    ]
    # V is 1.5 before a, 1.5 after its two first turns, 4 after its end
    assert lists(chain_credit(episodes, forks)) == [[0, 0, 2.5, 2.5], [-1.5]]


def policy() -> LMPolicy:
    return LMPolicy(*beginner(), Sampling(max_new_tokens=8))


@pytest.mark.parametrize("segment", [1, 2, 9])
def test_the_segments_of_a_chain_add_up_to_what_the_start_did_not_foresee(segment: int):
    episodes, config = played(4), Config(segment=segment)
    forks = branch(MICROWAVE, policy(), episodes, lambda e: segment_starts(e, config), 2)
    for one, advantages_T in zip(episodes, chain_credit(episodes, forks), strict=True):
        from_start = [fork.total_reward for fork in forks if fork.parent == (one.id, 0)]
        total = advantages_T[::segment].sum()
        assert total == approx(one.total_reward - np.mean(from_start))
        for turn in range(len(advantages_T)):
            assert advantages_T[turn] == advantages_T[turn - turn % segment]


def test_the_credit_of_a_chain_approaches_the_true_advantage():
    truth = solve(MICROWAVE, policy="uniform")
    (one,) = collect(MICROWAVE, "random", [4])
    forks = branch(MICROWAVE, "random", one, range(len(one.turns)), 800)
    wanted = [
        truth.advantage(str(turn.state_key), turn.action.text, number)
        for number, turn in enumerate(one.turns)
    ]
    (advantages_T,) = chain_credit([one], forks)
    np.testing.assert_allclose(advantages_T, wanted, atol=0.12)  # three standard errors
    assert np.abs(wanted).max() > 0.3


def test_segments_end_after_so_many_turns():
    one = episode("a", 0, 0, 0, 0, 0)
    assert segment_starts(one, Config(segment=2)) == [0, 2, 4]
    assert segment_starts(one, Config(segment=5)) == [0]


def test_segments_end_at_the_turn_after_so_many_unlikely_tokens():
    chances = [(0.99, 0.5), (0.99,), (0.5, 0.2, 0.3), (0.99,), (0.4,)]
    turns = tuple(
        Turn("", Action("", token_ids=(1,) * len(p), logprobs=tuple(np.log(p))), 0.0)
        for p in chances
    )
    one = replace(episode("a"), turns=turns)
    # unlikely tokens before each turn: 0, 1, 1, 4, 4
    assert segment_starts(one, Config(cut="probability", segment=1)) == [0, 1, 3]
    assert segment_starts(one, Config(cut="probability", segment=2)) == [0, 3]
    assert segment_starts(one, Config(cut="probability", segment=5)) == [0]


def test_a_cut_by_probability_needs_probabilities():
    with pytest.raises(ValueError, match="episode a: expected log-probabilities"):
        segment_starts(episode("a", 0), Config(cut="probability"))


def test_tree_credit_by_hand():
    episodes = [
        episode("a", 0, 0, 4),
        episode("b", 1),  # it ended before anybody could fork from it
        episode("a/1", 0, 0, 2, parent=("a", 1)),
        episode("a/2", 0, 0, 0, 0, parent=("a", 2)),
        episode("a/1/2", 0, 0, 0, parent=("a/1", 2)),
        episode("c", 5, group="h"),
    ]
    # a's first turn leads to (4 + 0)/2 and (2 + 0)/2, on average 1.5; with b's 1 that is 1.25
    wanted = [[0.25, 0.5, 2], [-0.25], [0, -0.5, 1], [0, 0, -2, -2], [0, 0, -1], [0]]
    assert lists(tree_credit(episodes, TREE)) == wanted


def test_in_a_tree_the_last_level_goes_to_the_end_and_the_others_have_equal_turns():
    config = Config(method="tree", branching=(2, 2), segment=2)
    episodes = [
        episode("a", 0, 0, 0, 0, 2),
        episode("b", 0, 0, 0),
        episode("a/2", 0, 0, 0, 0, parent=("a", 2)),
        episode("b/2", 0, 0, 0, parent=("b", 2)),
    ]
    wanted = [[0.5, 0.5, 1, 1, 1], [-0.5, -0.5, 0], [0, 0, -1, -1], [0, 0, 0]]
    assert lists(tree_credit(episodes, config)) == wanted


def grown(config: Config, out: Path) -> list[Episode]:
    session = open_session("segment_po", MICROWAVE, start(), out, config)
    with session.sampler(0) as sampler:
        return grow_tree(session, sampler, np.arange(3), config)


def test_every_edge_of_a_tree_is_trained_exactly_once(tmp_path: Path):
    config = Config(**TINY, method="tree", branching=(2, 3, 1, 2))
    episodes = grown(config, tmp_path / "run")
    by_id = {one.id: one for one in episodes}
    trained: Counter[tuple[str, int]] = Counter()
    met: set[tuple[str, int]] = set()
    for one in episodes:
        for turn, own in enumerate(own_turns(one).tolist()):
            taker = one
            while taker.parent is not None and turn < taker.parent[1]:
                taker = by_id[taker.parent[0]]
            assert one.turns[turn] == taker.turns[turn]
            met.add((taker.id, turn))
            trained[taker.id, turn] += own
    assert trained.keys() == met and set(trained.values()) == {1}
    # whoever plays on at the end of a level has as many ways on as it says, itself included
    ways = Counter(one.parent for one in episodes if one.parent is not None)
    assert {turn for _, turn in ways} == {1, 3}
    for one in episodes:
        first = -1 if one.parent is None else one.parent[1]
        for turn, others in ((1, 2), (3, 1)):
            goes_on = first < turn < len(one.turns)
            assert ways[one.id, turn] == (others if goes_on else 0)


def test_the_edges_from_one_node_of_a_tree_sum_to_zero(tmp_path: Path):
    config = Config(**TINY, method="tree", branching=(3, 2, 2))
    episodes = grown(config, tmp_path / "run")
    advantages_ET = tree_credit(episodes, config)
    credit = dict(zip([one.id for one in episodes], advantages_ET, strict=True))
    assert max(np.abs(advantages_T).max() for advantages_T in advantages_ET) > 0.2
    for group in {one.group for one in episodes if one.parent is None}:
        firsts = [credit[one.id][0] for one in episodes if one.group == group]
        assert sum(firsts) == approx(0, abs=1e-12)
    for one in episodes:
        if one.parent is not None:
            name, turn = one.parent
            assert credit[one.id][turn] == approx(-credit[name][turn])


def test_the_probability_mask_leaves_the_tokens_that_were_a_choice():
    _, seen = prepared(played(), under(CONFIG, normalise="none"), "nothing")
    advantages = seen.spread([np.ones(len(one.turns)) for one in seen.episodes])
    assert trained_tokens(seen, advantages, Config()).mask.equal(seen.mask)
    kept = trained_tokens(seen, advantages, Config(probability_mask=True)).mask
    chances = seen.old_logprobs.exp()
    assert kept.equal(seen.mask & (chances < 0.9))
    assert 0 < int(kept.sum()) < int(seen.mask.sum())


def test_edges_without_credit_can_be_left_out_of_the_mean():
    _, seen = prepared(played(), under(CONFIG, normalise="none"), "nothing")
    advantages = seen.spread([np.arange(len(one.turns)) * 1.0 for one in seen.episodes])
    config = Config(objective=Objective(equal_groups="drop"))
    kept = trained_tokens(seen, advantages, config).mask
    assert kept.equal(seen.mask & (seen.tokens.turn_index > 0))
    assert not torch.equal(kept, seen.mask)


@pytest.mark.parametrize("method", ["chain", "tree"])
def test_the_first_step_is_the_credits(method: Any, tmp_path: Path):
    config = Config(**TINY, method=method, branching=(2, 2, 2))
    if method == "tree":
        episodes, forks = grown(config, tmp_path / "run"), []
    else:
        episodes = played(4)
        forks = branch(MICROWAVE, policy(), episodes, lambda e: segment_starts(e, config), 2)
    advantages_ET = segment_po.credit(episodes, forks, config)
    own_ET = [own_turns(one) for one in episodes]
    shared = [a_T[~own_T] for a_T, own_T in zip(advantages_ET, own_ET, strict=True)]
    assert not np.concatenate(shared).any()
    assert_first_step_is_credit_times_slope(episodes, by_token(episodes, advantages_ET), own_ET)


def test_runs_of_both_methods_move_the_policy_and_pay_for_their_forks(tmp_path: Path):
    masked: dict[str, Any] = {**TINY, "probability_mask": True}
    configs = {
        "chain": Config(**TINY, continuations=2, segment=2),
        "cut": Config(**masked, continuations=2, cut="probability", segment=2),
        "tree": Config(**TINY, method="tree", branching=(2, 2, 2)),
    }
    for name, config in configs.items():
        rows = metrics(segment_po.train(MICROWAVE, start(), tmp_path / name, config))
        assert any(row["loss/grad_norm"] > 0 for row in rows), name
        for row in rows:
            played_turns = row["rollout/episodes"] * row["rollout/turns"]
            assert row["rollout/environment_turns"] > played_turns + 2, name
            assert row["rollout/episodes"] == (4 if name == "tree" else 2)


WRONG: list[dict[str, Any]] = [
    {"segment": 0},
    {"continuations": 0},
    {"branching": ()},
    {"branching": (2, 0)},
    {"cut": "probability", "method": "tree"},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Config(**wrong)


def test_a_penalty_in_the_reward_needs_continuations_that_are_read():
    inside = Objective(reference_kl=0.1, kl_in="reward")
    with pytest.raises(ValueError, match="kl_in"):
        Config(objective=inside)
    assert Config(method="tree", objective=inside).objective == inside
