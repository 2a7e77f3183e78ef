"""Where models run (torch): the device a user names, its precision, and graphs of its work."""

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


def find_device(name: str) -> torch.device:
    """The device called "cpu", "cuda" or "cuda:1".

    Raises:
        ValueError: if there is no such device here; one line that says what there is.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device {name!r}; expected cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r}; expected cpu, cuda or cuda:N")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        have = f"{count} CUDA devices" if count else "no CUDA device"
        raise ValueError(
            f"device {name!r}: torch {torch.__version__} finds {have} here; use --device cpu, or a "
            "machine and a torch build that have one"
        )
    return device


def mixed_precision(device: torch.device, *, remember: bool = True) -> torch.autocast:
    """Matrix products in bfloat16 on CUDA, weights and sums in float32; elsewhere no change.

    Args:
        device: Where it computes.
        remember: Whether a weight that is used twice is cast once; never while a graph is captured.
    """
    return torch.autocast(
        device.type, torch.bfloat16, enabled=device.type == "cuda", cache_enabled=remember
    )


def cast_weights(module: nn.Module, device: torch.device) -> dict[str, Tensor]:
    """Copies of the weights that mixed precision would cast at every pass, by their names."""
    with mixed_precision(device):
        if not torch.is_autocast_enabled(device.type):
            return {}
        precision = torch.get_autocast_dtype(device.type)
    return {
        f"{place}.{name}": weight.detach().to(precision)
        for place, layer in module.named_modules()
        if type(layer) in (nn.Linear, Conv1D)  # a layer derived from these may do anything
        for name, weight in layer.named_parameters(recurse=False)
        if weight.dtype == torch.float32
    }


def captured(
    compute: Callable[[], Tensor], device: torch.device, beside: torch.cuda.CUDAGraph | None
) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """A graph of the computation and the tensor that its replays fill.

    Args:
        compute: Runs on the device alone; computing it several times over changes nothing.
        device: Of CUDA.
        beside: Another graph there, whose memory is shared: only one of them runs at a time.

    Raises:
        RuntimeError: where it waits for the device, or the capture fails otherwise.
    """
    stream, current = _side_stream(device), torch.cuda.current_stream(device)
    graph = torch.cuda.CUDAGraph()
    stream.wait_stream(current)
    try:
        with torch.cuda.stream(stream):
            compute()  # libraries set themselves up
            with _refusing_to_wait():  # a capture that breaks off for it leaves traces
                compute()
            pool = None if beside is None else beside.pool()
            # other threads may allocate meanwhile
            with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
                found = compute()
    finally:
        current.wait_stream(stream)
    return graph, found


@contextmanager
def _refusing_to_wait() -> Iterator[None]:
    """Within, what waits for the device raises RuntimeError."""
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it does not find everything
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all captures: graphs share memory only within a stream."""
    return torch.cuda.Stream(device)
