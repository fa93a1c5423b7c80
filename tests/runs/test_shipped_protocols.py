"""The protocols that ship: each is whole, and one of each kind runs from its file to its verdicts, on few samples."""

from __future__ import annotations

import gzip
import inspect
import json
import pickle
import re
import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import elastic
from elastic.analysis.derived import DERIVED
from elastic.protocol import load_protocol
from elastic.protocol.later_components import options_of
from elastic.registry import registry
from elastic.study import Study
from elastic.study.claim_rehearsal import ONE_SEED
from elastic.study.runner import check_runs

FOLDER = Path(__file__).parents[2] / "protocols"
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.yaml"))

#: The axes of the review that a user must find a protocol for.
QUESTIONS = {
    "losses", "regularization", "parameter_wise_decay", "bias", "initial_scale", "batch_norm", "random_labels",
    "optimizers", "imbalance", "minority_collapse", "unconstrained_features", "extended_unconstrained_features",
    "deep_unconstrained_features", "deep_linear_networks", "inner_layers", "local_elasticity",
    "local_elasticity_he_su", "elasticity_meets_collapse", "separation_law", "fixed_classifier", "quickstart",
}  # fmt: skip

#: One epoch of one seed. Threads that wait for each other cost what they wait.
FEW = ("training.epochs=1", "axes.seed=[0]", "training.threads=1")

#: Samples of the elasticity of protocols that measure it, instead of up to 96 a class.
FEW_PAIRS = ("probes.elasticity.stepped_per_class=2", "probes.elasticity.observed_per_class=3")

#: Widths that make networks small: their depth, and the names of their layers, stay.
NARROW = {"resnet": "model.width=2", "vgg": "model.width=2", "vit": "model.width=12"}

#: Axes of networks and of their widths, with the labels that claims name, and narrow networks.
NARROW_AXES = {
    "cifar100_transformer": [
        "axes.network={path: model, labels: [transformer, residual], "
        "values: [{name: vit, width: 12}, {name: resnet, depth: 18, width: 2}]}"
    ],
    "cifar10_random_labels": ["axes.channels={path: model.width, labels: [8, 32, 64], values: [2, 3, 4]}"],
    # A claim from an epoch on that few epochs do not reach.
    "transfer": ["claims.3.since=1"],
    "elasticity_meets_collapse": ["claims.5.until=1"],
    # The learning rates that claims name, of five.
    "equi_separation": ["axes.learning_rate.values=[3.0e-4, 1.0e-3, 3.0e-3]"],
    # All ten digits: with three, single steps separate no random labels.
    "elastic_dynamics": ["data.classes=null"],
    # As many train samples on its axis as the digits have.
    "test_collapse": ["axes.per_class={path: data.per_class, values: [10, 20, 40]}"],
}

#: What claims about a course of epochs are known by, and the epochs that give it four probes.
OF_A_COURSE, LONGER = ("name: classes_separate", "over: epoch", "name: precedes"), ("training.epochs=3",)

#: What claims that compare an epoch with an earlier one are known by. Where there is none, the last epoch is probed.
COMPARING = (
    *OF_A_COURSE, "_with_training", "_inward", "name: depth_order_crosses", "name: account_closes",
    "name: steps_move_collapse", "epoch: 0",
)  # fmt: skip
LAST = ("probes.at={name: listed, values: [1]}",)

#: Components that each run has.
PARTS = ("model", "data", "loss", "optimizer")

#: Claims about events, in the order in which they come: a fall by a factor, a level that is passed.
OF_EVENTS = {"precedes", "propagates_inward", "reaches_level_inward"}


@cache
def shipped(name):
    """Return a shipped protocol as its file gives it."""
    return load_protocol(FOLDER / f"{name}.yaml")


def forms(protocol):
    """Return the forms of a protocol's cube: the groups of its metrics and the kinds of the labels of its axes."""
    groups = {group for group, options in protocol.canonical()["probes"].items() if isinstance(options, dict)}
    return groups | {type(label).__name__ for labels in protocol.axis_labels.values() for label in labels}


def subjects(protocol):
    """Return what a protocol measures: its model and its data."""
    return {protocol.model.name, protocol.data.name}


def kinds(protocol):
    """Return what a protocol has of each kind: all its components, its claims, and the forms of its cube."""
    parts = {(part, getattr(cell.settings, part).name) for cell in protocol.cells for part in PARTS}
    return parts | {("claim", claim.name) for claim in protocol.claims} | {("form", form) for form in forms(protocol)}


@cache
def one_of_each(aspects, names=tuple(SHIPPED)):
    """Return protocols that have all aspects between them, without those of many runs that others make up for."""
    chosen = set(names)
    for name in sorted(names, key=lambda name: (len(shipped(name).cells) / len(shipped(name).axes.seed), name))[::-1]:
        if aspects(shipped(name)) <= set().union(*(aspects(shipped(other)) for other in chosen - {name})):
            chosen.remove(name)
    return tuple(sorted(chosen))


#: Protocols that run by default. The runs of the others, of the same kinds, are rehearsed: their claims are looked at.
RUN = one_of_each(kinds)


def leave_out(name, patch):
    """Leave out what no claim reads, but for one protocol of each subject, and seal only one of each form.

    The cubes of the others are read from the journals.
    """
    if name not in one_of_each(forms, RUN):
        patch.setattr(Study, "seal", lambda self: None)
    if name not in one_of_each(subjects, RUN):
        leave_what_claims_read(shipped(name), patch)


@cache
def literals(function):
    """Return the names that the module of a function has in quotes."""
    return frozenset(re.findall(r'"(\w+)"', Path(inspect.getfile(function)).read_text()))


def read_by_claims(protocol):
    """Return the metrics that a protocol's claims name, with those that the functions of these claims name."""
    names = set()
    for claim in protocol.claims:
        names |= {value for value in options_of("claims", claim).values() if isinstance(value, str)}
        names |= literals(registry("claims").get(claim.name).function)
    return names | {DERIVED[name].of for name in names & set(DERIVED)}


def leave_what_claims_read(protocol, patch):
    """Leave out the metrics that no claim of a protocol reads."""
    names = read_by_claims(protocol)
    for entry in list(registry("metrics")):
        if entry.name not in names and entry.facts.group != "class_steps":
            patch.delitem(registry("metrics")._entries, entry.name)


def images(rng, n, shape):
    return rng.integers(0, 256, (n, *shape), dtype=np.uint8)


def write_idx(folder, rng):
    """Write ten classes of random images in the layout of MNIST."""
    for part, n in (("train", 200), ("t10k", 50)):
        labels = (np.arange(n) % 10).astype(np.uint8)
        for name, array in (("images-idx3", images(rng, n, (28, 28))), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes(), 1))


def write_cifar(folder, rng, names, files, key, meta):
    """Write random images as CIFAR's pickles, six of each class a file."""
    for name in files:
        labels = [k for k in range(len(names)) for _ in range(6)]
        (folder / name).write_bytes(pickle.dumps({"data": images(rng, len(labels), (3072,)), key: labels}, protocol=2))
    (folder / meta[0]).write_bytes(pickle.dumps({meta[1]: names}, protocol=2))


TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def three_classes(protocol, names):
    """Leave three classes, unless a claim or the protocol names others."""
    of_claims = any("classes" in claim for claim in protocol.canonical()["claims"])
    chosen = any("classes" in str(place) for place in protocol.places.values)
    return [] if of_claims or chosen else [f"data.classes=[{', '.join(map(str, names[:3]))}]"]


def splits(protocol):
    """Measure collapse on train samples alone, unless a claim is about that of others or the file asks for them."""
    claims = protocol.canonical()["claims"]
    of_test = any(claim.get("split") == "test" and claim.get("variable") != "accuracy" for claim in claims)
    asked = ("probes", "collapse", "splits") in protocol.places.values
    return [] if protocol.probes.collapse is None or of_test or asked else ["probes.collapse.splits=[train]"]


@pytest.fixture
def few(tmp_path):
    """Return settings that give a protocol few samples, in files of the layout that its data have."""
    rng = np.random.default_rng(0)

    def settings(protocol):
        pairs = FEW_PAIRS if protocol.probes.elasticity is not None else ()
        settings = [*of_model(protocol), *pairs, *of_data(protocol), *splits(protocol)]
        return [*settings, *NARROW_AXES.get(protocol.name, ())]

    def of_model(protocol):
        model = protocol.model
        if model.name == "mlp":
            return [f"model.widths={[min(width, 16) for width in model.widths]}"]
        return [NARROW[model.name]] if model.name in NARROW else []

    def of_data(protocol):
        data = protocol.data.name
        if data == "indices":
            return []
        if data == "digits":
            return ["data.per_class=12", *three_classes(protocol, range(3))]
        if data in ("linked_rings", "torus"):
            return ["data.samples_per_class=40", "data.per_class=20"]
        if data == "fashion_mnist":
            write_idx(tmp_path, rng)
            return [f"data.folder={tmp_path}", "data.per_class=12", *three_classes(protocol, range(3))]
        # Networks of a GPU's size: few samples and classes, and no elasticity, which their layers' tests hold.
        shrunk = [f"data.folder={tmp_path}", "data.per_class=5"]
        shrunk += ["probes.collapse.per_class=5", "probes.elasticity=null"]
        if data == "cifar10":
            files = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
            write_cifar(tmp_path, rng, TEN, files, "labels", ("batches.meta", "label_names"))
            shrunk += three_classes(protocol, TEN)
        else:
            names = [f"class {k}" for k in range(100)]
            write_cifar(tmp_path, rng, names, ["train", "test"], "fine_labels", ("meta", "fine_label_names"))
            shrunk.append("data.classes=[class 3, class 14, class 15]")
        measured = [claim for claim in protocol.canonical()["claims"] if not claim["name"].startswith("locality")]
        shrunk.append(f"claims={json.dumps(measured)}")
        return shrunk

    return settings


def test_every_question_of_the_review_has_its_protocol():
    assert set(SHIPPED) >= QUESTIONS


@pytest.mark.parametrize("name", SHIPPED)
def test_a_protocol_says_what_it_asks_of_whom_it_cites_and_how_long_it_takes(name):
    protocol, text = shipped(name), (FOLDER / f"{name}.yaml").read_text()
    assert protocol.name == name
    assert protocol.title
    assert protocol.question
    assert protocol.cites
    assert protocol.claims
    first = " ".join(line for line in text.splitlines()[:4] if line.startswith("#"))
    assert re.search(r"bout (a|\d+) (second|minute|hour)s?", first), first


def has_numbers(study, verdict):
    """Return whether a claim has a number in each of its settings, from each seed.

    A claim about an event that few epochs do not reach has none: then the variables that it reads have numbers.
    """
    if verdict.name in OF_EVENTS:
        read = [verdict.options[option] for option in ("metric", "variable", "other") if option in verdict.options]
        return all(np.isfinite(study[variable]).any() for variable in read)
    return all(value is not None for finding in verdict.findings for value in finding.per_seed)


def few_settings(name, few):
    """Return settings that give a protocol few runs, few epochs and few samples."""
    text = (FOLDER / f"{name}.yaml").read_text()
    course = LONGER if any(words in text for words in OF_A_COURSE) else ()
    probed = () if any(words in text for words in COMPARING) else LAST
    return [*FEW, *course, *probed, *few(shipped(name))]


@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in RUN])
def test_a_protocol_takes_a_step_and_its_claims_name_what_its_cube_will_have(name, tmp_path, few):
    protocol = load_protocol(FOLDER / f"{name}.yaml", settings=few_settings(name, few))
    notes = check_runs(protocol, tmp_path / "out", (), None)
    assert ONE_SEED in notes, "the claims are looked at"
    assert not [note for note in notes if "this claim" in note]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in RUN else pytest.mark.long) for name in SHIPPED]
)
def test_a_protocol_runs_from_its_file_to_its_verdicts(name, tmp_path, few, monkeypatch):
    leave_out(name, monkeypatch)
    study = elastic.run(FOLDER / f"{name}.yaml", out=tmp_path / "out", settings=few_settings(name, few))
    assert {run.state for run in study.runs()} == {"done"}
    checked = elastic.check(study)
    assert len(checked.verdicts) == len(study.claims)
    switched_off = study.protocol.probes.elasticity is None
    for verdict in checked.verdicts:
        # One seed decides nothing, but everything that a claim reads is there (unless elasticity was switched off).
        assert verdict.verdict == "inconclusive"
        if not (switched_off and verdict.name == "locality_above"):
            assert verdict.quantity, (verdict.sentence, verdict.findings[0].reason)
            assert has_numbers(study, verdict), (verdict.sentence, verdict.findings)
