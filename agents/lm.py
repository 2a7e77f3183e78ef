"""A causal language model as a policy (torch): batched sampling over conversations that keep their
caches.

Each conversation owns one slot of a key-value store for as long as it lives, so a turn forwards
only what is new: the last sampled token, the new observation, and the tokens of the answer. Sampled
ids are never encoded again. Rows of different lengths share a forward pass: new tokens are padded
on the right and masked by position. Each conversation samples from its own generator, so width and
order change nothing but floating-point ties.
"""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.utils import logging as transformers_logging

from lmenvs.types import Action, Finish

from .chat import Chat
from .making import model_folder
from .protocols import Conversation

# its bars for reading and writing a few megabytes would draw over those of the training
transformers_logging.disable_progress_bar()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn.

    `logprobs` of an action are those of the distribution that was sampled from, filters included.
    """

    temperature: float = 1.0  # 0 takes the most probable token
    top_k: int | None = None  # only the k most probable tokens
    top_p: float | None = None  # only the smallest set of tokens with this much probability
    max_new_tokens: int = 32  # an answer longer than this ends with finish="length"

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"temperature {self.temperature}; expected 0 (greedy) or more")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k {self.top_k}; expected 1 or more, or None")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p {self.top_p}; expected a number in (0, 1], or None")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens {self.max_new_tokens}; expected 1 or more")


class SlotCache(Cache):
    """Keys and values of many conversations, one slot each, written in place at its own length."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._slots = 0
        self._capacity = 0
        self._rows: Tensor | None = None
        self._columns = torch.empty(0)
        self._seen = 0

    def reserve(self, slots: int, capacity: int) -> None:
        """Make room for so many slots of so many tokens; what is stored stays."""
        if slots <= self._slots and capacity <= self._capacity:
            return
        self._slots = max(self._slots, slots)
        if capacity > self._capacity:
            self._capacity = max(64, capacity, self._capacity * 3 // 2)
        self._keys = [self._grown(old) for old in self._keys]
        self._values = [self._grown(old) for old in self._values]

    def _grown(self, old: Tensor) -> Tensor:
        _, heads, _, width = old.shape
        new = old.new_zeros((self._slots, heads, self._capacity, width))
        new[: old.shape[0], :, : old.shape[2]] = old
        return new

    def aim(self, rows: Tensor, columns: Tensor, seen: int) -> None:
        """Say where the next forward pass writes.

        Args:
            rows: [B] the slot of each row.
            columns: [B, Q] the position of each new token within its slot.
            seen: Keys beyond this position are not looked at.
        """
        contiguous = bool((rows == torch.arange(len(rows), device=rows.device)).all())
        self._rows = None if contiguous else rows
        self._index = rows[:, None].expand_as(columns)
        self._columns, self._seen = columns, seen

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of one slot into another (a fork)."""
        for store in (*self._keys, *self._values):
            store[target, :, :length] = store[source, :, :length]

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        *args: object,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor]:
        """Store the new keys and values [B, heads, Q, width]; return all that the rows may attend
        to.
        """
        while len(self._keys) <= layer_idx:
            batch, heads, _, width = key_states.shape
            shape = (max(self._slots, batch), heads, self._capacity, width)
            self._keys.append(key_states.new_zeros(shape))
            self._values.append(value_states.new_zeros((*shape[:3], value_states.shape[-1])))
        stored: list[Tensor] = []
        for store, new in (
            (self._keys[layer_idx], key_states),
            (self._values[layer_idx], value_states),
        ):
            store[self._index, :, self._columns] = new.transpose(1, 2)
            seen = store[:, :, : self._seen]
            stored.append(seen[: key_states.shape[0]] if self._rows is None else seen[self._rows])
        return stored[0], stored[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many key positions the next pass sees."""
        return self._seen

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        """(key positions, offset); the mask is given explicitly, so this only has to agree with
        it.
        """
        return self._seen, 0


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


def draw(logits: Tensor, uniforms: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Inverse-CDF sampling: one uniform number a row picks one token.

    Args:
        logits: [B, vocabulary], float32.
        uniforms: [B] in [0, 1).
        sampling: Temperature and filters.

    Returns:
        token ids [B] and their natural-log probabilities [B] under the filtered distribution.
    """
    if sampling.temperature == 0:
        picks = logits.argmax(-1)
        return picks, torch.zeros(len(picks))
    logprobs = torch.log_softmax(logits / sampling.temperature, -1)
    if sampling.top_k is not None and sampling.top_k < logits.shape[-1]:
        least = logprobs.topk(sampling.top_k, -1).values[:, -1:]
        logprobs = logprobs.masked_fill(logprobs < least, -torch.inf)
    if sampling.top_p is not None and sampling.top_p < 1:
        ordered, order = logprobs.sort(-1, descending=True)
        before = ordered.exp().cumsum(-1) - ordered.exp()
        ordered = ordered.masked_fill(before >= sampling.top_p, -torch.inf)
        logprobs = torch.empty_like(logprobs).scatter(-1, order, ordered)
    logprobs = logprobs - logprobs.logsumexp(-1, keepdim=True)
    # float64: over a large vocabulary the float32 running sum stops short of one
    cumulative = logprobs.double().exp().cumsum(-1)
    target = uniforms.double().unsqueeze(-1) * cumulative[:, -1:]
    picks = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
    picks = picks.clamp(max=logits.shape[-1] - 1)
    return picks, logprobs.gather(-1, picks.unsqueeze(-1)).squeeze(-1)


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


def load_policy(path: str | Path, sampling: Sampling = Sampling()) -> LMPolicy:
    """The policy of a model folder or hub id."""
    model, chat = load_model(path)
    return LMPolicy(model, chat, sampling)
