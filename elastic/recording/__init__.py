"""Recording training loops of one's own: a model, samples and a folder in, a study out."""

from __future__ import annotations

from elastic.recording.checkpoints import record_checkpoints
from elastic.recording.recorder import Recorder

__all__ = ["Recorder", "record_checkpoints"]
