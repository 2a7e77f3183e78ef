"""Exact action values of a known player at every turn of its episodes.

Full view: backward induction over (state, turn) by `lmenvs.exact`. Coin collector: the values of
what the player knows. Every house of the pool, turned and mirrored in all eight ways, that agrees
with what was seen so far is equally likely; Q of a history is the mean of their values, which
backward induction gives over (room, way back, turn). Room names are shuffled with the task and say
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.scripted import listed_commands
from lmenvs.core import TextEnv
from lmenvs.exact import Solution, solve
from lmenvs.registration import make
from lmenvs.types import Episode

Floats = NDArray[np.float64]
COMPASS = ("east", "north", "west", "south")
TAKE = "take coin"
NOWHERE = 4  # the way back of a player who has not moved


@dataclass(frozen=True, slots=True)
class Moves:
    """What could be done at a turn.

    Attributes:
        actions: All that is admissible.
        chances_A: The player's probability of each.
        q_A: The exact value of each, with the player's own play after it.
    """

    actions: tuple[str, ...]
    chances_A: Floats
    q_A: Floats

    @property
    def value(self) -> float:
        """V = sum_a pi(a) Q(a)."""
        return float(self.chances_A @ self.q_A)


class Truth(Protocol):
    """Whose values are known."""

    def moves(self, episode: Episode) -> list[Moves]:
        """All that could be done at each turn of an episode of the player's."""
        ...


class FullView:
    """An environment whose state is in the observation, played by a noisy expert.

    Args:
        env: The string that names it.
        noise: The share of uniformly random actions; 1 needs no expert.
        discount: Per turn.
    """

    def __init__(self, env: str, noise: float, discount: float):
        self._noise = noise
        self._experts = _experts(env) if noise < 1 else {}
        self.solution: Solution = solve(env, discount, policy=self.chances)

    def chances(self, key: str, actions: Sequence[str]) -> list[float]:
        """The player's probability of each action in a state."""
        uniform, expert = self._noise / len(actions), self._experts.get(key)
        if self._noise < 1 and expert is None:
            raise ValueError(
                f"state {key!r}: the expert is asked in states that a game may start in, got "
                "another; give noise 1"
            )
        return [uniform + (1 - self._noise) * (action == expert) for action in actions]

    def moves(self, episode: Episode) -> list[Moves]:
        """All that could be done at each turn."""
        found: list[Moves] = []
        for number, turn in enumerate(episode.turns):
            key = str(turn.state_key)
            actions = tuple(self.solution.actions(key, number))
            q_A = np.array([self.solution.q(key, action, number) for action in actions])
            found.append(Moves(actions, np.array(self.chances(key, actions)), q_A))
        return found


def _experts(env: str) -> dict[str, str]:
    """What the expert does in every state that a game may start in."""
    world = make(env).unwrapped
    assert isinstance(world, TextEnv)
    found: dict[str, str] = {}
    for _, snapshot in world.start_states():
        world.restore(snapshot)
        found[world.state_key()] = world.expert_action()
    return found


class Houses:
    """The coin collector, played by `script:never-go-back`.

    Args:
        env: The string that names it, without `relabel`; the pool is small.
        noise: The share of uniformly random commands.
        discount: Per turn.
    """

    def __init__(self, env: str, noise: float, discount: float):
        world = make(env).unwrapped
        assert isinstance(world, TextEnv) and world.turn_limit is not None
        houses = [_house(world, snapshot) for _, snapshot in world.start_states()]
        rooms = max(len(house.ways) for house in houses)
        views = [view for house in houses for view in _views(house, rooms)]
        self._next_HRD = np.stack([ways for ways, _ in views])  # -1 where there is no exit
        self._coin_H = np.array([coin for _, coin in views])
        self._noise = noise
        chances_HRBA = self._chances()
        self.q_THRBA, self.v_THRB = self._solve(chances_HRBA, world.turn_limit, discount)
        self._chances_HRBA = chances_HRBA

    def _chances(self) -> Floats:
        """The player's probability of the four moves and of taking the coin."""
        exits = self._next_HRD >= 0
        here = np.arange(exits.shape[1]) == self._coin_H[:, None]
        options = np.concatenate([exits, here[..., None]], -1)[:, :, None].repeat(5, 2)
        moves = options & (np.arange(5) < 4)
        onward = moves & ~np.eye(5, dtype=bool)
        choices = np.where(onward.any(-1, keepdims=True), onward, moves)
        choices = np.where(here[:, :, None, None], np.arange(5) == 4, choices)
        return self._noise * _shares(options) + (1 - self._noise) * _shares(choices)

    def _solve(self, chances_HRBA: Floats, turns: int, discount: float) -> tuple[Floats, Floats]:
        houses, rooms, _ = self._next_HRD.shape
        values = np.zeros((turns + 1, houses, rooms, 5))
        q = np.zeros((turns, houses, rooms, 5, 5))
        number = np.arange(houses)[:, None]
        for turn in range(turns - 1, -1, -1):
            for way in range(4):
                after = values[turn + 1][number, self._next_HRD[:, :, way], (way + 2) % 4]
                q[turn][..., way] = discount * after[..., None]
            q[turn][..., 4] = 1.0
            values[turn] = (chances_HRBA * q[turn]).sum(-1)
        return q, values

    def moves(self, episode: Episode) -> list[Moves]:
        """All that could be done at each turn, by what the player knows then."""
        alive_H = np.arange(len(self._coin_H))
        rooms_H = np.zeros(len(alive_H), np.intp)
        back, found = NOWHERE, list[Moves]()
        for number, turn in enumerate(episode.turns):
            actions = tuple(listed_commands(turn.observation))
            index = [_number(action) for action in actions]
            seen = np.isin(np.arange(4), index)
            fits = ((self._next_HRD[alive_H, rooms_H] >= 0) == seen).all(-1)
            fits &= (self._coin_H[alive_H] == rooms_H) == (4 in index)
            alive_H, rooms_H = alive_H[fits], rooms_H[fits]
            if not len(alive_H):
                raise ValueError(
                    f"episode {episode.id}, turn {number}: no house of the pool looks like this; "
                    "give the pool that the episode was played in"
                )
            q_A = self.q_THRBA[number, alive_H, rooms_H, back].mean(0)[index]
            chances_A = self._chances_HRBA[alive_H[0], rooms_H[0], back][index]
            found.append(Moves(actions, chances_A, q_A))
            way = _number(turn.action.text)
            if way < 4:
                rooms_H, back = self._next_HRD[alive_H, rooms_H, way], (way + 2) % 4
        return found


@dataclass(frozen=True, slots=True)
class _House:
    ways: list[list[int]]  # for each room where each direction of the compass leads; -1 nowhere
    coin: int


def _house(world: TextEnv, start: object) -> _House:
    """Walk through a house until every exit was tried; room 0 is the first."""
    world.restore(start)  # type: ignore[arg-type]  # a Snapshot
    numbers = {world.state_key(): 0}
    waiting, ways, coin = [world.snapshot()], [[-1] * 4], -1
    for room, snapshot in enumerate(waiting):
        world.restore(snapshot)
        actions = world.admissible_actions() or []
        coin = room if TAKE in actions else coin
        for action in actions:
            if action == TAKE:
                continue
            world.restore(snapshot)
            world.step(action)
            key = world.state_key()
            if key not in numbers:
                numbers[key] = len(waiting)
                waiting.append(world.snapshot())
                ways.append([-1] * 4)
            ways[room][_number(action)] = numbers[key]
    return _House(ways, coin)


def _views(house: _House, rooms: int) -> list[tuple[NDArray[np.intp], int]]:
    """A house turned and mirrored in all eight ways, padded to so many rooms."""
    ways = np.full((rooms, 4), -1, np.intp)
    ways[: len(house.ways)] = house.ways
    return [
        (ways[:, [(turn + mirror * i) % 4 for i in range(4)]], house.coin)
        for mirror in (1, -1)
        for turn in range(4)
    ]


def _number(action: str) -> int:
    return 4 if action == TAKE else COMPASS.index(action.removeprefix("go "))


def _shares(options: NDArray[np.bool_]) -> Floats:
    return options / np.maximum(options.sum(-1, keepdims=True), 1)
