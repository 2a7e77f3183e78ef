"""How a token is drawn from logits (torch): temperature, filters, inverse-CDF sampling."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn.

    `logprobs` of an action are those of the distribution that was sampled from, filters included.
    """

    temperature: float = 1.0  # 0 takes the most probable token
    top_k: int | None = None  # only the k most probable tokens
    top_p: float | None = None  # only the smallest set of tokens with this much probability
    max_new_tokens: int = 32  # an answer longer than this ends with finish="length"

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"temperature {self.temperature}; expected 0 (greedy) or more")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k {self.top_k}; expected 1 or more, or None")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p {self.top_p}; expected a number in (0, 1], or None")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens {self.max_new_tokens}; expected 1 or more")


def draw(logits: Tensor, uniforms: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Inverse-CDF sampling: one uniform number a row picks one token.

    Args:
        logits: [B, vocabulary], float32.
        uniforms: [B] in [0, 1).
        sampling: Temperature and filters.

    Returns:
        token ids [B] and their natural-log probabilities [B] under the filtered distribution.
    """
    if sampling.temperature == 0:
        picks = logits.argmax(-1)
        return picks, torch.zeros(len(picks))
    logprobs = torch.log_softmax(logits / sampling.temperature, -1)
    if sampling.top_k is not None and sampling.top_k < logits.shape[-1]:
        least = logprobs.topk(sampling.top_k, -1).values[:, -1:]
        logprobs = logprobs.masked_fill(logprobs < least, -torch.inf)
    if sampling.top_p is not None and sampling.top_p < 1:
        ordered, order = logprobs.sort(-1, descending=True)
        before = ordered.exp().cumsum(-1) - ordered.exp()
        ordered = ordered.masked_fill(before >= sampling.top_p, -torch.inf)
        logprobs = torch.empty_like(logprobs).scatter(-1, order, ordered)
    logprobs = logprobs - logprobs.logsumexp(-1, keepdim=True)
    # float64: over a large vocabulary the float32 running sum stops short of one
    cumulative = logprobs.double().exp().cumsum(-1)
    target = uniforms.double().unsqueeze(-1) * cumulative[:, -1:]
    picks = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
    picks = picks.clamp(max=logits.shape[-1] - 1)
    return picks, logprobs.gather(-1, picks.unsqueeze(-1)).squeeze(-1)
