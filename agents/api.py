"""A model behind an OpenAI-compatible endpoint as a policy (extra `api`: httpx, tenacity).

The endpoint sees what the player sees: the messages of the conversation and nothing else. Requests
of one `act` run side by side; those that fail for a passing reason (429, 5xx, a timeout, a
connection that broke) are made again, later and later. Everything else stops in one line.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

import httpx
import numpy as np
import tenacity

from lmenvs.types import Action

from .protocols import Conversation, Usage

DEFAULT_URL = "https://api.openai.com/v1"
LONGEST_WAIT = 60.0  # seconds between two tries, whatever the server asks for


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


class _Passing(Exception):
    """A failure that may pass; `wait` is what the server asks for, in seconds."""

    def __init__(self, what: str, wait: float | None = None):
        super().__init__(what)
        self.wait = wait


class OpenAIPolicy:
    """Answers conversations through `POST <base url>/chat/completions`.

    The key comes from LMENVS_API_KEY, or else OPENAI_API_KEY; without one none is sent. Each
    request carries a `seed` made from the conversation's; servers that support it sample by it.

    Args:
        model: The model's name at the endpoint.
        base_url: Up to and with `/v1`; by default OPENAI_BASE_URL, or else OpenAI's own.
        temperature: None leaves it to the server.
        max_tokens: The longest reply; None leaves it to the server.
        parse: How a reply becomes an action: "reply" (all of it, stripped) or "last-line".
        concurrency: Requests under way at once.
        timeout: Seconds to wait for one reply.
        tries: How often a request is made before it counts as failed.
        extra: Further fields of every request, as the server documents them; null leaves one out.
    """

    version = 0

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        temperature: float | None = 1.0,
        max_tokens: int | None = 256,
        parse: str = "reply",
        concurrency: int = 16,
        timeout: float = 120.0,
        tries: int = 6,
        extra: dict[str, Any] | None = None,
    ):
        if parse not in PARSERS:
            raise ValueError(f"parse={parse!r}; expected one of {', '.join(PARSERS)}")
        if concurrency < 1 or tries < 1:
            raise ValueError(
                f"concurrency={concurrency}, tries={tries}; expected at least 1 of each"
            )
        self.base_url = (base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL).rstrip("/")
        if not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"base url {self.base_url!r}; expected http://... or https://...")
        self.model = model
        self._settings = {
            "temperature": temperature,
            "max_tokens": max_tokens,
            **(extra or {}),
        }
        self._parse = PARSERS[parse]
        self._concurrency, self._tries = concurrency, tries
        key = os.environ.get("LMENVS_API_KEY") or os.environ.get("OPENAI_API_KEY")
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            limits=httpx.Limits(max_connections=concurrency),
        )
        self._lock = threading.Lock()
        self._usage = Usage()
        self._answered = False

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
        try:
            replies = [pool.submit(self._answer, one, given_up) for one in conversations]
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
        self._client.close()

    def _answer(self, conversation: Conversation, given_up: threading.Event) -> Action:
        generator = np.random.default_rng(conversation.seed)
        body = {
            "model": self.model,
            "messages": [
                {"role": message.role, "content": message.content}
                for message in conversation.messages
            ],
            "seed": int(generator.integers(2**31)),
            **self._settings,
        }
        body = {name: value for name, value in body.items() if value is not None}
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Passing),
            stop=tenacity.stop_after_attempt(self._tries) | tenacity.stop_when_event_set(given_up),
            wait=_wait,
            sleep=tenacity.sleep_using_event(given_up),
            reraise=True,
        )
        try:
            response = retrying(self._post, body)
        except _Passing as error:
            raise ConnectionError(
                f"{self.base_url}: gave up after {self._tries} tries, the last one: {error}; "
                "try again later, or lower concurrency"
            ) from error
        if response is None:
            return Action("", finish="context")
        return self._read(response)

    def _post(self, body: dict[str, Any]) -> httpx.Response | None:
        """One try; None where the conversation has outgrown the model's window."""
        try:
            response = self._client.post(f"{self.base_url}/chat/completions", json=body)
        except httpx.TimeoutException as error:
            raise _Passing(f"no answer in time ({type(error).__name__})") from error
        except httpx.TransportError as error:
            if self._answered:
                raise _Passing(f"the connection broke ({error})") from error
            raise ConnectionError(
                f"expected an OpenAI-compatible server at {self.base_url}, got {error}; "
                "start it or correct the URL"
            ) from error
        except httpx.InvalidURL as error:
            raise ValueError(f"base url {self.base_url!r}: {error}; correct it") from error
        self._answered = True
        status = response.status_code
        if status == 429 or status >= 500:
            raise _Passing(f"HTTP {status} {_message(response)}", _retry_after(response))
        if status in (400, 413) and _is_too_long(response):
            return None
        if status != 200:
            raise ValueError(f"{self.base_url}: {self._refusal(response)}")
        return response

    def _refusal(self, response: httpx.Response) -> str:
        status, message = response.status_code, _message(response)
        if status in (401, 403):
            return (
                f"HTTP {status} {message}; set LMENVS_API_KEY or OPENAI_API_KEY to a key it takes"
            )
        if status == 404:
            return (
                f"HTTP 404 {message}; expected the model {self.model!r} behind "
                "<base url>/chat/completions: correct the name, or the URL (most end in /v1)"
            )
        return (
            f"HTTP {status} {message}; correct the request (options stand behind '?' in the spec)"
        )

    def _read(self, response: httpx.Response) -> Action:
        try:
            reply = response.json()
            choice = reply["choices"][0]
            action = self._parse(choice["message"]["content"] or "")  # null: it said nothing
            usage = reply.get("usage") or {}
            counted = (int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{self.base_url}: expected a chat completion, got {response.text[:80]!r}; "
                "is it an OpenAI-compatible server, and does the URL end in /v1?"
            ) from error
        with self._lock:
            self._usage = Usage(
                self._usage.requests + 1,
                self._usage.prompt_tokens + counted[0],
                self._usage.completion_tokens + counted[1],
            )
        finish = "length" if choice.get("finish_reason") == "length" else "stop"
        return Action(action, finish=finish)


def _wait(state: tenacity.RetryCallState) -> float:
    """Half a second, doubled at each try, with jitter; or what the server asks for."""
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _Passing) and error.wait is not None:
        return min(error.wait, LONGEST_WAIT)
    return tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)(state)


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):  # none, or a date
        return None


def _message(response: httpx.Response) -> str:
    """What the server says about an error, on one line."""
    try:
        error = response.json()["error"]
        text = error["message"] if isinstance(error, dict) else str(error)
    except (ValueError, KeyError, TypeError):
        text = response.text
    return " ".join(text.split())[:200]


def _is_too_long(response: httpx.Response) -> bool:
    said = response.text.lower()
    return any(words in said for words in ("context_length", "context length", "context size"))
