"""Episodes to imitate as batches (torch): held as one batch, or read from their file as needed."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from agents.chat import Chat
from agents.mixed import episode_in_words
from lmenvs.types import Episode

from ..batch import TokenBatch, make_batch
from ..metrics import rollout_metrics
from .file import EpisodeFile


class Batches(Protocol):
    """Rows that minibatches are made of, and what all of them together are like."""

    @property
    def metrics(self) -> dict[str, float]:
        """Under `demonstration/`: return, success, turns, ..."""
        ...

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    def rows(self, index: np.ndarray) -> TokenBatch:
        """These rows, on the device."""
        ...


class Held:
    """Episodes in memory, encoded once."""

    def __init__(self, episodes: Sequence[Episode], chat: Chat, device: torch.device):
        self._batch = make_batch(episodes, chat).to(device)
        played = rollout_metrics(episodes)
        self.metrics = {
            f"demonstration/{name.removeprefix('rollout/')}": value
            for name, value in played.items()
        }

    def __len__(self) -> int:
        return len(self._batch)

    def rows(self, index: np.ndarray) -> TokenBatch:
        """These rows of the one batch."""
        return self._batch.rows(index)


class Streamed:
    """Episodes of a file; only those of one minibatch are in memory, encoded when they are read.

    A row is an episode, in as many sequences as it needs.
    """

    def __init__(self, episodes: EpisodeFile, chat: Chat, device: torch.device):
        self._episodes, self._chat, self._device = episodes, chat, device
        self.metrics = {
            "demonstration/episodes": float(len(episodes)),
            "demonstration/return": float(episodes.returns_E.mean()),
            "demonstration/success": float(episodes.success_E.mean()),
            "demonstration/turns": float(episodes.turns_E.mean()),
            "demonstration/invalid_rate": float(
                episodes.invalid_E.sum() / max(1, episodes.turns_E.sum())
            ),
        }

    def __len__(self) -> int:
        return len(self._episodes)

    def rows(self, index: np.ndarray) -> TokenBatch:
        """These episodes, read and encoded now."""
        # ids in a file may be another tokenizer's: the text is what was said
        episodes = [episode_in_words(episode) for episode in self._episodes.read(index)]
        return make_batch(episodes, self._chat).to(self._device)


def open_batches(
    episodes: Sequence[Episode] | EpisodeFile, chat: Chat, device: torch.device
) -> Batches:
    """The batches of episodes in memory or in a file."""
    if isinstance(episodes, EpisodeFile):
        return Streamed(episodes, chat, device)
    return Held(episodes, chat, device)
