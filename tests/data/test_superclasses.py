"""Super-classes: which classes they merge, that fine labels travel along, and that draws are balanced over those."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.data.contract import Samples
from elastic.data.digits import digits
from elastic.data.preparation import prepare
from elastic.data.superclasses import merge_classes
from elastic.data.transforms import split
from elastic.errors import DataError, ElasticError
from elastic.probes.samples import elasticity_draws
from elastic.protocol import load_protocol
from elastic.runs.setup import build_setup, on_device, prepared_data

GROUPS = {"primary": [5, 8], "auxiliary": [4, 9, 7]}

PROTOCOL = """
name: merged
title: Are super-classes told?
data: {name: digits, per_class: 12, superclasses: {primary: [5, 8], auxiliary: [4, 9, 7]}}
model: {name: mlp, widths: [6]}
optimizer: {name: sgd, lr: 0.1}
training: {epochs: 1}
probes: {collapse: {per_class: 5}, elasticity: {stepped_per_class: 2, observed_per_class: 3}}
"""


def numbered(labels, classes=("a", "b", "c", "d", "e"), is_test=None):
    """Samples whose input is their own position."""
    return Samples(torch.arange(len(labels)).float()[:, None], torch.as_tensor(labels), classes, is_test)


def owners(groups):
    return {fine: name for name, group in groups.items() for fine in group}


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=40),
    groups=st.permutations("abcde").flatmap(
        lambda order: st.integers(1, 4).map(lambda cut: {"z": order[:cut], "y": order[cut:]})
    ),
)
def test_every_sample_is_labelled_by_the_group_of_its_class(labels, groups):
    merged = merge_classes(numbered(labels), groups)
    assert merged.classes == ("y", "z")
    assert set(merged.fine_classes) == set("abcde")
    for position, label, fine in zip(merged.inputs.flatten(), merged.labels, merged.fine_labels, strict=True):
        name = "abcde"[labels[int(position)]]
        assert merged.fine_classes[fine] == name
        assert merged.classes[label] == owners(groups)[name]


def test_classes_in_no_group_are_left_out_and_the_authors_split_is_kept():
    is_test = torch.tensor([True, False] * 4)
    merged = merge_classes(numbered([0, 0, 1, 1, 2, 2, 3, 3], is_test=is_test), {"one": ["d"], "two": ["a", "b"]})
    assert merged.inputs.flatten().tolist() == [0, 1, 2, 3, 6, 7]
    assert merged.is_test.tolist() == [True, False] * 3


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"one": ["a", "b"]}, "two super-classes or more"),
        ({"one": ["a"], "two": []}, "each of one class or more"),
        ({"one": ["a", "b"], "two": ["b"]}, "'b' twice"),
        ({"one": ["a", "a"], "two": ["b"]}, "'a' twice"),
        ({"one": ["a"], "two": ["z"]}, "found 'z'; try some of 'a', 'b'"),
        ({"one": [0], "two": ["b"]}, "classes of the data set; found 0"),
    ],
)
def test_impossible_groups_are_refused(groups, message):
    with pytest.raises(DataError, match=message) as refused:
        merge_classes(numbered([0, 1]), groups)
    assert "data.superclasses" in str(refused.value)


def test_a_drawn_split_is_stratified_by_fine_class():
    labels = torch.arange(5).repeat_interleave(torch.tensor([10, 20, 10, 30, 10]))
    merged = merge_classes(numbered(labels), {"one": ["a", "b"], "two": ["c", "d", "e"]})
    train, test = split(merged, 0.2, torch.Generator())
    assert test.fine_labels.bincount().tolist() == [2, 4, 2, 6, 2]
    assert train.fine_classes == test.fine_classes == ("a", "b", "c", "d", "e")


def test_a_fine_class_without_test_samples_is_named():
    is_test = torch.tensor([False, True, False, True, False, False])
    merged = merge_classes(numbered([0, 0, 1, 1, 2, 2], is_test=is_test), {"one": ["a", "c"], "two": ["b"]})
    with pytest.raises(DataError, match="test sample of each class; found none of class 'c'"):
        split(merged, None, torch.Generator())


def test_samples_are_counted_per_fine_class():
    data = prepare("digits", {}, superclasses=GROUPS, per_class=20)
    assert data.train.classes == ("auxiliary", "primary")
    assert data.train.fine_classes == (4, 9, 7, 5, 8)
    assert data.train.fine_labels.bincount().tolist() == [20] * 5
    assert data.train.labels.bincount().tolist() == [60, 40]
    with pytest.raises(DataError, match="number of train samples of class 8; found 140"):
        prepare("digits", {}, superclasses=GROUPS, per_class=140)


def test_inputs_keep_both_labels():
    data = prepare("digits", {}, superclasses=GROUPS, normalize="none", per_class=30, imbalance={"ratio": 3})
    original = digits(torch.Generator())
    digit_of = {x.numpy().tobytes(): int(y) for x, y in zip(original.inputs, original.labels, strict=True)}
    for part in (data.train, data.test):
        for x, label, fine in zip(part.inputs, part.labels, part.fine_labels, strict=True):
            digit = digit_of[x.numpy().tobytes()]
            assert part.fine_classes[fine] == digit
            assert part.classes[label] == owners(GROUPS)[digit]


def test_imbalance_is_of_super_classes_and_leaves_their_fine_classes_alike():
    data = prepare("digits", {}, superclasses=GROUPS, per_class=40, imbalance={"ratio": 4})
    assert data.train.fine_labels.bincount().tolist() == [40, 40, 40, 10, 10]


def test_random_labels_are_super_classes_and_fine_labels_stay():
    clean, noisy = (prepare("digits", {}, superclasses=GROUPS, label_noise=noise) for noise in (0.0, 1.0))
    assert torch.equal(clean.train.fine_labels, noisy.train.fine_labels)
    assert set(noisy.train.labels.tolist()) == {0, 1}
    assert 0.3 < (clean.train.labels != noisy.train.labels).double().mean() < 0.7


def test_the_digest_tells_fine_classes_apart_and_is_as_before_without_them():
    inputs_alike = [{"x": [4, 9], "y": [5, 8]}, {"x": [9, 4], "y": [5, 8]}, {"x": [4, 9], "z": [5, 8]}]
    digests = {prepare("digits", {}, superclasses=groups, test_fraction=0.5).digest for groups in inputs_alike}
    assert len(digests) == 3
    data = prepare("digits", {}, superclasses={"x": [0], "y": [1]}, normalize="none", test_fraction=0.5)
    total = hashlib.sha256(b'["x", "y"]' + b"[0, 1]")
    for part in (data.train, data.test):
        n = len(part)
        total.update(f"<f4({n}, 1, 8, 8)".encode() + np.asarray(part.inputs, "<f4").tobytes())
        for labels in (part.labels, part.fine_labels):
            total.update(f"<i8({n},)".encode() + np.asarray(labels, "<i8").tobytes())
    assert data.digest == total.hexdigest()


def test_a_run_is_told_super_classes_and_draws_as_many_of_each_fine_class(tmp_path):
    (tmp_path / "merged.yaml").write_text(PROTOCOL)
    protocol = load_protocol(tmp_path / "merged.yaml")
    bench = build_setup(protocol.cells[0].settings, torch.device("cpu"))
    assert bench.layout.classes == ("auxiliary", "primary")
    assert bench.layout.class_counts["train"] == (15, 10)
    part = bench.trainer.splits["train"]
    assert part.fine_labels.bincount().tolist() == [12] * 5
    for draw, each in zip(bench.probes["elasticity"].reader.draws[0], (2, 3), strict=True):
        assert part.fine_labels[draw].bincount().tolist() == [each] * 5
    ((again, _),) = elasticity_draws(part, 2, 3, 0)
    assert torch.equal(bench.probes["elasticity"].reader.draws[0][0], again)


def test_fine_labels_move_with_their_samples_to_a_device():
    merged = merge_classes(numbered([0, 1, 2]), {"one": ["a"], "two": ["b", "c"]})
    moved = on_device(merged, torch.device("meta"), torch.float64)
    assert {part.device.type for part in (moved.inputs, moved.labels, moved.fine_labels)} == {"meta"}
    assert moved.fine_classes == merged.fine_classes


def test_the_order_of_super_classes_in_a_file_has_no_meaning(tmp_path):
    turned = PROTOCOL.replace("primary: [5, 8], auxiliary: [4, 9, 7]", "auxiliary: [4, 9, 7], primary: [5, 8]")
    assert turned != PROTOCOL
    collected = []
    for name, text in (("one.yaml", PROTOCOL), ("two.yaml", turned)):
        (tmp_path / name).write_text(text)
        protocol = load_protocol(tmp_path / name)
        collected.append((protocol.digest, prepared_data(protocol.data).digest))
    assert collected[0] == collected[1]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("superclasses: {primary: [5, 8]}", "superclasses"),
        ("superclasses: {primary: [5, 8], auxiliary: []}", "superclasses.auxiliary"),
        ("superclasses: {primary: [5, 8], auxiliary: [8]}", "have no duplicates"),
        ("superclasses: {primary: [5, 8], auxiliary: [4]}, classes: [4, 5, 8]", "without data.classes"),
        ("superclasses: {primary: [5, 8.5], auxiliary: [4]}", "8.5"),
        ("superclasses: [[5, 8], [4]]", "superclasses"),
    ],
)
def test_mistakes_in_a_protocol_are_told_with_their_place(tmp_path, written, message):
    text = PROTOCOL.replace("superclasses: {primary: [5, 8], auxiliary: [4, 9, 7]}", written)
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(ElasticError, match=message) as refused:
        load_protocol(tmp_path / "wrong.yaml")
    assert "wrong.yaml:4:" in str(refused.value)


def test_super_classes_can_be_an_axis(tmp_path):
    axis = "axes: {task: {path: data.superclasses, labels: [pairs, none], values: [{x: [0, 1], y: [2, 3]}, null]}}\n"
    text = PROTOCOL.replace(", superclasses: {primary: [5, 8], auxiliary: [4, 9, 7]}", "") + axis
    (tmp_path / "axis.yaml").write_text(text)
    first, second = (cell.settings.data for cell in load_protocol(tmp_path / "axis.yaml").cells)
    assert prepared_data(first).train.classes == ("x", "y")
    assert len(prepared_data(second).train.classes) == 10
    assert prepared_data(second).train.fine_labels is None
