"""A run that learns from a file of episodes: its folder, its learner, what it draws (torch)."""

import contextlib
from collections import OrderedDict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from agents.critics import TurnCritic
from agents.lm import LMPolicy
from agents.mixed import episode_in_words
from agents.protocols import Policy
from agents.rollout import collect
from agents.sampling import Sampling
from lmenvs.types import Episode

from .. import support
from ..batch import TokenBatch, make_batch
from ..datasets.file import EpisodeFile
from ..metrics import rollout_metrics, training_split
from ..reference import Reference
from ..starting import starting_model
from .checks import check_episodes
from .config import OfflineConfig
from .learner import Judges, Learner, MakeCritic, rate_share
from .opening import Judging, check_values, of_data, open_learner
from .plausible import plausible_values

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class OfflineSettings(OfflineConfig, DataclassInstance, Protocol):
        """An algorithm's Config: a dataclass with the shared settings."""


SHOWN = 8  # episodes of an iteration that the run folder keeps
HELD_TURNS = 100_000  # turns of episodes drawn lately that are not read and encoded again


class OfflineSession:
    """One run of one algorithm on one file; made by `open_offline`.

    Attributes:
        learner: What is trained.
        config: The algorithm's own settings.
        data: The file.
    """

    def __init__(
        self,
        name: str,
        env: str,
        run: support.Run,
        learner: Learner,
        config: OfflineConfig,
        data: EpisodeFile,
        model: str | Path,
        start: int,
    ):
        self.learner = learner
        self.config = config
        self.data = data
        self.env = env
        self._name = name
        self._run = run
        self._model = model
        self._start = start
        self._held: OrderedDict[int, Episode] = OrderedDict()
        self._held_turns = 0
        self._plausible = plausible_values(env)
        low, high = float(data.returns_E.min()), float(data.returns_E.max())
        self._plausible.low = min(self._plausible.low, low)
        self._plausible.high = max(self._plausible.high, high)

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._run.path

    def reference(self) -> Reference:
        """The model that the run began with, frozen."""
        return Reference(self.learner.model, self._model)

    def iterations(self) -> Generator[tuple[int, np.random.Generator]]:
        """Each iteration that is left, with the generator of all its chance.

        Rates are set, checkpoints saved when due, Ctrl-C heeded: see `support.iterations`.
        """
        config = self.config
        for iteration in support.iterations(
            self._run, self._name, config.iterations, self._start, config.save_every, self._save
        ):
            share = rate_share(iteration / config.iterations, config.anneal)
            self.learner.set_rates(share, config)
            yield iteration, np.random.default_rng((config.seed, iteration))

    def _save(self, complete: int) -> None:
        self._run.save(self.learner.save, {"iteration": complete, **self.learner.state()})

    def check(self, targets: Tensor, mask: Tensor) -> None:
        """Look whether value targets can be: see `check_values`."""
        check_values(self._plausible, self._run, self.learner, targets, mask)

    def phase(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Time a part of the iteration: see `support.Run.phase`."""
        return self._run.phase(name)

    def draw(
        self,
        generator: np.random.Generator,
        among: Sequence[int] | np.ndarray | None = None,
        count: int | None = None,
    ) -> list[Episode]:
        """Episodes with their token ids, drawn independently with replacement.

        Args:
            generator: All chance.
            among: The episodes' numbers in the file; None for all of them.
            count: How many; None for `batch_size`.

        Raises:
            ValueError: for episodes that no credit can be given for: see checks.py.
        """
        size = len(self.data) if among is None else len(among)
        picks = generator.integers(size, size=self.config.batch_size if count is None else count)
        return self.read(picks if among is None else np.asarray(among)[picks])

    def read(self, numbers: Sequence[int] | np.ndarray) -> list[Episode]:
        """The episodes of these numbers with their token ids."""
        episodes = [self._one(int(number)) for number in numbers]
        check_episodes(episodes)
        return episodes

    def _one(self, number: int) -> Episode:
        held = self._held.get(number)
        if held is not None:
            self._held.move_to_end(number)
            return held
        # ids in a file may be another tokenizer's: the text is what was said
        episode = self.learner.chat.encode_episode(episode_in_words(self.data[number]))
        self._held[number] = episode
        self._held_turns += len(episode.turns)
        while self._held_turns > HELD_TURNS and len(self._held) > 1:
            _, gone = self._held.popitem(last=False)
            self._held_turns -= len(gone.turns)
        return episode

    def batch(self, episodes: Sequence[Episode]) -> TokenBatch:
        """The episodes' tokens, where the learner is."""
        return make_batch(episodes, self.learner.chat).to(self.learner.model.device)

    def log(
        self, iteration: int, measured: Mapping[str, float], policy: Policy | None = None
    ) -> None:
        """Play some training tasks, and write the iteration's numbers.

        Args:
            iteration: Which.
            measured: Numbers of the update.
            policy: What plays; None is the model as it samples.
        """
        numbers: dict[str, float] = {}
        if self.config.evaluations:
            with self.phase("evaluate"):
                played = self._play(iteration, policy)
            numbers = rollout_metrics(played)
            self._run.episodes(played[:SHOWN])
        self._run.log(iteration, {**numbers, **measured})

    def _play(self, iteration: int, policy: Policy | None) -> list[Episode]:
        config, learner = self.config, self.learner
        if policy is None:
            sampling = Sampling(max_new_tokens=config.max_new_tokens)
            policy = LMPolicy(learner.model, learner.chat, sampling, iteration)
        seeds = np.random.default_rng((config.seed, iteration, 1))
        return collect(
            self.env,
            policy,
            seeds.integers(2**31, size=config.evaluations).tolist(),
            width=config.width,
            max_turns=config.max_turns,
            split=training_split(self.env),
            policy_seed=config.seed,
        )


def open_offline(
    name: str,
    env: str,
    data: str | Path,
    model: str | Path | None,
    out: str | Path,
    config: "OfflineSettings",
    *,
    judges: Judges = "nothing",
    critic_learning_rate: float = 0.0,
    critic: MakeCritic = TurnCritic,
    target: bool = False,
    resume: bool = False,
    device: str = "cpu",
) -> OfflineSession:
    """Open the file and the run folder, and load the model or make one.

    Args:
        name: The algorithm's.
        env: The string that names the environment; episodes of it are taken, whatever its
            arguments were.
        data: A file of episodes.
        model: A folder or hub id; None makes a tiny model and its tokenizer for the file.
        out: The run's folder.
        config: The algorithm's settings.
        judges: Whether there is a critic, and of what.
        critic_learning_rate: Of the critic.
        critic: Makes the critic from the policy.
        target: Whether a frozen copy of the critic follows it.
        resume: Go on from the last checkpoint in `out`.
        device: Where policy and critic are: "cpu", "cuda", "cuda:1".
    """
    episodes = EpisodeFile(data, env)
    given = {
        **{"algorithm": name, "env": env, "model": "" if model is None else str(model)},
        **of_data(data),
        **asdict(config),
    }
    opened = open_learner(
        out,
        given,
        lambda folder: starting_model(model, env, episodes, folder, config.seed),
        config,
        Judging(judges, critic_learning_rate, critic, target),
        seed=config.seed,
        resume=resume,
        device=device,
    )
    start = opened.state["iteration"] if opened.state else 0
    return OfflineSession(
        name, env, opened.run, opened.learner, config, episodes, opened.model, start
    )
