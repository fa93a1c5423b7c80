"""Verification of an elasticity probe: the engine that computed it, and its error against real steps."""

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
    r"""Relative error of the movements of a few pairs of samples against real steps taken in float64.

    $\max \lVert \Delta(m;a) - \Delta_{\text{ref}}(m;a) \rVert / (\lVert \Delta_{\text{ref}}(m;a) \rVert + \lVert
    \Delta_{\text{ref}}(a;a) \rVert / 100)$ and the same of the stepped samples' own movements, []; the pairs are drawn
    anew at every epoch. Δ_ref is read off forward passes before and after a step of the parameters.

    Convention: NaN where a movement has no derivative (a kink within the step) or drowns in rounding.

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

    Convention: where no engine agrees with real steps the other variables of the group are NaN at that epoch.

    Examples
    --------
    >>> import torch
    >>> probe_engine(torch.tensor(1.0, dtype=torch.float64)).item()
    1.0
    """
    return engine_code
