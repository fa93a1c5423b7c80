"""Samples of classes that a training loop of one's own never trains on, recorded like those of a protocol."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from support.recordings import CHEAP, network, record, recorder, samples, step

import elastic
from elastic.errors import ElasticError, NotReproduced

pytestmark = pytest.mark.usefixtures("unsealed", "few_metrics")

PROBE = {"shots": [1, 2], "episodes": 2, "stepped_per_class": 1, "observed_per_class": 2}
PROBES = {**CHEAP, "collapse": None, "unseen": PROBE}


def aside(first=3, count=12, classes=2, seed=5):
    """Return inputs and labels of classes that follow those of the training."""
    x, y = samples(count, classes, seed=seed)
    return x, y + first


def reports(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("runs/*/status.json"))]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return a study, whose cube is sealed."""
    folder = tmp_path_factory.mktemp("unseen") / "study"
    record(folder, probes=PROBES, unseen=aside(), classes={0: "a", 1: "b", 2: "c", 3: "oak", 4: "elm"})
    return elastic.open_study(folder)


def test_its_variables_are_those_of_a_protocol_apart_from_the_trained_classes(study):
    held = study.cube["unseen"]
    assert held["unseen_class"].values.tolist() == ["oak", "elm"]
    assert held["stepped_class"].values.tolist() == ["a", "b", "c"]
    wanted = {"unseen_cdnv_mean", "unseen_few_shot_accuracy", "unseen_linear_probe_accuracy", "nc5_orthogonality"}
    assert (study.folder / "manifest.sha256").exists()
    assert wanted | {"response_unseen", "unseen_nc1"} <= set(held.data_vars)
    assert np.isfinite(held["response_unseen"].isel(layer=slice(1, None))).all()
    assert held["epoch"].values.tolist() == [0, 1, 3]
    (run,) = study.folder.glob("runs/*/run.json")
    assert json.loads(run.read_text())["settings"]["samples"] == {"train": 24, "test": 12, "unseen": 12}


def test_nc5_of_a_record_is_that_of_numpy(study):
    """Of the input layer and of the outputs before training, means about the origin."""
    (x, y), (other, _) = samples(), aside()
    with torch.no_grad():
        outputs, moved = (network()(torch.as_tensor(part)).numpy() for part in (x, other))
    for layer, h, u in (("input", x, other), ("logits", outputs, moved)):
        means, mean = np.stack([h[y == k].mean(0) for k in range(3)]).astype(float), u.mean(0).astype(float)
        cosines = means @ mean / np.linalg.norm(means, axis=1) / np.linalg.norm(mean)
        result = study.cube["unseen"]["nc5_orthogonality"].isel(seed=0, epoch=0).sel(layer=layer)
        assert float(result) == pytest.approx(np.abs(cosines).mean(), rel=1e-5)


def test_they_leave_what_is_recorded_of_trained_classes_as_it_was(tmp_path):
    probes = {**PROBES, "collapse": {"per_class": 6}, "elasticity": {"stepped_per_class": 1, "observed_per_class": 2}}
    record(tmp_path / "with", probes=probes, unseen=aside())
    record(tmp_path / "without", probes={**probes, "unseen": None})
    ours, plain = (elastic.open_study(tmp_path / name).cube for name in ("with", "without"))
    assert "unseen" not in plain.children
    for group in ("collapse", "elasticity", "training"):
        for name, values in plain[group].data_vars.items():
            np.testing.assert_array_equal(ours[group][name], values, err_msg=name)


def test_the_probe_is_asked_for_by_the_samples_unless_it_is_disabled(tmp_path):
    for name, probes, groups in (("on", {}, {"unseen"}), ("off", {"unseen": None}, set())):
        given = {**CHEAP, "collapse": None, **probes}
        with recorder(tmp_path / name, probes=given, unseen=aside(count=40)) as recording:
            recording.record(0)
        assert set(elastic.open_study(tmp_path / name).cube.children) - {"training"} == groups


def test_a_recording_resumes_and_refuses_other_samples(tmp_path):
    whole = record(tmp_path / "whole", probes=PROBES, unseen=aside())
    model = network()
    given = {"probes": PROBES, "unseen": aside()}
    first = recorder(tmp_path / "parts", model, **given)
    for epoch in range(2):
        if epoch:
            step(model)
        first.record(epoch, lr=0.05)
    first.__exit__(RuntimeError, None, None)  # interrupted
    model = network()
    with recorder(tmp_path / "parts", model, **given) as again:
        for epoch in range(4):
            if epoch:
                step(model)
            again.record(epoch, lr=0.05)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True))
    one, other = (elastic.open_study(tmp_path / name).cube["unseen"] for name in ("whole", "parts"))
    for name, values in one.data_vars.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)
    changed = recorder(tmp_path / "parts", network(), **given | {"unseen": aside(seed=6)})
    with changed, pytest.raises(NotReproduced):
        changed.record(0, lr=0.05)


def test_the_digest_of_the_data_is_of_unseen_samples_too(tmp_path):
    digests = []
    for number, unseen in enumerate((None, aside(), aside(), aside(seed=6))):
        with recorder(tmp_path / str(number), unseen=unseen, probes={**PROBES, "unseen": None}) as recording:
            recording.record(0)
        digests.append(reports(tmp_path / str(number))[0]["data_digest"])
    assert digests[1] == digests[2]
    assert len(set(digests)) == 3


def test_checkpoints_give_the_numbers_of_a_live_recording(tmp_path, study):
    model, paths = network(), {}
    for epoch in range(4):
        if epoch:
            step(model)
        paths[epoch] = tmp_path / f"{epoch}.pt"
        torch.save(model.state_dict(), paths[epoch])
    given = {"layers": ["1", "3"], "train": samples(), "test": samples(12, seed=1), "epochs": 3, "probes": PROBES}
    opened = elastic.record_checkpoints(tmp_path / "study", network, paths, unseen=aside(), **given)
    for name, values in study.cube["unseen"].data_vars.items():
        np.testing.assert_array_equal(opened.cube["unseen"][name], values, err_msg=name)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"unseen": aside(first=2)}, r"`unseen\[1\]` should be labels of other classes than the 3 .*found \[2\]"),
        ({"unseen": samples(12)}, r"`unseen\[1\]` should be labels of other classes .*such as 3"),
        ({"unseen": (aside()[0][:0], aside()[1][:0])}, "`unseen` should be"),
        ({"unseen": (aside()[0], aside()[1][:5])}, "`unseen` should be"),
        ({"unseen": (aside()[0][:, :4], aside()[1])}, "run on the unseen inputs"),
        ({"unseen": (aside()[0] * float("nan"), aside()[1])}, "`unseen` should be finite"),
        ({"unseen": (aside()[0], aside()[1] + 0.5)}, r"`unseen\[1\]` should be"),
        ({"unseen": (aside()[0], ["oak", "elm"] * 6)}, r"`unseen\[1\]` should be one whole number a sample.*classes="),
        ({"unseen": (aside()[0][:4], [3, 3, 3, 4])}, "`unseen` should have 2 samples or more of each class.*class 4"),
        ({"unseen": aside(), "classes": {0: "a", 1: "b", 2: "c", 3: "a", 4: "d"}}, "`classes` should be different"),
        ({"unseen": aside(), "probes": {"unseen": {"shots": [9]}}}, r"`probes.unseen.shots` should be at most 3"),
        ({"probes": {"unseen": {}}}, r"no unseen classes.*unseen=\(x, y\) of a Recorder"),
    ],
)
def test_what_are_no_unseen_classes_is_refused_before_there_is_a_folder(tmp_path, given, match):
    with pytest.raises(ElasticError, match=match):
        recorder(tmp_path / "study", **{"probes": PROBES, **given})
    assert not (tmp_path / "study").exists()


def test_they_may_be_mappings_of_a_model_s_arguments(tmp_path):
    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x, scale):
            return {"logits": self.net(x * scale[:, None])}

    def batch(x, y):
        return {"x": torch.as_tensor(x), "scale": torch.ones(len(y)), "labels": torch.as_tensor(y)}

    given = {"layers": ["net.1", "net.3"], "train": batch(*samples()), "unseen": batch(*aside()), "probes": PROBES}
    with elastic.Recorder(tmp_path / "nested", Scaled(), epochs=3, **given) as recording:
        recording.record(0)
    with recorder(tmp_path / "plain", probes=PROBES, unseen=aside()) as recording:
        recording.record(0)
    one, other = (elastic.open_study(tmp_path / name).cube["unseen"] for name in ("nested", "plain"))
    for name in ("nc5_orthogonality", "response_unseen", "unseen_cdnv"):
        values, plain = (cube[name].isel(layer=slice(1, None)).values for cube in (one, other))
        np.testing.assert_allclose(values, plain, rtol=1e-5, err_msg=name)
