"""A module as one that takes batches of any form: what names its submodules finds them under the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

#: Gives the output of a module for inputs: ``(module, inputs) -> output``.
Run = Callable[[nn.Module, Any], Any]
#: Gives a copy of the rows of a batch of so many samples: ``(batch, rows, count) -> batch``.
RowsOf = Callable[[Any, Tensor, int], Any]


class BatchForward(nn.Module):
    """A module that shares all submodules, parameters and buffers of another, and runs it in another way.

    Where ``batch`` is set, the inputs are rows of it [b], as integers: what looks at models by running them on some
    samples, or on one sample twice, works on batches of any form. Otherwise inputs [b, …] are the other's.

    Parameters
    ----------
    module
        Run as it is, with its hooks.
    run
        Gives the output [b, …].
    rows_of
        Gives rows of ``batch``, as a copy: the module may work in place.

    Attributes
    ----------
    batch, count
        What rows are taken of, and how many there are.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 1))
    >>> view = BatchForward(net, lambda module, batch: module(*batch), lambda batch, rows, count: [batch[0][rows]])
    >>> view.batch, view.count = [torch.ones(3, 2)], 3
    >>> view(torch.arange(2)).shape, [name for name, _ in view.named_modules()]
    (torch.Size([2, 1]), ['', '0'])
    """

    original: nn.Module

    def __init__(self, module: nn.Module, run: Run, rows_of: RowsOf) -> None:
        super().__init__()
        # Without registering it, which would put its name before those of its submodules.
        self.__dict__["original"] = module
        for held in ("_modules", "_parameters", "_buffers"):
            self.__dict__[held] = getattr(module, held)
        self.training = module.training
        self.run, self.rows_of = run, rows_of
        self.batch: Any = None
        self.count = 0

    def forward(self, inputs: Tensor) -> Any:
        """Return the outputs for inputs [b, …], or for rows [b] of ``batch``."""
        if self.batch is not None:
            with torch._C.DisableTorchFunction():  # what follows the model's functions is not to see this one
                inputs = self.rows_of(self.batch, inputs, self.count)
        return self.run(self.original, inputs)

    def train(self, mode: bool = True) -> BatchForward:
        """Set the mode of the other module."""
        super().train(mode)
        self.original.train(mode)
        return self
