"""Whole token sequences are read in one pass, what they share only once (torch).

Rows of a batch often begin alike: with the same system prompt all of them, with the same first
observation the members of a group. Under causal attention equal beginnings have equal hidden
states, so the rows are a tree: `Layout` gives every node of it one place in a flat row of tokens
[1, N]. Embeddings, linear layers and norms run on that row, without repeats and without padding;
only attention lays queries, keys and values out as rows again (tree_attention.py): end to end on a
GPU, padded on a CPU. Gradients of a shared token add up over the rows that share it, as they would
if it stood in each of them (the idea of Prefix Grouper: Liu et al., 2025).

Models that bring their own attention, and on a CPU batches where little is shared or padded, are
read as they are: right-padded rows without a mask.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from .devices import mixed_precision
from .layout import Layout, lay_out
from .tree_attention import Spread, following

Way = Literal["auto", "padded", "shared"]
SAVES = 0.9
"""The tree is used where it has at most this share of the padded tokens. Laying rows out for
attention has a price: at width 160, 78 % of the tokens took 84 % of the time."""


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
        flat = self.flat if self.layout is None else Spread.apply(self.flat, self.layout)
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
        way: "shared" reads equal beginnings once and no padding, "padded" reads rows as they are;
            "auto" shares where that saves.
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
    if way == "shared":
        layout = kept = (layout or lay_out(ids, lengths)).to(ids.device)
        place = layout.place
        arguments["input_ids"] = ids.reshape(-1)[layout.first][None]
        arguments["position_ids"] = layout.positions[None]
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
    if len(ids) > 1 and can_share(stack):
        layout = lay_out(ids, lengths)
        if len(layout) <= (1 if ids.is_cuda else SAVES) * ids.numel():
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
