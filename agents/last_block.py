"""The last block of a decoder computes only what is read of it (torch).

A pass of the sampler wants the hidden state of each conversation's last token. Up to the last block
every token is needed, since later tokens attend to it; in the last block its keys and values are,
and nothing else. There the layers that treat each token by itself see the last tokens only, and so
does attention (`attention.followed`). Where blocks are not known well enough, all is computed.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention import followed
from .attention_plan import Plan

_ATTENTION = ("self_attn", "attn", "attention")
_QUERIES = ("q_proj", "o_proj", "c_proj")  # of attention: what asks and what is made of the answer
_FEED_FORWARD = "mlp"


class LastBlock(NamedTuple):
    """The parts of the last block that work on one token at a time.

    Attributes:
        attention: Its attention layer.
        single: Layers [1, N, width] -> [1, N, width] in which no token sees another.
    """

    attention: nn.Module
    single: tuple[nn.Module, ...]


def find_last_block(stack: nn.Module, count: int) -> LastBlock | None:
    """The last block of a decoder; None where it does not look like one that is known.

    Args:
        stack: The decoder.
        count: How many blocks it has; a block that is passed several times is not known.
    """
    blocks = [part for part in stack.modules() if isinstance(part, GradientCheckpointingLayer)]
    if len(blocks) != count:
        return None
    parts = dict(blocks[-1].named_children())
    attention = next((parts[name] for name in _ATTENTION if name in parts), None)
    if attention is None or _FEED_FORWARD not in parts:
        return None
    inside = dict(attention.named_children())
    queries = [inside[name] for name in _QUERIES if name in inside]
    return LastBlock(attention, (parts[_FEED_FORWARD], *queries))


@contextmanager
def narrowed(block: LastBlock, total: int, last: Tensor) -> Iterator[None]:
    """Within, the block's single layers compute these of the tokens; 0 stands for the others.

    Args:
        block: The last block.
        total: N, the tokens of the pass.
        last: [rows] which of them are read.
    """
    narrow: list[nn.Module] = []

    def cut(layer: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        tokens = given[0]
        if tokens.shape[:-1] != (1, total):
            return None
        narrow.append(layer)
        return tokens.index_select(1, last), *given[1:]

    def widen(layer: nn.Module, given: tuple[Any, ...], found: Any) -> Any:
        if not narrow or narrow.pop() is not layer:
            return None
        states, *others = found if isinstance(found, tuple) else (found,)
        wide = states.new_zeros(1, total, states.shape[-1])
        wide[:, last] = states
        return (wide, *others) if isinstance(found, tuple) else wide

    with ExitStack() as stack:
        for layer in block.single:
            stack.callback(layer.register_forward_pre_hook(cut).remove)
            stack.callback(layer.register_forward_hook(widen).remove)
        yield


@contextmanager
def read_by(plan: Plan, config: PretrainedConfig, block: LastBlock | None) -> Iterator[None]:
    """Let the model attend by the plan, and compute no more than the pass's last tokens."""
    if block is None or plan.ends is None:
        with followed(plan, config):
            yield
    else:
        narrow = narrowed(block, len(plan.slots), plan.last)
        with followed(plan, config, block.attention), narrow:
            yield
