"""Nothing that lies in a file can run code: no pickle is ever read from one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# copies of a snapshot are made and read within one process, or go through a pipe to its own child
IN_MEMORY = {
    name: {"import pickle", "pickle.loads"}
    for name in (
        "lmenvs/checks/states.py",
        "agents/workers_child.py",
        "agents/workers_process.py",
    )
}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
CALLS = {"torch.load", "torch.save", "torch.jit.load", "torch.package.PackageImporter"}
CALLS |= {"eval", "exec", "pd.read_pickle", "pandas.read_pickle"}


def _unsafe(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {a.name}" for a in node.names if a.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            if node.module.split(".")[0] in MODULES or names & CALLS:
                yield f"from {node.module} import"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            safe = all(
                ast.literal_eval(k.value) is False
                for k in node.keywords
                if k.arg in ("allow_pickle", "trust_remote_code")
            )
            if called in CALLS or called.split(".")[0] in MODULES or not safe:
                yield called


def test_no_file_is_unpickled():
    wrong = []
    for folder in ("lmenvs", "agents", "algorithms", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            found = set(_unsafe(ast.parse(path.read_text(encoding="utf-8"))))
            wrong += [f"{name}: {one}" for one in found - IN_MEMORY.get(name, set())]
    assert not [one for one in wrong if "pickle.dumps" not in one]


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import load",
        "from torch import load",
        "torch.load(f, weights_only=True)",
        "import joblib.numpy_pickle",
        "np.load(f, allow_pickle=True)",
        "AutoModel.from_pretrained(f, trust_remote_code=True)",
        "eval(text)",
    ],
)
def test_the_rule_knows_an_unsafe_line(line: str):
    assert list(_unsafe(ast.parse(line)))


def test_the_rule_lets_safe_lines_pass():
    safe = "np.load(f, allow_pickle=False)\njson.loads(t)\nmodel.eval()\nload_file(f)"
    assert not list(_unsafe(ast.parse(safe)))
