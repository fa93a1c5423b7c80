"""Publishing: writes a study as one archive that anyone can open, verify and reproduce."""

from __future__ import annotations
