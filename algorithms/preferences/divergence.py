"""The divergence of policy and reference at each token (torch), from both whole distributions."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents.devices import mixed_precision
from agents.models import decoder, head_logits
from agents.reading import read

from ..batch import TokenBatch
from ..reference import Reference
from .update import Layout, Statistics, Stepping


def logprobs_and_divergences(
    policy: PreTrainedModel, reference: Reference, layout: Layout, config: Stepping
) -> Statistics:
    """Of each turn, three sums over its tokens: [3, episode, turn].

    log pi(token), log pi_ref(token), and KL(pi_ref || pi) where the token was chosen, in nats.
    """

    def statistics(part: TokenBatch) -> Tensor:
        row, column = part.policy_mask.nonzero(as_tuple=True)
        own = distributions(policy, part, config.gradient_checkpointing)
        with torch.no_grad(), at_work(reference, policy) as frozen:
            near = distributions(frozen, part)
        chosen = part.ids[row, column, None]
        numbers = [
            own.gather(-1, chosen).squeeze(-1),
            near.gather(-1, chosen).squeeze(-1),
            (near.exp() * (near - own)).sum(-1),
        ]
        grid = own.new_zeros(part.ids.shape)
        return torch.stack([layout.sums(part, grid.index_put((row, column), n)) for n in numbers])

    return statistics


def distributions(model: PreTrainedModel, batch: TokenBatch, checkpointing: bool = False) -> Tensor:
    """Where each policy token was chosen, log pi of the whole vocabulary: [N, V], row by row."""
    reading = read(decoder(model), batch.ids, batch.lengths, checkpointing=checkpointing)
    row, column = batch.policy_mask.nonzero(as_tuple=True)
    # rows that said the same so far share the distribution of what comes next
    places, which = reading.place[row, column - 1].unique(return_inverse=True)
    with mixed_precision(batch.ids.device):
        logits = head_logits(model, reading.flat.index_select(0, places))
    return torch.log_softmax(logits.float(), -1)[which]


@contextmanager
def at_work(reference: Reference, policy: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """The reference as a model: its copy, or the policy without its adapters."""
    if reference.copy is not None:
        yield reference.copy
    else:
        with policy.disable_adapter():  # type: ignore[operator]  # peft's
            yield policy
