"""One running ALFWorld game: TextWorld's PDDL logic and grammar, stepped and put into words.

TextWorld's own `PddlEnv` grounds a game anew at every reset; this world grounds it once, names
things as ALFWorld does, and tells its plan when it is asked.
"""

import contextlib
import importlib
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from hashlib import blake2b
from types import ModuleType
from typing import Any

from .alfworld_plan import Fact, find_plan, goal_of
from .replay import Answer, State

NOTHING = "Nothing happens."
_LETTERS = (
    ("_bar_", "|"),
    ("_minus_", "-"),
    ("_plus_", "+"),
    ("_dot_", "."),
    ("_comma_", ","),
)

# Each running world has its own copy of the planner's library. Copies are used again and never
# unloaded, since unloading one can crash the process; there are never more than worlds at a time.
_LIBRARIES: list[Any] = []


def pddl_logic() -> ModuleType:
    """TextWorld's PDDL part, imported when a game is first opened.

    Raises:
        ImportError: if it is not installed; the line says what to install.
    """
    from ..textworld.engine import textworld

    textworld()
    try:
        importlib.import_module("fast_downward")
    except ModuleNotFoundError as error:
        raise ImportError(
            "this environment needs TextWorld's planner; pip install 'lmenvs[alfworld]' (it is "
            "compiled on installation: have cmake, make and g++)"
        ) from error
    return importlib.import_module("textworld.envs.pddl.logic")


@contextlib.contextmanager
def _undisturbed() -> Generator[None]:
    """The planner's translator replaces the program's arguments and prints; undo both."""
    arguments = sys.argv
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.argv = arguments


def name_things(ids: Sequence[str]) -> dict[str, str]:
    """What ALFWorld calls its things: kind and number.

    Ids are counted by kind, and the first in alphabetical order has the highest number.

    >>> name_things(["cup_bar_b", "cup_bar_a", "sink_bar_1_bar_sinkbasin", "agent1"])
    {'agent1': 'agent1', 'cup_bar_a': 'cup 2', 'cup_bar_b': 'cup 1', \
'sink_bar_1_bar_sinkbasin': 'sinkbasin 1'}
    """
    names: dict[str, str] = {}
    ordered = sorted(set(ids))
    left = Counter(_kind(thing) for thing in ordered)
    for thing in ordered:
        kind = _kind(thing)
        if "_bar_" in thing:
            names[thing] = f"{kind} {left[kind]}"
            left[kind] -= 1
        else:
            names[thing] = _unmangled(thing)
    return names


def _kind(thing: str) -> str:
    head, bar, _ = thing.partition("_bar_")
    if not bar:
        return thing
    return _unmangled(head) + ("basin" if "basin" in thing else "")


def _unmangled(text: str) -> str:
    for mangled, letter in _LETTERS:
        text = text.replace(mangled, letter)
    return text


class PddlWorld:
    """A running game; see `replay.World`.

    Args:
        sheet: A game file's content: `pddl_domain`, `pddl_problem` and `grammar`.
    """

    def __init__(self, sheet: Mapping[str, Any]):
        logic = pddl_logic()
        fast_downward: Any = importlib.import_module("fast_downward")
        from textworld.generator.game import EntityInfo

        self._make_atoms = fast_downward.Atom
        self._goal = goal_of(sheet["pddl_problem"])
        self._library: Any = _LIBRARIES.pop() if _LIBRARIES else fast_downward.load_lib()
        with _undisturbed():
            self._logic: Any = logic.GameLogic(
                domain=sheet["pddl_domain"], grammar=sheet["grammar"]
            )
            self._world: Any = logic.PddlState(self._library, sheet["pddl_problem"], self._logic)
        self._start = list(self._world.facts)
        kinds = {thing.name: thing.type for fact in self._start for thing in fact.arguments}
        self._infos: dict[str, Any] = {}
        for thing, name in name_things(list(kinds)).items():
            info: Any = EntityInfo(thing, kinds[thing])
            info.name, info.definite, info.indefinite = name, "the", "a"
            self._infos[thing] = info
        self._said: dict[tuple[str, tuple[str, ...]], str] = {}
        self.prefix: tuple[str, ...] = ()
        self._state = State("")
        self._fluents: frozenset[str] = frozenset()
        self._constant: set[Fact] = set()
        self._actions: dict[str, Any] = {}
        self._first = self.begin()

    def begin(self) -> Answer:
        """Go back to the start."""
        self._library.load_sas(self._world.sas.encode())
        self._library.load_sas_replan(self._world.sas_replan.encode())
        self._world.remove_facts(list(self._world.facts))
        self._world.add_facts(self._start)
        self.prefix = ()
        atoms = self._atoms()
        self._fluents = frozenset(_predicate(atom) for atom in atoms)
        self._constant = {_fact(fact) for fact in self._start} - _positive(atoms)
        self._look_around()
        return Answer(self._derive("#intro#", {}), self._state)

    def run(self, command: str) -> Answer:
        """Play one of the admissible commands; any other one changes nothing."""
        action = self._actions.get(command)
        if action is None:
            verbs = {listed.split()[0] for listed in self._verbs()}
            known = command.split()[0] in verbs if command else False
            return Answer(NOTHING, self._state, "inadmissible" if known else "malformed")
        self._world.apply(action)
        before = self._state
        self._look_around()
        if self._state.key != before.key:
            self.prefix = (*self.prefix, command)
        return Answer(self._derive(action.feedback_rule, action.mapping), self._state)

    def tell(self, question: str) -> tuple[str, ...] | None:
        """The admissible "actions", or the planner's "plan" (empty if it finds none)."""
        if question == "actions":
            return tuple(sorted(self._actions))
        assert question == "plan", question
        if self._state.over:
            return ()
        with _undisturbed():
            plan = find_plan(self._logic.domain, self._goal, self._world.name2type, self._true())
        return tuple(self._plan_step(operator) for operator in plan)

    def close(self) -> None:
        """Let another game have the planner."""
        if self._library is not None:
            _LIBRARIES.append(self._library)
            self._library = None

    # ---- words ------------------------------------------------------------------------------

    def _verbs(self) -> Sequence[str]:
        return [action.template for action in self._logic.actions.values()]

    def _look_around(self) -> None:
        won = bool(self._world.check_goal())
        # the words depend on TextWorld's facts, what is possible on the planner's own state; where
        # an effect has a condition, the two may differ
        facts = sorted(str(fact) for fact in self._world.facts)
        told = "\n".join([*facts, *self._atoms(), str(won)])
        key = blake2b(told.encode(), digest_size=12).hexdigest()
        self._state = State(key, float(won), won, won)
        self._actions = {}
        actions = sorted(self._world.all_applicable_actions(), key=_action_name)
        for action in actions:
            self._actions.setdefault(self._say(action.name, action.mapping), action)

    def _atoms(self) -> list[str]:
        """What can change, as the planner has it: `Atom holds(agent1, cup_bar_1)`."""
        atoms = (self._make_atoms * self._library.get_state_size())()
        self._library.get_state(atoms)
        return [atom.name for atom in atoms]

    def _true(self) -> set[Fact]:
        """All that is true now."""
        return self._constant | _positive(self._atoms())

    def _plan_step(self, operator: str) -> str:
        from textworld.logic import Placeholder, Variable

        name, *things = operator.split()
        parameters = self._world._actions[name].parameters
        mapping = {
            Placeholder(parameter.name.strip("?"), parameter.type_name): Variable(
                thing, parameter.type_name
            )
            for parameter, thing in zip(parameters, things, strict=True)
        }
        return self._say(name, mapping)

    def _say(self, name: str, mapping: Mapping[Any, Any]) -> str:
        """An action as a command."""
        template = self._logic.actions[name].template
        things = tuple(variable.name for variable in mapping.values())
        said = self._said.get((name, things))
        if said is None:
            names = {thing: info.name for thing, info in self._infos.items()}
            filled = self._derive(template, mapping)
            fields = {holder.name: names[thing.name] for holder, thing in mapping.items()}
            said = filled.format(**fields) if "{" in filled else filled
            words = {word.removeprefix("not_") for word in re.findall(r"\w+", template)}
            if "#" not in template and not words & self._fluents:
                self._said[name, things] = said  # these words depend on the things alone
        return said

    def _derive(self, symbol: str, mapping: Mapping[Any, Any]) -> str:
        context = {
            "state": self._world,
            "facts": list(self._world.facts),
            "variables": {
                holder.name: self._infos[thing.name] for holder, thing in mapping.items()
            },
            "mapping": mapping,
            "entity_infos": self._infos,
        }
        return self._logic.grammar.derive(symbol, context).strip()


def _fact(proposition: Any) -> Fact:
    return (proposition.name, *(thing.name for thing in proposition.arguments))


def _positive(atoms: Sequence[str]) -> set[Fact]:
    """The true ones among the planner's atoms that are facts of the game."""
    found = (re.fullmatch(r"Atom ([\w-]+)\((.*)\)", atom) for atom in atoms)
    return {(match[1], *match[2].split(", ")) for match in found if match and match[2]}


def _predicate(atom: str) -> str:
    return atom.partition(" ")[2].partition("(")[0]


def _action_name(action: Any) -> tuple[str, tuple[str, ...]]:
    return action.name, tuple(thing.name for thing in action.mapping.values())


def read_sheet(content: bytes, name: str) -> dict[str, Any]:
    """A game file's content.

    Raises:
        ValueError: if it is not a game of ALFWorld; the line says what is missing.
    """
    try:
        sheet = json.loads(content)
    except ValueError as error:
        raise ValueError(
            f"{name}: expected a game of ALFWorld (JSON), got something else ({error}); "
            "download the data again"
        ) from error
    missing = {"pddl_domain", "pddl_problem", "grammar"} - set(sheet)
    if missing:
        raise ValueError(
            f"{name}: expected a game of ALFWorld, but {sorted(missing)} are missing; download the "
            "data again"
        )
    return sheet
