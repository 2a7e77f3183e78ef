"""A game of chess against an opponent: what Chess and ChessEndgame have in common."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lmenvs.arguments import check_choice
from lmenvs.core import OnInvalid, Outcome, TextEnv

from .chess_moves import is_uci, parse_move
from .chess_opponents import Opponent, OpponentName, Searcher, make_opponent
from .chess_package import require_chess

if TYPE_CHECKING:
    import chess

Side = Literal["white", "black", "random"]
Notation = Literal["san", "uci"]

WIN_REWARD = 1.0
DRAW_REWARD = 0.0
LOSS_REWARD = -1.0
ILLEGAL_REWARD = -1.0
REPETITIONS = 5  # a position that comes up the fifth time is a draw, without a claim
QUIET_PLIES = 150  # so are 75 moves of each side without a capture or a pawn's move

_COLOURS = ("Black", "White")
_MALFORMED = "That is no move in SAN or UCI notation."
_ILLEGAL = "That move is not legal here."
_AMBIGUOUS = "More than one piece can go there; say which, as in Nbd2."


class ChessGame(TextEnv):
    """The rules, the opponent's moves and the state; a subclass says how a game begins."""

    expert_depth = 2
    expert_margins = (20, 250)
    """In centipawns: what the expert gives up not to repeat a position, at first and if it must."""

    def __init__(
        self,
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
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_choice("side", side, get_args(Side))
        check_choice("notation", notation, get_args(Notation))
        self._opponent: Opponent = make_opponent(opponent, depth, margin, nodes, program)
        require_chess()
        import chess

        self.side: Side = side
        self.notation: Notation = notation
        looks_ahead = max(self.expert_depth, depth + 1)
        self._experts = [Searcher(looks_ahead, margin) for margin in self.expert_margins]
        self._white = True
        self._result: str | None = None
        self._last = ""
        self._set_up(chess.STARTING_FEN)

    def close(self) -> None:
        """End the opponent's process, if it has one; the next game would start another."""
        self._opponent.close()

    # ---- the board --------------------------------------------------------------------------

    def _start(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        """The position to begin with, in FEN; the player's colour is in `self._white`."""
        raise NotImplementedError(f"{type(self).__name__} must define _start")

    def _set_up(self, fen: str) -> None:
        """Begin from a position; what came before it no longer matters."""
        import chess

        self._base = fen
        self._board = chess.Board(fen)
        self._moves: list[str] = []
        self._fen = self._board.fen()
        self._seen = {self._fen.rsplit(" ", 2)[0]: 1}

    def _push(self, move: "chess.Move") -> None:
        """Play a legal move. Only what follows the last capture or pawn's move can come again."""
        final = self._board.is_zeroing(move)
        self._board.push(move)
        self._fen = self._board.fen()
        place = self._fen.rsplit(" ", 2)[0]
        if final:
            self._board.clear_stack()
            self._base, self._moves, self._seen = self._fen, [], {place: 1}
        else:
            self._moves.append(move.uci())
            self._seen[place] = self._seen.get(place, 0) + 1

    def _ending(self) -> str | None:
        """How the game has ended, by the rules."""
        board = self._board
        if not any(board.generate_legal_moves()):
            return "checkmate" if board.is_check() else "stalemate"
        if board.is_insufficient_material():
            return "neither side can mate"
        if board.halfmove_clock >= QUIET_PLIES:
            return "75 moves without a capture or a pawn's move"
        if self._seen[self._fen.rsplit(" ", 2)[0]] >= REPETITIONS:
            return "the position came up for the fifth time"
        return None

    def _written(self, move: "chess.Move") -> str:
        return self._board.san(move) if self.notation == "san" else move.uci()

    def _answer_move(self, chance: np.random.Generator) -> str:
        """Let the opponent move; what it played, in words."""
        import chess

        choices = self._opponent.choices(self._board)
        move = chess.Move.from_uci(choices[int(chance.integers(len(choices)))])
        said = f"{_COLOURS[self._board.turn]} played {self._written(move)}."
        self._push(move)
        return said

    # ---- the episode ------------------------------------------------------------------------

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        self._white = bool(task.integers(2)) if self.side == "random" else self.side == "white"
        self._result = None
        self._set_up(self._start(task, options))
        texts = [f"You play {_COLOURS[self._white]}."]
        if self._board.turn != self._white:
            # from the task's stream: the position that a game begins with is no matter of chance
            texts.append(self._answer_move(task))
        return self._with_position(" ".join(texts))

    def _with_position(self, text: str) -> str:
        return f"{text}\nFEN: {self._fen}"

    def _play(self, action: str) -> Outcome:
        import chess

        meant = parse_move(action)
        if meant is None:
            return self._refuse("malformed", _MALFORMED)
        try:
            move = (self._board.parse_uci if is_uci(meant) else self._board.parse_san)(meant)
        except chess.AmbiguousMoveError:
            return self._refuse("inadmissible", _AMBIGUOUS)
        except ValueError:
            return self._refuse("inadmissible", _ILLEGAL)
        self._push(move)
        ending = self._ending()
        if ending is not None:
            return self._end(ending, "", won=True)
        said = self._answer_move(self.np_random)
        ending = self._ending()
        if ending is not None:
            return self._end(ending, f"{said} ", won=False)
        return Outcome(self._with_position(said))

    def _refuse(self, error: str, why: str) -> Outcome:
        outcome = self._invalid(error, self._with_position(why), penalty=ILLEGAL_REWARD)
        if outcome.terminated:
            self._result = "forfeit"
        return outcome

    def _end(self, ending: str, said: str, won: bool) -> Outcome:
        if ending != "checkmate":
            self._result = "draw"
            text = self._with_position(f"{said}The game is a draw: {ending}.")
            return Outcome(text, reward=DRAW_REWARD, terminated=True)
        self._result = "win" if won else "loss"
        text = self._with_position(f"{said}Checkmate. You {'win' if won else 'lose'}.")
        reward = WIN_REWARD if won else LOSS_REWARD
        return Outcome(text, reward=reward, terminated=True, success=won)

    def _at_limit(self, outcome: Outcome) -> Outcome:
        self._result = "draw"
        text = f"{outcome.observation}\nThe game is a draw: {self.turn_limit} turns are over."
        return replace(outcome, observation=text, terminated=True)

    def _save(self) -> dict[str, Any]:
        return {
            "white": self._white,
            "base": self._base,
            "moves": tuple(self._moves),
            "result": self._result,
        }

    def _load(self, state: Any) -> None:
        import chess

        self._white = bool(state["white"])
        self._result = None if state["result"] is None else str(state["result"])
        self._set_up(str(state["base"]))
        for move in state["moves"]:
            self._push(chess.Move.from_uci(move))

    # ---- what others ask --------------------------------------------------------------------

    def admissible_actions(self) -> list[str]:
        """The legal moves, in the notation asked for, in the order of their squares."""
        if self._result is not None:
            return []
        moves = sorted(self._board.legal_moves, key=lambda move: move.uci())
        return [self._written(move) for move in moves]

    def expert_action(self) -> str:
        """The best move of the searcher, one move deeper than the opponent's; fair.

        Among moves that are nearly as good it takes the first that does not repeat a position.
        After the end of a game there is none, and it says nothing.
        """
        import chess

        if self._result is not None:
            return ""
        moves: list[chess.Move] = []
        for searcher in self._experts:
            moves = [chess.Move.from_uci(name) for name in searcher.choices(self._board)]
            for move in moves:
                if not self._repeats(move):
                    return self._written(move)
        return self._written(moves[0])

    def _repeats(self, move: "chess.Move") -> bool:
        if len(self._seen) < 4 or self._board.is_zeroing(move):
            return False
        self._board.push(move)
        place = self._board.fen().rsplit(" ", 2)[0]
        self._board.pop()
        return place in self._seen

    def state_key(self) -> str:
        """The position with its counters, and how often those that may come again were there."""
        counts = "\n".join(sorted(f"{place} {count}" for place, count in self._seen.items()))
        past = blake2b(counts.encode(), digest_size=8).hexdigest()
        return f"{self._fen} {past}" + (f" {self._result}" if self._result else "")
