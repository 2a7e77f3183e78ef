from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmenvs
from lmenvs.envs.bandit.contextual import ContextualBandit
from lmenvs.envs.bandit.films import UNIT
from lmenvs.envs.bandit.movielens import load
from lmenvs.envs.bandit.reading import read_arms, read_features

TITLES = {
    "10": "Heat (1995)",
    "20": "Postman, The (Il Postino) (1994)",
    "30": "Caf\u00e9 (1990)",
    "40": "Rare (1999)",
}
GENRES = {"10": ["Action", "Crime"], "20": ["Drama"], "30": [], "40": ["War"]}
FLAGS = (
    "unknown Action Adventure Animation Children Comedy Crime Documentary Drama Fantasy Film-Noir "
    "Horror Musical Mystery Romance Sci-Fi Thriller War Western"
)


def stars() -> dict[tuple[str, str], int]:
    generator = np.random.default_rng(0)
    found = {
        (str(visitor), film): int(generator.integers(1, 6))
        for visitor in range(1, 25)
        for film in ("10", "20", "30")
        if generator.random() < 0.9
    }
    return found | {("25", "40"): 5, ("26", "10"): 4}


def archive(root: Path, kind: str) -> str:
    """A folder in the layout of `kind` with the same ratings."""
    root.mkdir()
    files: dict[str, list[str]] = {}
    if kind == "ml-100k":
        files["u.data"] = [f"{v}\t{f}\t{s}\t88" for (v, f), s in stars().items()]
        files["u.item"] = [
            f"{f}|{title}|01-Jan-1995||http|"
            + "|".join(str(int(g in GENRES[f])) for g in FLAGS.split())
            for f, title in TITLES.items()
        ]
        files["u.user"] = [f"{v}|{20 + v}|{'MF'[v % 2]}|writer|90210" for v in range(1, 27)]
    elif kind == "ml-1m":
        files["ratings.dat"] = [f"{v}::{f}::{s}::88" for (v, f), s in stars().items()]
        files["movies.dat"] = [
            f"{f}::{title}::{'|'.join(GENRES[f]) or '(no genres listed)'}"
            for f, title in TITLES.items()
        ]
        files["users.dat"] = [f"{v}::{'MF'[v % 2]}::25::20::90210" for v in range(1, 27)]
    else:
        files["ratings.csv"] = ["userId,movieId,rating,timestamp"]
        files["ratings.csv"] += [f"{v},{f},{s}.0,88" for (v, f), s in stars().items()]
        files["movies.csv"] = ["movieId,title,genres"]
        files["movies.csv"] += [
            f'{f},"{title}",{"|".join(GENRES[f]) or "(no genres listed)"}'
            for f, title in TITLES.items()
        ]
    encoding = "utf-8" if kind == "ml-latest" else "latin-1"
    for name, lines in files.items():
        (root / name).write_text("\n".join(lines) + "\n", encoding=encoding)
    return str(root)


@pytest.mark.parametrize("kind", ["ml-100k", "ml-1m", "ml-latest"])
def test_every_layout_gives_the_same_films_and_ratings(kind: str, tmp_path: Path):
    catalogue = load(archive(tmp_path / kind, kind), 3, 3, "all")
    assert sorted(catalogue.names) == sorted(TITLES[film] for film in ("10", "20", "30"))
    assert "Heat (1995) [Action, Crime]" in catalogue.labels
    assert "Caf\u00e9 (1990)" in catalogue.labels
    # at full rank the approximation is the table itself, up to the rounding of features and factors
    given = np.zeros(catalogue.ratings.shape)
    visitors = sorted({visitor for visitor, film in stars() if film != "40"})
    columns = [next(f for f, t in TITLES.items() if t == name) for name in catalogue.names]
    for (visitor, film), value in stars().items():
        if film != "40":
            given[visitors.index(visitor), columns.index(film)] = value
    assert np.abs(catalogue.ratings / UNIT - given).max() < 0.06
    assert len(catalogue.people) == 25  # the one who rated only the rare film does not come


def test_features_have_a_mean_square_of_one(tmp_path: Path):
    catalogue = load(archive(tmp_path / "m", "ml-latest"), 3, 3, "all")
    square = ((catalogue.features / UNIT) ** 2).mean(axis=0)
    assert square == pytest.approx([1.0, 1.0, 1.0], abs=0.01)


def test_the_player_reads_who_the_visitor_is_where_the_archive_says_it(tmp_path: Path):
    told: dict[str, str] = {}
    for kind in ("ml-100k", "ml-1m", "ml-latest"):
        env = ContextualBandit(arms=3, movielens=archive(tmp_path / kind, kind))
        text, _ = env.reset(seed=0)
        told[kind] = text.split("\n")[-1].partition(":")[0]
        assert len(read_arms(text)) == 3 and read_features(text) is not None
        for action in ("Heat", "3", "film postman, the (il postino)", "hm"):
            info = env.step(action)[4]
            assert info["valid"] == (action != "hm")
    assert told["ml-100k"].endswith("writer)") and "-year-old" in told["ml-100k"]
    assert told["ml-1m"].endswith("aged 25 or more, writer)")
    assert told["ml-latest"] == "Visitor"


def test_the_seed_orders_the_films_and_the_answer_follows(tmp_path: Path):
    env = ContextualBandit(arms=3, horizon=30, movielens=archive(tmp_path / "m", "ml-latest"))
    orders: set[tuple[str, ...]] = set()
    for seed in range(40):
        text, _ = env.reset(seed=seed)
        orders.add(read_arms(text))
        rewards = env.expected_rewards()
        assert tuple(rewards) == read_arms(text)
        film = list(rewards)[seed % 3]
        assert env.step(str(seed % 3 + 1))[1] == rewards[film]
    assert len(orders) == 6


def test_the_splits_share_no_visitor(tmp_path: Path):
    folder = archive(tmp_path / "m", "ml-latest")
    pools = {split: load(folder, 3, 3, split).pool for split in ("train", "test", "all")}  # type: ignore[arg-type]
    assert sorted(pools["train"] + pools["test"]) == list(pools["all"])
    assert pools["train"] and pools["test"]


def test_it_is_made_by_an_env_string_and_keeps_the_contract(tmp_path: Path):
    folder = archive(tmp_path / "m", "ml-100k")
    name = lmenvs.format_env_string(
        "lmenvs/ContextualBandit-v0",
        {"movielens": folder, "arms": 3, "context": "guided", "horizon": 20},
    )
    lmenvs.testing.check_env(name)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ratings.csv": None}, "expected u.data and u.item"),
        ({"ratings.csv": "userId,movieId,rating\n1,10\n"}, "record 1"),
        ({"ratings.csv": "userId,movieId,rating\n1,10,four\n"}, "record 1"),
        ({"ratings.csv": "userId,movieId,rating\n1,10,nan\n"}, "record 1: nan stars; expected"),
        ({"ratings.csv": "userId,movieId,rating\n1,10,4\n1,20,50\n"}, "record 2: 50 stars"),
        ({"ratings.csv": "userId,movieId,rating\n1,10,-1\n"}, "number of stars up to 5"),
        ({"ratings.csv": "userId,movieId,rating\n1,10," + "9" * 200_000}, "record 1: field larger"),
        ({"ratings.csv": "userId,movieId,rating\n1,10,4\n"}, "rates 1 films"),
        ({"movies.csv": "movieId,title,genres\n10,Heat (1995),Action\n"}, "no film"),
    ],
)
def test_a_folder_that_is_no_archive_is_refused_in_one_line(
    change: dict[str, Any], says: str, tmp_path: Path
):
    folder = archive(tmp_path / "m", "ml-latest")
    for name, text in change.items():
        (Path(folder) / name).unlink() if text is None else (Path(folder) / name).write_text(text)
    with pytest.raises(ValueError, match=says) as caught:
        ContextualBandit(arms=3, movielens=folder)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused_in_one_line(tmp_path: Path):
    folder = archive(tmp_path / "m", "ml-latest")
    (Path(folder) / "movies.csv").write_bytes(b"movieId,title,genres\n10,Caf\xe9,Drama\n")
    with pytest.raises(ValueError, match="'utf-8' codec can't decode .*; expected") as caught:
        ContextualBandit(arms=3, movielens=folder)
    assert "\n" not in str(caught.value)


def test_a_job_that_the_archive_does_not_explain_is_another_one(tmp_path: Path):
    folder = archive(tmp_path / "m", "ml-1m")
    path = Path(folder) / "users.dat"
    for code in ("99", "-1", "?"):
        path.write_text(path.read_text().replace("::25::20::", f"::25::{code}::"))
        people = load.__wrapped__(folder, 3, 3, "all").people
        assert set(people) == {"man aged 25 or more, other", "woman aged 25 or more, other"}
        path.write_text(path.read_text().replace(f"::25::{code}::", "::25::20::"))


def test_two_films_of_one_name_can_be_told_apart(tmp_path: Path):
    folder = archive(tmp_path / "m", "ml-latest")
    path = Path(folder) / "movies.csv"
    path.write_text(path.read_text().replace("Heat (1995)", "Caf\u00e9 (1990)"), encoding="utf-8")
    env = ContextualBandit(arms=3, movielens=folder)
    env.reset(seed=0)
    names = env.admissible_actions()
    assert len(set(names)) == 3 and sum("Caf\u00e9" in name for name in names) == 2
    assert all(env.step(name)[4]["valid"] for name in names)
