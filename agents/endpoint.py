"""An HTTP endpoint in the OpenAI format (extra `api`): requests, retries, and errors in one line.

Requests that fail for a passing reason (429, 5xx, a timeout, a connection that broke) are made
again, later and later. Everything else stops in one line. The key comes from LMENVS_API_KEY, or
else OPENAI_API_KEY; it is in no message, and neither is a login that the address carries.
"""

import os
import threading
from typing import Any

import httpx
import tenacity

from .secrets import masked

DEFAULT_URL = "https://api.openai.com/v1"
LONGEST_WAIT = 60.0  # seconds between two tries, whatever the server asks for


class _Passing(Exception):
    """A failure that may pass; `wait` is what the server asks for, in seconds."""

    def __init__(self, what: str, wait: float | None = None):
        super().__init__(what)
        self.wait = wait


class Endpoint:
    """Where requests go.

    Args:
        base_url: Up to and with `/v1`; by default OPENAI_BASE_URL, or else OpenAI's own.
        timeout: Seconds to wait for one reply.
        tries: How often a request is made before it counts as failed.
        connections: Requests under way at once.
    """

    def __init__(self, base_url: str | None, *, timeout: float, tries: int, connections: int):
        self._url = (base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL).rstrip("/")
        if not self._url.startswith(("http://", "https://")):
            raise ValueError(f"base url {self.shown!r}; expected http://... or https://...")
        self._key = os.environ.get("LMENVS_API_KEY") or os.environ.get("OPENAI_API_KEY")
        self._tries = tries
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            limits=httpx.Limits(max_connections=connections),
        )
        self._answered = False

    def __repr__(self) -> str:
        return f"Endpoint({self.shown!r})"

    @property
    def shown(self) -> str:
        """The address as it may be shown."""
        return masked(self._url)

    def post(
        self, path: str, body: dict[str, Any], given_up: threading.Event | None = None
    ) -> dict[str, Any] | None:
        """The JSON that answers a request; None where it does not fit in the model's window.

        Args:
            path: Behind the base url; one that begins with a slash stands behind its host part,
                where a `/v1` at the end of the base url is left out.
            body: Becomes JSON.
            given_up: Set when nobody waits for the answer any more.

        Raises:
            ConnectionError: where nobody answers at the address, or not within the tries.
            ValueError: where the endpoint refuses (key, model, parameter) or is of another kind.
        """
        response = self._send(path, body, given_up or threading.Event())
        if response is None:
            return None
        try:
            reply = response.json()
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise self.strange(response.text)
        return reply

    def tell(self, path: str, body: dict[str, Any]) -> None:
        """Make a request whose reply says nothing but that it was heard.

        Raises:
            ConnectionError: where nobody answers at the address, or not within the tries.
            ValueError: where the endpoint refuses.
        """
        self._send(path, body, threading.Event())

    def strange(self, reply: object) -> ValueError:
        """The error for a reply that is none."""
        return ValueError(
            f"{self.shown}: expected a chat completion, got {self._clean(str(reply))[:80]!r}; "
            "is it an OpenAI-compatible server, and does the URL end in /v1?"
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _send(
        self, path: str, body: dict[str, Any], given_up: threading.Event
    ) -> httpx.Response | None:
        """The response to a request that is made until it succeeds; None: see `_once`."""
        url = f"{self._url}/{path}"
        if path.startswith("/"):
            url = self._url.removesuffix("/v1") + path
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Passing),
            stop=tenacity.stop_after_attempt(self._tries) | tenacity.stop_when_event_set(given_up),
            wait=_wait,
            sleep=tenacity.sleep_using_event(given_up),
            reraise=True,
        )
        try:
            return retrying(self._once, url, body)
        except _Passing as error:
            raise ConnectionError(
                f"{self.shown}: gave up after {self._tries} tries, the last one: {error}; "
                "try again later, or lower concurrency"
            ) from error

    def _once(self, url: str, body: dict[str, Any]) -> httpx.Response | None:
        """One try; None where the conversation has outgrown the model's window."""
        try:
            address = httpx.URL(url)
            login = (address.username, address.password) if address.userinfo else None
            response = self._client.post(
                address.copy_with(userinfo=b""),  # httpx writes the address into its log
                json=body,
                auth=login or httpx.USE_CLIENT_DEFAULT,
            )
        except httpx.TimeoutException as error:
            raise _Passing(f"no answer in time ({type(error).__name__})") from error
        except httpx.TransportError as error:
            said = self._clean(str(error))
            if self._answered:
                raise _Passing(f"the connection broke ({said})") from error
            raise ConnectionError(
                f"expected an OpenAI-compatible server at {self.shown}, got {said}; "
                "start it or correct the URL"
            ) from error
        except httpx.InvalidURL as error:
            said = self._clean(str(error))
            raise ValueError(f"base url {self.shown!r}: {said}; correct it") from None
        self._answered = True
        status = response.status_code
        if status == 429 or status >= 500:
            raise _Passing(f"HTTP {status} {self._message(response)}", _retry_after(response))
        if status in (400, 413) and _is_too_long(response):
            return None
        if status != 200:
            raise ValueError(f"{self.shown}: {self._refusal(response, body)}")
        return response

    def _refusal(self, response: httpx.Response, body: dict[str, Any]) -> str:
        status, message = response.status_code, self._message(response)
        if status in (401, 403):
            return (
                f"HTTP {status} {message}; set LMENVS_API_KEY or OPENAI_API_KEY to a key it takes"
            )
        if status == 404 and "model" in body:
            return (
                f"HTTP 404 {message}; expected the model {body['model']!r} behind "
                "<base url>/chat/completions: correct the name, or the URL (most end in /v1)"
            )
        return (
            f"HTTP {status} {message}; correct the request (options stand behind '?' in the spec)"
        )

    def _message(self, response: httpx.Response) -> str:
        """What the server says about an error, on one line."""
        try:
            error = response.json()["error"]
            text = error["message"] if isinstance(error, dict) else str(error)
        except (ValueError, KeyError, TypeError):
            text = response.text
        return self._clean(" ".join(text.split()))[:200]

    def _clean(self, text: str) -> str:
        return masked(text, self._key)


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


def _is_too_long(response: httpx.Response) -> bool:
    said = response.text.lower()
    return any(words in said for words in ("context_length", "context length", "context size"))
