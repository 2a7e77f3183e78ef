"""What runs in a worker process: it keeps environments and plays them as the parent says.

No torch is imported, nothing of the parent's main module is run, and nothing outlives the parent.
"""

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from .playing import Game
from .sources import AnyEnv
from .threads import set_threads

CLOSE = b""
"""The command that ends a worker."""


def main(handle: int) -> None:
    """Serve the connection behind this file descriptor until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    set_threads(1)  # what an environment brings along must not compete with the parent
    connection = Connection(handle)
    commands: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, commands), daemon=True).start()
    games: dict[int, Game] = {}
    while command := commands.get():
        try:
            answer: tuple[bool, Any] = True, _serve(games, *pickle.loads(command))
        except Exception as error:
            error.add_note("in a worker process:\n" + "".join(traceback.format_exception(error)))
            answer = False, error
        with contextlib.suppress(BrokenPipeError):  # the parent has gone; so will this process
            connection.send_bytes(_packed(answer))
    for game in games.values():
        with contextlib.suppress(Exception):
            game.env.close()


def _receive(connection: Connection, commands: "queue.SimpleQueue[bytes]") -> None:
    """Take commands from the connection at once, so that the parent never waits to send one."""
    try:
        while True:
            commands.put(connection.recv_bytes())
    except (EOFError, OSError):
        # the parent is gone, whatever this worker is busy with; what it started goes too
        os.killpg(os.getpid(), signal.SIGKILL)


def _serve(games: dict[int, Game], seat: int, name: str, arguments: tuple[Any, ...]) -> Any:
    if name == "open":
        make, record = arguments
        made: AnyEnv = make()
        games[seat] = Game(made, record)
        return None
    if name == "drop":
        with contextlib.suppress(Exception):  # what broke it has been recorded already
            games.pop(seat).env.close()
        return None
    game = games[seat]
    if name in ("turn", "observation"):
        return game.game.turn if name == "turn" else game.game.observation
    served: dict[str, Callable[..., Any]] = {
        "begin": game.begin,
        "step": game.play,
        "admissible_actions": game.game.admissible_actions,
        "expert_action": game.game.expert_action,
        "progress": game.game.progress,
        "answer": game.game.answer,
        "state_key": game.game.state_key,
        "snapshot": game.game.snapshot,
    }
    return served[name](*arguments)


def _packed(answer: tuple[bool, Any]) -> bytes:
    """The answer as bytes that the parent can read, whatever kind of exception it is."""
    try:
        packed = pickle.dumps(answer)
        if not answer[0]:
            pickle.loads(packed)  # an exception with arguments of its own often packs only one way
        return packed
    except Exception as error:
        told = answer[1] if not answer[0] else error
        plain = RuntimeError(f"{type(told).__name__}: {told}")
        for note in getattr(told, "__notes__", ()):
            plain.add_note(note)
        return pickle.dumps((False, plain))


if __name__ == "__main__":
    main(int(sys.argv[1]))
