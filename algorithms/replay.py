"""What was played and may be learned from again: a bounded buffer of whole episodes. No torch."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from lmenvs.types import Episode, read_episodes, write_episodes

Weight = Literal["episode", "turn"]


class ReplayBuffer:
    """The newest episodes, as many as fit into `max_turns` turns, in the order they came.

    Whole episodes are kept, because a critic reads all turns of one in a single pass. The oldest
    leave first. All chance is in the generator handed to `sample`, so a buffer that was saved and
    loaded samples what the original would have.

    Args:
        max_turns: The most turns held at once.
    """

    def __init__(self, max_turns: int = 100_000):
        if max_turns < 1:
            raise ValueError(f"max_turns is {max_turns}; expected at least 1")
        self.max_turns = max_turns
        self._episodes: list[Episode] = []
        self._turns = 0

    def __len__(self) -> int:
        """The number of episodes."""
        return len(self._episodes)

    @property
    def turns(self) -> int:
        """The number of turns, over all episodes."""
        return self._turns

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """All episodes, oldest first."""
        return tuple(self._episodes)

    def add(self, episodes: Iterable[Episode]) -> None:
        """Append episodes, then let the oldest go until the rest fits.

        Episodes without turns hold nothing to learn from and are passed over.

        Raises:
            ValueError: for an episode that alone is longer than the buffer; nothing is added then.
        """
        new = [episode for episode in episodes if episode.turns]
        for episode in new:
            if len(episode.turns) > self.max_turns:
                raise ValueError(
                    f"episode {episode.id} has {len(episode.turns)} turns, the buffer holds "
                    f"{self.max_turns}; raise max_turns"
                )
        self._episodes.extend(new)
        self._turns += sum(len(episode.turns) for episode in new)
        gone = 0
        while self._turns > self.max_turns:
            self._turns -= len(self._episodes[gone].turns)
            gone += 1
        del self._episodes[:gone]

    def sample(
        self, count: int, generator: np.random.Generator, weight: Weight = "episode"
    ) -> list[Episode]:
        """Draw `count` episodes independently, with replacement.

        `weight="episode"` draws each episode alike; "turn" draws an episode as often as it has
        turns, so that a turn picked uniformly from each draw is uniform over all turns held.
        """
        if not self._episodes:
            raise ValueError("the replay buffer is empty; add episodes before sampling")
        if weight == "episode":
            picks = generator.integers(len(self._episodes), size=count)
        elif weight == "turn":
            ends = np.cumsum([len(episode.turns) for episode in self._episodes])
            picks = np.searchsorted(ends, generator.integers(self._turns, size=count), side="right")
        else:
            raise ValueError(f"weight is {weight!r}; expected 'episode' or 'turn'")
        return [self._episodes[pick] for pick in picks]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the episodes as JSON lines; the file appears whole or not at all."""
        target = Path(path)
        partial = target.with_name(target.name + ".partial")
        write_episodes(partial, self._episodes)
        os.replace(partial, target)

    @classmethod
    def load(cls, path: str | os.PathLike[str], max_turns: int = 100_000) -> "ReplayBuffer":
        """The buffer that `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: on a line that is not an episode, with its number.
        """
        buffer = cls(max_turns)
        buffer.add(read_episodes(path))
        return buffer
