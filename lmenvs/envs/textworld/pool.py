"""The games that a reset draws from: a range of numbers of one family, and one half of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lmenvs.arguments import ANY_NUMBER, check_count
from lmenvs.core import NoExactModel
from lmenvs.splits import Split

from .archive import Family, Parameters
from .games import Game, Recipe, find_game

DRAWS = 1000  # a pool in which so many draws miss the split has no game of it
MOST_LISTED = 1000  # games that `members` lists; each is generated for it


@dataclass(frozen=True, slots=True)
class Pool:
    """A family's games by number.

    Attributes:
        family: Which recipes make the games.
        parameters: The recipes' parameters.
        split: "all", or the half that a draw may come from.
        numbers: The numbers that a draw may come from.
    """

    family: Family
    parameters: Parameters
    split: Split
    numbers: range

    def find(self, number: int) -> Game:
        """The game of a number.

        Raises:
            ValueError: if the generator finds no game for it.
        """
        return find_game(self.recipe(number))

    def recipe(self, number: int) -> Recipe:
        """What the game of a number is made from."""
        return Recipe(self.family, self.parameters, number)

    def pin(self, number: object) -> tuple[int, Game]:
        """The game of a number that a user asks for.

        Raises:
            ValueError: if it is no number, has no game, or its game belongs to the other split.
        """
        check_count("options['game']", number, 0, ANY_NUMBER - 1)
        assert isinstance(number, int)
        game = self.find(number)
        if not self._has(game):
            raise ValueError(
                f"game {number} belongs to split {game.split!r}, but this environment has "
                f"split={self.split!r}; pin another game or use split='all'"
            )
        return number, game

    def draw(self, random: np.random.Generator) -> tuple[int, Game]:
        """A game drawn uniformly among those of the split.

        Raises:
            ValueError: if none is found.
        """
        problem = "no game of this split among them"
        for _ in range(DRAWS):
            number = int(random.integers(self.numbers.start, self.numbers.stop))
            try:
                game = self.find(number)
            except ValueError as error:
                problem = str(error)  # this number makes no game: the next one may
                continue
            if self._has(game):
                return number, game
        raise ValueError(
            f"{DRAWS} numbers drawn from {self.numbers.start} to {self.numbers.stop - 1} gave no "
            f"game of split {self.split!r} ({problem}); widen the pool or change the parameters"
        )

    def members(self) -> Iterator[tuple[int, Game]]:
        """Every game that `draw` may return.

        Raises:
            NoExactModel: if there are too many to list.
        """
        if len(self.numbers) > MOST_LISTED:
            raise NoExactModel(
                f"a pool of {len(self.numbers)} games has no list of start states; give games=N, "
                f"at most {MOST_LISTED}"
            )
        for number in self.numbers:
            try:
                game = self.find(number)
            except ValueError:
                continue  # this number makes no game, and no draw returns it
            if self._has(game):
                yield number, game

    def _has(self, game: Game) -> bool:
        return self.split in ("all", game.split)
