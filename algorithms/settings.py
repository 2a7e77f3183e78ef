"""What every algorithm's configuration has to fulfil, whatever else it holds."""

import dataclasses
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_AT_LEAST_0 = (
    *("seed", "lora_rank", "learning_rate", "critic_learning_rate", "anneal"),
    *("entropy_bonus", "reference_kl", "observation_weight"),
)
_AT_LEAST_1 = (
    *("iterations", "episodes", "groups", "epochs", "minibatches", "batch_size", "save_every"),
    *("critic_steps", "actor_steps", "siblings"),
    *("max_new_tokens", "max_turns", "width", "micro_tokens"),
    *("hidden", "layers", "heads", "context", "vocabulary_size"),
)


def refuse_impossible(config: "DataclassInstance") -> None:
    """Stop where a setting that the algorithms share cannot be: a rate of nan, a width of 0.

    Raises:
        ValueError: it names the setting, what it is and what was expected.
    """
    for name, value in dataclasses.asdict(config).items():
        if not isinstance(value, int | float):
            continue
        wanted = ""
        if not math.isfinite(value):
            wanted = "a finite number"
        elif name in _AT_LEAST_0 and value < 0:
            wanted = "at least 0"
        elif name in _AT_LEAST_1 and value < 1:
            wanted = "at least 1"
        elif name == "max_norm" and value <= 0:
            wanted = "a number above 0"
        if wanted:
            raise ValueError(f"{name} {value}; expected {wanted}")
