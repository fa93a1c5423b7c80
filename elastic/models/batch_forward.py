"""Wrapper of a module for batches of any form; its submodules keep their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

#: Runs a module on inputs: ``(module, inputs) -> output``.
Run = Callable[[nn.Module, Any], Any]


class Rows(Protocol):
    """A batch of samples, some of which can be taken."""

    def rows(self, rows: Tensor, dtype: torch.dtype | None = None) -> Any:
        """Return a copy of some samples by index; floating-point ones are converted to a dtype."""

    def features(self, rows: Tensor) -> Tensor:
        """Return the input of a model for some samples as an array [n, d]."""

    def mask(self, rows: Tensor) -> Tensor | None:
        """Return the mask of the unmasked tokens of some samples [n, T], None if all are."""


class BatchForward(nn.Module):
    """A module that shares all submodules, parameters and buffers of another one and calls it differently.

    If ``batch`` is set, the inputs are indices of its samples, integers [b] or [b, 1], so that code that runs models on
    some samples, or on one sample twice, works for batches of any form. Otherwise inputs [b, …] are those of the
    other module.

    Parameters
    ----------
    module
        The wrapped module; its hooks run.
    run
        Returns the output [b, …].
    batch
        Batch that indices refer to.

    Attributes
    ----------
    mask
        Mask of the tokens [b, T] in the current forward pass, None if all are used.

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
        # Not registered as a submodule, which would prefix the names of its submodules.
        self.__dict__["original"] = module
        for held in ("_modules", "_parameters", "_buffers"):
            self.__dict__[held] = getattr(module, held)
        self.training = module.training
        self.run, self.batch = run, batch
        self.mask: Tensor | None = None

    def forward(self, inputs: Tensor) -> Any:
        """Return the outputs for inputs [b, …], or for samples of ``batch`` by index."""
        self.mask = None
        if self.batch is not None:
            with torch._C.DisableTorchFunction():  # hidden from modes that record the model's functions
                self.mask = self.batch.mask(inputs)
                inputs = self.batch.rows(inputs, self._type())
        return self.run(self.original, inputs)

    def rows(self, inputs: Tensor) -> Any:
        """Return the arguments of the module."""
        return inputs if self.batch is None else self.batch.rows(inputs)

    def entering(self, inputs: Tensor) -> Tensor:
        """Return the input features of the model [b, …]."""
        return inputs if self.batch is None else self.batch.features(inputs)

    def train(self, mode: bool = True) -> BatchForward:
        """Set the mode of the other module."""
        super().train(mode)
        self.original.train(mode)
        return self

    def _type(self) -> torch.dtype | None:
        """Return the dtype of floating-point inputs: the parameters may be copies in another one."""
        return next((p.dtype for p in self.original.parameters() if p.is_floating_point()), None)


def takes_numbers(model: nn.Module) -> bool:
    """Whether a model, or the module it wraps, takes indices of samples instead of inputs."""
    view = getattr(model, "module", model)
    return isinstance(view, BatchForward) and view.batch is not None
