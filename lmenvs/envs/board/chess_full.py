"""Chess: a full game against an opponent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .chess_game import QUIET_PLIES, ChessGame

if TYPE_CHECKING:
    import chess

TURN_LIMIT = 400
LONGEST_FEN = 100
VALUES = {"P": 1, "N": 3, "B": 3, "R": 5, "Q": 9}


class Chess(ChessGame):
    """Play a game of chess from the first move to the end.

    Description:
        The player has one colour, a scripted opponent the other. Each turn is one move of the
        player and the answer of the opponent. Nothing is hidden.

    Actions:
        One legal move, in standard algebraic notation (`Nf3`, `exd5`, `O-O`, `e8=Q`) or UCI
        (`g1f3`, `e7e8q`), whatever `notation` says; `chess_moves.parse_move` lists the ways of
        writing them. Text that is no move is `malformed`; a move that is not legal, or that fits
        two pieces, is `inadmissible`. After either the opponent does not move: the same position is
        to be played, and the turn is used up.

    Observations:
        The opponent's move and the position in FEN. The fullmove number counts moves on the board,
        not turns.

    Rewards:
        +1 for checkmating, 0 for a draw, -1 for being checkmated. An invalid action costs -1 under
        `on_invalid="penalise"` (the default), 0 under "noop", and -1 and the game under
        "terminate".

    Episode end:
        Terminated by checkmate, stalemate, bare kings or their like, the fifth time that a position
        comes up, 75 moves of each side without a capture or a pawn's move (both without a claim),
        and after 400 turns, which is a draw. Never truncated.

    Arguments:
        side: "white", "black" or "random" (drawn with the task).
        opponent: "builtin" is this project's searcher: alpha-beta over `depth` moves, then
            captures; it plays the same moves on every machine. "random" plays any legal move.
            "stockfish" is a process of that program, or of another UCI engine: one thread, `nodes`
            nodes, eight lines; its moves are those of the installed version. It ends with
            `env.close()`.
        notation: "san" or "uci", in which moves are told and listed. Both are always understood.
        depth: How far the builtin opponent looks ahead, 1 to 4; one more takes some four times as
            long. The expert looks one move further.
        margin: The opponent draws among the moves (the lines, for an engine) that are within so
            many centipawns of its best; 0 is its best play. This is the only weakening of
            Stockfish: its own strength settings draw from a generator seeded by the clock, and
            cannot be set as low as Elo 1200.
        nodes: Nodes that the engine may take for a move.
        program: The engine's name or path.
        Option `fen` of `reset`: the position to begin with.

    Capability:
        Planning against an adversary, tracking a board in text. `lmenvs.exact` does not solve it:
        there are too many positions.

    Source:
        The game; rewards and the limit of 400 moves as in LMRL-Gym (Abdulhai et al., 2023), whose
        opponent is Stockfish at a nominal Elo of 1200 with the clock for a limit. The opponent here
        is another one, so LMRL-Gym's scores are no reference for this environment.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/Chess-v0
        Chess-v0
            min -400: an illegal move every turn, by the rules
            max 1: a win, by the rules
            average -0.981 +- 0.0045: uniform over legal actions, seeds 0 to 999
            expert 1 +- 0: the expert, seeds 0 to 199

    Version history:
        v0: first version.
    """

    reset_options = frozenset({"fen"})
    turn_limit = TURN_LIMIT
    instructions = (
        "Play chess against an opponent and checkmate it. Each message tells the opponent's move "
        "and the position in FEN. A move that is not legal costs a point and changes nothing on "
        f"the board. After {TURN_LIMIT} turns the game is a draw.\nAnswer with one move in "
        "standard algebraic notation (Nf3, exd5, O-O, e8=Q) or in UCI (g1f3) and nothing else."
    )

    def _start(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        import chess

        wanted = options.get("fen")
        if wanted is None:
            return chess.STARTING_FEN
        board = _position(wanted)
        if self.side == "random":
            self._white = board.turn
        elif board.turn != self._white:
            raise ValueError(
                f"options['fen'] = {wanted!r}; expected {self.side} to move, as side={self.side!r}"
            )
        return board.fen()

    def progress(self) -> float:
        """The player's share of the pieces' value (1 pawn added to each side); 1.0 when it won."""
        if self._result == "win":
            return 1.0
        if self._result in ("loss", "forfeit"):
            return 0.0
        placement = self._fen.partition(" ")[0]
        white = 1 + sum(VALUES.get(letter, 0) for letter in placement)
        black = 1 + sum(VALUES.get(letter, 0) for letter in placement.swapcase())
        return (white if self._white else black) / (white + black)


def _position(fen: object) -> "chess.Board":
    import chess

    expected = "expected a legal position in FEN with a move to make"
    if not isinstance(fen, str) or len(fen) > LONGEST_FEN:
        raise ValueError(f"options['fen'] is {type(fen).__name__} {str(fen)[:40]!r}; {expected}")
    try:
        board = chess.Board(fen)
    except ValueError as error:
        raise ValueError(f"options['fen'] = {fen!r}; {expected}") from error
    if not board.is_valid() or board.is_game_over() or board.halfmove_clock >= QUIET_PLIES:
        raise ValueError(f"options['fen'] = {fen!r}; {expected}")
    return board
