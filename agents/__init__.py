"""What acts and what scores: policies, rollouts, critics. Importing it loads no torch.

>>> from agents import make_policy
>>> from agents.rollout import evaluate
>>> report = evaluate("lmenvs/Maze-v0", make_policy("expert"), episodes=8)
"""

from pathlib import Path

# The distribution openai-agents installs a package of this name. Where both were installed into one
# folder, files of the two lie mixed, and whatever is imported next may be the other's.
_others = sorted(Path(__file__).parent.parent.glob("openai_agents-*.dist-info"))
if _others:
    raise ImportError(
        f"expected `agents` to be lmenvs' own folder, got {_others[0].name} beside it; "
        "uninstall openai-agents and reinstall lmenvs, or give each its own virtual environment"
    )

from .making import make_policy  # noqa: E402  nothing of ours may be loaded before the check
from .protocols import Conversation, Policy  # noqa: E402

__all__ = ["Conversation", "Policy", "make_policy"]
