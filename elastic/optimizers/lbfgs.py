"""Quasi-Newton steps."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from elastic.optimizers.contract import Parameters, Positive, optimizer

Count = Annotated[int, Field(ge=1)]


@optimizer()
def lbfgs(
    parameters: Parameters,
    *,
    lr: Positive = 1.0,
    iterations: Count = 20,
    history: Count = 50,
    tolerance: Annotated[float, Field(ge=0)] = 0.0,
) -> torch.optim.Optimizer:
    """L-BFGS with a strong-Wolfe line search; a step is a number of iterations on one batch.

    Meant for the whole train split (``training.batch_size: null``) and float64. It has no weight decay of its own:
    ``training.penalties`` are part of the objective that it minimises.

    Parameters
    ----------
    parameters
        To be trained.
    lr
        First step length that is tried along a direction.
    iterations
        Number of iterations of each step.
    history
        Number of past movements from which the inverse Hessian is estimated.
    tolerance
        Iterations end where no entry of the gradient is larger in magnitude.
    """
    return torch.optim.LBFGS(
        parameters,
        lr=lr,
        max_iter=iterations,
        history_size=history,
        tolerance_grad=tolerance,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )
