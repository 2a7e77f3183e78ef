"""ArCHer's critic: what it is fitted to, how it is fitted, what it says of actions (torch).

The deviations from the paper stand in archer.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from agents.critics import TurnCritic, move_towards
from lmenvs.types import Episode

from . import losses, support
from .batch import TokenBatch, make_batch
from .credit import discounted_returns, explained_variance, lambda_targets
from .forward import by_length, micro_batches
from .metrics import update_metrics
from .siblings import Grown, draws, grow, sample_siblings

if TYPE_CHECKING:
    from .archer import Config, Learner


@dataclass(frozen=True, slots=True)
class CriticTargets:
    """What the four heads are fitted to: [B, T, 2] each, one column per head."""

    q: Tensor
    v: Tensor


@torch.no_grad()
def credit(
    learner: "Learner",
    batch: TokenBatch,
    episodes: Sequence[Episode],
    config: "Config",
    warm: bool,
    generator: np.random.Generator,
) -> CriticTargets:
    """The critic's targets for every turn of replayed episodes."""
    device = batch.ids.device
    values = torch.zeros(*batch.turn_mask.shape, 2, device=device)
    v_targets, behind = torch.zeros_like(values), torch.zeros(len(batch), 2, device=device)
    if warm and config.warmup_target == "monte_carlo":
        cut = (batch.bootstrap >= 0).nonzero()[:, 0]  # nothing else of the target's is needed
        for rows in by_length(batch.lengths[cut], config.micro_tokens):
            part = batch.rows(cut[rows])
            hidden = learner.target.encode(part.ids, part.lengths)
            behind[cut[rows]] = _behind(learner.target, hidden, part)
        monte_carlo = _targets(batch, episodes, values, behind, config.discount, lam=1.0)
        return CriticTargets(monte_carlo, monte_carlo)
    chance = draws(batch, config.siblings, learner.sampling, generator)
    # branches make a row longer: each turn's siblings add to its tokens
    for rows in by_length(batch.lengths * 2, config.micro_tokens):
        part = batch.rows(rows)
        turns = part.turn_mask.shape[1]
        siblings = sample_siblings(
            learner.model,
            part,
            config.siblings,
            learner.chat.stop_id,
            learner.sampling,
            chance[rows],
        )
        grown = grow(part, siblings)
        hidden = encode(learner.target, grown)
        values[rows, :turns] = learner.target.values(hidden, part.before_turn)
        behind[rows] = _behind(learner.target, hidden, part)
        before = part.before_turn.repeat_interleave(config.siblings, 1)
        q_of_siblings = q_heads(learner.target, hidden, grown.last, before, config)
        v_targets[rows, :turns] = q_of_siblings.view(len(part), turns, config.siblings, 2).mean(2)
    q_targets = _targets(batch, episodes, values, behind, config.discount, config.lam)
    return CriticTargets(q_targets, v_targets)


def _behind(critic: TurnCritic, hidden: Tensor, batch: TokenBatch) -> Tensor:
    """V_k behind the end of each row, where its episode was cut: [B, 2]."""
    return critic.values(hidden, batch.bootstrap[:, None])[:, 0]


def _targets(
    batch: TokenBatch,
    episodes: Sequence[Episode],
    values: Tensor,
    behind: Tensor,
    discount: float,
    lam: float,
) -> Tensor:
    """The lambda-return of every turn under each head: [B, T, 2] from values [B, T, 2]."""
    heads: list[Tensor] = []
    for head in range(2):
        values_ET = batch.by_episode(values[..., head], len(episodes))
        bootstraps = {
            int(e): float(b)
            for e, b, p in zip(batch.episode, behind[:, head], batch.bootstrap, strict=True)
            if p >= 0
        }
        targets_ET = [
            lambda_targets([t.reward for t in e.turns], v, discount, lam, bootstraps.get(i, 0.0))
            for i, (e, v) in enumerate(zip(episodes, values_ET, strict=True))
        ]
        heads.append(batch.turn_grid(targets_ET))
    return torch.stack(heads, -1)


def update_critic(
    learner: "Learner", config: "Config", warm: bool, generator: np.random.Generator
) -> dict[str, float]:
    """One critic step on replayed episodes, then one Polyak step of the target."""
    episodes = learner.replay.sample(config.batch_size, generator)
    batch = make_batch(episodes, learner.chat).to(learner.model.device)
    total = float(batch.turn_mask.sum())
    history: list[dict[str, float]] = []
    targets = credit(learner, batch, episodes, config, warm, generator)
    for rows in micro_batches(batch, config.micro_tokens):
        part = batch.rows(rows)
        width = part.turn_mask.shape[1]
        hidden = learner.critic.encode(
            part.ids, part.lengths, checkpointing=config.gradient_checkpointing
        )
        q = q_heads(learner.critic, hidden, part.after_turn, part.before_turn, config)
        v = learner.critic.values(hidden, part.before_turn)
        fitted = losses.archer_critic(
            q[..., 0],
            q[..., 1],
            v[..., 0],
            v[..., 1],
            targets_for_q1=targets.q[rows, :width, 0],
            targets_for_q2=targets.q[rows, :width, 1],
            targets_for_v1=targets.v[rows, :width, 0],
            targets_for_v2=targets.v[rows, :width, 1],
            mask=part.turn_mask,
            total=total,
        )
        fitted.loss.backward()
        history.append(fitted.metrics)
    history[-1]["critic_grad_norm"] = support.optimizer_step(
        learner.critic_optimizer, learner.critic.parameters(), config.max_norm
    )
    move_towards(learner.target, learner.critic, config.polyak)
    return update_metrics(history)


def encode(critic: TurnCritic, grown: Grown) -> Tensor:
    """The critic's hidden states of episodes with their sibling branches."""
    return critic.encode_masked(grown.ids, grown.visible, grown.positions)


def q_heads(
    critic: TurnCritic, hidden: Tensor, after: Tensor, before: Tensor, config: "Config"
) -> Tensor:
    """Q_k(o, a) [B, N, 2]: read at the action's last token; what it adds to V_k if `residual_q`."""
    read = critic.action_values(hidden, after)
    return read + critic.values(hidden, before) if config.residual_q else read


@torch.no_grad()
def advantages(critic: TurnCritic, batch: TokenBatch, grown: Grown, config: "Config") -> Tensor:
    """A(o, a~) = min_k Q_k(o, a~) - min_k V_k(o) for every branch: [B, N]."""
    hidden = encode(critic, grown)
    before = batch.before_turn.repeat_interleave(config.siblings, 1)
    q = q_heads(critic, hidden, grown.last, before, config).min(-1).values
    return q - critic.values(hidden, before).min(-1).values


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the critic says of played episodes: A and V of each turn, V behind where one was cut."""

    advantages_ET: list[np.ndarray]
    values_ET: list[np.ndarray]
    bootstraps_E: list[float]  # 0 where the episode terminated


@torch.no_grad()
def judge(learner: "Learner", episodes: Sequence[Episode], config: "Config") -> Judgement:
    """The actions that were taken, judged for the log and the report."""
    batch = make_batch(episodes, learner.chat).to(learner.model.device)
    grids = torch.zeros(2, *batch.turn_mask.shape, device=batch.ids.device)
    bootstraps_E = [0.0] * len(episodes)
    for rows in micro_batches(batch, config.micro_tokens):
        part = batch.rows(rows)
        hidden = learner.critic.encode(part.ids, part.lengths)
        q = q_heads(learner.critic, hidden, part.after_turn, part.before_turn, config)
        q = q.min(-1).values
        v = learner.critic.values(hidden, part.before_turn).min(-1).values
        grids[0, rows, : q.shape[1]], grids[1, rows, : v.shape[1]] = q - v, v
        behind = _behind(learner.critic, hidden, part).min(-1).values
        for cut in (part.bootstrap >= 0).nonzero()[:, 0].tolist():
            bootstraps_E[int(part.episode[cut])] = float(behind[cut])
    advantages_ET, values_ET = (batch.by_episode(grid, len(episodes)) for grid in grids)
    return Judgement(advantages_ET, values_ET, bootstraps_E)


def trustworthiness(
    episodes: Sequence[Episode], judged: Judgement, discount: float
) -> dict[str, float]:
    """How far the critic can be trusted, on fresh episodes against their Monte Carlo returns (where
    an episode was cut, the critic's value stands for what was still to come).

    The share of the returns' variance that V explains, and the share of what V leaves open that
    Q - V explains; 0 for a constant, negative for what is worse than none.
    """
    returns = np.concatenate(
        [
            discounted_returns([turn.reward for turn in episode.turns], discount, bootstrap)
            for episode, bootstrap in zip(episodes, judged.bootstraps_E, strict=True)
        ]
    )
    values, advantages = np.concatenate(judged.values_ET), np.concatenate(judged.advantages_ET)
    return {
        "critic/explained_variance": explained_variance(values, returns),
        "critic/advantage_explained_variance": explained_variance(advantages, returns - values),
    }
