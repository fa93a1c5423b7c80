"""The figure of the account shows the residuals and sums of `elastic.analysis.closure`."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from support.claim_cases import accounted
from support.legibility import caption_of, unreadable

from elastic.analysis.closure import closure
from elastic.errors import NotMeasured
from elastic.figures.closure import draw_closure


def cube_of(seeds=3):
    drawn = accounted(np.random.default_rng(0), 1, seeds)
    groups = {f"/{name}": group.to_dataset().isel(study=0) for name, group in drawn.children.items()}
    return xr.DataTree.from_dict(groups)


def test_it_shows_the_residuals_and_the_sums():
    cube = cube_of()
    drawn, estimates = draw_closure(cube), closure(cube)
    residual = np.exp(np.log(estimates["residual"]).mean("seed")).squeeze()
    np.testing.assert_allclose(drawn.axes[0].lines[0].get_ydata(), np.atleast_1d(residual))
    lines = {line.get_label(): line.get_ydata() for line in drawn.axes[1].lines}
    for name, part in {"what happened": "change", "steps on the class itself": "own", "weight decay": "decay"}.items():
        wanted = estimates[f"log_ratio_{part}"].mean("seed").squeeze()
        np.testing.assert_allclose(lines[name], [0, wanted], atol=1e-12)
    result = sum(estimates[f"log_ratio_{part}"] for part in ("own", "other", "decay")).mean("seed").squeeze()
    np.testing.assert_allclose(lines["account, all steps"], [0, result], atol=1e-12)
    assert "3 seeds" in caption_of(drawn)
    assert unreadable(drawn) == []


def test_a_cube_without_the_group_is_refused():
    with pytest.raises(NotMeasured, match="should be a variable of the cube"):
        draw_closure(xr.DataTree.from_dict({"/training": cube_of()["training"].to_dataset()}))


@pytest.mark.mpl_image_compare(baseline_dir="baseline", filename="closure.png", tolerance=6, savefig_kwargs={"dpi": 60})
def test_the_account_looks_as_it_did():
    return draw_closure(cube_of())
