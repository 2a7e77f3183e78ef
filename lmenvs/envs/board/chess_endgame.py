"""ChessEndgame: checkmate a bare king with a queen, a rook, or two of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lmenvs.arguments import check_choice
from lmenvs.core import OnInvalid
from lmenvs.splits import Split, check_split, split_of

from .chess_endgame_table import endgame_table, image, number
from .chess_game import ChessGame, Notation, Side
from .chess_opponents import OpponentName
from .chess_worth import QUEEN, ROOK

if TYPE_CHECKING:
    import chess

TURN_LIMIT = 50
Pieces = Literal["any", "Q", "R", "QR", "RR"]
ENDGAMES: tuple[Pieces, ...] = ("Q", "R", "QR", "RR")


class ChessEndgame(ChessGame):
    """Checkmate a bare king with king and queen, king and rook, or two such pieces.

    Description:
        The player has a king with a queen, a rook, a queen and a rook, or two rooks, the opponent
        nothing but a king. The pieces stand at random on a legal board, the player is to move and
        no piece is lost by force: every such position is won, whatever the opponent does. Nothing
        is hidden.

    Actions:
        One legal move, in standard algebraic notation (`Qd5`, `Rxa1`, `Kf3`) or UCI (`d1d5`), as in
        `lmenvs/Chess-v0`. Text that is no move is `malformed`; a move that is not legal, or that
        fits two pieces, is `inadmissible`. After either the opponent does not move, and the turn
        is used up.

    Observations:
        The opponent's move and the position in FEN.

    Rewards:
        +1 for checkmating and 0 for a draw: stalemate, a lost last piece, a repetition or too many
        turns. An invalid action costs -1 under `on_invalid="penalise"` (the default), 0 under
        "noop", and -1 and the game under "terminate".

    Episode end:
        Terminated by checkmate, stalemate, bare kings, the fifth time that a position comes up, and
        after 50 turns, which is a draw. Never truncated.

    Arguments:
        pieces: What the player has besides the king: "Q", "R", "QR", "RR", or "any", drawn with the
            task.
        split: "all", "train" or "test": positions that are turned or mirrored images of one
            another are in the same half.
        side: "white", "black" or "random" (drawn with the task).
        opponent, notation, depth, margin, nodes, program: as in `lmenvs/Chess-v0`.

    Capability:
        Planning some ten moves ahead with few pieces, tracking a board in text. `lmenvs.exact` does
        not solve it: there are too many positions, each with the history that counts repetitions.

    Source:
        The endgames of LMRL-Gym (Abdulhai et al., 2023), with its rewards; positions, opponent and
        the limit of 50 turns are this project's, so LMRL-Gym's scores are no reference for it.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/ChessEndgame-v0
        ChessEndgame-v0
            min -50: an illegal move every turn, by the rules
            max 1: every start is won, by exact tables for one piece (at most 10 turns with a queen,
                16 with a rook); two are stronger
            average 0.013 +- 0.0036: uniform over legal actions, seeds 0 to 999
            expert 1 +- 0: the expert, seeds 0 to 999
        ChessEndgame-v0?pieces=Q
            min -50: an illegal move every turn, by the rules
            max 1: every start is won, by exact tables for one piece (at most 10 turns with a queen,
                16 with a rook); two are stronger
            average 0.001 +- 0.001: uniform over legal actions, seeds 0 to 999
            expert 1 +- 0: the expert, seeds 0 to 999
        ChessEndgame-v0?pieces=R
            min -50: an illegal move every turn, by the rules
            max 1: every start is won, by exact tables for one piece (at most 10 turns with a queen,
                16 with a rook); two are stronger
            average 0.001 +- 0.001: uniform over legal actions, seeds 0 to 999
            expert 1 +- 0: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    turn_limit = TURN_LIMIT
    expert_depth = 3
    instructions = (
        "You have a king and one or two strong pieces, the opponent a bare king. Checkmate it: "
        "stalemate and the loss of your last piece are draws. Each message tells the opponent's "
        "move and the position in FEN. A move that is not legal costs a point and changes nothing "
        f"on the board. After {TURN_LIMIT} turns the game is a draw.\nAnswer with one move in "
        "standard algebraic notation (Qd5, Kf3) or in UCI (d1d5) and nothing else."
    )

    def __init__(
        self,
        pieces: Pieces = "any",
        split: Split = "all",
        side: Side = "white",
        opponent: OpponentName = "builtin",
        notation: Notation = "san",
        depth: int = 1,
        margin: int = 30,
        nodes: int = 1000,
        program: str = "stockfish",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        check_choice("pieces", pieces, get_args(Pieces))
        self.pieces: Pieces = pieces
        self.split = check_split(split)
        super().__init__(
            side,
            opponent,
            notation,
            depth,
            margin,
            nodes,
            program,
            on_invalid=on_invalid,
            admissible_info=admissible_info,
            render_mode=render_mode,
        )

    def _start(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        drawn = ENDGAMES[int(task.integers(len(ENDGAMES)))]
        letters = drawn if self.pieces == "any" else self.pieces
        while True:
            squares = [int(square) for square in task.choice(64, 2 + len(letters), replace=False)]
            half = split_of(canonical(letters, squares))
            if self.split in ("all", half) and (board := _board(letters, squares)) is not None:
                return (board if self._white else board.mirror()).fen()

    def expert_action(self) -> str:
        """The quickest mate by the exact table for one piece, by a search of three moves for two.

        Fair: it uses nothing but the position.
        """
        import chess

        board = self._board
        if self._result is not None or chess.popcount(board.occupied) != 3:
            return super().expert_action()
        table = endgame_table(QUEEN if board.queens else ROOK)
        strong, bare = board.king(self._white), board.king(not self._white)
        assert strong is not None and bare is not None
        piece = chess.msb(board.queens | board.rooks)

        def turns_to_mate(move: chess.Move) -> tuple[int, str]:
            own, other = (
                move.to_square if square == move.from_square else square
                for square in (strong, piece)
            )
            return int(table.bare[number(own, bare, other)]), move.uci()

        return self._written(min(board.legal_moves, key=turns_to_mate))

    def progress(self) -> float:
        """How far the bare king is from the middle, and how near the kings are; 1.0 at mate."""
        if self._result == "win":
            return 1.0
        own, bare = self._board.king(self._white), self._board.king(not self._white)
        assert own is not None and bare is not None
        if self._result is not None or self._board.is_insufficient_material():
            return 0.0
        file, rank = bare % 8, bare // 8
        edge = 6 - min(file, 7 - file) - min(rank, 7 - rank)
        apart = abs(own % 8 - file) + abs(own // 8 - rank)
        return (edge + 14 - apart) / 20


def canonical(letters: str, squares: list[int]) -> str:
    """The position's name, the same for its images under the turns and mirrors of the board.

    >>> canonical("Q", [4, 60, 3]) == canonical("Q", [59, 3, 60])
    True
    """
    names: list[str] = []
    for turn in range(8):
        places = [image(square, turn) for square in squares]
        own, bare, *others = places
        named = sorted(f"{letter}{place}" for letter, place in zip(letters, others, strict=True))
        names.append(f"K{own} k{bare} {' '.join(named)}")
    return min(names)


def _board(letters: str, squares: list[int]) -> "chess.Board | None":
    """White's king, the bare king and White's pieces on these squares, if White can play on."""
    import chess

    board = chess.Board(None)
    for letter, square in zip("Kk" + letters, squares, strict=True):
        board.set_piece_at(square, chess.Piece.from_symbol(letter))
    return board if board.is_valid() else None
