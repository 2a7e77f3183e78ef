import pytest

from tests.golden import FOLDER, Game, play
from tests.golden.games import GAMES


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.file)
def test_a_game_is_played_as_its_golden_transcript_says(game: Game):
    golden = (FOLDER / f"{game.file}.txt").read_text(encoding="utf-8")
    assert play(game.env, game.seed, game.policy, game.options or None) == golden


def test_every_golden_file_has_its_game():
    assert {path.stem for path in FOLDER.glob("*.txt")} == {game.file for game in GAMES}
