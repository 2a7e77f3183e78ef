"""SLATE: at a turn, ways on that share everything before it are compared with one another (torch).

Paper: Samarinas, Chang and Zamani, Truncated Step-Level Sampling with Process Rewards for
Retrieval-Augmented Reasoning (2026): k siblings are sampled from one prefix and differ in the next
step only; A = (worth - mean of the siblings') / std. No turn is judged by the chance of earlier
ones, so the variance falls by up to a factor of the number of turns. `scale="none"` is exact up to
k / (k + 1), k being the other siblings; the division by the standard deviation is biased.

Deviations: there is no judge. A sibling's worth is the return of its continuation from that turn
on, played to the end by the policy itself, so it measures the task and not a judge's opinion; it
costs the turns that truncation would save, and its variance holds the chance of what follows. The
prefix is that of an episode of the policy, whose own turn counts as a sibling; the paper goes on
from a chosen sibling, to where the policy would not go as often. With `forks` not all turns have
siblings, but every turn of an iteration is as likely as any other to be drawn. Trained are the
turns that have siblings and these, each in the one episode that first took it (as R3L excludes
shared prefixes); what follows in a continuation is played for its return alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lmenvs.types import Episode

from .credit import sibling_relative
from .settings import refuse_impossible
from .trainer.objective import Objective, refuse_dropped_groups
from .trainer.session import open_session
from .trainer.update import update


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh episodes and siblings, and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    tasks: int = 16  # per iteration; one episode plays each
    forks: int | None = 32  # turns per iteration that get siblings, drawn evenly; None: all turns
    siblings: int = 3  # other ways on at such a turn; more is a steadier baseline
    scale: Literal["std", "none"] = "std"  # whether worths are divided by the siblings' deviation
    objective: Objective = Objective()  # of the policy: clip, ratio, KL, entropy, masks
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
        refuse_dropped_groups(self.objective)


def draw_turns(
    trunks: Sequence[Episode], forks: int | None, generator: np.random.Generator
) -> dict[str, list[int]]:
    """The turns of each episode at which siblings are played, each turn of all as likely."""
    places = [(trunk.id, turn) for trunk in trunks for turn in range(len(trunk.turns))]
    picked = range(len(places))
    if forks is not None and forks < len(places):
        picked = sorted(generator.choice(len(places), forks, replace=False).tolist())
    drawn: dict[str, list[int]] = {trunk.id: [] for trunk in trunks}
    for name, turn in (places[place] for place in picked):
        drawn[name].append(turn)
    return drawn


def own_turns(episodes: Sequence[Episode]) -> list[np.ndarray]:
    """One array of booleans per episode: the turns that are trained in it, and nowhere else.

    Of a sibling it is the turn at which it left its parent; of an episode without a parent, those
    at which others left it.
    """
    left = {episode.parent for episode in episodes}
    own_ET: list[np.ndarray] = []
    for episode in episodes:
        turns = range(len(episode.turns))
        if episode.parent is None:
            own_ET.append(np.array([(episode.id, turn) in left for turn in turns], bool))
        else:
            own_ET.append(np.array([turn == episode.parent[1] for turn in turns], bool))
    return own_ET


def credit(episodes: Sequence[Episode], config: Config) -> list[np.ndarray]:
    """One array per episode: the advantage of each turn of its own, 0 at the others."""
    own_ET = own_turns(episodes)
    places = [(e, int(t)) for e, own_T in enumerate(own_ET) for t in np.flatnonzero(own_T)]
    worths = [sum(turn.reward for turn in episodes[e].turns[t:]) for e, t in places]
    prefixes = [episodes[e].parent or (episodes[e].id, t) for e, t in places]
    advantages_ET = [np.zeros(len(episode.turns)) for episode in episodes]
    for (e, t), advantage in zip(
        places, sibling_relative(worths, prefixes, config.scale), strict=True
    ):
        advantages_ET[e][t] = advantage
    return advantages_ET


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
        "slate",
        env,
        model,
        out,
        config,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            seeds = generator.integers(2**31, size=config.tasks)
            trunks = session.collect(policy, seeds)
            drawn = draw_turns(trunks, config.forks, generator)
            siblings = session.branch(
                policy, trunks, lambda trunk, drawn=drawn: drawn[trunk.id], config.siblings
            )
        with session.phase("credit"):
            played = [*trunks, *siblings]
            own_ET = own_turns(played)
            # a trunk without a fork, and a sibling whose first action filled the model's window
            kept = [(e, own_T) for e, own_T in zip(played, own_ET, strict=True) if own_T.any()]
            experience = session.read([e for e, _ in kept], [own_T for _, own_T in kept])
            advantages_ET = credit(experience.episodes, config)
            advantages = experience.spread(advantages_ET, config.objective.normalise)
        with session.phase("update"):
            measured = update(session.learner, experience, advantages, config, generator)
        session.log(iteration, experience, advantages_ET, measured)
    return session.path
