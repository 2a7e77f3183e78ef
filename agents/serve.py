"""Serve a policy as an OpenAI-compatible endpoint: `python -m agents.serve hf:DIR --port 8000`.

Any program that speaks to such an endpoint can play with a policy of ours, and `openai:MODEL@URL`
can be tried without a key. Many requests are answered side by side (see serving.py).

| page | what it does |
|---|---|
| `GET /v1/models` | lists what is served |
| `POST /v1/chat/completions` | answers messages |
| `POST /v1/completions` | continues a prompt of token ids |
| `POST /v1/load_lora_adapter` | serves the adapter folder `lora_path` as `lora_name` (vLLM's) |
| `POST /v1/unload_lora_adapter` | serves `lora_name` no more (vLLM's) |
| `POST /update_weights_from_disk` | takes on the weights in the folder `model_path` (SGLang's) |
| `POST /sleep`, `POST /wake_up` | drops what is kept of conversations, and goes on (vLLM's) |

A language model samples as its spec says (`hf:DIR?temperature=0`) where a request does not say
otherwise: `temperature`, `top_p`, `top_k`, `min_p`, `stop` (a text or a list), `max_tokens` or
`max_completion_tokens`, and `seed`, which selects the draw. Other policies heed the seed alone.
`logprobs` and vLLM's `return_token_ids` say what was read and chosen. Streaming and tools are
refused. Weights are read from below the folder that `--weights` names, and without it from nowhere;
only safetensors are read. It is for one machine: nobody is authenticated.
"""

import argparse
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .folders import model_folder
from .making import make_policy
from .protocols import Policy
from .secrets import masked
from .serving import Answers, Sampled
from .threads import set_threads
from .wire import Request, read_chat, read_completion, read_object, write_chat, write_completion

MOST_BYTES = 8 << 20  # of one request
PAGES = "/v1/models, /v1/chat/completions, /v1/completions and those of python -m agents.serve -h"


class PolicyServer(ThreadingHTTPServer):
    """An HTTP server that answers with a policy; port 0 takes any free port.

    Args:
        policy: What answers.
        model: The name under which it is listed.
        host: The address to listen at.
        port: The port to listen at.
        handler: What reads requests.
        weights: The folder below which new weights may lie; None takes none.
        base: The folder or hub id that an adapter may name as its base, beside folders below
            `weights`.
    """

    daemon_threads = True
    request_queue_size = 128  # clients that connect at the same moment

    def __init__(
        self,
        policy: Policy,
        model: str = "policy",
        host: str = "127.0.0.1",
        port: int = 0,
        handler: type[BaseHTTPRequestHandler] | None = None,
        weights: str | Path | None = None,
        base: str | None = None,
    ):
        self.model = model
        self._root = None if weights is None else Path(weights).resolve()
        self._base = base
        super().__init__((host, port), handler or Handler)
        self.answers = Answers({model: policy})

    @property
    def url(self) -> str:
        """The base url for clients."""
        return f"http://{self.server_address[0]}:{self.server_address[1]}/v1"

    def load_adapter(self, request: dict[str, Any]) -> None:
        """Serve an adapter under a name of its own, beside what is served already."""
        name, folder = str(request["lora_name"]), str(request["lora_path"])
        if name in self.answers.policies:
            raise ValueError(f"{name!r} is served already; unload it first or take another name")
        self._take_on(name, folder, "adapter_config.json")

    def unload_adapter(self, request: dict[str, Any]) -> None:
        """Serve an adapter no more."""
        name = str(request["lora_name"])
        if name == self.model or name not in self.answers.policies:
            raise LookupError(f"no adapter {name!r}")

        def unload() -> None:
            del self.answers.policies[name]

        self.answers.change(unload)

    def update_weights(self, request: dict[str, Any]) -> None:
        """Answer with other weights from now on."""
        self._take_on(self.model, str(request["model_path"]), "config.json")

    def sleep(self, request: dict[str, Any]) -> None:
        """Drop what is kept of conversations, once those under way are answered."""
        self.answers.change(lambda: None)

    def wake_up(self, request: dict[str, Any]) -> None:
        """Go on: nothing is to be done."""

    def _take_on(self, name: str, folder: str, file: str) -> None:
        policy = self.answers.policies[self.model]
        if not isinstance(policy, Sampled):
            raise ValueError("what is served here is no language model; serve hf:FOLDER")
        path = allowed(folder, self._root, file)
        if file == "adapter_config.json":
            stated = json.loads((path / file).read_text(encoding="utf-8"))
            base = str(stated.get("base_model_name_or_path"))
            known = self._base is not None and _same(base, self._base)
            if not known:
                allowed(base, self._root, "config.json")

        def load() -> None:
            from .lm import load_policy

            self.answers.policies[name] = load_policy(path, policy.sampling)

        self.answers.change(load)

    def server_close(self) -> None:
        """Stop listening, and the thread that answers."""
        self.answers.close()
        super().server_close()


def allowed(folder: str, root: Path | None, file: str) -> Path:
    """The folder, if weights may be read from it.

    Raises:
        PermissionError: where it does not lie below the folder that was named for weights.
        ValueError: where it holds no model, or one that is no safetensors.
    """
    if root is None:
        raise PermissionError(
            "this server takes no weights; start it with --weights FOLDER to let it read them there"
        )
    path = Path(folder).resolve()
    if not path.is_relative_to(root):
        raise PermissionError(f"expected a folder below that of --weights, got {folder!r}")
    if not (path / file).is_file() or not any(path.glob("*.safetensors")):
        raise ValueError(
            f"expected {file} and *.safetensors in {folder!r}, got a folder without; "
            "name one that save_pretrained wrote"
        )
    return path


def _same(one: str, other: str) -> bool:
    return one == other or Path(one).resolve() == Path(other).resolve()


class Handler(BaseHTTPRequestHandler):
    """Reads requests and writes answers in the OpenAI format."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # header and body of a small reply leave at once
    server: PolicyServer  # type: ignore[assignment]  # the only server that makes this handler

    def do_GET(self) -> None:
        """List the models."""
        if self._page() == "/v1/models":
            names = list(self.server.answers.policies)
            models = [{"id": name, "object": "model"} for name in names]
            self.answer(200, {"object": "list", "data": models})
        else:
            self.refuse(404, f"no page {self.path}; there are {PAGES}")

    def do_POST(self) -> None:
        """Answer one conversation, or change what answers."""
        stated = self.headers.get("Content-Length") or ""
        length = int(stated) if stated.isdecimal() else 0
        if length > MOST_BYTES:
            self.close_connection = True  # the body stays unread
            self.refuse(413, f"{length} bytes; expected at most {MOST_BYTES}")
            return
        body = self.rfile.read(length)
        server = self.server
        changes: dict[str, Callable[[dict[str, Any]], None]] = {
            "/v1/load_lora_adapter": server.load_adapter,
            "/v1/unload_lora_adapter": server.unload_adapter,
            "/update_weights_from_disk": server.update_weights,
            "/sleep": server.sleep,
            "/wake_up": server.wake_up,
        }
        page = self._page()
        try:
            if page == "/v1/chat/completions":
                self._complete(read_chat(body, server.model), write_chat)
            elif page == "/v1/completions":
                self._complete(read_completion(body, server.model), write_completion)
            elif page in changes:
                changes[page](read_object(body) if body else {})
                self.answer(200, {"success": True, "message": "done"})
            else:
                self.refuse(404, f"no page {self.path}; there are {PAGES}")
        except KeyError as error:
            self.refuse(400, f"expected the field {error} in the request")
        except LookupError as error:
            self.refuse(404, str(error.args[0]))
        except PermissionError as error:
            self.refuse(403, str(error))
        except ValueError as error:  # asking again would not help
            self.refuse(400, str(error))
        except (BrokenPipeError, ConnectionResetError):  # the client has gone
            self.close_connection = True
        except Exception as error:  # the policy's failure is the client's to see
            self.refuse(500, f"{type(error).__name__}: {error}")

    def _page(self) -> str:
        return self.path.partition("?")[0].rstrip("/")

    def _complete(self, request: Request, write: Callable[[Request, Any], dict[str, Any]]) -> None:
        action = self.server.answers.ask(request.question)
        if action.finish == "context":
            self.refuse(
                400,
                "the conversation exceeds the maximum context length",
                "context_length_exceeded",
            )
            return
        self.answer(200, write(request, action))

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
    parser.add_argument("--weights", help="a folder below which new weights may lie")
    options = parser.parse_args()
    spec = options.policy.partition("?")[0]
    try:
        set_threads()  # before torch is imported
        policy = make_policy(options.policy)
        base = model_folder(spec.removeprefix("hf:")) if spec.startswith("hf:") else None
        name = options.model or masked(spec)
        server = PolicyServer(
            policy, name, options.host, options.port, weights=options.weights, base=base
        )
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
