"""What every algorithm's configuration has to fulfil, whatever else it holds."""

import dataclasses
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_AT_LEAST_0 = (
    *("seed", "lora_rank", "learning_rate", "critic_learning_rate", "anneal"),
    *("entropy_bonus", "reference_kl", "observation_weight"),
    *("clip_high", "positive", "negative", "evaluations"),
)
_AT_LEAST_1 = (
    *(
        "iterations",
        "episodes",
        "tasks",
        "groups",
        "epochs",
        "minibatches",
        "batch_size",
        "save_every",
        "turn_budget",
        "steps",
    ),
    *("critic_steps", "actor_steps", "siblings", "sync_every", "forks"),
    *("max_new_tokens", "max_turns", "width", "micro_tokens", "segment", "continuations"),
    *("hidden", "layers", "heads", "context", "vocabulary_size"),
)

_ABOVE_0 = ("max_norm", "target_kl")
_SHARES = ("discount", "lam", "token_discount", "token_lam", "turn_discount", "turn_lam", "blend")


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
        elif name == "group_size" and value < 2:
            wanted = "at least 2: one episode has no other to be compared with"
        elif name in _ABOVE_0 and value <= 0:
            wanted = "a number above 0"
        elif name in _SHARES and not 0 <= value <= 1:
            wanted = "a number from 0 to 1"
        if wanted:
            raise ValueError(f"{name} {value}; expected {wanted}")
