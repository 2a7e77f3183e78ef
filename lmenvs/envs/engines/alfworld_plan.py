"""Plans for ALFWorld's tasks: TextWorld's planner on as much of a room as the task needs.

The planner searches blindly, cheapest first. In a kitchen with sixty things in thirty places that
can take minutes and gigabytes. So it is given a smaller room: the best few of the things that the
task is about, where they are, where they belong, and what cleans, heats or cools them.
"""

import importlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

Fact = tuple[str, ...]
"""A predicate and what it holds of, such as ("holds", "agent1", "cup_bar_1")."""

GOODS = 3  # things of a kind to choose from, and one more where two are to be put together
PLACES = 2  # places of a kind to choose from
_DOES = {
    "isclean": ("sinktype", "sinkbasintype"),
    "ishot": ("microwavetype",),
    "iscool": ("fridgetype",),
}
"""What a thing can be made, and the kinds of places that do it."""
_KINDS = ("otype", "rtype")

_PLANNERS: list[Any] = []  # the library's own copy for plans; never unloaded


def find_plan(
    domain: str, goal: str, objects: Mapping[str, str], facts: Collection[Fact]
) -> list[str]:
    """The operators that lead from the facts to the goal ("openobject agent1 ..."); [] if none.

    Args:
        domain: The rules, in PDDL.
        goal: The goal, in PDDL, from "(:goal" to its closing bracket.
        objects: The type of each object.
        facts: All that is true now.
    """
    planner: Any = importlib.import_module("fast_downward")
    kept = choose_objects(goal, objects, facts)
    problem = _write_problem(domain, goal, {name: objects[name] for name in kept}, facts)
    _, plain = planner.pddl2sas(domain, problem)
    _, short = planner.pddl2sas(domain, problem, optimize=True)
    if not _PLANNERS:
        _PLANNERS.append(planner.load_lib())
    library = _PLANNERS[0]
    library.load_sas(plain.encode())
    library.load_sas_replan(short.encode())
    if not library.replan(False):
        return []
    operators = (planner.Operator * library.get_last_plan_length())()
    library.get_last_plan(operators)
    return [operator.name for operator in operators]


def goal_of(problem: str) -> str:
    """The goal of a PDDL problem, as it is written there.

    >>> goal_of("(define (problem p) (:goal (and (a) (b))) (:metric minimize (c)))")
    '(:goal (and (a) (b)))'
    """
    start = problem.index("(:goal")
    depth = 0
    for end in range(start, len(problem)):
        depth += {"(": 1, ")": -1}.get(problem[end], 0)
        if depth == 0:
            return problem[start : end + 1]
    raise ValueError("the goal of this game has no end; download the data again")


class _Room:
    """What is where."""

    def __init__(self, facts: Collection[Fact]):
        self._facts = facts
        self.kind = dict(self.pairs("objecttype"))
        self.spot = dict(self.pairs("receptacleatlocation"))
        kinds = self.pairs("receptacletype")
        # a place without a spot can be seen, but not gone to
        self.place_kind = {place: kind for place, kind in kinds if place in self.spot}
        self.places: dict[str, list[str]] = {}  # a pan is on the stove and on the counter around
        for thing, place in self.pairs("inreceptacle"):
            if place in self.spot:
                self.places.setdefault(thing, []).append(place)
        self.here = {location for _, location in self.pairs("atlocation")}
        self.held = {thing for _, thing in self.pairs("holds")}
        self._closed = self.those("openable") - self.those("opened")
        self.fits = set(self.pairs("cancontain"))

    def pairs(self, predicate: str) -> Iterable[tuple[str, str]]:
        return [(fact[1], fact[2]) for fact in sorted(self._facts) if fact[0] == predicate]

    def those(self, predicate: str) -> set[str]:
        return {fact[1] for fact in self._facts if fact[0] == predicate}

    def effort(self, place: str) -> tuple[int, str]:
        """How many commands it takes to get at what is in a place; the name decides a tie."""
        return (self.spot[place] not in self.here) + (place in self._closed), place

    def easiest(self, places: Iterable[str]) -> list[str]:
        return sorted(set(places), key=self.effort)[:PLACES]


def choose_objects(goal: str, objects: Mapping[str, str], facts: Collection[Fact]) -> set[str]:
    """What a shortest plan may need; all that is left out only offers the same at no less cost."""
    room = _Room(facts)
    words = set(re.findall(r"[\w-]+", goal.lower()))
    made = {state: room.those(state) for state in _DOES if state in words}
    ends = {place for place, kind in room.place_kind.items() if kind in words}
    spare = GOODS + ("=" in goal)

    makers = {p for p, kind in room.place_kind.items() for state in made if kind in _DOES[state]}

    def worth(thing: str) -> tuple[Any, ...]:
        places = room.places[thing]
        done = sum(thing in those for those in made.values())
        return -done, (ends | makers).isdisjoint(places), min(map(room.effort, places)), thing

    goods = set(room.held)
    for kind in sorted(words & set(room.kind.values())):
        those = (thing for thing in room.places if room.kind.get(thing) == kind)
        goods |= set(sorted(those, key=worth)[:spare])
    places = {place for thing in goods for place in room.places.get(thing, ())}
    places |= set(room.easiest(ends))
    for state in made:
        places |= set(room.easiest(p for p in makers if room.place_kind[p] in _DOES[state]))
    for thing in room.held:  # which may have to be put down first
        kind = room.kind.get(thing)
        places |= set(room.easiest(p for p, k in room.place_kind.items() if (k, kind) in room.fits))
    spots = {room.spot[place] for place in places} | room.here
    always = {name for name, kind in objects.items() if kind in (*_KINDS, "agent")}
    return (always | goods | places | spots) & set(objects)


def _write_problem(
    domain: str, goal: str, objects: Mapping[str, str], facts: Collection[Fact]
) -> str:
    named = re.search(r"\(:constants([^)]*)\)", domain)
    constants = set(named[1].lower().split()) if named else set[str]()
    declared = [f"{name} - {kind}" for name, kind in objects.items() if name not in constants]
    known = set(objects)
    true = [f"({' '.join(fact)})" for fact in sorted(facts) if known.issuperset(fact[1:])]
    name = re.search(r"\(domain\s+(\S+?)\s*\)", domain)
    lines = [
        f"(define (problem small) (:domain {name[1] if name else 'alfred'})",
        f"(:objects {' '.join(declared)})",
        f"(:init (= (total-cost) 0) {' '.join(true)})",
        f"{goal}",
        "(:metric minimize (total-cost)))",
    ]
    return "\n".join(lines)
