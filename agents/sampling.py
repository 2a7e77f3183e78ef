"""How a token is drawn from logits (torch): temperature, filters, inverse-CDF sampling."""

from dataclasses import dataclass

import torch
from torch import Tensor

_LIKELY = 256  # tokens among which the nucleus is looked for before the vocabulary is sorted


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn.

    `logprobs` of an action are those of the distribution that was sampled from, filters included.
    """

    temperature: float = 1.0  # 0 takes the most probable token
    top_k: int | None = None  # only the k most probable tokens
    top_p: float | None = None  # only the smallest set of tokens with this much probability
    min_p: float | None = None  # only tokens at least this share as probable as the most probable
    max_new_tokens: int = 32  # an answer longer than this ends with finish="length"
    stop: tuple[str, ...] = ()  # an answer ends before the first of these texts

    def __post_init__(self) -> None:
        if not self.temperature >= 0:  # which is false for nan, too
            raise ValueError(f"temperature {self.temperature}; expected 0 (greedy) or more")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k {self.top_k}; expected 1 or more, or None")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p {self.top_p}; expected a number in (0, 1], or None")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p {self.min_p}; expected a number in [0, 1], or None")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens {self.max_new_tokens}; expected 1 or more")
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        if not all(stop):
            raise ValueError(f"stop {self.stop!r}; expected texts of at least one character")
        object.__setattr__(self, "stop", stop)

    def cut(self, text: str) -> str | None:
        """What stands before the first stop text; None if there is none.

        >>> Sampling(stop=(";", "end")).cut("go east; end")
        'go east'
        """
        places = [text.find(stop) for stop in self.stop]
        found = [place for place in places if place >= 0]
        return text[: min(found)].strip() if found else None


def draw(logits: Tensor, uniforms: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Inverse-CDF sampling: one uniform number a row picks one token.

    Args:
        logits: [B, vocabulary], float32.
        uniforms: [B] in [0, 1).
        sampling: Temperature and filters: top-k first, top-p of what it leaves, then min-p.

    Returns:
        token ids [B] and their natural-log probabilities [B] under the filtered distribution.
    """
    if sampling.temperature == 0:
        picks = logits.argmax(-1)
        return picks, torch.zeros(len(picks), device=logits.device)
    scores = logits if sampling.temperature == 1 else logits / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < scores.shape[-1]:
        least = scores.topk(sampling.top_k, -1).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if sampling.top_p is not None and sampling.top_p < 1:
        scores = _nucleus(scores, sampling.top_p)
    if sampling.min_p:
        # log(min_p) below the greatest score is min_p times its probability
        floor = scores.amax(-1, keepdim=True) + torch.log(scores.new_tensor(sampling.min_p))
        scores = scores.masked_fill(scores < floor, -torch.inf)
    logprobs = torch.log_softmax(scores, -1)
    # float64: over a large vocabulary the float32 running sum stops short of one
    cumulative = logprobs.double().exp_().cumsum(-1)
    target = uniforms.double().unsqueeze(-1) * cumulative[:, -1:]
    picks = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
    picks = picks.clamp_(max=scores.shape[-1] - 1)
    return picks, logprobs.gather(-1, picks.unsqueeze(-1)).squeeze(-1)


def _nucleus(scores: Tensor, share: float) -> Tensor:
    """Hide all but the most probable tokens that together have `share` of the probability.

    A token stays if those that are more probable hold less than the share. The most probable few
    hundred usually decide it; where they do not, all are sorted.
    """
    total = scores.logsumexp(-1, keepdim=True)
    size = min(_LIKELY, scores.shape[-1])
    while True:
        ordered, order = scores.topk(size, -1)
        held = (ordered - total).exp().cumsum(-1)
        if size == scores.shape[-1] or bool((held[:, -1] >= share).all()):
            break
        size = scores.shape[-1]
    before = held - (ordered - total).exp()
    ordered = ordered.masked_fill(before >= share, -torch.inf)
    return torch.full_like(scores, -torch.inf).scatter(-1, order, ordered)
