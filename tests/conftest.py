"""For every test: one thread, no model hub, and the tests' own helpers on the path."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# helpers are imported as `tests.…`, also by the children of spawned processes
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
