"""Files, runs and exact returns for the tests of preference learning (torch)."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from agents.lm import LMPolicy
from agents.models import load_model
from agents.protocols import Conversation
from agents.rollout import collect
from agents.sampling import Sampling
from agents.tabular import TabularSoftmaxPolicy
from algorithms import truth
from algorithms.batch import make_batch
from algorithms.forward import policy_logprobs
from algorithms.preferences.pairs import pair_up, task_of
from algorithms.truth import Play
from lmenvs.types import Action, Episode, write_episodes
from tests.support.training import MICROWAVE, played, start

WORST = -1.0
_KEPT: list[TemporaryDirectory[str]] = []  # folders that live as long as the tests do


class _Recited:
    """Says what each of these plays says; conversation n plays the n-th."""

    version = 0

    def __init__(self, plays: Sequence[Play]):
        self._plays = plays

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        return [Action(self._plays[c.seed[1]].actions_T[c.seed[-1]]) for c in conversations]

    def forget(self, ids: object) -> None:
        """Nothing is kept."""


@cache
def legal_plays() -> list[Episode]:
    """Every play of Microwave in legal words."""
    plays = truth.plays(MICROWAVE, TabularSoftmaxPolicy())
    return collect(MICROWAVE, _Recited(plays), range(len(plays)))


@torch.no_grad()
def sure_return(folder: Path) -> float:
    """What a model earns in Microwave at least, exactly: sampling whatever it finds likely, as if
    all would be lost with the first word that is not legal.
    """
    model, chat = load_model(folder)
    batch = make_batch(legal_plays(), chat)
    logprobs, _ = policy_logprobs(model, batch)
    chances = logprobs.sum(1).double().exp().numpy()
    returns = np.array([legal_plays()[n].total_reward for n in batch.episode.tolist()])
    assert chances.sum() < 1 + 1e-6
    return float(WORST + (chances * (returns - WORST)).sum())


def player() -> Path:
    """A clone of random play: it says what is legal, and has no idea which to say."""
    return start(hidden=32, episodes=256, epochs=24)


@cache
def recorded() -> Path:
    """A file of its play, eight episodes a task."""
    _KEPT.append(TemporaryDirectory(prefix="lmenvs-tests-"))
    path = Path(_KEPT[-1].name) / "episodes.jsonl"
    policy = LMPolicy(*load_model(player()), Sampling(max_new_tokens=8))
    write_episodes(path, collect(MICROWAVE, policy, range(48), group_size=8))
    return path


@cache
def beginners_play() -> Path:
    """A file of the beginner's play, which is worse at legal words; four episodes a task."""
    _KEPT.append(TemporaryDirectory(prefix="lmenvs-tests-"))
    path = Path(_KEPT[-1].name) / "episodes.jsonl"
    write_episodes(path, played(24, group_size=4))
    return path


def preference(folder: Path, chosen: Sequence[Episode], rejected: Sequence[Episode]) -> float:
    """How much likelier a model finds the chosen than the rejected: nats a pair."""
    model, chat = load_model(folder)
    means: list[float] = []
    for episodes in (chosen, rejected):
        batch = make_batch(episodes, chat)
        with torch.no_grad():
            logprobs, _ = policy_logprobs(model, batch)
        means.append(float(logprobs.sum()) / len(episodes))
    return means[0] - means[1]


def preference_gained(run: Path) -> float:
    """How much more than the beginner a run's model prefers what succeeds to what fails."""
    episodes = played(24, group_size=4)
    pairs = pair_up([e.total_reward for e in episodes], [task_of(e) for e in episodes])
    sides = [[episodes[p.chosen] for p in pairs], [episodes[p.rejected] for p in pairs]]
    return preference(run, *sides) - preference(start(), *sides)
