"""Every environment takes any text: 10,000 random strings each, hostile ones above all."""

import gc
import math
import pickle
import random
import sys
import time
import tracemalloc
import unicodedata
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

import lmenvs
from lmenvs import TABLE, Outcome
from lmenvs.checks.subject import STRINGS, is_over, play
from tests.contract.echo import Echo
from tests.contract.hostile_text import LONG, hostile_texts
from tests.contract.test_every_environment import POOLED
from tests.support.extras import require

MANY, FEW = 10_000, 120  # strings; few for environments with an engine, whose answers take long
SLOWEST = 0.5  # seconds of this thread for one step; the slowest measured takes 0.014
ROOM = 1_500_000  # bytes that 40 strings of 100 kB may leave behind

# ScienceWorld asks a Java process for every answer and takes a minute for each of these tests;
# its turn in the contract test has hostile strings too
ROWS = [
    pytest.param(spec.id, marks=[pytest.mark.slow] if spec.extra == "scienceworld" else [])
    for spec in TABLE.values()
]


@dataclass
class Barrage:
    """What became of many strings."""

    valid: int = 0
    invalid: int = 0
    ended: int = 0
    slowest: float = 0.0
    grown: int = 0  # blocks of memory that the last fifth of the strings left behind
    leaks: list[str] = field(default_factory=list)


def _made(name: str) -> lmenvs.TextEnv:
    """The environment, or a skipped test where its packages or programs are missing."""
    require(name)
    return lmenvs.make(POOLED.get(name, name))


def _tasks(env: lmenvs.TextEnv) -> int:
    """How many seeds are played: fewer of an engine, which takes long to begin."""
    return 6 if env.spec is None or TABLE[env.spec.id].extra is None else 2


def _words(env: lmenvs.TextEnv) -> list[str]:
    """What the strings are made of: what one may say in the first tasks, and what one is told."""
    words: list[str] = []
    for seed in range(_tasks(env)):
        first, _ = env.reset(seed=seed)
        words += [*(env.admissible_actions() or ())[:40], env.expert_action(), first]
    return [*(word for word in words if word), *env.instructions.split("\n")]


def _barrage(env: lmenvs.TextEnv, count: int) -> Barrage:
    """Play the strings over some tasks and check every answer."""
    found, words = Barrage(), _words(env)
    generator = np.random.default_rng((count, 5))
    known = over = True
    blocks = 0
    for number, text in enumerate(hostile_texts(generator, words, count)):
        if number == count - count // 5:  # by now bounded caches are full
            blocks = _blocks()
        # now and then the expert moves on, so that hostile strings meet many states
        for line in (None, text) if number % 8 == 0 else (text,):
            if over:
                told, _ = env.reset(seed=found.ended % _tasks(env))
                known = _tells(told + env.instructions, env.answer())
            said = env.expert_action() if line is None else line
            known = known or _tells(said, env.answer())
            begun = time.thread_time()
            told, reward, over, truncated, info = env.step(said)
            found.slowest = max(found.slowest, time.thread_time() - begun)
            assert isinstance(told, str) and math.isfinite(reward) and not truncated
            assert (info["error"] is None) == info["valid"] and ("success" in info) == over
            found.valid += info["valid"]
            found.invalid += not info["valid"]
            found.ended += over
            if not known and not over and _tells(told, env.answer()):
                found.leaks.append(f"{env.answer()!r} in {told!r} after {said[:200]!r}")
    found.grown = _blocks() - blocks
    return found


def _blocks() -> int:
    """How many small objects are alive: of a text that is kept, one at least."""
    gc.collect()
    return sys.getallocatedblocks()


def _tells(text: str, answer: str | None) -> bool:
    return answer is not None and answer.casefold() in text.casefold()


def _check(name: str, count: int) -> None:
    env = _made(name)
    before = random.getstate(), pickle.dumps(np.random.get_state())
    found = _barrage(env, count)
    env.close()
    assert (random.getstate(), pickle.dumps(np.random.get_state())) == before
    assert not found.leaks, found.leaks[0]
    assert found.valid and found.invalid, found  # the strings were worth playing
    assert found.ended or (env.turn_limit or math.inf) > count, found
    assert found.slowest < SLOWEST, found
    if TABLE[name].extra is None:  # an engine's memory of games is not full by then
        assert found.grown < count / 20, found


@pytest.mark.parametrize("name", ROWS)
def test_any_text_is_answered_and_tells_nothing_hidden(name: str):
    _check(name, MANY if TABLE[name].extra is None else FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", [spec.id for spec in TABLE.values() if spec.extra is not None])
def test_engines_take_as_many(name: str):
    _check(name, MANY)


@pytest.mark.parametrize("name", ROWS)
def test_long_texts_leave_nothing_behind(name: str):
    env = _made(name)
    left, largest = _left_behind(env)
    env.close()
    assert left < ROOM
    assert largest < LONG  # the state does not keep what was said either


def _left_behind(env: lmenvs.TextEnv) -> tuple[int, int]:
    """Bytes that 40 long texts leave in memory, and the largest state on the way."""
    env.reset(seed=0)
    for text in ("", env.expert_action(), "x" * LONG):  # a first use may fill a cache
        _grown(env, text)
    gc.collect()
    tracemalloc.start()
    try:
        sizes = [_grown(env, f"{number} " + "ab c" * (LONG // 4)) for number in range(40)]
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return left, max(sizes)


def _grown(env: lmenvs.TextEnv, text: str) -> int:
    """The size of the state after a text."""
    if is_over(env):
        env.reset(seed=0)
    env.step(text)
    return len(pickle.dumps(env.snapshot().state))


@pytest.mark.parametrize("name", ROWS)
def test_another_environment_in_between_changes_nothing(name: str):
    one, other = _made(name), _made(name)
    texts = list(hostile_texts(np.random.default_rng(1), _words(one), 40))
    said: dict[int, list[str]] = {}
    for seed in range(_tasks(one)):
        one.reset(seed=seed)
        said[seed] = [one.expert_action(), *texts]
    alone = []
    for seed, actions in said.items():
        alone.append((one.reset(seed=seed), play(one, actions)))
    for (seed, actions), expected in zip(said.items(), alone, strict=True):
        first = one.reset(seed=seed)
        other.reset(seed=seed + 1)
        played = []
        for turn, action in enumerate(actions):
            if is_over(one):
                break
            played += play(one, [action])
            if is_over(other):
                other.reset()
            other.step(texts[-1 - turn % len(texts)] if turn % 2 else other.expert_action())
        assert (first, played) == expected
    one.close()
    other.close()


HIDING = (
    "lmenvs/Maze-v0?observability=partial",
    "lmenvs/Wordle-v0",
    "lmenvs/BernoulliBandit-v0?context=summary",
    "lmenvs/GaussianBandit-v0?spread=3&sigma=3&context=guided",
    "lmenvs/TwentyQuestions-v0",
    "lmenvs/GuessMyCity-v0",
)
"""Where several hidden states begin alike."""


@pytest.mark.parametrize("name", HIDING)
def test_noise_is_answered_alike_whatever_is_hidden(name: str):
    env = lmenvs.make(name, on_invalid="noop")
    alike: dict[str, dict[str, lmenvs.Snapshot]] = {}
    for seed in range(8):
        first, _ = env.reset(seed=seed)
        alike.setdefault(first, {})[env.state_key()] = env.snapshot()
    hidden = max(alike.values(), key=len)
    assert len(hidden) > 1
    # words that nobody has said: what they are answered can tell nothing but what is hidden
    for text in hostile_texts(np.random.default_rng(2), STRINGS, 300):
        told: set[tuple[object, ...]] = set()
        for start in hidden.values():
            env.restore(start)
            answer, reward, over, _, info = env.step(text)
            said = (answer, reward, over, info["error"], info.get("feedback"))
            told.add(("valid",) if info["valid"] else said)
        assert len(told) == 1, (text[:200], told)


class Careless(Echo):
    """Remembers what it hears, tells its secret when it understands nothing, and dawdles once."""

    heard: ClassVar[list[str]] = []

    def _play(self, action: str) -> Outcome:
        self.heard.append(f"{action}!")
        if len(self.heard) == 50:
            deadline = time.thread_time() + 2 * SLOWEST
            while time.thread_time() < deadline:
                pass
        if action in ("stop", "wait"):
            return Outcome("", terminated=action == "stop")
        return self._invalid("malformed", f"No, but {self.answer()} is.", penalty=0.0)

    def answer(self) -> str:
        return "a secret"


def test_an_environment_that_leaks_grows_and_dawdles_is_found_out():
    Careless.heard.clear()
    found = _barrage(Careless(), 2000)
    assert len(found.leaks) > 20 and "'a secret' in 'No, but a secret is.'" in found.leaks[0]
    assert found.slowest > SLOWEST and found.grown > 2000 / 20
    left, _ = _left_behind(Careless())
    Careless.heard.clear()
    assert left > ROOM


def test_the_strings_are_of_every_kind_and_always_the_same():
    texts, again = (
        list(hostile_texts(np.random.default_rng(0), ["go north", "Answer: 5"], MANY))
        for _ in range(2)
    )
    assert texts == again and len(set(texts)) > MANY * 0.6
    assert set(STRINGS) <= set(texts)
    assert sum(len(text) == LONG for text in texts) >= MANY // 250
    for kind in ("\x00", "\n", "\ud800", "\u202e", "go north", "DROP TABLE", "tool_call", "$("):
        assert any(kind in text for text in texts), kind
    categories = {unicodedata.category(letter) for text in texts for letter in text[:50]}
    assert {"Cc", "Cs", "Cf", "Mn", "Lo", "So", "Nd", "Nl", "Zs", "Zl"} <= categories
