"""Checks of the arguments that users give: one line with what was expected and what came."""

import math
import os
import sys
from collections.abc import Sequence

ANY_NUMBER = 2**31


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse a value that is not among the choices.

    Raises:
        ValueError: naming the argument, the value and the choices.
    """
    if value not in choices:
        raise ValueError(f"{name}={value!r}; expected one of {', '.join(map(repr, choices))}")


def check_count(name: str, value: object, least: int, most: int | None = None) -> None:
    """Refuse what is not a whole number within the bounds.

    Raises:
        ValueError: naming the argument, the value and the bounds.
    """
    high = most is not None and isinstance(value, int) and value > most
    if not isinstance(value, int) or isinstance(value, bool) or value < least or high:
        bounds = f"from {least} to {most}" if most is not None else f">= {least}"
        raise ValueError(f"{name}={value!r}; expected a whole number {bounds}")


def check_number(
    name: str,
    value: object,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: bool = False,
) -> None:
    """Refuse what is not a finite number within the bounds; with `above` the least is refused too.

    Raises:
        ValueError: naming the argument, the value and the bounds.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        # nan is not at most anything
        fits = abs(value) <= sys.float_info.max and least <= value <= most
        if fits and not (above and value == least):
            return
    low = f"above {least:g}" if above else f">= {least:g}"
    if most == math.inf:
        bounds = "a finite number" if least == -math.inf else f"a finite number {low}"
    elif above:
        bounds = f"a number {low} and at most {most:g}"
    else:
        bounds = f"a number from {least:g} to {most:g}"
    raise ValueError(f"{name}={value!r}; expected {bounds}")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Raises:
        ValueError: naming the argument and the value.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r}; expected True or False")


def check_path(name: str, value: object) -> None:
    """Refuse what cannot name a file or a folder.

    Raises:
        ValueError: naming the argument and the value.
    """
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"{name}={value!r}; expected the path of a file or folder, as text")
