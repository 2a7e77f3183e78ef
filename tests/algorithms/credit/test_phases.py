"""Phase-factored credit: one phase is a group, phases do not mix, and the gradient is exact."""

import itertools

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.groups import group_relative
from algorithms.credit.phases import phase_factored

SEEDS = range(10)


@pytest.mark.parametrize("scale", ["std", "none"])
@pytest.mark.parametrize("seed", SEEDS)
def test_each_phase_is_the_group_relative_advantage_of_its_own_return(seed: int, scale):
    generator = np.random.default_rng((seed, 32))
    groups = [f"task {pick}" for pick in generator.integers(0, 3, size=12)]
    returns = generator.normal(size=(12, 2))
    phases = [[0] * turns + [1] for turns in generator.integers(1, 4, size=12).tolist()]
    advantages = phase_factored(returns.tolist(), phases, groups, scale)
    for phase in (0, 1):
        expected = group_relative(returns[:, phase], groups, scale)
        for episode, phases_T in enumerate(phases):
            earned = advantages[episode][np.array(phases_T) == phase]
            assert earned == approx(np.full(len(earned), expected[episode]), abs=1e-12)


def test_only_members_that_have_the_phase_are_compared():
    returns = [{"plan": 1.0, "act": 2.0}, {"plan": 0.0}, {"plan": 2.0, "act": 0.0}]
    phases = [["plan", "act"], ["plan"], ["act", "plan", "act"]]
    advantages = phase_factored(returns, phases, ["a"] * 3, scale="none")
    assert [turns.tolist() for turns in advantages] == [[0.0, 1.0], [-1.0], [-1.0, 1.0, -1.0]]


def test_a_return_counts_for_the_others_even_without_turns_of_its_own():
    advantages = phase_factored([{"p": 1.0}, {"p": 0.0, "q": 5.0}], [["p"], ["q"]], ["a"] * 2)
    # the phase p of the second episode has no turn, and is still what the first is compared with
    assert advantages[0] == approx([0.5 / (0.5**0.5 + 1e-6)])
    assert advantages[1].tolist() == [0.0]


def test_names_and_positions_give_the_same():
    named = phase_factored([{0: 1.0, 1: 3.0}, {0: 0.0, 1: 1.0}], [[0, 1], [1]], ["a"] * 2)
    placed = phase_factored([[1.0, 3.0], (0.0, 1.0)], [[0, 1], [1]], ["a"] * 2)
    for one, other in zip(named, placed, strict=True):
        assert one.tolist() == other.tolist()


def test_the_gradient_is_that_of_each_phase_for_its_own_return_up_to_a_factor():
    # generate: action a with P(1) = p; rank: action b with P(1) = q[a]; R_gen = a, R_rank = a * b
    p, q, members = 0.3, (0.6, 0.8), 3
    plays = [
        ((a, b), (p if a else 1 - p) * (q[a] if b else 1 - q[a]))
        for a, b in itertools.product((0, 1), repeat=2)
    ]
    expected = np.zeros(3)  # the logits of generate, and of rank after each a
    for group in itertools.product(plays, repeat=members):
        probability = np.prod([weight for _, weight in group])
        returns = [{"generate": float(a), "rank": float(a * b)} for (a, b), _ in group]
        credit = phase_factored(returns, [["generate", "rank"]] * members, ["g"] * 3, "none")
        for ((a, b), _), (for_a, for_b) in zip(group, credit, strict=True):
            expected[0] += probability * for_a * (a - p) / members
            expected[1 + a] += probability * for_b * (b - q[a]) / members
    # d E[R_gen] / d logit, and d E[R_rank] / d logit of the ranking: b is worth 1 where a is 1
    true = np.array([p * (1 - p), 0.0, p * q[1] * (1 - q[1])])
    assert expected == approx((members - 1) / members * true, abs=1e-12)


def test_wrong_arguments_are_refused_in_one_line():
    with pytest.raises(ValueError, match="1 rows of phases for 2 rows of returns"):
        phase_factored([{"p": 1.0}, {"p": 0.0}], [["p"]], ["a", "a"])
    with pytest.raises(
        ValueError, match=r"episode 1 has a turn in phase 'q' and returns for \['p'"
    ):
        phase_factored([{"p": 1.0}, {"p": 0.0}], [["p"], ["p", "q"]], ["a", "a"])
    with pytest.raises(ValueError, match="episode 1 has 0 turns"):
        phase_factored([{"p": 1.0}, {"p": 0.0}], [["p"], []], ["a", "a"])
    with pytest.raises(ValueError, match=r"episode 1 .* nan in phase 'p'; expected .*, leave out"):
        phase_factored([{"p": 1.0}, {"p": float("nan")}], [["p"], ["p"]], ["a", "a"])
