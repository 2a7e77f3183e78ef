"""Where models run (torch): the device a user names, and the precision it computes in."""

import torch


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


def mixed_precision(device: torch.device) -> torch.autocast:
    """Matrix products in bfloat16 on CUDA, weights and sums in float32; elsewhere no change."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
