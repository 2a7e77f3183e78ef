"""Fresh actions at every turn of recorded episodes, sampled and scored in shared passes (torch).

Off-policy critics and actors ask what the policy would say now at states it met before. Written
out, each such answer needs its own copy of the episode so far. Here all of them hang on one copy as
branches: a branch's tokens attend to the episode up to the observation they answer, and to their
own branch, never to each other; their positions continue from that observation. One pass over the
episode and one short pass per token then serve all turns at once. Tests compare it with the
written-out form.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from agents.devices import mixed_precision
from agents.models import context_of, decoder, has_window, head_logits, hidden_states
from agents.reading import read_masked
from agents.sampling import Sampling, draw

from ..batch import TokenBatch


@dataclass(frozen=True, slots=True)
class Siblings:
    """N = turns x count branches per row; branch n answers turn n // count.

    Attributes:
        token_ids: [B, N, K] sampled ids, the stop token included, padded with 0.
        mask: [B, N, K] True on sampled tokens; all False where the row has no such turn.
        logprobs: [B, N, K] of the tokens when they were sampled.
        count: Branches per turn.
    """

    token_ids: Tensor
    mask: Tensor
    logprobs: Tensor
    count: int

    @property
    def branch_mask(self) -> Tensor:
        """[B, N] True where there is a branch."""
        return self.mask.any(-1)

    def rows(self, index: Tensor | NDArray[np.int64], turns: int) -> "Siblings":
        """The branches of these rows, at their first `turns` turns."""
        cut = index, slice(turns * self.count)
        return Siblings(self.token_ids[cut], self.mask[cut], self.logprobs[cut], self.count)


@dataclass(frozen=True, slots=True)
class Grown:
    """A batch with its branches appended to each row: what a decoder is given.

    Attributes:
        ids: [B, L + P] token ids; P holds the branches of the row that says most.
        visible: [B, 1, L + P, L + P] which key each query may see.
        positions: [B, L + P] position ids.
        predictor: [B, N, K] the column whose hidden state predicts a branch token.
        last: [B, N] the column of a branch's last token.
    """

    ids: Tensor
    visible: Tensor
    positions: Tensor
    predictor: Tensor
    last: Tensor


def _origins(batch: TokenBatch, count: int) -> tuple[Tensor, Tensor]:
    """For each branch the column it hangs on, and whether its turn exists: [B, N] each."""
    return batch.before_turn.repeat_interleave(count, 1), batch.turn_mask.repeat_interleave(
        count, 1
    )


def draws(
    batch: TokenBatch, count: int, sampling: Sampling, generator: np.random.Generator
) -> Tensor:
    """The chance of all branches of a batch, [B, N, K] in [0, 1): drawn before it is split."""
    rows, turns = batch.turn_mask.shape
    shape = (rows, turns * count, sampling.max_new_tokens)
    return torch.from_numpy(generator.random(shape)).to(batch.ids.device)


@torch.no_grad()
def sample_siblings(
    model: PreTrainedModel,
    batch: TokenBatch,
    count: int,
    stop_id: int,
    sampling: Sampling,
    uniforms: Tensor,
) -> Siblings:
    """Sample `count` actions of the present policy at every turn of every row.

    Args:
        model: The policy.
        batch: Rows to answer.
        count: Branches per turn.
        stop_id: The token that ends an action.
        sampling: How tokens are drawn.
        uniforms: From `draws`, the rows of this batch; branches beyond its turns are ignored.

    Raises:
        ValueError: for a model with sliding-window attention, which branches would look beyond.
    """
    if has_window(model):
        raise ValueError(
            f"{type(model).__name__} looks back over a window; branches need full attention: use "
            "another model, or an algorithm without them"
        )
    origin, exists = _origins(batch, count)
    rows, branches = origin.shape
    length, device = batch.ids.shape[1], batch.ids.device
    cache, window = DynamicCache(), context_of(model)
    hidden = hidden_states(model, batch.ids, past_key_values=cache, use_cache=True)
    hidden = hidden.gather(1, origin[..., None].expand(-1, -1, hidden.shape[-1]))
    chance = uniforms[:, :branches].flatten(0, 1)
    stem = torch.arange(length, device=device) <= origin[:, None, :, None]
    alike = torch.eye(branches, dtype=torch.bool, device=device)
    alike = alike.expand(rows, 1, branches, branches)
    going = exists.clone()
    tokens: list[Tensor] = []
    masks: list[Tensor] = []
    logprobs: list[Tensor] = []
    for step in range(sampling.max_new_tokens):
        logits = head_logits(model, hidden).float().flatten(0, 1)
        picks, picked = draw(logits, chance[:, step], sampling)
        tokens.append(picks.view(rows, branches).masked_fill(~going, 0))
        masks.append(going)
        logprobs.append(picked.view(rows, branches).masked_fill(~going, 0.0))
        # a branch ends where the model's window does
        going = going & (tokens[-1] != stop_id) & (origin + 2 + step < window)
        if not bool(going.any()) or step + 1 == sampling.max_new_tokens:
            break
        visible = torch.cat([stem, *[alike] * (step + 1)], -1)
        hidden = hidden_states(
            model,
            tokens[-1],
            attention_mask=visible,
            position_ids=(origin + 1 + step) * going,
            past_key_values=cache,
            use_cache=True,
        )
    return Siblings(
        torch.stack(tokens, -1), torch.stack(masks, -1), torch.stack(logprobs, -1), count
    )


def grow(batch: TokenBatch, siblings: Siblings) -> Grown:
    """Append the branches to the rows, with the mask and positions that keep them apart.

    They are packed end to end: most answers are far shorter than the longest.
    """
    origin, _ = _origins(batch, siblings.count)
    rows, branches, width = siblings.token_ids.shape
    length, device = batch.ids.shape[1], batch.ids.device
    ends = siblings.mask.sum(-1).cumsum(1)
    starts = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1]], 1)
    along, packed = torch.arange(length, device=device), int(ends[:, -1].max())
    place = torch.arange(packed, device=device).expand(rows, packed).contiguous()
    # padding stands behind the last branch, where nobody looks
    owner = torch.searchsorted(ends, place, right=True).clamp(max=branches - 1)
    within = place - starts.gather(1, owner)
    stem = origin.gather(1, owner)
    real = place < ends[:, -1:]
    tokens = siblings.token_ids.flatten(1).gather(1, owner * width + within.clamp(max=width - 1))
    ids = torch.cat([batch.ids, tokens * real], 1)
    positions = torch.cat([along.expand(rows, length), (stem + 1 + within) * real], 1)
    total = length + packed
    visible = torch.zeros(rows, total, total, dtype=torch.bool, device=device)
    visible[:, :length, :length] = along <= along[:, None]
    visible[:, length:, :length] = along <= stem[..., None]
    alike = owner[:, :, None] == owner[:, None, :]
    visible[:, length:, length:] = alike & (place[:, None, :] <= place[:, :, None])
    columns = length + starts[..., None] + torch.arange(width - 1, device=device)
    predictor = torch.cat([origin[..., None], columns.clamp(max=total - 1)], -1)
    return Grown(ids, visible[:, None], positions, predictor, length + ends - 1)


def sibling_states(model: PreTrainedModel, grown: Grown, *, checkpointing: bool = False) -> Tensor:
    """The policy's hidden states of episodes with their branches."""
    return read_masked(
        decoder(model), grown.ids, grown.visible, grown.positions, checkpointing=checkpointing
    )


def score_siblings(
    model: PreTrainedModel,
    hidden: Tensor,
    grown: Grown,
    siblings: Siblings,
    temperature: float = 1.0,
    *,
    trains_entropy: bool = False,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies [B, N, K] of the branch tokens, zero where there is none.

    Args:
        model: The policy.
        hidden: Its `sibling_states`.
        grown: What was read.
        siblings: The branches.
        temperature: Logits are divided by it.
        trains_entropy: Whether entropies carry a gradient.
    """
    row, branch, place = siblings.mask.nonzero(as_tuple=True)
    with mixed_precision(grown.ids.device):
        logits = head_logits(model, hidden[row, grown.predictor[row, branch, place]])
    distribution = torch.log_softmax(logits.float() / temperature, -1)
    chosen = distribution.gather(-1, siblings.token_ids[row, branch, place, None]).squeeze(-1)
    if not trains_entropy:
        distribution = distribution.detach()
    surprise = -(distribution.exp() * distribution).sum(-1)
    grid = torch.zeros(siblings.mask.shape, device=chosen.device)
    where = (row, branch, place)
    return grid.index_put(where, chosen), grid.index_put(where, surprise)


def sibling_logprobs(
    model: PreTrainedModel, grown: Grown, siblings: Siblings
) -> tuple[Tensor, Tensor]:
    """What `score_siblings` says after reading: entropies are numbers without a gradient."""
    return score_siblings(model, sibling_states(model, grown), grown, siblings)


def joined(parts: Sequence[tuple[Tensor, Siblings]], rows: int) -> Siblings:
    """The branches of all rows, from those of some rows each."""
    count = parts[0][1].count
    branches = max(part.mask.shape[1] for _, part in parts)
    width = max(part.mask.shape[2] for _, part in parts)
    first = parts[0][1]

    def whole(like: Tensor, of: Callable[[Siblings], Tensor]) -> Tensor:
        grid = like.new_zeros(rows, branches, width)
        for index, part in parts:
            grid[index, : part.mask.shape[1], : part.mask.shape[2]] = of(part)
        return grid

    return Siblings(
        whole(first.token_ids, lambda part: part.token_ids),
        whole(first.mask, lambda part: part.mask),
        whole(first.logprobs, lambda part: part.logprobs),
        count,
    )
