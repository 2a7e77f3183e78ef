"""Countdown's arithmetic: moves, plans, and two parsers without eval."""

import operator
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from types import MappingProxyType

Numbers = tuple[int, ...]
"""The numbers that are left, sorted."""
LONGEST = 200  # characters of an expression; six numbers need fewer than fifty

SIGNS = "+-*/"

_COMPUTE = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
_AROUND = " \t\r\n\"'`"  # asterisks are signs here
_SIGNS = str.maketrans({"×": "*", "x": "*", "X": "*", "·": "*", "÷": "/", ":": "/", "−": "-"})


def combine(left: int, sign: str, right: int) -> int | None:
    """The result of one step where it is a positive whole number, else None.

    >>> combine(8, "/", 2), combine(8, "/", 3), combine(2, "-", 8)
    (4, None, None)
    """
    if sign == "/":
        return left // right if right and left % right == 0 else None
    result = left + right if sign == "+" else left * right if sign == "*" else left - right
    return result if result > 0 else None


@lru_cache(maxsize=4096)
def moves(numbers: Numbers) -> Mapping[str, Numbers]:
    """Every step from here and the numbers after it; the larger number is named first.

    >>> dict(moves((2, 6)))
    {'6 + 2': (8,), '6 - 2': (4,), '6 * 2': (12,), '6 / 2': (3,)}
    """
    found: dict[str, Numbers] = {}
    for first, second in combinations(range(len(numbers)), 2):
        small, large = numbers[first], numbers[second]
        rest = numbers[:first] + numbers[first + 1 : second] + numbers[second + 1 :]
        for sign in SIGNS:
            result = combine(large, sign, small)
            if result is not None:
                found[f"{large} {sign} {small}"] = tuple(sorted((*rest, result)))
    return MappingProxyType(found)


@lru_cache(maxsize=4096)
def plan(numbers: Numbers, target: int) -> tuple[str, ...] | None:
    """A shortest list of steps to the target, the first in the order of `moves`; None without one.

    >>> plan((2, 3, 4), 20), plan((2, 3, 4), 21)
    (('3 + 2', '5 * 4'), None)
    """
    known: dict[Numbers, tuple[str, ...] | None] = {}
    return _plan(numbers, target, known)


def _plan(
    numbers: Numbers, target: int, known: dict[Numbers, tuple[str, ...] | None]
) -> tuple[str, ...] | None:
    if target in numbers:
        return ()
    if len(numbers) == 2:
        return last_step(numbers[0], numbers[1], target)
    if len(numbers) < 2:
        return None
    if numbers not in known:
        best: tuple[str, ...] | None = None
        for step, after in moves(numbers).items():
            rest = _plan(after, target, known)
            if rest is not None and (best is None or len(rest) + 1 < len(best)):
                best = (step, *rest)
        known[numbers] = best
    return known[numbers]


def last_step(small: int, large: int, target: int) -> tuple[str, ...] | None:
    """The step that makes the target of the last two numbers, or None."""
    for sign in SIGNS:
        if combine(large, sign, small) == target:
            return (f"{large} {sign} {small}",)
    return None


def expression_of(numbers: Numbers, steps: Sequence[str]) -> str:
    """Steps as one expression: the last of them, with what it rests on in brackets.

    >>> expression_of((2, 3, 4), ("3 + 2", "5 * 4"))
    '(3 + 2) * 4'
    """
    texts: dict[int, list[str]] = {}
    for number in numbers:
        texts.setdefault(number, []).append(str(number))
    text = ""
    for step in steps:
        left, sign, right = step.split(" ")
        text = f"{texts[int(left)].pop()} {sign} {texts[int(right)].pop()}"
        result = combine(int(left), sign, int(right))
        assert result is not None
        texts.setdefault(result, []).append(f"({text})")
    return text


# ---- parsers ------------------------------------------------------------------------------------


def parse_step(text: str) -> tuple[int, str, int] | str:
    """The step `a op b` that a text means, perhaps with `= result` behind, or an error's category.

    Read are + - * / and × x · ÷ : −, with or without blanks, in quotes, with a full stop or not. A
    stated result that is wrong is `inadmissible`.

    >>> parse_step("3 × 5"), parse_step("3*5 = 15"), parse_step("3 + 5 + 1"), parse_step("1+1=3")
    ((3, '*', 5), (3, '*', 5), 'malformed', 'inadmissible')
    """
    if len(text) > LONGEST:
        return "malformed"
    step, stated = _sides(text)
    tokens = list(_tokens(step))
    if len(tokens) != 3 or tokens[1] not in _COMPUTE:
        return "malformed"
    left, sign, right = tokens
    if not (_is_number(left) and _is_number(right)):
        return "malformed"
    if stated is not None:
        if not _is_number(stated):
            return "malformed"
        if combine(int(left), sign, int(right)) != int(stated):
            return "inadmissible"
    return int(left), sign, int(right)


def _sides(text: str) -> tuple[str, str | None]:
    """What is to be calculated, and the result that is stated behind `=`, if one is."""
    step, equals, stated = text.strip(_AROUND).rstrip(_AROUND + ".!").partition("=")
    return step, stated.strip(_AROUND) if equals else None


def _tokens(text: str) -> Iterator[str]:
    """Numbers, signs and brackets; anything else comes out as it is, and fits no rule."""
    number = ""
    for character in text.translate(_SIGNS):
        if character in "0123456789":
            number += character
            continue
        if number:
            yield number
            number = ""
        if character not in " \t\r\n":
            yield character
    if number:
        yield number


def evaluate(text: str, numbers: Numbers) -> Fraction | str:
    """The exact value of an expression in the given numbers, or an error's category.

    Each number may be used once at most (`unknown` otherwise); + - * / and brackets, no minus in
    front of a number. Dividing by zero is `inadmissible`, and so is a result stated wrongly behind
    `=`.

    >>> evaluate("8 / (3 - 8 / 3)", (3, 3, 8, 8)), evaluate("3 + 3", (3, 8)), evaluate("3 +", (3,))
    (Fraction(24, 1), 'unknown', 'malformed')
    """
    if len(text) > LONGEST:
        return "malformed"
    expression, stated = _sides(text)
    postfix = _postfix(list(_tokens(expression)))
    if postfix is None or (stated is not None and not _is_number(stated)):
        return "malformed"
    unused = [str(number) for number in numbers]
    for token in postfix:
        if token in _COMPUTE:
            continue
        if token not in unused:
            return "unknown"
        unused.remove(token)
    values: list[Fraction] = []
    for token in postfix:
        if token in _COMPUTE:
            right, left = values.pop(), values.pop()
            if token == "/" and right == 0:
                return "inadmissible"
            values.append(_COMPUTE[token](left, right))
        else:
            values.append(Fraction(int(token)))
    return "inadmissible" if stated is not None and values[0] != int(stated) else values[0]


def _postfix(tokens: list[str]) -> list[str] | None:
    """The tokens with every sign behind its operands (Dijkstra's shunting yard), or None."""
    output: list[str] = []
    waiting: list[str] = []
    after_value = False  # whether a sign may follow, or a value must
    for token in tokens:
        if token in _COMPUTE:
            if not after_value:
                return None
            while waiting and waiting[-1] != "(" and not _binds(token, waiting[-1]):
                output.append(waiting.pop())
            waiting.append(token)
            after_value = False
        elif token == ")":
            while waiting and waiting[-1] != "(":
                output.append(waiting.pop())
            if not waiting or not after_value:
                return None
            waiting.pop()
        elif after_value:
            return None
        elif token == "(":
            waiting.append(token)
        elif _is_number(token):
            output.append(token.lstrip("0") or "0")
            after_value = True
        else:
            return None
    if not after_value or "(" in waiting:
        return None
    return output + waiting[::-1]


def _is_number(token: str) -> bool:
    return token.isascii() and token.isdecimal()  # other scripts have digits too


def _binds(sign: str, other: str) -> bool:
    return _PRECEDENCE[sign] > _PRECEDENCE[other]
