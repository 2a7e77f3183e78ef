"""Which commit a result was made with."""

import subprocess
from pathlib import Path

from algorithms.provenance import commit


def git(root: Path, *command: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(root), *who, *command], check=True, capture_output=True)


def test_a_benchmark_that_fills_its_own_file_leaves_the_checkout_clean(tmp_path: Path):
    assert commit(tmp_path) is None
    results = tmp_path / "examples" / "benchmarks" / "lmrl" / "lmrl.json"
    results.parent.mkdir(parents=True)
    for file in (results, tmp_path / "code.py"):
        file.write_text("1")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    clean = commit(tmp_path)
    assert clean is not None and len(clean) == 40
    results.write_text("2")
    (tmp_path / "new.txt").write_text("untracked")
    assert commit(tmp_path) == clean
    (tmp_path / "code.py").write_text("2")
    assert commit(tmp_path) == f"{clean}-dirty"
