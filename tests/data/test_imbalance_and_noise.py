"""Imbalanced classes and random labels: how many, which, and that nothing else changes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elastic.data.contract import Samples
from elastic.data.imbalance import class_sizes, take_imbalanced
from elastic.data.label_noise import randomize_labels
from elastic.data.preparation import prepare
from elastic.errors import DataError


def numbered(n, classes):
    return Samples(torch.arange(n)[:, None].float(), torch.arange(n) % classes, tuple(range(classes)))


@given(st.integers(2, 12), st.integers(1, 500), st.floats(1, 1000), st.sampled_from(["step", "exponential"]))
def test_sizes_fall_from_the_largest_to_a_ratio_below_it(classes, largest, ratio, profile):
    sizes = class_sizes(classes, largest, ratio=ratio, profile=profile)
    assert sizes[0] == largest
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == max(1, round(largest / ratio))


def test_a_step_has_as_many_minority_classes_as_asked():
    assert class_sizes(10, 50, ratio=5, minority_classes=3) == [50] * 7 + [10] * 3


@pytest.mark.parametrize("few", [0, 10, 11])
def test_a_step_needs_a_majority_and_a_minority(few):
    with pytest.raises(DataError, match="minority_classes"):
        class_sizes(10, 50, ratio=5, minority_classes=few)


def test_minority_classes_belong_to_a_step_only():
    with pytest.raises(DataError, match="profile: step"):
        class_sizes(10, 50, ratio=5, profile="exponential", minority_classes=3)


def test_a_greater_ratio_keeps_some_of_the_samples_of_a_smaller_one():
    mild, strong = (
        take_imbalanced(numbered(400, 4), torch.Generator().manual_seed(7), ratio=ratio) for ratio in (4, 20)
    )
    assert strong.labels.bincount().tolist() == [100, 100, 5, 5]
    assert {*strong.inputs.flatten().tolist()} < {*mild.inputs.flatten().tolist()}


def test_inputs_keep_their_labels_when_classes_are_thinned():
    thinned = take_imbalanced(numbered(400, 4), torch.Generator(), ratio=8, profile="exponential")
    assert torch.equal(thinned.inputs.flatten().long() % 4, thinned.labels)


def test_all_labels_random_say_nothing_of_the_inputs():
    noisy = randomize_labels(numbered(20_000, 4), 1.0, torch.Generator().manual_seed(0))
    kept = (noisy.labels == torch.arange(20_000) % 4).double().mean()
    assert kept == pytest.approx(0.25, abs=0.015)  # five standard deviations
    assert noisy.labels.bincount().double().div(20_000).sub(0.25).abs().max() < 0.02


def test_a_share_of_the_labels_is_drawn_and_a_greater_share_keeps_the_draws():
    clean = numbered(10_000, 10)
    some, more = (randomize_labels(clean, share, torch.Generator().manual_seed(3)) for share in (0.2, 0.5))
    assert (some.labels != clean.labels).double().mean() == pytest.approx(0.2 * 0.9, abs=0.02)
    moved = some.labels != clean.labels
    assert torch.equal(some.labels[moved], more.labels[moved])
    assert torch.equal(some.inputs, clean.inputs)
    assert torch.equal(clean.labels, torch.arange(10_000) % 10)


def test_only_the_train_part_is_thinned_and_relabelled():
    plain = prepare("digits", {}, seed=1)
    changed = prepare("digits", {}, seed=1, imbalance={"ratio": 10}, label_noise=1.0)
    assert torch.equal(plain.test.labels, changed.test.labels)
    assert len(changed.train) < len(plain.train)
    assert len(changed.test) == len(plain.test)
    assert changed.digest != plain.digest


def test_thinned_digits_have_the_sizes_asked():
    data = prepare("digits", {}, per_class=100, imbalance={"ratio": 10, "minority_classes": 2})
    assert data.train.labels.bincount().tolist() == [100] * 8 + [10] * 2
