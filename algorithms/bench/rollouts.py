"""Rollouts of the sampling engine beside `generate` and the bare loop, and where their time goes.

Each regime and length is measured in one go: engine and bare loop in turns, the best of each, so
that a busy moment of the machine hits both. What the bare loop is told are the lengths that the
engine's answers had. `generate` is timed once; where that takes minutes, one turn stands for five.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict

import torch

from agents import lm
from agents.chat import Chat
from agents.lm import LMPolicy
from agents.protocols import Conversation
from agents.rollout import collect
from agents.sampling import Sampling
from agents.sources import EnvLike
from lmenvs.types import Action, Episode, Message

from .limit import bare, generated
from .scene import ANSWER, Talk, make_model, make_tokenizer

WIDTH = 32  # conversations at once
MOST = 10  # repetitions; the best one counts, and a short one is easily disturbed
LONG = 30  # from so many turns on, `generate` is timed at every fifth
TURNS = (5, 20, 50)


@dataclass(frozen=True, slots=True)
class Regime:
    """How long answers and episodes are."""

    name: str
    stop: float  # probability of the stop token at every token, about
    mixed: bool = False  # episodes of 2 to 2T turns, a slot refilled as soon as one ends
    episodes: int = WIDTH
    beside_generate: bool = True


REGIMES = (
    Regime("turns of equal length", 0.0),
    Regime("random stops", 0.15),
    Regime("mixed episodes, refill", 0.15, mixed=True, episodes=2 * WIDTH, beside_generate=False),
)


class Rollout(TypedDict):
    """What one regime and length gave; speeds are of sampled tokens."""

    regime: str
    turns: int
    tokens_per_second: float
    episodes_per_second: float
    limit: float  # tokens a second of the bare loop
    of_limit: float
    generate: float | None  # tokens a second of `generate` on the whole history
    times_generate: float | None
    forwarded_per_distinct: float
    tokens_per_answer: float
    shares: dict[str, float]  # of the rollout's time


def rollout(
    regime: Regime, turns: int, seed: int, *, seconds: float = 20.0, **shape: int
) -> Rollout:
    """Measure one regime at one length.

    Args:
        regime: How long answers and episodes are.
        turns: Of each episode; with mixed lengths about the mean.
        seed: Seeds weights, tasks and samples.
        seconds: Repeat for so long: at least twice, and no more than `MOST` times.
        shape: Sizes of the model; see `scene.make_model`.
    """
    model = make_model(stop=regime.stop, seed=seed, **shape)
    policy = Timed(model, Chat(make_tokenizer()), Sampling(max_new_tokens=ANSWER))
    mine: list[float] = []
    limits: list[float] = []
    episodes: list[Episode] = []
    answers: list[list[int]] = []
    before = 0
    began = time.perf_counter()
    while len(mine) < 2 or (len(mine) < MOST and time.perf_counter() - began < seconds):
        before = policy.forwarded_tokens
        spent, episodes = _played(policy, regime, turns, seed)
        mine.append(spent)
        answers = [[len(turn.action.token_ids) for turn in e.turns] for e in episodes]
        limits.append(bare(model, answers, WIDTH, seed))
    sampled = sum(map(sum, answers))
    asked = sum(len(turn.action.prompt_ids) for e in episodes for turn in e.turns)
    found: Rollout = {
        "regime": regime.name,
        "turns": turns,
        "tokens_per_second": sampled / min(mine),
        "episodes_per_second": len(episodes) / min(mine),
        "limit": sampled / min(limits),
        "of_limit": min(limits) / min(mine),
        "generate": None,
        "times_generate": None,
        "forwarded_per_distinct": (policy.forwarded_tokens - before) / (sampled + asked),
        "tokens_per_answer": sampled / sum(map(len, answers)),
        "shares": shares(policy, lambda: _played(policy, regime, turns, seed)[0]),
    }
    if regime.beside_generate:
        taken, tokens = generated(model, turns, WIDTH, seed, every=5 if turns >= LONG else 1)
        found["generate"] = tokens / taken
        found["times_generate"] = found["tokens_per_second"] / found["generate"]
    return found


def _played(policy: LMPolicy, regime: Regime, turns: int, seed: int) -> tuple[float, list[Episode]]:
    """Seconds, and the episodes."""
    seeds = range(seed, seed + regime.episodes)
    began = time.perf_counter()
    episodes = collect(lambda: Talk(turns, regime.mixed), policy, seeds, width=WIDTH)
    return time.perf_counter() - began, episodes


# ---- where the time goes --------------------------------------------------------------------


class _TimedChat(Chat):
    """A chat format that counts the seconds in which text becomes tokens and back."""

    def __init__(self, chat: Chat):
        super().__init__(chat.tokenizer, chat.context)
        self.spent = 0.0

    def start(self, messages: Sequence[Message]) -> list[int]:
        began = time.perf_counter()
        found = super().start(messages)
        self.spent += time.perf_counter() - began
        return found

    def delta(self, messages: Sequence[Message], answered: int, stopped: bool) -> list[int] | None:
        began = time.perf_counter()
        found = super().delta(messages, answered, stopped)
        self.spent += time.perf_counter() - began
        return found

    def decode(self, ids: Sequence[int]) -> str:
        began = time.perf_counter()
        found = super().decode(ids)
        self.spent += time.perf_counter() - began
        return found


class Timed(LMPolicy):
    """The sampling engine with a clock around what a rollout calls."""

    def __init__(self, model: Any, chat: Chat, sampling: Sampling):
        self.clock = _TimedChat(chat)
        super().__init__(model, self.clock, sampling)
        self.spent = 0.0

    def submit(self, conversations: Sequence[Conversation]) -> None:
        """Take these up."""
        began = time.perf_counter()
        super().submit(conversations)
        self.spent += time.perf_counter() - began

    def advance(self) -> list[tuple[str, Action]]:
        """Work on what was submitted."""
        began = time.perf_counter()
        done = super().advance()
        self.spent += time.perf_counter() - began
        return done


def shares(policy: Timed, play: Callable[[], float]) -> dict[str, float]:
    """The shares of a rollout's time: forward, sampling, chat, scheduling, environment.

    Args:
        policy: What `play` asks.
        play: Plays a rollout and returns its seconds.
    """
    spent: dict[str, float] = defaultdict(float)
    policy.spent = policy.clock.spent = 0.0
    with _forward_timed(policy.model, spent), _sampling_timed(spent):
        whole = play()
    spent["chat"] = policy.clock.spent
    spent["scheduling"] = policy.spent - sum(spent.values())
    spent["environment"] = whole - policy.spent
    return {name: seconds / whole for name, seconds in spent.items()}


@contextmanager
def _forward_timed(model: Any, spent: dict[str, float]) -> Generator[None]:
    """Add the seconds in the decoder and in the output layer to `spent["forward"]`."""
    began: list[float] = []

    def enter(*_: object) -> None:
        began.append(time.perf_counter())

    def leave(*_: object) -> None:
        spent["forward"] += time.perf_counter() - began.pop()

    parts = (model.get_decoder(), model.get_output_embeddings())
    hooks = [hook for part in parts for hook in _hooks(part, enter, leave)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hooks(part: torch.nn.Module, enter: Any, leave: Any) -> Iterator[Any]:
    yield part.register_forward_pre_hook(enter)
    yield part.register_forward_hook(leave)


@contextmanager
def _sampling_timed(spent: dict[str, float]) -> Generator[None]:
    """Add the seconds in which tokens are drawn to `spent["sampling"]`."""
    draw = lm.draw

    def timed(*given: Any) -> Any:
        began = time.perf_counter()
        found = draw(*given)
        spent["sampling"] += time.perf_counter() - began
        return found

    lm.draw = timed
    try:
        yield
    finally:
        lm.draw = draw


def overhead(env: EnvLike, policy: Timed, seeds: Sequence[int], max_turns: int) -> dict[str, float]:
    """The shares of a rollout in an environment; see `shares`."""

    def play() -> float:
        began = time.perf_counter()
        collect(env, policy, seeds, width=64, max_turns=max_turns)
        return time.perf_counter() - began

    return shares(policy, play)
