"""One optimizer step on what episodes are compared by (torch): sums per turn, then any loss.

A loss that compares episodes is a function of a few numbers of each turn: the sum of its tokens'
log-probabilities, at times of their divergences. They are additive over a batch, so a batch that
needs several passes is read twice: once without a gradient for the sums S, of which the loss gives
the pushes dL/dS; then part by part with one, as sum(dL/dS * S). That is the loss's gradient, by the
chain rule, whatever it compares with what, and no pair has to fit into one pass. A batch of one
part is read once.

DPO lowers the likelihood of what is rejected, and with it that of all that shares its words, the
chosen too. Small models then say what nobody compared. The term of RPO prevents that: `Preference`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from lmenvs.types import Episode

from .. import support
from ..batch import TokenBatch
from ..forward import micro_batches, policy_logprobs
from ..losses import LossOutput
from ..losses.preference import dpo
from ..metrics import update_metrics
from ..reference import Reference
from ..trainer.config import Config, OfflineConfig
from ..trainer.experience import Experience
from ..trainer.learner import Learner
from .pairs import Pair

Statistics = Callable[[TokenBatch], Tensor]
"""A part of a batch -> [..., episode, turn], 0 for the turns of other parts."""
Stepping = Config | OfflineConfig


@dataclass(frozen=True, slots=True)
class Preference:
    """How pairs become a loss: `losses.preference.dpo`."""

    beta: float = 0.1  # smaller lets the policy go further from the reference for a preference
    label_noise: float = 0.0  # the share of pairs that is ordered wrongly, by chance: robust DPO
    sft_weight: float = 0.3  # holds the likelihood of what was chosen up (RPO); 0 is plain DPO,
    # under which small models unlearn what they say (measured: see the file's header)
    per_token: bool = False  # compares means over tokens: long episodes weigh like short ones
    reference: Literal["iteration", "start"] = "iteration"  # the policy before the iteration, or
    # before the run: it then moves no further away than the pairs are worth, in all iterations

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if not self.beta > 0 or not 0 <= self.label_noise < 0.5 or not self.sft_weight >= 0:
            raise ValueError(
                f"beta {self.beta}, label_noise {self.label_noise}, sft_weight {self.sft_weight}; "
                "expected a beta above 0, a share below 0.5 and a weight of at least 0"
            )
        if self.reference not in ("iteration", "start"):
            raise ValueError(f"reference {self.reference!r}; expected 'iteration' or 'start'")


class Layout:
    """Where the turns of a batch's episodes stand in a table [episode, turn].

    Args:
        tokens: The batch; parts of it are laid out in the same table.
        episodes: How many it was made from.
    """

    def __init__(self, tokens: TokenBatch, episodes: int):
        self._episodes = episodes
        self._turns = int((tokens.first_turn + tokens.turn_mask.sum(-1)).max())
        self.counts = self.sums(tokens, tokens.policy_mask.float())

    def sums(self, part: TokenBatch, values: Tensor) -> Tensor:
        """The values [B, L] of the policy tokens, summed over each turn: [episode, turn]."""
        mask = part.policy_mask
        places = (part.episode * self._turns + part.first_turn)[:, None] + part.turn_index
        flat = values.new_zeros(self._episodes * self._turns)
        flat = flat.index_add(0, places[mask], values[mask])
        return flat.view(self._episodes, self._turns)


class Compared:
    """Pairs as indices into a table [episode, turn].

    Args:
        pairs: Of episodes of the table.
        like: The table, or one of its shape on its device.
    """

    def __init__(self, pairs: Sequence[Pair], like: Tensor):
        turns = like.shape[1]
        span = [range(p.first, turns if p.turns is None else p.first + p.turns) for p in pairs]
        self.chosen = torch.tensor([pair.chosen for pair in pairs], device=like.device)
        self.rejected = torch.tensor([pair.rejected for pair in pairs], device=like.device)
        self.span = torch.tensor([[t in own for t in range(turns)] for own in span]).to(like.device)

    def turns(self, table: Tensor) -> tuple[Tensor, Tensor]:
        """The trained turns of the chosen and of the rejected, [pair, turn], 0 elsewhere."""
        table = table.float()
        return table[self.chosen] * self.span, table[self.rejected] * self.span

    def sums(self, table: Tensor) -> tuple[Tensor, Tensor]:
        """Their sums, [pair] each."""
        chosen, rejected = self.turns(table)
        return chosen.sum(1), rejected.sum(1)


def turn_logprobs(model: PreTrainedModel, layout: Layout, config: Stepping) -> Statistics:
    """Of each turn, the log-probability of its action."""

    def read(part: TokenBatch) -> Tensor:
        logprobs, _ = policy_logprobs(
            model, part, entropy="none", checkpointing=config.gradient_checkpointing
        )
        return layout.sums(part, logprobs)

    return read


def step(
    learner: Learner,
    tokens: TokenBatch,
    statistics: Statistics,
    loss_of: Callable[[Tensor], LossOutput],
    config: Stepping,
) -> dict[str, float]:
    """Read the batch, move the policy once along the loss's gradient; the loss and its metrics."""
    parts = [tokens.rows(rows) for rows in micro_batches(tokens, config.micro_tokens)]
    if len(parts) == 1:
        output = loss_of(statistics(parts[0]))
        output.loss.backward()
    else:
        with torch.no_grad():
            sums = torch.stack([statistics(part) for part in parts]).sum(0)
        output = loss_of(sums.requires_grad_())
        (pushes,) = torch.autograd.grad(output.loss, sums)
        for part in parts:
            (pushes * statistics(part)).sum().backward()
    norm = support.optimizer_step(learner.optimizer, learner.trained, config.max_norm)
    return {**output.metrics, "preference": float(output.loss.detach()), "grad_norm": norm}


def dpo_of(
    compared: Compared, reference: Tensor, counts: Tensor, preference: Preference
) -> Callable[[Tensor], LossOutput]:
    """DPO of these pairs, as a function of the policy's table of log-probabilities."""
    lengths = compared.sums(counts) if preference.per_token else (None, None)

    def loss(table: Tensor) -> LossOutput:
        return dpo(
            *compared.sums(table),
            *compared.sums(reference),
            preference.beta,
            label_noise=preference.label_noise,
            sft_weight=preference.sft_weight,
            lengths_chosen=lengths[0],
            lengths_rejected=lengths[1],
        )

    return loss


def update(
    learner: Learner,
    experience: Experience,
    pairs: Sequence[Pair],
    reference: Tensor,
    preference: Preference,
    config: Config,
    generator: np.random.Generator,
) -> dict[str, float]:
    """Some passes of DPO over an iteration's pairs; returns the numbers of `loss/`.

    Args:
        learner: What moves.
        experience: The episodes, read.
        pairs: Of these episodes; where there is none nothing moves.
        reference: [B, L] what the reference says of their tokens.
        preference: The loss.
        config: How many steps.
        generator: Deals the pairs to minibatches.
    """
    tokens = experience.tokens
    layout = Layout(tokens, len(experience.episodes))
    said = layout.sums(tokens, reference)
    history: list[dict[str, float]] = []
    for _ in range(config.epochs if pairs else 0):
        order = generator.permutation(len(pairs))
        for chunk in np.array_split(order, min(config.minibatches, len(pairs))):
            mini = [pairs[number] for number in chunk]
            wanted = torch.tensor([n for pair in mini for n in (pair.chosen, pair.rejected)])
            rows = torch.isin(tokens.episode, wanted.to(tokens.episode.device)).nonzero()[:, 0]
            loss = dpo_of(Compared(mini, said), said, layout.counts, preference)
            read = turn_logprobs(learner.model, layout, config)
            history.append(step(learner, tokens.rows(rows), read, loss, config))
    gaps = [pair.margin for pair in pairs]
    known = {"loss/pairs": len(pairs), "loss/return_gap": float(np.mean(gaps)) if gaps else 0.0}
    return {**update_metrics(history), **known}


def fixed_reference(
    policy: PreTrainedModel, start: str | Path, preference: Preference
) -> Reference | None:
    """Where the run began, if the policy is compared with that; None: with the last iteration."""
    return Reference(policy, start) if preference.reference == "start" else None


def near(fixed: Reference | None, experience: Experience, config: Config) -> Tensor:
    """What the reference says of an iteration's tokens, [B, L]: once, before the first step."""
    if fixed is None:
        return experience.old_logprobs
    return fixed.logprobs(experience.tokens, config.micro_tokens)


def renumbered(pairs: Sequence[Pair]) -> tuple[list[int], list[Pair]]:
    """The numbers that pairs name, each once, and the pairs as places among these."""
    numbers = sorted({number for pair in pairs for number in (pair.chosen, pair.rejected)})
    place = {number: place for place, number in enumerate(numbers)}
    return numbers, [
        replace(pair, chosen=place[pair.chosen], rejected=place[pair.rejected]) for pair in pairs
    ]


def paired(
    episodes: Sequence[Episode], pairs: Sequence[Pair], otherwise: int = 8
) -> tuple[list[Episode], list[Pair]]:
    """The episodes that are in a pair; where there is no pair, the first few, to be looked at."""
    numbers, pairs = renumbered(pairs)
    if not numbers:
        return list(episodes[:otherwise]), []
    return [episodes[number] for number in numbers], pairs


def standing(episodes: Sequence[Episode], pairs: Sequence[Pair]) -> list[np.ndarray]:
    """What the report shows as credit: how often each turn is chosen, less how often rejected."""
    wins_ET = [np.zeros(len(episode.turns)) for episode in episodes]
    for pair in pairs:
        end = None if pair.turns is None else pair.first + pair.turns
        wins_ET[pair.chosen][pair.first : end] += 1.0
        wins_ET[pair.rejected][pair.first : end] -= 1.0
    return wins_ET
