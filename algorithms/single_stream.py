"""Single-stream Policy Optimization: one episode per task, judged by the task's own past (torch).

Paper: Xu and Ding, Single-stream Policy Optimization (2025). A pool of training tasks is fixed for
the run. Each iteration plays some of them once, the undecided ones more often; an episode's
advantage is its return minus the task's tracked value from before it, normalised over the batch;
then the tracker learns the return and forgets the more, the further the policy has moved since the
task was last played (credit/tracker.py has the equations and what differs from the paper).

Deviations: no sampling beforehand; a task starts at even odds. The divergence of a task is measured
on its last episode, as the mean over tokens of exp(x) - 1 - x, x = log pi_now - log pi_then, with
both by the learner. Returns are laid on the tracker's 0 to 1 by the environment's return range.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from lmenvs.registration import find, parse_env_string
from lmenvs.types import Episode, from_json, to_json

from .batch import make_batch
from .credit import (
    spread,
    task_probabilities,
    tracked_advantages,
    tracked_values,
    updated_tracker,
)
from .credit.tracker import Tracker
from .forward import recompute
from .losses import LOG_RATIO_LIMIT
from .mismatch import sampler_logprobs
from .settings import refuse_impossible
from .trainer.experience import Experience
from .trainer.learner import Learner
from .trainer.objective import Objective, refuse_dropped_groups
from .trainer.session import open_session
from .trainer.update import update

POOL = 1  # tells the chance that draws the pool from that of the iterations


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each plays some tasks of the pool and updates on them
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    tasks: int = 512  # in the pool; each is met about iterations * episodes / tasks times
    episodes: int = 128  # per iteration, each of another task of the pool
    exploration: float = 0.05  # large: all tasks alike; small: those of middling success
    half_life: float = 0.06  # how far the policy moves (nats per token) until a past counts half
    scale: Literal["std", "none"] = "std"  # none: advantages as they are, unbiased
    lowest: float | None = None  # the least return, for arguments that change it; None: the table's
    highest: float | None = None  # the greatest return
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
        if self.episodes > self.tasks:
            raise ValueError(
                f"episodes {self.episodes}, tasks {self.tasks}; expected at most one episode per "
                "task and iteration: enlarge the pool"
            )
        if not (self.exploration > 0 and self.half_life > 0):
            raise ValueError(
                f"exploration {self.exploration}, half_life {self.half_life}; expected above 0"
            )
        if self.objective.reference_kl and self.objective.kl_in == "reward":
            raise ValueError(
                "kl_in reward; expected loss: the tracker follows returns within known bounds"
            )


def credit(
    episodes: Sequence[Episode], tracker: Tracker[int], bounds: tuple[float, float], config: Config
) -> list[np.ndarray]:
    """One array per episode: its return against its task's value of before, at each of its turns.

    Args:
        episodes: One per task.
        tracker: The state before them, by the tasks' seeds.
        bounds: The least and the greatest return.
        config: The scale.
    """
    returns_E = [episode.total_reward for episode in episodes]
    seeds_E = [episode.seed for episode in episodes]
    advantages_E = tracked_advantages(returns_E, seeds_E, tracker, *bounds, config.scale)
    return spread(advantages_E, [len(episode.turns) for episode in episodes])


def task_pool(config: Config) -> list[int]:
    """The seeds of the run's tasks, all different."""
    chance = np.random.default_rng((config.seed, 0, POOL))
    return chance.choice(2**31, size=config.tasks, replace=False).tolist()


def return_bounds(env: str, config: Config) -> tuple[float, float]:
    """The least and the greatest return: what the table says where the config does not.

    Raises:
        ValueError: where they are no bounds.
    """
    least, greatest = config.lowest, config.highest
    if least is None or greatest is None:
        table = find(parse_env_string(env)[0]).return_range
        least = table[0] if least is None else least
        greatest = table[1] if greatest is None else greatest
    if not -math.inf < least < greatest < math.inf:
        raise ValueError(
            f"returns of {env} from {least} to {greatest}; expected finite bounds, the lower one "
            "first: set lowest and highest"
        )
    return least, greatest


def as_read(experience: Experience) -> dict[int, str]:
    """By task the episode as one line of JSON, with the learner's log-probabilities."""
    logprobs_ETL = experience.tokens.by_token(experience.old_logprobs, len(experience.played))
    lines: dict[int, str] = {}
    for episode, logprobs_TL in zip(experience.played, logprobs_ETL, strict=True):
        turns = tuple(
            replace(turn, action=replace(turn.action, logprobs=tuple(logprobs_L.tolist())))
            for turn, logprobs_L in zip(episode.turns, logprobs_TL, strict=True)
        )
        lines[episode.seed] = to_json(replace(episode, turns=turns))
    return lines


def divergences(learner: Learner, lines: Sequence[str], config: Config) -> dict[int, float]:
    """By task, how far the policy is from the one that played this episode (nats per token)."""
    if not lines:
        return {}
    episodes = [from_json(line) for line in lines]
    tokens = make_batch(episodes, learner.chat).to(learner.model.device)
    now, _ = recompute(learner.model, tokens, config.micro_tokens)
    gap = (now - sampler_logprobs(tokens, episodes)).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    apart_ETL = tokens.by_token(gap.exp() - 1.0 - gap, len(episodes))
    return {
        episode.seed: max(0.0, float(np.concatenate(apart_TL).mean()))  # rounding may go below 0
        for episode, apart_TL in zip(episodes, apart_ETL, strict=True)
    }


def learned(
    episodes: Sequence[Episode],
    tracker: Tracker[int],
    moved: Mapping[int, float],
    bounds: tuple[float, float],
    config: Config,
) -> Tracker[int]:
    """The tracker with these episodes' returns in it."""
    returns_E = [episode.total_reward for episode in episodes]
    seeds_E = [episode.seed for episode in episodes]
    return updated_tracker(returns_E, seeds_E, tracker, moved, *bounds, config.half_life)


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
    tasks, bounds = task_pool(config), return_bounds(env, config)
    session = open_session(
        "single_stream",
        env,
        model,
        out,
        config,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    kept = session.learner.kept
    for iteration, generator in session.iterations():
        tracker, last = kept.get("tracker", {}), kept.get("last", {})
        with session.phase("collect"), session.sampler(iteration) as policy:
            chances = task_probabilities(tracker, tasks, config.exploration)
            seeds = generator.choice(tasks, size=config.episodes, replace=False, p=chances)
            episodes = session.collect(policy, seeds)
        with session.phase("credit"):
            experience = session.read(episodes)
            advantages_ET = credit(episodes, tracker, bounds, config)
            advantages = experience.spread(advantages_ET, config.objective.normalise)
            met = [last[episode.seed] for episode in episodes if episode.seed in last]
            moved = divergences(session.learner, met, config)
        with session.phase("update"):
            measured = update(session.learner, experience, advantages, config, generator)
        kept["tracker"] = learned(episodes, tracker, moved, bounds, config)
        kept["last"] = {**last, **as_read(experience)}
        before_E = tracked_values(tracker, [episode.seed for episode in episodes])
        measured |= {
            "credit/tracked_value": float(before_E.mean()),
            "credit/met_before": len(met) / len(episodes),
            "kl/since_last": float(np.mean(list(moved.values()) or [0.0])),
        }
        session.log(iteration, experience, advantages_ET, measured)
    return session.path
