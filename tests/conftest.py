"""Settings of all tests: one thread a process, so that tests side by side do not fight for the cores."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis

hypothesis.settings.register_profile("elastic", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("elastic")
