"""A softmax policy that is a table: small enough to compare with exact values and gradients."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lmenvs.types import Action

from .protocols import Conversation

Floats = NDArray[np.float64]


def state_of(conversation: Conversation) -> str:
    """The environment's `state_key()`: a table over true states, as `exact.solve` has them."""
    if conversation.env is None:
        raise ValueError(
            "a table over states asks the live environment, got a conversation without one; "
            "use agents.rollout, or key=observation_of"
        )
    return conversation.env.state_key()


def observation_of(conversation: Conversation) -> str:
    """The last observation: a table over what the player sees now."""
    return conversation.messages[-1].content


def history_of(conversation: Conversation) -> str:
    """All that was said, system message apart: a table over what the player knows."""
    return "\n".join(f"{message.role}: {message.content}" for message in conversation.messages[1:])


class TabularSoftmaxPolicy:
    """pi(a | key) = softmax over the admissible actions of logits[key][a] / temperature.

    An entry that is missing is 0, so that the empty table is the uniform policy. The policy is a
    callable `(state_key, actions) -> probabilities`, which `lmenvs.exact.solve` takes as `policy`.

    Args:
        logits: The table; it is copied.
        key: What of a conversation selects the row.
        temperature: Above 0; 0 takes the first of the best actions.
        version: How many updates the table has received.
    """

    def __init__(
        self,
        logits: Mapping[str, Mapping[str, float]] | None = None,
        *,
        key: Callable[[Conversation], str] = state_of,
        temperature: float = 1.0,
        version: int = 0,
    ):
        if temperature < 0:
            raise ValueError(f"temperature {temperature}; expected 0 (greedy) or more")
        self.logits = {name: dict(row) for name, row in (logits or {}).items()}
        self.key = key
        self.temperature = temperature
        self.version = version

    def probabilities(self, key: str, actions: Sequence[str]) -> Floats:
        """The probability of each action, in their order."""
        row = self.logits.get(key, {})
        logits = np.array([row.get(action, 0.0) for action in actions])
        if self.temperature == 0:
            return np.eye(len(actions))[int(np.argmax(logits))]
        weights = np.exp((logits - logits.max()) / self.temperature)
        return weights / weights.sum()

    def __call__(self, key: str, actions: Sequence[str]) -> list[float]:
        """`probabilities` as a list, for `exact.solve`."""
        return self.probabilities(key, actions).tolist()

    def log_probability(self, key: str, actions: Sequence[str], action: str) -> float:
        """The natural logarithm of pi(action | key)."""
        return math.log(self.probabilities(key, actions)[actions.index(action)])

    def score(self, key: str, actions: Sequence[str], action: str) -> Floats:
        """The gradient of log pi(action | key) by its row: (1[a = action] - pi(a)) / T."""
        if self.temperature == 0:
            raise ValueError("temperature 0 is greedy and has no gradient; set it above 0")
        chosen = np.eye(len(actions))[actions.index(action)]
        return (chosen - self.probabilities(key, actions)) / self.temperature

    def add(self, key: str, actions: Sequence[str], change: Sequence[float] | Floats) -> None:
        """Add to the row's logits, one number for each action."""
        row = self.logits.setdefault(key, {})
        for action, difference in zip(actions, change, strict=True):
            row[action] = row.get(action, 0.0) + float(difference)

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Sample one admissible action for each conversation.

        Raises:
            ValueError: where the environment cannot list its actions.
        """
        return [Action(self._sample(conversation)) for conversation in conversations]

    def _sample(self, conversation: Conversation) -> str:
        actions = conversation.env.admissible_actions() if conversation.env is not None else None
        if not actions:
            raise ValueError(
                "a table needs env.admissible_actions(), got none; "
                "use an environment that lists them"
            )
        probabilities = self.probabilities(self.key(conversation), actions)
        generator = np.random.default_rng(conversation.seed)
        index = int(np.searchsorted(np.cumsum(probabilities), generator.random(), side="right"))
        return actions[min(index, len(actions) - 1)]

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept."""
