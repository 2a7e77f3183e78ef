"""The losses that fit a critic (torch): squared errors, an expectile, ArCHer's four heads.

Row and token are row and turn where the critic judges turns. The mean is over what is judged.
"""

import torch
from torch import Tensor

from .masked import LossOutput, Mask, Values, detached, masked_mean, only_kept


def value_mse(
    values: Values,
    targets: Values,
    mask: Mask,
    *,
    old_values: Values | None = None,
    clip: float | None = None,
    total: float | int | None = None,
) -> LossOutput:
    """Fit a critic: L = mean((V - y)^2) / 2; with `clip`, mean(max((V - y)^2, (V' - y)^2)) / 2.

    V' = V_old + clip(V - V_old, -clip, clip): the critic gains nothing by moving further than
    `clip` from what it said when the data was sampled. The clipped form is OpenAI baselines' PPO.
    """
    if (clip is None) != (old_values is None):
        raise ValueError("value_mse clips around old_values; give both clip and old_values or none")
    target = detached("targets", targets, mask)
    errors = (only_kept(values, mask) - target) ** 2
    metrics = {"value_error": float(masked_mean(errors.detach(), mask))}
    if clip is not None and old_values is not None:
        old = detached("old_values", old_values, mask)
        near = old + (only_kept(values, mask) - old).clamp(-clip, clip)
        errors = torch.maximum(errors, (near - target) ** 2)
    return LossOutput(0.5 * masked_mean(errors, mask, total=total), metrics)


def expectile(
    predictions: Values,
    targets: Values,
    mask: Mask,
    tau: float,
    total: float | int | None = None,
) -> LossOutput:
    """Fit an expectile: L = mean(|tau - 1(u < 0)| u^2) with u = y - prediction.

    tau = 0.5 is half the squared error (the mean); tau near 1 approaches the largest target seen.
    Source: Kostrikov et al., Offline Reinforcement Learning with Implicit Q-Learning (2022),
    equation 4.
    """
    if not 0.0 < tau < 1.0:
        raise ValueError(f"tau is {tau}; expected a number between 0 and 1, 0.5 for the mean")
    excess = detached("targets", targets, mask) - only_kept(predictions, mask)
    loss = masked_mean(torch.where(excess < 0, 1.0 - tau, tau) * excess**2, mask, total=total)
    return LossOutput(loss, {"value_error": float(masked_mean(excess.detach() ** 2, mask))})


def archer_critic(
    q1: Values,
    q2: Values,
    v1: Values,
    v2: Values,
    *,
    targets_for_q1: Values,
    targets_for_q2: Values,
    targets_for_v1: Values,
    targets_for_v2: Values,
    mask: Mask,
    tau: float = 0.5,
    total: float | int | None = None,
) -> LossOutput:
    """Fit ArCHer's double critic: L = sum_k mean((Q_k - y_Qk)^2) + sum_k mean(w_k (V_k - y_Vk)^2).

    Per turn, with observation o, utterance a, the next observation o' and barred target networks:
    targets_for_qk = r + discount * (1 - terminated) * Vbar_k(o'), and targets_for_vk =
    Qbar_k(o, a~) with a~ newly sampled from the policy. A truncated turn is not terminated. No
    minimum over the heads here: it belongs to the advantage. Source: Zhou et al., ArCHer: Training
    Language Model Agents via Hierarchical Multi-Turn RL (2024), section 3.

    w_k = 2 |tau - 1(y_Vk < V_k)| is 1 at tau = 0.5; above, V_k is the expectile of offline ArCHer
    (IQL), with targets_for_vk = Qbar_k(o, a) of the action in the data.
    """
    if not 0.0 < tau < 1.0:
        raise ValueError(f"tau is {tau}; expected a number between 0 and 1, 0.5 for the mean")
    heads = {
        "q1": (q1, targets_for_q1),
        "q2": (q2, targets_for_q2),
        "v1": (v1, targets_for_v1),
        "v2": (v2, targets_for_v2),
    }
    parts: list[Tensor] = []
    metrics: dict[str, float] = {}
    for name, (values, targets) in heads.items():
        errors = only_kept(values, mask) - detached(f"targets_for_{name}", targets, mask)
        weights = 2 * torch.where(errors > 0, 1 - tau, tau) if name.startswith("v") else 1.0
        parts.append(masked_mean(weights * errors**2, mask, total=total))
        metrics[f"{name}_error"] = float(masked_mean(errors.detach() ** 2, mask))
    return LossOutput(torch.stack(parts).sum(), metrics)
