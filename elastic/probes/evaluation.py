"""The state in which a model is probed: evaluation mode, differentiable kernels, products in full precision.

Afterwards the model is as it was before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from elastic.models.applied_weights import AppliedWeights, applied_weights
from elastic.models.evaluation_mode import evaluated
from elastic.models.products import measured_products
from elastic.models.state import ModuleState


@contextmanager
def probed(model: nn.Module, *, parameters: bool = False) -> Iterator[ModuleState]:
    """Keep a model in evaluation mode while it is probed; restore it and the random generators afterwards.

    Batch norm then uses its running statistics: one stepped sample alone has no batch variance. Inside another such
    block for the same model the state is not saved again: a reading opens one around all its passes.

    Parameters
    ----------
    model
        The model.
    parameters
        Whether to restore the values of parameters as well, to which few models write: once, after the whole reading.

    Yields
    ------
    ModuleState
        The initial state of the model, in evaluation mode: to restore it between two forward passes that may change it.
    """
    with evaluated(model, parameters=parameters) as state, measured_products():
        fused_attention = torch.backends.mha.get_fastpath_enabled()
        # The fused attention kernels have no forward-mode derivative; the plain one has.
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
                # Warnings of torch.func about its speed: users of elastic cannot act on them.
                warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
                yield state
        finally:
            torch.backends.mha.set_fastpath_enabled(fused_attention)


def weights_in_evaluation(
    model: nn.Module, linears: Iterable[nn.Linear], example: Tensor
) -> dict[nn.Linear, AppliedWeights]:
    """Return the weights that linear modules of a model apply in evaluation mode, by `applied_weights`.

    Parameters
    ----------
    model
        Restored after the forward pass, which it takes only if a hook or a parametrisation computes weights.
    linears
        Modules of the model.
    example
        Inputs [n, …] for that pass.
    """

    def run() -> None:
        with torch.no_grad(), probed(model):
            model(example.clone())

    return applied_weights(linears, run)
