"""SPIN: demonstrations preferred to the policy's own play of the same tasks (torch).

Paper: Chen et al., Self-Play Fine-Tuning Converts Weak Language Models to Strong Language Models
(2024), section 4: the opponent is the policy of the last iteration; it plays, and the new policy is
trained to tell the demonstrations from that play with the logistic loss, which is DPO with the
opponent as its reference (`preference.beta` is the paper's lambda). It stops changing where play
and demonstrations have the same distribution. No reward is read.

Deviations: the unit is an episode of many turns, of which only what was said counts. Each iteration
takes the tasks of some demonstrations, not of all, and forgets the play of earlier iterations (the
paper adds the last one's). `preference.reference="start"` holds the policy near its beginning
instead of near its opponent.
The loss has RPO's term (`preference.sft_weight`; 0 is the paper's): without it small models unlearn
what they say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lmenvs.types import Episode

from .demonstrated import open_demonstrations, refuse_other_tasks
from .preferences.pairs import Pair, check_same_tasks, task_of
from .preferences.update import Preference, fixed_reference, near, paired, standing, update
from .settings import refuse_impossible
from .trainer.objective import Objective
from .trainer.session import open_session


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 40  # each plays the tasks of some demonstrations
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    tasks: int = 32  # demonstrations per iteration
    demonstrator: str = "expert"  # any policy spec; plays where no file of data is given
    demonstrations: int = 256  # how many episodes it plays
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
        if self.demonstrations < 1:
            raise ValueError(f"demonstrations {self.demonstrations}; expected at least 1")

    @property
    def objective(self) -> Objective:
        """No policy gradient here: what the shared code reads of it is at its defaults."""
        return Objective()

    @property
    def target_kl(self) -> None:
        """The policy never rests: `preference.beta` says how far a pair may move it."""


def pairs_of(shown: Sequence[Episode], played: Sequence[Episode]) -> list[Pair]:
    """Each play against the first demonstration of its task, numbered as `[*shown, *played]`.

    Where both say the same there is nothing to tell apart.
    """
    firsts: dict[str, int] = {}
    for number, episode in enumerate(shown):
        firsts.setdefault(task_of(episode), number)
    pairs: list[Pair] = []
    for number, own in enumerate(played, start=len(shown)):
        first = firsts[task_of(own)]
        if said(shown[first]) != said(own):
            gap = shown[first].total_reward - own.total_reward
            pairs.append(Pair(first, number, gap))
    return pairs


def said(episode: Episode) -> list[str]:
    """All that was said in an episode."""
    return [turn.action.text for turn in episode.turns]


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

    `data` is a file of demonstrations; without one the demonstrator plays them.
    `device`, `env_workers`, `step_timeout`: see `trainer.session.open_session`.
    """
    session = open_session(
        "spin",
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
    demonstrations = open_demonstrations(session, data, config.demonstrator, config.demonstrations)
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            shown = demonstrations.read(generator.integers(len(demonstrations), size=config.tasks))
            refuse_other_tasks(shown, env)
            played = session.collect(policy, list(dict.fromkeys(one.seed for one in shown)))
        with session.phase("credit"):
            check_same_tasks(shown, played)
            known, pairs = paired([*shown, *played], pairs_of(shown, played))
            experience = session.read(known)
            opponent = near(fixed, experience, config)
        with session.phase("update"):
            measured = update(
                session.learner, experience, pairs, opponent, config.preference, config, generator
            )
        session.log(iteration, experience, standing(known, pairs), measured)
    return session.path
