"""LMRL-Gym's published returns, for rows whose task is the paper's: the mazes and Wordle.

Its other tasks are other environments here (opponents, answers and houses differ), so their
published returns stand beside none of ours.
"""

from ..spec import LMRL, Reference

METHODS = ("BC", "filtered BC", "MC", "ILQL", "PPO", "online filtered BC", "GPT-4")


def published(least: float, average: float, most: float, *raw: float) -> dict[str, Reference]:
    """The bounds of a task, and the raw return of each of `METHODS`."""
    names = ("min", "average", "max", *METHODS)
    values = (least, average, most, *raw)
    return {name: Reference(value, LMRL) for name, value in zip(names, values, strict=True)}
