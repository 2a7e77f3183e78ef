"""The treasure hunter: find the one object that is asked for, and leave the other alone."""

from lmenvs.arguments import check_count
from lmenvs.core import OnInvalid
from lmenvs.splits import Split

from .base import Description, Objective, Reward, TextWorldEnv
from .challenges import LEVELS_PER_MODE, MODES, treasure_of_level
from .explorer import survey, taking
from .quest import goal_phrases, goal_sentence

LEVELS = LEVELS_PER_MODE * len(MODES)
TURN_LIMITS = {"easy": 20, "medium": 60, "hard": 160}
"""Three times the longest of the expert's games seen at levels 10 and 20, more at level 25."""


class TextWorldTreasureHunter(TextWorldEnv):
    """Search a house for the object that is asked for, and take it.

    Description:
        A generated house of 5, 10 or 20 rooms, with two objects in it. The player must take one and
        loses by taking the other. Levels 1 to 10 (easy) have empty rooms without doors; 11 to 20
        (medium) have doors and containers that may be closed; 21 to 30 (hard) have locked ones too,
        with their keys in the house or in the player's hands. Within a mode the object is farther
        away at higher levels: 1 to 5, 2 to 10 and 3 to 20 commands.

    Actions:
        Commands such as `go east`, `open door`, `unlock chest with key`, `take apple from chest`,
        in any case and spacing, in quotes or asterisks, with or without a full stop; TextWorld's
        synonyms (`e`, `get`, `x`, `i`) work too. A text that is not one line of printable
        characters of at most 198 is `unsafe`; one that the parser cannot read, a meta-command
        (`restart`, `save`, `undo`, ...), several commands or things in one line (`then`, `and`,
        `all`), or a pronoun is `malformed`; a command that this state does not allow is
        `inadmissible`. Invalid texts change nothing; they are answered by the environment, or by
        the interpreter where it understands them.
        `admissible_actions()` is the game's own list for the state, `look` and `examine` included.

    Observations:
        At first the goal (as `objective` says) and the room; then what the interpreter answers,
        without banner, status line and turn count.

    Rewards:
        "sparse": 1 for taking the right object, else 0. "dense": TextWorld's intermediate reward: 1
        for a command that shortens its plan, -1 for one that lengthens it, loses the game or makes
        the quest impossible. An invalid action costs nothing but its turn under "penalise" (the
        default) and "noop".

    Episode end:
        Terminated when the right object is taken (success), when the wrong one is, and at the turn
        limit. Never truncated.

    Arguments:
        level: 1 to 30. TextWorld takes some seconds to generate a game above level 20, and from ten
            seconds to minutes above level 27, once a machine.
        split: "all", "train" or "test"; halves by the hash of world and quest, blind to names.
        games, first_game: The pool of game numbers; None is every 31-bit number. Numbers that make
            no game, or one whose names the interpreter mixes up, are passed over.
        reward: "sparse" or "dense".
        objective: "goal" (which object), "full" (the game's own, which spells out every step) or
            "none".
        description: "full", or "name" for the title line of a room only (use it with `admissible`).
        admissible: End every observation with the line of admissible commands.
        relabel: Turn or mirror the map and exchange the room names, as drawn with the task.
        turn_limit: None is 20, 60 and 160 in the three modes.
        `reset(options={"game": number})` pins a game.

    Capability:
        Exploration, memory, using keys. The expert is fair: it opens what it finds and visits the
        nearest place not seen yet. `progress()` follows TextWorld's own plan, which knows where the
        object is.

    Source:
        TextWorld's treasure hunter (Cote et al., 2018; after Parisotto and Salakhutdinov, 2017),
        played on the real interpreter. The split, the goal sentence and the turn limits are this
        project's.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring
        lmenvs/TextWorldTreasureHunter-v0
        TextWorldTreasureHunter-v0
            min 0: by the rules
            max 1: by the rules; TextWorld's own plan reaches it within half the turns
            average 0.575 +- 0.035: uniform over legal actions, seeds 0 to 199
            expert 1 +- 0: the expert, seeds 0 to 199
        TextWorldTreasureHunter-v0?level=10
            min 0: by the rules
            max 1: by the rules; TextWorld's own plan reaches it within half the turns
            average 0.105 +- 0.022: uniform over legal actions, seeds 0 to 199
            expert 1 +- 0: the expert, seeds 0 to 199

    Version history:
        v0: first version.
    """

    def __init__(
        self,
        *,
        level: int = 1,
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
        mode, _, _ = treasure_of_level(level)
        super().__init__(
            family="treasure_hunter",
            parameters=(("level", level),),
            turn_limit=TURN_LIMITS[mode] if turn_limit is None else turn_limit,
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
            "You are in a house and look for one object; taking another one may lose the game. "
            "Answer with one command a turn, such as: go east, open door, unlock chest with key, "
            f"open chest, take apple from chest, look, inventory. You have {self.turn_limit} turns."
        )

    def _goal(self) -> str:
        return goal_sentence(self.game)

    def expert_action(self) -> str:
        """Take the object if it was seen, else open or enter the nearest thing not seen; fair.

        A key is taken only when there is nothing else to do, since it may be the wrong object.
        """
        house = survey(self._states, self._commands)
        for phrase in goal_phrases(self.game.logic()):
            thing = phrase.removeprefix("get the ")
            found = house.route(lambda room, thing=thing: bool(taking(thing, house.offered[room])))
            if found is not None:
                return self._say(found[1] or taking(thing, house.offered[found[0]]) or "look")
        return self._say(house.explore() or house.unlock() or "look")
