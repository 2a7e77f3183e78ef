import json
import os
import pickle
import random
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from lmenvs.envs.textworld import archive, cache
from lmenvs.envs.textworld.coin_collector import rooms_of_level
from lmenvs.envs.textworld.games import (
    Recipe,
    compile_source,
    find_game,
    generate,
    sheet_of,
    source_hash,
    source_of,
    task_hash,
)
from lmenvs.splits import split_of

SHIPPED = (("quest_length", 4), ("nb_rooms", 8))
COOKING = [["recipe", 2], ["take", 2], ["go", 6], ["open", 1], ["cook", 1], ["cut", 1]]
COOKING += [["recipe_seed", 0], ["drop", 0]]
QUEST = (("nb_rooms", 2), ("nb_objects", 3), ("quest_length", 4))


@pytest.mark.parametrize("number", [0, 17, 447])
def test_a_shipped_game_is_what_its_recipe_makes(number):
    shipped = archive.find("coin_collector", SHIPPED, number)
    assert shipped is not None
    logic = generate(Recipe("coin_collector", SHIPPED, number))
    assert source_hash(source_of(logic)) == shipped.key
    assert task_hash(logic) == shipped.task
    assert sheet_of(logic) == shipped.sheet


def test_a_shipped_story_is_what_the_compiler_makes():
    shipped = archive.find("coin_collector", SHIPPED, 200)
    assert shipped is not None
    recipe = Recipe("coin_collector", SHIPPED, 200)
    assert compile_source(source_of(generate(recipe))) == shipped.rom()


def test_the_archive_holds_448_different_games_of_both_splits_in_600_kilobytes():
    found = [archive.find("coin_collector", SHIPPED, number) for number in range(449)]
    assert found[448] is None
    games = [game for game in found if game is not None]
    assert len({game.key for game in games}) == 448
    splits = [split_of(game.task) for game in games]
    assert min(splits.count("train"), splits.count("test")) >= 200
    folder = os.path.join(os.path.dirname(archive.__file__), "data")
    sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)}
    assert sum(size for name, size in sizes.items() if name.startswith("coin")) < 600_000
    assert sum(size for name, size in sizes.items() if name.startswith("text_nav")) < 150_000


def test_packing_and_reading_give_the_same_stories(tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    base = draw.bytes(5000)
    stories = [base, base[:2500] + b"x" + base[2501:], draw.bytes(5000), base[:4000]]
    games = [(n, f"k{n}", f"t{n}", b'{"a":1}', story) for n, story in enumerate(stories)]
    index, packed = archive.pack(games)
    monkeypatch.setattr(archive, "_data", lambda name: index if "index" in name else packed)
    kept = archive._Stories("any")
    assert [kept.read(n) for n in range(4)] == stories


GENERATE = """
import json, sys
from lmenvs.envs.textworld import games
for family, parameters in json.loads(sys.argv[1]):
    logic = games.generate(games.Recipe(family, tuple(map(tuple, parameters)), 5))
    source = games.source_of(logic)
    print(games.source_hash(source), games.task_hash(logic), games.sheet_of(logic))
"""


def test_another_process_with_another_hash_seed_makes_the_same_games(tmp_path):
    wanted = json.dumps(
        [
            ["quest", QUEST],
            ["coin_collector", [["quest_length", 3], ["nb_rooms", 6]]],
            ["treasure_hunter", [["level", 25]]],
            ["cooking", COOKING],
            ["cooking", [*COOKING[:-1], ["drop", 1]]],
            ["text_nav", []],
        ]
    )
    told = []
    for seed in ("1", "2"):
        # a folder of this name would replace TextWorld's rules, if its own loader were used
        (tmp_path / seed / "textworld_data" / "logic").mkdir(parents=True)
        told.append(
            subprocess.run(
                [sys.executable, "-c", GENERATE, wanted],
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()},
                cwd=tmp_path / seed,
                capture_output=True,
                check=True,
            ).stdout
        )
    assert told[0] == told[1] and told[0].count(b"\n") == 6


def test_generating_leaves_the_global_random_streams_alone():
    np.random.seed(3)
    random.seed(3)
    before = pickle.dumps((np.random.get_state(), random.getstate()))
    for recipe in (Recipe("quest", QUEST, 1), Recipe("coin_collector", SHIPPED, 300)):
        generate(recipe)
    assert pickle.dumps((np.random.get_state(), random.getstate())) == before


def test_importing_textworld_leaves_the_global_random_stream_alone():
    program = (
        "import numpy as np; np.random.seed(3); a = np.random.get_state()[1].tolist(), "
        "np.random.get_state()[2]; from lmenvs.envs.textworld import engine; engine.textworld(); "
        "assert a == (np.random.get_state()[1].tolist(), np.random.get_state()[2])"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_package_is_told_in_one_line():
    program = (
        "import sys; sys.modules['textworld'] = None; import lmenvs; "
        "lmenvs.make('lmenvs/TextWorldCoinCollector-v0?level=104&games=4')"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.returncode == 1
    last = told.stderr.strip().split("\n")[-1]
    assert last.startswith("ImportError") and "pip install 'lmenvs[textworld]'" in last


def test_importing_and_making_load_no_engine():
    program = (
        "import sys, lmenvs; lmenvs.make('lmenvs/TextWorldQuest-v0'); "
        "assert not {'textworld', 'jericho', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_split_is_blind_to_the_wording():
    logic = generate(Recipe("quest", QUEST, 2))
    before = task_hash(logic)
    for info in logic.infos.values():
        info.name = f"other {info.id}"
    logic.objective = "Other words."
    assert task_hash(logic) == before


def test_the_rules_of_a_world_decide_its_hash():
    hashes = {task_hash(generate(Recipe("quest", QUEST, number))) for number in range(12)}
    assert len(hashes) == 12


def test_levels_are_those_of_textworld():
    assert [rooms_of_level(level) for level in (1, 100, 101, 104, 204, 300)] == [
        (1, 1),
        (100, 100),
        (1, 2),
        (4, 8),
        (4, 12),
        (100, 300),
    ]


def test_a_game_is_compiled_once_and_a_damaged_cache_file_is_made_again(empty_cache):
    recipe = Recipe("quest", QUEST, 3)
    rom = find_game(recipe).rom()
    files = sorted(path for path in empty_cache.rglob("*") if path.is_file())
    assert len(files) == 2  # the recipe and the story; no temporary file is left
    times = [path.stat().st_mtime_ns for path in files]
    find_game.cache_clear()
    assert find_game(recipe).rom() == rom
    assert [path.stat().st_mtime_ns for path in files] == times
    for damage in (b"", b"lmenvs1\nshort", files[0].read_bytes()[:-1]):
        for path in files:
            path.write_bytes(damage)
        find_game.cache_clear()
        assert find_game(recipe).rom() == rom
        assert all(path.read_bytes() != damage for path in files)


def test_a_shipped_game_writes_nothing(empty_cache):
    find_game(Recipe("coin_collector", SHIPPED, 9)).rom()
    assert not empty_cache.exists()


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LMENVS_CACHE", str(tmp_path / "file"))
    find_game.cache_clear()
    with pytest.warns(RuntimeWarning, match="set LMENVS_CACHE"):
        find_game(Recipe("quest", QUEST, 4))
    find_game.cache_clear()


def _write(folder: str, number: int) -> bytes | None:
    os.environ["LMENVS_CACHE"] = folder
    for turn in range(20):
        cache.write_rom("same", bytes([7]) * (50_000 + turn % 2))
        assert len(cache.read_rom("same") or b"") in (50_000, 50_001)
    return cache.read_rom("same")


def test_several_processes_may_write_one_file(tmp_path):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(_write, [str(tmp_path)] * 4, range(4)))
    assert all(rom is not None and rom.count(7) == len(rom) for rom in found)
    assert [path.name for path in (tmp_path / "textworld" / "stories").iterdir()] == ["same"]


def test_the_user_folder_of_the_platform_is_the_default(monkeypatch):
    monkeypatch.delenv("LMENVS_CACHE", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert str(cache.folder()) == os.path.join("/elsewhere", "lmenvs")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.folder().parts[-3:] == ("Library", "Caches", "lmenvs")


def test_no_game_is_a_value_error():
    with pytest.raises(ValueError, match="no game"):
        generate(Recipe("quest", (("nb_rooms", 0), ("nb_objects", 1), ("quest_length", 2)), 0))
