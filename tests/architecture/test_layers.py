"""How the packages hang together, read from the source: imports, seeds, steps, sizes, names."""

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("lmenvs", "agents", "algorithms")
LONGEST_FILE = 300
SHARED = {"algorithms.credit", "algorithms.rewards", "algorithms.report", "algorithms.losses"}
SHARED |= {f"algorithms.{name}" for name in ("batch", "replay", "support", "runs", "metrics")}
# `lmenvs bench` times bare environments: a rollout's own cost must not be in the number
STEPPERS = {
    "agents/playing.py",
    "algorithms/bench/critic/truth.py",
    "algorithms/bench/environments.py",
    "algorithms/bench/textworld.py",
}
SEEDER = "algorithms/support.py"


def _sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return found


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(path: Path) -> Iterator[str]:
    """The absolute names of all modules that a file imports, also inside functions."""
    package = list(path.relative_to(ROOT).with_suffix("").parts)[:-1]
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("lmenvs", {"agents", "algorithms"}), ("agents", {"algorithms"})],
)
def test_imports_point_one_way(package: str, forbidden: set[str]):
    wrong = [
        f"{_name(path)} imports {module}"
        for path in _sources(package)
        for module in _imports(path)
        if module.partition(".")[0] in forbidden | {"tests", "examples"}
    ]
    assert not wrong


def test_environments_import_nothing_heavy():
    heavy = {"torch", "transformers", "tokenizers", "peft", "httpx", "tyro", "rich", "matplotlib"}
    wrong = [
        f"{_name(path)} imports {module}"
        for path in _sources("lmenvs", "algorithms/credit")
        for module in _imports(path)
        if module.partition(".")[0] in heavy
    ]
    assert not wrong


def _algorithms() -> dict[str, Path]:
    """The files that hold one algorithm each: those with a Config and a train of their own."""
    found = {}
    for path in sorted((ROOT / "algorithms").glob("*.py")):
        names = {
            node.name
            for node in _tree(path).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        if "train" in names:
            found[f"algorithms.{path.stem}"] = path
    return found


def test_no_algorithm_imports_another():
    algorithms = _algorithms()
    assert not set(algorithms) & SHARED
    wrong = [
        f"{name} imports {module}"
        for name, path in algorithms.items()
        for module in _imports(path)
        if any(module == other or module.startswith(f"{other}.") for other in algorithms)
    ]
    assert not wrong


def test_environments_are_stepped_in_one_place():
    wrong = []
    for path in _sources("agents", "algorithms"):
        for node in ast.walk(_tree(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "step"
                and node.args  # an optimizer's step has none
                and ast.unparse(node.func) != "support.step"
                and _name(path) not in STEPPERS
            ):
                wrong.append(f"{_name(path)}:{node.lineno}")
    assert not wrong


def _seeding_calls(tree: ast.Module) -> Iterator[int]:
    """Lines that seed a generator which others share, unless its state is put back behind them."""
    sheltered = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and "fork_rng" in ast.unparse(node.items[0])
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            shared = called in {
                "random.seed",
                "np.random.seed",
                "numpy.random.seed",
                "torch.manual_seed",
                "torch.random.manual_seed",
                "torch.cuda.manual_seed",
                "torch.cuda.manual_seed_all",
                "transformers.set_seed",
                "torch.seed",
            } or called.endswith("default_generator.manual_seed")
            if shared and id(node) not in sheltered:
                yield node.lineno


def test_shared_generators_are_seeded_in_one_place():
    wrong = [
        f"{_name(path)}:{line}"
        for path in _sources(*PACKAGES, "examples")
        if _name(path) != SEEDER
        for line in _seeding_calls(_tree(path))
    ]
    assert not wrong
    assert list(_seeding_calls(_tree(ROOT / SEEDER)))


def test_the_seeding_rule_knows_a_shelter_from_an_open_field():
    assert list(_seeding_calls(ast.parse("import torch\ntorch.manual_seed(1)"))) == [2]
    sheltered = "with torch.random.fork_rng():\n    torch.manual_seed(1)\nnp.random.seed(2)"
    assert list(_seeding_calls(ast.parse(sheltered))) == [3]


def test_a_file_is_short_or_says_on_its_first_line_why_not():
    wrong = []
    for path in _sources(*PACKAGES, "tests", "examples"):
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > LONGEST_FILE and f"over {LONGEST_FILE} lines" not in lines[0]:
            wrong.append(f"{_name(path)}: {len(lines)} lines")
    assert not wrong


def test_no_file_names_the_host_of_a_package_registry():
    # put together here, so that this file names none either
    names = ("pypi", "pythonhosted", "anaconda", "conda-forge", "npmjs", "download.pytorch")
    hosts = tuple(name + ".org" for name in names)
    wrong = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = set(folders) - {".git", ".venv", "runs", "build", "dist", "__pycache__"}
        for path in (Path(folder) / file for file in files):
            if path.stat().st_size < 1 << 20:
                text = path.read_bytes().decode("utf-8", "replace").lower()
                wrong += [f"{_name(path)} names {host}" for host in hosts if host in text]
    assert not wrong


def test_every_class_of_the_table_is_in_its_own_file():
    from lmenvs import TABLE

    places = [spec.entry_point for spec in TABLE.values()]
    modules = [place.partition(":")[0] for place in places]
    assert len(set(modules)) == len(places)
    for module in modules:
        assert module.startswith("lmenvs.envs.")
        assert (ROOT / (module.replace(".", "/") + ".py")).exists()
