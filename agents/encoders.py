"""Texts become vectors (torch): any encoder of Transformers, or a copy of the policy's decoder.

A text that comes again is read once: where situations recur, as in a maze, thousands of turns cost
a handful of rows. Beginnings that texts share are read once by a decoder (reading.py).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from .critics import own_decoder
from .devices import mixed_precision
from .folders import model_folder
from .reading import read

LONGEST = 512  # tokens of a text that are read, its last ones, where the encoder states no limit


class TextEncoder(nn.Module):
    """Embeds texts, each apart from all others.

    Args:
        model: The policy; without `encoder` a copy of its decoder reads.
        encoder: A folder or hub id of an encoder (BERT, RoBERTa, ...), "" for the policy's decoder.
    """

    def __init__(self, model: PreTrainedModel, encoder: str = ""):
        super().__init__()
        self.tokenizer: PreTrainedTokenizerBase | None = None
        if encoder:
            self.stack, self.tokenizer = _load(encoder)
        else:
            self.stack = own_decoder(model)
        self.stack.requires_grad_(True).eval()
        config: Any = self.stack.config
        self.width = int(config.hidden_size)
        self.longest = int(getattr(config, "max_position_embeddings", None) or LONGEST)
        if "roberta" in str(getattr(config, "model_type", "")):
            self.longest -= 2  # its positions begin behind the padding index

    @property
    def looks_ahead(self) -> bool:
        """Whether a token is read in sight of those behind it: then beginnings are not shared."""
        return self.tokenizer is not None

    def tokens(self, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
        """What `embed` reads of texts: of one that is too long its end.

        Args:
            texts: What to read.
            tokenizer: The policy's; an encoder that was loaded has its own.
        """
        rows: list[list[int]] = (self.tokenizer or tokenizer)(list(texts))["input_ids"]
        return [row[-self.longest :] or [0] for row in rows]

    def embed(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """[N, width]: the mean of the last hidden states of a text's tokens; of a decoder's, the
        last one.
        """
        width = max(map(len, rows))
        device = next(self.parameters()).device
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=device)
        lengths = torch.tensor([len(row) for row in rows], device=device)
        if not self.looks_ahead:
            reading = read(self.stack, ids, lengths)
            return reading.flat[reading.place[torch.arange(len(rows)), lengths - 1]].float()
        mask = torch.arange(width, device=device) < lengths[:, None]
        with mixed_precision(device):
            hidden = self.stack(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        kept = torch.where(mask[..., None], hidden.float(), 0.0)
        return kept.sum(1) / lengths[:, None]


def _load(encoder: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Weights from safetensors and no code from the folder, as `models.load_model` has it."""
    path = model_folder(encoder)
    name = str(Path(path).resolve()) if Path(path).exists() else path
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = AutoModel.from_pretrained(
            name, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"cannot load an encoder from {encoder}: {reason}") from error
    return model, tokenizer


def told(
    instructions: str, observations: Sequence[str], actions: Sequence[str], history: int | None
) -> str:
    r"""What a critic reads of a situation: the last observation and so many turns before it.

    Args:
        instructions: The system prompt; read only with the whole past.
        observations: All so far, the one to answer last.
        actions: What was answered to all but the last.
        history: Earlier turns to read; None for all of them.

    >>> told("Find it.", ["a", "b", "c"], ["left", "right"], 1)
    'b\n> right\nc'
    """
    first = 0 if history is None else max(0, len(observations) - 1 - history)
    lines = [] if history is not None else [instructions]
    for observation, action in zip(observations[first:-1], actions[first:], strict=True):
        lines += [observation, f"> {action}"]
    return "\n".join([*lines, observations[-1]])
