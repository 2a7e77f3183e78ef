"""Which tokens are trained and how strongly: masks and weights without a gradient (torch).

Every choice is over the whole batch: give these functions all tokens of an iteration, not a
minibatch. Ties go to the token that comes first, row by row. The random one takes its random
numbers as an argument.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .masked import Mask, Values, detached

Chosen = Bool[Tensor, "row token"]


def high_entropy_mask(entropies: Values, mask: Mask, share: float = 0.2) -> Chosen:
    """Keep where the policy hesitates: the `share` of the kept tokens whose entropy is largest.

    m_t = 1(H_t >= tau), tau the (1 - share) quantile of H over the batch; ceil(share N) of N
    tokens, so never none. Source: Wang et al., Beyond the 80/20 Rule (2025).

    >>> entropies, mask = torch.tensor([[0.1, 2.0, 0.3, 1.0]]), torch.ones(1, 4, dtype=torch.bool)
    >>> high_entropy_mask(entropies, mask, share=0.5).tolist()
    [[False, True, False, True]]
    """
    _check_share(share)
    # a share such as 0.07 of 100 is a little above 7 in floating point, and means 7
    count = math.ceil(share * float((mask != 0).sum()) - 1e-6)
    return _first(-entropies.detach().float(), mask != 0, count)


def covariance(logprobs: Values, advantages: Values, mask: Mask) -> Values:
    """Each kept token's part in the loss of entropy: c = (log pi - mean)(A - mean), 0 where masked.

    The means are over the kept tokens. Where c is large, the update makes a likely token likelier
    (or an unlikely one unlikelier) and entropy falls. Source: Cui et al., The Entropy Mechanism of
    Reinforcement Learning for Reasoning Language Models (2025).

    >>> logprobs, advantages = torch.tensor([[-1.0, -3.0]]), torch.tensor([[1.0, -1.0]])
    >>> covariance(logprobs, advantages, torch.ones(1, 2, dtype=torch.bool)).tolist()
    [[1.0, 1.0]]
    """
    count = (mask != 0).sum().clamp(min=1)
    centred = [
        torch.where(mask != 0, values - values.sum() / count, 0.0)
        for values in (
            detached("logprobs", logprobs, mask),
            detached("advantages", advantages, mask),
        )
    ]
    return centred[0] * centred[1]


def covariance_mask(
    logprobs: Values,
    advantages: Values,
    mask: Mask,
    share: float,
    uniforms: Float[Tensor, "row token"],
    low: float = 1.0,
    high: float = 5.0,
) -> Chosen:
    """Clip-Cov: the kept tokens without a few, drawn from those of high covariance.

    Dropped are floor(share N) of the N kept tokens (or all there are), drawn evenly from those with
    low <= c <= high: the ones whose `uniforms` are smallest. Train the rest and count all, as the
    paper does. Source: Cui et al. (2025).

    >>> one, mask = torch.tensor([[2.0, 0.0, -2.0, 0.0]]), torch.ones(1, 4, dtype=torch.bool)
    >>> draws = torch.tensor([[0.9, 0.1, 0.2, 0.3]])
    >>> covariance_mask(one, one, mask, share=0.25, uniforms=draws).tolist()
    [[True, True, False, True]]
    """
    _check_share(share)
    if low > high:
        raise ValueError(f"low {low} is above high {high}; expected the band of covariances")
    scores = covariance(logprobs, advantages, mask)
    eligible = (mask != 0) & (scores >= low) & (scores <= high)
    return (mask != 0) & ~_first(uniforms, eligible, _floor(share, mask))


def covariance_top(logprobs: Values, advantages: Values, mask: Mask, share: float) -> Chosen:
    """KL-Cov: the floor(share N) of N kept tokens whose covariance is largest.

    They stay in the policy loss and get a KL term towards the old policy besides. Source: Cui et
    al. (2025).

    >>> one, mask = torch.tensor([[3.0, 0.0, -2.0, 0.0]]), torch.ones(1, 4, dtype=torch.bool)
    >>> covariance_top(one, one, mask, share=0.25).tolist()
    [[True, False, False, False]]
    """
    _check_share(share)
    return _first(-covariance(logprobs, advantages, mask), mask != 0, _floor(share, mask))


def sign_weighted(advantages: Values, positive: float = 1.0, negative: float = 1.0) -> Values:
    """Weigh success and failure apart: w A, where w is `positive` if A > 0, else `negative`.

    With rewards of +1 and -1 for advantages, negative = 0 is positive sample reinforcement (PSR),
    positive = 0 negative sample reinforcement (NSR) and positive = 0.1 W-REINFORCE. Source: Zhu et
    al., The Surprising Effectiveness of Negative Reinforcement in LLM Reasoning (2025).

    >>> sign_weighted(torch.tensor([[1.0, -2.0]]), positive=0.1).tolist()
    [[0.10000000149011612, -2.0]]
    """
    if positive < 0 or negative < 0:
        raise ValueError(
            f"positive {positive}, negative {negative}; expected weights of at least 0"
        )
    return torch.where(advantages > 0, positive, negative) * advantages


def _check_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share is {share}; expected a share of the tokens, between 0 and 1")


def _floor(share: float, mask: Tensor) -> int:
    return math.floor(share * float((mask != 0).sum()) + 1e-6)


def _first(keys: Tensor, eligible: Tensor, count: int) -> Tensor:
    """The `count` eligible entries with the smallest keys, or all there are."""
    # a nan key would sort behind the entries that are out
    order = torch.where(eligible, keys.nan_to_num(nan=0.0), torch.inf).flatten()
    order = order.argsort(stable=True)[: min(count, int(eligible.sum()))]
    chosen = torch.zeros(eligible.numel(), dtype=torch.bool, device=eligible.device)
    chosen[order] = True
    return chosen.view_as(eligible) & eligible
