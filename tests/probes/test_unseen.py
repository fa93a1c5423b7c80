"""Classes beyond those of training: never trained on, and read as real steps, numpy and scikit-learn read them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from support import studies
from torch import nn

import elastic
from elastic.data.contract import Samples
from elastic.data.preparation import prepare
from elastic.errors import DataError, ModelError, ProtocolError
from elastic.losses import build_loss
from elastic.models.taps import Tapped
from elastic.probes.contract import Subject, build_probes
from elastic.protocol import load_protocol

UNSEEN = studies.SMALL.replace("per_class: 20, test_fraction", "unseen: [1, 7], per_class: 20, test_fraction").replace(
    "  elasticity: {stepped_per_class: 2, observed_per_class: 4}\n",
    "  elasticity: {stepped_per_class: 2, observed_per_class: 4}\n"
    "  unseen: {stepped_per_class: 2, observed_per_class: 3, episodes: 2}\n",
)


@pytest.fixture(scope="module")
def subject():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    x, aside = torch.randn(30, 5, dtype=torch.float64), torch.randn(24, 5, dtype=torch.float64)
    samples = Samples(x, torch.arange(30) % 3, (0, 1, 2))
    unseen = Samples(aside + (torch.arange(24) % 2)[:, None], torch.arange(24) % 2, ("cat", "dog"))
    model = Tapped(net, ["0"])
    return Subject(model, build_loss("cross_entropy"), {"train": samples}, seed=3, unseen=unseen)


@pytest.fixture(scope="module")
def probe(subject):
    (result,) = build_probes(
        subject, {"unseen": {"per_class": None, "stepped_per_class": 2, "observed_per_class": 4}}
    ).values()
    return result


@pytest.fixture(scope="module")
def table(probe):
    return probe.read(0)


def features(net, x):
    hidden = net[0](x)
    return {"0": hidden, "logits": net[2](net[1](hidden))}


def test_responses_are_the_movements_of_real_steps(subject, probe, table):
    """(h(θ − η∇ℓ(a)) − h(θ))/η as η → 0, by torch.autograd alone."""
    stepped, observed = probe.draw
    x, y = probe.together.inputs, probe.together.labels
    net, lr = subject.model.module, 1e-6
    norms = {"0": np.zeros((6, 8)), "logits": np.zeros((6, 8))}
    for row, a in enumerate(stepped.tolist()):
        moved = copy.deepcopy(net)
        moved.zero_grad()
        nn.functional.cross_entropy(moved(x[a : a + 1]), y[a : a + 1]).backward()
        with torch.no_grad():
            before = features(moved, x[observed])
            for parameter in moved.parameters():
                parameter -= lr * parameter.grad
            after = features(moved, x[observed])
        for layer, size in norms.items():
            size[row] = ((after[layer] - before[layer]) / lr).norm(dim=1)
    j, u = y[stepped].numpy(), y[observed].numpy() - 3
    for place, layer in enumerate(("0", "logits"), start=1):
        expected = [[norms[layer][np.ix_(j == one, u == other)].mean() for other in range(2)] for one in range(3)]
        np.testing.assert_allclose(table["response_unseen"][place], expected, rtol=1e-5)
    assert np.isnan(table["response_unseen"][0]).all(), "no step moves the input"


def test_few_shots_and_linear_probes_are_those_of_numpy_and_scikit_learn(subject, probe, table):
    with torch.no_grad():
        fit, held = (features(subject.model.module, part.inputs)["0"].numpy() for part in (probe.fit, probe.held))
    labels, others = probe.fit.labels.numpy(), probe.held.labels.numpy()
    right = []
    for episode in probe.supports[5].numpy():
        means = np.stack([fit[chosen].mean(axis=0) for chosen in episode])
        right.append(np.mean(np.linalg.norm(held[:, None] - means, axis=2).argmin(axis=1) == others))
    assert table["unseen_few_shot_accuracy"][1, 1] == pytest.approx(np.mean(right))
    scale = np.sqrt(np.mean(np.sum((fit - fit.mean(0)) ** 2, axis=1)))
    plain = LogisticRegression(C=1 / (1e-3 * len(fit)), max_iter=5000, tol=1e-8)
    plain.fit((fit - fit.mean(0)) / scale, labels)
    expected = plain.score((held - fit.mean(0)) / scale, others)
    assert table["unseen_linear_probe_accuracy"][1] == pytest.approx(expected)


def test_nothing_is_fitted_to_what_it_is_scored_on(probe):
    rows = {tuple(row) for row in probe.fit.inputs.tolist()}
    assert not rows & {tuple(row) for row in probe.held.inputs.tolist()}
    assert len(rows) == 12


def test_one_unseen_class_has_no_pairs_but_responses(subject):
    one = subject.unseen.take(subject.unseen.labels == 0)
    alone = Subject(subject.model, subject.loss, subject.samples, unseen=Samples(one.inputs, one.labels, ("cat",)))
    (result,) = build_probes(alone, {"unseen": {"stepped_per_class": 1, "observed_per_class": 2}}).values()
    table = result.read(0)
    assert table["response_unseen"].shape == (3, 3, 1)
    assert {"unseen_cdnv", "unseen_few_shot_accuracy"}.isdisjoint(table)


def test_more_shots_than_samples_are_refused(subject):
    with pytest.raises(ModelError, match=r"`probes.unseen.shots` should be at most 6"):
        build_probes(subject, {"unseen": {"shots": [7], "per_class": None}})


def test_a_probe_of_no_unseen_classes_is_refused(subject):
    with pytest.raises(ModelError, match=r"`probes.unseen` should be left out"):
        build_probes(Subject(subject.model, subject.loss, subject.samples), {"unseen": {}})


def test_unseen_classes_are_neither_trained_on_nor_tested():
    given = {"test_fraction": 0.3, "normalize": "standardize"}
    data = prepare("digits", {}, unseen=[9, 1], **given)
    assert data.train.classes == data.test.classes == (0, 2, 3, 4, 5, 6, 7, 8)
    assert data.unseen.classes == (9, 1)
    assert len(data.unseen) == 180 + 182
    plain = prepare("digits", {}, classes=[0, 2, 3, 4, 5, 6, 7, 8], **given)
    assert torch.equal(plain.train.inputs, data.train.inputs), "the draws are those of the same classes without others"
    assert plain.digest != data.digest


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"unseen": [3, 3]}, "each once"),
        ({"unseen": [10]}, "classes of the data set"),
        ({"unseen": [3], "classes": [3, 4, 5]}, "other classes than data.classes"),
        ({"unseen": [3], "superclasses": {"a": [3, 4], "b": [5]}}, "other classes than data.superclasses"),
        ({"unseen": list(range(9))}, "leave two classes or more"),
    ],
)
def test_mistaken_classes_are_told(options, text):
    with pytest.raises(DataError, match=rf"`data.unseen` should .*{text}"):
        prepare("digits", {}, **options)


def test_data_that_keep_classes_aside_are_probed_and_one_digest_says_so(tmp_path):
    plain = UNSEEN.replace("  unseen: {stepped_per_class: 2, observed_per_class: 3, episodes: 2}\n", "")
    asked = load_protocol(studies.write(tmp_path, plain)).probes.asked
    assert asked["unseen"]["shots"] == [1, 5]
    named = load_protocol(studies.write(tmp_path, plain.replace("axes:", "  unseen: {}\naxes:")))
    assert named.digest == load_protocol(studies.write(tmp_path, plain)).digest
    without = load_protocol(studies.write(tmp_path, plain.replace("axes:", "  unseen: null\naxes:")))
    assert "unseen" not in without.probes.asked
    earlier = load_protocol(studies.write(tmp_path, studies.SMALL))
    assert "unseen" not in earlier.canonical()["data"]
    with pytest.raises(ProtocolError, match=r"`data.unseen`"):
        load_protocol(studies.write(tmp_path, plain), settings=["data.unseen=[]"])


#: Of one seed, and without a schedule that depends on the end of training.
ALONE = UNSEEN.replace(", schedule: {name: multistep, milestones: [0.5]}", "").replace("[0, 1]", "[0]")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return studies.run(tmp_path_factory.mktemp("unseen"), text=ALONE)


@pytest.mark.usefixtures("unsealed")
def test_a_run_measures_them_in_a_group_of_their_own(study, tmp_path):
    group, elasticity = study.cube["unseen"].dataset, study.cube["elasticity"].dataset
    assert group["response_unseen"].dims == ("seed", "epoch", "layer", "stepped_class", "unseen_class")
    assert group["unseen_class"].values.tolist() == [1, 7]
    assert group["response_unseen"].sel(layer="logits").notnull().all()
    assert group["unseen_cdnv_mean"].notnull().all()
    assert elasticity["observed_class"].values.tolist() == [3, 5, 8]
    without = studies.run(tmp_path, "probes.unseen=null", text=ALONE)
    np.testing.assert_array_equal(without.cube["elasticity"]["locality"], elasticity["locality"])
    assert "unseen" not in without.cube


@pytest.mark.usefixtures("unsealed")
def test_a_run_that_is_continued_measures_the_same_bits(study, tmp_path):
    studies.run(tmp_path, "training.epochs=2", text=ALONE)
    longer = studies.run(tmp_path, text=ALONE)
    for name, values in study.cube["unseen"].dataset.data_vars.items():
        np.testing.assert_array_equal(longer.cube["unseen"][name].sel(epoch=6), values.sel(epoch=6))


def test_claims_name_what_is_unseen(study):
    claim = {"name": "above", "variable": "unseen_few_shot_accuracy", "threshold": 0.2, "layer": "penultimate"}
    (verdict,) = elastic.check(study, claims={"claims": [claim | {"where": {"shots": 5}}]}).verdicts
    assert verdict.verdict == "inconclusive"
    assert verdict.findings[0].reason == "one seed"
