import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lmenvs
from lmenvs.envs.board.chess_moves import is_uci, parse_move

chess = pytest.importorskip("chess")

ROOT = Path(lmenvs.__file__).resolve().parents[1]


def begin(fen: str | None = None, name: str = "lmenvs/Chess-v0", **arguments: Any):
    env = lmenvs.make(name, **arguments)
    env.reset(seed=0, options={"fen": fen} if fen else None)
    return env


def position(env: lmenvs.TextEnv) -> str:
    return env.observation.rpartition("FEN: ")[2]


def test_checkmating_is_worth_one_and_ends_the_game():
    env = begin("6k1/5ppp/8/8/8/8/5PPP/3R2K1 w - - 0 1")
    assert env.expert_action() == "Rd8#"
    text, reward, terminated, truncated, info = env.step("Rd8")
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    assert text.startswith("Checkmate. You win.") and env.progress() == 1.0
    assert env.admissible_actions() == []


def test_being_checkmated_costs_one():
    env = begin("rnbqkbnr/pppp1ppp/8/4p3/8/5P2/PPPPP1PP/RNBQKBNR w KQkq - 0 2", depth=1)
    text, reward, terminated, _, info = env.step("g4")
    assert text.startswith("Black played Qh4#. Checkmate. You lose.")
    assert (reward, terminated, info["success"], env.progress()) == (-1.0, True, False, 0.0)


@pytest.mark.parametrize(
    ("fen", "move", "why"),
    [
        ("7k/8/5K2/8/8/8/8/6Q1 w - - 0 1", "Qg6", "stalemate"),
        ("8/8/8/8/8/1k6/1p6/K7 w - - 0 1", "Kb1", None),
        ("k7/8/8/8/8/8/1p6/K7 w - - 0 1", "Kxb2", "neither side can mate"),
        ("k7/8/8/8/8/8/7R/K7 w - - 148 90", "Rh3", "75 moves"),
        ("k7/8/8/8/8/8/7R/K7 w - - 149 90", "Rh3", "75 moves"),
        ("k7/8/8/8/8/8/7R/K7 w - - 147 90", "Rh3", None),
    ],
)
def test_a_draw_is_worth_nothing(fen: str, move: str, why: str | None):
    env = begin(fen)
    text, reward, terminated, _, info = env.step(move)
    assert reward == 0.0 and terminated == (why is not None)
    if why:
        assert f"The game is a draw: {why}" in text and not info["success"] and env.progress() < 1


def test_the_fifth_repetition_is_a_draw_and_the_past_is_part_of_the_state():
    # the bare king has one square to go to, and from there one back
    env = begin("k7/2K5/7R/8/8/8/8/8 w - - 0 1", opponent="random")
    keys, text = [env.state_key()], ""
    for turn in range(1, 9):
        text, reward, terminated, _, _ = env.step(("Rh6", "Rg6")[turn % 2])
        keys.append(env.state_key())
        assert terminated == (turn == 8) and reward == 0.0
    assert text.startswith("Black played Ka8. The game is a draw: the position came up for the fi")
    assert len(set(keys)) == len(keys)


def test_a_position_that_came_up_more_often_has_another_key():
    env = begin("7k/8/8/8/8/8/8/K2R4 w - - 0 1", opponent="random")
    plain = begin("7k/8/8/8/8/8/8/K2R4 w - - 4 3", opponent="random")
    before = env.snapshot()
    noise = 0
    while True:  # a try in which the king walks out and back
        env.restore(before, noise=noise)
        env.step("Rc1")
        env.step("Rd1")
        if position(env).startswith("7k/8/8/8/8/8/8/K2R4"):
            break
        noise += 1
    assert position(env) == position(plain) and env.state_key() != plain.state_key()


@pytest.mark.parametrize(
    ("on_invalid", "reward", "ends"),
    [("penalise", -1.0, False), ("noop", 0.0, False), ("terminate", -1.0, True)],
)
@pytest.mark.parametrize(
    ("text", "error"),
    [("Ke2", "inadmissible"), ("castle", "malformed"), ("e2e5", "inadmissible")],
)
def test_after_an_illegal_move_the_same_position_is_to_be_played(
    on_invalid: Any, reward: float, ends: bool, text: str, error: str
):
    env = begin(on_invalid=on_invalid)
    before = position(env)
    _, paid, terminated, _, info = env.step(text)
    assert (paid, terminated, info["error"], info["valid"]) == (reward, ends, error, False)
    assert position(env) == before and env.turn == 1


def test_a_move_that_fits_two_pieces_is_refused():
    env = begin("7k/8/8/8/8/8/8/KN3N2 w - - 0 1")
    assert "More than one piece" in env.step("Nd2")[0]
    assert env.step("Nbd2")[4]["valid"]


def test_four_hundred_turns_without_a_result_are_a_draw():
    env = begin(on_invalid="penalise")
    total, text, info = 0.0, "", {}
    for turn in range(1, 401):
        text, reward, terminated, truncated, info = env.step("Ke2")
        total += reward
        assert terminated == (turn == 400) and not truncated
    assert total == -400.0 and info["success"] is False and "draw: 400 turns" in text


@pytest.mark.parametrize(
    "texts",
    [
        ("e8=Q", "e8Q+", "e7e8q", "E7E8Q", "e7-e8=Q", "e7e8=Q"),
        ("exd8=N", "e7xd8=N", "e7-d8n", "e7d8n"),
        ("Ka2", "Ka1-a2", "a1a2", "K a 2"),
    ],
)
def test_every_way_of_writing_a_move_plays_the_same_one(texts: tuple[str, ...]):
    answers: list[tuple[Any, ...]] = []
    for text in texts:
        env = begin("3r3k/4P3/8/8/8/8/8/K7 w - - 0 1", opponent="random")
        answers.append(env.step(text))
        assert answers[-1] == answers[0] and answers[-1][4]["valid"], text


@pytest.mark.parametrize("notation", ["san", "uci"])
def test_moves_are_listed_and_told_in_the_notation_asked_for(notation: Any):
    env = begin(notation=notation, opponent="random")
    listed = env.admissible_actions()
    assert listed is not None and len(listed) == 20
    assert ("Nf3" in listed) == (notation == "san") and ("g1f3" in listed) == (notation == "uci")
    for text in ("Nf3", "e2e3"):  # both are understood
        told, _, _, _, info = env.step(text)
        assert info["valid"]
        move = told.partition(".")[0].removeprefix("Black played ")
        assert is_uci(move) == (notation == "uci") and parse_move(move) == move


def test_the_player_may_have_either_colour():
    env = lmenvs.make("lmenvs/Chess-v0?side=black")
    first, _ = env.reset(seed=3)
    assert first.startswith("You play Black. White played ") and " b " in position(env)
    env = lmenvs.make("lmenvs/Chess-v0?side=random")
    assert {env.reset(seed=seed)[0].split(".")[0] for seed in range(8)} == {
        "You play White",
        "You play Black",
    }
    env.reset(seed=0, options={"fen": "7k/8/8/8/8/8/8/K2R4 b - - 0 1"})
    assert env.observation.startswith("You play Black.\n")


def test_a_game_is_the_same_to_the_move_whatever_was_asked_before():
    env, other = begin(), begin()
    for _ in range(12):
        env.expert_action()
        answers = [e.step(other.expert_action()) for e in (env, other)]
        assert answers[0] == answers[1]
        if answers[0][2]:
            break


@pytest.mark.parametrize(
    "arguments",
    [
        {"side": "green"},
        {"opponent": "deep blue"},
        {"notation": "morse"},
        {"depth": 0},
        {"depth": 9},
        {"depth": True},
        {"margin": -1},
        {"margin": 1.5},
        {"nodes": 0},
        {"opponent": "stockfish", "program": "no-such-program"},
        {"opponent": "stockfish", "program": "\x00"},
        {"opponent": "stockfish", "program": 5},
    ],
)
def test_a_wrong_argument_is_one_line_that_names_it(arguments: dict[str, Any]):
    with pytest.raises(ValueError, match="|".join(f"{name}=" for name in arguments)) as caught:
        lmenvs.make("lmenvs/Chess-v0", **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("side", "fen"),
    [
        ("white", "nonsense"),
        ("white", 7),
        ("white", "8" * 100_000),
        ("white", "8/8/8/8/8/8/8/8 w - - 0 1"),
        ("white", "7k/8/8/8/8/8/8/K2R4 b - - 0 1"),
        ("black", "7k/8/8/8/8/8/8/K2R4 w - - 0 1"),
        ("white", "7k/8/8/8/8/8/8/K7 w - - 0 1"),
    ],
)
def test_a_position_that_cannot_be_played_is_refused_in_one_line(side: Any, fen: Any):
    env = lmenvs.make("lmenvs/Chess-v0", side=side)
    with pytest.raises(ValueError, match=r"options\['fen'\]") as caught:
        env.reset(seed=0, options={"fen": fen})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_without_the_package_the_extra_is_named():
    code = (
        "import sys\n"
        "sys.modules['chess'] = None\n"
        "import lmenvs\n"
        "for name in ('lmenvs/Chess-v0', 'lmenvs/ChessEndgame-v0'):\n"
        "    try:\n"
        "        lmenvs.make(name)\n"
        "    except ImportError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("pip install 'lmenvs[chess]'") == 2


def test_what_the_opponent_remembers_has_a_bound():
    from lmenvs.envs.board import chess_opponents

    opponent = chess_opponents.Searcher(1, 0)
    chess_opponents._remembered.update({(n,): ("e2e4",) for n in range(8_192)})
    assert opponent.choices(chess.Board())
    assert len(chess_opponents._remembered) < 8_192
