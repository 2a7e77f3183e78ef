"""What the table of environments is made of: a row, and a score to compare with. Plain data."""

import shutil
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

LMRL = "LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds"


MODULES = {
    "alfworld": "fast_downward",
    "chess": "chess",
    "minigrid": "minigrid",
    "scienceworld": "scienceworld",
    "textworld": "textworld",
}
"""The extras that environments need, and a module that comes with each."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A number to compare with.

    Attributes:
        value: The number.
        source: Where it comes from.
        error: Its standard error: 0 for an exact number, None where the source gives none.
        command: What measures it again; None for what is published or follows from the rules.
    """

    value: float
    source: str
    error: float | None = None
    command: str | None = None

    def shown(self, digits: int) -> str:
        """The number with its standard error behind it.

        >>> Reference(9.714, "the expert", 0.0812).shown(3), Reference(-1.94, "a paper").shown(3)
        ('9.71 +- 0.081', '-1.94')
        """
        error = "" if self.error is None else f" +- {self.error:.2g}"
        return f"{self.value:.{digits}g}{error}"


@dataclass(frozen=True, slots=True)
class EnvSpec:
    """One row of the table.

    Attributes:
        id: `lmenvs/<Name>-v<N>`.
        entry_point: `module:Class`, imported when the environment is made.
        summary: One line for listings.
        turn_limit: The task's own limit at default arguments, or None.
        return_range: The least and the greatest undiscounted return at default arguments.
        references: Scores by env string (the id alone for default arguments), then by name; the
            names "min", "average" and "max" are the bounds that `scores.normalise` uses.
        tags: `exact` (has a finite model), `text-game`, `textworld`, `bandit`, `navigation`, ...
        extra: The optional dependency group it needs, or None.
        kwargs: What a smoke test needs besides the defaults (a game file), or nothing.
        variants: Env strings with other arguments that keep the contract too; tests try them.
        measures: Scores that `python -m lmenvs.measuring` measures, by env string, then by name:
            each a recipe as in recipes.py. They are stored in references.json, not here.
    """

    id: str
    entry_point: str
    summary: str
    turn_limit: int | None
    return_range: tuple[float, float]
    tags: frozenset[str]
    references: dict[str, dict[str, Reference]] = field(default_factory=dict)
    extra: str | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    measures: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def missing(self) -> str | None:
        """What to do on this machine before it can be made, in a few words; None is nothing."""
        if self.extra is None:
            return None
        if find_spec(MODULES[self.extra]) is None:
            return f"pip install 'lmenvs[{self.extra}]'"
        if self.extra == "scienceworld" and shutil.which("java") is None:
            return "install Java"
        return None
