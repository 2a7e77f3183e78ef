import time

import pytest

from lmenvs.checks.subject import STRINGS
from lmenvs.envs.board.chess_moves import parse_move

chess = pytest.importorskip("chess")


@pytest.mark.parametrize(
    ("text", "move"),
    [
        ("e4", "e4"),
        (" Nf3\n", "Nf3"),
        ("Nbxd2+", "Nbd2"),
        ("R1e2!?", "R1e2"),
        ("Ng1-f3", "Ng1f3"),
        ("exd8=Q#", "ed8=Q"),
        ("e8q", "e8=Q"),
        ("e7-e8N", "e7e8=N"),
        ("g1f3", "g1f3"),
        ("E7E8Q", "e7e8q"),
        ("O-O", "O-O"),
        ("0-0-0+", "O-O-O"),
        ("o-o", "O-O"),
        ("1. e4", "e4"),
        ("23...Kxh7", "Kh7"),
        ("Move: Qd5", "Qd5"),
        ("my move is Qd5.", "Qd5"),
        ('"Qd5"', "Qd5"),
        ("**Qd5+**.", "Qd5"),
        ("My move: 'Qd5'!", "Qd5"),
        ("1. e4 *", "e4"),
        ("Move:", None),
        ("12.", None),
        ("N f 3", "Nf3"),
        ("B3e2", "B3e2"),
        ("b3e2", "b3e2"),
        ("", None),
        ("e9", None),
        ("i4", None),
        ("nf3", None),
        ("Pe4", None),
        ("e4 e5", None),
        ("e4 or d4", None),
        ("--", None),
        ("0000", None),
        ("@@@@", None),
        ("O-O-O-O", None),
        ("e8=K", None),
        ("Nf3\x00", None),
        ("Ｎf3", None),
        ("٤e", None),
        ("e4" + " " * 60, None),
    ],
)
def test_a_move_is_read_from_text(text: str, move: str | None):
    assert parse_move(text) == move


def test_every_way_of_writing_a_legal_move_means_that_move():
    board = chess.Board("r3k2r/pPpp1ppp/1n2bq2/4p3/3PP3/B1N2N1B/P1P2PpP/R3K2R w KQkq - 0 1")
    for position in (board, board.mirror()):
        for move in position.legal_moves:
            san = position.san(move)
            for text in (san, " ".join(san), position.lan(move), f"7. {san}", f"move {san}"):
                read = parse_move(text)
                assert read is not None and position.parse_san(read) == move, text
            assert parse_move(move.uci().upper()) in (move.uci(), san)


def test_any_text_is_read_in_no_time():
    hostile = (
        *STRINGS,
        "a" * 100_000,
        "1." * 50_000,
        "e4 " * 33_000,
        "\n" * 100_000,
        "+" * 100_000,
    )
    start = time.process_time()
    assert [parse_move(text) for text in hostile] == [None] * len(hostile)
    assert time.process_time() - start < 0.05
