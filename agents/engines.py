"""Training with an engine of another process (extra `api`): it gets the weights, it gives actions.

The learner writes its weights into a folder that both see, tells the engine to read them, and asks
it with prompts of ids. All weights go by `POST /update_weights_from_disk` (SGLang's name; our
agents/serve.py knows it), adapters by `POST /v1/load_lora_adapter` (vLLM's; vLLM wants
VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and `--max-loras 2` or more). An engine that shares the
learner's GPU is sent to sleep between rollouts with `sleep=true` (vLLM's `/sleep`, `/wake_up`).
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .api import OpenAIPolicy
from .secrets import masked

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from .chat import Chat
    from .sampling import Sampling


@contextlib.contextmanager
def served(
    spec: str,
    model: "PreTrainedModel",
    chat: "Chat",
    sampling: "Sampling",
    version: int,
    *,
    name: str,
    url: str | None,
    weights: str | None = None,
    sleep: bool = False,
    **options: Any,
) -> Iterator[OpenAIPolicy]:
    """The policy behind an endpoint, with the learner's weights.

    Args:
        spec: What the user wrote, for errors.
        model: The learner's model.
        chat: Its conversation format.
        sampling: How answers are drawn.
        version: How many updates the weights have received.
        name: The model's name at the endpoint.
        url: The endpoint's base url.
        weights: A folder that both processes see; what is written there is removed again.
        sleep: Send the engine to sleep when the rollout is over.
        options: Of `OpenAIPolicy`.

    Raises:
        ValueError: without `weights`, or where the engine refuses them.
    """
    if weights is None or not Path(weights).is_dir():
        got = "none" if weights is None else repr(weights)
        raise ValueError(
            f"engine {masked(spec)!r}: expected weights=FOLDER, one that the engine sees too, got "
            f"{got}; without it the engine would never learn what the learner learns"
        )
    from .models import is_adapter

    adapter = f"{name}-{version}" if is_adapter(model) else None
    policy = OpenAIPolicy(
        adapter or name,
        url,
        chat=chat,
        version=version,
        temperature=sampling.temperature,
        max_tokens=sampling.max_new_tokens,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        stop=sampling.stop,
        **options,
    )
    tell = policy.endpoint.tell
    # a name of its own, so that nothing of the user's can be in the way
    folder = Path(tempfile.mkdtemp(prefix="lmenvs-weights-", dir=weights)).resolve()
    try:
        folder.chmod(0o755)  # the engine may run as another user
        chat.save(model, folder)
        if sleep:
            tell("/wake_up", {})
        if adapter is None:
            tell("/update_weights_from_disk", {"model_path": str(folder)})
            yield policy
        else:
            with _adapter(tell, adapter, folder):
                yield policy
        if sleep:
            tell("/sleep", {})
    finally:
        policy.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _adapter(
    tell: Callable[[str, dict[str, Any]], None], name: str, folder: Path
) -> Iterator[None]:
    with contextlib.suppress(ValueError):  # a run that was killed may have left one of this name
        tell("unload_lora_adapter", {"lora_name": name})
    tell("load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})
    try:
        yield
    finally:
        with contextlib.suppress(ValueError, ConnectionError):  # what went wrong is told elsewhere
            tell("unload_lora_adapter", {"lora_name": name})
