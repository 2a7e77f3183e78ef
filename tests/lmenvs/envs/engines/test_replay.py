"""The memory of answers and the running worlds, on a world that writes down what it is asked."""

import pytest

from lmenvs.envs.engines import replay
from lmenvs.envs.engines.replay import Answer, Replays, State


class Diary:
    """A world whose state is all that was said; `key` is its game's."""

    key = "diary"

    def __init__(self) -> None:
        self.played: list[str] = []
        self.opened = self.closed = 0
        self.interrupted = False

    def open(self) -> "Page":
        self.opened += 1
        return Page(self)


class Page:
    def __init__(self, diary: Diary):
        self._diary = diary
        self.prefix: tuple[str, ...] = ()

    def begin(self) -> Answer:
        self.prefix = ()
        return Answer("begun", State(""))

    def run(self, command: str) -> Answer:
        self.prefix = (*self.prefix, command)
        self._diary.played.append(command)
        self._stop(command)
        return Answer(f"{len(self.prefix)}", State(" ".join(self.prefix)))

    def tell(self, question: str) -> tuple[str, ...]:
        self._stop(question)
        return self.prefix

    def _stop(self, said: str) -> None:
        """A user presses Ctrl-C, once."""
        if said == "stop" and not self._diary.interrupted:
            self._diary.interrupted = True
            raise KeyboardInterrupt

    def close(self) -> None:
        self._diary.closed += 1


def play(replays: Replays, game: Diary, prefix: tuple[str, ...], command: str) -> str:
    return replays.answer(game, State(" ".join(prefix)), prefix, command).text


def test_members_of_a_group_do_not_play_each_others_commands_again():
    replays, game, turns, members = Replays(), Diary(), 40, 4
    histories: list[tuple[str, ...]] = [()] * members
    for turn in range(turns):
        for member, history in enumerate(histories):
            said = f"{member}.{turn}"
            assert play(replays, game, history, said) == str(turn + 1)
            histories[member] = (*history, said)
    assert game.opened == members
    # each member's first steps were played again until a world of its own was worth it
    again = sum(range(replay.WORTH + 2)) * members
    assert len(game.played) <= turns * members + again


def test_what_is_remembered_and_what_runs_is_bounded(monkeypatch):
    for name in ("REMEMBERED", "TOLD", "WORLDS"):
        monkeypatch.setattr(replay, name, 3)
    replays = Replays()
    games = [Diary() for _ in range(5)]
    for number, game in enumerate(games):
        game.key = str(number)
        replays.start(game)
        for turn in range(6):
            assert play(replays, game, (), f"{turn}") == "1"
            replays.tell(game, State(str(turn)), (str(turn),), "what")
    for table in (replays._starts, replays._answers, replays._told, replays._worlds):
        assert len(table) <= 3
    assert sum(game.opened - game.closed for game in games) == len(replays._worlds)
    replays.close()
    assert all(game.opened == game.closed for game in games)


@pytest.mark.parametrize("where", ["run", "tell"])
def test_a_world_that_was_interrupted_is_given_up(where):
    replays, game = Replays(), Diary()
    assert play(replays, game, (), "a") == "1"
    with pytest.raises(KeyboardInterrupt):
        if where == "run":
            play(replays, game, ("a",), "stop")
        else:
            replays.tell(game, State("a"), ("a",), "stop")
    assert game.closed == 1
    assert play(replays, game, ("a",), "b") == "2"  # not one command later
    assert play(replays, game, ("a",), "stop") == "2"
