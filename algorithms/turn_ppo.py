"""PPO whose unit of credit is the turn, on token-level ratios (torch).

Paper: Turn-PPO, the turn-level MDP: V at the start of each turn, generalised advantage estimation
over turns (Schulman et al. 2016, equation 16), every token of a turn given its turn's advantage,
and the clipped objective (Schulman et al. 2017, equation 7). On truncation the return is
bootstrapped from the value of the final observation; on termination it is not.

Deviations: the critic is a network of its own (a copy of the policy's decoder with a value head),
so that the value loss cannot disturb the policy; both are fitted on the same minibatches. Where
one step already moves the policy by more than `target_kl`, the next iterations take smaller ones.
Two terms are off by default: `reference_kl` adds KL(policy || start), with k2 in the loss, whose
gradient is the KL's own; `sampler_cap` weighs tokens by what the sampler said (see mismatch.py).
How policy and critic move stands in turn_ppo_update.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.critics import TurnCritic
from agents.devices import find_device
from agents.making import open_engine
from agents.models import load_model, with_lora
from agents.rollout import Crash, collect
from agents.sampling import Sampling
from lmenvs.types import Episode

from . import support
from .batch import TokenBatch, make_batch
from .credit import explained_variance, gae
from .forward import micro_batches, recompute_logprobs
from .metrics import credit_metrics, rollout_metrics, training_split
from .mismatch import importance_weights, mismatch, sampler_logprobs
from .reference import Reference
from .settings import refuse_impossible
from .turn_ppo_update import update


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set; the demo's own choices stand in demo.py."""

    seed: int = 0  # seeds tasks, sampling and minibatches; the run repeats to the same numbers
    iterations: int = 60  # each collects fresh episodes and updates on them
    episodes: int = 128  # per iteration; more is steadier and slower
    discount: float = 0.95  # per turn; below 1 prefers short solutions
    lam: float = 0.9  # trust in sampled rewards (1) against the critic (0)
    clip: float = 0.2  # the ratio is held within 1 ± clip; larger learns faster and less safely
    ratio: Literal["token", "turn"] = "token"  # the clip looks at tokens or at a turn's product
    target_kl: float | None = 0.03  # the policy rests for the iteration once it moved so far (nats)
    epochs: int = 2  # passes over an iteration's episodes
    minibatches: int = 4  # optimizer steps per pass
    learning_rate: float = 5e-4  # of the policy; a pretrained 1 B model wants about 1e-6
    critic_learning_rate: float = 1e-3  # of the critic
    anneal: float = 0.1  # over the last third, learning rates fall to this share; 1 holds them
    entropy_bonus: float = 0.0  # keeps answers varied; too much keeps them random
    reference_kl: float = 0.0  # pulls the policy towards where it began; above 0 costs a pass
    sampler_cap: float | None = None  # e.g. 2: corrects for an engine that samples otherwise
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
        refuse_impossible(self)
        if not 0 <= self.discount <= 1 or not 0 <= self.lam <= 1:
            raise ValueError(f"discount {self.discount}, lam {self.lam}; expected both in [0, 1]")
        if self.target_kl is not None and self.target_kl <= 0:
            raise ValueError(f"target_kl {self.target_kl}; expected a positive number, or None")
        if self.clip <= 0:
            raise ValueError(f"clip {self.clip}; expected a positive number")
        if self.reference_kl < 0 or (self.sampler_cap is not None and self.sampler_cap < 1):
            raise ValueError(
                f"reference_kl {self.reference_kl}, sampler_cap {self.sampler_cap}; expected at "
                "least 0, and a cap of at least 1 or None"
            )


@dataclass(frozen=True, slots=True)
class TurnCredit:
    """One array per episode: the advantage and the value target of each turn, and the value it was
    judged by.
    """

    advantages_ET: list[np.ndarray]
    value_targets_ET: list[np.ndarray]
    values_ET: list[np.ndarray]

    def metrics(self) -> dict[str, float]:
        """How the credit is spread, and how much of the targets the values had foreseen."""
        values, targets = np.concatenate(self.values_ET), np.concatenate(self.value_targets_ET)
        explained = {"critic/explained_variance": explained_variance(values, targets)}
        return {**credit_metrics(self.advantages_ET), **explained}


def credit(
    episodes: Sequence[Episode],
    values_ET: Sequence[np.ndarray],
    bootstraps_E: Sequence[float],
    config: Config,
) -> TurnCredit:
    """Turn-level GAE for each episode; `bootstraps_E` is 0 where an episode terminated."""
    advantages_ET: list[np.ndarray] = []
    for episode, values_T, bootstrap in zip(episodes, values_ET, bootstraps_E, strict=True):
        rewards_T = [turn.reward for turn in episode.turns]
        advantages_ET.append(gae(rewards_T, values_T, config.discount, config.lam, bootstrap))
    targets_ET = [a + v for a, v in zip(advantages_ET, values_ET, strict=True)]
    return TurnCredit(advantages_ET, targets_ET, list(values_ET))


@torch.no_grad()
def judge(
    critic: TurnCritic, batch: TokenBatch, episodes: int, micro_tokens: int
) -> tuple[list[np.ndarray], list[float]]:
    """The critic's value before each turn, and behind the end of truncated episodes."""
    grid = torch.zeros(batch.turn_mask.shape, device=batch.ids.device)
    bootstraps = [0.0] * episodes
    for rows in micro_batches(batch, micro_tokens):
        part = batch.rows(rows)
        hidden = critic.encode(part.ids, part.lengths)
        grid[rows, : part.before_turn.shape[1]] = critic.values(hidden, part.before_turn)[..., 0]
        behind = critic.values(hidden, part.bootstrap[:, None])[:, 0, 0]
        for row, value in zip(rows.tolist(), behind.tolist(), strict=True):
            if batch.bootstrap[row] >= 0:
                bootstraps[int(batch.episode[row])] = value
    return batch.by_episode(grid, episodes), bootstraps


class Learner:
    """The policy and the critic with their optimizers."""

    def __init__(self, model: PreTrainedModel, chat: Chat, config: Config):
        self.chat = chat
        self.pace = 1.0  # of the policy: see `keep_pace`
        self.critic = TurnCritic(model)
        self.model = with_lora(model, config.lora_rank) if config.lora_rank else model
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = _adam(trained, config.learning_rate)
        self.critic_optimizer = _adam(self.critic.parameters(), config.critic_learning_rate)

    def set_rates(self, share: float, config: Config) -> None:
        """Run both optimizers at this share of their learning rates."""
        for optimizer, rate in (
            (self.optimizer, config.learning_rate * self.pace),
            (self.critic_optimizer, config.critic_learning_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * share

    def keep_pace(self, resting: float) -> None:
        """Slow down where the policy rested for most of an iteration, speed up where it did not."""
        if resting > 0.5:
            self.pace *= 0.7
        elif resting == 0:
            self.pace = min(1.0, 1.2 * self.pace)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps besides the model's own folder."""
        return {
            "critic": self.critic.state_dict(),
            "pace": self.pace,
            "optimizer": self.optimizer.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take on what `state` returned."""
        self.pace = state["pace"]
        self.critic.load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])


def _adam(parameters: Iterable[Tensor], rate: float) -> torch.optim.Optimizer:
    # With the usual 0.999 a token that was not said for a while moves 3 rates at once, and with
    # 1e-8 however small its gradient is: one step could move the policy by 0.1 nats and more.
    return torch.optim.AdamW(parameters, rate, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.0)


def rate_share(iteration: int, config: Config) -> float:
    """The share of the learning rates in force: 1, then over the last third down to `anneal`."""
    late = max(0.0, 3 * iteration / config.iterations - 2)
    return 1 - (1 - config.anneal) * late


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
    """Train the model of a folder or hub id on an environment's training split; returns the run
    folder. Policy and critic are on `device`: "cpu", "cuda", "cuda:1".
    Environments are stepped as `agents.starts.Limits` says of `env_workers` and `step_timeout`;
    those that break are left out and counted.
    """
    where = find_device(device)
    run = support.open_run(
        out,
        {"algorithm": "turn_ppo", "env": env, "model": str(model), **asdict(config)},
        resume=resume,
    )
    state = run.load_state()
    with torch.random.fork_rng():
        support.seed_all(config.seed)
        language_model, chat = load_model(run.path / "checkpoints" if state else model)
        learner = Learner(language_model.to(where), chat, config)  # type: ignore[arg-type]
    reference = Reference(learner.model, model) if config.reference_kl else None
    if state:
        learner.load(state)

    def save(complete: int) -> None:
        kept = {"iteration": complete, **learner.state()}
        run.save(lambda folder: chat.save(learner.model, folder), kept)

    sampling = Sampling(max_new_tokens=config.max_new_tokens)
    start = state["iteration"] if state else 0
    for iteration in support.iterations(
        run, "turn_ppo", config.iterations, start, config.save_every, save
    ):
        generator = np.random.default_rng((config.seed, iteration))
        learner.set_rates(rate_share(iteration, config), config)
        engine = open_engine(config.engine, learner.model, chat, sampling, iteration)
        with run.phase("collect"), engine as policy:
            crashes: list[Crash] = []
            episodes = collect(
                env,
                policy,
                generator.integers(2**31, size=config.episodes).tolist(),
                width=config.width,
                max_turns=config.max_turns,
                split=training_split(env),
                policy_seed=config.seed,
                env_workers=env_workers,
                step_timeout=step_timeout,
                crashes=crashes,
            )
        with run.phase("credit"):
            batch = make_batch(episodes, chat).to(where)
            values_ET, bootstraps_E = judge(
                learner.critic, batch, len(episodes), config.micro_tokens
            )
            turn_credit = credit(episodes, values_ET, bootstraps_E, config)
            # the learner's own, not the sampler's: the first ratio is then exactly 1
            old_logprobs = recompute_logprobs(learner.model, batch, config.micro_tokens)
            sampled = sampler_logprobs(batch, episodes)
            weights = importance_weights(sampled, old_logprobs, config.sampler_cap)
            near = reference.logprobs(batch, config.micro_tokens) if reference else None
        with run.phase("update"):
            measured = update(
                learner,
                batch,
                old_logprobs,
                turn_credit,
                config,
                generator,
                weights=weights,
                reference=near,
            )
            measured |= mismatch(sampled, old_logprobs)
        run.log(
            iteration, {**rollout_metrics(episodes, crashes), **turn_credit.metrics(), **measured}
        )
        run.episodes(episodes[:8])
        advantages_ET = turn_credit.advantages_ET
        run.credit(
            (e.id, a, v) for e, a, v in zip(episodes[:8], advantages_ET, values_ET, strict=False)
        )
    return run.path
