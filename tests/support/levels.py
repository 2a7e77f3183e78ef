"""Tiny models that know both levels' prompts, for the tests of two levels (torch)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from agents.hierarchical import Hierarchy, Planned, TwoLevels
from agents.protocols import Conversation, Policy
from agents.rollout import collect
from agents.scripted import RandomPolicy
from algorithms import behaviour_cloning, hierarchical
from algorithms.trainer.credited import TurnCredit
from algorithms.trainer.level_opening import open_levels
from algorithms.trainer.levels import Level, Levels
from algorithms.trainer.session import Session, open_session
from lmenvs.types import Action, write_episodes

KEY = "lmenvs/DelayedKey-v0?delay=3&keys=2"
PLANNER_TASK, ACTOR_TASK = "\nYou plan.", "\nYou act."
_KEPT: list[TemporaryDirectory[str]] = []  # folders that live as long as the tests do


class AnyOf:
    """Names one of some texts at random."""

    version = 0

    def __init__(self, texts: Sequence[str]):
        self._texts = texts

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        picks = [
            np.random.default_rng(one.seed).integers(len(self._texts)) for one in conversations
        ]
        return [Action(self._texts[int(pick)]) for pick in picks]

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept."""


class Obedient:
    """Takes the key that the last subgoal names, and walks on."""

    version = 0

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        return [Action(self._answer(one)) for one in conversations]

    def _answer(self, one: Conversation) -> str:
        *earlier, now = one.messages
        subgoal = now.content.rpartition("Subgoal: ")[2]
        return "walk on" if len(earlier) > 1 else f"take the {subgoal} key"

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept."""


class SignReader:
    """A planner that names the key on the sign."""

    version = 0

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        seen = [
            "\n".join(m.content for m in one.messages if m.role == "user") for one in conversations
        ]
        return [Action(text.partition("A sign says: the ")[2].split()[0]) for text in seen]

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept."""


class Mostly:
    """One policy, except where chance takes the other."""

    version = 0

    def __init__(self, one: Policy, other: Policy, share: float):
        self._policies, self._share = (one, other), share

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        one, other = (policy.act(conversations) for policy in self._policies)
        # the appended 1 keeps this draw apart from those of the two policies
        draws = [np.random.default_rng((*c.seed, 1)).random() for c in conversations]
        return [
            a if draw < self._share else b for a, b, draw in zip(one, other, draws, strict=True)
        ]

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept."""


def obedient() -> Policy:
    """For specs: `tests.support.levels:obedient`."""
    return Obedient()


def sign_reader() -> Policy:
    """For specs: `tests.support.levels:sign_reader`."""
    return SignReader()


def levels(**fields: object) -> Hierarchy:
    """Short prompts, and a subgoal for two turns."""
    given: dict[str, object] = {"every": 2, "planner_task": PLANNER_TASK, "actor_task": ACTOR_TASK}
    return Hierarchy(**{**given, **fields})  # type: ignore[arg-type]


class Heading:
    """In a house: takes the coin it sees, else goes where the subgoal points, else anywhere."""

    version = 0

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        return [Action(self._answer(one)) for one in conversations]

    def _answer(self, one: Conversation) -> str:
        now = one.messages[-1].content
        commands = now.rpartition("Commands: ")[2].splitlines()[0].split(", ")
        wanted = ("take coin", f"go {now.rpartition('Subgoal: ')[2]}")
        found = [command for command in wanted if command in commands]
        anywhere = np.random.default_rng(one.seed).integers(len(commands))
        return found[0] if found else commands[int(anywhere)]

    def forget(self, ids: Iterable[str]) -> None:
        """Nothing is kept."""


def cloned(
    env: str,
    planner: Policy,
    actor: Policy,
    every: int,
    episodes: int,
    config: behaviour_cloning.TinyConfig,
) -> Path:
    """A model that was cloned on both levels of play: its folder, which the tests delete."""
    _KEPT.append(TemporaryDirectory(prefix="lmenvs-tests-"))
    folder = Path(_KEPT[-1].name)
    policy = TwoLevels(planner, actor, levels(every=every), keep=True)
    planned = policy.split(collect(env, policy, range(episodes), split=None))
    both = [episode for one in planned for episode in (one.planner, one.actor)]
    write_episodes(folder / "both.jsonl", both)
    clone = replace(config.clone, demonstrations=str(folder / "both.jsonl"))
    with torch.enable_grad():  # a test that needs no gradient may be the first to ask
        return behaviour_cloning.pretrain(env, folder / "start", replace(config, clone=clone))


@cache
def start(
    every: int = 2,
    env: str = KEY,
    subgoals: tuple[str, ...] = ("red", "blue"),
    skill: float = 0.0,
    hidden: int = 16,
    episodes: int = 64,
    epochs: int = 10,
) -> Path:
    """A clone of play of DelayedKey: random, but for the share `skill` of the planner's reading the
    sign and of the actor's doing as it is told.
    """
    planner = Mostly(SignReader(), AnyOf(subgoals), skill) if skill else AnyOf(subgoals)
    actor = Mostly(Obedient(), RandomPolicy(), skill) if skill else RandomPolicy()
    clone = behaviour_cloning.Config(epochs=epochs, learning_rate=1e-2)
    config = behaviour_cloning.TinyConfig(
        hidden=hidden, layers=1, heads=2, context=1024, clone=clone
    )
    return cloned(env, planner, actor, every, episodes, config)


BOTH: tuple[Level, ...] = ("planner", "actor")
SHORT = hierarchical.Config(
    hierarchy=levels(), iterations=3, episodes=6, minibatches=2, max_new_tokens=6, discount=0.9
)
ARRANGEMENTS = {
    "shared": replace(SHORT, hierarchy=levels(models="shared")),
    "two": replace(SHORT, hierarchy=levels(models="two")),
    "adapters": replace(SHORT, hierarchy=levels(models="adapters"), lora_rank=2),
}


def opened(config: hierarchical.Config, out: Path) -> tuple[Session, Levels]:
    """A run of two levels that has not begun."""
    session = open_session(
        "hierarchical", KEY, start(), out, config, judges="turns", critic_learning_rate=1e-3
    )
    return session, open_levels(session, config.hierarchy, start(), 1e-3)


def only(planned: Sequence[Planned], moved: Level) -> dict[Level, TurnCredit]:
    """Credit of one level; the other's is 0."""
    given: dict[Level, TurnCredit] = {}
    for level in BOTH:
        episodes = [one.planner if level == "planner" else one.actor for one in planned]
        rng = np.random.default_rng(0)
        zeros = [np.zeros(len(e.turns)) for e in episodes]
        some = [rng.normal(size=len(e.turns)) for e in episodes]
        given[level] = TurnCredit(some if level == moved else zeros, zeros, zeros)
    return given
