"""A training run under way: its folder, its learner, how it plays and what it logs (torch)."""

import contextlib
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from agents.branching import branch
from agents.critics import TurnCritic
from agents.making import open_engine
from agents.protocols import Policy
from agents.rollout import Crash, collect
from agents.sampling import Sampling
from lmenvs.types import Episode

from .. import support
from ..metrics import credit_metrics, rollout_metrics, training_split
from ..reference import Reference, open_reference
from .checks import check_episodes
from .config import Config
from .experience import Experience, read_episodes
from .learner import Judges, Learner, MakeCritic, rate_share
from .opening import Judging, check_values, of_data, open_learner
from .plausible import plausible_values

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class Settings(Config, DataclassInstance, Protocol):
        """An algorithm's Config: a dataclass with the shared settings."""


SHOWN = 8  # episodes of an iteration that the run folder keeps


class Session:
    """One run of one algorithm; made by `open_session`.

    Attributes:
        learner: What is trained.
        config: The algorithm's own settings.
    """

    def __init__(
        self,
        name: str,
        env: str,
        run: support.Run,
        learner: Learner,
        config: Config,
        reference: Reference | None,
        start: int,
        spent: int,
        env_workers: int,
        step_timeout: float | None,
    ):
        self.learner = learner
        self.config = config
        self.env = env
        self._name = name
        self._run = run
        self._reference = reference
        self._start = start
        self._env_workers = env_workers
        self._step_timeout = step_timeout
        self._crashes: list[Crash] = []
        self._played: list[Episode] = []
        self._turns = 0  # of this iteration
        self._spent = spent  # turns of all iterations before it
        self._plausible = plausible_values(env)

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._run.path

    def iterations(self) -> Generator[tuple[int, np.random.Generator]]:
        """Each iteration that is left, with the generator of all its chance.

        Rates are set, checkpoints saved when due, Ctrl-C heeded: see `support.iterations`.
        """
        config = self.config
        for iteration in support.iterations(
            self._run,
            self._name,
            config.iterations,
            self._start,
            config.save_every,
            self._save,
            lambda: self._turns_left() <= 0,
        ):
            self._spent, self._turns = self._spent + self._turns, 0
            self._crashes, self._played = [], []
            self.learner.set_rates(rate_share(self.done(iteration), config.anneal), config)
            yield iteration, np.random.default_rng((config.seed, iteration))

    def _turns_left(self) -> float:
        budget = self.config.turn_budget
        return math.inf if budget is None else budget - self._spent - self._turns

    def done(self, iteration: int) -> float:
        """The share of the run that was done before an iteration: of iterations, or of turns."""
        done = iteration / self.config.iterations
        if self.config.turn_budget is not None:
            done = max(done, self._spent / self.config.turn_budget)
        return done

    def _save(self, complete: int) -> None:
        learner = self.learner
        state = {"iteration": complete, "turns": self._spent + self._turns, **learner.state()}
        self._run.save(learner.save, state)

    def check(self, targets: Tensor, mask: Tensor) -> None:
        """Look whether value targets can be: see `check_values`."""
        check_values(self._plausible, self._run, self.learner, targets, mask)

    def phase(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Time a part of the iteration: see `support.Run.phase`."""
        return self._run.phase(name)

    @contextlib.contextmanager
    def sampler(self, iteration: int) -> Iterator[Policy]:
        """What plays with the weights of now; they must not move before it is closed."""
        sampling = Sampling(max_new_tokens=self.config.max_new_tokens)
        with open_engine(
            self.config.engine, self.learner.model, self.learner.chat, sampling, iteration
        ) as policy:
            yield policy

    def collect(
        self,
        policy: Policy,
        seeds: Sequence[int] | np.ndarray,
        group_size: int = 1,
        *,
        max_turns: int | None = None,
        allowed: int | None = None,
    ) -> list[Episode]:
        """Play tasks of the training split, each by a group; see `agents.rollout.collect`.

        Raises:
            ValueError: for episodes that no credit can be given for: see checks.py.
        """
        episodes = collect(
            self.env,
            policy,
            [int(seed) for seed in seeds],
            group_size=group_size,
            width=self.config.width,
            max_turns=self.config.max_turns if max_turns is None else max_turns,
            split=training_split(self.env),
            policy_seed=self.config.seed,
            env_workers=self._env_workers,
            step_timeout=self._step_timeout,
            crashes=self._crashes,
            allowed=allowed,
        )
        check_episodes(episodes)
        self._plausible.saw(episodes)
        self._turns += sum(len(episode.turns) for episode in episodes)
        self._played += episodes
        return episodes

    def branch(
        self,
        policy: Policy,
        episodes: Sequence[Episode],
        turns: Sequence[int] | Callable[[Episode], Iterable[int]],
        k: int = 1,
        *,
        ancestors: Iterable[Episode] = (),
        max_turns: int | None = None,
        allowed: int | None = None,
    ) -> list[Episode]:
        """Play k other ways on from turns of episodes: see `agents.branching.branch`.

        Those that break are left out and counted, as in `collect`.
        """
        forked = branch(
            self.env,
            policy,
            episodes,
            turns,
            k,
            ancestors=ancestors,
            width=self.config.width,
            max_turns=self.config.max_turns if max_turns is None else max_turns,
            policy_seed=self.config.seed,
            env_workers=self._env_workers,
            step_timeout=self._step_timeout,
            crashes=self._crashes,
            allowed=allowed,
        )
        check_episodes(forked)
        self._turns += sum(len(e.turns) - (e.parent or ("", 0))[1] for e in forked)
        return forked

    def read(
        self,
        episodes: Sequence[Episode],
        trained_turns_ET: Sequence[np.ndarray] | None = None,
    ) -> Experience:
        """Batch episodes and let the models read them: see `read_episodes`."""
        return read_episodes(self.learner, episodes, self.config, self._reference, trained_turns_ET)

    def log(
        self,
        iteration: int,
        experience: Experience,
        advantages_ET: Sequence[np.ndarray],
        measured: Mapping[str, float],
        values_ET: Sequence[np.ndarray] | None = None,
        *,
        played: Sequence[Episode] | None = None,
    ) -> None:
        """Write an iteration's numbers, and its first episodes with their credit per turn.

        `played` are the episodes that the numbers under `rollout/` are of: what was collected,
        unless the algorithm knows better.
        """
        numbers = {
            **rollout_metrics(self._played if played is None else played, self._crashes),
            "rollout/environment_turns": self._turns,
            **credit_metrics(experience.trained(advantages_ET)),
        }
        self._run.log(iteration, {**numbers, **measured})
        shown = experience.played[:SHOWN]
        self._run.episodes(shown)
        values = [None] * len(shown) if values_ET is None else values_ET
        credit = zip(shown, advantages_ET, values, strict=False)
        self._run.credit((episode.id, a, v) for episode, a, v in credit)


def open_session(
    name: str,
    env: str,
    model: str | Path,
    out: str | Path,
    config: "Settings",
    *,
    judges: Judges = "nothing",
    critic_learning_rate: float = 0.0,
    critic: MakeCritic = TurnCritic,
    target: bool = False,
    data: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    env_workers: int = 0,
    step_timeout: float | None = None,
) -> Session:
    """Open the run folder and load the model, of `model` or of the run that is resumed.

    Args:
        name: The algorithm's.
        env: The string that names the environment.
        model: A folder or hub id; what the policy is held close to, unless the objective names it.
        out: The run's folder.
        config: The algorithm's settings.
        judges: Whether there is a critic, and of what.
        critic_learning_rate: Of the critic.
        critic: Makes the critic from the policy.
        target: Whether a frozen copy of the critic follows it.
        data: A file of episodes that the algorithm reads besides, for the run's record.
        resume: Go on from the last checkpoint in `out`.
        device: Where policy and critic are: "cpu", "cuda", "cuda:1".
        env_workers: See `agents.starts.Limits`.
        step_timeout: See `agents.starts.Limits`.
    """
    given = {"algorithm": name, "env": env, "model": str(model), **asdict(config)}
    if data is not None:
        given |= of_data(data)
    opened = open_learner(
        out,
        given,
        lambda _: model,
        config,
        Judging(judges, critic_learning_rate, critic, target),
        seed=config.seed,
        entropy_bonus=config.objective.entropy_bonus,
        resume=resume,
        device=device,
    )
    learner, state = opened.learner, opened.state
    reference = None
    if (objective := config.objective).reference_kl:
        reference = open_reference(learner.model, learner.chat, model, objective.reference)
    start, spent = (state["iteration"], state["turns"]) if state else (0, 0)
    return Session(
        name, env, opened.run, learner, config, reference, start, spent, env_workers, step_timeout
    )
