"""A causal language model as a policy (torch): conversations that are sampled side by side.

Each conversation owns one slot of a key-value store for as long as it lives, so a turn forwards
only what is new: the last sampled token, the new observation, and the tokens of the answer. Sampled
ids are never encoded again. One pass serves all conversations wherever they stand, some reading an
observation, others in the middle of an answer; nobody waits for the slowest. What a new
conversation shares with one that is known (a system prompt, the task of its group, the past of its
branch) is copied, not read again. Each conversation samples from its own generator, so width and
order change nothing but floating-point ties.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from lmenvs.types import Action, Finish

from .attention_plan import Row, make_plan
from .cache import SlotCache
from .chat import Chat
from .devices import mixed_precision
from .graphs import Graphs
from .guidance import Guide, load_guide
from .last_block import find_last_block, read_by
from .models import attention_widths, context_of, decoder, load_model, next_logits
from .prefixes import PrefixIndex, common
from .protocols import Conversation
from .proving import prove, refuse_unsupported
from .sampling import Sampling, draw
from .sequences import Answer, Slot, recorded

PASS_TOKENS = 8192  # one forward pass reads about so many at most; more wait for the next


class LMPolicy:
    """A Hugging Face causal language model that answers conversations.

    On CUDA it computes in bfloat16, and passes in which nobody reads are replayed (graphs.py).

    Args:
        model: Any causal LM whose attention is Transformers' attention interface.
        chat: The conversation format of its tokenizer.
        sampling: Temperature, filters, answer length.
        version: How many updates the weights have received.
        guide: Value heads that shift the logits: see guidance.py.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        chat: Chat,
        sampling: Sampling = Sampling(),
        version: int = 0,
        guide: Guide | None = None,
    ):
        refuse_unsupported(model)
        self.model, self.chat, self.sampling = model, chat, sampling
        self.version = version
        self.context = context_of(model)
        self.forwarded_tokens = 0
        self._config = config = decoder(model).config
        self._widths = attention_widths(model)
        self._last_block = find_last_block(decoder(model), int(config.num_hidden_layers))
        self._cache = SlotCache()
        self._graphs: Graphs | None = None
        self._guide, self._shift = guide, None  # what is proven is the model alone
        self.reset()
        prove(model, self._proof)
        self._shift = None if guide is None else guide.shift
        if model.device.type == "cuda":
            self._graphs = Graphs(model, self._cache, guide=guide)
        self.reset()
        self.forwarded_tokens = 0

    def _proof(self, texts: Sequence[Sequence[int]]) -> tuple[Tensor, set[int | None]]:
        """See `proving.prove`."""
        for name, text in enumerate(texts):
            self._slots.setdefault(str(name), Slot(name)).ids = list(text)
        return self._forward(list(self._slots.values())), self._cache.windows

    def under(self, sampling: Sampling) -> "LMPolicy":
        """The same model, guided as this one, under other settings."""
        return LMPolicy(self.model, self.chat, sampling, self.version, self._guide)

    def reset(self) -> None:
        """Forget everything; needed after the weights have changed. The memory is kept."""
        self._slots: dict[str, Slot] = {}
        self._free: list[int] = []
        self._prefixes: PrefixIndex[Slot] = PrefixIndex()
        self._active: list[Slot] = []
        self._over: list[tuple[str, Action]] = []
        if self._graphs is not None:
            self._graphs.reset()

    def forget(self, ids: Iterable[str]) -> None:
        """Free the slots of conversations that are over."""
        gone = set(ids)
        self._over = [(name, action) for name, action in self._over if name not in gone]
        for name in gone:
            slot = self._slots.pop(name, None)
            if slot is not None:
                self._prefixes.remove(slot)
                self._free.append(slot.row)
                slot.stored = 0  # who waits for its tokens reads them alone
                if slot.answer is not None:
                    slot.answer = None
                    self._active.remove(slot)

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Sample one answer for each conversation."""
        self.submit(conversations)
        missing = {conversation.id for conversation in conversations}
        answers, others = dict[str, Action](), dict[str, Action]()
        while missing:
            for name, action in self.advance():
                (answers if name in missing else others)[name] = action
                missing.discard(name)
        self._over += others.items()  # whoever submitted them asks for them
        return [answers[conversation.id] for conversation in conversations]

    def submit(self, conversations: Sequence[Conversation]) -> None:
        """Take these conversations up; `advance` answers them."""
        for conversation in conversations:
            known = self._slots.get(conversation.id)
            if known is not None and known.answer is not None:
                raise ValueError(
                    f"conversation {conversation.id} is being answered; expected one question at "
                    "a time, wait until advance() returns its answer"
                )
            slot, new, fresh = self._open(conversation)
            room = self.context - len(slot.ids)
            if room < 1:
                self._over.append(
                    (conversation.id, Action("", tuple(new), (), (), "context", fresh))
                )
                slot.answered = len(conversation.messages) + 1
                continue
            generator = np.random.default_rng(conversation.seed)
            uniforms = generator.random(self.sampling.max_new_tokens)
            slot.answered = len(conversation.messages) + 1
            slot.answer = Answer(conversation.id, tuple(new), fresh, uniforms, room)
            self._active.append(slot)

    @torch.no_grad()
    def advance(self) -> list[tuple[str, Action]]:
        """One forward pass for all that are being answered; (conversation id, action) of those
        that are done.
        """
        over, self._over = self._over, []
        if not self._active:
            return over
        reading = self._reading()
        logits = self._forward(reading)
        answers = [slot.answer for slot in reading if slot.answer is not None]
        uniforms = np.array([answer.uniforms[len(answer.token_ids)] for answer in answers])
        picks, logprobs = draw(logits, torch.from_numpy(uniforms).to(logits.device), self.sampling)
        picked = zip(reading, answers, picks.tolist(), logprobs.tolist(), strict=True)
        for slot, answer, token, logprob in picked:
            answer.token_ids.append(token)
            answer.logprobs.append(logprob)
            slot.ids.append(token)
            finish = self._finish(answer, token)
            if finish is not None:
                over.append((answer.name, self._action(answer, finish)))
                slot.answer = None
                self._prefixes.add(slot)
        self._active = [slot for slot in self._active if slot.answer is not None]
        return over

    def _finish(self, answer: Answer, token: int) -> Finish | None:
        """Why the answer ends with this token, if it does."""
        if token == self.chat.stop_id:
            return "stop"
        stops = self.sampling.stop
        if stops and self.sampling.cut(self.chat.spoken(answer.token_ids)) is not None:
            return "stop"
        if len(answer.token_ids) >= min(answer.room, len(answer.uniforms)):
            return "context" if len(answer.token_ids) >= answer.room else "length"
        return None

    def _action(self, answer: Answer, finish: Finish) -> Action:
        text = self.chat.spoken(answer.token_ids)
        cut = self.sampling.cut(text)
        said = text.rstrip() if cut is None else cut
        ids, logprobs = tuple(answer.token_ids), tuple(answer.logprobs)
        return Action(said, answer.prompt_ids, ids, logprobs, finish, answer.fresh)

    def _open(self, conversation: Conversation) -> tuple[Slot, list[int], bool]:
        """The conversation's slot with the new prompt ids at its end: (slot, new ids, fresh)."""
        messages = conversation.messages
        slot = self._slots.get(conversation.id)
        known = slot is not None
        if slot is None:
            slot = self._slots[conversation.id] = Slot(self._take_row())
            slot.ids, slot.answered = recorded(conversation)
        if slot.answered and slot.answered < len(messages) and slot.ids:
            stopped = slot.ids[-1] == self.chat.stop_id
            new = self.chat.delta(messages, slot.answered - 1, stopped)
            if new is not None:
                slot.ids += new
                if not known:
                    self._share(slot, conversation)
                return slot, new, False
        new = list(conversation.prompt_ids or self.chat.start(messages))
        self._prefixes.remove(slot)
        slot.stored, slot.ids = 0, list(new)
        self._share(slot, conversation)
        return slot, new, True

    def _share(self, slot: Slot, conversation: Conversation) -> None:
        """Find whose stored tokens this new sequence begins with, and file it for others."""
        source, length = self._prefixes.find(slot.ids)
        parent = self._slots.get(conversation.parent[0]) if conversation.parent else None
        if parent is not None and parent is not slot:
            shared = common(parent.ids, slot.ids)
            if shared > length:
                source, length = parent, shared
        # the last token is read again: what follows is predicted behind it
        length = min(length, len(slot.ids) - 1)
        slot.source = (source, length) if source is not None and length > 0 else None
        self._prefixes.add(slot)

    def _take_row(self) -> int:
        if not self._free:
            return len(self._slots)
        lowest = min(self._free)
        self._free.remove(lowest)
        return lowest

    def _reading(self) -> list[Slot]:
        """Who takes part in the next pass; those whose beginning another one reads now wait."""
        ready: list[Slot] = []
        copies: dict[tuple[int, int], list[int]] = {}
        waiting = {id(slot) for slot in self._active}
        budget = PASS_TOKENS
        for slot in self._active:
            if slot.source is not None:
                source, length = slot.source
                if source.stored < length and id(source) in waiting:
                    continue
                slot.source = None
                length = min(length, source.stored)
                # a prompt that was rebuilt meanwhile may begin otherwise
                if length > slot.stored and source.ids[:length] == slot.ids[:length]:
                    copies.setdefault((source.row, length), []).append(slot.row)
                    slot.stored = length
            budget -= len(slot.ids) - slot.stored
            if budget < 0 and ready:
                break
            ready.append(slot)
        if not ready:  # they wait for each other: each reads its own beginning
            for slot in self._active:
                slot.source = None
            return self._reading()
        self._cache.reserve(1 + max(slot.row for slot in self._slots.values()), 0)
        for (row, length), targets in copies.items():
            self._cache.copy(row, targets, length)
        return ready

    def _forward(self, slots: Sequence[Slot]) -> Tensor:
        """Store these slots' new tokens; the logits [B, vocabulary] behind each one's last."""
        rows = [Row(slot.row, slot.stored, len(slot.ids) - slot.stored) for slot in slots]
        known = 1 + max(slot.row for slot in self._slots.values())
        self._cache.reserve(known, max(row.start + row.new for row in rows))
        if self.model.training:  # eval() walks over all its modules
            self.model.eval()
        logits = None
        if self._graphs is not None:
            logits = self._graphs.logits(rows, [slot.ids[-1] for slot in slots], known)
        if logits is None:
            logits = self._read(rows, slots)
        for slot in slots:
            slot.stored = len(slot.ids)
        self.forwarded_tokens += sum(row.new for row in rows)
        return logits

    def _read(self, rows: Sequence[Row], slots: Sequence[Slot]) -> Tensor:
        """The pass of `_forward`, whatever its shape."""
        device = self.model.device
        plan = make_plan(rows, *self._widths, device, alone=device.type == "cpu")
        ids = [token for i in plan.order for token in slots[i].ids[slots[i].stored :]]
        self._cache.aim(plan)
        with read_by(plan, self._config, self._last_block), mixed_precision(device):
            given = torch.tensor(ids, device=device)
            places, last = plan.positions, plan.last
            logits = next_logits(self.model, given, places, self._cache, last, self._shift)
        return logits.float()


def load_policy(
    path: str | Path, sampling: Sampling = Sampling(), strength: float | None = None
) -> LMPolicy:
    """The policy of a model folder or hub id, guided as `load_guide` says."""
    model, chat = load_model(path)
    return LMPolicy(model, chat, sampling, guide=load_guide(path, model, strength))
