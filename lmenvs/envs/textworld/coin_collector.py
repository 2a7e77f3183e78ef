"""The coin collector: explore a chain of rooms, with or without dead ends, and take the coin."""

from collections import deque
from functools import lru_cache

from lmenvs.arguments import check_count
from lmenvs.core import OnInvalid
from lmenvs.splits import Split

from .base import (
    Description,
    Objective,
    Reward,
    TextWorldEnv,
)
from .games import Game
from .relabel import BACK, hash_labels
from .session import Answer, State

LEVELS = 300
MOST_ROOMS = 100  # TextWorld's bound for a .z8 story
TURNS_PER_ROOM = (3, 3, 5)  # by dead ends per room of the chain: enough to try every exit
COIN = "take coin"


def rooms_of_level(level: int) -> tuple[int, int]:
    """(quest length, rooms) of a difficulty level.

    >>> rooms_of_level(5), rooms_of_level(104)
    ((5, 5), (4, 8))
    """
    quest_length = (level - 1) % 100 + 1
    return quest_length, quest_length * ((level - 1) // 100 + 1)


class TextWorldCoinCollector(TextWorldEnv):
    """Find the coin in a house of rooms and take it.

    Description:
        A chain of `quest_length` rooms leads from the player to a coin; at levels above 100 every
        room of the chain has dead ends too (one above 100, two above 200). Nothing says where the
        coin is: the player explores. Rooms are a tree, and going back is always possible.

    Actions:
        Commands such as `go east` and `take coin`, in any case and spacing, in quotes or asterisks,
        with or without a full stop; TextWorld's synonyms (`e`, `get coin`, `look`, `examine coin`,
        `inventory`) work too. A text that is not one line of printable characters of at most 198 is
        `unsafe`; one that the parser cannot read, a meta-command (`restart`, `save`, `undo`, ...),
        several commands or things in one line (`then`, `and`, `all`), or a pronoun is `malformed`;
        a command that this state does not allow is `inadmissible`. Invalid texts change nothing;
        they are answered by the environment, or by the interpreter where it understands them.
        `admissible_actions()` leaves out `look`, `inventory` and `examine`, which never change
        anything here.

    Observations:
        At first the goal (as `objective` says) and the room; then what the interpreter answers,
        without banner, status line and turn count.

    Rewards:
        "sparse": 1 for taking the coin, else 0. "dense": TextWorld's intermediate reward: 1 for a
        command that shortens its plan to the coin, -1 for one that lengthens it. An invalid action
        costs nothing but its turn under "penalise" (the default) and "noop".

    Episode end:
        Terminated when the coin is taken (success) and at the turn limit. Never truncated.

    Arguments:
        level: 1 to 300 (fewer where the house would pass 100 rooms): the length of the chain is
            `(level - 1) % 100 + 1`. Level 104 with games 0 to 447 comes compiled with the package.
        split: "all", "train" or "test"; halves by the hash of map and coin, blind to room names.
        games, first_game: The pool of game numbers; None is every 31-bit number.
        reward: "sparse" or "dense".
        objective: "goal", "full" (the game's own, which spells out every step) or "none".
        description: "full", or "name" for the title line of a room only (use it with `admissible`).
        admissible: End every observation with `Commands: go east, go north`.
        relabel: Turn or mirror the map and exchange the room names, as drawn with the task.
        turn_limit: None is 3 turns for each room of the chain, 5 above level 200: enough for an
            explorer with perfect memory.
        `reset(options={"game": number})` pins a game.

    Capability:
        Exploration and memory. The expert is fair: it explores depth first from what it has seen.

    Source:
        TextWorld's coin collector (Cote et al., 2018; Yuan et al., 2018), played on the real
        interpreter. The split, the goal sentence and the turn limit are this project's.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring
        lmenvs/TextWorldCoinCollector-v0
        TextWorldCoinCollector-v0
            min 0: by the rules
            max 1: by the rules; TextWorld's own plan reaches it within half the turns
            average 0.44 +- 0.035: uniform over legal actions, seeds 0 to 199
            expert 1 +- 0: the expert, seeds 0 to 199
        TextWorldCoinCollector-v0?games=448&level=104
            min 0: by the rules
            average 0.19795 +- 0: exact, uniform over legal actions
            max 1 +- 0: exact, with everything seen
            expert 1 +- 0: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    lists_looking = False
    planned = False  # in a tree of rooms the plan is the way to the coin, which is cheaper to know

    def __init__(
        self,
        *,
        level: int = 5,
        split: Split = "all",
        games: int | None = None,
        first_game: int = 0,
        reward: Reward = "sparse",
        objective: Objective = "goal",
        description: Description = "full",
        admissible: bool = False,
        relabel: bool = False,
        turn_limit: int | None = None,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        check_count("level", level, 1, LEVELS)
        quest_length, rooms = rooms_of_level(level)
        if rooms > MOST_ROOMS:
            raise ValueError(
                f"level={level} has {rooms} rooms; TextWorld's games have at most {MOST_ROOMS}"
            )
        if turn_limit is None:
            turn_limit = quest_length * TURNS_PER_ROOM[(level - 1) // 100]
        super().__init__(
            family="coin_collector",
            parameters=(("quest_length", quest_length), ("nb_rooms", rooms)),
            turn_limit=turn_limit,
            split=split,
            games=games,
            first_game=first_game,
            reward=reward,
            objective=objective,
            description=description,
            admissible=admissible,
            relabel=relabel,
            on_invalid=on_invalid,
            admissible_info=admissible_info,
            render_mode=render_mode,
        )

    def _instructions(self) -> str:
        return (
            "You are in a house. Explore its rooms, find the coin and take it. Answer with one "
            f"command a turn, such as: go east, take coin. You have {self.turn_limit} turns."
        )

    def _goal(self) -> str:
        return "Goal: find the coin and take it."

    def _gain(self, before: State, answer: Answer) -> float:
        after = answer.state
        if self._reward == "sparse":
            return float(after.score - before.score)
        needed = _distances(self.game)
        nearer = needed[before.room] - (0 if after.won else needed[after.room])
        return float((nearer > 0) - (nearer < 0))

    def progress(self) -> float:
        """1 minus the commands still needed over those needed at first; 1.0 exactly at success."""
        if self._state.won:
            return 1.0
        needed = _distances(self.game)
        return max(0.0, 1.0 - needed[self._state.room] / needed[self._states[0].room])

    def state_key(self) -> str:
        """The game, the player's room, the coin, and the relabelling."""
        return f"{self.game.key}/{self._state.world}/{hash_labels(self._labels)}"

    def expert_action(self) -> str:
        """Take the coin if it is here, else try the nearest exit not tried yet; fair."""
        if COIN in (self._state.commands or ()):
            return self._say(COIN)
        step = explore([_exits(state.commands) for state in self._states], list(self._commands))
        return self._say(f"go {step}") if step else "look"


def _exits(commands: tuple[str, ...] | None) -> list[str]:
    return [command[3:] for command in commands or () if command.startswith("go ")]


@lru_cache(maxsize=4096)
def _distances(game: Game) -> dict[str, int]:
    return distances(game.logic())


def distances(logic: object) -> dict[str, int]:
    """For each room of a `textworld.Game`, the commands needed to have the coin."""
    neighbours: dict[str, list[str]] = {}
    coin = ""
    for fact in logic.world.facts:  # type: ignore[attr-defined]  # textworld is not typed
        names = [argument.name for argument in fact.arguments]
        if fact.name == "free":
            neighbours.setdefault(names[1], []).append(names[0])
        elif fact.name == "at" and names[0] != "P":
            coin = names[1]
    needed, queue = {coin: 1}, deque([coin])
    while queue:
        room = queue.popleft()
        for other in neighbours.get(room, []):
            if other not in needed:
                needed[other] = needed[room] + 1
                queue.append(other)
    return needed


def explore(exits: list[list[str]], commands: list[str]) -> str | None:
    """The first step to the nearest exit that was not tried, in a house seen so far.

    Args:
        exits: The exits seen in each room entered, in order; one more than `commands`.
        commands: The moves made.

    >>> explore([["east", "north"], ["west"]], ["go east"])
    'west'
    """
    house: list[dict[str, int]] = [{}]  # for each room known, where its tried exits lead
    seen = [exits[0]]
    here = 0
    for command, found in zip(commands, exits[1:], strict=True):
        direction = command.split()[-1]
        if direction not in BACK:
            continue
        if direction not in house[here]:
            house.append({BACK[direction]: here})
            seen.append(found)
            house[here][direction] = len(house) - 1
        here = house[here][direction]
    queue: deque[tuple[int, str | None]] = deque([(here, None)])
    visited = {here}
    while queue:
        room, first = queue.popleft()
        for direction in seen[room]:
            if direction not in house[room]:
                return first or direction
        for direction, other in sorted(house[room].items()):
            if other not in visited:
                visited.add(other)
                queue.append((other, first or direction))
    return None
