"""For every test: one thread, no model hub, and the tests' own helpers on the path."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
_ROOT = Path(__file__).resolve().parents[1]
# games that tests compile stay with the tests: a user's own cache is left alone
os.environ.setdefault("LMENVS_CACHE", str(_ROOT / ".pytest_cache" / "games"))
# helpers are imported as `tests.…`, also by the children of spawned processes
sys.path.insert(0, str(_ROOT))

# the same examples in every run, and no clock: a busy machine must not fail a test
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")
