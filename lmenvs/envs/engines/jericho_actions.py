"""Which commands would change a story that jericho knows, without a language model.

jericho's own detector takes the names of things from texts with spaCy, whose model it downloads.
Here they are the nouns of the story's dictionary that stand in its description of the room and of
what is carried, or in the tree of objects. The commands are then jericho's: the templates of the
story's grammar, filled with the names and tried one after the other.
"""

import re
from collections.abc import Callable
from typing import Any

from .jericho_commands import read_command

WORD = re.compile(r"[a-z][a-z'-]*")
ALL = "all"


def find_actions(story: Any, recognised: Callable[[str], bool]) -> list[str]:
    """One command for each different effect on the world, sorted; the story stays as it was.

    Args:
        story: A `jericho.FrotzEnv` of a story that jericho knows.
        recognised: Whether an answer is one to a command that was understood, on things in sight.
    """
    from jericho.util import verb_usage_count

    before = story.get_state()
    names = [*_name_things(story, before, recognised), ALL]
    filled = story.act_gen.generate_actions(names)
    candidates = [command for command in filled if read_command(command)[1] is None]
    effects = story._filter_candidate_actions(candidates, True, False)
    found: list[str] = []
    for same in effects.values():
        valid = [command for command in same if recognised(_try(story, before, command))]
        if valid:
            found.append(max(sorted(valid), key=verb_usage_count))
    story.set_state(before)
    return sorted(found)


def _try(story: Any, before: Any, command: str) -> str:
    """The answer to a command in a state."""
    story.set_state(before)
    answer = story.frotz_lib.step(command.encode() + b"\n").decode("cp1252", "replace")
    if story._emulator_halted():
        story.reset()  # else it would never answer again
    return answer


def _name_things(story: Any, before: Any, recognised: Callable[[str], bool]) -> list[str]:
    """A name for each thing that can be examined; those with one description are one thing."""
    described: dict[str, str] = {}
    for name in _nouns(story, before):
        answer = _try(story, before, f"examine {name}")
        if recognised(answer):
            described.setdefault(answer, name)
    return list(described.values())


def _nouns(story: Any, before: Any) -> list[str]:
    """The dictionary's nouns in sight, those in the tree of objects first."""
    dictionary = story.get_dictionary()
    known = {word.word for word in dictionary if word.is_noun}
    known = known or {word.word for word in dictionary}  # not all stories tell the parts of speech
    length = max(map(len, known), default=0)
    told = [
        word
        for question in ("look", "inventory")
        for word in WORD.findall(_try(story, before, question).lower())
    ]
    story.set_state(before)
    around = sorted({words[-1] for words in _tree(story) if words})
    nouns = dict.fromkeys([*around, *sorted(set(told))])
    return [word for word in nouns if word[:length] in known]


def _tree(story: Any) -> list[list[str]]:
    from jericho.util import get_subtree

    place = story.get_player_location()
    if place is None:
        return []
    player = story.get_player_object()
    around = get_subtree(place.child, story.get_world_objects())
    return [WORD.findall(thing.name.lower()) for thing in around if thing != player]
