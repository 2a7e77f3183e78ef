"""The OpenAI format: requests read into questions, actions written as replies. No HTTP, no torch.

Beside the format's own fields two of vLLM's are known: `return_token_ids`, and prompts of ids at
`/v1/completions`, so that a learner trains on exactly what was read and chosen.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmenvs.types import Action, Message

from .serving import Question

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Request:
    """A question, and what its reply has to hold.

    Attributes:
        question: What is asked.
        ids: Whether the reply says which ids were read and chosen.
        logprobs: Whether it says how probable they were.
    """

    question: Question
    ids: bool
    logprobs: bool


def read_chat(body: bytes, model: str) -> Request:
    """A request to `/v1/chat/completions`.

    Args:
        body: What the client sent.
        model: The one that is asked where the request names none.

    Raises:
        ValueError: for what is no request, or asks for what a policy does not do.
    """
    request = read_object(body)
    try:
        given = request["messages"]
        messages = tuple(Message(str(one["role"]), _text(one["content"])) for one in given)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected a JSON object with messages of text, got {error!r}") from error
    if request.get("tools"):
        raise ValueError("tools are not offered; send a request without them")
    unknown = [message.role for message in messages if message.role not in ROLES]
    if not messages or unknown or messages[-1].role != "user":
        raise ValueError(f"expected messages of {', '.join(ROLES)}, a user's at the end")
    if messages[0].role != "system":
        messages = (Message("system", ""), *messages)  # policies find it in the first place
    return _read(request, model, messages, None, logprobs=bool(request.get("logprobs")))


def read_completion(body: bytes, model: str) -> Request:
    """A request to `/v1/completions`: a prompt of token ids.

    Raises:
        ValueError: for what is no request, or asks for what a policy does not do.
    """
    request = read_object(body)
    prompt = request.get("prompt")
    if not isinstance(prompt, list) or not prompt or not all(type(one) is int for one in prompt):
        raise ValueError(
            "expected prompt as a list of token ids, got something else; text belongs to "
            "/v1/chat/completions"
        )
    logprobs = request.get("logprobs")  # a number: 0 asks for those of the chosen tokens
    wanted = logprobs is not None and logprobs is not False
    return _read(request, model, (), tuple(prompt), logprobs=wanted)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a client sent."""
    try:
        request = json.loads(body)
    except ValueError as error:
        raise ValueError(f"expected a JSON object, got {error}") from error
    if not isinstance(request, dict):
        raise ValueError(f"expected a JSON object, got {type(request).__name__}")
    return request


def _read(
    request: Mapping[str, Any],
    model: str,
    messages: tuple[Message, ...],
    prompt_ids: tuple[int, ...] | None,
    *,
    logprobs: bool,
) -> Request:
    if request.get("stream") or request.get("n") not in (None, 1):
        raise ValueError("stream and n are not offered; send a request without them")
    try:
        seed = abs(int(request.get("seed") or 0))
    except (TypeError, ValueError):
        raise ValueError(f"seed={request['seed']!r}; expected a whole number") from None
    name = request.get("model") or model
    question = Question(str(name), messages, seed, read_sampling(request), prompt_ids)
    return Request(question, bool(request.get("return_token_ids")), logprobs)


def read_sampling(request: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Sampling` that a request sets; null leaves one as it is.

    >>> read_sampling({"temperature": 0, "top_p": 1.0, "max_tokens": 7, "stop": ";", "top_k": -1})
    {'temperature': 0.0, 'top_k': None, 'top_p': None, 'max_new_tokens': 7, 'stop': (';',)}

    Raises:
        ValueError: for a value of the wrong kind.
    """
    found: dict[str, Any] = {}
    for name, off in (("temperature", None), ("top_k", -1), ("top_p", 1), ("min_p", 0)):
        value = request.get(name)
        if value is None:
            continue
        kind = int if name == "top_k" else float
        if type(value) not in (int, float) or kind(value) != value:
            raise ValueError(f"{name}={value!r}; expected a number")
        # what leaves everything in is no filter, so that equal settings are equal
        found[name] = None if value == off or (name == "top_k" and value < 1) else kind(value)
    longest = request.get("max_completion_tokens")  # the newer name of max_tokens
    longest = request.get("max_tokens") if longest is None else longest
    if longest is not None:
        if type(longest) is not int:
            raise ValueError(f"max_tokens={longest!r}; expected a whole number")
        found["max_new_tokens"] = longest
    stop = request.get("stop")
    if stop is not None:
        texts = (stop,) if isinstance(stop, str) else stop
        if not isinstance(texts, list | tuple) or not all(isinstance(one, str) for one in texts):
            raise ValueError(f"stop={stop!r}; expected a text or a list of texts")
        found["stop"] = tuple(texts)
    return found


def write_chat(request: Request, action: Action) -> dict[str, Any]:
    """The reply to a request to `/v1/chat/completions`."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": action.text},
        "finish_reason": action.finish,
        "logprobs": None,
    }
    if request.logprobs and action.logprobs:
        pairs = zip(action.token_ids, action.logprobs, strict=True)
        choice["logprobs"] = {
            "content": [
                {"token": f"token_id:{token}", "logprob": logprob, "top_logprobs": []}
                for token, logprob in pairs
            ]
        }
    reply = _reply("chatcmpl", "chat.completion", request, action, choice)
    if request.ids:
        choice["token_ids"] = list(action.token_ids) or None
        reply["prompt_token_ids"] = list(action.prompt_ids) or None
    return reply


def write_completion(request: Request, action: Action) -> dict[str, Any]:
    """The reply to a request to `/v1/completions`."""
    choice: dict[str, Any] = {
        "index": 0,
        "text": action.text,
        "finish_reason": action.finish,
        "logprobs": None,
    }
    if request.logprobs and action.logprobs:
        choice["logprobs"] = {
            "tokens": [f"token_id:{token}" for token in action.token_ids],
            "token_logprobs": list(action.logprobs),
            "top_logprobs": None,
        }
    if request.ids:
        choice["token_ids"] = list(action.token_ids) or None
        choice["prompt_token_ids"] = list(action.prompt_ids) or None
    return _reply("cmpl", "text_completion", request, action, choice)


def _reply(
    prefix: str, kind: str, request: Request, action: Action, choice: dict[str, Any]
) -> dict[str, Any]:
    prompt, sampled = len(action.prompt_ids), len(action.token_ids)
    return {
        "id": f"{prefix}-{time.monotonic_ns()}",
        "object": kind,
        "created": int(time.time()),
        "model": request.question.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": sampled,
            "total_tokens": prompt + sampled,
        },
    }


def _text(content: Any) -> str:
    """Text as it is, or the parts of a content list joined."""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
