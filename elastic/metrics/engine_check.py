"""Verification of an elasticity probe: the selected engine, and its error against real steps."""

from __future__ import annotations

from torch import Tensor

from elastic.metrics.contract import metric

#: Codes of `probe_engine`.
ENGINE_CODES = {"none": 0, "structured": 1, "autodiff": 2}


@metric(
    group="elasticity",
    source="he2020local",
    formula="max over checked pairs of |Δ - Δ_ref| / |Δ_ref|, |Δ_ref| + |Δ_ref(a;a)|/100 for observed samples",
    bounds=(0.0, None),
)
def probe_error(probe_check: Tensor) -> Tensor:
    r"""Largest relative error of the movements of a few pairs of samples against real float64 steps.

    $\max \lVert \Delta(m;a) - \Delta_{\text{ref}}(m;a) \rVert / (\lVert \Delta_{\text{ref}}(m;a) \rVert + \lVert
    \Delta_{\text{ref}}(a;a) \rVert / 100)$ and the same for the stepped samples' own movements, []; every epoch
    draws new pairs. Δ_ref is the difference of forward passes before and after a real step of the parameters.

    Convention: NaN if a movement is not differentiable (a kink within the step) or below the rounding errors.

    Examples
    --------
    >>> import torch
    >>> probe_error(torch.tensor(2e-6, dtype=torch.float64)).item()
    2e-06
    """
    return probe_check


@metric(
    group="elasticity",
    source="he2020local",
    formula="0 = none (the epoch's elasticity is NaN), 1 = structured, 2 = autodiff",
    bounds=(0.0, 2.0),
    layerless=True,
)
def probe_engine(engine_code: Tensor) -> Tensor:
    """Engine that computed the movements: 0 = none agreed with real steps, 1 = structured, 2 = autodiff.

    Convention: if no engine agrees with real steps, the other variables of the group are NaN at that epoch.

    Examples
    --------
    >>> import torch
    >>> probe_engine(torch.tensor(1.0, dtype=torch.float64)).item()
    1.0
    """
    return engine_code
