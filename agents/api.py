"""A model behind an OpenAI-compatible endpoint as a policy (extra `api`: httpx, tenacity).

The endpoint sees what the player sees: the messages of the conversation and nothing else. Requests
of one `act` run side by side (see endpoint.py for what happens when one fails).

Three ways to ask, from the plainest to the one that training needs:

- messages in, text out: every endpoint. Its actions are text, for evaluation only.
- `tokens=True`: messages in, text and ids out. Endpoints that know vLLM's `return_token_ids` (vLLM
  from 0.10.2, our agents/serve.py) say what the model read and chose; where one does not, the
  action stays text.
- with a `chat`: ids in, ids out, through `POST <base url>/completions`. The prompt is the last
  prompt, the ids that were sampled and the ids of what is new, never text encoded again. An
  endpoint that returns no ids is refused. This is how trainers ask (`agents.making.open_engine`).

Log-probabilities are the server's: vLLM returns those of the plain softmax unless it was started
with `--logprobs-mode processed_logprobs`. At temperature 1 without filters the two are the same.
"""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import numpy as np

from lmenvs.types import Action, Finish

from .endpoint import Endpoint
from .prompts import Prompt, extension, next_prompt
from .protocols import Conversation, Usage

if TYPE_CHECKING:
    from .chat import Chat


def whole_reply(text: str) -> str:
    """The reply without the white space around it is the action.

    >>> whole_reply(" go east ")
    'go east'
    """
    return text.strip()


def last_line(text: str) -> str:
    """The last line that is not blank is the action, for models that think before it.

    >>> last_line("The coin must be east. go east")
    'The coin must be east. go east'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


PARSERS: dict[str, Callable[[str], str]] = {"reply": whole_reply, "last-line": last_line}


class OpenAIPolicy:
    """Answers conversations through an OpenAI-compatible endpoint.

    The key comes from LMENVS_API_KEY, or else OPENAI_API_KEY; without one none is sent. Each
    request carries a `seed` made from the conversation's; servers that support it sample by it.

    Args:
        model: The model's name at the endpoint.
        base_url: Up to and with `/v1`; by default OPENAI_BASE_URL, or else OpenAI's own.
        temperature: None leaves it to the server, as it does for what follows.
        max_tokens: The longest reply.
        top_p: Nucleus sampling.
        top_k: Only the k most probable tokens; vLLM's, OpenAI's own servers refuse it.
        min_p: Only tokens at least this share as probable as the most probable; vLLM's, too.
        stop: The texts before which a reply ends.
        parse: How a reply becomes an action: "reply" (all of it, stripped) or "last-line".
        concurrency: Requests under way at once.
        timeout: Seconds to wait for one reply.
        tries: How often a request is made before it counts as failed.
        extra: Further fields of every request, as the server documents them; null leaves one out.
        tokens: Ask for ids and log-probabilities.
        chat: The conversation format of the model that is served: prompts are sent as ids.
        version: How many updates the served weights have received.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        temperature: float | None = 1.0,
        max_tokens: int | None = 256,
        top_p: float | None = None,
        top_k: int | None = None,
        min_p: float | None = None,
        stop: str | Sequence[str] | None = None,
        parse: str = "reply",
        concurrency: int = 16,
        timeout: float = 120.0,
        tries: int = 6,
        extra: dict[str, Any] | None = None,
        tokens: bool = False,
        chat: "Chat | None" = None,
        version: int = 0,
    ):
        if parse not in PARSERS:
            raise ValueError(f"parse={parse!r}; expected one of {', '.join(PARSERS)}")
        if concurrency < 1 or tries < 1:
            raise ValueError(
                f"concurrency={concurrency}, tries={tries}; expected at least 1 of each"
            )
        self.endpoint = Endpoint(base_url, timeout=timeout, tries=tries, connections=concurrency)
        self.model, self.version = model, version
        self._stop = () if stop is None else (stop,) if isinstance(stop, str) else tuple(stop)
        self._settings: dict[str, Any] = {
            "temperature": temperature,
            "max_tokens": max_tokens,
            "top_p": top_p,
            "top_k": top_k,
            "min_p": min_p,
            "stop": list(self._stop) or None,
            **(extra or {}),
        }
        self._parse = PARSERS[parse]
        self._concurrency = concurrency
        self._tokens, self._chat = tokens, chat
        self._lock = threading.Lock()
        self._usage = Usage()

    def __repr__(self) -> str:
        return f"OpenAIPolicy({self.model!r}, {self.endpoint.shown!r})"

    @property
    def usage(self) -> Usage:
        """What the endpoint has counted since this policy was made."""
        with self._lock:
            return self._usage

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """One reply for each conversation, in order.

        Raises:
            ConnectionError: where nobody answers at the address, or not within the tries.
            ValueError: where the endpoint refuses (key, model, parameter) or is of another kind.
        """
        pool = ThreadPoolExecutor(min(self._concurrency, max(1, len(conversations))))
        given_up = threading.Event()
        answer = self._answer if self._chat is None else self._complete
        try:
            replies = [pool.submit(answer, one, given_up) for one in conversations]
            over, _ = wait(replies, return_when=FIRST_EXCEPTION)
            for reply in over:
                reply.result()  # raises what the first failure raised, without waiting for others
            return [reply.result() for reply in replies]
        finally:
            # after a failure or Ctrl-C the requests that wait must not be made any more
            given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept: every request carries its whole conversation."""

    def close(self) -> None:
        """Close the connections."""
        self.endpoint.close()

    def _answer(self, conversation: Conversation, given_up: threading.Event) -> Action:
        """Messages in, text out; ids too where they are asked for and given."""
        body = self._body(
            conversation,
            messages=[
                {"role": message.role, "content": message.content}
                for message in conversation.messages
            ],
        )
        if self._tokens:
            body = {"logprobs": True, "return_token_ids": True, **body}
        reply = self.endpoint.post("chat/completions", body, given_up)
        if reply is None:
            return Action("", finish="context")
        try:
            choice = reply["choices"][0]
            text = self._parse(choice["message"]["content"] or "")  # null: it said nothing
            token_ids = _ids(choice.get("token_ids")) if self._tokens else ()
            whole = _ids(reply.get("prompt_token_ids")) if self._tokens else ()
            content = (choice.get("logprobs") or {}).get("content") or ()
            logprobs = tuple(float(one["logprob"]) for one in content) if self._tokens else ()
            self._count(reply)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise self.endpoint.strange(json.dumps(reply)) from error
        finish: Finish = "length" if choice.get("finish_reason") == "length" else "stop"
        if not token_ids or not whole:
            return Action(text, finish=finish)
        prompt = extension(conversation, whole)
        return _action(text, prompt, token_ids, logprobs, finish)

    def _complete(self, conversation: Conversation, given_up: threading.Event) -> Action:
        """Ids in, ids out."""
        chat = self._chat
        assert chat is not None
        prompt = next_prompt(conversation, chat)
        full = Action("", prompt.new, finish="context", fresh=prompt.fresh)
        room = chat.context - len(prompt.ids) if chat.context is not None else None
        if room is not None and room < 1:
            return full
        body = self._body(conversation, prompt=list(prompt.ids))
        if room is not None and (body.get("max_tokens") or room) >= room:
            body["max_tokens"] = room
        body |= {"logprobs": 0, "return_token_ids": True, "stop_token_ids": [chat.stop_id]}
        reply = self.endpoint.post("completions", body, given_up)
        if reply is None:
            return full
        try:
            choice = reply["choices"][0]
            token_ids = _ids(choice.get("token_ids"))
            logprobs = (choice.get("logprobs") or {}).get("token_logprobs") or ()
            logprobs = tuple(float(one) for one in logprobs)
            self._count(reply)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise self.endpoint.strange(json.dumps(reply)) from error
        if not token_ids:
            raise ValueError(
                f"{self.endpoint.shown}: expected the ids of the tokens (choices[0].token_ids), "
                "got none, so nothing could be trained on; use an engine that knows "
                'return_token_ids (vLLM, python -m agents.serve) or engine="" (in this process)'
            )
        finish: Finish = "length" if choice.get("finish_reason") == "length" else "stop"
        if finish == "length" and room is not None and len(token_ids) >= room:
            finish = "context"
        text = self._cut(chat.decode(token_ids))
        return _action(self._parse(text), prompt, token_ids, logprobs, finish)

    def _body(self, conversation: Conversation, **asked: Any) -> dict[str, Any]:
        generator = np.random.default_rng(conversation.seed)
        seed = int(generator.integers(2**31))
        body = {"model": self.model, **asked, "seed": seed, **self._settings}
        return {name: value for name, value in body.items() if value is not None}

    def _cut(self, text: str) -> str:
        """What stands before the first stop text."""
        places = [text.find(stop) for stop in self._stop]
        return text[: min((place for place in places if place >= 0), default=len(text))]

    def _count(self, reply: dict[str, Any]) -> None:
        usage = reply.get("usage") or {}
        counted = (int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)))
        with self._lock:
            self._usage = Usage(
                self._usage.requests + 1,
                self._usage.prompt_tokens + counted[0],
                self._usage.completion_tokens + counted[1],
            )


def _ids(given: Any) -> tuple[int, ...]:
    return tuple(int(one) for one in given or ())


def _action(
    text: str,
    prompt: Prompt,
    token_ids: tuple[int, ...],
    logprobs: tuple[float, ...],
    finish: Finish,
) -> Action:
    # a server that leaves some out (of the stop token, say) gives none that can be used
    logprobs = logprobs if len(logprobs) == len(token_ids) else ()
    return Action(text, prompt.new, token_ids, logprobs, finish, prompt.fresh)
