"""Whole token sequences are read in one pass, what they share only once (torch).

Rows of a batch often begin alike: with the same system prompt all of them, with the same first
observation the members of a group. Under causal attention equal beginnings have equal hidden
states, so the rows are a tree: `Layout` gives every node of it one place in a flat row of tokens
[1, N]. Embeddings, linear layers and norms run on that row, without repeats and without padding;
only attention lays queries, keys and values out as padded rows again, for which the causal kernel
needs no mask. Gradients of a shared token add up over the rows that share it, as they would if it
stood in each of them (the idea of Prefix Grouper: Liu et al., 2025).

Models that bring their own attention, and batches where little is shared or padded, are read as
they are: right-padded rows without a mask. `packed` is a third way, for variable-length kernels:
rows are laid end to end, positions start anew, and Transformers separates them.
"""

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface
from transformers.modeling_layers import GradientCheckpointingLayer

from .devices import mixed_precision
from .layout import Layout, lay_out

Way = Literal["auto", "padded", "shared", "packed"]
NAME = "lmenvs_rows"
SAVES = 0.9
"""The tree is used where it has at most this share of the padded tokens. Laying rows out for
attention has a price: at width 160, 78 % of the tokens took 84 % of the time."""

_UNDERSTOOD = {"position_ids", "is_causal", "cache_position", "output_attentions", "use_cache"}
_here = threading.local()


@dataclass(frozen=True, slots=True)
class Reading:
    """Hidden states of token rows, each computed once.

    Attributes:
        flat: [N, width] hidden states.
        place: [B, L] which of them is a token's; for padding any.
        layout: How `place` came about; None where every cell of [B, L] has a state of its own.
    """

    flat: Tensor
    place: Tensor
    layout: Layout | None = None

    def rows(self) -> Tensor:
        """[B, L, width], as a decoder would return it; padding holds anything."""
        flat = self.flat if self.layout is None else _Spread.apply(self.flat, self.layout)
        return flat.view(*self.place.shape, -1)


def read(
    stack: nn.Module,
    ids: Tensor,
    lengths: Tensor | None = None,
    *,
    way: Way = "auto",
    checkpointing: bool = False,
) -> Reading:
    """The last hidden states of token rows, under causal attention.

    Args:
        stack: A decoder of Transformers, without the output layer.
        ids: [B, L] rows padded on the right.
        lengths: [B] how many tokens of each row count; None for all.
        way: "shared" reads equal beginnings once, "padded" reads rows as they are, "packed" end to
            end; "auto" packs where a variable-length kernel is in use, shares where that saves.
        checkpointing: Whether each block is computed again in the backward pass instead of being
            remembered: about a third more time, a fraction of the memory.

    Raises:
        ValueError: for way "shared" with a model that brings its own attention; for checkpointing
            with a model whose blocks do not offer it.
    """
    if lengths is None:
        lengths = torch.full((len(ids),), ids.shape[1])
    layout = None
    if way == "auto":
        way, layout = _choose(stack, ids, lengths)
    if way == "shared" and not can_share(stack):
        raise ValueError(
            f"{type(stack).__name__} brings its own attention or positions; expected one that uses "
            'Transformers\' attention interface; read it with way="padded"'
        )
    arguments: dict[str, Any] = {"input_ids": ids}
    place = torch.arange(ids.numel(), device=ids.device).view(ids.shape)
    around: Callable[[], AbstractContextManager[None]] = nullcontext
    if way != "padded":
        layout = layout or lay_out(ids, lengths, share=way == "shared")
        layout = kept = layout.to(ids.device)
        place = layout.place
        arguments["input_ids"] = ids.reshape(-1)[layout.first][None]
        arguments["position_ids"] = layout.positions[None]
        if way == "shared":
            around = lambda: following(kept, stack)  # noqa: E731
    remembered = nullcontext()
    if checkpointing and torch.is_grad_enabled():
        remembered = _checkpointed(stack, around)
    with mixed_precision(ids.device), around(), remembered:
        hidden = stack(use_cache=False, **arguments).last_hidden_state
    return Reading(hidden.flatten(0, 1), place, layout)


def read_masked(
    stack: nn.Module,
    ids: Tensor,
    visible: Tensor,
    positions: Tensor,
    *,
    checkpointing: bool = False,
) -> Tensor:
    """The last hidden states [B, L, width] where `visible` [B, 1, L, L] says which key a query
    sees, and `positions` [B, L] where each token stands.
    """
    remembered = nullcontext()
    if checkpointing and torch.is_grad_enabled():
        remembered = _checkpointed(stack, nullcontext)
    with mixed_precision(ids.device), remembered:
        return stack(
            input_ids=ids, attention_mask=visible, position_ids=positions, use_cache=False
        ).last_hidden_state


def _choose(stack: nn.Module, ids: Tensor, lengths: Tensor) -> tuple[Way, Layout | None]:
    config: Any = stack.config
    if ids.is_cuda and "flash" in str(config._attn_implementation):
        return "packed", None
    if len(ids) > 1 and can_share(stack):
        layout = lay_out(ids, lengths)
        if len(layout) <= SAVES * ids.numel():
            return "shared", layout
    return "padded", None


def can_share(stack: nn.Module) -> bool:
    """Whether this decoder's attention can be replaced by one that knows the tree."""
    config: Any = stack.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        bool(getattr(stack, "_supports_attention_backend", False))
        and config._attn_implementation == "sdpa"
        and kinds <= {"full_attention", "sliding_attention"}
        and getattr(config, "attn_logit_softcapping", None) is None
        and not getattr(config, "alibi", False)
        and rope.get("rope_type") not in ("dynamic", "longrope")
        and "position_ids" in inspect.signature(stack.forward).parameters
    )


class _Spread(torch.autograd.Function):
    """The flat row [N, width] as padded rows [B * L, width]; gradients of repeats add up."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, layout: Layout) -> Tensor:
        ctx.layout = layout
        return flat.index_select(0, layout.place.view(-1))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
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
    rows, length = layout.place.shape
    queries, keys, values = (
        _Spread.apply(part[0].transpose(0, 1).flatten(1), layout)
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


AttentionInterface.register(NAME, attend)


@contextmanager
def _checkpointed(
    stack: nn.Module, around: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """Let every block forget its activations; they are computed again within `around`."""
    blocks = [block for block in stack.modules() if isinstance(block, GradientCheckpointingLayer)]
    if not blocks:
        raise ValueError(
            f"{type(stack).__name__} has no blocks that can be computed again; train it without "
            "gradient_checkpointing"
        )

    def run(function: Callable[..., Tensor], *given: Tensor) -> Tensor:
        return checkpoint(
            function, *given, use_reentrant=False, context_fn=lambda: (nullcontext(), around())
        )

    before = [(block.training, block.gradient_checkpointing) for block in blocks]
    for block in blocks:
        # of the block alone: its layers stay in eval mode, without dropout
        block.training, block.gradient_checkpointing = True, True
        block._gradient_checkpointing_func = run  # type: ignore[assignment]
    try:
        yield
    finally:
        for block, (training, checkpointing) in zip(blocks, before, strict=True):
            block.training, block.gradient_checkpointing = training, checkpointing
