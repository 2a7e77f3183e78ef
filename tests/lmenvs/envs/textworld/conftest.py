import pytest

from lmenvs.envs.textworld.games import find_game
from lmenvs.envs.textworld.play import PLAYER


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache folder with nothing in it, and a process that has seen no game."""
    monkeypatch.setenv("LMENVS_CACHE", str(tmp_path / "cache"))
    find_game.cache_clear()
    PLAYER.forget()
    yield tmp_path / "cache"
    find_game.cache_clear()
    PLAYER.forget()
