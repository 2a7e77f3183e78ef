"""Transformers' continuous batching engine: made for a model, started, stopped (torch)."""

import threading
from typing import TYPE_CHECKING, Any, cast

from transformers import GenerationConfig, PreTrainedModel

from .chat import Chat
from .models import attention_widths, context_of, decoder, is_adapter
from .sampling import Sampling

if TYPE_CHECKING:
    from transformers.generation.continuous_batching import ContinuousBatchingManager

CPU_CACHE = 1 << 30  # bytes of keys and values on a CPU; a GPU gives most of what it has free
CPU_TOKENS = 1 << 16  # and tokens: a mask of CPU_BATCH rows as wide as the cache is held, too
CPU_BATCH = 512  # tokens of one pass on a CPU
PAGE = 16  # tokens of a page without flash attention: small ones leave little to read again


def make_manager(
    model: PreTrainedModel,
    chat: Chat,
    sampling: Sampling,
    seed: tuple[int, int],
    context: int,
) -> "ContinuousBatchingManager":
    """An engine that is not started yet.

    Raises:
        ValueError: for a model that it does not serve; in one line.
        ImportError: where Transformers is too old.
    """
    try:
        from transformers import ContinuousBatchingConfig
    except ImportError as error:
        from transformers import __version__

        raise ImportError(
            "continuous batching needs a newer Transformers (5.23 is known to do), got "
            f"{__version__}; pip install -U transformers, or use hf: instead"
        ) from error
    name = type(model).__name__
    inner = cast("Any", model).get_base_model() if is_adapter(model) else model
    if getattr(inner.config, "is_encoder_decoder", False):
        raise ValueError(f"{name} is an encoder-decoder; expected a causal language model")
    if not getattr(decoder(model), "_supports_attention_backend", False):
        raise ValueError(
            f"{name} brings its own attention, which knows no pages; use another model, or one "
            "that is served over HTTP"
        )
    config = ContinuousBatchingConfig(return_logprobs=True, seed=seed[0] * 1_000_003 + seed[1])
    if inner.device.type == "cpu":
        config.page_size, config.max_batch_tokens = PAGE, CPU_BATCH
        config.num_blocks = _pages(inner, context)
    generation = _generation(chat, sampling)
    try:
        return cast("Any", inner).init_continuous_batching(generation, config)
    except (ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"continuous batching does not serve {name}: {reason}; use hf:") from error


def _generation(chat: Chat, sampling: Sampling) -> GenerationConfig:
    greedy = sampling.temperature == 0
    filters = {
        "temperature": sampling.temperature,
        "top_k": sampling.top_k or 0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "min_p": sampling.min_p,
    }
    return GenerationConfig(
        do_sample=not greedy,
        max_new_tokens=sampling.max_new_tokens,
        eos_token_id=chat.stop_id,
        pad_token_id=chat.stop_id,
        **({} if greedy else filters),
    )


def _pages(model: PreTrainedModel, context: int) -> int:
    """How many pages a CPU holds: CPU_CACHE, and at least two whole conversations."""
    layers = int(decoder(model).config.num_hidden_layers)
    token = 2 * layers * attention_widths(model)[1] * model.dtype.itemsize
    return -(-min(CPU_TOKENS, max(2 * context, CPU_CACHE // token)) // PAGE)


def window_of(model: PreTrainedModel) -> int:
    """The longest conversation, in tokens: the model's window, or half of what a CPU holds."""
    context = context_of(model)
    return min(context, CPU_TOKENS // 2) if model.device.type == "cpu" else context


def start(manager: "ContinuousBatchingManager") -> None:
    """Start the engine's thread, once; it must not keep the process from ending."""
    if not manager.is_running():
        # a thread is a daemon where the one that starts it is
        starter = threading.Thread(target=manager.start, daemon=True)
        starter.start()
        starter.join()


def stop(
    manager: "ContinuousBatchingManager", model: PreTrainedModel, attention: str | None
) -> None:
    """Stop the engine's thread and give the model its attention back."""
    if manager.is_running():
        manager.stop(block=True, timeout=10, hard_stop=True)
    if (
        attention and decoder(model).config._attn_implementation != attention
    ):  # an engine that never ran
        model.set_attn_implementation(attention)
