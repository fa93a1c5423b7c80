import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.data.contract import Samples
from elastic.data.transforms import (
    choose_classes,
    choose_disjoint,
    choose_per_class,
    split,
    standardize,
    take_per_class,
)
from elastic.errors import DataError

labelings = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(torch.tensor)
counts = st.lists(st.integers(2, 30), min_size=2, max_size=5)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(labels, classes=("a", "b", "c", "d", "e"), is_test=None):
    """Samples whose input is their own position."""
    return Samples(torch.arange(len(labels)).float()[:, None], torch.as_tensor(labels), classes, is_test)


def positions(samples):
    return samples.inputs.flatten().long()


@settings(max_examples=60, deadline=None)
@given(labels=labelings, per_class=st.none() | st.integers(1, 20), seed=st.integers(0, 99))
def test_per_class_choice_takes_so_many_of_each_class_in_order(labels, per_class, seed):
    chosen = choose_per_class(labels, per_class, seeded(seed))
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    for label in labels.unique():
        have = int((labels == label).sum())
        assert int((labels[chosen] == label).sum()) == (have if per_class is None else min(per_class, have))


def test_every_sample_of_a_class_is_chosen_equally_often():
    labels = torch.tensor([3] * 5 + [1] * 2)
    times = torch.zeros(7)
    for seed in range(2_000):
        times[choose_per_class(labels, 2, seeded(seed))] += 1
    assert times[5:].tolist() == [2_000, 2_000]
    # binomial(2000, 2/5): mean 800, standard deviation 22
    assert (times[:5] - 800).abs().max() < 100


@settings(max_examples=100, deadline=None)
@given(labels=labelings, first=st.integers(1, 9), second=st.integers(1, 9), seed=st.integers(0, 99))
def test_disjoint_draws_overlap_by_no_more_than_a_class_lacks(labels, first, second, seed):
    one, other = choose_disjoint(labels, first, second, seeded(seed))
    for drawn in (one, other):
        assert drawn.tolist() == sorted(set(drawn.tolist()))
    for label in labels.unique():
        members = set((labels == label).nonzero().flatten().tolist())
        a, b = members & set(one.tolist()), members & set(other.tolist())
        assert len(a) == min(first, len(members))
        assert len(b) == min(second, len(members))
        assert len(a & b) == max(0, len(a) + len(b) - len(members))


@settings(max_examples=60, deadline=None)
@given(counts=counts, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_a_drawn_split_is_stratified_and_disjoint_and_loses_nothing(counts, fraction, seed):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    samples = numbered(labels[torch.randperm(len(labels), generator=seeded(seed))], tuple(range(len(counts))))
    train, test = split(samples, fraction, seeded(seed))
    assert sorted([*positions(train).tolist(), *positions(test).tolist()]) == list(range(len(labels)))
    for k, count in enumerate(counts):
        tested = int((test.labels == k).sum())
        assert 1 <= tested <= count - 1
        assert abs(tested - fraction * count) <= 1
    for part in (train, test):
        assert torch.equal(part.labels, samples.labels[positions(part)])
        assert positions(part).tolist() == sorted(positions(part).tolist())


def test_a_fifth_is_tested_where_there_is_no_split_and_no_fraction():
    _, test = split(numbered([0] * 10 + [1] * 20, (0, 1)), None, seeded())
    assert torch.bincount(test.labels).tolist() == [2, 4]


def test_the_authors_split_is_kept_unless_a_fraction_is_asked_for():
    is_test = torch.tensor([False, True, False, True, False, False])
    samples = numbered([0, 0, 1, 1, 0, 1], (0, 1), is_test)
    assert positions(split(samples, None, seeded())[1]).tolist() == [1, 3]
    assert len(split(samples, 0.6, seeded())[1]) == 4


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_a_fraction_outside_0_and_1_is_refused(fraction):
    with pytest.raises(DataError, match="lie between 0 and 1"):
        split(numbered([0, 0, 1, 1], (0, 1)), fraction, seeded())


def test_a_class_that_would_be_missing_from_a_part_is_named():
    with pytest.raises(DataError, match="test sample of each class; found none of class 'b'"):
        split(numbered([0, 0, 1], ("a", "b")), None, seeded())
    with pytest.raises(DataError, match="train sample of each class; found none of class 'a'"):
        split(numbered([0, 0, 1, 1], ("a", "b"), torch.tensor([True, True, True, False])), None, seeded())


def test_chosen_classes_are_renumbered_in_the_order_given():
    samples = choose_classes(numbered([4, 0, 2, 2, 1, 4], is_test=torch.tensor([True, False] * 3)), ["e", "c"])
    assert samples.classes == ("e", "c")
    assert samples.labels.tolist() == [0, 1, 1, 0]
    assert positions(samples).tolist() == [0, 2, 3, 5]
    assert samples.is_test.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a", "z"], "found 'z'; try some of 'a', 'b'"),
        (["a"], "two classes"),
        (["a", "a"], "each once"),
        ([], "two"),
        (["a", 1], "found 1"),
    ],
)
def test_impossible_choices_of_classes_are_refused(classes, message):
    with pytest.raises(DataError, match=message):
        choose_classes(numbered([0, 1]), classes)


def test_too_few_samples_of_a_class_are_refused_by_name():
    samples = numbered([0, 0, 0, 1, 1], ("a", "b"))
    assert torch.bincount(take_per_class(samples, 2, seeded()).labels).tolist() == [2, 2]
    for per_class in (0, 3):
        with pytest.raises(DataError, match=f"1 to 2, .* class 'b'; found {per_class}"):
            take_per_class(samples, per_class, seeded())


@settings(max_examples=40, deadline=None)
@given(
    offset=st.sampled_from([0.0, 1.0, -300.0, 1e6]),
    scale=st.floats(1e-3, 1e3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_standardized_train_inputs_have_mean_0_and_deviation_1(offset, scale, dtype):
    raw = torch.randn(500, 1, 3, 2, generator=seeded(), dtype=torch.float64) * scale + offset
    raw = raw.to(dtype)
    if raw.unique().numel() < 1_000:  # float32 has no room for so little variation so far out
        return
    train = Samples(raw[:300], torch.zeros(300, dtype=torch.int64), (0,))
    test = Samples(raw[300:], torch.zeros(200, dtype=torch.int64), (0,))
    one, other = standardize(train, test)
    assert abs(one.inputs.double().mean()) < 1e-6
    assert abs(one.inputs.double().std(correction=0) - 1) < 1e-6
    # the test part goes through the same map as the train part
    mean, deviation = train.inputs.double().mean(), train.inputs.double().std(correction=0)
    torch.testing.assert_close(other.inputs, ((test.inputs.double() - mean) / deviation).float(), rtol=1e-5, atol=1e-6)


def test_standardizing_does_not_depend_on_the_order_of_summation():
    """Nor, therefore, on the number of threads that sum."""
    inputs = torch.rand(20_000, 32, generator=seeded(), dtype=torch.float64) + 1e4
    labels = torch.zeros(20_000, dtype=torch.int64)
    samples = Samples(inputs, labels, (0,))
    expected = standardize(samples, samples)[0].inputs
    for seed in range(3):
        order = torch.randperm(20_000, generator=seeded(seed))
        shuffled = Samples(inputs[order], labels, (0,))
        assert torch.equal(standardize(shuffled, shuffled)[0].inputs, expected[order])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_standardizing_does_not_depend_on_the_default_type_of_the_process(dtype):
    inputs = torch.rand(50, 3, generator=seeded(), dtype=torch.float32)
    samples = Samples(inputs, torch.zeros(50, dtype=torch.int64), (0,))
    expected = standardize(samples, samples)[0].inputs
    torch.set_default_dtype(dtype)
    try:
        assert torch.equal(standardize(samples, samples)[0].inputs, expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_inputs_without_variation_are_refused():
    constant = Samples(torch.full((5, 2), 3.0), torch.zeros(5, dtype=torch.int64), (0,))
    with pytest.raises(DataError, match="vary"):
        standardize(constant, constant)
