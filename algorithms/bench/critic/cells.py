"""Which critics are fitted to whose play: a default for each task, and what is changed in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .fit import Recipe

SEEDS = (0, 1, 2)
MAZE = "lmenvs/Maze-v0"
_COIN = "lmenvs/TextWorldCoinCollector-v0?admissible=true&description=name&level=104"
FEW_HOUSES, MANY_HOUSES = f"{_COIN}&games=8", f"{_COIN}&games=256"


@dataclass(frozen=True, slots=True)
class Setting:
    """One critic: whose play it is fitted to, what it is made of, and how it is fitted."""

    env: str
    player: Literal["full view", "houses"]
    noise: float  # of the player: the share of uniformly random actions
    discount: float = 0.95
    episodes: int = 400
    hidden: int = 64
    layers: int = 2
    trunk: Literal["random", "cloned"] = "random"
    recipe: Recipe = field(default_factory=Recipe)

    def with_(self, **changes: Any) -> "Setting":
        """The same with some fields of its own or of its recipe changed."""
        own = {name: value for name, value in changes.items() if name in self.__slots__}
        rest = {name: value for name, value in changes.items() if name not in own}
        return replace(self, recipe=replace(self.recipe, **rest), **own)


@dataclass(frozen=True, slots=True)
class Variation:
    """What is changed in the default of a task, and how often it is run."""

    setting: Setting
    seeds: tuple[int, ...] = SEEDS[:1]


@dataclass(frozen=True, slots=True)
class Cell:
    """One critic of one seed."""

    task: str
    variation: str
    setting: Setting
    seed: int

    @property
    def name(self) -> str:
        """What the file calls it."""
        return cell_name(self.task, self.variation, self.seed)


DEFAULT = "default"
WANTED = {"maze": 0.9, "coin collector": 0.7, "coin collector, relabelled": 0.7}
"""The share of the exact advantages that a critic has to explain before its actor counts."""


def cell_name(task: str, variation: str, seed: int) -> str:
    """What the file calls a cell.

    >>> cell_name("maze", "default", 0)
    'maze / default / 0'
    """
    return f"{task} / {variation} / {seed}"


_CHANGES: Mapping[str, tuple[Setting, Mapping[str, Mapping[str, Any]]]] = {
    "maze": (
        Setting(MAZE, "full view", 0.85, recipe=Recipe(steps=800, scale="mean")),
        {
            "Monte Carlo": {"q_lam": 1.0, "v_lam": 1.0},
            "lambda 0.9": {"q_lam": 0.9, "v_lam": 0.9},
            "V Monte Carlo, Q one step": {"v_lam": 1.0},
            "one step from the start": {"warm": 0.0},
            "2 sampled actions for V": {"siblings": 2},
            "read apart": {"apart": True},
            "read apart, with product": {"apart": True, "product": True},
            "Q = V + head": {"residual": True},
            "whole episode in one pass": {"shown": "episode", "v_lam": 0.9, "steps": 100},
            "heads at the returns' mean and spread": {"scale": "standard"},
            "heads start at 0": {"scale": "raw"},
            "heads start at 0, one step": {"scale": "raw", "warm": 0.0},
            "Polyak 1": {"polyak": 1.0},
            "Polyak 0.01": {"polyak": 0.01},
            "learning rate 5e-3": {"learning_rate": 5e-3},
            "learning rate 5e-4": {"learning_rate": 5e-4},
            "width 128": {"hidden": 128},
            "1 layer": {"layers": 1},
            "one head each": {"heads": 1},
            "cloned trunk": {"trunk": "cloned"},
            "100 episodes": {"episodes": 100},
            "1600 episodes": {"episodes": 1600},
            "uniform play": {"noise": 1.0},
            "noise 0.3": {"noise": 0.3},
            "discount 0.99": {"discount": 0.99},
            "discount 1": {"discount": 1.0},
        },
    ),
    "coin collector": (
        Setting(FEW_HOUSES, "full view", 1.0, recipe=Recipe(steps=500, batch_size=32)),
        {
            "Monte Carlo": {"q_lam": 1.0, "v_lam": 1.0},
            "one step from the start": {"warm": 0.0},
            "read apart": {"apart": True},
            "Q = V + head": {"residual": True},
            "whole episode in one pass": {"shown": "episode", "v_lam": 0.9, "steps": 200},
            "heads start at 0, one step": {"scale": "raw", "warm": 0.0},
            "100 episodes": {"episodes": 100},
        },
    ),
    "coin collector, relabelled": (
        Setting(
            MANY_HOUSES,
            "houses",
            0.45,
            episodes=1000,
            trunk="cloned",
            recipe=Recipe(
                shown="episode",
                v_lam=0.9,
                heads=1,
                steps=160,
                batch_size=32,
                learning_rate=1e-3,
            ),
        ),
        {
            "Q behind the action": {"beyond": True},
            "random trunk": {"trunk": "random"},
            "last observation only": {"shown": "turn", "v_lam": None},
        },
    ),
}
_THRICE = ("Monte Carlo", "one step from the start", "read apart")
TASKS: Mapping[str, Mapping[str, Variation]] = {
    task: {DEFAULT: Variation(first, SEEDS)}
    | {
        name: Variation(first.with_(**changes), SEEDS if name in _THRICE else SEEDS[:1])
        for name, changes in rest.items()
    }
    for task, (first, rest) in _CHANGES.items()
}
"""For each task its default critic, and the same with one thing changed."""


def chosen(names: Sequence[str]) -> Iterator[Cell]:
    """The cells whose names begin with one of these; all where none is given.

    Raises:
        ValueError: for a name that no cell begins with.
    """
    everything = [
        Cell(task, name, variation.setting, seed)
        for task, variations in TASKS.items()
        for name, variation in variations.items()
        for seed in variation.seeds
    ]
    everything.sort(key=lambda cell: cell.variation != DEFAULT)  # what the rest is compared with
    for name in names:
        if not any(cell.name.startswith(name) for cell in everything):
            listed = ", ".join(f"{cell.task} / {cell.variation}" for cell in everything)
            raise ValueError(f"no cell {name!r}; expected the beginning of one: {listed}")
    for cell in everything:
        if not names or any(cell.name.startswith(name) for name in names):
            yield cell
