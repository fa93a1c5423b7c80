"""Recording external training loops and checkpoints as studies."""

from __future__ import annotations

from elastic.recording.checkpoints import record_checkpoints
from elastic.recording.recorder import Recorder

__all__ = ["Recorder", "record_checkpoints"]
