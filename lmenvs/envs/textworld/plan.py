"""The logic of a running game: its facts, the commands they allow, its quests and their plan.

The rules of TextWorld are asked for each set of facts once: what they allow is remembered for the
process, because asking takes as long as the interpreter's own answer.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from .engine import Reply

REMEMBERED = 1024  # situations of all games, 20 to 80 kilobytes each


@dataclass(frozen=True, slots=True)
class Situation:
    """What a set of facts allows.

    Attributes:
        actions: What can be done, as the logic has it.
        commands: The admissible commands, sorted.
        room: Where the player is.
        text: The facts in sorted order, as text.
    """

    actions: tuple[Any, ...]
    commands: tuple[str, ...]
    room: str
    text: str


_SEEN: OrderedDict[tuple[str, frozenset[Any]], Situation] = OrderedDict()


class Rules:
    """The rules of one game.

    Args:
        key: The game's content hash.
        logic: Its `textworld.Game`.
    """

    def __init__(self, key: str, logic: Any):
        from textworld.generator.inform7 import Inform7Game

        self.logic = logic
        self._key = key
        self._words = Inform7Game(logic)
        self._wants = [
            (rule, frozenset(fact.name for fact in rule.preconditions))
            for rule in logic.kb.rules.values()
        ]
        self._texts: dict[Any, str] = {}  # of facts, most of which hold in every situation

    def situation(self, state: Any) -> Situation:
        """What a `textworld.logic.State` allows."""
        facts = frozenset(state.facts)
        name = (self._key, facts)
        found = _SEEN.get(name)
        if found is None:
            found = _SEEN[name] = self._find(state, facts)
            if len(_SEEN) > REMEMBERED:
                _SEEN.popitem(last=False)
        else:
            _SEEN.move_to_end(name)
        return found

    def _find(self, state: Any, facts: frozenset[Any]) -> Situation:
        names = {fact.name for fact in facts}
        # a rule that wants what is nowhere has no action: most rules of most games
        rules = [rule for rule, wanted in self._wants if wanted <= names]
        constants = self.logic.kb.types.constants_mapping
        actions = tuple(state.all_applicable_actions(rules, constants))
        room = ""
        for fact in facts:
            if fact.name == "at" and fact.arguments[0].name == "P":
                room = fact.arguments[1].name
        return Situation(
            actions=actions,
            commands=tuple(sorted(set(self.commands(actions)))),
            room=room,
            text=repr(sorted(map(self._text, facts))),
        )

    def _text(self, fact: Any) -> str:
        found = self._texts.get(fact)
        if found is None:
            found = self._texts[fact] = str(fact)
        return found

    def meant(self, event: str, situation: Situation) -> Any | None:
        """The action that the interpreter's words for an event mean here, if it is one."""
        words = event.lower()
        # most actions are told apart by how their words begin, which costs nothing to know
        near = [action for action in situation.actions if words.startswith(self._head(action))]
        # in the order of names, because the logic lists actions in the order of hashes; those that
        # want most first, because the words may fit several
        near.sort(key=lambda action: (-len(action.preconditions), str(action)))
        return next((action for action in near if self._event(action) == words), None)

    def _head(self, action: Any) -> str:
        return self.logic.kb.inform7_events[action.name].partition("{")[0].lower()

    def _event(self, action: Any) -> str:
        matched = self.logic.kb.rules[action.name].match(action)
        names = {place.name: self.logic.infos[thing.name].name for place, thing in matched.items()}
        return self.logic.kb.inform7_events[action.name].format(**names).lower()

    def commands(self, actions: Any) -> list[str]:
        """The commands that make actions of the logic happen."""
        return self._words.gen_commands_from_actions(actions)


class Plan:
    """A game's logic as it unfolds.

    Args:
        rules: The rules of the game.
        tracked: Follow TextWorld's plan too: the commands that are left, and the dense reward. It
            takes as long as everything else together, so environments that need neither do without.
    """

    def __init__(self, rules: Rules, tracked: bool):
        from textworld.generator.game import QuestProgression

        logic = rules.logic
        self._rules = rules
        self._facts = logic.world.state.copy()
        self.situation = rules.situation(self._facts)
        self._moves: dict[str, tuple[str, int]] = {}
        self._count = 0
        self._quests = [_Progress(quest) for quest in logic.quests]
        self._progressions: list[Any] | None = None
        if tracked:
            self._progressions = [QuestProgression(quest, logic.kb) for quest in logic.quests]
            for progression in self._progressions:
                progression.update(action=None, state=self._facts)
        for quest in self._quests:
            quest.update(self._facts)
        self._policy = self._find_policy()

    def follow(self, reply: Reply) -> tuple[int, list[str]]:
        """Take over what happened: (intermediate reward, the commands it amounts to)."""
        before = self._policy
        done: list[str] = []
        for event in reply.events:
            action = self._rules.meant(event, self.situation)
            if action is not None:
                done += self._rules.commands([action])
                self._apply(action)
        if done:
            for quest in self._quests:
                quest.update(self._facts)
            self._policy = self._find_policy()
        if reply.won or reply.lost:
            return (1 if reply.won else -1), done
        after = self._policy
        if before is None or after is None:
            return (0 if before is None else -1), done
        difference = len(before) - len(after)
        return (difference > 0) - (difference < 0), done

    def _apply(self, action: Any) -> None:
        self._facts.apply(action)
        if action.added or action.removed:
            self.situation = self._rules.situation(self._facts)
            for fact in sorted(action.added, key=str):
                if fact.name in ("in", "on", "at") and len(fact.arguments) == 2:
                    thing, place = (argument.name for argument in fact.arguments)
                    self._count += 1
                    self._moves[thing] = (place, self._count)
        for progression in self._progressions or ():
            progression.update(action, self._facts)

    def world(self) -> str:
        """Everything that the interpreter's texts depend on."""
        places: dict[str, list[str]] = {}
        for thing, (place, _) in sorted(self._moves.items(), key=lambda item: item[1][1]):
            if thing != "P":
                places.setdefault(place, []).append(thing)
        quests = [(quest.completed, quest.triggered) for quest in self._quests]
        return f"({self.situation.text}, {sorted(places.items())!r}, {quests!r})"

    def shape(self) -> str:
        """How the plan for each quest has developed."""
        if self._progressions is None:
            return ""
        return repr(
            [
                [_shape(event) for event in (*quest.win_events, *quest.fail_events)]
                for quest in self._progressions
            ]
        )

    def policy(self) -> tuple[str, ...] | None:
        """Commands that win from here, if a plan is followed and there is one left."""
        return None if self._policy is None else tuple(self._rules.commands(self._policy))

    def _find_policy(self) -> tuple[Any, ...] | None:
        """TextWorld's own plan: the plans of the open quests, merged."""
        from textworld.generator.game import ActionDependencyTree, ActionDependencyTreeElement

        quests = self._progressions
        if quests is None or any(_failed(quest) for quest in quests):
            return None
        needed = [quest for quest in quests if quest.completable and not quest.quest.optional]
        open_quests = [quest for quest in needed if not quest.completed]
        if not open_quests:
            return None
        trees = [quest._tree for quest in open_quests]
        if None in trees:
            return None
        tree = ActionDependencyTree(
            kb=self._rules.logic.kb, element_type=ActionDependencyTreeElement, trees=trees
        )
        return tuple(action for action in tree.flatten() if action.name != "trigger")


class _Progress:
    """Which events of a quest happened, as the story's own code keeps it."""

    def __init__(self, quest: Any):
        self._quest = quest
        self._events = (*quest.win_events, *quest.fail_events)
        self._wins = len(quest.win_events)
        self.completed = 0
        self.triggered = [False] * len(self._events)

    def update(self, facts: Any) -> None:
        """Look at the events again, unless the quest has ended."""
        if any(self.triggered):
            return
        self.triggered = [event.is_triggering(facts) for event in self._events]
        if any(self.triggered[: self._wins]):
            self.completed += 1
            if self._quest.repeatable:
                self.triggered[: self._wins] = [False] * self._wins


def _failed(quest: Any) -> bool:
    return not quest.quest.optional and (quest.failed or quest.unfinishable)


def _shape(event: Any) -> tuple[Any, ...]:
    # the tree has the policy's actions once more, and their words take time
    words = {id(action): str(action) for action in event._policy}

    def branch(node: Any) -> tuple[Any, ...]:
        action = node.element.value
        told = words.get(id(action)) or str(action)
        return told, tuple(branch(child) for child in node.children)

    tree = tuple(branch(root) for root in event._tree.roots)
    policy = tuple(words[id(action)] for action in event._policy)
    return event.untriggerable, policy, tree


def forget() -> None:
    """Drop what is remembered of all games."""
    _SEEN.clear()
