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


def decoder(model: PreTrainedModel) -> torch.nn.Module:
    """The stack of blocks under the output layer; LoRA adapters live inside it."""
    inner = model.get_base_model() if is_adapter(model) else model  # type: ignore[operator]  # peft's
    return inner.get_decoder()


def is_adapter(model: torch.nn.Module) -> bool:
    """Whether the model is wrapped by peft."""
    return type(model).__module__.startswith("peft")


def head_logits(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """The output layer on hidden states of any leading shape."""
    return model.get_output_embeddings()(hidden)  # type: ignore[misc]  # causal models have one


def refuse_unsupported(model: PreTrainedModel) -> None:
    """Stop with one line where cached rows of different lengths would not be exact.

    Raises:
        ValueError: for encoder-decoder models, and for layers that are not full attention.
    """
    config = model.config
    name = type(model).__name__
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError(f"{name} is an encoder-decoder; expected a causal language model")
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    if kinds != {"full_attention"} or (window and getattr(config, "use_sliding_window", True)):
        raise ValueError(
            f"{name} has layers other than full attention ({', '.join(sorted(kinds))}, window "
            f"{window}); its cache cannot hold rows of different lengths here; use a model with "
            "full attention"
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
    scaled = [key for key in _LOGIT_SCALES if getattr(config, key, None) not in (None, 1.0)]
    if scaled:
        raise ValueError(
            f"{name} changes its logits behind the output layer ({', '.join(scaled)}), which is "
            "not done here; use a model without that"
        )


_LOGIT_SCALES = ("final_logit_softcapping", "logits_scaling", "logit_scale")


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
