"""Critics that read a whole episode in one pass (torch): value heads on a causal decoder.

Under causal attention the hidden state at a position has seen exactly what came before, so one
forward pass over an episode yields every turn's value: V is read where the turn's first token is
predicted (it has not seen the action), Q at the turn's last token (it has).
"""

import copy

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .models import decoder, is_adapter
from .reading import read, read_masked


class TurnCritic(nn.Module):
    """Scalar heads on a copy of a language model's decoder; heads compute in float32.

    Args:
        model: The causal LM whose decoder is copied (a policy knows the language of its game
            already).
        values: How many V heads.
        action_values: How many Q heads.
        token_values: How many heads that judge single tokens from what precedes them.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        values: int = 1,
        action_values: int = 0,
        token_values: int = 0,
    ):
        super().__init__()
        self.decoder = own_decoder(model)
        self.decoder.requires_grad_(True)
        width = int(model.config.hidden_size)
        self.value_head = _head(width, values)
        self.action_value_head = _head(width, action_values) if action_values else None
        self.token_value_head = _head(width, token_values) if token_values else None
        # heads are drawn on the CPU, so that every device begins with the same ones
        self.to(model.device)

    def encode(
        self, ids: Tensor, lengths: Tensor | None = None, *, checkpointing: bool = False
    ) -> Tensor:
        """Hidden states [B, L, width] of token sequences padded on the right.

        Beginnings that rows share are read once (see `agents.reading.read`).
        """
        return read(self.decoder, ids, lengths, checkpointing=checkpointing).rows()

    def encode_masked(self, ids: Tensor, visible: Tensor, positions: Tensor) -> Tensor:
        """Hidden states [B, L, width] where `visible` [B, 1, L, L] says which key a query sees."""
        return read_masked(self.decoder, ids, visible, positions)

    def values(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """V heads [B, T, heads] at positions [B, T] of hidden states [B, L, width]."""
        return self.value_head(_at(hidden, positions))

    def action_values(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """Q heads [B, T, heads] at positions [B, T]; made with `action_values` > 0."""
        assert self.action_value_head is not None
        return self.action_value_head(_at(hidden, positions))

    def token_values(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """Token heads [B, N, heads] at positions [B, N]; made with `token_values` > 0."""
        assert self.token_value_head is not None
        return self.token_value_head(_at(hidden, positions))


def own_decoder(model: PreTrainedModel) -> nn.Module:
    """A copy of the model's decoder that is trained whole; adapters are merged into it."""
    if not is_adapter(model):
        return copy.deepcopy(decoder(model))
    # adapters are merged: the copy is trained whole, and has the same weights' names in every run
    return decoder(copy.deepcopy(model).merge_and_unload())  # type: ignore[operator]  # peft's


def _head(width: int, outputs: int) -> nn.Module:
    last = nn.Linear(width, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), last)


def _at(hidden: Tensor, positions: Tensor) -> Tensor:
    index = positions.clamp(min=0)[..., None].expand(-1, -1, hidden.shape[-1])
    return hidden.gather(1, index).float()


@torch.no_grad()
def move_towards(target: nn.Module, source: nn.Module, rate: float) -> None:
    """Polyak averaging in place: target <- (1 - rate) target + rate source."""
    for slow, fast in zip(target.parameters(), source.parameters(), strict=True):
        slow.lerp_(fast, rate)
