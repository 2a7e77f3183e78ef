"""Pairs from a file: which are drawn, and their batch (torch)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..batch import TokenBatch
from ..datasets.file import EpisodeFile
from ..trainer.offline import OfflineSession
from .pairs import PairSampler, task_of
from .update import Compared, Layout, renumbered

_AT_ONCE = 256  # episodes in memory while tasks are read


class PairBatch(NamedTuple):
    """Pairs that are ready for a step.

    Attributes:
        tokens: Each episode once, however many pairs it is in.
        layout: Of their turns.
        compared: The pairs.
        gaps: By how much each chosen return is greater than the rejected one.
    """

    tokens: TokenBatch
    layout: Layout
    compared: Compared
    gaps: list[float]


def pairs_of_file(data: EpisodeFile, margin: float | None, across_tasks: bool) -> PairSampler:
    """What draws pairs of a file's episodes; reads all of it once, unless any two may be paired."""
    tasks = [0] * len(data) if across_tasks else list(_tasks(data))
    return PairSampler(data.returns_E, tasks, margin)


def _tasks(data: EpisodeFile) -> Iterator[int]:
    numbers: dict[str, int] = {}
    for start in range(0, len(data), _AT_ONCE):
        for episode in data.read(range(start, min(start + _AT_ONCE, len(data)))):
            yield numbers.setdefault(task_of(episode), len(numbers))


def draw_pairs(
    session: OfflineSession, sampler: PairSampler, generator: np.random.Generator
) -> PairBatch:
    """Half as many pairs as `batch_size` says episodes, at least one."""
    count = max(1, session.config.batch_size // 2)
    numbers, pairs = renumbered(sampler.draw(generator, count))
    tokens = session.batch(session.read(numbers))
    layout = Layout(tokens, len(numbers))
    return PairBatch(tokens, layout, Compared(pairs, layout.counts), [p.margin for p in pairs])
