"""A planner that learns in its prompt: it sees what its past plans earned and names the next one.

Paper: Karten et al., LLM Economist (2025): the upper level keeps a record of its plans and of the
welfare that followed, reads it before it plans again, and so improves without a gradient, while the
lower level adapts to the plan in force.

Deviations: the lower level is trained by gradient; a plan holds for the turns of a subgoal rather
than for a tax year; what a plan earned is the mean reward of the game from its decision on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lmenvs.types import Action

from .hierarchical import Planned
from .protocols import Conversation, Policy

Record = list[tuple[str, int, float]]
"""(plan, how often it was in force, the sum of what followed it), in the order of first use."""

HEADING = "\nYour plans so far, and the mean reward that followed, best first:"
SHOWN = 8  # plans that are told; the best of them


class InContextPlanner:
    """A policy that reads, behind its instructions, which plans it tried and what they earned.

    The record changes in `learn` only, so that within a rollout neither width nor order matter.

    Args:
        base: What proposes plans.
        record: What is known at the start.
    """

    def __init__(self, base: Policy, record: Iterable[Sequence[object]] = ()):
        self.base = base
        self._known = {str(plan): (int(n), float(s)) for plan, n, s in record}  # type: ignore[call-overload]

    @property
    def version(self) -> int:
        """That of the base: no weights move."""
        return self.base.version

    @property
    def record(self) -> Record:
        """All plans that were tried."""
        return [(plan, count, total) for plan, (count, total) in self._known.items()]

    def told(self) -> str:
        """What is added to the instructions; nothing before the first outcome.

        >>> InContextPlanner(None, [("red", 2, 1.0), ("blue", 1, 1.0)]).told().splitlines()[2:]
        ['blue: 1.00 (1 time)', 'red: 0.50 (2 times)']
        """
        if not self._known:
            return ""
        means = {plan: total / count for plan, (count, total) in self._known.items()}
        best = sorted(means, key=lambda plan: -means[plan])[:SHOWN]
        lines = [
            f"{plan}: {means[plan]:.2f} ({n} time{'s' * (n > 1)})"
            for plan, n in ((plan, self._known[plan][0]) for plan in best)
        ]
        return "\n".join([HEADING, *lines])

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """One plan for each conversation."""
        told = self.told()
        return self.base.act([_with_record(one, told) for one in conversations])

    def forget(self, ids: Iterable[str]) -> None:
        """The base forgets them."""
        self.base.forget(ids)

    def learn(self, planned: Iterable[Planned]) -> None:
        """Note what followed each decision: the undiscounted reward from it to the end."""
        for play in planned:
            left = play.whole.total_reward
            for turn in play.planner.turns:
                count, total = self._known.get(turn.action.text, (0, 0.0))
                self._known[turn.action.text] = (count + 1, total + left)
                left -= turn.reward


def _with_record(one: Conversation, told: str) -> Conversation:
    system, *rest = one.messages
    system = replace(system, content=system.content + told)
    return replace(one, messages=(system, *rest))
