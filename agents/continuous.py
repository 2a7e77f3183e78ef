"""Transformers' continuous batching as a policy (torch): an engine of paged caches.

It reads prompts of ids and returns the sampled ids with their log-probabilities under the
distribution they were drawn from, so its actions train like those of `agents.lm.LMPolicy`. Where
the two differ:

- Draws come from one generator of torch's for the whole engine, in the order in which its thread
  gets to them: a conversation's seed is not heeded, and neither width nor order leaves an action
  unchanged. While it works it borrows torch's global generator, and gives it back as it was.
- A prompt is found in the cache page by page; what stands in pages that are full is not read
  again, the rest of the last one is. Caches live until `close` or until memory is wanted.
- `stop` texts are looked for from outside, token by token: an answer may cost a few tokens more.

Where it helps: on a GPU with flash attention, for many long conversations of a model with hundreds
of millions of parameters. There its kernels read pages where they lie, and its decoding steps are
graphs. Where it does not: on a CPU. There every pass attends over the caches of all conversations
end to end under one mask, so that its cost grows with their number times their length. On one
thread, with 1.9 million parameters, 32 conversations, about 40 new and 8 sampled tokens a turn, it
sampled 138 tokens a second over 5 turns and 47 over 20, where `LMPolicy` sampled 522 and 522.
"""

import itertools
import queue
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import PreTrainedModel

from lmenvs.types import Action, Finish

from .chat import Chat
from .folders import beside
from .generators import LentGenerators
from .models import decoder, load_model
from .paging import make_manager, start, stop, window_of
from .prompts import Prompt, next_prompt
from .protocols import Conversation
from .sampling import Sampling

if TYPE_CHECKING:
    from transformers.generation.continuous_batching.requests import GenerationOutput


@dataclass(frozen=True, slots=True)
class _Asked:
    """A conversation that the engine is answering."""

    name: str
    prompt: Prompt
    room: int


class ContinuousPolicy:
    """A causal language model that answers through Transformers' continuous batching.

    Args:
        model: Any causal LM that the engine supports; the weights must not change before `close`.
        chat: The conversation format of its tokenizer.
        sampling: Temperature, filters, answer length.
        version: How many updates the weights have received.
        seed: Seeds the engine's generator, together with the version.

    Raises:
        ValueError: for a model that the engine does not serve; in one line.
        ImportError: where Transformers is too old.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        chat: Chat,
        sampling: Sampling = Sampling(),
        version: int = 0,
        seed: int = 0,
    ):
        self.model, self.chat, self.sampling, self.version = model, chat, sampling, version
        self.context = window_of(model)
        before = decoder(model).config._attn_implementation
        self._manager = make_manager(model, chat, sampling, (seed, version), self.context)
        self._numbers = itertools.count()
        self._asked: dict[str, _Asked] = {}
        self._over: list[tuple[str, Action]] = []
        self._generators = LentGenerators(model.device)
        self._close = weakref.finalize(self, stop, self._manager, model, before)

    def under(self, sampling: Sampling) -> "ContinuousPolicy":
        """The same model under other settings."""
        return ContinuousPolicy(self.model, self.chat, sampling, self.version)

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
        known = {asked.name for asked in self._asked.values()}
        for conversation in conversations:
            if conversation.id in known:
                raise ValueError(
                    f"conversation {conversation.id} is being answered; expected one question at "
                    "a time, wait until advance() returns its answer"
                )
            prompt = next_prompt(conversation, self.chat)
            room = self.context - len(prompt.ids)
            if room < 1:
                full = Action("", prompt.new, finish="context", fresh=prompt.fresh)
                self._over.append((conversation.id, full))
                continue
            if not self._asked:
                self._generators.borrow()
                start(self._manager)
            name = str(next(self._numbers))
            self._asked[name] = _Asked(conversation.id, prompt, room)
            self._manager.add_request(
                list(prompt.ids),
                request_id=name,
                max_new_tokens=min(self.sampling.max_new_tokens, room),
                streaming=bool(self.sampling.stop),
                eos_token_id=self.chat.stop_id,
            )

    def advance(self) -> list[tuple[str, Action]]:
        """Wait until something is answered; (conversation id, action) of all that is.

        Raises:
            RuntimeError: where the engine failed; in one line.
        """
        over, self._over = self._over, []
        while self._asked and not over:
            output = self._next(wait=True)
            while output is not None:
                over += self._take(output)
                output = self._next(wait=False)
        if not self._asked:
            self._generators.give_back()
        return over

    def forget(self, ids: Iterable[str]) -> None:
        """Do not answer these any more."""
        gone = set(ids)
        for request, asked in list(self._asked.items()):
            if asked.name in gone:
                del self._asked[request]
                self._manager.cancel_request(request)
        self._over = [(name, action) for name, action in self._over if name not in gone]
        if not self._asked:
            self._generators.give_back()

    def close(self) -> None:
        """Stop the engine and free its caches; the model is then as it was before."""
        self._asked.clear()
        self._generators.give_back()
        self._close()

    def _next(self, *, wait: bool) -> "GenerationOutput | None":
        outputs = self._manager.output_router.output_queue
        while True:
            try:
                return outputs.get(block=wait, timeout=0.5)
            except queue.Empty:
                if not wait:
                    return None
                if not self._manager.is_running():
                    cause = self._manager.background_thread_status.fatal_error
                    reason = " ".join(str(cause).split())[:200]
                    raise RuntimeError(
                        f"Transformers' continuous batching stopped: {reason}; use hf: instead"
                    ) from cause

    def _take(self, output: "GenerationOutput") -> list[tuple[str, Action]]:
        """The answer that an output ends, if it ends one that is still wanted."""
        asked = self._asked.get(output.request_id)
        if asked is None:
            return []
        if output.error is not None:
            reason = " ".join(output.error.split())[:200]
            raise RuntimeError(
                f"Transformers' continuous batching failed: {reason}; use hf: instead"
            )
        ids = list(output.generated_tokens)
        text = self.chat.spoken(ids)
        cut = self.sampling.cut(text)
        if cut is None and not output.is_finished():
            return []
        del self._asked[output.request_id]
        if cut is not None:
            if not output.is_finished():
                self._manager.cancel_request(output.request_id)
            ids = self._until_cut(ids)
        logprobs = output.logprobs[: len(ids)] if self.sampling.temperature else [0.0] * len(ids)
        action = Action(
            text.rstrip() if cut is None else cut,
            asked.prompt.new,
            tuple(ids),
            tuple(logprobs),
            self._finish(ids, asked.room, cut is not None),
            asked.prompt.fresh,
        )
        return [(asked.name, action)]

    def _until_cut(self, ids: list[int]) -> list[int]:
        """The ids up to the one that completed a stop text."""
        for end in range(1, len(ids)):
            if self.sampling.cut(self.chat.spoken(ids[:end])) is not None:
                return ids[:end]
        return ids

    def _finish(self, ids: list[int], room: int, cut: bool) -> Finish:
        if cut or ids[-1:] == [self.chat.stop_id]:
            return "stop"
        return "context" if len(ids) >= room else "length"


def load_policy(
    path: str | Path, sampling: Sampling = Sampling(), seed: int = 0
) -> ContinuousPolicy:
    """The policy of a model folder or hub id.

    Raises:
        ValueError: for a folder whose model plays with more than itself, which would be left out.
    """
    if more := beside(str(path)):
        raise ValueError(
            f"{path}: expected a model that decodes alone, got one with {more}, which "
            "continuous batching does not heed; use hf: instead"
        )
    model, chat = load_model(path)
    return ContinuousPolicy(model, chat, sampling, seed=seed)
