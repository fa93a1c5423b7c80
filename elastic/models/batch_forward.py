"""A module as one that takes batches of any form: what names its submodules finds them under the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

#: Gives the output of a module for inputs: ``(module, inputs) -> output``.
Run = Callable[[nn.Module, Any], Any]


class Rows(Protocol):
    """A batch of samples, some of which can be taken."""

    def rows(self, rows: Tensor, dtype: torch.dtype | None = None) -> Any:
        """Return a copy of some samples by their numbers; floating-point ones in a type."""

    def features(self, rows: Tensor) -> Tensor:
        """Return what enters a model of some samples as an array [n, d]."""

    def mask(self, rows: Tensor) -> Tensor | None:
        """Return which tokens of some samples are read [n, T], None where all are."""


class BatchForward(nn.Module):
    """A module that shares all submodules, parameters and buffers of another, and runs it in another way.

    Where ``batch`` is set, the inputs are numbers of its samples, integers [b] or [b, 1]: what looks at models by
    running them on some samples, or on one sample twice, works on batches of any form. Otherwise inputs [b, …] are the
    other's.

    Parameters
    ----------
    module
        Run as it is, with its hooks.
    run
        Gives the output [b, …].
    batch
        What samples are taken of.

    Attributes
    ----------
    mask
        Which tokens [b, T] the forward pass under way reads, None where all are read.

    Examples
    --------
    >>> from elastic.batches.table import Table
    >>> net = nn.Sequential(nn.Linear(2, 1))
    >>> view = BatchForward(net, lambda module, batch: module(batch["x"]), Table({"x": torch.ones(3, 2)}, 3))
    >>> view(torch.arange(2)).shape, [name for name, _ in view.named_modules()]
    (torch.Size([2, 1]), ['', '0'])
    """

    original: nn.Module

    def __init__(self, module: nn.Module, run: Run, batch: Rows | None = None) -> None:
        super().__init__()
        # Without registering it, which would put its name before those of its submodules.
        self.__dict__["original"] = module
        for held in ("_modules", "_parameters", "_buffers"):
            self.__dict__[held] = getattr(module, held)
        self.training = module.training
        self.run, self.batch = run, batch
        self.mask: Tensor | None = None

    def forward(self, inputs: Tensor) -> Any:
        """Return the outputs for inputs [b, …], or for samples of ``batch`` by their numbers."""
        self.mask = None
        if self.batch is not None:
            with torch._C.DisableTorchFunction():  # what follows the model's functions is not to see this one
                self.mask = self.batch.mask(inputs)
                inputs = self.batch.rows(inputs, self._type())
        return self.run(self.original, inputs)

    def rows(self, inputs: Tensor) -> Any:
        """Return what the module is run on."""
        return inputs if self.batch is None else self.batch.rows(inputs)

    def entering(self, inputs: Tensor) -> Tensor:
        """Return the numbers that enter the model [b, …]."""
        return inputs if self.batch is None else self.batch.features(inputs)

    def train(self, mode: bool = True) -> BatchForward:
        """Set the mode of the other module."""
        super().train(mode)
        self.original.train(mode)
        return self

    def _type(self) -> torch.dtype | None:
        """Return the type of floating-point inputs: the parameters may be copies in another one."""
        return next((p.dtype for p in self.original.parameters() if p.is_floating_point()), None)


def takes_numbers(model: nn.Module) -> bool:
    """Whether a model, or the module that it taps, takes numbers of samples in the place of inputs."""
    view = getattr(model, "module", model)
    return isinstance(view, BatchForward) and view.batch is not None
