"""The model a policy is held close to (torch): the adapter switched off, or a frozen copy.

A policy with LoRA adapters of this run needs no second copy: without them it is the model it began
as, bit for bit. A policy that is trained whole, or that goes on from adapters of an earlier run, is
held close to a frozen copy of its start. Another model of the same tokens (`Objective.reference`,
such as a clone of demonstrations) is always a model of its own.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from agents.chat import Chat
from agents.folders import model_folder
from agents.models import is_adapter, load_model

from .batch import TokenBatch
from .forward import recompute_logprobs


class Reference:
    """What the reference says of the policy's tokens.

    Args:
        policy: The model in training, adapters included.
        start: Where the policy's training began.
        other: Another model of the same tokens, to be the reference in its place.
    """

    def __init__(
        self, policy: PreTrainedModel, start: str | Path, other: PreTrainedModel | None = None
    ):
        self._policy = policy
        self.copy = other
        if other is None and not (is_adapter(policy) and _is_base(start)):
            self.copy, _ = load_model(start)
        if self.copy is not None:
            self.copy.to(policy.device).requires_grad_(False)  # type: ignore[arg-type]

    def logprobs(self, batch: TokenBatch, micro_tokens: int) -> Tensor:
        """The reference's log-probabilities [B, L] of the policy tokens, without a gradient."""
        with self._at_work():
            return recompute_logprobs(self.copy or self._policy, batch, micro_tokens)

    def _at_work(self) -> AbstractContextManager[Any]:
        if self.copy is not None:
            return nullcontext()
        return self._policy.disable_adapter()  # type: ignore[operator]  # peft's


def open_reference(
    policy: PreTrainedModel, chat: Chat, start: str | Path, other: str = ""
) -> Reference:
    """What the policy is held close to: its start, or the model `other` (a folder or hub id).

    Raises:
        ValueError: for a model of other tokens: it can say nothing of the policy's.
    """
    if not other:
        return Reference(policy, start)
    model, others = load_model(other)
    if others.tokenizer.get_vocab() != chat.tokenizer.get_vocab():
        raise ValueError(
            f"reference {other!r}: expected a model of the policy's tokens, got another "
            "vocabulary; clone the reference from the model that is trained"
        )
    return Reference(policy, start, model)


def _is_base(start: str | Path) -> bool:
    return not Path(model_folder(str(start)), "adapter_config.json").exists()
