"""The global state of torch that belongs to one training: generators, and the choice of deterministic kernels."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Randomness:
    """The state of torch's global generators that belongs to one training.

    Attributes
    ----------
    states
        Generator states by device type; missing ones are seeded on first use.
    """

    seed: int
    device: torch.device
    states: dict[str, Tensor] = field(default_factory=dict)

    @contextmanager
    def isolated_rng(self) -> Iterator[None]:
        """Use this training's generator states inside the block and restore the global ones afterwards."""
        on_cuda = self.device.type == "cuda"
        with torch.random.fork_rng(devices=[self.device] if on_cuda else []):
            if self.states:
                torch.set_rng_state(self.states["cpu"])
                if on_cuda:
                    torch.cuda.set_rng_state(self.states["cuda"], self.device)
            else:
                torch.manual_seed(self.seed)
            try:
                yield
            finally:
                self.states = {"cpu": torch.get_rng_state()}
                if on_cuda:
                    self.states["cuda"] = torch.cuda.get_rng_state(self.device)


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Use deterministic kernels within the block."""
    # cuBLAS reads this once, when it starts; it has no effect without a GPU.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    _use_deterministic_algorithms(wanted)
    try:
        yield
    finally:
        _use_deterministic_algorithms(*before)


def _use_deterministic_algorithms(wanted: bool, warn_only: bool = False) -> None:
    """Like torch's function of this name, without importing the compiler (a second) to configure it."""
    if "torch._dynamo" in sys.modules:  # imported once a model is compiled
        torch.use_deterministic_algorithms(wanted, warn_only=warn_only)
    else:
        torch._C._set_deterministic_algorithms(wanted, warn_only=warn_only)
