"""Values that cannot be: a critic that diverges is noticed by what its environment can pay (torch).

A value is the return to come, so it lies within the range of returns that the environment's
registration states. That range is of the default arguments; other arguments may pay more, so it is
widened by what was seen. An estimate may overshoot for a while: what stops a run is a mean target
outside for `PATIENCE` batches in a row.
"""

import math
from collections.abc import Iterable

from torch import Tensor

from lmenvs.registration import find
from lmenvs.types import Episode

from ..support import Diverged

PATIENCE = 10  # batches in a row
MARGIN = 0.1  # of the range's width, on either side


class PlausibleValues:
    """The range that values can lie in, and how long they have been out of it.

    Args:
        low: The least return.
        high: The greatest return.
    """

    def __init__(self, low: float, high: float):
        # what is still to come may be nothing, however much or little was earned before
        self.low, self.high = min(low, 0.0), max(high, 0.0)
        self._outside = 0

    def saw(self, episodes: Iterable[Episode]) -> None:
        """Widen the range by returns that were earned."""
        for episode in episodes:
            self.low = min(self.low, episode.total_reward)
            self.high = max(self.high, episode.total_reward)

    def check(self, targets: Tensor, mask: Tensor) -> None:
        """Look at a batch's value targets, in the environment's own unit, where the mask says so.

        Raises:
            Diverged: when the mean stood outside `PATIENCE` times in a row.
        """
        chosen = targets.detach()[mask.bool().expand_as(targets)]
        if not len(chosen):
            return
        mean = float(chosen.float().mean())
        margin = MARGIN * (self.high - self.low)
        inside = math.isfinite(mean) and self.low - margin <= mean <= self.high + margin
        self._outside = 0 if inside else self._outside + 1
        if self._outside >= PATIENCE:
            raise Diverged(
                f"expected value targets between {self.low:g} and {self.high:g}, what the "
                f"environment can pay, got {mean:g} on average, {PATIENCE} batches in a row: the "
                "critic diverges; begin anew with a smaller critic learning rate, a slower target "
                "(polyak) or Monte Carlo targets (lam 1)"
            )


def plausible_values(env: str) -> PlausibleValues:
    """The range of an environment's registration."""
    return PlausibleValues(*find(env).return_range)
