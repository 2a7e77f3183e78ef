"""A causal language model as a policy (torch): batched sampling over cached conversations.

Each conversation owns one slot of a key-value store for as long as it lives, so a turn forwards
only what is new: the last sampled token, the new observation, and the tokens of the answer. Sampled
ids are never encoded again. Rows of different lengths share a forward pass: new tokens are padded
on the right and masked by position. Each conversation samples from its own generator, so width and
order change nothing but floating-point ties.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from lmenvs.types import Action, Finish

from .cache import SlotCache
from .chat import Chat
from .models import context_of, head_logits, hidden_states, load_model, refuse_unsupported
from .protocols import Conversation
from .sampling import Sampling, draw


@dataclass(slots=True)
class _Slot:
    """What is kept for one conversation."""

    row: int
    length: int = 0  # tokens whose keys and values are stored
    pending: list[int] = field(default_factory=list)  # ids of the sequence that are not stored yet
    answered: int = 0  # how many messages the ids cover
    ids: list[int] = field(default_factory=list)  # the whole sequence, pending included


class LMPolicy:
    """A Hugging Face causal language model that answers conversations.

    Args:
        model: Any causal LM with full attention and a key-value cache.
        chat: The conversation format of its tokenizer.
        sampling: Temperature, filters, answer length.
        version: How many updates the weights have received.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        chat: Chat,
        sampling: Sampling = Sampling(),
        version: int = 0,
    ):
        refuse_unsupported(model)
        self.model, self.chat, self.sampling = model, chat, sampling
        self.version = version
        self.context = context_of(model)
        self.forwarded_tokens = 0
        self._cache = SlotCache()
        self._slots: dict[str, _Slot] = {}
        self._free: list[int] = []

    def forget(self, ids: Iterable[str]) -> None:
        """Free the slots of conversations that are over."""
        for name in ids:
            slot = self._slots.pop(name, None)
            if slot is not None:
                self._free.append(slot.row)

    def reset(self) -> None:
        """Forget everything; needed after the weights have changed."""
        self._cache, self._slots, self._free = SlotCache(), {}, []

    @torch.no_grad()
    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Sample one answer for each conversation."""
        self.model.eval()
        slots: list[_Slot] = []
        prompts: list[tuple[list[int], bool]] = []
        for conversation in conversations:
            slot, new, fresh = self._open(conversation)
            slots.append(slot)
            prompts.append((new, fresh))
        room = [self.context - slot.length - len(slot.pending) for slot in slots]
        ready = [i for i in range(len(slots)) if room[i] >= 1]
        sampled = self._generate(
            [slots[i] for i in ready],
            [conversations[i].seed for i in ready],
            [room[i] for i in ready],
        )
        answers = dict(zip(ready, sampled, strict=True))
        actions: list[Action] = []
        for i, (slot, (new, fresh)) in enumerate(zip(slots, prompts, strict=True)):
            token_ids, logprobs, finish = answers.get(i, ([], [], "context"))
            slot.answered = len(conversations[i].messages) + 1
            text = self.chat.decode(token_ids)
            actions.append(
                Action(text, tuple(new), tuple(token_ids), tuple(logprobs), finish, fresh)
            )
        return actions

    def _open(self, conversation: Conversation) -> tuple[_Slot, list[int], bool]:
        """The conversation's slot with the new prompt ids pending: (slot, new ids, fresh)."""
        messages = conversation.messages
        slot = self._slots.get(conversation.id)
        if slot is None:
            slot = self._fork(conversation) or self._adopt(conversation)
        if slot.answered and slot.answered < len(messages) and slot.ids:
            stopped = slot.ids[-1] == self.chat.stop_id
            new = self.chat.delta(messages, slot.answered - 1, stopped)
            if new is not None:
                slot.pending += new
                slot.ids += new
                return slot, new, False
        new = self.chat.start(messages)
        slot.length, slot.pending, slot.ids = 0, list(new), list(new)
        return slot, new, True

    def _take_row(self) -> int:
        if not self._free:
            return len(self._slots)
        lowest = min(self._free)
        self._free.remove(lowest)
        return lowest

    def _adopt(self, conversation: Conversation) -> _Slot:
        """A new slot; where the messages carry their sampled ids, the sequence is rebuilt from
        those.
        """
        row = self._take_row()
        slot = self._slots[conversation.id] = _Slot(row)
        ids: list[int] = []
        answered = 0
        for index, message in enumerate(conversation.messages):
            if message.action is not None and message.action.token_ids:
                action = message.action
                ids = [] if action.fresh else ids
                ids += [*action.prompt_ids, *action.token_ids]
                answered = index + 1
        slot.ids, slot.pending, slot.answered = list(ids), ids, answered
        return slot

    def _fork(self, conversation: Conversation) -> _Slot | None:
        """A new slot that copies the parent's stored tokens as far as the ids agree."""
        if conversation.parent is None or conversation.parent[0] not in self._slots:
            return None
        parent = self._slots[conversation.parent[0]]
        slot = self._adopt(conversation)
        shared = 0
        stored = parent.ids[: parent.length]
        for mine, theirs in zip(slot.ids, stored, strict=False):
            if mine != theirs:
                break
            shared += 1
        if shared:
            self._cache.reserve(slot.row + 1, 0)
            self._cache.copy(parent.row, slot.row, shared)
            slot.length, slot.pending = shared, slot.ids[shared:]
        return slot

    def _generate(
        self, slots: list[_Slot], seeds: list[tuple[int, ...]], room: list[int]
    ) -> list[tuple[list[int], list[float], Finish]]:
        limit = self.sampling.max_new_tokens
        uniforms = np.array([np.random.default_rng(seed).random(limit) for seed in seeds])
        token_ids: list[list[int]] = [[] for _ in slots]
        logprobs: list[list[float]] = [[] for _ in slots]
        finish: list[Finish] = ["length"] * len(slots)
        active = list(range(len(slots)))
        for step in range(limit):
            if not active:
                break
            logits = self._forward([slots[i] for i in active])
            picks, picked_logprobs = draw(
                logits, torch.from_numpy(uniforms[active, step]), self.sampling
            )
            going: list[int] = []
            for i, token, logprob in zip(
                active, picks.tolist(), picked_logprobs.tolist(), strict=True
            ):
                token_ids[i].append(token)
                logprobs[i].append(logprob)
                slots[i].pending.append(token)
                slots[i].ids.append(token)
                if token == self.chat.stop_id:
                    finish[i] = "stop"
                elif len(token_ids[i]) >= room[i]:
                    finish[i] = "context"
                else:
                    going.append(i)
            active = going
        return list(zip(token_ids, logprobs, finish, strict=True))

    def _forward(self, slots: list[_Slot]) -> Tensor:
        """Store the pending tokens of these slots; the logits [B, vocabulary] behind each one's
        last.
        """
        device = self.model.device
        counts = torch.tensor([len(slot.pending) for slot in slots])
        starts = torch.tensor([slot.length for slot in slots])
        width = int(counts.max())
        ids = torch.full((len(slots), width), self.chat.stop_id, dtype=torch.long)
        for row, slot in enumerate(slots):
            ids[row, : len(slot.pending)] = torch.tensor(slot.pending)
        columns = starts[:, None] + torch.arange(width)
        seen = int(columns.max()) + 1
        self._cache.reserve(1 + max(slot.row for slot in self._slots.values()), seen)
        rows = torch.tensor([slot.row for slot in slots], device=device)
        columns = columns.to(device)
        self._cache.aim(rows, columns, seen)
        visible = (
            torch.arange(seen, device=device)[None, None, None, :] <= columns[:, None, :, None]
        )
        hidden = hidden_states(
            self.model,
            ids.to(device),
            attention_mask=visible,
            # what pads a row near the end of the window has no position of its own
            position_ids=columns.clamp(max=self.context - 1),
            past_key_values=self._cache,
            use_cache=True,
        )
        for slot in slots:
            slot.length += len(slot.pending)
            slot.pending = []
        self.forwarded_tokens += int(counts.sum())
        last = hidden[torch.arange(len(slots), device=device), counts.to(device) - 1]
        return head_logits(self.model, last).float().cpu()


def load_policy(path: str | Path, sampling: Sampling = Sampling()) -> LMPolicy:
    """The policy of a model folder or hub id."""
    model, chat = load_model(path)
    return LMPolicy(model, chat, sampling)
