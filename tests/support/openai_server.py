"""An OpenAI-compatible server on the loopback address, which can be told to fail first."""

import contextlib
import io
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from agents.protocols import Conversation, Policy
from agents.serve import Handler, PolicyServer
from lmenvs.types import Action

Failure = tuple[int, dict[str, Any] | str, dict[str, str]]
"""(HTTP status, body, headers); status 0 closes the connection, -1 answers only after 5 seconds."""


class Echo:
    """Answers with the last message, and keeps every conversation that it was asked."""

    version = 0

    def __init__(self) -> None:
        self.batches: list[list[Conversation]] = []

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        self.batches.append(list(conversations))
        return [
            Action(f" {one.messages[-1].content}\n", (1, 2, 3), (4, 5)) for one in conversations
        ]

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept under an id."""


class FailingServer(PolicyServer):
    """Plays the listed failures first, one per request; with `keep`, keeps headers and bodies."""

    def __init__(self, policy: Policy, failures: Sequence[Failure] = (), model: str = "tiny"):
        super().__init__(policy, model, handler=_FailingHandler)
        self.failures = list(failures)
        self.keep = False
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.lock = threading.Lock()
        self.stopped = threading.Event()


class _FailingHandler(Handler):
    server: FailingServer  # type: ignore[assignment]  # the only server that makes this handler

    def do_POST(self) -> None:
        with self.server.lock:
            failure = self.server.failures.pop(0) if self.server.failures else None
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.keep:
            self.server.requests.append((dict(self.headers), json.loads(sent)))
        if failure is None:
            connection, self.rfile = self.rfile, io.BytesIO(sent)
            super().do_POST()
            self.rfile = connection  # which may bring the next request
            return
        status, content, headers = failure
        if status <= 0:
            self.server.stopped.wait(5.0 if status < 0 else 0.0)
            self.close_connection = True
            return
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def serving(
    policy: Policy, failures: Sequence[Failure] = (), model: str = "tiny"
) -> Iterator[FailingServer]:
    """A running server; it stops when the block ends."""
    server = FailingServer(policy, failures, model)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
