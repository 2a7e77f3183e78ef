"""Attention of new tokens over a key-value store with a slot for each conversation (torch).

A forward pass reads one flat row of tokens [1, N], so that all other layers compute exactly what is
needed. Only attention knows whose token is whose, from a `Plan` (attention_plan.py).

Transformers calls `attend` in the place of its own attention while a plan is `followed`.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PretrainedConfig

from .attention_plan import Call, Plan

NAME = "lmenvs_slots"
_UNDERSTOOD = {"position_ids", "is_causal", "cache_position", "output_attentions", "use_cache"}
_here = threading.local()


@contextmanager
def followed(
    plan: Plan, config: PretrainedConfig, last: torch.nn.Module | None = None
) -> Iterator[None]:
    """Let the model of this configuration attend by the plan.

    Args:
        plan: Who attends to what.
        config: Of the model.
        last: An attention layer of which only each row's last answer is needed; the others are 0.
    """
    before = config._attn_implementation
    config._attn_implementation = NAME
    _here.plan, _here.last = plan, last
    try:
        yield
    finally:
        _here.plan = _here.last = None
        config._attn_implementation = before


def attend(
    module: torch.nn.Module,
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
    """Attention of a flat row of new tokens over the whole store, by the plan that is followed.

    Args:
        module: The attention layer; asked for nothing.
        query: [1, heads, N, width].
        key: [slots, key heads, capacity, width]: the store, new tokens included.
        value: [slots, key heads, capacity, value width].
        attention_mask: None; the plan says who sees what.
        scaling: Of the scores; 1 / sqrt(width) if None.
        dropout: Must be 0.
        sliding_window: How many keys back a query sees, itself included.
        others: What would change the numbers is refused.

    Returns:
        [1, N, heads, value width].

    Raises:
        ValueError: for an argument that this attention does not know.
    """
    unknown = [name for name, given in others.items() if given is not None]
    unknown = sorted(set(unknown) - _UNDERSTOOD)
    if unknown or dropout or attention_mask is not None:
        said = ", ".join(unknown) or ("dropout" if dropout else "a mask of its own")
        raise ValueError(
            f"{type(module).__name__} asks attention for {said}, which cached conversations do not "
            "have; use another model, or one that is served over HTTP"
        )
    plan: Plan = _here.plan
    query = query.to(key.dtype)  # under autocast rotated queries may be wider
    if plan.ends is None or module is not _here.last:
        return _answers(plan.calls, query, key, value, scaling, sliding_window)[None], None
    places = plan.last[plan.ends.order]
    asked = query.index_select(2, places)
    found = _answers(plan.ends.calls, asked, key, value, scaling, sliding_window)
    answer = found.new_zeros(query.shape[2], *found.shape[1:])
    answer[places] = found
    return answer[None], None


def _answers(
    calls: Sequence[Call],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float | None,
    sliding_window: int | None,
) -> Tensor:
    """What the calls give, [N, heads, value width]; see `attend`."""
    _, heads, total, _ = query.shape
    key_heads, width = key.shape[1], value.shape[-1]
    share = heads // key_heads
    answer = query.new_empty(total, heads, width)
    for call in calls:
        slots, wide, begin = call.last - call.first, call.width, call.begin
        given, given_begin = query, begin
        if call.take is not None:
            given, given_begin = query.index_select(2, call.take.view(-1)), 0
        _, head, token, unit = given.stride()
        # as_strided: one step to each view, where slicing and transposing takes several a row
        if wide == 1:  # the query heads of one key head are asked as if they were its queries
            shape = (slots, key_heads, share, given.shape[3])
            steps = (token, share * head, head, unit)
            laid = (heads * width, share * width, width, 1)
        else:
            shape = (slots, heads, wide, given.shape[3])
            steps = (wide * token, head, token, unit)
            laid = (wide * heads * width, width, heads * width, 1)
        found = scaled_dot_product_attention(
            given.as_strided(shape, steps, given.storage_offset() + given_begin * token),
            _first_keys(key, call),
            _first_keys(value, call),
            attn_mask=call.mask(sliding_window, query),
            scale=scaling,
            enable_gqa=wide > 1 and share > 1,
        )
        if call.put is None:
            answer.as_strided(found.shape, laid, begin * heads * width).copy_(found)
        else:
            places, chosen = call.put
            found = found if wide == 1 else found.transpose(1, 2)
            answer[places] = found.reshape(-1, heads, width)[chosen]
    return answer


def _first_keys(store: Tensor, call: Call) -> Tensor:
    """The part of the store that a call reads: store[first:last, :, :seen]."""
    _, heads, _, width = store.shape
    steps = store.stride()
    begin = store.storage_offset() + call.first * steps[0]
    return store.as_strided((call.last - call.first, heads, call.seen, width), steps, begin)


AttentionInterface.register(NAME, attend)
