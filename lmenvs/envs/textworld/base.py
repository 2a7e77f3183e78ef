"""What the TextWorld environments share: beginning a game, a turn, the text, snapshots."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from lmenvs.arguments import ANY_NUMBER, check_choice, check_count, check_flag
from lmenvs.core import NoExactModel, OnInvalid, Outcome, Snapshot, TextEnv
from lmenvs.splits import Split, check_split

from .archive import Family, Parameters
from .commands import PLAY_VERBS, Command, read_command
from .engine import TITLE_LINE, check_installed
from .games import Game
from .play import PLAYER
from .pool import Pool
from .recipes import Recipe
from .relabel import Relabelling, draw_relabelling, hash_labels
from .session import Answer, State, shared

Objective = Literal["goal", "full", "none"]
Description = Literal["full", "name"]
Reward = Literal["sparse", "dense"]

LOOKING = ("look", "inventory", "examine")  # first words of what tells and changes nothing


class TextWorldEnv(TextEnv):
    """A TextWorld game as a `TextEnv`; the classes of this folder derive from it.

    Args:
        family: Which recipes make the games; None where the class finds its game itself.
        parameters: The recipe's numbers.
        turn_limit: Turns until the game ends as not solved.
        split: "all", or the half of the games ("train", "test") that a reset draws from.
        games: The pool has this many numbers; None is every 31-bit number.
        first_game: The first number of the pool.
        reward: "sparse" is the difference of the game's score, "dense" TextWorld's own hint.
        objective: What the first observation says of the goal.
        description: "full" shows rooms as the game describes them, "name" their title line only.
        admissible: End every observation with the line of admissible commands.
        relabel: Turn or mirror the map and exchange room names by a bijection drawn with the task.
    """

    reset_options: ClassVar[frozenset[str]] = frozenset({"game"})
    lists_looking: ClassVar[bool] = True
    """Whether the admissible commands include those that only look."""
    planned: ClassVar[bool] = True
    """Whether TextWorld's plan is followed, which halves the speed of what is new."""

    def __init__(
        self,
        *,
        family: Family | None,
        parameters: Parameters = (),
        turn_limit: int,
        split: Split = "all",
        games: int | None = None,
        first_game: int = 0,
        reward: Reward = "sparse",
        objective: Objective = "goal",
        description: Description = "full",
        admissible: bool = False,
        relabel: bool = False,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_installed()
        check_choice("reward", reward, ("sparse", "dense"))
        check_choice("objective", objective, ("goal", "full", "none"))
        check_choice("description", description, ("full", "name"))
        check_flag("admissible", admissible)
        check_flag("relabel", relabel)
        check_count("turn_limit", turn_limit, 1)
        check_count("first_game", first_game, 0, ANY_NUMBER - 1)
        if games is not None:
            check_count("games", games, 1, ANY_NUMBER - first_game)
        self.split, self.turn_limit = check_split(split), turn_limit
        numbers = range(first_game, first_game + games if games is not None else ANY_NUMBER)
        self._pool = None if family is None else Pool(family, parameters, self.split, numbers)
        self._reward, self._objective, self._description = reward, objective, description
        self._admissible, self._relabel = admissible, relabel
        self.instructions = self._instructions()
        self._number = 0
        self._game: Game | None = None
        self._labels: Relabelling | None = None
        self._commands: tuple[str, ...] = ()
        self._states: list[State] = []
        self._looked: tuple[str, ...] = ()  # the looking commands typed: a fair expert may use them

    # ---- what a class of this folder writes ------------------------------------------------

    def _instructions(self) -> str:
        raise NotImplementedError(f"{type(self).__name__} must define _instructions")

    def _goal(self) -> str:
        """The goal in a sentence that does not tell how to reach it."""
        raise NotImplementedError(f"{type(self).__name__} must define _goal")

    # ---- the game ---------------------------------------------------------------------------

    @property
    def game(self) -> Game:
        """The game of this episode; privileged."""
        if self._game is None:
            raise ValueError(f"{type(self).__name__}: no game has begun; call reset() first")
        return self._game

    @property
    def game_number(self) -> int:
        """The number of this episode's game; `reset(options={"game": number})` plays it again."""
        return self._number

    @property
    def recipe(self) -> Recipe:
        """What this episode's game is made from; `recipes.generate` makes it again.

        Raises:
            ValueError: for a game that comes from a file.
        """
        if self._pool is None:
            raise ValueError(f"{type(self).__name__} plays a file, which has no recipe")
        return self._pool.recipe(self._number)

    def _find(self, number: int) -> Game:
        """The game of a number, as a snapshot names it."""
        assert self._pool is not None
        return self._pool.find(number)

    def _draw_game(self, task: np.random.Generator, options: Mapping[str, Any]) -> tuple[int, Game]:
        assert self._pool is not None
        pinned = options.get("game")
        return self._pool.draw(task) if pinned is None else self._pool.pin(pinned)

    def _games(self) -> list[tuple[int, Game]]:
        """Every game that a reset may draw; NoExactModel if there are too many."""
        assert self._pool is not None
        return list(self._pool.members())

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        number, game = self._draw_game(task, options)
        return self._open(number, game, draw_relabelling(task) if self._relabel else None)

    def _open(self, number: int, game: Game, labels: Relabelling | None) -> str:
        """Begin a game; its first observation."""
        PLAYER.users.add(self)
        self._number, self._game, self._labels = number, game, labels
        introduction, first = PLAYER.start(game, self.planned)
        self._commands, self._states, self._looked = (), [first.state], ()
        goal = {"goal": self._goal(), "full": introduction, "none": ""}[self._objective]
        return self._show("\n\n".join(part for part in (goal, self._shorten(first.text)) if part))

    def _ask(self, command: str) -> Answer:
        """What the interpreter answers to a command here; it is remembered."""
        return PLAYER.answer(self.game, self._state, self._commands, command, self.planned)

    @property
    def _state(self) -> State:
        return self._states[-1]

    def _play(self, action: str) -> Outcome:
        state = self._state
        text = self._labels.read(action) if self._labels is not None else action
        if state.commands and text in state.commands:
            command = Command(text)  # as `read_command` would say, without looking at the others
        else:
            known = {command.lower(): command for command in state.commands or ()}
            command = read_command(text, known, PLAY_VERBS if self.game.has_logic else None)
        if command.error is not None:
            return self._invalid(command.error, self._show(command.reply), penalty=0.0)
        answer = self._ask(command.text)
        if not answer.valid:
            error = "inadmissible" if answer.understood else "malformed"
            return self._invalid(error, self._show(answer.text), penalty=0.0)
        if answer.state.key != state.key:
            self._commands = (*self._commands, answer.command)
            self._states.append(answer.state)
        elif answer.command not in self._looked:
            self._looked = (*self._looked, answer.command)
        return self._outcome(state, answer)

    def _outcome(self, before: State, answer: Answer) -> Outcome:
        after = answer.state
        return Outcome(
            self._show(self._shorten(answer.text)),
            reward=self._gain(before, answer),
            terminated=after.over,
            success=after.won,
        )

    def _gain(self, before: State, answer: Answer) -> float:
        """The reward of a turn that changed something or looked."""
        if self._reward == "dense":
            return float(answer.progress_sign)
        return float(answer.state.score - before.score)

    # ---- the text ---------------------------------------------------------------------------

    def _shorten(self, text: str) -> str:
        if self._description == "full":
            return text
        title = TITLE_LINE.search(text)
        return text[: title.end()].strip() if title else text

    def _show(self, text: str) -> str:
        shown = self._say(text)
        if self._admissible and (actions := self.admissible_actions()):
            shown += "\nCommands: " + ", ".join(actions)
        return shown

    def _listed(self) -> list[str]:
        commands = self._state.commands or ()
        if self.lists_looking:
            return list(commands)
        return [command for command in commands if command.split()[0] not in LOOKING]

    def admissible_actions(self) -> list[str] | None:
        """The game's own list for this state, sorted; None where its rules are unknown."""
        if self._state.commands is None:
            return None
        return sorted(self._say(command) for command in self._listed())

    def _say(self, text: str) -> str:
        return self._labels.show(text) if self._labels is not None else text

    def _planned(self) -> str:
        policy = self._state.policy
        return self._say(policy[0] if policy else "look")

    # ---- privileged -------------------------------------------------------------------------

    def answer(self) -> str | None:
        """The commands of the game's walkthrough, one after the other."""
        steps = self.game.walkthrough
        return ", ".join(self._say(step) for step in steps) if steps else None

    def progress(self) -> float:
        """The part of the game's own plan that is done."""
        state, first = self._state, self._states[0]
        if state.won:
            return 1.0
        if not state.policy or not first.policy or state.lost:
            return 0.0
        return max(0.0, 1.0 - len(state.policy) / len(first.policy))

    def state_key(self) -> str:
        """The game, its situation as `session.State` defines it, and the relabelling."""
        return f"{self.game.key}/{self._state.key}/{hash_labels(self._labels)}"

    # ---- state ------------------------------------------------------------------------------

    def _save(self) -> Any:
        labels = None if self._labels is None else (self._labels.directions, self._labels.rooms)
        told = {"commands": self._commands, "looked": self._looked}
        return {"game": self._number, "labels": labels, **told}

    def _load(self, state: Any) -> None:
        labels = None if state["labels"] is None else Relabelling(*state["labels"])
        number, commands = state["game"], state["commands"]
        if self._game is not None and number == self._number:
            PLAYER.users.add(self)
            # what both histories begin with need not be played again
            same = shared(self._commands, commands)
            self._commands, self._states = commands[:same], self._states[: same + 1]
        else:
            self._open(number, self._find(number), labels)
        for command in commands[len(self._commands) :]:
            answer = self._ask(command)
            self._commands = (*self._commands, command)
            self._states.append(answer.state)
        self._labels, self._looked = labels, state["looked"]

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """Every game of the pool, equally likely.

        Raises:
            NoExactModel: if the pool is too large, the games are relabelled, or their rules are
                unknown; the line says what to change.
        """
        if self._relabel:
            raise NoExactModel("relabel=True has no list of start states; give relabel=False")
        games = self._games()
        if not all(game.has_logic for _, game in games):
            raise NoExactModel("a story without its rules has no model; put its .json beside it")
        here = self._number, self._game, self._labels, self._commands, self._states, self._looked
        states: list[tuple[float, Snapshot]] = []
        for number, game in games:
            text = self._open(number, game, None)
            states.append((1 / len(games), self._start_snapshot(self._save(), text)))
        self._number, self._game, self._labels, self._commands, self._states, self._looked = here
        return states

    def close(self) -> None:
        """Let go of the interpreter; the last environment of the process to close frees it."""
        PLAYER.leave(self)
