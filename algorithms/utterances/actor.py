"""ArCHer's actor: steps on actions sampled now at replayed observations (torch).

The deviations from the paper stand in archer.py.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .. import losses, support
from ..forward import by_length
from ..metrics import merged, update_metrics
from ..trainer.learner import Learner
from .critic import critic_of, sibling_advantages
from .siblings import Siblings, grow, score_siblings, sibling_states
from .situations import Situations

if TYPE_CHECKING:
    from ..archer import Config


SPREAD, FADING = "advantage_spread", 0.98  # per iteration
RESTING_KL = 0.03  # nats from what sampled the siblings: the clipped actor rests for the iteration


@dataclass(frozen=True, slots=True)
class Judged:
    """Situations whose siblings have been judged before the actor moved.

    Attributes:
        seen: The situations.
        advantages: [B, N] of the siblings.
        total: Tokens that the loss of one step divides by.
    """

    seen: Situations
    advantages: Tensor
    total: float

    def rows(self, index: Tensor | np.ndarray) -> "Judged":
        """These rows."""
        seen = self.seen.rows(index)
        return Judged(seen, self.advantages[index, : siblings_of(seen).mask.shape[1]], self.total)


def siblings_of(seen: Situations) -> Siblings:
    """What the policy would say."""
    assert seen.siblings is not None
    return seen.siblings


def update_actor(
    learner: Learner, seen: Situations, config: "Config", generator: np.random.Generator
) -> dict[str, float]:
    """Some steps of token-level policy gradient on the siblings of situations."""
    judged = sibling_advantages(learner, seen, config.micro_tokens)
    siblings = siblings_of(seen)
    flat = judged[siblings.branch_mask]
    spread = recent_spread(learner, float(flat.std()))
    advantages = normalised(judged, siblings.branch_mask, config, spread)
    # a count fixed for all steps: dividing each by its own tokens would be biased
    total = max(1.0, float(siblings.mask.sum()) / config.actor_steps)
    whole = Judged(seen, advantages, total)
    order = generator.permutation(len(seen))
    history: list[dict[str, float]] = []
    for rows in np.array_split(order, min(config.actor_steps, len(order))):
        history.append(actor_step(learner, whole.rows(rows), config))
        if config.actor == "clip" and history[-1]["approx_kl"] > RESTING_KL:
            break
    return {
        **update_metrics(history),
        "actor/steps": float(len(history)),
        "actor/advantage_mean": float(flat.mean()),
        "actor/advantage_std": float(flat.std()),
    }


def recent_spread(learner: Learner, spread: float) -> float:
    """The largest spread of advantages of late, which steps are scaled by; a checkpoint keeps it.

    Once nothing better is left to say, advantages are noise: scaled by their own spread they would
    move the policy as far as ever, and it was lost so after it had found the way through the maze.
    """
    before = float(learner.kept.get(SPREAD, 0.0))
    learner.kept[SPREAD] = max(spread, FADING * before)
    return learner.kept[SPREAD]


def normalised(advantages: Tensor, mask: Tensor, config: "Config", spread: float) -> Tensor:
    """As the objective says, over all branches alike, by this spread; 0 where there is none."""
    how = config.objective.normalise
    if how != "none":
        advantages = advantages - advantages[mask].mean()
    if how == "standardise":
        advantages = advantages / (spread + 1e-8)
    return torch.where(mask, advantages, 0.0)


def actor_step(learner: Learner, mini: Judged, config: "Config") -> dict[str, float]:
    """One optimizer step on the policy (and on the token baseline, if there is one)."""
    critic, _ = critic_of(learner)
    history: list[dict[str, float]] = []
    # branches make a row longer: each turn's siblings add to its tokens
    for rows in by_length(mini.seen.tokens.lengths * 2, config.micro_tokens):
        loss, numbers = _loss(learner, mini.rows(rows), config)
        loss.backward()
        history.append(numbers)
    history[-1]["grad_norm"] = support.optimizer_step(
        learner.optimizer, learner.trained, config.max_norm
    )
    if config.token_baseline:
        assert learner.critic_optimizer is not None
        support.optimizer_step(learner.critic_optimizer, critic.parameters(), config.max_norm)
    return merged(history)


def _loss(learner: Learner, part: Judged, config: "Config") -> tuple[Tensor, dict[str, float]]:
    """The actor's loss on some rows, the baseline's with it: they share no weights."""
    siblings, model = siblings_of(part.seen), learner.model
    grown = grow(part.seen.tokens, siblings)
    hidden = sibling_states(model, grown, checkpointing=config.gradient_checkpointing)
    logprobs, entropies = score_siblings(
        model, hidden, grown, siblings, trains_entropy=learner.entropy_bonus > 0
    )
    shape = (len(logprobs), -1)
    mask = siblings.mask.reshape(shape)
    advantages = part.advantages[..., None].expand(siblings.mask.shape).reshape(shape)
    extra, numbers = torch.zeros((), device=mask.device), dict[str, float]()
    if config.token_baseline:
        eta = _token_baseline(learner, hidden, grown.predictor.reshape(shape))
        fitted = losses.value_mse(eta, advantages, mask, total=part.total)
        extra, numbers = fitted.loss, {"token_baseline_error": fitted.metrics["value_error"]}
        advantages = advantages - eta.detach()
    logprobs, old = logprobs.reshape(shape), siblings.logprobs.reshape(shape)
    if config.actor == "reinforce":
        actor = losses.policy_gradient(logprobs, advantages, mask, total=part.total)
    else:
        objective = config.objective
        actor = losses.ppo_clip(
            logprobs,
            old,
            advantages,
            mask,
            clip_low=objective.clip_low,
            clip_high=objective.clip_high,
            dual_clip=objective.dual_clip,
            total=part.total,
        )
    surprise = losses.entropy(entropies.reshape(shape), mask, part.total)
    loss = actor.loss + learner.entropy_bonus * surprise.loss + extra
    return loss, {**numbers, **actor.metrics, **surprise.metrics}


def _token_baseline(learner: Learner, hidden: Tensor, predictor: Tensor) -> Tensor:
    """eta: the advantage as foreseen before each token (paper, section 3.4), [B, N * K].

    Only the head learns: the states are the policy's, without a gradient.
    """
    critic, _ = critic_of(learner)
    index = predictor[..., None].expand(-1, -1, hidden.shape[-1])
    return critic.token_values(hidden.detach().gather(1, index).float())
