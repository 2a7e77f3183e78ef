"""Demonstrations that an online algorithm learns from: of a file, or played first (torch).

Played ones cost environment turns that no log of the run counts. A file is read by number, so that
a large one is not held in memory. Their text is what counts: ids of another tokenizer are left
out, and the learner's own take their place.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from agents.chat import Chat
from agents.making import make_policy
from agents.mixed import episode_in_words
from agents.rollout import collect
from lmenvs.types import Episode

from .datasets.file import EpisodeFile
from .metrics import training_split
from .trainer.session import Session


class Demonstrations:
    """Episodes to learn from, by number, with the learner's token ids.

    Attributes:
        returns_E: Their undiscounted returns.
    """

    def __init__(self, source: EpisodeFile | Sequence[Episode], chat: Chat):
        self._source, self._chat = source, chat
        self.returns_E = (
            source.returns_E
            if isinstance(source, EpisodeFile)
            else np.array([episode.total_reward for episode in source])
        )

    def __len__(self) -> int:
        return len(self._source)

    def read(self, numbers: Iterable[int] | np.ndarray) -> list[Episode]:
        """The episodes of these numbers."""
        found = self._stored(numbers)
        return [self._chat.encode_episode(episode_in_words(episode)) for episode in found]

    def _stored(self, numbers: Iterable[int] | np.ndarray) -> list[Episode]:
        if isinstance(self._source, EpisodeFile):
            return self._source.read(numbers)
        return [self._source[int(number)] for number in numbers]

    def tasks(self, env: str) -> dict[int, int]:
        """Seed of each task that is demonstrated -> the number of its best demonstration.

        Reads a file once more from end to end.
        """
        best: dict[int, int] = {}
        for number in range(len(self)):
            (episode,) = self._stored([number])
            refuse_other_tasks([episode], env)
            known = best.setdefault(episode.seed, number)
            if self.returns_E[number] > self.returns_E[known]:
                best[episode.seed] = number
        return best


def open_demonstrations(
    session: Session, data: str | Path | None, demonstrator: str, count: int
) -> Demonstrations:
    """Open the file, or let the demonstrator play training tasks; the same again on resuming.

    Args:
        session: The run.
        data: A file of episodes of the run's environment, or None.
        demonstrator: The spec of the policy that plays where there is no file.
        count: How many episodes it plays.

    Raises:
        ValueError: for a file without such episodes.
    """
    chat = session.learner.chat
    if data is not None:
        return Demonstrations(EpisodeFile(data, session.env), chat)
    config = session.config
    # another stream than that of the first iteration's tasks
    seeds = np.random.default_rng((config.seed, 0, 1)).integers(2**31, size=count)
    played = collect(
        session.env,
        make_policy(demonstrator),
        seeds.tolist(),
        width=config.width,
        max_turns=config.max_turns,
        split=training_split(session.env),
        policy_seed=config.seed,
    )
    return Demonstrations([episode for episode in played if episode.turns], chat)


def refuse_other_tasks(episodes: Iterable[Episode], env: str) -> None:
    """For algorithms that play the demonstrations' tasks, not only imitate what was said.

    Raises:
        ValueError: for an episode that is not known to be of the training split.
    """
    wanted = training_split(env)
    for episode in episodes:
        if wanted is not None and episode.split != wanted:
            raise ValueError(
                f"demonstration {episode.id}: expected one of the split {wanted!r}, whose tasks "
                f"are trained on, got split {episode.split!r}; make the demonstrations on "
                f"{env}{'&' if '?' in env else '?'}split={wanted}"
            )


def own_turns(episode: Episode) -> np.ndarray:
    """Which turns the episode took itself, instead of sharing them with what it left."""
    first = 0 if episode.parent is None else episode.parent[1]
    return np.arange(len(episode.turns)) >= first
