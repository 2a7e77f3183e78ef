"""The house of Text-Nav: eight rooms, a stale food on a table, a fridge that it belongs into."""

from collections import deque
from typing import Any

from .engine import textworld
from .houses import actions_of
from .relabel import BACK

ROOMS = (
    "bedroom",
    "office",
    "bathroom",
    "living room",
    "kitchen",
    "dining room",
    "garden",
    "backyard",
)
WAYS = (
    ("bedroom", "west", "living room"),
    ("living room", "west", "dining room"),
    ("dining room", "west", "kitchen"),
    ("kitchen", "north", "garden"),
    ("living room", "south", "office"),
    ("office", "east", "bathroom"),
    ("bedroom", "south", "bathroom"),
    ("kitchen", "west", "backyard"),
)
EXITS: dict[str, dict[str, str]] = {room: {} for room in ROOMS}
"""Where each direction leads, by room; no two rooms have the same directions."""
for _room, _direction, _other in WAYS:
    EXITS[_room][_direction] = _other
    EXITS[_other][BACK[_direction]] = _room

FURNITURE = (
    ("bedroom", "s", "table", (("o", "bowl"),)),
    ("office", "c", "chest", (("o", "utensils"),)),
    ("living room", "s", "table", (("f", "stale food"), ("f", "fresh food"))),
    ("dining room", "s", "table", (("o", "coffee cup"), ("o", "plate"))),
    ("kitchen", "c", "fridge", (("f", "fruit"),)),
)
"""(room, supporter or container, name, what is on or in it); containers begin closed."""

WORDING = 1234  # one seed for all: every start has the same descriptions


def way(start: str, goal: str) -> list[str]:
    """The shortest way through the house, as directions.

    >>> way("backyard", "living room"), way("kitchen", "kitchen")
    (['east', 'east', 'east'], [])
    """
    found: dict[str, list[str]] = {start: []}
    queue = deque([start])
    while queue:
        room = queue.popleft()
        for direction, other in EXITS[room].items():
            if other not in found:
                found[other] = [*found[room], direction]
                queue.append(other)
    return found[goal]


def solution(start: str) -> list[str]:
    """The shortest commands that win from a room."""
    first, second = way(start, "living room"), way("living room", "kitchen")
    return [
        *(f"go {direction}" for direction in first),
        "take stale food from table",
        *(f"go {direction}" for direction in second),
        "open fridge",
        "insert stale food into fridge",
        "close fridge",
    ]


def nav_house(options: Any, start: str) -> Any:
    """A `textworld.Game`: the house, with the player in the room `start`."""
    package = textworld()
    from textworld.generator.game import Event, Quest

    options.seeds = WORDING
    options.grammar.include_adj = False
    options.grammar.only_last_action = True
    options.grammar.blend_instructions = True
    options.grammar.blend_descriptions = True
    maker = package.GameMaker(options)
    rooms = {name: maker.new_room(name) for name in ROOMS}
    for room, direction, other in WAYS:
        maker.connect(rooms[room].exits[direction], rooms[other].exits[BACK[direction]])
    things: dict[str, Any] = {}
    for room, kind, name, content in FURNITURE:
        holder = things[name] = maker.new(type=kind, name=name)
        if kind == "c":
            holder.add_property("closed")
        rooms[room].add(holder)
        for kind_of_thing, thing in content:
            things[thing] = maker.new(type=kind_of_thing, name=thing)
            holder.add(things[thing])
    maker.set_player(rooms[start])
    food, fridge = things["stale food"], things["fridge"]
    fact = maker.new_fact
    stored = Event(conditions=(fact("in", food, fridge), fact("closed", fridge)))
    eaten = Event(conditions=(fact("eaten", food),))
    maker.quests = [Quest(win_events=[stored], fail_events=[eaten], reward=1)]
    stored.actions = actions_of(maker.build(), solution(start))
    return maker.build()
