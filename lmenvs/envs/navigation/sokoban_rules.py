"""The rules of `TextSokoban`: how a board is read, drawn, and changed by a move.

A square is a number: the place of its sign in the board's text, line breaks counted, so that a move
adds the same number everywhere. Boxes are a set of squares, held as the bits of an integer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

WALL, FLOOR, TARGET = "#", "-", "."
BOX, BOX_DONE, PLAYER, PLAYER_ON_TARGET = "$", "*", "@", "+"
SIGNS = WALL + FLOOR + TARGET + BOX + BOX_DONE + PLAYER + PLAYER_ON_TARGET
DIRECTIONS = ("up", "down", "left", "right")
LONGEST_SIDE = 20
_BLANKS = str.maketrans({" ": FLOOR, "_": FLOOR})


@dataclass(frozen=True, eq=False)
class Room:
    """What never changes on a board: walls and targets.

    Attributes:
        picture: The board without boxes and player, lines ended by line breaks.
        moves: What each of `DIRECTIONS` adds to a square.
        walls: The squares that are walls, as bits.
        targets: The squares that are targets, as bits.
    """

    picture: bytes
    moves: tuple[int, int, int, int]
    walls: int
    targets: int

    @cached_property
    def floor(self) -> tuple[int, ...]:
        """The squares that are no walls."""
        signs = self.picture.decode("ascii")
        return tuple(square for square, sign in enumerate(signs) if sign in (FLOOR, TARGET))


Position = tuple[Room, int, int]
"""The room, the player's square, the boxes."""


def make_room(picture: str) -> Room:
    """The room of a board's text without boxes and player."""
    width = picture.index("\n") + 1 if "\n" in picture else len(picture) + 1
    walls = sum(1 << square for square, sign in enumerate(picture) if sign == WALL)
    targets = sum(1 << square for square, sign in enumerate(picture) if sign == TARGET)
    return Room(picture.encode("ascii"), (-width, width, -1, 1), walls, targets)


room_of = lru_cache(maxsize=4096)(make_room)
"""The same; one object for one text, as far as the cache reaches."""

_BARE = str.maketrans({BOX: FLOOR, PLAYER: FLOOR, BOX_DONE: TARGET, PLAYER_ON_TARGET: TARGET})


@lru_cache(maxsize=4096)
def read_board(board: str) -> Position:
    """The position that a board's text shows."""
    room = room_of(board.translate(_BARE))
    player = max(board.find(PLAYER), board.find(PLAYER_ON_TARGET))
    boxes = sum(1 << square for square, sign in enumerate(board) if sign in (BOX, BOX_DONE))
    return room, player, boxes


def draw(room: Room, player: int, boxes: int) -> str:
    """A position as a board's text."""
    signs = bytearray(room.picture)
    signs[player] = 43 if signs[player] == 46 else 64  # + on a target, @ elsewhere
    while boxes:
        square = (boxes & -boxes).bit_length() - 1
        signs[square] = 42 if signs[square] == 46 else 36  # * on a target, $ elsewhere
        boxes &= boxes - 1
    return signs.decode("ascii")


def after_move(room: Room, player: int, boxes: int, direction: int) -> tuple[int, int]:
    """The player's square and the boxes after a move; the same ones if it is blocked."""
    step = room.moves[direction]
    ahead = player + step
    if room.walls >> ahead & 1:
        return player, boxes
    if boxes >> ahead & 1:
        beyond = ahead + step
        if (room.walls | boxes) >> beyond & 1:
            return player, boxes
        boxes ^= 1 << ahead | 1 << beyond
    return ahead, boxes


def check_level(given: str | Sequence[str]) -> str:
    """A level as a board's text, from a text with `/` or line breaks, or from rows.

    Blanks and `_` are floor too; short rows are filled up with floor.

    Raises:
        ValueError: unless it is a closed room with one player and as many boxes as targets, not all
            of them done.
    """
    lines = given.replace("/", "\n").split("\n") if isinstance(given, str) else given
    rows = list(lines) if isinstance(lines, list | tuple) else []
    problem = "it is no list of texts"
    if rows and all(isinstance(row, str) for row in rows):
        rows = [row.rstrip().translate(_BLANKS) for row in rows]
        width = max((len(row) for row in rows), default=0)
        rows = [row.ljust(width, FLOOR) for row in rows if row]
        problem = _problem(rows)
    if problem:
        raise ValueError(
            f"level={str(given)[:60]!r}: {problem}; expected a room closed by '#' with one player, "
            f"as many boxes as targets and one box to move at least, from the signs {SIGNS!r}"
        )
    return "\n".join(rows)


def _problem(rows: list[str]) -> str | None:
    board = "\n".join(rows)
    if not 3 <= len(rows) <= LONGEST_SIDE or not 3 <= len(rows[0]) <= LONGEST_SIDE:
        return f"its sides are not 3 to {LONGEST_SIDE} squares long"
    if strange := sorted(set(board) - set(SIGNS) - {"\n"}):
        return f"it has {strange[0]!r}"
    count = {sign: board.count(sign) for sign in SIGNS}
    if count[PLAYER] + count[PLAYER_ON_TARGET] != 1:
        return f"it has {count[PLAYER] + count[PLAYER_ON_TARGET]} players"
    if count[BOX] != count[TARGET] + count[PLAYER_ON_TARGET]:
        return "boxes and targets differ in number"
    if count[BOX] == 0:
        return "every box is on a target already"
    return _opening(rows)


def _opening(rows: list[str]) -> str | None:
    room, player, boxes = read_board("\n".join(rows))
    seen, waiting = {player}, [player]
    width = len(rows[0]) + 1
    while waiting:
        square = waiting.pop()
        row, column = divmod(square, width)
        if row in (0, len(rows) - 1) or column in (0, width - 2):
            return "the room is open"
        for step in room.moves:
            there = square + step
            if not room.walls >> there & 1 and there not in seen:
                seen.add(there)
                waiting.append(there)
    inside = sum(1 << square for square in seen)
    return "a box or a target is outside the room" if (boxes | room.targets) & ~inside else None
