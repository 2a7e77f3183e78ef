import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = ("lmenvs", "agents", "algorithms")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel, built from a copy so that nothing is written into the checkout."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    skipped = shutil.ignore_patterns("__pycache__")
    for name in (*PACKAGES, "tests", "examples"):
        shutil.copytree(ROOT / name, copy / name, ignore=skipped)
    build = "from setuptools.build_meta import build_wheel; build_wheel('out')"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (built,) = (copy / "out").glob("*.whl")
    return zipfile.ZipFile(built).namelist()


def test_the_wheel_holds_the_three_packages_only(wheel):
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_wheel_holds_every_source_and_data_file(wheel):
    wanted = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert any("/data/" in name for name in wanted)
    assert wanted <= set(wheel)


def test_the_base_needs_numpy_and_gymnasium_only():
    assert {Requirement(r).name for r in PROJECT["dependencies"]} == {"numpy", "gymnasium"}


def test_every_extra_brings_the_command_line():
    extras = PROJECT["optional-dependencies"]

    def brings_cli(name: str) -> bool:
        inner = [e for r in map(Requirement, extras[name]) if r.name == "lmenvs" for e in r.extras]
        return name == "cli" or any(brings_cli(e) for e in inner)

    assert all(brings_cli(name) for name in extras)


def test_every_requirement_is_pinned_to_a_version_that_it_allows():
    optional = [r for extra in PROJECT["optional-dependencies"].values() for r in extra]
    requirements = [*PROJECT["dependencies"], *optional]
    pins = {canonical(name): version for name, version in PINS.items()}
    for requirement in map(Requirement, requirements):
        if requirement.name not in ("lmenvs", "setuptools"):
            assert requirement.specifier.contains(pins[canonical(requirement.name)]), requirement
    assert pins["torch"] == "2.13.0"


def make(
    folder: Path, *arguments: str, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        if not (folder / name).exists():
            shutil.copy(ROOT / name, folder)
    command = [shutil.which("make") or "make", "--no-print-directory", *arguments]
    environment = {**os.environ, **({"PATH": path} if path is not None else {})}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@needs_make
def test_make_says_in_one_line_that_python_is_too_old_or_missing(tmp_path):
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\nif [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi\n')
    old.chmod(0o755)
    for python, got in ((str(old), "got Python 3.9.2"), ("no-such-python", "no-such-python")):
        done = make(tmp_path, "demo", f"PYTHON={python}")
        assert done.returncode != 0 and not (tmp_path / ".venv").exists()
        assert len(done.stdout.splitlines()) == 1
        assert "expected Python >= 3.11" in done.stdout and got in done.stdout


@needs_make
def test_make_says_in_one_line_which_package_brings_a_compiler(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "test", "echo", "rm"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    done = make(tmp_path, "demo", f"PYTHON={sys.executable}", path=str(tools))
    assert done.returncode != 0 and not (tmp_path / ".venv").exists()
    assert len(done.stdout.splitlines()) == 1
    assert "expected a C compiler" in done.stdout and "build-essential" in done.stdout


@needs_make
def test_make_installs_again_from_nothing_when_an_install_broke_off(tmp_path):
    assert "venv --clear" in make(tmp_path, "-n", "demo").stdout
    stamp = tmp_path / ".venv" / ".installed"
    stamp.parent.mkdir()
    stamp.touch()
    ready = make(tmp_path, "-n", "demo", "SMOKE=1").stdout
    assert "pip" not in ready
    assert "-m algorithms.demo --out runs/demo-smoke --smoke" in ready


def test_ci_runs_the_tests_and_the_demo_in_miniature():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.findall(r"^make .*", script.read_text(), re.MULTILINE) == [
        "make test",
        "make demo SMOKE=1",
    ]
