"""`elastic watch`: draws a running study in a terminal; only reads its journals."""

from __future__ import annotations

from elastic.watching.live import INTERVAL, watch

__all__ = ["INTERVAL", "watch"]
