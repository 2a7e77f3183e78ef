"""Which models read conversations piece by piece as they read them whole (torch).

`refuse_unsupported` goes by what a model says of itself. That leaves output layers that are more
than one matrix, positions that do not begin at 0, windows that only the model's own mask knows, and
whatever the next release brings. So `prove` lets every model read two short texts both ways, once.
"""

import inspect
import weakref
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from .devices import mixed_precision
from .models import decoder, has_window

ROUGH = 0.3
"""Logits may differ by this share of their own size: rounding in bfloat16 stays far below, what is
computed otherwise is about as far away as other words would be."""
PIECES = ((3, 5), (4, 8))  # how far each of the two texts has been read after each pass

Read = Callable[[Sequence[Sequence[int]]], tuple[Tensor, set[int | None]]]
_proven: "weakref.WeakSet[PreTrainedModel]" = weakref.WeakSet()


def refuse_unsupported(model: PreTrainedModel) -> None:
    """Stop with one line where cached rows of different lengths would not be exact.

    Raises:
        ValueError: for encoder-decoder models, and for attention that the cache cannot serve.
    """
    name = type(model).__name__
    if getattr(model.config, "is_encoder_decoder", False):
        raise ValueError(f"{name} is an encoder-decoder; expected a causal language model")
    config = decoder(model).config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if unknown := kinds - {"full_attention", "sliding_attention"}:
        raise ValueError(
            f"{name} has layers of {', '.join(sorted(unknown))}, whose state cannot be kept for "
            "rows of different lengths here; use a model with full or sliding-window attention"
        )
    if not getattr(decoder(model), "_supports_attention_backend", False):
        raise ValueError(
            f"{name} brings its own attention; expected one that uses Transformers' attention "
            "interface; use another model, or one that is served over HTTP"
        )
    if getattr(config, "attn_logit_softcapping", None) is not None:
        raise ValueError(
            f"{name} bends attention scores (attn_logit_softcapping), which fast attention does "
            "not; use a model without that"
        )
    if config._attn_implementation != "sdpa":
        raise ValueError(
            f"{name} runs {config._attn_implementation!r} attention, which reads another kind of "
            'mask; load it with attn_implementation="sdpa"'
        )
    places = inspect.signature(decoder(model).forward).parameters
    if "position_ids" not in places or getattr(config, "alibi", False):
        raise ValueError(
            f"{name} takes no position_ids, which rows of different lengths need here; use a model "
            "with rotary or learned positions"
        )
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in ("dynamic", "longrope"):
        raise ValueError(
            f"{name} rotates every position by the longest row of a batch "
            f"({rope['rope_type']} scaling); use a model whose rotation depends on the place alone"
        )


@torch.no_grad()
def prove(model: PreTrainedModel, read: Read) -> None:
    """Let the model read in pieces; nothing happens for one that has done so before.

    Args:
        model: The model.
        read: Reads what is new of two texts; the logits behind each, and the windows over which
            layers looked back.

    Raises:
        ValueError: where the logits are not those of one forward pass; in one line.
    """
    if model in _proven:
        return
    texts = np.random.default_rng(0).integers(
        decoder(model).config.vocab_size, size=(2, max(map(max, PIECES)))
    )
    windows = set[int | None]()
    try:
        with mixed_precision(model.device):
            whole = model(
                input_ids=torch.from_numpy(texts).to(model.device), use_cache=False
            ).logits.float()
        for ends in PIECES:
            logits, seen = read(
                [text[:end].tolist() for text, end in zip(texts, ends, strict=True)]
            )
            windows |= seen
            expected = torch.stack([row[end - 1] for row, end in zip(whole, ends, strict=True)])
            if _apart(logits, expected):
                _refuse(model, "it gives other probabilities")
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = " ".join(str(error).split())[:120]
        _refuse(model, f"{type(error).__name__}: {reason}", error)
    if has_window(model) and windows <= {None}:
        _refuse(model, "its attention does not say over which window it looks back")
    _proven.add(model)


def _apart(logits: Tensor, expected: Tensor) -> bool:
    """Whether logits are others than expected; what a broken model says decides nothing."""
    real = torch.isfinite(expected)
    size = torch.where(real, expected - expected[real].mean(), 0.0).norm()
    distance = torch.where(real, logits - expected, 0.0).norm()
    return bool(distance > ROUGH * size + 1e-4)


def _refuse(model: PreTrainedModel, reason: str, cause: Exception | None = None) -> NoReturn:
    raise ValueError(
        f"{type(model).__name__} cannot be read piece by piece ({reason}); use another model, or "
        "one that is served over HTTP"
    ) from cause
