"""Watching a study in a terminal while its runs are under way: its journals are read, and nothing is written."""

from __future__ import annotations

from elastic.watching.live import INTERVAL, watch

__all__ = ["INTERVAL", "watch"]
