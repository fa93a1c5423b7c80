"""What the repository holds beside the package; a source distribution has no results, which are studies of 40 MB."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"

#: Of tests of published results.
needs_results = pytest.mark.skipif(not RESULTS.is_dir(), reason="results/ is not here, as in a source distribution")
