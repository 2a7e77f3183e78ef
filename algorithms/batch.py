"""Episodes become tensors here and nowhere else (torch): one masked token sequence per episode.

The ids a sampler was given and chose are laid end to end; only the tokens the policy chose are
policy tokens. An episode whose prompt was rebuilt on the way (`Action.fresh`) becomes the fewest
sequences whose prompts are prefixes; every policy token stands in exactly one of them. On
truncation the final observation follows, masked, so that a bootstrap value can be read behind it.

Rows are padded on the right and need no attention mask: under causal attention nothing before the
padding can see it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.chat import Chat
from lmenvs.types import Episode


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Token sequences with what training needs to know about each position.

    Attributes:
        ids: [B, L] token ids, padded on the right with 0.
        lengths: [B] tokens in each row.
        policy_mask: [B, L] True where the policy chose the token.
        turn_index: [B, L] the turn (within the row) a policy token belongs to; -1 elsewhere.
        before_turn: [B, T] the position that predicts a turn's first policy token; 0 where no turn
            is.
        after_turn: [B, T] the position of a turn's last policy token; 0 where no turn is.
        turn_mask: [B, T] True where the row has that turn.
        bootstrap: [B] the position behind which the rest of a truncated episode lies; -1 if
            terminated.
        episode: [B] index of the row's episode in the list the batch was made from.
        first_turn: [B] which turn of its episode is the row's first.
    """

    ids: Tensor
    lengths: Tensor
    policy_mask: Tensor
    turn_index: Tensor
    before_turn: Tensor
    after_turn: Tensor
    turn_mask: Tensor
    bootstrap: Tensor
    episode: Tensor
    first_turn: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def policy_tokens(self) -> int:
        """How many tokens the policy chose."""
        return int(self.policy_mask.sum())

    @property
    def follows(self) -> Tensor:
        """[B, L] True on every token that another one comes before."""
        columns = torch.arange(self.ids.shape[1], device=self.ids.device)
        return (columns > 0) & (columns < self.lengths[:, None])

    def rows(self, index: Tensor | NDArray[np.int64] | Sequence[int]) -> "TokenBatch":
        """These rows, cut to their longest sequence and most turns."""
        chosen = torch.as_tensor(index, dtype=torch.long)
        length = int(self.lengths[chosen].max())
        turns = max(1, int(self.turn_mask[chosen].sum(-1).max()))
        widths = {"ids": length, "policy_mask": length, "turn_index": length}
        widths |= {"before_turn": turns, "after_turn": turns, "turn_mask": turns}
        picked = {f.name: getattr(self, f.name)[chosen] for f in fields(self)}
        return replace(
            self,
            **{
                name: value[:, : widths[name]] if name in widths else value
                for name, value in picked.items()
            },
        )

    def to(self, device: torch.device) -> "TokenBatch":
        """The same batch on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def spread(self, values_T: Sequence[np.ndarray]) -> Tensor:
        """Give each policy token the number of its turn: one array per episode -> [B, L] float32.

        Raises:
            ValueError: if an episode has not one number per turn.
        """
        grid = self.turn_grid(values_T)
        index = self.turn_index.clamp(min=0)
        return torch.where(self.policy_mask, grid.gather(1, index), 0.0)

    def token_grid(self, values_ETL: Sequence[Sequence[np.ndarray]]) -> Tensor:
        """Lay per-token numbers out as [B, L] float32, zero off the policy tokens: one list per
        episode, of one array per turn.

        Raises:
            ValueError: if a row has not one number per policy token.
        """
        grid = np.zeros(tuple(self.ids.shape), np.float32)
        mask = self.policy_mask.cpu().numpy()
        turns = self._turn_counts()
        for row, (episode, first) in enumerate(
            zip(self.episode.tolist(), self.first_turn.tolist(), strict=True)
        ):
            own_TL = values_ETL[episode][first : first + turns[row]]
            numbers = np.concatenate([np.zeros(0), *own_TL])
            if len(numbers) != mask[row].sum():
                raise ValueError(
                    f"episode {episode} of the batch: {len(numbers)} numbers for "
                    f"{mask[row].sum()} policy tokens; credit must return one per token"
                )
            grid[row, mask[row]] = numbers
        return torch.from_numpy(grid).to(self.ids.device)

    def by_token(self, grid: Tensor, episodes: int) -> list[list[np.ndarray]]:
        """The inverse of `token_grid`: numbers [B, L] -> one list per episode, of one array per
        turn.
        """
        values_ETL: list[list[np.ndarray]] = [[] for _ in range(episodes)]
        numbers = grid.detach().cpu().float().numpy()
        mask, index = self.policy_mask.cpu().numpy(), self.turn_index.cpu().numpy()
        owners, counts, order = self.episode.tolist(), self._turn_counts(), self._in_order()
        for row in (row for row in order if counts[row]):
            tokens = np.bincount(index[row, mask[row]], minlength=counts[row])
            own = numbers[row, mask[row]]
            values_ETL[owners[row]] += np.split(own, np.cumsum(tokens)[:-1])
        return values_ETL

    def _turn_counts(self) -> list[int]:
        return self.turn_mask.sum(-1).tolist()

    def _in_order(self) -> list[int]:
        """The rows, each episode's in the order of its turns."""
        firsts = self.first_turn.tolist()
        return sorted(range(len(self)), key=firsts.__getitem__)

    def turn_grid(self, values_T: Sequence[np.ndarray]) -> Tensor:
        """Lay per-turn numbers, one array per episode, out as [B, T] float32, zero where no turn
        is.
        """
        grid = np.zeros(tuple(self.turn_mask.shape), np.float32)
        known = [np.asarray(one_T, dtype=np.float32) for one_T in values_T]
        places = zip(
            self.episode.tolist(), self.first_turn.tolist(), self._turn_counts(), strict=True
        )
        for row, (episode, first, count) in enumerate(places):
            numbers = known[episode]
            if first + count > len(numbers):
                raise ValueError(
                    f"episode {episode} of the batch: {len(numbers)} numbers for at least "
                    f"{first + count} turns; credit must return one per turn"
                )
            grid[row, :count] = numbers[first : first + count]
        return torch.from_numpy(grid).to(self.ids.device)

    def by_episode(self, grid: Tensor, episodes: int) -> list[np.ndarray]:
        """The inverse of `turn_grid`: numbers [B, T] -> one array per episode."""
        parts: list[list[np.ndarray]] = [[] for _ in range(episodes)]
        owners, counts = self.episode.tolist(), self._turn_counts()
        numbers = grid.detach().cpu().float().numpy()
        for row in self._in_order():
            parts[owners[row]].append(numbers[row, : counts[row]])
        return [np.concatenate(part) if part else np.zeros(0, np.float32) for part in parts]


@dataclass(slots=True)
class _Row:
    episode: int
    first_turn: int
    ids: list[int]
    spans: list[tuple[int, int]]  # [start, end) of each turn's policy tokens
    bootstrap: int = -1


def make_batch(episodes: Sequence[Episode], chat: Chat) -> TokenBatch:
    """One masked sequence per episode (more where prompts were rebuilt; one without a turn where
    the value of a truncated episode is read behind a rebuilt prompt).

    Args:
        episodes: Sampled ones keep their ids; text-only demonstrations are encoded by `chat`.
        chat: The conversation format of the model that will read the batch.

    Raises:
        ValueError: if there is no episode with a turn, or one that the model cannot read whole.
    """
    rows: list[_Row] = []
    for index, episode in enumerate(episodes):
        if episode.turns:
            rows += _lay_out(index, chat.encode_episode(episode), chat)
    if not rows:
        raise ValueError("no episode with a turn to train on; collect episodes first")
    return _pad(rows)


def _lay_out(index: int, episode: Episode, chat: Chat) -> list[_Row]:
    rows: list[_Row] = []
    for number, turn in enumerate(episode.turns):
        action = turn.action
        if action.fresh or not rows:
            rows.append(_Row(index, number, [], []))
        row = rows[-1]
        row.ids += action.prompt_ids
        row.spans.append((len(row.ids), len(row.ids) + len(action.token_ids)))
        row.ids += action.token_ids
    for row in rows:
        if chat.context is not None and len(row.ids) > chat.context:
            raise ValueError(
                f"episode {episode.id}: {len(row.ids)} tokens, but the model reads {chat.context}; "
                "leave the episode out, shorten it with max_turns or take a model that reads more"
            )
    if episode.truncated:
        following = chat.final_ids(episode)
        if following is None:  # the prompt would be rebuilt: a row of its own, without a turn
            rows.append(_Row(index, len(episode.turns), chat.final_prompt(episode), []))
            following = []
        # behind a full window the value is read at the last token that fits
        rows[-1].ids = (rows[-1].ids + following)[: chat.context]
        rows[-1].bootstrap = len(rows[-1].ids) - 1
    return rows


def _pad(rows: list[_Row]) -> TokenBatch:
    length = max(len(row.ids) for row in rows)
    turns = max(1, *(len(row.spans) for row in rows))
    ids = np.zeros((len(rows), length), np.int64)
    policy_mask = np.zeros((len(rows), length), bool)
    turn_index = np.full((len(rows), length), -1, np.int64)
    before_turn, after_turn = np.zeros((2, len(rows), turns), np.int64)
    turn_mask = np.zeros((len(rows), turns), bool)
    for b, row in enumerate(rows):
        ids[b, : len(row.ids)] = row.ids
        for t, (start, end) in enumerate(row.spans):
            policy_mask[b, start:end] = True
            turn_index[b, start:end] = t
            before_turn[b, t], after_turn[b, t] = start - 1, max(end - 1, 0)
            turn_mask[b, t] = True
    return TokenBatch(
        ids=torch.from_numpy(ids),
        lengths=torch.tensor([len(row.ids) for row in rows]),
        policy_mask=torch.from_numpy(policy_mask),
        turn_index=torch.from_numpy(turn_index),
        before_turn=torch.from_numpy(before_turn),
        after_turn=torch.from_numpy(after_turn),
        turn_mask=torch.from_numpy(turn_mask),
        bootstrap=torch.tensor([row.bootstrap for row in rows]),
        episode=torch.tensor([row.episode for row in rows]),
        first_turn=torch.tensor([row.first_turn for row in rows]),
    )
