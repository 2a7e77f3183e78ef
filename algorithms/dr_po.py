"""DR-PO: some groups begin in the middle of a demonstration, and learn from there on (torch).

Paper: Chang et al., Dataset Reset Policy Optimization for RLHF (2024), algorithm 1: draw a state
of the offline data, reset the environment to it, let the policy go on, and improve it on what it
did from there, held close to a reference policy. `share` is the part of the groups that begin so;
the authors' code has 1, and 0 is RLOO. Where a reward is far from the start, a reset near it shows
the policy both outcomes, and a group whose returns differ is what there is to learn from.

The turns of the demonstration are read, never trained. Members of a group go on from the same
state, each with chance of its own, and are compared with one another (Kool et al. 2019), so the
gradient is exact for the mixture of starts; states of demonstrations are favoured over those that
the policy would reach itself.

Deviations: the update is RLOO's, clipped, instead of PPO's with a critic or the natural gradient
of the analysis; the KL to the reference stands in the loss (`objective.reference_kl`; the model of
`objective.reference`, which may be a clone of the demonstrations). The share is a number of groups
rather than a chance for each. With `curriculum` the resets move from the demonstrations' ends to
their beginnings, as Salimans and Chen, Learning Montezuma's Revenge from a Single Demonstration
(2018), with a clock instead of a success rate. Rewards are those of the environment; none is
learned from preferences.

Measured on the firm frozen lake with 16 turns (seeds 0 to 2, one setting): it learned from its
resets, but from the start stayed below a success of 0.2 for 9,100 turns; CHORD passed 0.5 in 4,800
to 7,200.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from agents.protocols import Policy
from lmenvs.types import Episode

from .credit import leave_one_out, spread, turn_leave_one_out
from .demonstrated import Demonstrations, open_demonstrations, own_turns, refuse_other_tasks
from .settings import refuse_impossible
from .trainer.experience import kept_groups
from .trainer.objective import Objective
from .trainer.session import Session, open_session
from .trainer.update import update


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh groups and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    groups: int = 16  # starts per iteration
    group_size: int = 8  # episodes from each; a larger group has a steadier baseline
    share: float = 0.5  # of the groups that begin within a demonstration; 0 is RLOO
    curriculum: float = 0.0  # over this share of the run resets move from ends to beginnings; 0: no
    demonstrator: str = "expert"  # any policy spec; plays where no file of data is given
    demonstrations: int = 64  # how many episodes it plays
    baseline: Literal["episode", "suffix"] = "episode"  # compare whole returns, or turn by turn
    objective: Objective = Objective(reference_kl=0.01)  # of the policy: clip, KL, entropy, masks
    target_kl: float | None = None  # the policy rests for the iteration once it moved so far (nats)
    epochs: int = 1  # passes over an iteration's episodes
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
        for name, share in (("share", self.share), ("curriculum", self.curriculum)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} {share}; expected a share from 0 to 1")
        if self.demonstrations < 1:
            raise ValueError(f"demonstrations {self.demonstrations}; expected at least 1")


def earliest_share(done: float, curriculum: float) -> float:
    """How far into a demonstration the earliest reset lies, once so much of the run is done.

    >>> [earliest_share(done, curriculum=0.5) for done in (0.0, 0.25, 0.5, 1.0)]
    [1.0, 0.5, 0.0, 0.0]
    """
    return max(0.0, 1.0 - done / curriculum) if curriculum else 0.0


def draw_resets(
    shown: Demonstrations, count: int, earliest: float, generator: np.random.Generator
) -> dict[str, tuple[Episode, int]]:
    """Demonstrations and the turn of each to begin at, every allowed turn of it as likely.

    Each goes by a name of its own, so that a state that is drawn twice is two groups.
    """
    drawn: dict[str, tuple[Episode, int]] = {}
    for episode in shown.read(generator.integers(len(shown), size=count)):
        last = len(episode.turns) - 1
        turn = int(generator.integers(round(earliest * last), last + 1))
        name = f"{episode.id}*{len(drawn)}"
        drawn[name] = replace(episode, id=name), turn
    return drawn


def reset_groups(
    session: Session,
    policy: Policy,
    shown: Demonstrations,
    count: int,
    config: Config,
    iteration: int,
    generator: np.random.Generator,
) -> list[Episode]:
    """So many groups that go on from states of demonstrations."""
    earliest = earliest_share(session.done(iteration), config.curriculum)
    drawn = draw_resets(shown, count, earliest, generator)
    begun = [episode for episode, _ in drawn.values()]
    refuse_other_tasks(begun, session.env)
    forks = session.branch(policy, begun, lambda one: [drawn[one.id][1]], config.group_size)
    # one whose first action filled the model's window took no turn of its own
    return [fork for fork in forks if own_turns(fork).any()]


def credit(episodes: Sequence[Episode], config: Config) -> list[np.ndarray]:
    """One array per episode: its leave-one-out advantage at each of its turns.

    Members of a group share what came before the reset, so that it cancels.
    """
    groups_E = [str(episode.group) for episode in episodes]
    if config.baseline == "suffix":
        rewards_ET = [[turn.reward for turn in episode.turns] for episode in episodes]
        return turn_leave_one_out(rewards_ET, groups_E)
    advantages_E = leave_one_out([episode.total_reward for episode in episodes], groups_E)
    return spread(advantages_E, [len(episode.turns) for episode in episodes])


def train(
    env: str,
    model: str | Path,
    out: str | Path,
    config: Config = Config(),
    *,
    data: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    env_workers: int = 0,
    step_timeout: float | None = None,
) -> Path:
    """Train a model folder or hub id on an environment's training split; returns the run folder.

    `data` is a file of demonstrations; without one the demonstrator plays them. `device`,
    `env_workers`, `step_timeout`: see `trainer.session.open_session`.
    """
    session = open_session(
        "dr_po",
        env,
        model,
        out,
        config,
        data=data,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    count = round(config.share * config.groups)
    shown = None
    if count:
        shown = open_demonstrations(session, data, config.demonstrator, config.demonstrations)
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            seeds = generator.integers(2**31, size=config.groups - count)
            played = session.collect(policy, seeds, config.group_size)
            forks: list[Episode] = []
            if shown is not None:
                forks = reset_groups(session, policy, shown, count, config, iteration, generator)
        with session.phase("credit"):
            kept = kept_groups([*played, *forks], config.objective.equal_groups)
            experience = session.read(kept, [own_turns(episode) for episode in kept])
            advantages_ET = credit(experience.episodes, config)
            advantages = experience.spread(advantages_ET, config.objective.normalise)
        with session.phase("update"):
            measured = update(session.learner, experience, advantages, config, generator)
        if forks:
            measured["resets/success"] = float(np.mean([fork.success for fork in forks]))
        session.log(iteration, experience, advantages_ET, measured, played=played or forks)
    return session.path
