"""Many clients, one policy: requests are answered side by side. No torch, no HTTP.

One thread owns the policies. It takes up what was asked whenever it comes and advances everything
that is under way, so that nobody waits for another one's answer to end. Language models keep the
conversations they answered last: who comes back with a longer prompt finds its beginning stored.
"""

import dataclasses
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from lmenvs.types import Action, Message

from .protocols import Conversation, Policy, StreamingPolicy

KEPT = 64  # answered conversations whose beginnings stay stored
VOICES = 8  # settings of sampling that are kept ready


@runtime_checkable
class Sampled(Protocol):
    """A language model of ours: the same model can answer under other settings."""

    model: Any
    chat: Any
    sampling: Any
    context: int

    def under(self, sampling: Any) -> Policy:
        """The policy under other settings."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks.

    Attributes:
        model: The name of the policy that is to answer.
        messages: The conversation; the last message is a user's.
        seed: Selects the draw.
        sampling: Settings that differ from the policy's own (fields of `Sampling`); policies that
            are no language models of ours have none.
        prompt_ids: The prompt in ids, instead of the messages.
    """

    model: str
    messages: tuple[Message, ...]
    seed: int = 0
    sampling: Mapping[str, Any] = field(default_factory=dict)
    prompt_ids: tuple[int, ...] | None = None


@dataclass(slots=True)
class _Change:
    """Something to do while nothing is under way."""

    run: Callable[[], None]
    done: Future[None]


class _Voice:
    """A policy under one setting, and whom it still owes an answer."""

    def __init__(self, policy: Policy):
        self.policy = policy
        self.owed: dict[str, Future[Action]] = {}
        self._waiting: list[Conversation] = []
        self._kept: deque[str] = deque()

    def take(self, conversation: Conversation, answer: Future[Action]) -> None:
        """Take a conversation up, or refuse it alone."""
        self.owed[conversation.id] = answer
        if not isinstance(self.policy, StreamingPolicy):
            self._waiting.append(conversation)
            return
        try:
            self.policy.submit([conversation])
        except Exception as error:  # handed to the thread that asks, which answers with it
            del self.owed[conversation.id]
            self.policy.forget([conversation.id])
            answer.set_exception(error)

    def advance(self) -> None:
        """Work on all of them; give what is ready to those who wait."""
        try:
            if isinstance(self.policy, StreamingPolicy):
                ready = self.policy.advance()
            else:
                asked, self._waiting = self._waiting, []
                actions = self.policy.act(asked)
                ready = [(one.id, action) for one, action in zip(asked, actions, strict=True)]
        except Exception as error:  # handed to the threads that ask, which answer with it
            owed, self.owed = self.owed, {}
            self.policy.forget([*owed, *self._kept])
            self._kept.clear()
            for answer in owed.values():
                answer.set_exception(error)
            return
        for name, action in ready:
            self._kept.append(name)
            self.owed.pop(name).set_result(action)
        keep = KEPT if isinstance(self.policy, Sampled) else 0
        while len(self._kept) > keep:
            self.policy.forget([self._kept.popleft()])


class Answers:
    """Answers questions from any thread with the policies it is given.

    Args:
        policies: The policies by the names of their models.
    """

    def __init__(self, policies: Mapping[str, Policy]):
        self.policies = dict(policies)
        self._numbers = itertools.count()
        self._inbox: queue.Queue[tuple[Question, Future[Action]] | _Change | None] = queue.Queue()
        self._voices: dict[tuple[str, Any], _Voice] = {}
        self._worker = threading.Thread(target=self._work, name="answers", daemon=True)
        self._worker.start()

    @property
    def waiting(self) -> int:
        """How many questions and changes nobody has taken up yet."""
        return self._inbox.qsize()

    def ask(self, question: Question) -> Action:
        """The policy's action.

        Raises:
            LookupError: for a model that is not served.
            ValueError: for settings or a conversation that the policy refuses.
        """
        answer: Future[Action] = Future()
        self._inbox.put((question, answer))
        return answer.result()

    def change(self, run: Callable[[], None]) -> None:
        """Call a function in the thread that owns the policies, once nothing is under way.

        Everything that policies keep is dropped, so that weights may change. Who asks meanwhile
        waits. What the function raises is raised here.
        """
        done: Future[None] = Future()
        self._inbox.put(_Change(run, done))
        done.result()

    def close(self) -> None:
        """Stop once everything that was asked is answered."""
        self._inbox.put(None)

    def _work(self) -> None:
        open_ = True
        while open_ or self._busy():
            while open_ and not (self._busy() and self._inbox.empty()):
                item = self._inbox.get()
                if item is None:
                    open_ = False
                elif isinstance(item, _Change):
                    while self._busy():
                        self._advance()
                    self._apply(item)
                else:
                    self._take(*item)
            self._advance()

    def _busy(self) -> bool:
        return any(voice.owed for voice in self._voices.values())

    def _advance(self) -> None:
        for voice in list(self._voices.values()):
            if voice.owed:
                voice.advance()

    def _apply(self, change: _Change) -> None:
        self._voices.clear()
        try:
            change.run()
        except Exception as error:  # handed to the thread that asks for the change
            change.done.set_exception(error)
        else:
            change.done.set_result(None)

    def _take(self, question: Question, answer: Future[Action]) -> None:
        try:
            voice = self._voice(question)
        except Exception as error:  # handed to the thread that asks, which answers with it
            answer.set_exception(error)
            return
        voice.take(
            Conversation(
                f"request {next(self._numbers)}",
                question.messages,
                (question.seed,),
                prompt_ids=question.prompt_ids,
            ),
            answer,
        )

    def _voice(self, question: Question) -> _Voice:
        """The policy under the settings that are asked for; the ones used last are kept."""
        policy = self.policies.get(question.model)
        if policy is None:
            names = ", ".join(map(repr, self.policies))
            raise LookupError(f"no model {question.model!r}; this server has {names}")
        settings = None
        if isinstance(policy, Sampled):
            settings = _settings(policy, question)
        elif question.prompt_ids is not None:
            raise ValueError(
                f"{question.model!r} reads messages, not ids; ask /v1/chat/completions"
            )
        voice = self._voices.pop((question.model, settings), None)
        if voice is None:
            if isinstance(policy, Sampled):
                policy = policy.under(settings)
            voice = _Voice(policy)
        self._voices[question.model, settings] = voice
        idle = [key for key, other in self._voices.items() if not other.owed]
        for key in idle[: max(0, len(self._voices) - VOICES)]:
            if self._voices[key] is not voice:
                del self._voices[key]
        return voice


def _settings(policy: Sampled, question: Question) -> Any:
    """The sampling that is asked for, if the question is one that the model can read."""
    words = policy.model.get_input_embeddings().num_embeddings
    if any(not 0 <= one < words for one in question.prompt_ids or ()):
        raise ValueError(f"expected ids from 0 to {words - 1} in the prompt, got others")
    settings = dataclasses.replace(policy.sampling, **question.sampling)
    # no answer is longer than the window, however much memory a client would like to fill
    return dataclasses.replace(
        settings, max_new_tokens=min(settings.max_new_tokens, policy.context)
    )
