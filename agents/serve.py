"""Serve a policy as an OpenAI-compatible endpoint: `python -m agents.serve hf:DIR --port 8000`.

It answers `GET /v1/models` and `POST /v1/chat/completions`: any program that speaks to such an
endpoint can play with a policy of ours, and `openai:MODEL@URL` can be tried without a key. Requests
that wait are answered in one batch. Sampling settings are the policy's own, as its spec gives them
(`hf:DIR?temperature=0`): a request's `temperature` and `max_tokens` change nothing, its `seed`
selects the draw. Streaming and tools are refused. It is for one machine: nobody is authenticated.
"""

import argparse
import itertools
import json
import queue
import threading
import time
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lmenvs.types import Action, Message

from .making import make_policy
from .protocols import Conversation, Policy

MOST_BYTES = 8 << 20  # of one request
ROLES = ("system", "user", "assistant")


class PolicyServer(ThreadingHTTPServer):
    """An HTTP server that answers with a policy; port 0 takes any free port.

    Args:
        policy: What answers.
        model: The name under which it is listed.
        host: The address to listen at.
        port: The port to listen at.
        handler: What reads requests.
    """

    daemon_threads = True

    def __init__(
        self,
        policy: Policy,
        model: str = "policy",
        host: str = "127.0.0.1",
        port: int = 0,
        handler: type[BaseHTTPRequestHandler] | None = None,
    ):
        self.model = model
        self._policy = policy
        self._numbers = itertools.count()
        self._waiting: queue.Queue[tuple[Conversation, Future[Action]] | None] = queue.Queue()
        super().__init__((host, port), handler or Handler)
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    @property
    def url(self) -> str:
        """The base url for clients."""
        return f"http://{self.server_address[0]}:{self.server_address[1]}/v1"

    def ask(self, messages: tuple[Message, ...], seed: int) -> Action:
        """The policy's action; requests that wait meanwhile go into its next batch."""
        answer: Future[Action] = Future()
        name = f"request {next(self._numbers)}"
        self._waiting.put((Conversation(name, messages, (seed,)), answer))
        return answer.result()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                batch.append(following)
            conversations = [conversation for conversation, _ in batch]
            try:
                actions = self._policy.act(conversations)
                self._policy.forget([conversation.id for conversation in conversations])
            except Exception as error:  # handed to the threads that ask, which answer with it
                for _, answer in batch:
                    answer.set_exception(error)
            else:
                for (_, answer), action in zip(batch, actions, strict=True):
                    answer.set_result(action)

    def server_close(self) -> None:
        """Stop listening, and the worker."""
        self._waiting.put(None)
        super().server_close()


class Handler(BaseHTTPRequestHandler):
    """Reads requests and writes answers in the OpenAI format."""

    protocol_version = "HTTP/1.1"
    server: PolicyServer  # type: ignore[assignment]  # the only server that makes this handler

    def do_GET(self) -> None:
        """List the one model."""
        if self.path.rstrip("/") == "/v1/models":
            self.answer(
                200, {"object": "list", "data": [{"id": self.server.model, "object": "model"}]}
            )
        else:
            self.refuse(404, f"no page {self.path}; there are /v1/models and /v1/chat/completions")

    def do_POST(self) -> None:
        """Answer one conversation."""
        stated = self.headers.get("Content-Length") or ""
        length = int(stated) if stated.isdecimal() else 0
        if length > MOST_BYTES:
            self.close_connection = True  # the body stays unread
            self.refuse(413, f"{length} bytes; expected at most {MOST_BYTES}")
            return
        body = self.rfile.read(length)
        if self.path.rstrip("/") != "/v1/chat/completions":
            self.refuse(404, f"no page {self.path}; there are /v1/models and /v1/chat/completions")
            return
        try:
            messages, seed = read_request(body, self.server.model)
        except LookupError as error:
            self.refuse(404, str(error.args[0]))
        except ValueError as error:
            self.refuse(400, str(error))
        else:
            self._complete(messages, seed)

    def _complete(self, messages: tuple[Message, ...], seed: int) -> None:
        try:
            action = self.server.ask(messages, seed)
        except ValueError as error:  # asking again would not help
            self.refuse(400, str(error))
            return
        except Exception as error:  # the policy's failure is the client's to see
            self.refuse(500, f"{type(error).__name__}: {error}")
            return
        if action.finish == "context":
            self.refuse(
                400,
                "the conversation exceeds the maximum context length",
                "context_length_exceeded",
            )
            return
        prompt, sampled = len(action.prompt_ids), len(action.token_ids)
        self.answer(
            200,
            {
                "id": f"chatcmpl-{time.monotonic_ns()}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": self.server.model,
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": action.text},
                        "finish_reason": action.finish,
                    }
                ],
                "usage": {
                    "prompt_tokens": prompt,
                    "completion_tokens": sampled,
                    "total_tokens": prompt + sampled,
                },
            },
        )

    def refuse(self, status: int, message: str, code: str | None = None) -> None:
        """Answer with an error in the OpenAI format."""
        self.answer(status, {"error": {"message": message, "type": "error", "code": code}})

    def answer(self, status: int, content: dict[str, Any]) -> None:
        """Write one JSON answer."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """One line per request would drown what the program itself prints."""


def read_request(body: bytes, model: str) -> tuple[tuple[Message, ...], int]:
    """The messages and the seed of a request.

    Raises:
        LookupError: for another model.
        ValueError: for what is no request, or asks for what a policy does not do.
    """
    try:
        request = json.loads(body)
        given = request["messages"]
        messages = tuple(Message(str(one["role"]), _text(one["content"])) for one in given)
        seed = int(request.get("seed") or 0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected a JSON object with messages of text, got {error!r}") from error
    if request.get("model", model) != model:
        raise LookupError(f"no model {request['model']!r}; this server has {model!r}")
    if request.get("stream") or request.get("tools") or request.get("n", 1) != 1:
        raise ValueError("stream, tools and n are not offered; send a request without them")
    unknown = [message.role for message in messages if message.role not in ROLES]
    if not messages or unknown or messages[-1].role != "user":
        raise ValueError(f"expected messages of {', '.join(ROLES)}, a user's at the end")
    if messages[0].role != "system":
        messages = (Message("system", ""), *messages)  # policies find it in the first place
    return messages, abs(seed)


def _text(content: Any) -> str:
    """Text as it is, or the parts of a content list joined."""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m agents.serve", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("policy", help="the spec of a policy, as make_policy takes it")
    parser.add_argument(
        "--model", help="the name to serve it under; by default the spec without its options"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    try:
        policy = make_policy(options.policy)
        name = options.model or options.policy.partition("?")[0]
        server = PolicyServer(policy, name, options.host, options.port)
    except (ValueError, OSError, ImportError) as error:
        parser.error(str(error))
    print(f"serving {server.model} at {server.url}; Ctrl-C stops it", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("stopped")
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
