"""ETO: trajectory DPO of what fails against what succeeds at the same task, iterated (torch).

Paper: Song et al., Trial and Error: Exploration-Based Trajectory Optimization for LLM Agents
(2024), section 3: explore, pair each failure with the expert's episode of the task, DPO on whole
episodes (only what the policy said is trained), and again from the new policy, which is the new
reference. `preference.reference="start"` keeps the first policy as the reference instead.

Deviations: a task is played `group_size` times, and the best of these and of its demonstrations is
compared with every episode that is worse by more than `margin`; the paper plays it once. Without
demonstrations the policy's own successes are compared with its failures. Nothing is fine-tuned on
the demonstrations before: give a clone of them as the model. beta, learning rate and passes are the
same in all iterations (the paper's code: beta 0.1, then 0.5, at half the rate).
The loss has RPO's term (`preference.sft_weight`; 0 is the paper's): without it small models unlearn
what they say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lmenvs.types import Episode

from .demonstrated import open_demonstrations, refuse_other_tasks
from .preferences.pairs import How, Pair, check_same_tasks, pair_up, task_of
from .preferences.update import Preference, fixed_reference, near, paired, standing, update
from .settings import refuse_impossible
from .trainer.objective import Objective
from .trainer.session import open_session


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 40  # each explores, pairs, and trains on the pairs
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    tasks: int = 16  # explored per iteration
    group_size: int = 8  # episodes per task
    how: How = "best"  # which are paired: see preferences.pairs.pair_up
    margin: float = 0.0  # returns of a pair differ by more than this
    preference: Preference = field(default_factory=Preference)  # the loss, and its reference
    epochs: int = 3  # passes over an iteration's pairs
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

    @property
    def objective(self) -> Objective:
        """No policy gradient here: what the shared code reads of it is at its defaults."""
        return Objective()

    @property
    def target_kl(self) -> None:
        """The policy never rests: `preference.beta` says how far a pair may move it."""


def pairs_of(episodes: Sequence[Episode], config: Config) -> list[Pair]:
    """What is compared: plays of one task whose returns differ."""
    returns_E = [episode.total_reward for episode in episodes]
    return pair_up(returns_E, [task_of(e) for e in episodes], config.how, config.margin)


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

    `data` is a file of demonstrations, whose tasks are explored; without one tasks are drawn anew.
    `device`, `env_workers`, `step_timeout`: see `trainer.session.open_session`.
    """
    session = open_session(
        "eto",
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
    fixed = fixed_reference(session.learner.model, model, config.preference)
    demonstrations = None if data is None else open_demonstrations(session, data, "", 0)
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            shown: list[Episode] = []
            seeds = generator.integers(2**31, size=config.tasks)
            if demonstrations is not None:
                shown = demonstrations.read(seeds % len(demonstrations))
                refuse_other_tasks(shown, env)
                seeds = [episode.seed for episode in shown]
            played = session.collect(policy, list(dict.fromkeys(seeds)), config.group_size)
        with session.phase("credit"):
            if shown:
                check_same_tasks(shown, played)
            known, pairs = paired([*shown, *played], pairs_of([*shown, *played], config))
            experience = session.read(known)
            said = near(fixed, experience, config)
        with session.phase("update"):
            measured = update(
                session.learner, experience, pairs, said, config.preference, config, generator
            )
        session.log(iteration, experience, standing(known, pairs), measured)
    return session.path
