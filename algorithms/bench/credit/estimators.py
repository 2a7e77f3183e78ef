"""The estimators that are measured: what each is given, and who judges.

Their settings are the papers' where these have some. "Oracles" see exact values, which nobody has,
and show what a perfect critic would be worth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ... import credit
from . import judges
from .draws import Sample
from .words import Floats


@dataclass(frozen=True, slots=True)
class Estimator:
    """One way to credit.

    Attributes:
        name: As tables show it.
        draw: How its episodes are drawn, a key of `draws.DRAWS`.
        credit: One number for each turn of `Sample.plays`, or for each of its words.
        needs: What it needs beyond episodes, in words.
        only: The environments that it can judge; empty for all.
        kind: "foil" is a known mistake and "oracle" sees the truth; neither is for use.
    """

    name: str
    draw: str
    credit: Callable[[Sample], Floats]
    needs: str = ""
    kind: Literal["method", "foil", "oracle"] = "method"
    only: frozenset[str] = frozenset()


def _words(name: str, gae: judges.TokenGAE, turn: float, word: float = 1.0) -> Estimator:
    call = partial(judges.word_gae, gae=gae, values="learned", discounts=(turn, word))
    return Estimator(name, "with history", call, "critic")


def _turns(lam: float, values: judges.Values) -> Estimator:
    name = f"turn GAE, lambda {lam:g}"
    call = partial(judges.turn_gae, lam=lam, values=values)
    if values == "exact":
        return Estimator(f"{name}, exact values", "episodes", call, "exact values", "oracle")
    return Estimator(name, "with history", call, "critic")


def _group(name: str, call: Callable[[Sample], Floats], foil: bool = False) -> Estimator:
    return Estimator(name, "groups", call, "groups of 8", "foil" if foil else "method")


ESTIMATORS: tuple[Estimator, ...] = (
    Estimator(
        "identical credit",
        "episodes",
        partial(judges.of_episodes, judge=lambda s: s.plays.returns_E),
    ),
    Estimator("Monte Carlo", "episodes", partial(judges.monte_carlo, discount=1.0)),
    Estimator("Monte Carlo, discount .95", "episodes", partial(judges.monte_carlo, discount=0.95)),
    _turns(1.0, "learned"),
    _turns(0.95, "learned"),
    _turns(0.0, "learned"),
    _words("token GAE, .95 / .95", judges.naive(0.95, 0.95), 0.95, 0.95),
    _words("POAD, .95 / .95", judges.decomposed(0.95, 0.95), 0.95),
    _words("POAD, 1 / .95", judges.decomposed(1.0, 0.95), 1.0),
    _words("bi-level GAE, .95 / .95", judges.bilevel(0.95, 0.95), 0.95),
    _words("dual-discount GAE, .99 / .95", judges.dual(0.99, 0.95), 0.99),
    _words("macro actions of 2, 1 / .95", judges.macro(2, 0.95), 1.0),
    _group("GRPO", partial(judges.of_episodes, judge=judges.relative("std"))),
    _group("Dr. GRPO", partial(judges.of_episodes, judge=judges.relative("none"))),
    _group("RLOO", partial(judges.of_episodes, judge=judges.left_out)),
    _group("BNPO", partial(judges.of_episodes, judge=judges.bnpo)),
    _group("MT-GRPO, left one out", partial(judges.by_turns, judge=credit.turn_leave_one_out)),
    _group("GiGPO", partial(judges.gigpo, scale="std")),
    _group("GiGPO, no std", partial(judges.gigpo, scale="none")),
    _group(
        "Stratified GRPO", partial(judges.of_episodes, judge=partial(judges.stratified, blend=1.0))
    ),
    _group(
        "Stratified GRPO, blend .5",
        partial(judges.of_episodes, judge=partial(judges.stratified, blend=0.5)),
    ),
    Estimator(
        "F-GRPO", "groups", judges.phased, "groups of 8, phases", only=frozenset({"DelayedKey"})
    ),
    _group("TEMPO", partial(judges.tempo, scale="std")),
    _group("TEMPO, no std", partial(judges.tempo, scale="none")),
    Estimator("ReMax", "greedy", partial(judges.of_episodes, judge=judges.remax), "greedy plays"),
    Estimator(
        "Single-stream",
        "with history",
        partial(judges.of_episodes, judge=partial(judges.single_stream, scale="std")),
        "tracker",
    ),
    Estimator("SPO-chain", "chain", judges.spo_chain, "forks"),
    Estimator("SPO-tree", "tree", partial(judges.spo_tree, scale="none"), "forks"),
    Estimator(
        "SLATE, learned judge",
        "siblings with history",
        partial(judges.slate, scale="std", values="learned"),
        "forks, critic",
    ),
    Estimator(
        "SLATE, learned judge, no std",
        "siblings with history",
        partial(judges.slate, scale="none", values="learned"),
        "forks, critic",
    ),
    Estimator(
        "flattened GAE, .95 / .95",
        "with history",
        partial(
            judges.word_gae,
            gae=judges.flattened(0.95, 0.95),
            values="learned",
            discounts=(0.95, 0.95),
        ),
        "critic",
        "foil",
    ),
    _group(
        "per-turn-index mean",
        partial(judges.by_turns, judge=credit.turn_index_normalised),
        foil=True,
    ),
    _turns(1.0, "exact"),
    _turns(0.95, "exact"),
    _turns(0.0, "exact"),
    Estimator(
        "POAD, 1 / 0, exact values",
        "episodes",
        partial(judges.word_gae, gae=judges.decomposed(1.0, 0.0), values="exact"),
        "exact values",
        "oracle",
    ),
    Estimator(
        "SLATE, exact judge, no std",
        "siblings",
        partial(judges.slate, scale="none", values="exact"),
        "forks, exact values",
        "oracle",
    ),
)
"""All of them, in the order of tables: methods, foils, oracles."""
