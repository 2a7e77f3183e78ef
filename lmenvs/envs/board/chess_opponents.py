"""Who plays the other side: each names the moves it would play, and the environment draws one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from lmenvs.arguments import check_choice, check_count

from .chess_search import good_moves

if TYPE_CHECKING:
    import chess

    from .chess_engine import Engine

OpponentName = Literal["builtin", "random", "stockfish"]
MOST_DEPTH = 4
MOST_REMEMBERED = 8_192  # positions, some 300 bytes each


class Opponent(Protocol):
    """A player without chance of its own: what it answers depends on the position alone."""

    def choices(self, board: "chess.Board") -> Sequence[str]:
        """The moves it might play, in UCI; at least one."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


_remembered: dict[tuple[object, ...], tuple[str, ...]] = {}


@dataclass(frozen=True, slots=True)
class Searcher:
    """The searcher of `chess_search`: its moves within `margin` centipawns of the best."""

    depth: int
    margin: int

    def choices(self, board: "chess.Board") -> tuple[str, ...]:
        """The good moves, the best first; remembered, since groups of episodes begin alike."""
        key = (
            *(board.pawns, board.knights, board.bishops, board.rooks, board.queens, board.kings),
            *(board.occupied_co[True], board.turn, board.castling_rights, board.ep_square),
            *(self.depth, self.margin),
        )
        found = _remembered.get(key)
        if found is None:
            found = tuple(name for _, name in good_moves(board, self.depth, self.margin))
            if len(_remembered) >= MOST_REMEMBERED:
                _remembered.clear()
            _remembered[key] = found
        return found

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass(frozen=True, slots=True)
class AnyMove:
    """All legal moves."""

    def choices(self, board: "chess.Board") -> list[str]:
        """The legal moves in sorted order."""
        return sorted(move.uci() for move in board.legal_moves)

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass(frozen=True, slots=True)
class EngineLines:
    """The lines of an engine's search that are within `margin` centipawns of the best."""

    engine: "Engine"
    margin: int

    def choices(self, board: "chess.Board") -> list[str]:
        """The first moves of the lines, the best first."""
        lines = self.engine.lines(board.fen())
        return [move for score, move in lines if score >= lines[0][0] - self.margin]

    def close(self) -> None:
        """End the engine's process."""
        self.engine.close()


def make_opponent(name: str, depth: int, margin: int, nodes: int, program: str) -> Opponent:
    """The opponent by its name.

    Raises:
        ValueError: for an unknown name, numbers out of range, or a program that is not there.
    """
    check_choice("opponent", name, get_args(OpponentName))
    for what, value, least, most in (
        ("depth", depth, 1, MOST_DEPTH),
        ("margin", margin, 0, 10_000),
        ("nodes", nodes, 1, 10_000_000),
    ):
        check_count(what, value, least, most)
    if name == "builtin":
        return Searcher(depth, margin)
    if name == "random":
        return AnyMove()
    from .chess_engine import Engine

    return EngineLines(Engine(program, nodes), margin)
