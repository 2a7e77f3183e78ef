"""Gradients of a batch, computed by several threads side by side (torch).

A small model's matrices are too small to be split: two threads that share every product wait for
each other at every one, and on a busy machine for long. Here each thread has rows of its own and a
model of its own, whose weights are the original's; gradients are added up in a fixed order, so that
the same threads give the same bits.
"""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .batch import TokenBatch

Loss = Callable[[PreTrainedModel, TokenBatch], tuple[Tensor, dict[str, float]]]


class SideBySide:
    """As many threads as torch may use now, each with its own way through the same weights.

    Args:
        model: The model in training; on another device than the CPU one thread serves.
    """

    def __init__(self, model: PreTrainedModel):
        self.threads = torch.get_num_threads() if model.device.type == "cpu" else 1
        self._trained = [weight for weight in model.parameters() if weight.requires_grad]
        # everything is copied except the weights
        kept = {id(weight): weight for weight in model.parameters()}
        others = [copy.deepcopy(model, dict(kept)) for _ in range(self.threads - 1)]
        self._models = [model, *others]
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None

    def backward(self, batch: TokenBatch, loss: Loss) -> list[dict[str, float]]:
        """Add the gradient of a loss that is a sum over rows; returns each share's numbers.

        Args:
            batch: Every thread gets rows of all lengths.
            loss: Called with a model and some rows, by several threads at once.
        """
        shares = [order for order in self._deal(batch) if len(order)]
        if self._pool is None or len(shares) == 1:
            return [self._alone(batch, loss)]
        allowed = torch.get_num_threads()
        try:
            jobs = [
                self._pool.submit(self._gradient, model, batch.rows(share), loss)
                for model, share in zip(self._models, shares, strict=False)
            ]
            results = [job.result() for job in jobs]
        finally:
            torch.set_num_threads(allowed)  # parts of torch count for all threads together
        for weight, *slopes in zip(self._trained, *(slopes for slopes, _ in results), strict=True):
            present = [slope for slope in slopes if slope is not None]
            if present:
                total = sum(present[1:], present[0])
                weight.grad = total if weight.grad is None else weight.grad + total
        return [numbers for _, numbers in results]

    def __enter__(self) -> "SideBySide":
        return self

    def __exit__(self, *problem: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def _deal(self, batch: TokenBatch) -> list[Tensor]:
        order = torch.argsort(batch.lengths, descending=True, stable=True)
        return [order[thread :: self.threads] for thread in range(self.threads)]

    def _alone(self, batch: TokenBatch, loss: Loss) -> dict[str, float]:
        value, numbers = loss(self._models[0], batch)
        value.backward()
        return numbers

    def _gradient(
        self, model: PreTrainedModel, batch: TokenBatch, loss: Loss
    ) -> tuple[Sequence[Tensor | None], dict[str, float]]:
        torch.set_num_threads(1)
        value, numbers = loss(model, batch)
        return torch.autograd.grad(value, self._trained, allow_unused=True), numbers
