"""Step-level DPO: actions taken in the same state compared, from forked continuations (torch).

Papers: DPO (Rafailov et al., 2023) on single turns, as in step-wise preference learning for agents
(Xiong et al., Watch Every Step: IPR, 2024, section 3, whose step reward is the mean return of
continuations from the step). In an episode some turns are forked: the environment is brought back,
and `siblings` ways on are played from there. An action is worth the mean return of those that
began with it, and the best is compared with the worst. Only that turn is trained; with
`span="rest"` whole ways on are compared, by their returns, from the fork to the end.

Deviations: the forks' own returns judge them (IPR: further rollouts by a policy behind each step,
against the expert's step). Iterated; the reference is the policy before each iteration unless
`preference.reference="start"`.
The loss has RPO's term (`preference.sft_weight`; 0 is the paper's): without it small models unlearn
what they say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from lmenvs.types import Episode

from .preferences.pairs import How, Pair, action_pairs, sibling_pairs
from .preferences.update import Preference, fixed_reference, near, paired, standing, update
from .settings import refuse_impossible
from .trainer.objective import Objective
from .trainer.session import open_session


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 40  # each plays, forks, and trains on the pairs
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    tasks: int = 16  # episodes per iteration, each of another task
    forks: int = 3  # turns of each episode that are forked, drawn alike; all where it has fewer
    siblings: int = 6  # ways on from each of them
    span: Literal["turn", "rest"] = (
        "turn"  # what is compared: the action there, or all that follows
    )
    how: How = "extremes"  # which siblings are paired: see preferences.pairs.pair_up
    margin: float = 0.0  # what they are worth differs by more than this
    preference: Preference = field(default_factory=Preference)  # the loss, and its reference
    epochs: int = 2  # passes over an iteration's pairs
    minibatches: int = 2  # optimizer steps per pass
    learning_rate: float = 3e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    anneal: float = 1.0  # over the last third, learning rates fall to this share; 1 holds them
    max_norm: float = 1.0  # gradients longer than this are shortened
    lora_rank: int = 0  # above 0 trains low-rank adapters instead of all weights
    max_new_tokens: int = 16  # an action longer than this is cut
    max_turns: int | None = None  # truncate episodes here, besides the task's own limit
    width: int = 128  # conversations answered at once
    micro_tokens: int = 2048  # padded tokens per pass; fits a CPU cache, a GPU likes 16 times more
    gradient_checkpointing: bool = False  # less memory for a third more time
    save_every: int = 10  # iterations between checkpoints
    engine: str = ""  # what samples, "" in this process; see agents.making.open_engine

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)
        if self.siblings < 2:
            raise ValueError(
                f"siblings {self.siblings}; expected at least 2: one has no other to compare with"
            )
        if self.span not in ("turn", "rest"):
            raise ValueError(f"span {self.span!r}; expected 'turn' or 'rest'")

    @property
    def objective(self) -> Objective:
        """No policy gradient here: what the shared code reads of it is at its defaults."""
        return Objective()

    @property
    def target_kl(self) -> None:
        """The policy never rests: `preference.beta` says how far a pair may move it."""


def forked_turns(
    episodes: Sequence[Episode], count: int, generator: np.random.Generator
) -> dict[str, list[int]]:
    """By episode id, which turns are forked: different ones, in order."""
    lengths_E = [len(episode.turns) for episode in episodes]
    chosen_E = [
        sorted(generator.choice(length, min(count, length), replace=False).tolist())
        for length in lengths_E
    ]
    return {episode.id: turns for episode, turns in zip(episodes, chosen_E, strict=True)}


def pairs_of(forks: Sequence[Episode], config: Config) -> list[Pair]:
    """What is compared: actions in one state, or what follows from it."""
    compare = action_pairs if config.span == "turn" else sibling_pairs
    # one whose first own action filled the model's window took no turn of its own
    took = [number for number, fork in enumerate(forks) if len(fork.turns) > _forked_at(fork)]
    pairs = compare([forks[number] for number in took], config.how, config.margin)
    return [replace(p, chosen=took[p.chosen], rejected=took[p.rejected]) for p in pairs]


def _forked_at(fork: Episode) -> int:
    assert fork.parent is not None
    return fork.parent[1]


def train(
    env: str,
    model: str | Path,
    out: str | Path,
    config: Config = Config(),
    *,
    resume: bool = False,
    device: str = "cpu",
    env_workers: int = 0,
    step_timeout: float | None = None,
) -> Path:
    """Train a model folder or hub id on an environment's training split; returns the run folder.

    `device`, `env_workers`, `step_timeout`: see `trainer.session.open_session`.
    """
    session = open_session(
        "step_dpo",
        env,
        model,
        out,
        config,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    fixed = fixed_reference(session.learner.model, model, config.preference)
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            seeds = generator.integers(2**31, size=config.tasks)
            played = session.collect(policy, seeds)
            at = forked_turns(played, config.forks, generator)
            forks = session.branch(policy, played, partial(_turns, at), config.siblings)
        with session.phase("credit"):
            known, pairs = paired(forks, pairs_of(forks, config))
            experience = session.read(known)
            said = near(fixed, experience, config)
        with session.phase("update"):
            measured = update(
                session.learner, experience, pairs, said, config.preference, config, generator
            )
        session.log(iteration, experience, standing(known, pairs), measured)
    return session.path


def _turns(at: Mapping[str, list[int]], episode: Episode) -> list[int]:
    return at[episode.id]
