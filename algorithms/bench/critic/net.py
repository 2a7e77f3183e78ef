"""The critics that are compared: what reads observation and action, and the heads on it (torch)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from agents.critics import TurnCritic
from agents.reading import read_masked

from ...utterances.siblings import Siblings, grow
from .inputs import Rows


@dataclass(frozen=True, slots=True)
class Read:
    """What a critic says of the places of its inputs, one column per head.

    Attributes:
        v: [B, T, H].
        q_taken: [B, T, H] of the action in the row; None where actions are read as branches only.
        q_all: [B, T, A, H] of every branch; None where they were not asked for.
    """

    v: Tensor
    q_taken: Tensor | None
    q_all: Tensor | None


class Critic(nn.Module):
    """`TurnCritic`, or its decoder with a Q head on observation and action that are read apart.

    Args:
        model: Whose decoder is copied.
        heads: Q and V heads; ArCHer has two of each.
        apart: Whether the action is read on its own and joined to the observation in the head;
            otherwise Q is read at its last token, behind all that came before.
        product: Whether that head sees the product of the two as well.
        residual: Whether Q is V and what its head adds.
        centre: What a head that says 0 means, in returns.
        spread: How much a head's 1 is, in returns.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        heads: int,
        apart: bool,
        product: bool,
        residual: bool,
        centre: float,
        spread: float,
    ):
        super().__init__()
        self.turns = TurnCritic(model, values=heads, action_values=0 if apart else heads)
        width = int(model.config.hidden_size)
        self.pair_head = PairHead(width, heads, product) if apart else None
        self.residual, self.centre, self.spread = residual, centre, spread

    def read(self, given: Rows, rows: Tensor, branches: bool) -> Read:
        """V and Q of these rows; of every admissible action with `branches`."""
        part = given.batch.rows(rows)
        turns = part.turn_mask.shape[1]
        index = given.spoken_index[rows, :turns]
        if self.pair_head is not None:
            hidden = self.turns.encode(part.ids, part.lengths)
            before = _at(hidden, part.before_turn)
            spoken = self.turns.encode(given.spoken)
            said = spoken[torch.arange(len(spoken)), given.spoken_last].float()[index]
            v = self._value(self.turns.value_head(before))
            return Read(v, None, self._action_value(self.pair_head(before, said), v[:, :, None]))
        chosen = given.branches if branches else given.taken
        own = slice(turns * chosen.count)
        siblings = Siblings(
            chosen.token_ids[rows, own],
            chosen.mask[rows, own],
            chosen.logprobs[rows, own],
            chosen.count,
        )
        grown = grow(part, siblings)
        hidden = read_masked(self.turns.decoder, grown.ids, grown.visible, grown.positions)
        v = self._value(self.turns.values(hidden, part.before_turn))
        q = self.turns.action_values(hidden, grown.last).view(*v.shape[:2], chosen.count, -1)
        q = self._action_value(q, v[:, :, None])
        return Read(v, None, q) if branches else Read(v, q[:, :, 0], None)

    def _value(self, head: Tensor) -> Tensor:
        return self.centre + self.spread * head

    def _action_value(self, head: Tensor, value: Tensor) -> Tensor:
        return value + self.spread * head if self.residual else self._value(head)


class PairHead(nn.Module):
    """Q of an observation and an action that were read apart.

    Their hidden states are joined as they are, with `product` their product too: without it a small
    head cannot learn that an action is good in one place and bad in another.
    """

    def __init__(self, width: int, outputs: int, product: bool):
        super().__init__()
        self.product = product
        self.before, self.said = nn.Linear(width, width), nn.Linear(width, width)
        last = nn.Linear(width, outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.joined = nn.Sequential(nn.Linear((2 + product) * width, width), nn.GELU(), last)

    def forward(self, before: Tensor, said: Tensor) -> Tensor:
        """[B, T, A, H] from [B, T, width] and [B, T, A, width]."""
        here = before[:, :, None].expand_as(said)
        parts = [here, said]
        if self.product:
            parts.append(self.before(here) * self.said(said))
        return self.joined(torch.cat(parts, -1))


def _at(hidden: Tensor, positions: Tensor) -> Tensor:
    index = positions.clamp(min=0)[..., None].expand(-1, -1, hidden.shape[-1])
    return hidden.gather(1, index).float()
