"""Losses that compare (torch): DPO with its options, TDPO, KTO, CoPG, IPO and CPL.

They take sums of log-probabilities, [pair] or [row]: over the trained tokens of an episode, or of
the turns in which two episodes differ. What the frozen reference says arrives detached. Below, d
is the log-ratio log pi - log pi_ref of such a sum. Every loss is a mean over its pairs (or rows).
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from .masked import LossOutput

Pairs = Float[Tensor, " pair"]
PairTurns = Float[Tensor, "pair turn"]
Rows = Float[Tensor, " row"]


def dpo(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    reference_chosen: Pairs,
    reference_rejected: Pairs,
    beta: float = 0.1,
    *,
    label_noise: float = 0.0,
    sft_weight: float = 0.0,
    lengths_chosen: Pairs | None = None,
    lengths_rejected: Pairs | None = None,
) -> LossOutput:
    """Direct preference: L = -mean log sigmoid(m), m = beta * (d_chosen - d_rejected).

    Rafailov et al., Direct Preference Optimization (2023), equation 7. The options:

    - `label_noise` e: a share e of the labels is known to be flipped. The loss becomes
      ((1 - e) * l(m) - e * l(-m)) / (1 - 2e) with l = -log sigmoid: its mean over the flips is the
      loss of clean labels (Chowdhury, Kini and Natarajan, Provably Robust DPO, 2024, section 3).
    - `sft_weight` w: adds -w * log pi(chosen), which holds the likelihood of the chosen up (Liu et
      al., Provably Mitigating Overoptimization, 2024: the RPO loss, where w is eta * beta).
    - lengths: log-probabilities are divided by how many tokens they sum over, in both terms.

    Metrics: margin, the mean of m; accuracy, the share of pairs with m > 0; log_ratio_chosen and
    log_ratio_rejected.

    Raises:
        ValueError: for a share of flips outside [0, 0.5), or a reference that carries a gradient.
    """
    chosen = _log_ratio(policy_chosen, reference_chosen, lengths_chosen)
    rejected = _log_ratio(policy_rejected, reference_rejected, lengths_rejected)
    margin = beta * (chosen - rejected)
    loss = _ordered(margin, label_noise)
    if sft_weight:
        loss = loss - sft_weight * _per_token(policy_chosen, lengths_chosen).mean()
    return LossOutput(loss, _compared(margin, chosen, rejected))


def tdpo(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    reference_chosen: Pairs,
    reference_rejected: Pairs,
    kl_chosen: Pairs,
    kl_rejected: Pairs,
    beta: float = 0.1,
    *,
    form: Literal["tdpo1", "tdpo2"] = "tdpo2",
    kl_weight: float = 0.5,
    label_noise: float = 0.0,
    sft_weight: float = 0.0,
) -> LossOutput:
    """Token-level DPO: the divergence along each sequence enters what is compared.

    Zeng et al., Token-level Direct Preference Optimization (2024), section 4, with k the
    sequential forward KL, the sum over the positions of KL(pi_ref || pi):

    - tdpo1: L = -mean log sigmoid(beta * (d_chosen - d_rejected - (k_rejected - k_chosen)))
    - tdpo2: k_chosen is detached and the difference is weighed by `kl_weight` (the paper's alpha),
      so that a chosen sequence is not driven away from the reference.

    `label_noise` and `sft_weight` are those of `dpo`.

    Metrics: those of `dpo`, where margin is beta * (d_chosen - d_rejected); kl_chosen, kl_rejected.
    """
    chosen = _log_ratio(policy_chosen, reference_chosen)
    rejected = _log_ratio(policy_rejected, reference_rejected)
    margin = beta * (chosen - rejected)
    kl_chosen, kl_rejected = kl_chosen.float(), kl_rejected.float()
    if form == "tdpo1":
        gap = kl_rejected - kl_chosen
    elif form == "tdpo2":
        gap = kl_weight * (kl_rejected - kl_chosen.detach())
    else:
        raise ValueError(f"form is {form!r}; expected 'tdpo1' or 'tdpo2'")
    loss = _ordered(margin - beta * gap, label_noise)
    if sft_weight:
        loss = loss - sft_weight * policy_chosen.float().mean()
    divergences = {
        "kl_chosen": float(kl_chosen.detach().mean()),
        "kl_rejected": float(kl_rejected.detach().mean()),
    }
    return LossOutput(loss, _compared(margin, chosen, rejected) | divergences)


def kto(
    policy: Rows,
    reference: Rows,
    desirable: Bool[Tensor, " row"],
    beta: float = 0.1,
    *,
    reference_point: Float[Tensor, ""] | float = 0.0,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> LossOutput:
    """Unpaired: each row is worth more or less than a reference point z, as in prospect theory.

    Ethayarajh et al., KTO: Model Alignment as Prospect Theoretic Optimization (2024), section 4:
    L = mean(w * (1 - v)), v = sigmoid(beta * (d - z)) where desirable, sigmoid(beta * (z - d))
    where not, and w the weight of its kind. z comes from `kto_reference_point`.

    Metrics: log_ratio_chosen and log_ratio_rejected (0 where there is none), reference_point.

    Raises:
        ValueError: for a reference or a reference point that carries a gradient.
    """
    z = torch.as_tensor(reference_point, dtype=torch.float32, device=policy.device)
    if z.requires_grad:
        raise ValueError("reference_point carries a gradient; detach it where it is made")
    log_ratio = _log_ratio(policy, reference)
    above = torch.sigmoid(beta * (log_ratio - z))
    losses = torch.where(desirable, desirable_weight * (1 - above), undesirable_weight * above)
    known = log_ratio.detach()
    metrics = {
        "log_ratio_chosen": _mean(known[desirable]),
        "log_ratio_rejected": _mean(known[~desirable]),
        "reference_point": float(z),
    }
    return LossOutput(losses.mean(), metrics)


def kto_reference_point(policy: Rows, reference: Rows) -> Float[Tensor, ""]:
    """KTO's z: the mean log-ratio of the batch, not below 0, detached.

    An estimate of KL(pi || pi_ref); the paper takes it of answers to other prompts of the batch.
    """
    return _log_ratio(policy.detach(), reference).mean().clamp(min=0.0)


def copg(
    policy_one: Pairs,
    policy_other: Pairs,
    reference_one: Pairs,
    reference_other: Pairs,
    returns_one: Pairs,
    returns_other: Pairs,
    beta: float = 0.1,
) -> LossOutput:
    """Contrastive policy gradient: two samples of one task, from any policy, and their returns.

    Flet-Berliac et al., Contrastive Policy Gradient (2024): with D the difference of returns and
    d = d_one - d_other, L = -mean(D * d - beta / 2 * d^2). Its gradient is
    -(D - beta * d) * (grad log pi(one) - grad log pi(other)): a policy gradient of the regularised
    return with the other sample as its baseline. It vanishes, for samples from any policy, where
    pi is pi_ref * exp(R / beta) / Z, and nowhere else if the samples cover everything.

    Metrics: accuracy, the share of pairs ordered as their returns (ties count half); residual,
    the mean |D - beta * d|, which is 0 at the optimum.
    """
    gain = (_given("returns_one", returns_one) - _given("returns_other", returns_other)).float()
    gap = _log_ratio(policy_one, reference_one) - _log_ratio(policy_other, reference_other)
    loss = -(gain * gap - beta / 2 * gap.square()).mean()
    known = gap.detach()
    metrics = {
        "accuracy": _mean((1 + torch.sign(gain) * torch.sign(known)) / 2),
        "residual": _mean((gain - beta * known).abs()),
    }
    return LossOutput(loss, metrics)


def ipo(
    policy_chosen: Pairs,
    policy_rejected: Pairs,
    reference_chosen: Pairs,
    reference_rejected: Pairs,
    tau: float = 0.1,
) -> LossOutput:
    """Identity preference: L = mean((d_chosen - d_rejected - 1 / (2 tau))^2).

    Azar et al., A General Theoretical Paradigm to Understand Learning from Human Preferences
    (2024), equation 17. It is CoPG for returns that differ by 1/2 in every pair and beta = tau:
    their gradients differ by the factor tau / 2.

    Metrics: those of `dpo`, where margin is tau * (d_chosen - d_rejected).
    """
    chosen = _log_ratio(policy_chosen, reference_chosen)
    rejected = _log_ratio(policy_rejected, reference_rejected)
    loss = (chosen - rejected - 1 / (2 * tau)).square().mean()
    return LossOutput(loss, _compared(tau * (chosen - rejected), chosen, rejected))


def cpl(
    chosen: PairTurns,
    rejected: PairTurns,
    alpha: float = 0.1,
    *,
    discount: float = 1.0,
    bias: float = 1.0,
) -> LossOutput:
    """Contrastive preference learning: the policy's log-probabilities stand for advantages.

    Hejna et al., Contrastive Preference Learning (2024), equations 5 and 6: with
    S = sum over t of discount^t * alpha * log pi(a_t | s_t), L = -mean log sigmoid(S_chosen - bias
    * S_rejected). A `bias` below 1 (the paper's lambda) keeps the loss lower where the compared
    segments are likely: without it only their difference counts, and both may become unlikely.
    No reference.

    Args:
        chosen: Log-probabilities of each turn's action, 0 where there is no turn.
        rejected: The same of what was worse.
        alpha: The temperature that links log pi and the advantage.
        discount: Per turn.
        bias: Of the rejected sum, in (0, 1].

    Metrics: margin, the mean of S_chosen - S_rejected; accuracy; log_prob_chosen, undiscounted.

    Raises:
        ValueError: for a bias outside (0, 1].
    """
    if not 0 < bias <= 1:
        raise ValueError(f"bias {bias}; expected a number in (0, 1]")
    better, worse = (alpha * _discounted(grid.float(), discount) for grid in (chosen, rejected))
    margin = (better - worse).detach()
    metrics = {
        "margin": _mean(margin),
        "accuracy": _mean((margin > 0).float()),
        "log_prob_chosen": _mean(chosen.detach().float().sum(1)),
    }
    return LossOutput(-logsigmoid(better - bias * worse).mean(), metrics)


def _ordered(margin: Tensor, label_noise: float) -> Tensor:
    """The mean of -log sigmoid(m), unbiased where such a share of the pairs is known to be flipped.

    Raises:
        ValueError: for a share outside [0, 0.5).
    """
    if not 0 <= label_noise < 0.5:
        raise ValueError(
            f"label_noise {label_noise}; expected a share of at least 0 and below 0.5: with half "
            "of the labels flipped they say nothing"
        )
    losses = (1 - label_noise) * -logsigmoid(margin) + label_noise * logsigmoid(-margin)
    return (losses / (1 - 2 * label_noise)).mean()


def _discounted(grid: Tensor, discount: float) -> Tensor:
    return grid @ torch.tensor([discount**t for t in range(grid.shape[1])], device=grid.device)


def _log_ratio(policy: Tensor, reference: Tensor, lengths: Tensor | None = None) -> Tensor:
    return _per_token(policy.float() - _given("reference", reference).float(), lengths)


def _per_token(sums: Tensor, lengths: Tensor | None) -> Tensor:
    return sums.float() if lengths is None else sums.float() / lengths.clamp(min=1)


def _given(name: str, values: Tensor) -> Tensor:
    if values.requires_grad:
        raise ValueError(f"{name} carries a gradient; detach it where it is made")
    return values


def _compared(margin: Tensor, chosen: Tensor, rejected: Tensor) -> dict[str, float]:
    known = margin.detach()
    return {
        "margin": _mean(known),
        "accuracy": _mean((known > 0).float()),
        "log_ratio_chosen": _mean(chosen.detach()),
        "log_ratio_rejected": _mean(rejected.detach()),
    }


def _mean(values: Tensor) -> float:
    return float(values.mean()) if values.numel() else 0.0
