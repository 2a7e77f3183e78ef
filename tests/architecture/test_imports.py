"""What importing costs and brings along, measured in fresh interpreters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUDGET_SECONDS = 0.25
BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Blocker())
"""


def _python(code: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["lmenvs", "agents", "algorithms.credit"])
def test_a_package_imports_without_torch(module: str):
    heavy = {"torch", "transformers", "tokenizers", "peft", "textworld", "jericho", "httpx"}
    blocked = BLOCKED.format(blocked=heavy | {"tyro", "rich", "matplotlib", "jinja2"})
    assert "done" in _python(f"{blocked}\nimport {module}\nprint('done')")


def test_small_environments_play_without_torch_or_textworld():
    blocked = BLOCKED.format(blocked={"torch", "transformers", "textworld", "jericho"})
    code = (
        "import lmenvs\n"
        "env = lmenvs.make('lmenvs/Maze-v0?layout=u')\n"
        "env.reset(seed=0)\n"
        "print(env.step(env.expert_action())[1], lmenvs.exact.solve(env).start_value)"
    )
    assert float(_python(blocked + code).split()[0]) in (-1.0, 0.0)


def test_importing_lmenvs_brings_along_nothing_heavy():
    loaded = set(_python("import sys, lmenvs; print(*sys.modules)").split())
    assert "lmenvs" in loaded and "lmenvs.exact" in loaded
    heavy = {"torch", "transformers", "textworld", "jericho", "httpx", "rich", "scipy", "pandas"}
    assert not heavy & loaded
    assert not [name for name in loaded if name.startswith("lmenvs.envs.")]


def _seconds(code: str) -> float:
    """Processor seconds of a fresh interpreter: they do not grow when the machine is busy."""
    measure = (
        "import resource, subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {code!r}], check=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime)"
    )
    return float(_python(measure))


@pytest.mark.skipif(sys.platform == "win32", reason="the resource module is for Unix")
def test_importing_lmenvs_costs_less_than_a_quarter_of_a_second():
    bare = min(_seconds("pass") for _ in range(3))
    ours = min(_seconds("import lmenvs") for _ in range(5))
    assert ours - bare < BUDGET_SECONDS
