"""Write the golden transcripts anew: `python -m tests.golden.make [name ...]`."""

import sys

from . import FOLDER, play
from .games import GAMES


def main(names: list[str]) -> None:
    """Write the transcripts of these names, or all."""
    for game in GAMES:
        if not names or game.file in names:
            text = play(game.env, game.seed, game.policy, game.options or None)
            path = FOLDER / f"{game.file}.txt"
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"{path.name}: {text.count('--- turn')} turns")


if __name__ == "__main__":
    main(sys.argv[1:])
