import numpy as np
import pytest

import lmenvs
from lmenvs.envs.board.chess_endgame import ENDGAMES, ChessEndgame, canonical
from lmenvs.envs.board.chess_endgame_table import NEVER, TRIANGLE, endgame_table, image, number
from lmenvs.envs.board.chess_worth import QUEEN, ROOK
from lmenvs.splits import split_of

chess = pytest.importorskip("chess")

# The class distribution in krkopt.info, the description of Bain and van Hoff's data set on king and
# rook against king (UCI repository, 1994): positions with the bare king to move by moves to mate, 0
# to 16, and those that are no win. On 2026-11-21 each of its positions had the table's value.
KING_AND_ROOK = (27, 78, 246, 81, 198, 471, 592, 683, 1433, 1712, 1985, 2854, 3597)
KING_AND_ROOK += (4194, 4553, 2166, 390)
DRAWN = 2796


def counts(kind: int) -> dict[int, int]:
    """Positions with the bare king to move by moves to mate, one of each set of images."""
    table = endgame_table(kind)
    found: dict[int, int] = {}
    for index in np.flatnonzero(table.possible):
        strong, others = TRIANGLE[index // 4096], (int(index // 64 % 64), int(index % 64))
        if strong % 8 == strong // 8 and tuple(image(s, 4) for s in others) < others:
            continue  # the mirror image along the diagonal is the same position
        moves = int(table.bare[index])
        found[moves] = found.get(moves, 0) + 1
    return found


def test_the_rook_table_counts_what_the_published_one_counts():
    found = counts(ROOK)
    assert [found[moves] for moves in range(17)] == list(KING_AND_ROOK)
    assert found[NEVER] == DRAWN and sum(found.values()) == 28_056


@pytest.mark.parametrize(("kind", "longest"), [(QUEEN, 10), (ROOK, 16)])
def test_every_position_with_the_piece_to_move_is_won_in_the_published_number(
    kind: int, longest: int
):
    table = endgame_table(kind)
    generator = np.random.default_rng(3)
    seen = 0
    for index in generator.permutation(len(table.strong))[:4000]:
        strong, bare, piece = TRIANGLE[index // 4096], int(index // 64 % 64), int(index % 64)
        board = chess.Board(None)
        board.set_piece_at(strong, chess.Piece.from_symbol("K"))
        board.set_piece_at(bare, chess.Piece.from_symbol("k"))
        if len({strong, bare, piece}) == 3:
            board.set_piece_at(piece, chess.Piece(kind, chess.WHITE))
        legal = len({strong, bare, piece}) == 3 and board.is_valid()
        assert (table.strong[index] < NEVER) == legal
        seen += legal
    assert seen > 1000
    assert table.strong[table.strong < NEVER].max() == longest


def test_the_table_agrees_with_one_move_of_the_rules():
    for kind in (QUEEN, ROOK):
        table, generator = endgame_table(kind), np.random.default_rng(4)
        won = np.flatnonzero(table.strong < NEVER)
        for index in generator.choice(won, 60, replace=False):
            squares = [TRIANGLE[index // 4096], int(index // 64 % 64), int(index % 64)]
            board = chess.Board(None)
            for square, symbol in zip(squares, "Kk" + " PNBRQ"[kind], strict=True):
                board.set_piece_at(square, chess.Piece.from_symbol(symbol))
            best = NEVER
            for move in board.legal_moves:
                board.push(move)
                after = [board.king(True), board.king(False), chess.msb(board.queens | board.rooks)]
                value = int(table.bare[number(*after)])
                assert (value == 0) == board.is_checkmate()
                best = min(best, value)
                board.pop()
            assert best + 1 == table.strong[index]


@pytest.mark.parametrize("pieces", ["Q", "R"])
@pytest.mark.parametrize("side", ["white", "black"])
@pytest.mark.parametrize("opponent", ["builtin", "random"])
def test_the_expert_mates_as_fast_as_the_table_says(pieces: str, side: str, opponent: str):
    env = ChessEndgame(pieces=pieces, side=side, opponent=opponent)  # type: ignore[arg-type]
    for seed in range(8):
        env.reset(seed=seed)
        board = chess.Board(env.observation.rpartition("FEN: ")[2])
        own = side == "white"
        piece = chess.msb(board.queens | board.rooks)
        table = endgame_table(QUEEN if pieces == "Q" else ROOK)
        longest = table.strong[number(board.king(own), board.king(not own), piece)]
        reward, terminated = 0.0, False
        while not terminated:
            _, reward, terminated, _, _ = env.step(env.expert_action())
        assert reward == 1.0 and env.turn <= longest


@pytest.mark.parametrize("pieces", ["QR", "RR"])
def test_the_expert_mates_with_two_pieces(pieces: str):
    env = ChessEndgame(pieces=pieces)  # type: ignore[arg-type]
    for seed in range(6):
        env.reset(seed=seed)
        reward, terminated = 0.0, False
        while not terminated:
            _, reward, terminated, _, _ = env.step(env.expert_action())
        assert reward == 1.0 and env.turn <= 16


def test_a_lost_piece_is_a_draw():
    env = ChessEndgame(pieces="Q", opponent="builtin")
    for seed in range(200):
        env.reset(seed=seed)
        board = chess.Board(env.observation.rpartition("FEN: ")[2])
        for move in board.legal_moves:
            board.push(move)
            hanging = any(board.is_capture(reply) for reply in board.legal_moves)
            board.pop()
            if hanging:
                text, reward, terminated, _, info = env.step(move.uci())
                assert terminated and reward == 0.0 and not info["success"]
                assert "neither side can mate" in text and env.progress() < 1.0
                return
    raise AssertionError("no seed lets the queen be lost at once")


def test_positions_are_legal_and_of_the_material_asked_for():
    for pieces in ("any", *ENDGAMES):
        env = ChessEndgame(pieces=pieces)
        for seed in range(20):
            first, _ = env.reset(seed=seed)
            board = chess.Board(first.rpartition("FEN: ")[2])
            assert board.is_valid() and board.turn and any(board.legal_moves)
            letters = "".join(sorted(c for c in board.board_fen() if c in "QR"))
            assert letters in ENDGAMES and pieces in ("any", letters)


def test_a_position_and_its_images_are_in_the_same_half():
    for turn in range(8):
        squares = [4, 60, 3, 22]
        turned = [image(square, turn) for square in squares]
        assert canonical("QR", squares) == canonical("QR", turned)
        assert canonical("RR", [4, 60, 3, 22]) == canonical(
            "RR", [*turned[:2], turned[3], turned[2]]
        )
    assert canonical("QR", [4, 60, 3, 22]) != canonical("QR", [4, 60, 22, 3])


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("side", ["white", "black"])
def test_a_split_draws_its_own_half_only(split: str, side: str):
    env = ChessEndgame(split=split, side=side)  # type: ignore[arg-type]
    for seed in range(40):
        env.reset(seed=seed)
        board = chess.Board(env.observation.rpartition("FEN: ")[2])
        board = board if side == "white" else board.mirror()
        kings = [board.king(True), board.king(False)]
        rest = {s: p.symbol() for s, p in board.piece_map().items() if s not in kings}
        squares = sorted(rest, key=lambda square: rest[square])
        letters = "".join(rest[square] for square in squares)
        assert split_of(canonical(letters, [*kings, *squares])) == split


def test_a_wrong_argument_is_one_line():
    for name, value in (("pieces", "BN"), ("split", "half"), ("side", "red")):
        with pytest.raises(ValueError, match=f"{name}=") as caught:
            lmenvs.make("lmenvs/ChessEndgame-v0", **{name: value})
        assert "\n" not in str(caught.value)
