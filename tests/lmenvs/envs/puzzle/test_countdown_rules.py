import itertools
from fractions import Fraction

import numpy as np
import pytest

from lmenvs.envs.puzzle.countdown_rules import (
    Numbers,
    combine,
    evaluate,
    expression_of,
    moves,
    parse_step,
    plan,
)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("3 + 5", (3, "+", 5)),
        ("3+5", (3, "+", 5)),
        (" 3 × 5\n", (3, "*", 5)),
        ("3x5", (3, "*", 5)),
        ("3 · 5", (3, "*", 5)),
        ("10 ÷ 5", (10, "/", 5)),
        ("10:5", (10, "/", 5)),
        ("8 − 5", (8, "-", 5)),
        ("007 + 5", (7, "+", 5)),
        ("3 + 5 = 8", (3, "+", 5)),
        ("3 + 5 = 8.", (3, "+", 5)),
        ("3 + 5.", (3, "+", 5)),
        ("`3 + 5`", (3, "+", 5)),
        ('"3 + 5 = 8."', (3, "+", 5)),
        ("**3 + 5**", "malformed"),
        ("3 + 5 *", "malformed"),
        ("3 + 5 = 9", "inadmissible"),
        ("3 - 5 = 0", "inadmissible"),
        ("3 + 5 =", "malformed"),
        ("3 + 5 = eight", "malformed"),
        ("", "malformed"),
        ("3", "malformed"),
        ("3 +", "malformed"),
        ("+ 3 5", "malformed"),
        ("3 + -5", "malformed"),
        ("3 + 5 + 1", "malformed"),
        ("3 ** 5", "malformed"),
        ("3\x00+ 5", "malformed"),
        ("٣ + 5", "malformed"),
        ("² + 5", "malformed"),
        ("3.0 + 5", "malformed"),
        ("__import__('os')", "malformed"),
        ("3 + 5" + " " * 200, "malformed"),
    ],
)
def test_a_step_is_read_from_text(text: str, step: tuple[int, str, int] | str):
    assert parse_step(text) == step


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", Fraction(3)),
        ("3 + 5 * 7", Fraction(38)),
        ("(3 + 5) * 7", Fraction(56)),
        ("7 - 5 - 3", Fraction(-1)),
        ("7 - (5 - 3)", Fraction(5)),
        ("7 / 5 / 3", Fraction(7, 15)),
        ("7 ÷ (5 ÷ 3)", Fraction(21, 5)),
        ("((7))", Fraction(7)),
        ("3+3", "unknown"),
        ("11", "unknown"),
        ("7 / (3 + 5 - 8)", "unknown"),
        ("0 + 3", "unknown"),
        ("", "malformed"),
        ("()", "malformed"),
        ("3 +", "malformed"),
        ("+ 3", "malformed"),
        ("-3", "malformed"),
        ("3 5", "malformed"),
        ("3 (5)", "malformed"),
        ("(3 + 5", "malformed"),
        ("3 + 5)", "malformed"),
        ("3 // 5", "malformed"),
        ("3 ** 5", "malformed"),
        ("3 + 5 = 8", Fraction(8)),
        ("3 + 5 = 8.", Fraction(8)),
        ("`3 * 5`.", Fraction(15)),
        ("3 + 5 = 9", "inadmissible"),
        ("3 + 5 = 3 + 5", "malformed"),
        ("3 + 5 = 8 = 8", "malformed"),
        ("3 + 5 =", "malformed"),
        ("8 = 3 + 5", "malformed"),
        ("7 / 3 = 2", "inadmissible"),
        ("7 + abs(3)", "malformed"),
        ("٣ + 5", "malformed"),
        ("(" * 100 + "3" + ")" * 100, "malformed"),  # longer than any expression has to be
        ("(" * 90 + "3" + ")" * 90, Fraction(3)),
    ],
)
def test_an_expression_has_the_exact_value_it_has_by_hand(text: str, value: Fraction | str):
    assert evaluate(text, (3, 5, 7)) == value


def test_dividing_by_zero_is_not_allowed():
    assert evaluate("7 / (3 - 3)", (3, 3, 7)) == "inadmissible"


def test_random_expressions_are_worth_what_python_says():
    # Python's own arithmetic on exact fractions, of texts made here: no hostile text is evaluated
    generator = np.random.default_rng(0)
    for _ in range(300):
        numbers = tuple(sorted(generator.integers(1, 20, size=4).tolist()))
        text = _random_text(list(numbers), generator)
        spelt = "".join(f"Fraction({part})" if part.isdigit() else part for part in text.split(" "))
        try:
            expected = eval(spelt, {"Fraction": Fraction})
        except ZeroDivisionError:
            expected = "inadmissible"
        assert evaluate(text, numbers) == expected, text


def _random_text(numbers: list[int], generator: np.random.Generator) -> str:
    parts = [str(number) for number in generator.permutation(numbers)]
    while len(parts) > 1:
        at = int(generator.integers(len(parts) - 1))
        text = f"{parts[at]} {'+-*/'[int(generator.integers(4))]} {parts[at + 1]}"
        parts[at : at + 2] = [f"( {text} )" if generator.random() < 0.5 else text]
    return parts[0]


def test_moves_are_all_pairs_and_signs_with_a_positive_whole_result():
    for numbers in ((2, 3), (4, 4), (1, 5, 10), (2, 2, 6, 9)):
        expected: set[Numbers] = set()
        for first, second in itertools.permutations(range(len(numbers)), 2):
            rest = [n for place, n in enumerate(numbers) if place not in (first, second)]
            left, right = numbers[first], numbers[second]
            for result in (left + right, left - right, left * right, Fraction(left, right)):
                if result > 0 and result == int(result):
                    expected.add(tuple(sorted((*rest, int(result)))))
        assert set(moves(numbers).values()) == expected
        for step, after in moves(numbers).items():
            left, sign, right = step.split(" ")
            result = combine(int(left), sign, int(right))
            assert result in after and len(after) == len(numbers) - 1


def _distance(numbers: Numbers, target: int) -> int | None:
    """Breadth first, without memory: a plain reference."""
    layer, steps = [numbers], 0
    while layer:
        if any(target in left for left in layer):
            return steps
        layer, steps = [after for left in layer for after in moves(left).values()], steps + 1
    return None


def test_a_plan_is_as_short_as_any_and_leads_to_the_target():
    generator = np.random.default_rng(1)
    for _ in range(60):
        numbers = tuple(sorted(generator.integers(1, 12, size=4).tolist()))
        target = int(generator.integers(10, 60))
        steps = plan(numbers, target)
        assert (None if steps is None else len(steps)) == _distance(numbers, target)
        left = numbers
        for step in steps or ():
            left = moves(left)[step]
        assert steps is None or target in left
        if steps:
            assert evaluate(expression_of(numbers, steps), numbers) == target
