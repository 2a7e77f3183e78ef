"""Where sampler and learner disagree about the same tokens: measured, and corrected (torch).

An engine samples with other kernels, another precision or weights that are a little older than the
learner's. What it said of its tokens is kept with every action; the learner computes its own. The
gap is logged, and truncated importance sampling corrects for it: each token's loss is multiplied by
min(pi_learner(token) / pi_sampler(token), cap), taken before the update and without a gradient
(Yao et al., Your Efficient RL Framework Secretly Brings You Off-Policy RL Training, 2025).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lmenvs.types import Episode

from .batch import TokenBatch
from .losses import LOG_RATIO_LIMIT, importance_ratio


def sampler_logprobs(batch: TokenBatch, episodes: Sequence[Episode]) -> Tensor:
    """What the sampler said of each policy token: [B, L], nan in turns of which nothing is known.

    Args:
        batch: Made from `episodes`.
        episodes: A demonstration's actions carry no log-probabilities.
    """
    grid = np.full(tuple(batch.ids.shape), np.nan, np.float32)
    index = batch.turn_index.cpu().numpy()
    turns = batch.turn_mask.sum(-1).tolist()
    for row, (episode, first) in enumerate(
        zip(batch.episode.tolist(), batch.first_turn.tolist(), strict=True)
    ):
        for number, turn in enumerate(episodes[episode].turns[first : first + turns[row]]):
            own = index[row] == number
            if len(turn.action.logprobs) == own.sum():
                grid[row, own] = turn.action.logprobs
    return torch.from_numpy(grid).to(batch.ids.device)


def mismatch(sampled: Tensor, logprobs: Tensor) -> dict[str, float]:
    """How far the sampler is from the learner, over the tokens it said something of.

    Args:
        sampled: From `sampler_logprobs`.
        logprobs: [B, L] of the same tokens, computed by the learner before its first step; nan
            where it did not.

    Returns:
        kl/sampler, KL(sampler || learner) per token in nats (k3 estimate), and
        kl/sampler_ratio_max, the largest pi_learner / pi_sampler; 0 and 1 where both compute alike.
    """
    known = ~(sampled.isnan() | logprobs.isnan())
    if not bool(known.any()):
        return {"kl/sampler": 0.0, "kl/sampler_ratio_max": 1.0}
    gap = (logprobs.detach() - sampled)[known].clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    k3 = gap.double().exp() - 1 - gap.double()
    return {"kl/sampler": float(k3.mean()), "kl/sampler_ratio_max": float(gap.max().exp())}


def importance_weights(sampled: Tensor, logprobs: Tensor, cap: float | None) -> Tensor:
    """min(pi_learner / pi_sampler, cap) for each token, without a gradient: [B, L].

    1 where the sampler's word is not known, and everywhere if `cap` is None. A loss that is linear
    in the advantage, as the clipped and the plain policy gradient are (for weights of at least 0),
    takes them as a factor of the advantage.

    Args:
        sampled: From `sampler_logprobs`.
        logprobs: [B, L] of the same tokens, computed by the learner before its first step.
        cap: What a weight is held below.

    >>> said = torch.tensor([[-2.0, -1.0, float("nan")]])
    >>> importance_weights(said, torch.tensor([[-1.0, -1.0, -3.0]]), cap=2.0).tolist()
    [[2.0, 1.0, 1.0]]
    """
    if cap is None:
        return torch.ones_like(sampled)
    gap = logprobs.detach() - sampled
    known = ~gap.isnan()
    gap = gap.nan_to_num(nan=0.0, posinf=LOG_RATIO_LIMIT, neginf=-LOG_RATIO_LIMIT)
    return torch.where(known, importance_ratio(gap, known, "token").clamp(max=cap), 1.0)
