"""Models that kill the process that trains them, unless it is the test's own; named by import path in protocols."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import torch
from torch import nn

#: Environment variables: the process that survives, and a file that is made before a death that happens once only.
SURVIVOR, MARKER = "DEADLY_MODELS_SURVIVOR", "DEADLY_MODELS_MARKER"

#: Minibatches after which a process dies once: in the second epoch of the small study.
BATCHES = 5


class Deadly(nn.Module):
    """Dies never, once or always when it is trained."""

    def __init__(self, input_shape, classes, dies="never"):
        super().__init__()
        self.enter, self.head = nn.Linear(input_shape[-1] * input_shape[-2], 8), nn.Linear(8, classes)
        self.dies, self.batches = dies, 0

    def forward(self, x):
        self.batches += self.training
        if self.training and self.dies != "never" and os.environ.get(SURVIVOR) != str(os.getpid()):
            marker = Path(os.environ[MARKER])
            if self.dies == "always":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.batches == BATCHES and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return self.head(torch.tanh(self.enter(x.flatten(1))))
