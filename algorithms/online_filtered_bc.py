"""Online filtered behaviour cloning: play, keep the best of all that was played, imitate it
(torch).

The baseline of LMRL-Gym (Abdulhai et al., 2023) and of ArCHer (Zhou et al., 2024): each iteration
plays, takes the share `keep` of all episodes so far with the highest returns, and clones on them
for some steps. No value, no advantage: a turn is imitated because its episode went well.

Deviations: neither paper says which of equal returns come first. Here the newest do, so that where
tasks are only solved or not the policy learns from what is nearest to its own play. Only episodes
that can ever be among the best of the whole run are remembered: others change nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lmenvs.types import Episode, from_json, to_json

from . import losses
from .batch import TokenBatch, make_batch
from .metrics import update_metrics
from .settings import refuse_impossible
from .trainer.learner import Learner
from .trainer.logged_values import policy_step
from .trainer.objective import Objective
from .trainer.session import open_session


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set."""

    seed: int = 0  # seeds tasks, sampling and what is drawn; the run repeats to the same numbers
    iterations: int = 40  # each collects, then clones on the best of everything
    turn_budget: int | None = None  # stop earlier, after so many environment turns
    episodes: int = 64  # collected per iteration
    keep: float = 0.1  # the share of all episodes that is imitated; 1 imitates whatever was played
    steps: int = 16  # optimizer steps per iteration
    batch_size: int = 32  # episodes per step, drawn from the best
    learning_rate: float = 5e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    anneal: float = 0.1  # over the last third, the learning rate falls to this share; 1 holds it
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
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep {self.keep}; expected a share in (0, 1]")

    # what the shared session asks of every algorithm, and means nothing here
    @property
    def objective(self) -> Objective:
        """No option of a policy gradient."""
        return Objective()

    @property
    def epochs(self) -> int:
        """One: batches are drawn."""
        return 1

    @property
    def minibatches(self) -> int:
        """As many as steps."""
        return self.steps

    @property
    def target_kl(self) -> None:
        """The policy never rests."""
        return None


def ranked(known: Sequence[Episode], new: Sequence[Episode], most: int) -> list[Episode]:
    """The `most` best of both by return, best first; of equal returns the newest first.

    `known` is such a list, `new` is in the order of play.
    """
    together = [*reversed(new), *known]
    return sorted(together, key=lambda episode: -episode.total_reward)[:most]


def best_share(episodes: Sequence[Episode], keep: float, played: int) -> list[Episode]:
    """Of ranked episodes, the share `keep` of all that were played; at least one."""
    return list(episodes[: max(1, round(keep * played))])


def policy_update(
    learner: Learner, episodes: Sequence[Episode], config: Config
) -> dict[str, float]:
    """One step of imitation."""
    batch = make_batch(episodes, learner.chat).to(learner.model.device)
    total = float(batch.policy_tokens)

    def loss(part: TokenBatch, rows: Tensor, logprobs: Tensor) -> losses.LossOutput:
        return losses.negative_log_likelihood(logprobs, part.policy_mask, total=total)

    return policy_step(learner, batch, loss, config)


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
        "online_filtered_bc",
        env,
        model,
        out,
        config,
        resume=resume,
        device=device,
        env_workers=env_workers,
        step_timeout=step_timeout,
    )
    learner = session.learner
    kept: dict[str, Any] = {"played": 0, "best": [], **learner.kept}
    learner.kept = kept
    known = [from_json(line) for line in kept["best"]]
    most = math.ceil(config.keep * config.iterations * config.episodes)
    for iteration, generator in session.iterations():
        with session.phase("collect"), session.sampler(iteration) as policy:
            seeds = generator.integers(2**31, size=config.episodes)
            episodes = session.collect(policy, seeds)
        with session.phase("credit"):
            experience = session.read(episodes)
            known = ranked(known, episodes, most)
            kept["played"] += len(episodes)
            kept["best"] = [to_json(episode) for episode in known]
            best = best_share(known, config.keep, kept["played"])
            names = {episode.id for episode in best}
            chosen_ET = [np.full(len(e.turns), float(e.id in names)) for e in episodes]
        with session.phase("update"):
            picks_SE = generator.integers(len(best), size=(config.steps, config.batch_size))
            history = [
                policy_update(learner, [best[pick] for pick in picks_E], config)
                for picks_E in picks_SE
            ]
        measured = update_metrics(history) | {"credit/worst_kept_return": best[-1].total_reward}
        session.log(iteration, experience, chosen_ET, measured)
    return session.path
