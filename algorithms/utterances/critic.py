"""ArCHer's critic: what it is fitted to, how it is fitted, what it says of actions (torch).

Online and offline ArCHer share it; their deviations from the papers stand in their own files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from agents.critics import move_towards
from agents.utterance_critics import Reading, UtteranceCritic
from lmenvs.types import Episode

from .. import losses, support
from ..batch import TokenBatch
from ..credit import discounted_returns, explained_variance, lambda_targets
from ..metrics import merged
from ..settings import refuse_impossible
from ..trainer.learner import Learner
from .situations import Situations, look_at, passes, read

Check = Callable[[Tensor, Tensor], None]
VTarget = Literal["sampled", "best", "expectile"]


@dataclass(frozen=True, slots=True)
class CriticOptions:
    """How the critic reads and what it is fitted to."""

    reading: Reading = field(default_factory=Reading)  # the whole episode, or texts apart
    v_target: VTarget = "sampled"  # Q of actions sampled now, the best of them, or of the data's
    expectile: float = 0.5  # of V's fit: 0.5 is the mean, towards 1 the best
    lam: float = 0.0  # of the Q target's lambda-return: 0 is one-step, as the paper; 1 Monte Carlo
    polyak: float = 0.1  # how far the target critic follows after every step
    critic_learning_rate: float = 2e-3  # of the critic; a pretrained encoder wants about 2e-5
    critic_batch: int = 16  # episodes of an iteration's batch that one step sees
    warmup_target: Literal["monte_carlo", "td"] = "monte_carlo"  # fitted while the actor waits

    def __post_init__(self) -> None:
        """Refuse what cannot be fitted."""
        refuse_impossible(self)
        if self.v_target not in ("sampled", "best", "expectile"):
            raise ValueError(f"v_target {self.v_target!r}; expected sampled, best or expectile")
        if not 0 < self.polyak <= 1 or not 0 < self.expectile < 1:
            raise ValueError(
                f"polyak {self.polyak}, expectile {self.expectile}; expected them in (0, 1] and "
                "(0, 1)"
            )


@dataclass(frozen=True, slots=True)
class CriticTargets:
    """What the four heads are fitted to: [B, T, 2] each, one column per head."""

    q: Tensor
    v: Tensor


def critic_of(learner: Learner) -> tuple[UtteranceCritic, UtteranceCritic]:
    """The learner's critic and its target."""
    critic, target = learner.critic, learner.target
    assert isinstance(critic, UtteranceCritic) and isinstance(target, UtteranceCritic)
    return critic, target


def set_unit(learner: Learner, episodes: Sequence[Episode], discount: float) -> None:
    """Let the heads' 0 and 1 be the mean and the spread of the returns to come of these episodes.

    Untouched heads then say the mean return. Without that a critic that begins at 0 under -1 a
    turn drifts down everywhere for as long as values take to travel, and learns nothing else.
    """
    returns = np.concatenate(
        [discounted_returns([turn.reward for turn in one.turns], discount) for one in episodes]
    )
    for critic in critic_of(learner):
        critic.set_unit(float(returns.mean()), max(float(returns.std()), 1e-3))


@torch.no_grad()
def credit(
    learner: Learner,
    seen: Situations,
    episodes: Sequence[Episode],
    options: CriticOptions,
    discount: float,
    *,
    monte_carlo: bool = False,
    micro_tokens: int = 2048,
) -> CriticTargets:
    """The critic's targets for every turn of replayed episodes.

    Args:
        learner: Whose target critic says what follows.
        seen: The episodes, laid out with siblings where V is fitted to those.
        episodes: What `seen` was made of.
        options: Which targets.
        discount: Per turn.
        monte_carlo: Both Q and V are fitted to the return that was played.
        micro_tokens: Of a pass.
    """
    _, target = critic_of(learner)
    tokens = seen.tokens
    grid = torch.zeros(*tokens.turn_mask.shape, 2, device=tokens.ids.device)
    values, v_targets = grid, torch.zeros_like(grid)
    behind = torch.zeros(len(tokens), 2, device=tokens.ids.device)
    resampled = options.v_target != "expectile" and not monte_carlo
    for rows in passes(target, seen, micro_tokens):
        part = seen.rows(rows)
        turns = part.tokens.turn_mask.shape[1]
        states = read(target, learner.model, part, siblings=resampled)
        values[rows, :turns] = target.values(states.before)
        behind[rows] = target.values(states.cut)
        if resampled:
            assert states.siblings is not None
            q = target.action_values(states.before_siblings, states.siblings)
            v_targets[rows, :turns] = _over_siblings(
                q.view(len(rows), turns, -1, 2), options.v_target
            )
        else:
            v_targets[rows, :turns] = target.action_values(states.before, states.said)
    lam = 1.0 if monte_carlo else options.lam
    q_targets = _lambda_returns(tokens, episodes, values, behind, discount, lam)
    return CriticTargets(q_targets, q_targets if monte_carlo else v_targets)


def _over_siblings(q: Tensor, fit: VTarget) -> Tensor:
    """What V is fitted to, of [B, T, count, 2]: the mean, or the one that best-of-n would say."""
    if fit == "sampled":
        return q.mean(2)
    best = q.min(-1).values.argmax(2)
    return q.gather(2, best[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]


def _lambda_returns(
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
        bootstraps = _bootstraps(batch, behind[:, head])
        targets_ET = [
            lambda_targets([t.reward for t in e.turns], v, discount, lam, bootstraps.get(i, 0.0))
            if len(v)  # the batch may hold only some of the episodes
            else v
            for i, (e, v) in enumerate(zip(episodes, values_ET, strict=True))
        ]
        heads.append(batch.turn_grid(targets_ET))
    return torch.stack(heads, -1)


def _bootstraps(batch: TokenBatch, behind: Tensor) -> dict[int, float]:
    """Of each episode that was cut, the value behind its end."""
    ends = zip(batch.episode.tolist(), behind.tolist(), batch.bootstrap.tolist(), strict=True)
    return {episode: value for episode, value, place in ends if place >= 0}


def update_critic(
    learner: Learner,
    seen: Situations,
    targets: CriticTargets,
    options: CriticOptions,
    max_norm: float,
    *,
    micro_tokens: int = 2048,
    checkpointing: bool = False,
) -> dict[str, float]:
    """One critic step on some situations, then one Polyak step of the target.

    Errors are measured in the critic's unit, so that no learning rate depends on the rewards'.
    """
    critic, target = critic_of(learner)
    total = float(seen.tokens.turn_mask.sum())
    history: list[dict[str, float]] = []

    def unit(values: Tensor) -> Tensor:
        return (values - critic.centre) / critic.scale

    for rows in passes(critic, seen, micro_tokens):
        part = seen.rows(rows)
        width = part.tokens.turn_mask.shape[1]
        states = read(critic, learner.model, part, checkpointing=checkpointing)
        q, v = (
            unit(critic.action_values(states.before, states.said)),
            unit(critic.values(states.before)),
        )
        y_q, y_v = unit(targets.q[rows, :width]), unit(targets.v[rows, :width])
        fitted = losses.archer_critic(
            q[..., 0],
            q[..., 1],
            v[..., 0],
            v[..., 1],
            targets_for_q1=y_q[..., 0],
            targets_for_q2=y_q[..., 1],
            targets_for_v1=y_v[..., 0],
            targets_for_v2=y_v[..., 1],
            mask=part.tokens.turn_mask,
            tau=options.expectile,
            total=total,
        )
        fitted.loss.backward()
        history.append(fitted.metrics)
    assert learner.critic_optimizer is not None
    history[-1]["critic_grad_norm"] = support.optimizer_step(
        learner.critic_optimizer, critic.parameters(), max_norm
    )
    move_towards(target, critic, options.polyak)
    return merged(history)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the critic says of played episodes: A and V of each turn, V behind where one was cut."""

    advantages_ET: list[np.ndarray]
    values_ET: list[np.ndarray]
    bootstraps_E: list[float]  # 0 where the episode terminated


@torch.no_grad()
def judge(
    learner: Learner, episodes: Sequence[Episode], batch: TokenBatch, micro_tokens: int
) -> Judgement:
    """A = min_k Q_k(o, a) - min_k V_k(o) of the actions that were taken."""
    critic, _ = critic_of(learner)
    seen = look_at(batch, None, episodes, learner.chat, critic)
    grids = torch.zeros(2, *batch.turn_mask.shape, device=batch.ids.device)
    behind = torch.zeros(len(batch), device=batch.ids.device)
    for rows in passes(critic, seen, micro_tokens):
        part = seen.rows(rows)
        states = read(critic, learner.model, part)
        q = critic.action_values(states.before, states.said).min(-1).values
        v = critic.values(states.before).min(-1).values
        grids[0, rows, : q.shape[1]], grids[1, rows, : v.shape[1]] = q - v, v
        behind[rows] = critic.values(states.cut).min(-1).values
    advantages_ET, values_ET = (batch.by_episode(grid, len(episodes)) for grid in grids)
    ends = _bootstraps(batch, behind)
    return Judgement(advantages_ET, values_ET, [ends.get(i, 0.0) for i in range(len(episodes))])


@torch.no_grad()
def sibling_advantages(learner: Learner, seen: Situations, micro_tokens: int) -> Tensor:
    """A(o, a~) = min_k Q_k(o, a~) - min_k V_k(o) for every branch: [B, N]."""
    critic, _ = critic_of(learner)
    assert seen.siblings is not None
    grid = torch.zeros(seen.siblings.branch_mask.shape, device=seen.tokens.ids.device)
    for rows in passes(critic, seen, micro_tokens):
        states = read(critic, learner.model, seen.rows(rows), siblings=True)
        before, behind = states.before_siblings, states.siblings
        assert behind is not None
        q = critic.action_values(before, behind).min(-1).values
        grid[rows, : q.shape[1]] = q - critic.values(before).min(-1).values
    return grid


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
