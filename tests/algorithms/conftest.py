"""Check the shapes written in the signatures of the losses: in these tests, and only here."""

import sys

from jaxtyping import install_import_hook

# A module already imported keeps its unchecked functions; the test of wrong shapes would notice.
for name in [name for name in sys.modules if name.startswith("algorithms.losses")]:
    del sys.modules[name]
with install_import_hook("algorithms.losses", "beartype.beartype"):
    import algorithms.losses  # noqa: F401
