"""Studies whose grid is no product: run, read, checked, reported, extended to the product."""

from __future__ import annotations

import numpy as np
import pytest
from support import studies

import elastic
from elastic.analysis.reading import settings_of
from elastic.cube import Journal, Status
from elastic.errors import ElasticError
from elastic.report import write_report
from elastic.summary import findings

GRID = """\
name: small
title: A grid that is no product
data: {name: digits, classes: [3, 5], per_class: 8, test_fraction: 0.5}
model: {name: mlp, widths: [3]}
optimizer: {name: sgd, lr: 0.1}
training: {epochs: 1, batch_size: 16}
probes: {at: {name: every}, elasticity: null}
axes:
  seed: [0, 1]
  wide: {path: model.widths, values: [[2], [2], [3]], labels: [2, 2, 3]}
  rate: {path: optimizer.lr, values: [0.1, 0.2, 0.05]}
  norm: {path: model.norm, values: [none, batch]}
together: {size: [wide, rate]}
exclude:
  - {norm: none, rate: 0.2}
  - {norm: batch, wide: 3, seed: 1}
claims:
  - {name: below, variable: nc1, threshold: 1, where: {norm: batch, rate: 0.1}}
"""

#: Settings, and seeds, that the conditions leave out.
LEFT_OUT = {("none", 0.2, 0), ("none", 0.2, 1), ("batch", 0.05, 1)}


@pytest.fixture(scope="module")
def study(few_metrics, tmp_path_factory):
    return studies.run(tmp_path_factory.mktemp("grid"), text=GRID)


def test_each_number_stands_under_the_labels_of_its_run(study):
    cube = study.cube
    loss, status = cube["training"]["loss"], cube["training"]["status"]
    assert dict(loss.sizes) == {"norm": 2, "size": 3, "seed": 2, "epoch": 2, "split": 2}
    result = set()
    for cell in study.protocol.cells:
        lr, norm = cell.settings.optimizer.options["lr"], cell.settings.model.options["norm"]
        place = {
            "norm": norm,
            "size": loss["size"].values[loss["rate"].values.tolist().index(lr)],
            "seed": cell.settings.seed,
        }
        records = Journal(study.run_folder(cell.digest)).read(1)
        np.testing.assert_array_equal(loss.sel({**place, "epoch": 1}), records["training/loss"])
        result.add((norm, lr, cell.settings.seed))
    assert len(result) == 9
    missing = {
        (norm, float(loss["rate"][i]), seed)
        for norm in ("none", "batch") for i in range(3) for seed in (0, 1)
        if (status.sel(norm=norm, seed=seed).isel(size=i) == Status.MISSING).all()
    }  # fmt: skip
    assert missing == LEFT_OUT
    assert int(loss.isnull().any(["epoch", "split"]).sum()) == len(LEFT_OUT)
    assert cube.attrs["excluded"] == "norm=batch seed=1 wide=3; norm=none rate=0.2"


def test_an_axis_that_varies_together_selects_as_its_dim_does(study):
    read = study.cube.elastic.read
    one = read("nc1", where={"norm": "batch", "rate": 0.2})
    np.testing.assert_array_equal(one, read("nc1", where={"norm": "batch", "size": "wide=2 rate=0.2"}))
    assert read("nc1", where={"wide": 2}).sizes["size"] == 2
    with pytest.raises(ElasticError, match=r"`rate` should be one that the cube has for nc1; found 0.7"):
        read("nc1", where={"rate": 0.7})


def test_whoever_reads_the_study_takes_it(study, tmp_path):
    settings = [(one["norm"], one["size"]) for one in settings_of(study.cube)]
    assert settings == [
        ("none", "wide=2 rate=0.1"), ("none", "wide=3 rate=0.05"),
        ("batch", "wide=2 rate=0.1"), ("batch", "wide=2 rate=0.2"), ("batch", "wide=3 rate=0.05"),
    ]  # fmt: skip
    (verdict,) = elastic.check(study).to_json()["claims"]
    assert verdict["verdict"] in ("supported", "refuted", "inconclusive")
    assert study.verify().damaged == []
    page = write_report(study, tmp_path / "report.html").read_text()
    assert "wide=2 rate=0.2" in page
    assert "norm=batch seed=1 wide=3; norm=none rate=0.2" in page
    assert findings(study)


def test_the_study_becomes_the_product_and_keeps_its_runs(study, tmp_path):
    """The axes on their own, each with its values once: what was run keeps its name."""
    before = studies.journals(study)
    wide = "axes.wide={path: model.widths, values: [[2], [3]], labels: [2, 3]}"
    protocol = elastic.load_protocol(
        studies.write(
            tmp_path, GRID.replace("where: {norm: batch, rate: 0.1}", "where: {norm: batch, rate: 0.1, wide: 2}")
        ),
        settings=[wide, "together={}", "exclude=[]", "axes.seed=[0]"],
    )
    grown = {cell.digest: cell.settings for cell in protocol.cells}
    kept = [cell for cell in study.protocol.cells if cell.settings.seed == 0]
    assert len(grown) == 12
    assert all(grown[cell.digest] == cell.settings for cell in kept)
    taken_up = elastic.run(protocol, out=study.folder.parent)
    after = studies.journals(taken_up)
    assert before.items() <= after.items()
    assert taken_up.cube.attrs.keys() & {"excluded"} == set()
    assert bool((taken_up.cube["training"]["status"] == Status.DONE).all())
