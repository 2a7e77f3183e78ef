"""Whether the interpreter can tell the things of a game apart.

A thing answers to every word of its name. Where "chest" and "American chest" are in one place,
"chest" may mean either; the interpreter asks which, and no answer means the first. Commands that
the game lists cannot be given then, and some games cannot be won.
"""

from collections.abc import Mapping
from typing import Any


def mistakable(logic: Any) -> tuple[str, str] | None:
    """Two names of a `textworld.Game`, one within the other, of things that can meet; or None."""
    places = _places(logic)
    words = {thing: frozenset(logic.infos[thing].name.lower().split()) for thing in places}
    for thing in sorted(places):
        for other in sorted(places):
            if thing != other and words[thing] <= words[other]:
                here, there = places[thing], places[other]
                if not here or not there or here & there:
                    return logic.infos[thing].name, logic.infos[other].name
    return None


def _places(logic: Any) -> Mapping[str, frozenset[str]]:
    """For each thing with a name, the rooms it is in; none for what can be carried anywhere."""
    holders: dict[str, set[str]] = {}
    for fact in logic.world.facts:
        names = [argument.name for argument in fact.arguments]
        if fact.name in ("at", "in", "on"):
            holders.setdefault(names[0], set()).add(names[1])
        elif fact.name == "link":  # a room, a door, the room behind it
            holders.setdefault(names[1], set()).update((names[0], names[2]))
    rooms = {thing for thing, info in logic.infos.items() if info.type == "r"}

    def rooms_of(thing: str) -> frozenset[str]:
        if thing in rooms:
            return frozenset({thing})
        return frozenset().union(*(rooms_of(holder) for holder in holders.get(thing, ())))

    carried = logic.kb.types
    return {
        thing: frozenset() if carried.is_descendant_of(info.type, "o") else rooms_of(thing)
        for thing, info in logic.infos.items()
        if info.name and thing in holders and info.type != "P"
    }
