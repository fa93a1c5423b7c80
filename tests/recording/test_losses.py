"""A Recorder takes the loss that is trained on: what it records of a split is that loss of the whole split."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from support.recordings import network, recorder, samples, step
from torch import nn
from torch.nn import functional

import elastic
from elastic.errors import DegenerateInput, ElasticError

pytestmark = pytest.mark.usefixtures("unsealed", "few_metrics")

WEIGHT = torch.tensor([1.0, 2.0, 4.0])
PROBES = {"at": [0, 1], "collapse": {"per_class": 4}, "elasticity": {"stepped_per_class": 1, "observed_per_class": 2}}
SPLITS = {"train": samples(), "test": samples(12, seed=1)}


def binary(labels=lambda y: y):
    """Return splits of two classes."""
    return {
        split: (x[y < 2], labels(y[y < 2])) for split, (x, y) in {"train": samples(36), "test": samples(18)}.items()
    }


def one_output(*layers):
    made = network()
    made[4] = nn.Sequential(nn.Linear(4, 1), *layers)
    return made


def halved(outputs, labels):
    return functional.cross_entropy(outputs / 2, labels)


LOSSES = {
    "CrossEntropyLoss(label_smoothing=0.1)": nn.CrossEntropyLoss(label_smoothing=0.1),
    "CrossEntropyLoss(weight=[1, 2, 4])": nn.CrossEntropyLoss(weight=WEIGHT),
    "CrossEntropyLoss(reduction='sum', weight=[1, 2, 4])": nn.CrossEntropyLoss(weight=WEIGHT, reduction="sum"),
    "MultiMarginLoss": nn.MultiMarginLoss(),
    "halved": halved,
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_of_a_split_is_the_user_s_own(tmp_path, name):
    loss = LOSSES[name]
    with recorder(tmp_path, model := network(), loss=loss, probes=PROBES, epochs=1) as recording:
        for epoch in range(2):
            if epoch:
                step(model)
            recorded = recording.record(epoch)
            for split, (x, y) in SPLITS.items():
                outputs = model(torch.tensor(x))
                expected = loss(outputs, torch.tensor(y)).item()
                assert recorded.scores["loss"][split] == pytest.approx(expected, rel=1e-6)
                hits = (outputs.argmax(1).numpy() == y).mean()
                assert recorded.scores["accuracy"][split] == pytest.approx(hits)
    cube = elastic.open_study(tmp_path).cube
    assert cube["elasticity"]["response"].notnull().any()
    assert cube["elasticity"]["probe_error"].max() < 1e-3
    (run,) = (json.loads(path.read_text()) for path in tmp_path.glob("runs/*/run.json"))
    assert run["settings"]["loss"] == name


def test_a_mean_by_class_weights_is_that_of_the_whole_split_however_it_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("elastic.training.evaluation.EVALUATION_BATCH", 5)
    loss = nn.CrossEntropyLoss(weight=WEIGHT)
    with recorder(tmp_path, model := network(), loss=loss) as recording:
        recorded = recording.record(0)
    x, y = map(torch.tensor, SPLITS["train"])
    assert recorded.scores["loss"]["train"] == pytest.approx(loss(model(x), y).item(), rel=1e-6)


ONE_OUTPUT = {
    "logits": (one_output(), nn.BCEWithLogitsLoss(), binary(), (0, 1), lambda z: z > 0),
    "weighted logits": (one_output(), nn.BCEWithLogitsLoss(pos_weight=torch.tensor([9.0])), binary(), (0, 1),
                        lambda z: z > 0),
    "no dim": (one_output(nn.Flatten(0)), nn.BCEWithLogitsLoss(), binary(lambda y: y.astype("float32")), (0, 1),
               lambda z: z > 0),
    "probabilities": (one_output(nn.Sigmoid()), nn.BCELoss(), binary(), (0, 1), lambda z: z > 0.5),
    "signs": (one_output(), nn.MSELoss(), binary(lambda y: 2 * y - 1), (-1, 1), lambda z: z > 0),
    "numbers": (one_output(), nn.MSELoss(), binary(lambda y: y + 0.5), ("0.5", "1.5"), lambda z: z > 1),
    "a callable": (one_output(), lambda z, y: (z[:, 0] - 3 * y).abs().mean(), binary(), (0, 1), lambda z: z > 1.5),
}  # fmt: skip


@pytest.mark.parametrize("kind", ONE_OUTPUT)
def test_models_of_one_output_are_recorded(tmp_path, kind):
    model, loss, splits, classes, decide = ONE_OUTPUT[kind]
    with recorder(tmp_path, model, loss=loss, probes=PROBES, epochs=1, **splits) as recording:
        recorded = recording.record(0)
        for split, (x, y) in splits.items():
            outputs = model(torch.tensor(x)).detach().reshape(-1)
            whole = loss(outputs[:, None], torch.tensor(y)) if kind == "a callable" else loss(
                outputs, torch.tensor(y).float())  # fmt: skip
            assert recorded.scores["loss"][split] == pytest.approx(whole.item(), rel=1e-6)
            hits = (decide(outputs).numpy() == (y == y.max())).mean()
            assert recorded.scores["accuracy"][split] == pytest.approx(hits)
    cube = elastic.open_study(tmp_path).cube
    assert cube["collapse"]["class"].values.tolist() == list(classes)
    assert cube["elasticity"]["stepped_class"].values.tolist() == list(classes)
    for group, name in (("collapse", "nc1"), ("collapse", "nc4_mismatch"), ("elasticity", "kernel_similarity")):
        assert cube[group][name].isel(epoch=0).notnull().all(), name
    assert "nc2_classifier_equinorm" not in cube["collapse"]


def test_several_labels_a_sample_are_classes_of_their_own(tmp_path):
    rows = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0]], dtype="float32")
    splits = {split: (x, rows[y]) for split, (x, y) in SPLITS.items()}
    with recorder(tmp_path, model := network(), loss=nn.BCEWithLogitsLoss(), probes=PROBES, **splits) as recording:
        recorded = recording.record(0)
    x, y = map(torch.tensor, splits["train"])
    outputs = model(x).detach()
    assert recorded.scores["loss"]["train"] == pytest.approx(nn.BCEWithLogitsLoss()(outputs, y).item(), rel=1e-6)
    distances = torch.stack([functional.binary_cross_entropy_with_logits(
        outputs, row.expand(len(y), 3), reduction="none").sum(1) for row in torch.tensor(rows)], dim=1)  # fmt: skip
    hits = (torch.tensor(rows)[distances.argmin(1)] == y).all(1).float().mean().item()
    assert recorded.scores["accuracy"]["train"] == pytest.approx(hits)
    assert elastic.open_study(tmp_path).cube["collapse"]["class"].values.tolist() == ["000", "011", "100"]


def test_probabilities_are_taken_and_grouped_by_their_largest_entry(tmp_path):
    splits = {split: (x, 0.8 * np.eye(3)[y] + 0.2 / 3) for split, (x, y) in SPLITS.items()}
    soft = nn.CrossEntropyLoss()
    with recorder(tmp_path / "soft", network(), loss=soft, probes=PROBES, **splits) as recording:
        first = recording.record(0)
    with recorder(tmp_path / "hard", network(), loss=nn.CrossEntropyLoss(label_smoothing=0.2), probes=PROBES) as other:
        second = other.record(0)
    assert first.scores["loss"]["train"] == pytest.approx(second.scores["loss"]["train"], rel=1e-6)
    assert first.scores["accuracy"] == second.scores["accuracy"]
    soft, hard = (elastic.open_study(tmp_path / kind).cube["elasticity"] for kind in ("soft", "hard"))
    np.testing.assert_allclose(soft["response"], hard["response"], rtol=1e-5)


def test_a_loss_that_couples_its_samples_is_refused_before_anything_is_written(tmp_path):
    def centred(outputs, labels):
        return functional.cross_entropy(outputs - outputs.mean(0), labels)

    with pytest.raises(ElasticError, match="`loss` centred should be the mean or the sum"):
        recorder(tmp_path / "study", network(), loss=centred)
    assert not (tmp_path / "study" / "runs").exists()


def test_a_run_under_a_loss_of_one_s_own_is_continued_and_its_targets_are_its_data(tmp_path):
    splits = binary(lambda y: 2 * y - 1.0)
    for epochs in (range(1), range(2)):
        model = one_output()
        torch.manual_seed(0)
        nn.init.zeros_(model[4][0].weight)
        with recorder(tmp_path, model, loss=nn.MSELoss(), probes=PROBES, **splits) as recording:
            for epoch in epochs:
                recording.record(epoch)
    assert elastic.open_study(tmp_path).cube["training"]["epoch"].values.tolist() == [0, 1]


def test_logits_above_zero_are_a_one_whatever_the_weight_of_ones(tmp_path):
    splits, loss = binary(), nn.BCEWithLogitsLoss(pos_weight=torch.tensor([9.0]))
    x, y = splits["train"]
    model = one_output()
    with torch.no_grad():
        model[4][0].bias -= model(torch.tensor(x)).mean()
    outputs = model(torch.tensor(x)).detach()[:, 0]
    losses = [loss(outputs.new_tensor([z]), outputs.new_tensor([t])) for z in outputs for t in (0.0, 1.0)]
    by_weighted_loss = torch.stack(losses).reshape(-1, 2).argmin(1).numpy()
    assert (by_weighted_loss == y).mean() != ((outputs > 0).numpy() == y).mean()
    with recorder(tmp_path, model, loss=loss, **splits) as recording:
        recorded = recording.record(0)
    assert recorded.scores["accuracy"]["train"] == pytest.approx(((outputs > 0).numpy() == y).mean())


def one_hot_distance(outputs, labels):
    # Makes a tensor, multiplies matrices and keeps what it multiplied: each is another under one of the modes below.
    targets = torch.eye(3, dtype=outputs.dtype)[labels]
    return ((outputs - targets) @ torch.ones(3, 3, dtype=outputs.dtype)).square().mean()


MODES = {
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu"),
    "another default device": lambda: torch.device("meta"),
}


@pytest.fixture(scope="module", params=[nn.CrossEntropyLoss(weight=WEIGHT), one_hot_distance], ids=["torch", "own"])
def plain(request, tmp_path_factory):
    """Return a loss and the folder of its record within no mode."""
    folder = tmp_path_factory.mktemp("plain")
    with recorder(folder, network(), loss=request.param, probes=PROBES) as recording:
        recording.record(0)
    return request.param, folder


@pytest.mark.parametrize("mode", MODES)
def test_a_loss_of_one_s_own_is_recorded_within_other_modes_as_without_them(tmp_path, mode, plain):
    loss, folder = plain
    model = network()
    with MODES[mode](), recorder(tmp_path, model, loss=loss, probes=PROBES) as recording:
        recording.record(0)
    plain, within = (elastic.open_study(place).cube for place in (folder, tmp_path))
    for group in ("training", "collapse", "elasticity"):
        assert within[group].to_dataset().equals(plain[group].to_dataset()), group


def test_targets_that_change_after_they_were_handed_over_are_recorded_as_they_were(tmp_path):
    x, y = samples()
    rows = torch.eye(3)[torch.tensor(y)]
    with recorder(tmp_path, network(), loss=nn.BCEWithLogitsLoss(), train=(x, rows), test=None) as recording:
        first = recording.record(0)
        rows.zero_()
        assert recording.record(1).scores == first.scores


def test_a_label_that_the_test_split_lacks_leaves_its_collapse_out(tmp_path, caplog):
    splits = binary(lambda y: y.astype("float32"))
    x, y = splits["test"]
    splits["test"] = (x[y == 0], y[y == 0])
    with recorder(tmp_path, one_output(), loss=nn.MSELoss(), probes=PROBES, **splits) as recording:
        recording.record(0)
    nc1 = elastic.open_study(tmp_path).cube["collapse"]["nc1"].isel(seed=0, epoch=0)
    assert nc1.sel(split="train").notnull().all()
    assert nc1.sel(split="test").isnull().all()
    assert "collapse on test is not measured: no samples of [1]" in caplog.text


def test_a_label_that_only_the_test_split_has_is_told_with_what_it_takes(tmp_path):
    splits = binary(lambda y: y.astype("float32"))
    x, y = splits["test"]
    splits["test"] = (x, y * 2)
    with pytest.raises(DegenerateInput, match=r"none of \[2\]; try train samples of those that occur, or no probe"):
        recorder(tmp_path, one_output(), loss=nn.MSELoss(), probes=PROBES, **splits)
