"""Measure the reference scores and show them in the docstrings.

    python -m lmenvs.measuring                     # measure again, compare with what is stored
    python -m lmenvs.measuring --write [ENV ...]   # store, and write the tables in the docstrings
    python -m lmenvs.measuring --write --missing   # only what is new or has another recipe

Each environment's docstring ends in the table made here; a test fails while one is old.
"""

import argparse
import inspect
import json
import re
import sys
import textwrap
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

from .recipes import Measured, measure
from .references import STORE, Row, canonical, command, forget, references, stored, wanted
from .registration import TABLE, find
from .spec import EnvSpec

HEADING, FOLLOWING = "    References:\n", "    Version history:\n"
WIDTH = 100


def block(spec: EnvSpec) -> str:
    """The docstring's part on a row's references; nothing where there are none."""
    names = dict.fromkeys([*map(canonical, spec.references), *map(canonical, spec.measures)])
    lines: list[str] = []
    for env in names:
        shown = _LONG_HASH.sub(r"\1...", unquote(env).removeprefix("lmenvs/"))
        lines += textwrap.wrap(
            shown,
            WIDTH,
            initial_indent=" " * 8,
            subsequent_indent=" " * 12,
            break_on_hyphens=False,
        )
        for name, reference in references(env).items():
            lines += textwrap.wrap(
                f"{name} {reference.shown(5)}: {reference.source}",
                WIDTH,
                initial_indent=" " * 12,
                subsequent_indent=" " * 16,
                break_long_words=False,
                break_on_hyphens=False,
            )
    if not lines:
        return ""
    if spec.measures:
        again = f"Behind +- a standard error. Measured by {command(spec.id)}"
        indent = " " * 8
        lines[:0] = textwrap.wrap(
            again, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )
    return HEADING + "\n".join(lines) + "\n\n"


_LONG_HASH = re.compile(r"(sha256(?:%3A|:)[0-9a-f]{8})[0-9a-f]{56}")


def source_file(spec: EnvSpec) -> Path:
    """The file of a row's class."""
    module, _, _ = spec.entry_point.partition(":")
    return Path(inspect.getfile(import_module(module)))


def filled(spec: EnvSpec, code: str) -> str:
    """The source of a row's class with the docstring's references as they should be.

    Raises:
        ValueError: where the class has no docstring with the fixed headings.
    """
    name = spec.entry_point.partition(":")[2]
    start = re.search(rf"^class {name}\b", code, re.MULTILINE)
    end = code.find(FOLLOWING, start.start()) if start else -1
    if start is None or end < 0:
        raise ValueError(f"{spec.entry_point}: expected a class with the heading Version history")
    old = code.rfind(HEADING, start.start(), end)
    return code[: old if old >= 0 else end] + block(spec) + code[end:]


def main(arguments: list[str] | None = None) -> int:
    """Measure, compare, and with --write store."""
    parser = argparse.ArgumentParser(
        prog="lmenvs.measuring", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("env", nargs="*", help="ids or env strings; none is all of them")
    parser.add_argument("--write", action="store_true", help="store, and write the docstrings")
    parser.add_argument("--missing", action="store_true", help="only what is not stored yet")
    given = parser.parse_args(arguments)
    for name in given.env:
        find(name)
    before, changed = stored(), 0
    found: dict[str, dict[str, Row]] = {}
    for env, recipes in wanted().items():
        asked = not given.env or env in given.env or find(env).id in given.env
        for name, recipe in recipes.items():
            row = before.get(env, {}).get(name)
            known = row is not None and row["recipe"] == recipe
            if asked and not (given.missing and known):
                measured = measure(env, recipe)
                differs = row is None or Measured(row["value"], row["error"]) != measured
                changed += differs
                was = "" if row is None or not differs else f"   stored: {row['value']:.6g}"
                now = f"{name} {measured.value:.6g} +- {measured.error:.2g}"
                print(f"{env}  {now}{was}", flush=True)
                row = Row(value=measured.value, error=measured.error, recipe=recipe)
                found.setdefault(env, {})[name] = row
    if given.write:
        write(found)
        return 0
    return int(changed > 0)


def merged(
    found: dict[str, dict[str, Row]],
    kept: dict[str, dict[str, Row]],
    recipes: dict[str, dict[str, str]],
) -> dict[str, dict[str, Row]]:
    """What was found over what is kept, in the order of the recipes; other rows go."""
    rows: dict[str, dict[str, Row]] = {}
    for env, names in recipes.items():
        for name in names:
            row = found.get(env, {}).get(name) or kept.get(env, {}).get(name)
            if row is not None:
                rows.setdefault(env, {})[name] = row
    return rows


def write(found: dict[str, dict[str, Row]]) -> None:
    """Store measured scores beside those that stand, and bring the docstrings up to date."""
    # what stands now: another run may have written while these were measured
    rows = merged(found, stored(), wanted())
    file = Path(__file__).parent / "data" / STORE
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8", newline="\n")
    forget()
    for spec in TABLE.values():
        path = source_file(spec)
        code = path.read_text(encoding="utf-8")
        if (new := filled(spec, code)) != code:
            path.write_text(new, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main())
