"""Gradient flow: gradient descent with steps that are as short as an error bound asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from elastic.errors import RunFailed
from elastic.optimizers.contract import Parameters, Positive, optimizer

Tolerance = Annotated[float, Field(gt=0, lt=1)]


class GradientFlow(torch.optim.Optimizer):
    """Follows dθ/dt = −∇L(θ) for a time ``lr`` at each step, by an integrator of scipy with error control."""

    def __init__(self, parameters: Parameters, lr: float, rtol: float, atol: float, method: str) -> None:
        super().__init__(parameters, {"lr": lr, "rtol": rtol, "atol": atol, "method": method})
        if len(self.param_groups) > 1:
            raise ValueError("one group of parameters")

    def step(self, closure: Callable[[], Tensor]) -> None:  # type: ignore[override]
        """Move the parameters along the flow; ``closure`` evaluates the objective and leaves its gradients.

        Raises
        ------
        RunFailed
            If the integrator cannot hold its error bound.
        """
        (group,) = self.param_groups
        trained = [p for p in group["params"] if p.requires_grad]
        start = parameters_to_vector(trained).detach()

        def velocity(time: float, point: np.ndarray) -> np.ndarray:
            self._place(trained, point, start)
            with torch.enable_grad():
                closure()
            moving = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
            gradient: np.ndarray = parameters_to_vector(moving).double().cpu().numpy()
            return -gradient

        from scipy import integrate  # loading it takes a tenth of a second, which other optimizers do not need

        solution: Any = integrate.solve_ivp(  # type: ignore[attr-defined]
            velocity, (0.0, group["lr"]), start.double().cpu().numpy(), method=group["method"],
            t_eval=[group["lr"]], rtol=group["rtol"], atol=group["atol"],
        )  # fmt: skip
        if not solution.success:
            raise RunFailed("gradient_flow", "follow the flow", str(solution.message), "a shorter lr or another method")
        self._place(trained, solution.y[:, -1], start)

    @staticmethod
    def _place(trained: list[torch.nn.Parameter], point: np.ndarray, like: Tensor) -> None:
        with torch.no_grad():
            vector_to_parameters(torch.from_numpy(point).to(like), trained)


@optimizer(momentum=0.0)
def gradient_flow(
    parameters: Parameters,
    *,
    lr: Positive,
    rtol: Tolerance = 1e-6,
    atol: Tolerance = 1e-9,
    method: Literal["RK45", "DOP853", "LSODA", "BDF"] = "RK45",
) -> torch.optim.Optimizer:
    """Gradient flow dθ/dt = −∇L, each step the exact flow over a time ``lr`` (`scipy.integrate.solve_ivp`).

    Meant for the whole train split (``training.batch_size: null``) and float64, and for models without dropout or
    batch norm, whose objective changes from one evaluation to the next. ``training.penalties`` are part of L.

    Parameters
    ----------
    parameters
        To be trained.
    lr
        Time that passes in one step.
    rtol
        Relative error of a parameter that one internal step may make.
    atol
        Absolute error of a parameter that one internal step may make.
    method
        Integrator (`scipy.integrate.solve_ivp`); LSODA and BDF for stiff flows of few parameters.
    """
    return GradientFlow(parameters, lr, rtol, atol, method)
