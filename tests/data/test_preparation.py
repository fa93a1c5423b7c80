import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from elastic.data.contract import Samples
from elastic.data.digits import digits
from elastic.data.fashion_mnist import DEBIAN_FOLDER
from elastic.data.preparation import prepare
from elastic.errors import DataError, OptionError, UnknownName
from elastic.registry import registry


def rows(samples):
    return {hashlib.md5(image.numpy().tobytes()).digest() for image in samples.inputs}


@pytest.fixture
def register(monkeypatch):
    """Enter a data set for one test."""
    data = registry("data")
    data.names()

    def enter(function):
        monkeypatch.setattr(data, "_entries", dict(data._entries))
        data.register("for_the_test")(function)

    return enter


def test_every_data_set_is_found_by_name():
    assert {"digits", "fashion_mnist", "idx", "arrays", "gaussian_mixture"} <= set(registry("data").names())


def test_prepared_digits_are_split_thinned_and_standardized():
    data = prepare("digits", {}, per_class=30, test_fraction=0.25, seed=1)
    assert torch.bincount(data.train.labels).tolist() == [30] * 10
    full = torch.bincount(digits(torch.Generator()).labels)
    assert torch.bincount(data.test.labels).tolist() == [round(0.25 * n) for n in full.tolist()]
    assert data.train.inputs.double().mean().abs() < 1e-6
    assert data.train.inputs.double().std(correction=0) == pytest.approx(1, abs=1e-6)
    assert data.train.is_test is None
    assert data.test.is_test is None
    # some digits are drawn twice alike; samples as positions are disjoint (test_transforms), pictures nearly so
    assert len(rows(data.train) & rows(data.test)) <= 2


def test_labels_stay_with_their_inputs():
    data = prepare("digits", {}, classes=[8, 3], normalize="none", seed=2)
    original = digits(torch.Generator())
    label_of = {
        image.numpy().tobytes(): int(label) for image, label in zip(original.inputs, original.labels, strict=True)
    }
    for part in (data.train, data.test):
        assert part.classes == (8, 3)
        for image, label in zip(part.inputs, part.labels, strict=True):
            assert label_of[image.numpy().tobytes()] == (8, 3)[label]


def test_the_seed_alone_decides():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = prepare("digits", {}, per_class=10, seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    same, other = prepare("digits", {}, per_class=10, seed=4), prepare("digits", {}, per_class=10, seed=5)
    assert one.digest == same.digest
    assert torch.equal(one.train.inputs, same.train.inputs)
    assert one.digest != other.digest
    assert rows(one.test) != rows(other.test)
    generated = [prepare("gaussian_mixture", {}, test_fraction=0.5, seed=seed) for seed in (4, 4, 5)]
    assert generated[0].digest == generated[1].digest
    assert not rows(generated[0].train) & (rows(generated[2].train) | rows(generated[2].test))


def test_thinning_the_train_part_leaves_the_split_alone():
    full = prepare("digits", {}, normalize="none", seed=3)
    thin = prepare("digits", {}, normalize="none", per_class=5, seed=3)
    assert torch.equal(full.test.inputs, thin.test.inputs)
    assert rows(thin.train) <= rows(full.train)


def test_the_digest_tells_inputs_labels_and_class_names_apart(register):
    inputs, labels = torch.arange(12.0).reshape(6, 2), torch.tensor([0, 0, 0, 1, 1, 1])
    is_test = torch.tensor([True, False, False] * 2)

    def digest(inputs, labels, classes):
        register(lambda generator: Samples(inputs, labels, classes, is_test))
        return prepare("for_the_test", {}, normalize="none").digest

    changed = inputs.clone()
    changed[5, 1] += 1
    digests = {
        digest(inputs, labels, (0, 1)),
        digest(changed, labels, (0, 1)),
        digest(inputs, 1 - labels, (0, 1)),
        digest(inputs, labels, (0, 2)),
        digest(inputs, labels, ("0", "1")),
        digest(inputs.reshape(6, 1, 2), labels, (0, 1)),
    }
    assert len(digests) == 6
    assert digest(inputs.double(), labels, (0, 1)) in digests


def test_the_digest_of_digits_is_that_of_every_machine():
    """Bytes by hand: any machine, and any later version, must find the same."""
    data = prepare("digits", {}, classes=[0, 1], normalize="none", test_fraction=0.5, seed=0)
    total = hashlib.sha256(b"[0, 1]")
    for part in (data.train, data.test):
        total.update(f"<f4({len(part)}, 1, 8, 8)".encode() + np.asarray(part.inputs, "<f4").tobytes())
        total.update(f"<i8({len(part)},)".encode() + np.asarray(part.labels, "<i8").tobytes())
    assert data.digest == total.hexdigest()


def test_the_split_of_a_seed_never_changes():
    """Pinned: a published study's split must be had again by later versions."""
    data = prepare("digits", {}, classes=[0, 1], per_class=1, normalize="none", test_fraction=0.5, seed=0)
    assert data.digest == "e2b2359dc9fe7b38b5a8627470b2af87260ae02ef7fa46ab719b37011370758c"


def test_mistakes_are_explained(register):
    with pytest.raises(UnknownName, match="'digits'"):
        prepare("digit", {})
    with pytest.raises(OptionError, match="'folder'"):
        prepare("fashion_mnist", {"foldr": "x"})
    with pytest.raises(OptionError, match="`folder` should be given"):
        prepare("idx", {})
    with pytest.raises(DataError, match=r"classes of the data set; found 10; try some of 0, 1, 2"):
        prepare("digits", {}, classes=[1, 10])
    with pytest.raises(DataError, match="number of train samples of class 8"):
        prepare("digits", {}, per_class=140)


def test_a_data_set_of_one_class_is_refused(register):
    register(lambda generator: Samples(torch.rand(4, 2), torch.zeros(4, dtype=torch.int64), ("only",)))
    with pytest.raises(DataError, match="two classes or more; found \\['only'\\]"):
        prepare("for_the_test", {})


def test_a_data_set_that_fails_is_refused_with_its_reason(register):
    def fails(generator):
        raise RuntimeError("no such thing")

    register(fails)
    with pytest.raises(DataError, match="load; found RuntimeError: no such thing"):
        prepare("for_the_test", {})


def test_inputs_too_large_for_float32_are_refused(register):
    inputs = torch.tensor([[1e300], [1.0], [2.0], [3.0]], dtype=torch.float64)
    register(lambda generator: Samples(inputs, torch.tensor([0, 0, 1, 1]), (0, 1)))
    for normalize in ("none", "standardize"):
        with pytest.raises(DataError, match=r"finite in float32|in the range of float32"):
            prepare("for_the_test", {}, normalize=normalize, test_fraction=0.5)


@pytest.mark.skipif(not Path(DEBIAN_FOLDER).is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_fashion_mnist_keeps_its_test_part_whole():
    data = prepare("fashion_mnist", {}, per_class=100, classes=[9, 0], seed=0)
    assert torch.bincount(data.train.labels).tolist() == [100, 100]
    assert torch.bincount(data.test.labels).tolist() == [1_000, 1_000]
    assert data.train.inputs.shape[1:] == (1, 28, 28)
