"""A study whose network is told super-classes: what its cube holds, twice the same, and by one's own loop as well."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import studies
from support.few_metrics import leave_few

import elastic
from elastic import measure_elasticity
from elastic.analysis.similarity_clustering import clustering_accuracy, neighbour_accuracy, relative_similarity
from elastic.checkpoint import FILE
from elastic.registry import registry
from elastic.runs.setup import build_setup

TEXT = (
    studies.SMALL.replace("classes: [3, 5, 8]", "superclasses: {x: [3, 5], y: [8, 1], z: [0]}")
    .replace("stepped_per_class: 2", "stepped_per_class: 9")
    .replace("epochs: 6", "epochs: 1")
)

FINE = [
    "fine_locality", "relative_fine_clustering_accuracy", "kernel_fine_clustering_accuracy",
    "relative_fine_neighbour_accuracy", "kernel_fine_neighbour_accuracy", "feature_fine_clustering_accuracy",
    "feature_fine_neighbour_accuracy", "fine_variance_share",
]  # fmt: skip
OF_INPUTS = ["input_fine_clustering_accuracy", "input_fine_neighbour_accuracy"]


@pytest.fixture(scope="module")
def few_metrics():
    """Leave out most metrics that are not of fine classes."""
    with pytest.MonkeyPatch.context() as patch:
        leave_few(patch, *["stepped_samples", *(name for name in registry("metrics").names() if "fine" in name)])
        yield


@pytest.fixture(scope="module")
def study(few_metrics, tmp_path_factory):
    return studies.run(tmp_path_factory.mktemp("merged"), text=TEXT)


def test_classes_of_the_cube_are_the_super_classes(study):
    cube = study.cube
    assert cube["collapse"]["class"].values.tolist() == ["x", "y", "z"]
    assert cube["elasticity"]["stepped_samples"].isel(seed=0, epoch=-1, layer=-1).values.tolist() == [18, 18, 9]
    assert dict(cube["collapse"]["class_cosine"].sizes)["other_class"] == 3


def test_fine_classes_are_asked_of_every_layer_and_of_the_inputs(study):
    held = study.cube["elasticity"].dataset
    assert {name for name in held.data_vars if "fine" in name} == {*FINE, *OF_INPUTS}
    for name in FINE + OF_INPUTS:
        values = held[name]
        layers = () if name in OF_INPUTS else ("layer",)
        assert values.dims == ("seed", "epoch", *layers, "stepped_class")
        assert values.sel(stepped_class=["x", "y"]).notnull().all(), name
        assert values.sel(stepped_class="z").isnull().all(), name
    for name in OF_INPUTS:  # the same samples all through training
        assert (held[name].sel(stepped_class=["x", "y"]).std("epoch") == 0).all()


def test_a_study_without_super_classes_has_none_of_it(tmp_path, few_metrics, unsealed):
    plain = studies.run(tmp_path, "axes.seed=[0]", "training.epochs=1")
    assert not [name for name in plain.cube["elasticity"].dataset.data_vars if "fine" in name]


def test_a_study_that_is_run_again_is_the_same_to_the_bit(study, tmp_path, unsealed):
    again = studies.run(tmp_path, "axes.seed=[0]", text=TEXT)
    (cell,) = again.cells
    before = {path: one for path, one in studies.journals(study).items() if cell["digest"] in path}
    assert before
    assert studies.journals(again) == before


def test_settings_with_and_without_super_classes_share_a_cube(tmp_path, few_metrics, unsealed):
    axis = "  task: {path: data.superclasses, labels: [told, merged], values: [null, {x: [3, 5], y: [8]}]}\n"
    text = TEXT.replace(", superclasses: {x: [3, 5], y: [8, 1], z: [0]}", "") + axis
    small = ("axes.seed=[0]", "probes.elasticity.stepped_per_class=3")
    held = studies.run(tmp_path, *small, text=text).cube["elasticity"].dataset
    last = held["fine_locality"].isel(seed=0, epoch=-1)
    assert last.sel(task="merged", stepped_class="x").notnull().all()
    assert last.sel(task="told").isnull().all()


def test_one_s_own_loop_finds_fine_classes_as_the_run_does(study):
    cell = study.protocol.cells[0]
    bench = build_setup(cell.settings, torch.device("cpu"))
    state = torch.load(study.run_folder(cell.digest) / FILE, weights_only=True)["state"]
    bench.trainer.model.load_state_dict(state["model"])
    of_run = study.cube["elasticity"].dataset.isel(epoch=-1).sel(seed=cell.settings.seed)
    for name, part in zip("xy", bench.probes["elasticity"].fine.parts, strict=False):
        samples = (part.inputs, part.labels)
        pairs = measure_elasticity(bench.trainer.model, samples, samples, pairs=True)
        similarity = relative_similarity(pairs.pair_response, pairs.own_response)
        fine = np.array(part.fine_classes)[part.fine_labels.numpy()]
        expected = of_run.sel(stepped_class=name)
        for result, variable in (
            (clustering_accuracy(similarity, fine), "relative_fine_clustering_accuracy"),
            (neighbour_accuracy(similarity, fine), "relative_fine_neighbour_accuracy"),
        ):
            assert result["layer"].values.tolist() == expected["layer"].values.tolist()
            np.testing.assert_allclose(result.values, expected[variable].values, err_msg=variable)


def test_claims_compare_elasticity_with_inputs_seed_by_seed(study, tmp_path):
    options = "layer: logits, where: {stepped_class: x}"
    (tmp_path / "claims.yaml").write_text(
        "claims: [{name: exceeds, variable: relative_fine_clustering_accuracy,"
        f" other: input_fine_clustering_accuracy, least: 0.0, {options}}}]\n"
    )
    (verdict,) = elastic.check(study, claims=tmp_path / "claims.yaml").verdicts
    (finding,) = verdict.findings
    held = study.cube["elasticity"].dataset.isel(epoch=-1).sel(stepped_class="x")
    expected = held["relative_fine_clustering_accuracy"].sel(layer="logits") - held["input_fine_clustering_accuracy"]
    assert finding.per_seed == pytest.approx(expected.values.tolist())
