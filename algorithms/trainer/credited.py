"""What an algorithm with a critic makes of episodes: advantages and value targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..batch import TokenBatch
from ..credit import explained_variance
from .values import ValueTargets


@dataclass(frozen=True, slots=True)
class TurnCredit:
    """One array per episode: the advantage and the value target of each turn, and the value it was
    judged by.
    """

    advantages_ET: list[np.ndarray]
    value_targets_ET: list[np.ndarray]
    values_ET: list[np.ndarray]

    def metrics(self) -> dict[str, float]:
        """How much of the targets the values had foreseen."""
        values, targets = np.concatenate(self.values_ET), np.concatenate(self.value_targets_ET)
        return {"critic/explained_variance": explained_variance(values, targets)}

    def targets(self, tokens: TokenBatch) -> ValueTargets:
        """The value targets, laid out over the turns of a batch."""
        return ValueTargets(tokens.turn_grid(self.value_targets_ET), tokens.turn_mask)


@dataclass(frozen=True, slots=True)
class TokenCredit:
    """The same for every policy token: one list per episode, of one array per turn."""

    advantages_ETL: list[list[np.ndarray]]
    value_targets_ETL: list[list[np.ndarray]]
    values_ETL: list[list[np.ndarray]]

    @property
    def advantages_ET(self) -> list[np.ndarray]:
        """The mean advantage of each turn's tokens, for the log and the report."""
        return turn_means(self.advantages_ETL)

    @property
    def values_ET(self) -> list[np.ndarray]:
        """The value before each turn's first token."""
        return [
            np.array([tokens_L[0] if len(tokens_L) else 0.0 for tokens_L in values_TL])
            for values_TL in self.values_ETL
        ]

    def metrics(self) -> dict[str, float]:
        """How much of the targets the values had foreseen."""
        values, targets = _joined(self.values_ETL), _joined(self.value_targets_ETL)
        return {"critic/explained_variance": explained_variance(values, targets)}

    def targets(self, tokens: TokenBatch) -> ValueTargets:
        """The value targets, laid out over the tokens of a batch."""
        return ValueTargets(tokens.token_grid(self.value_targets_ETL), tokens.policy_mask)


def token_credit(
    advantages_ETL: list[list[np.ndarray]], values_ETL: Sequence[Sequence[np.ndarray]]
) -> TokenCredit:
    """Advantages with the values they were measured from; the critic is fitted to y = A + V."""
    targets_ETL = [
        [a_L + v_L for a_L, v_L in zip(advantages_TL, values_TL, strict=True)]
        for advantages_TL, values_TL in zip(advantages_ETL, values_ETL, strict=True)
    ]
    return TokenCredit(advantages_ETL, targets_ETL, [list(values_TL) for values_TL in values_ETL])


def _joined(numbers_ETL: list[list[np.ndarray]]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(part for turns_TL in numbers_ETL for part in turns_TL)])


def turn_means(numbers_ETL: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """The mean over each turn's tokens; 0 for a turn without any."""
    return [
        np.array([tokens_L.mean() if len(tokens_L) else 0.0 for tokens_L in turns_TL])
        for turns_TL in numbers_ETL
    ]
