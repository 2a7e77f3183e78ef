"""Causal attention along a tree of rows that begin alike (torch); see reading.py.

Queries, keys and values are spread from the flat row to rows of their own. Where a kernel for rows
of different lengths is at hand (a GPU, in half precision) they are laid end to end for it;
elsewhere they are padded on the right, which the causal kernel needs no mask for.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import varlen
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from .layout import Layout

NAME = "lmenvs_rows"
_UNDERSTOOD = {"position_ids", "is_causal", "cache_position", "output_attentions", "use_cache"}
_here = threading.local()


class Spread(torch.autograd.Function):
    """The flat row [N, width] as padded rows [B * L, width]; gradients of repeats add up."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, layout: Layout) -> Tensor:
        """[N, width] -> [B * L, width]."""
        ctx.layout = layout
        return flat.index_select(0, layout.place.view(-1))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """[B * L, width] -> [N, width]."""
        layout: Layout = ctx.layout
        summed = grad.index_select(0, layout.first)
        if len(layout.repeated):
            summed.index_add_(0, layout.at, grad.index_select(0, layout.repeated))
        return summed, None


class _Gather(torch.autograd.Function):
    """Padded rows [B * L, width] as the flat row [N, width]: of repeats, the first counts."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, layout: Layout) -> Tensor:
        ctx.layout = layout
        return rows.index_select(0, layout.first)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        layout: Layout = ctx.layout
        spread = grad.new_zeros(layout.place.numel(), grad.shape[-1])
        return spread.index_copy_(0, layout.first, grad), None


@contextmanager
def following(layout: Layout, stack: nn.Module) -> Iterator[None]:
    """Let this decoder attend along the tree."""
    config: Any = stack.config
    before = config._attn_implementation, getattr(_here, "layout", None)
    config._attn_implementation, _here.layout = NAME, layout
    try:
        yield
    finally:
        config._attn_implementation, _here.layout = before


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Causal attention of a flat row of tokens, along the tree that is followed.

    Args:
        module: The attention layer; asked for nothing.
        query: [1, heads, N, width].
        key: [1, key heads, N, width].
        value: [1, key heads, N, value width].
        attention_mask: None; the tree says who sees what.
        scaling: Of the scores; 1 / sqrt(width) if None.
        dropout: Share of the probabilities that are dropped.
        sliding_window: How many keys back a query sees, itself included.
        others: What would change the numbers is refused.

    Returns:
        [1, N, heads, value width].

    Raises:
        ValueError: for an argument that this attention does not know.
    """
    unknown = sorted({name for name, given in others.items() if given is not None} - _UNDERSTOOD)
    if unknown or attention_mask is not None:
        said = ", ".join(unknown) or "a mask of its own"
        raise ValueError(
            f"{type(module).__name__} asks attention for {said}, which shared beginnings do not "
            "have; use another model"
        )
    layout: Layout = _here.layout
    if takes_ragged(query) and not dropout:
        return _ragged(query, key, value, layout, scaling, sliding_window)[None], None
    rows, length = layout.place.shape
    queries, keys, values = (
        Spread.apply(part[0].transpose(0, 1).flatten(1), layout)
        .view(rows, length, part.shape[1], part.shape[3])
        .transpose(1, 2)
        for part in (query, key, value)
    )
    mask = None
    if sliding_window is not None and sliding_window < length:
        ones = torch.ones(length, length, dtype=torch.bool, device=query.device)
        mask = ones.tril() & ones.triu(1 - sliding_window)
    found = scaled_dot_product_attention(
        queries,
        keys,
        values,
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=mask is None,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    flat = _Gather.apply(found.transpose(1, 2).reshape(rows * length, -1), layout)
    return flat.view(1, len(layout), query.shape[1], -1), None


def takes_ragged(query: Tensor) -> bool:
    """Whether there is a kernel for rows of different lengths here."""
    return query.is_cuda and query.dtype in (torch.bfloat16, torch.float16)


def _ragged(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """See `attend`: rows end to end, by the kernel for different lengths; [N, heads, width]."""
    queries, keys, values = (
        part[0].transpose(0, 1).to(query.dtype).index_select(0, layout.rows)
        for part in (query, key, value)
    )
    longest = layout.place.shape[1]
    found = varlen.varlen_attn(
        queries,
        keys,
        values,
        layout.cuts,
        layout.cuts,
        longest,
        longest,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),  # itself is not counted there
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return found.index_select(0, layout.own)  # type: ignore[union-attr]  # a tensor, unless asked


AttentionInterface.register(NAME, attend)
