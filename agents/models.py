"""Loading causal language models and reading their insides (torch), LoRA adapters included."""

import inspect
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from .chat import Chat
from .folders import model_folder

# its bars for reading and writing a few megabytes would draw over those of the training
transformers_logging.disable_progress_bar()


def context_of(model: PreTrainedModel) -> int:
    """The longest sequence, in tokens, that the model can read."""
    return int(getattr(model.config, "max_position_embeddings", None) or 1 << 20)


def hidden_states(model: PreTrainedModel, ids: Tensor, **kwargs: object) -> Tensor:
    """The last hidden states [B, L, width] of a causal LM's decoder, adapters included."""
    return decoder(model)(input_ids=ids, **kwargs).last_hidden_state


def decoder(model: PreTrainedModel) -> PreTrainedModel:
    """The stack of blocks under the output layer; LoRA adapters live inside it."""
    inner = model.get_base_model() if is_adapter(model) else model  # type: ignore[operator]  # peft's
    return inner.get_decoder()


def is_adapter(model: torch.nn.Module) -> bool:
    """Whether the model is wrapped by peft."""
    return type(model).__module__.startswith("peft")


def head_logits(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """The logits of hidden states of any leading shape, as the model's own forward scales them."""
    logits = model.get_output_embeddings()(hidden)  # type: ignore[misc]  # causal models have one
    config = decoder(model).config
    if (scaling := getattr(config, "logits_scaling", None)) not in (None, 1.0):  # Granite
        logits = logits / scaling
    if (scale := getattr(config, "logit_scale", None)) not in (None, 1.0):  # Cohere
        logits = logits * scale
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:  # Gemma
        logits = cap * torch.tanh(logits / cap)
    return logits


def has_window(model: PreTrainedModel) -> bool:
    """Whether some layer looks back over a window only; a mask of our own would have to know it."""
    config = decoder(model).config
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return "sliding_attention" in kinds
    return bool(getattr(config, "sliding_window", None))


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


def load_model(path: str | Path, dtype: torch.dtype | None = None) -> tuple[PreTrainedModel, Chat]:
    """Load a causal LM and its conversation format from a folder or hub id; LoRA folders too.

    A run's `--out` folder stands for its checkpoint.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if the folder does not hold a model; one line that says what it lacks.
    """
    path = model_folder(str(path))
    folder = Path(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        if (folder / "adapter_config.json").exists():
            from peft import AutoPeftModelForCausalLM

            model = AutoPeftModelForCausalLM.from_pretrained(path, is_trainable=True)
        else:
            # an absolute name, so that an adapter saved later finds its base from anywhere
            name = str(folder.resolve()) if folder.exists() else path
            model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype or torch.float32)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"cannot load a causal language model from {path}: {reason}") from error
    return model.eval(), Chat(tokenizer, context_of(model))


def with_lora(model: PreTrainedModel, rank: int) -> PreTrainedModel:
    """The model with trainable low-rank adapters on every linear layer; the rest is frozen.

    A model that has adapters already (a resumed run) keeps them.
    """
    if is_adapter(model):
        return model
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)  # type: ignore[return-value]  # it forwards to the model
