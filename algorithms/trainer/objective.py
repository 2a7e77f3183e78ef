"""The options of the policy loss that all algorithms share, and the clipped loss itself (torch).

Everything is off by default but plain clipping. What each option computes stands in
algorithms/losses and algorithms/mismatch.py, as a pure function with its source.
"""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .. import losses
from ..batch import TokenBatch
from ..mismatch import importance_weights
from ..settings import refuse_impossible

KLIn = Literal["loss", "reward"]
Normalise = Literal["none", "centre", "standardise"]
EqualGroups = Literal["keep", "drop"]


@dataclass(frozen=True, slots=True)
class Objective:
    """How advantages become a loss."""

    ratio: losses.Ratio = "token"  # whose probabilities the clip compares: see losses.ppo_clip
    clip_low: float = 0.2  # the ratio is not pushed below 1 - this
    clip_high: float = 0.2  # nor above 1 + this; larger than clip_low keeps rare tokens alive
    dual_clip: float | None = None  # e.g. 3: bounds the loss of tokens that became likely and bad
    reduction: losses.Reduction = "token"  # what counts alike: every token, turn or episode
    normalise: Normalise = "none"  # of advantages over trained turns, or tokens
    entropy_bonus: float = 0.0  # keeps answers varied; too much keeps them random
    target_entropy: float | None = None  # nats per token: the bonus grows while entropy is below
    reference_kl: float = 0.0  # pulls the policy towards where it began; above 0 costs a pass
    reference: str = ""  # pull it towards this folder or hub id instead, such as its BC clone
    kl_in: KLIn = "loss"  # k2 in the loss, or k1 taken off the rewards before credit
    entropy_share: float = 1.0  # e.g. 0.2: train only the tokens where the policy hesitated most
    clip_covariance: float = 0.0  # e.g. 0.0002: the share of collapsing tokens that is left out
    kl_covariance: float = 0.0  # e.g. 0.002: the share of them that is held by a KL term
    positive: float = 1.0  # weight of positive advantages
    negative: float = 1.0  # weight of negative advantages
    sampler_cap: float | None = None  # e.g. 2: corrects for an engine that samples otherwise
    equal_groups: EqualGroups = "keep"  # drop: groups of equal returns count in no mean

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        refuse_impossible(self)
        for name, high in (("clip_low", 1.0), ("entropy_share", 1.0)):
            _within(name, asdict(self)[name], 0 < asdict(self)[name] <= high, "a number in (0, 1]")
        for name in ("clip_covariance", "kl_covariance"):
            _within(name, asdict(self)[name], 0 <= asdict(self)[name] < 1, "a share in [0, 1)")
        if self.dual_clip is not None:
            _within("dual_clip", self.dual_clip, self.dual_clip > 1, "more than 1, or None")
        if self.sampler_cap is not None:
            _within("sampler_cap", self.sampler_cap, self.sampler_cap >= 1, "at least 1, or None")
        if self.target_entropy is not None:
            fits = self.target_entropy > 0
            _within("target_entropy", self.target_entropy, fits, "nats above 0, or None")
        if self.reference and not self.reference_kl:
            raise ValueError(
                f"reference {self.reference!r} with reference_kl 0: nothing would be held close to "
                "it; expected reference_kl above 0"
            )


def _within(name: str, value: float, fits: bool, expected: str) -> None:
    if not fits:
        raise ValueError(f"{name} {value}; expected {expected}")


def refuse_dropped_groups(objective: Objective) -> None:
    """For algorithms that compare no whole episodes of one task: there is no group to drop.

    Raises:
        ValueError: where the objective asks for it.
    """
    if objective.equal_groups == "drop":
        raise ValueError(
            'objective.equal_groups "drop": here no whole episodes are compared; keep them'
        )


@dataclass(frozen=True, slots=True)
class Part:
    """What a policy loss is given: some rows of the batch, and what is known of their tokens.

    Attributes:
        tokens: The rows.
        mask: [B, L] the policy tokens that are trained.
        logprobs: [B, L] by the policy as it is, with a gradient.
        entropies: [B, L] likewise; with a gradient where an entropy term wants one.
        old_logprobs: [B, L] by the policy before its first step.
        advantages: [B, L].
        reference: [B, L] by what the policy is held close to, or None.
        held: [B, L] the tokens that a KL term holds to `old_logprobs`, or None.
        total: The count that the loss divides by: see losses.
    """

    tokens: TokenBatch
    mask: Tensor
    logprobs: Tensor
    entropies: Tensor
    old_logprobs: Tensor
    advantages: Tensor
    reference: Tensor | None
    held: Tensor | None
    total: float


def clipped(part: Part, objective: Objective) -> losses.LossOutput:
    """The clipped policy gradient with the objective's options: `losses.ppo_clip`."""
    return losses.ppo_clip(
        part.logprobs,
        part.old_logprobs,
        part.advantages,
        part.mask,
        clip_low=objective.clip_low,
        clip_high=objective.clip_high,
        dual_clip=objective.dual_clip,
        ratio=objective.ratio,
        turn_index=part.tokens.turn_index,
        total=part.total,
        reduction=objective.reduction,
    )


def count(tokens: TokenBatch, mask: Tensor, objective: Objective) -> float:
    """What the objective's mean divides by: trained tokens, or turns or rows that have any."""
    if objective.reduction == "token":
        return max(1.0, float(mask.sum()))
    if objective.reduction == "episode":
        return max(1.0, float(mask.any(-1).sum()))
    turns = tokens.turn_index + 1  # 0 gathers what belongs to no turn
    seen = torch.zeros(len(tokens), tokens.turn_mask.shape[1] + 1, device=mask.device)
    seen.scatter_reduce_(1, turns, mask.float(), "amax")
    return max(1.0, float(seen[:, 1:].sum()))


def weighted(
    advantages: Tensor,
    mask: Tensor,
    logprobs: Tensor,
    entropies: Tensor,
    sampled: Tensor,
    objective: Objective,
    generator: np.random.Generator,
) -> tuple[Tensor, Tensor | None]:
    """What the options make of advantages before the first step: weighed, and masked to 0.

    Returns:
        The advantages [B, L], and the tokens that KL-Cov holds, or None.
    """
    trained = mask
    held = None
    if objective.entropy_share < 1:
        trained = losses.high_entropy_mask(entropies, mask, objective.entropy_share)
    if objective.clip_covariance:
        uniforms = torch.from_numpy(generator.random(tuple(mask.shape))).to(mask.device)
        trained = trained & losses.covariance_mask(
            logprobs, advantages, mask, objective.clip_covariance, uniforms
        )
    if objective.kl_covariance:
        held = losses.covariance_top(logprobs, advantages, mask, objective.kl_covariance)
    advantages = losses.sign_weighted(advantages, objective.positive, objective.negative)
    weights = importance_weights(sampled, logprobs, objective.sampler_cap)
    return torch.where(trained, advantages * weights, 0.0), held
