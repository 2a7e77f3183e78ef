"""Loading causal language models and reading their insides (torch), LoRA adapters included."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.utils import logging as transformers_logging

from .chat import Chat, memory_of
from .folders import model_folder

# its bars for reading and writing a few megabytes would draw over those of the training
transformers_logging.disable_progress_bar()


def context_of(model: PreTrainedModel) -> int:
    """The longest sequence, in tokens, that the model can read."""
    return int(getattr(decoder(model).config, "max_position_embeddings", None) or 1 << 20)


def attention_widths(model: PreTrainedModel) -> tuple[int, int]:
    """How wide all query heads of a layer are together, and all key heads.

    Raises:
        ValueError: where layers differ in that.
    """
    config = decoder(model).config
    try:
        heads = int(config.num_attention_heads)
        width = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
        return heads * width, int(getattr(config, "num_key_value_heads", None) or heads) * width
    except RuntimeError as error:  # Transformers': such a configuration has no one answer
        raise ValueError(
            f"{type(model).__name__} has layers with heads of different widths; use another model, "
            "or one that is served over HTTP"
        ) from error


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


def next_logits(
    model: PreTrainedModel,
    ids: Tensor,
    positions: Tensor,
    cache: Cache,
    last: Tensor | slice,
    shift: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Read a flat row of tokens [N] into a cache; the logits behind the last ones [rows, V].

    `shift` says what is added to the logits of hidden states: see guidance.py.
    """
    hidden = decoder(model)(
        input_ids=ids[None],
        position_ids=positions[None],
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    chosen = hidden[0, last]
    logits = head_logits(model, chosen)
    return logits if shift is None else logits.float() + shift(chosen)


def has_window(model: PreTrainedModel) -> bool:
    """Whether some layer looks back over a window only; a mask of our own would have to know it."""
    config = decoder(model).config
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return "sliding_attention" in kinds
    return bool(getattr(config, "sliding_window", None))


def load_model(path: str | Path, dtype: torch.dtype | None = None) -> tuple[PreTrainedModel, Chat]:
    """Load a causal LM and its conversation format from a folder or hub id; LoRA folders too.

    A run's `--out` folder stands for its checkpoint. Weights are read from safetensors only: a
    pickle could run code, and so could a Python file beside the weights.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if the folder does not hold a model; one line that says what it lacks.
    """
    path = model_folder(str(path))
    folder = Path(path)
    _refuse_pickles(folder)
    safe: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        if (folder / "adapter_config.json").exists():
            from peft import AutoPeftModelForCausalLM

            model = AutoPeftModelForCausalLM.from_pretrained(path, is_trainable=True, **safe)
        else:
            # an absolute name, so that an adapter saved later finds its base from anywhere
            name = str(folder.resolve()) if folder.exists() else path
            model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype or torch.float32, **safe)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"cannot load a causal language model from {path}: {reason}") from error
    return model.eval(), Chat(tokenizer, context_of(model), memory_of(folder))


def _refuse_pickles(folder: Path) -> None:
    pickles = [file.name for file in (*folder.glob("*.bin"), *folder.glob("*.pt"))]
    weights = [name for name in pickles if name.startswith(("pytorch_model", "adapter_model"))]
    if weights and not any(folder.glob("*model*.safetensors")):
        raise ValueError(
            f"{folder / min(weights)}: expected weights in safetensors, got a pickle, which could "
            "run code and is not read; load it where you trust it and save_pretrained it again"
        )


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
