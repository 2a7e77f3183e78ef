"""A UCI engine such as Stockfish as a process of its own, asked so that it always answers alike.

One thread, the smallest hash table, emptied before each question, and a number of nodes instead of
a time: the answer depends on the program and the position only. The strength settings of Stockfish
(`UCI_Elo`, `Skill Level`) are left alone: they draw from a generator seeded by the clock.
"""

import os
import shutil
import subprocess
import threading
import weakref
from typing import IO

LINES = 8  # moves that the engine is asked for
DEBIAN_GAMES = "/usr/games"  # where Debian puts it, which is not on everyone's path
MATE = 100_000
START_SECONDS = 120.0


def find_program(program: str) -> str:
    """The path of an engine's program.

    Raises:
        ValueError: where there is none; the line says how to get one.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), DEBIAN_GAMES])
    is_name = isinstance(program, str) and program != "" and "\x00" not in program
    found = shutil.which(program, path=path) if is_name else None
    if found is None:
        raise ValueError(
            f"program={program!r}: no such program; opponent='stockfish' needs a UCI engine: "
            "apt-get install stockfish, or give the path of one, or take opponent='builtin'"
        )
    return found


class Engine:
    """An engine that starts when it is first asked. A copy of it, or a fork, starts its own.

    Args:
        program: The name or the path of a UCI engine.
        nodes: How many nodes each answer may take.
    """

    def __init__(self, program: str, nodes: int):
        self.program = program
        self.nodes = nodes
        self._path = find_program(program)
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        self._end: weakref.finalize[[subprocess.Popen[str], int], Engine] | None = None

    def __reduce__(self) -> tuple[type["Engine"], tuple[str, int]]:
        return Engine, (self.program, self.nodes)

    def lines(self, fen: str) -> list[tuple[int, str]]:
        """The best moves of a position that has any: (centipawns for the mover, UCI), best first.

        Raises:
            RuntimeError: if the engine ends twice in a row without an answer.
        """
        for attempt in (1, 2):
            try:
                return self._ask(fen)
            except (OSError, EOFError) as error:
                self.close()
                if attempt == 2:
                    raise RuntimeError(
                        f"{self._path} ended without a move for {fen!r}; expected a UCI engine"
                    ) from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End the process; the next question starts another."""
        if self._end is not None:
            self._end()
        self._process, self._end = None, None

    def _ask(self, fen: str) -> list[tuple[int, str]]:
        process = self._running()
        _tell(process, "ucinewgame", "isready")
        _until(process, "readyok")
        _tell(process, f"position fen {fen}", f"go nodes {self.nodes}")
        scores: dict[int, tuple[int, str]] = {}
        for line in _until(process, "bestmove"):
            read = read_line(line)
            if read is not None:
                rank, score, move = read
                scores[rank] = score, move
        best: dict[str, int] = {}
        for score, move in scores.values():
            best[move] = max(score, best.get(move, score))
        if not best:
            raise EOFError("no line with a move")
        return sorted(((s, move) for move, s in best.items()), key=lambda e: (-e[0], e[1]))

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._owner == os.getpid():
            return self._process
        # after a fork the parent's process is not ours to talk to, or to end
        self._process = process = subprocess.Popen(
            [self._path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            start_new_session=True,  # an interrupt is for us; the engine ends when we close it
        )
        self._owner = os.getpid()
        self._end = weakref.finalize(self, _stop, process, self._owner)
        patience = threading.Timer(START_SECONDS, process.kill)  # for a program that speaks no UCI
        patience.daemon = True
        patience.start()
        try:
            _tell(process, "uci")
            _until(process, "uciok")
        finally:
            patience.cancel()
        for name, value in (("Threads", 1), ("Hash", 1), ("MultiPV", LINES)):
            _tell(process, f"setoption name {name} value {value}")
        return process


def read_line(line: str) -> tuple[int, int, str] | None:
    """An engine's line of information as (rank, centipawns, move), if it has all of them.

    >>> read_line("info depth 9 multipv 2 score cp -31 nodes 800 pv e7e5 g1f3")
    (2, -31, 'e7e5')
    >>> read_line("info depth 9 multipv 1 score mate 3 nodes 800 pv h5f7")
    (1, 99997, 'h5f7')
    """
    words = line.split()
    if not words or words[0] != "info" or "pv" not in words or "score" not in words:
        return None
    at = words.index("score")
    kind, number = words[at + 1], int(words[at + 2])
    score = number if kind == "cp" else (MATE - number if number > 0 else -MATE - number)
    rank = int(words[words.index("multipv") + 1]) if "multipv" in words else 1
    return rank, score, words[words.index("pv") + 1]


def _tell(process: subprocess.Popen[str], *lines: str) -> None:
    _pipe(process.stdin).write("".join(f"{line}\n" for line in lines))
    _pipe(process.stdin).flush()


def _until(process: subprocess.Popen[str], word: str) -> list[str]:
    said: list[str] = []
    while True:
        line = _pipe(process.stdout).readline()
        if not line:
            raise EOFError(f"ended before {word}")
        if line.split()[:1] == [word]:
            return said
        said.append(line)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _stop(process: subprocess.Popen[str], owner: int) -> None:
    """End an engine's process, if it is this process's child."""
    if os.getpid() != owner:
        return
    try:
        with process:  # closes the pipes and waits
            process.kill()
    except OSError:
        pass  # it had ended by itself, with something unsaid in the pipe
