"""Turns as a critic of utterances meets them: what came before, what was said, what could be said.

`look_at` lays episodes out once, with the actions that the policy would say now; `read` lets a
critic read them, each kind in its own way: tokens in one pass over episode and siblings, or texts,
each different one once (torch).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.encoders import told
from agents.reading import read as read_tokens
from agents.reading import read_masked
from agents.utterance_critics import UtteranceCritic
from lmenvs.types import Episode

from ..batch import TokenBatch
from ..forward import by_length
from .siblings import Siblings, grow


@dataclass(frozen=True, slots=True)
class Texts:
    """Numbers of texts in a list without repeats.

    Attributes:
        tokens: What the critic's encoder reads of each.
        before: [B, T] what was observed before a turn.
        said: [B, T] what was answered.
        behind: [B] what was observed when an episode was cut.
        siblings: [B, N] what the policy would answer now, or None.
    """

    tokens: list[list[int]]
    before: Tensor
    said: Tensor
    behind: Tensor
    siblings: Tensor | None


@dataclass(frozen=True, slots=True)
class Situations:
    """The turns of episodes, as tokens and, for critics that read them, as texts.

    Attributes:
        tokens: The episodes.
        siblings: What the policy would say now at each turn, or None.
        texts: None for critics that read tokens.
    """

    tokens: TokenBatch
    siblings: Siblings | None
    texts: Texts | None

    def __len__(self) -> int:
        return len(self.tokens)

    def rows(self, index: Tensor | np.ndarray) -> "Situations":
        """These rows, cut to their longest sequence and most turns."""
        tokens = self.tokens.rows(index)
        turns = tokens.turn_mask.shape[1]
        siblings = None if self.siblings is None else self.siblings.rows(index, turns)
        texts = self.texts
        if texts is not None:
            branches = turns * (0 if self.siblings is None else self.siblings.count)
            answers = texts.siblings
            texts = replace(
                texts,
                before=texts.before[index, :turns],
                said=texts.said[index, :turns],
                behind=texts.behind[index],
                siblings=None if answers is None else answers[index, :branches],
            )
        return Situations(tokens, siblings, texts)


def look_at(
    tokens: TokenBatch,
    siblings: Siblings | None,
    episodes: Sequence[Episode],
    chat: Chat,
    critic: UtteranceCritic,
) -> Situations:
    """Lay out what the critic will read of a batch and its siblings.

    Args:
        tokens: Made of `episodes`.
        siblings: Of all its rows, or None.
        episodes: What was played.
        chat: Says what sampled ids read as.
        critic: Whether it reads texts, and how much of the past.
    """
    if critic.encoder is None:
        return Situations(tokens, siblings, None)
    numbers: dict[str, int] = {"": 0}

    def number(text: str) -> int:
        return numbers.setdefault(text, len(numbers))

    history = critic.reading.history
    before, said = np.zeros((2, *tokens.turn_mask.shape), np.int64)
    behind = np.zeros(len(tokens), np.int64)
    counts = tokens.turn_mask.sum(-1).tolist()
    rows = zip(tokens.episode.tolist(), tokens.first_turn.tolist(), counts, strict=True)
    for row, (index, first, count) in enumerate(rows):
        one = episodes[index]
        observations = [*(turn.observation for turn in one.turns), one.final_observation]
        actions = [turn.action.text for turn in one.turns]
        for turn in range(first, first + count):
            past = told(one.instructions, observations[: turn + 1], actions[:turn], history)
            before[row, turn - first] = number(past)
            said[row, turn - first] = number(critic.reading.behind(past, actions[turn]))
        if first + count == len(one.turns):
            behind[row] = number(told(one.instructions, observations, actions, history))
    answers = None
    if siblings is not None:
        known = list(numbers)
        answers = _answers(
            siblings,
            chat,
            lambda row, turn, action: number(
                critic.reading.behind(known[before[row, turn]], action)
            ),
        )
        answers = answers.to(tokens.ids.device)
    laid = [torch.from_numpy(grid).to(tokens.ids.device) for grid in (before, said, behind)]
    known = critic.encoder.tokens(list(numbers), chat.tokenizer)
    texts = Texts(known, laid[0], laid[1], laid[2], answers)
    return Situations(tokens, siblings, texts)


def _answers(siblings: Siblings, chat: Chat, number: Callable[[int, int, str], int]) -> Tensor:
    """[B, N] the number of each branch's text, given its row, its turn and what it says."""
    spoken: dict[tuple[int, ...], str] = {}
    grid = np.zeros(siblings.branch_mask.shape, np.int64)
    lengths = siblings.mask.sum(-1).cpu().numpy()
    ids = siblings.token_ids.cpu().numpy()
    for row, branch in zip(*np.nonzero(lengths), strict=True):
        said = tuple(ids[row, branch, : lengths[row, branch]].tolist())
        if said not in spoken:
            spoken[said] = chat.decode(said)
        grid[row, branch] = number(row, branch // siblings.count, spoken[said])
    return torch.from_numpy(grid)


@dataclass(frozen=True, slots=True)
class States:
    """What a critic's heads are given; every state has the critic's width.

    Attributes:
        before: [B, T, width] before each turn.
        said: [B, T, width] behind what was said.
        cut: [B, width] behind the end, where an episode was cut.
        siblings: [B, N, width] behind what could be said, or None.
    """

    before: Tensor
    said: Tensor
    cut: Tensor
    siblings: Tensor | None

    @property
    def before_siblings(self) -> Tensor:
        """[B, N, width] before each of the siblings."""
        assert self.siblings is not None
        return self.before.repeat_interleave(self.siblings.shape[1] // self.before.shape[1], 1)


def read(
    critic: UtteranceCritic,
    policy: PreTrainedModel,
    seen: Situations,
    *,
    siblings: bool = False,
    checkpointing: bool = False,
) -> States:
    """Let a critic read situations.

    Args:
        critic: Which.
        policy: Whose states it reads, where it has no reader of its own: without a gradient.
        seen: What `look_at` has laid out.
        siblings: Whether it reads what could be said, too.
        checkpointing: See `agents.reading.read`.
    """
    if critic.encoder is not None:
        return _read_texts(critic, seen, siblings)
    if critic.decoder is None:
        with torch.no_grad():
            return _read_tokens(critic.stack(policy), seen, siblings, False)
    return _read_tokens(critic.decoder, seen, siblings, checkpointing)


def _read_tokens(stack: nn.Module, seen: Situations, siblings: bool, checkpointing: bool) -> States:
    tokens = seen.tokens
    behind = None
    if siblings:
        assert seen.siblings is not None
        grown = grow(tokens, seen.siblings)
        hidden = read_masked(
            stack, grown.ids, grown.visible, grown.positions, checkpointing=checkpointing
        )
        behind = _at(hidden, grown.last)
    else:
        hidden = read_tokens(stack, tokens.ids, tokens.lengths, checkpointing=checkpointing).rows()
    cut = _at(hidden, tokens.bootstrap[:, None])[:, 0]
    return States(_at(hidden, tokens.before_turn), _at(hidden, tokens.after_turn), cut, behind)


def _at(hidden: Tensor, positions: Tensor) -> Tensor:
    index = positions.clamp(min=0)[..., None].expand(-1, -1, hidden.shape[-1])
    return hidden.gather(1, index).float()


def _read_texts(critic: UtteranceCritic, seen: Situations, siblings: bool) -> States:
    texts = seen.texts
    assert texts is not None and critic.encoder is not None
    grids = [texts.before, texts.said, texts.behind]
    if siblings:
        assert texts.siblings is not None
        grids.append(texts.siblings)
    numbers, places = torch.cat([grid.flatten() for grid in grids]).unique(return_inverse=True)
    vectors = critic.encoder.embed([texts.tokens[i] for i in numbers.tolist()])
    parts = [
        vectors[place].view(*grid.shape, -1)
        for place, grid in zip(places.split([g.numel() for g in grids]), grids, strict=True)
    ]
    return States(parts[0], parts[1], parts[2], parts[3] if siblings else None)


def passes(critic: UtteranceCritic, seen: Situations, tokens: int) -> list[Tensor]:
    """Rows that a critic reads in one pass, of about so many tokens.

    Texts that rows share are read once in a pass, so what is counted is the different ones. Where
    beginnings are read once, what was said behind a text adds little to it.
    """
    texts = seen.texts
    if texts is None:
        # branches make a row longer: each turn's siblings add to its tokens
        return list(by_length(seen.tokens.lengths * 2, tokens))
    assert critic.encoder is not None
    used = [texts.before.flatten()]
    if critic.encoder.looks_ahead or critic.reading.reads == "apart":
        used.append(texts.said.flatten())
    length = sum(len(texts.tokens[i]) for i in torch.cat(used).unique().tolist())
    return list(torch.arange(len(seen)).chunk(min(len(seen), 1 + length // tokens)))
