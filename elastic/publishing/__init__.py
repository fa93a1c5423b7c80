"""Publishing: a study as one archive that a stranger opens, verifies and reproduces."""

from __future__ import annotations
