"""The losses of implicit Q-learning over tokens, or over turns (torch).

Snell et al., Offline RL for Natural Language Generation with Implicit Language Q Learning (2023),
section 4. All arguments of a token stand where the token does; what is read from the hidden state
that predicts it is meant. Row and token are row and turn where a turn is one action.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .critics import expectile, value_mse
from .masked import LossOutput, Mask, Values, detached, masked_mean
from .policy import negative_log_likelihood

LARGEST_WEIGHT = 100.0
"""Of an action in `advantage_weighted`: one lucky turn may count so often, and no more."""


def implicit_values(
    q_heads: Sequence[Values],
    v: Values,
    *,
    targets_for_q: Values,
    targets_for_v: Values,
    mask: Mask,
    tau: float,
    total: float | int | None = None,
) -> LossOutput:
    """Fit Q and V without asking for an action that was not taken.

    L = sum_k mean((y_Q - Q_k(s, a))^2) / 2 + mean(|tau - 1(u < 0)| u^2), u = y_V - V(s), with the
    action a of the data, y_Q = r + discount * V(s') and y_V = min_k Qbar_k(s, a) of target heads.
    tau = 0.5 evaluates the policy that played, near 1 V approaches the best action that was played
    from s. The paper has no half; its published port has. Metrics: q_error and v_error, mean
    squares.

    >>> one, mask = torch.tensor([[1.0]]), torch.tensor([[True]])
    >>> loss = implicit_values(
    ...     [0 * one, 2 * one], 0 * one, targets_for_q=one, targets_for_v=one, mask=mask, tau=0.75
    ... )
    >>> float(loss.loss)  # 1/2 + 1/2 + 3/4
    1.75
    """
    fits = [value_mse(q, targets_for_q, mask, total=total) for q in q_heads]
    values = expectile(v, targets_for_v, mask, tau, total)
    loss = torch.stack([fit.loss for fit in fits]).sum() + values.loss
    error = sum(fit.metrics["value_error"] for fit in fits) / len(fits)
    return LossOutput(loss, {"q_error": error, "v_error": values.metrics["value_error"]})


def conservative(
    logprobs_of_heads: Sequence[Values], mask: Mask, total: float | int | None = None
) -> LossOutput:
    """Keep the values of tokens that nobody said below those of the data: L = sum_k -mean log p_k.

    p_k = softmax(Q_k(s, .))(a), so that `logprobs_of_heads` holds log p_k of the data's tokens.
    Metric: conservative, the mean over heads.

    >>> half = torch.full((1, 1), 0.5).log()
    >>> round(float(conservative([half, half], torch.tensor([[True]])).loss), 4)  # 2 log 2
    1.3863
    """
    fits = [negative_log_likelihood(one, mask, total=total).loss for one in logprobs_of_heads]
    loss = torch.stack(fits).sum()
    likelihood = sum(float(masked_mean(one.detach(), mask)) for one in logprobs_of_heads)
    return LossOutput(loss, {"conservative": -likelihood / len(logprobs_of_heads)})


def advantage_weights(advantages: Values, mask: Mask, temperature: float) -> Tensor:
    """AWAC's weights of imitation: w = min(exp(A / temperature), `LARGEST_WEIGHT`), 0 where masked.

    `negative_log_likelihood` takes them; an infinite temperature is behaviour cloning. Source: Nair
    et al., AWAC (2020), equation 13.

    >>> one, mask = torch.tensor([[0.0, 1e3]]), torch.tensor([[True, True]])
    >>> advantage_weights(one, mask, 1.0).tolist()
    [[1.0, 100.0]]
    """
    if not temperature > 0.0:
        raise ValueError(f"temperature is {temperature}; expected a number above 0, or infinity")
    weights = (detached("advantages", advantages, mask) / temperature).exp()
    return torch.where(mask != 0, weights.clamp(max=LARGEST_WEIGHT), 0.0)
