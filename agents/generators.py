"""Torch's global generators, lent to an engine that knows no others (torch)."""

import torch


class LentGenerators:
    """Torch's global generators, lent to the engine while it works."""

    def __init__(self, device: torch.device):
        self._cuda = device if device.type == "cuda" else None
        self._callers: tuple[torch.Tensor, torch.Tensor | None] | None = None
        self._own: tuple[torch.Tensor, torch.Tensor | None] | None = None

    def borrow(self) -> None:
        """Put the engine's state in the place of the caller's; the first time it seeds its own."""
        if self._callers is None:
            self._callers = self._state()
            if self._own is not None:
                self._set(self._own)

    def give_back(self) -> None:
        """Put the caller's state back."""
        if self._callers is not None:
            self._own = self._state()
            self._set(self._callers)
            self._callers = None

    def _state(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        cuda = None if self._cuda is None else torch.cuda.get_rng_state(self._cuda)
        return torch.get_rng_state(), cuda

    def _set(self, state: tuple[torch.Tensor, torch.Tensor | None]) -> None:
        torch.set_rng_state(state[0])
        if self._cuda is not None and state[1] is not None:
            torch.cuda.set_rng_state(state[1], self._cuda)
