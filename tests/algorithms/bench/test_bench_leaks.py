"""Memory and open files stay flat while a run goes on."""

import os
import sys
from pathlib import Path

import pytest

from algorithms.bench.leaks import compared, measure_leaks
from algorithms.provenance import memory

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@on_linux
def test_memory_tells_what_the_process_holds(tmp_path: Path):
    before = memory()
    block = bytearray(os.urandom(1) * (64 << 20))
    files = [(tmp_path / str(number)).open("w") for number in range(7)]
    after = memory()
    assert after["memory/open_files"] == before["memory/open_files"] + 7
    assert after["memory/resident_mib"] > before["memory/resident_mib"] + 60
    for file in files:
        file.close()
    assert memory()["memory/open_files"] == before["memory/open_files"] and len(block)


def test_growth_is_the_late_against_the_early():
    rows = [
        {
            "iteration": i,
            "memory/resident_mib": 10.0 + i,
            "memory/open_files": 5 + i // 2,
            "time": i,
        }
        for i in range(5)
    ]
    assert compared(rows, 2) == {
        "early": {"iteration": 2, "resident_mib": 12.0, "open_files": 6},
        "late": {"iteration": 4, "resident_mib": 14.0, "open_files": 7},
        "grown_mib": 2.0,
        "grown_files": 1,
        "bytes_per_iteration": 1 << 20,
        "seconds": 4,
    }
    with pytest.raises(ValueError, match="measure on Linux"):
        compared([{"iteration": 0}], 0)
    with pytest.raises(ValueError, match="early 5"):
        measure_leaks(5, 5)


@on_linux
def test_a_short_run_leaves_no_file_open_and_little_memory_behind():
    found = measure_leaks(30, early=10)
    assert found["grown_files"] == 0
    # the allocator's own pools still settle; a leak of a model (0.1 MB) an iteration is 2 MB
    assert found["grown_mib"] < 8
