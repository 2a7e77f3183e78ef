"""Reading a folder of MovieLens, as GroupLens hands it out: popular films and who rated them.

Three layouts are known: `u.data`, `u.item` and perhaps `u.user` (ml-100k); `ratings.dat`,
`movies.dat` and perhaps `users.dat` (ml-1m); `ratings.csv` and `movies.csv` (ml-latest and others).
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from lmenvs.splits import Split

from .films import Catalogue, from_ratings

MOST_LETTERS = 200  # of a title
MOST_STARS = 5
FIRST_FLAG = 5  # the field of u.item where the genres begin
GENRES_100K = (
    "Unknown Action Adventure Animation Children Comedy Crime Documentary Drama Fantasy Film-Noir "
    "Horror Musical Mystery Romance Sci-Fi Thriller War Western"
)
_JOBS = (
    "other,educator,artist,clerk,student,customer service,doctor,executive,farmer,homemaker,"
    "student,lawyer,programmer,retired,salesman,scientist,self-employed,engineer,tradesman,"
    "unemployed,writer"
)
JOBS_1M = {str(code): job for code, job in enumerate(_JOBS.split(","))}

Rows = Iterator[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a version of MovieLens keeps what.

    Attributes:
        ratings: The file of (visitor, film, stars, ...).
        films: The file of the films.
        people: The file of the visitors, or "".
        rows: How a file's lines become fields.
        genres: The genres of a film, from its fields.
        person: A few words about a visitor, from its fields.
    """

    ratings: str
    films: str
    people: str
    rows: Callable[[Path], Rows]
    genres: Callable[[Sequence[str]], list[str]]
    person: Callable[[Sequence[str]], str]


def _split(separator: str) -> Callable[[Path], Rows]:
    def rows(path: Path) -> Rows:
        with path.open(encoding="latin-1") as lines:
            for line in lines:
                if line.strip():
                    yield line.rstrip("\r\n").split(separator)

    return rows


def _hundred_thousand(path: Path) -> Rows:
    return _split("\t" if path.name == "u.data" else "|")(path)


def _comma(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        next(rows, None)  # the names of the columns
        yield from rows


def _piped(fields: Sequence[str]) -> list[str]:
    return [genre for genre in fields[2].split("|") if not genre.startswith("(")]


def _flagged(fields: Sequence[str]) -> list[str]:
    flags = fields[FIRST_FLAG:]
    return [name for name, flag in zip(GENRES_100K.split(), flags, strict=False) if flag == "1"]


def _gender(letter: str) -> str:
    return {"M": "man", "F": "woman"}.get(letter, "person")


LAYOUTS = (
    Layout(
        "u.data",
        "u.item",
        "u.user",
        _hundred_thousand,
        _flagged,
        lambda fields: f"{fields[1]}-year-old {_gender(fields[2])}, {fields[3]}",
    ),
    Layout(
        "ratings.dat",
        "movies.dat",
        "users.dat",
        _split("::"),
        _piped,
        lambda fields: (
            f"{_gender(fields[1])} aged {fields[2]} or more, {JOBS_1M.get(fields[3], 'other')}"
        ),
    ),
    Layout("ratings.csv", "movies.csv", "", _comma, _piped, lambda fields: ""),
)


@lru_cache(maxsize=4)
def load(folder: str, arms: int, size: int, split: Split) -> Catalogue:
    """The `arms` most rated films of a MovieLens folder, and the visitors who rated one of them.

    Raises:
        ValueError: where files are missing, a line cannot be read, or there are too few films.
    """
    root, layout = Path(folder), _layout(folder)
    given = [
        (fields[0], fields[1], float(fields[2]))
        for fields in _fields(root / layout.ratings, layout, 3)
    ]
    counts = Counter(film for _, film, _ in given)
    # among equally popular films the order of the file must not decide
    popular = sorted(counts, key=lambda film: (-counts[film], film))[:arms]
    if len(popular) < arms:
        raise ValueError(
            f"movielens={folder!r}: {layout.ratings} rates {len(popular)} films; expected at least "
            f"arms={arms}, so lower arms"
        )
    columns = {film: index for index, film in enumerate(popular)}
    visitors = sorted({visitor for visitor, film, _ in given if film in columns})
    rows = {visitor: index for index, visitor in enumerate(visitors)}
    stars = np.zeros((len(visitors), arms))
    for visitor, film, value in given:
        if film in columns:
            stars[rows[visitor], columns[film]] = value
    names, labels = _films(root, layout, popular)
    people = _people(root, layout, rows)
    catalogue = from_ratings(names, labels, people, stars, min(size, arms, len(visitors)), split)
    if not catalogue.pool:
        raise ValueError(f"movielens={folder!r}: no visitor in split={split!r}; take split='all'")
    return catalogue


def _layout(folder: str) -> Layout:
    for layout in LAYOUTS:
        if all((Path(folder) / name).is_file() for name in (layout.ratings, layout.films)):
            return layout
    known = " or ".join(f"{layout.ratings} and {layout.films}" for layout in LAYOUTS)
    got = "no such folder" if not Path(folder).is_dir() else "a folder without them"
    raise ValueError(
        f"movielens={folder!r}: expected {known}, got {got}; unpack a MovieLens archive there, or "
        "leave the argument out for made-up films"
    )


def _fields(path: Path, layout: Layout, least: int) -> Rows:
    where = f"{path}, record 1"
    try:
        for number, fields in enumerate(layout.rows(path), start=1):
            where = f"{path}, record {number}"
            if len(fields) < least:
                raise ValueError(f"{len(fields)} fields")
            if path.name == layout.ratings and not 0 < float(fields[2]) <= MOST_STARS:
                raise ValueError(f"{fields[2]} stars")
            yield fields
    except (ValueError, csv.Error) as error:  # text that is no UTF-8 is a ValueError
        raise ValueError(
            f"{where}: {error}; expected a MovieLens record of at least "
            f"{least} fields, the third of a rating a number of stars up to {MOST_STARS}"
        ) from error


def _films(
    root: Path, layout: Layout, popular: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found: dict[str, tuple[str, str]] = {}
    wanted, taken = set(popular), set[str]()
    least = FIRST_FLAG if layout.genres is _flagged else 3
    for fields in _fields(root / layout.films, layout, least):
        if fields[0] in wanted:
            name = " ".join(fields[1].split())[:MOST_LETTERS] or f"Film {fields[0]}"
            if name.lower() in taken:
                name = f"{name} [{fields[0]}]"
            taken.add(name.lower())
            genres = ", ".join(layout.genres(fields))
            found[fields[0]] = (name, f"{name} [{genres}]" if genres else name)
    missing = sorted(wanted - set(found))
    if missing:
        raise ValueError(
            f"{root / layout.films}: no film {missing[0]}, which {layout.ratings} rates; "
            "use files of one archive"
        )
    return tuple(found[film][0] for film in popular), tuple(found[film][1] for film in popular)


def _people(root: Path, layout: Layout, rows: Mapping[str, int]) -> tuple[str, ...]:
    people = [""] * len(rows)
    path = root / layout.people
    if layout.people and path.is_file():
        for fields in _fields(path, layout, 4):
            if fields[0] in rows:
                people[rows[fields[0]]] = " ".join(layout.person(fields).split())
    return tuple(people)
