"""The policy of a model's folder (torch): what stands beside the model says how it plays.

| file | how | trained by |
|---|---|---|
| `two_levels.json` | a planner and an actor (level_models.py) | `hierarchical`, `vsc_rl` |
| `judge.json` | the best of several answers (best_of_n.py) | `archer`, `utterance_iql` |
| `conditioning.json` | told what return to aim for (conditioned.py) | `return_conditioning` |
| `guide.json` | values shift its logits (guidance.py) | `ilql`, `mc_returns` |

Without any of them the model plays as it samples.
"""

from pathlib import Path

from .best_of_n import load_best_of_n
from .conditioned import conditioned
from .level_models import load_two_levels
from .lm import load_policy
from .protocols import Policy
from .sampling import Sampling


def saved_policy(
    folder: str | Path,
    sampling: Sampling = Sampling(),
    strength: float | None = None,
    target: float | None = None,
) -> Policy:
    """What a folder or hub id plays.

    Args:
        folder: Of the model.
        sampling: How tokens are drawn.
        strength: Of the values that shift the logits; None is what the folder says.
        target: The return to aim for; None is what the folder says.

    Raises:
        ValueError: for a strength or a target where the folder has no use for it; in one line.
    """
    if target is None and strength is None:
        for file, load in (("two_levels.json", load_two_levels), ("judge.json", load_best_of_n)):
            if Path(folder, file).is_file():
                return load(folder, sampling)
    return conditioned(load_policy(folder, sampling, strength), folder, target)
