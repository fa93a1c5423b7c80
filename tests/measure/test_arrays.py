"""Odd arrays given to `measure_collapse`: the right numbers, or a sentence of elastic's own."""

from __future__ import annotations

import datetime
import decimal
import fractions
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
import xarray as xr
from torch._subclasses.fake_tensor import FakeTensorMode

from elastic import measure_collapse
from elastic.arrays import as_numbers, as_tensor
from elastic.errors import DegenerateInput, ElasticError

Y = np.arange(12) % 3
H = np.random.default_rng(0).normal(size=(12, 4)) + 2 * np.eye(4)[Y]
T = torch.tensor(H)
W = np.random.default_rng(1).normal(size=(3, 4))


def quiet(function, *args, **options):
    """Call a function of torch that warns of its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **options)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def of_inference(array):
    with torch.inference_mode():
        return torch.tensor(array)


def mapped(tmp_path):
    file = np.memmap(tmp_path / "h", dtype="f8", mode="w+", shape=H.shape)
    file[:] = H
    file.flush()
    return np.memmap(tmp_path / "h", dtype="f8", mode="r", shape=H.shape)


def packed():
    rows = np.zeros(12, dtype=np.dtype([("tag", "u1"), ("h", "f8", (4,))]))
    rows["h"] = H
    return rows["h"]


class Broken:
    """An object that cannot become an array."""

    def __array__(self, dtype=None, copy=None):
        raise OSError("the disk is gone")


#: Ways to keep the very numbers of H.
SAME = {
    "backwards": lambda: np.ascontiguousarray(H[::-1])[::-1],
    "big-endian": lambda: H.astype(">f8"),
    "Fortran order": lambda: np.asfortranarray(H),
    "every other row": lambda: np.repeat(H, 2, axis=0)[::2],
    "read-only": lambda: read_only(H),
    "broadcast": lambda: np.broadcast_to(H, H.shape),
    "field of a record": packed,
    "longdouble": lambda: H.astype("g"),
    "objects": lambda: H.astype(object),
    "matrix": lambda: quiet(np.matrix, H),
    "masked nowhere": lambda: np.ma.array(H, mask=np.zeros_like(H, dtype=bool)),
    "data frame": lambda: pd.DataFrame(H),
    "nullable data frame": lambda: pd.DataFrame(H).astype("Float64"),
    "sparse data frame": lambda: pd.DataFrame(H).astype(pd.SparseDtype("float")),
    "data array": lambda: xr.DataArray(H),
    "data set": lambda: xr.Dataset({"features": (("n", "d"), H)}),
    "list": H.tolist,
    "tuple of rows": lambda: tuple(H),
    "list of tensors": lambda: list(T.clone().requires_grad_()),
    "tensor with gradient": lambda: T.clone().requires_grad_(),
    "parameter": lambda: torch.nn.Parameter(T.clone()),
    "inference tensor": lambda: of_inference(H),
    "transposed tensor": lambda: T.T.contiguous().T,
    "negated view": lambda: torch.complex(T, -T).conj().imag,
    "four dims": lambda: H.reshape(12, 2, 1, 2),
}

#: Ways to keep numbers near those of H, and how near.
NEAR = {
    "float16": (lambda: H.astype("f2"), 1e-2),
    "float32": (lambda: H.astype("f4"), 1e-5),
    "big-endian float32 backwards": (lambda: np.ascontiguousarray(H[::-1]).astype(">f4")[::-1], 1e-5),
    "bfloat16": (T.bfloat16, 5e-2),
    "float8": (lambda: T.to(torch.float8_e4m3fn), 0.3),
    "fractions": (lambda: [[fractions.Fraction(round(v * 2**20), 2**20) for v in row] for row in H], 1e-5),
    "uint16 tensor": (lambda: ((T + 5) * 1000).to(torch.uint16), 1e-2),
    "uint64": (lambda: ((H + 5) * 1e6).astype("u8"), 1e-5),
    "large integers": (lambda: [[int(v * 10**9) * 10**30 for v in row] for row in H], 1e-5),
}

#: What has no numbers to read, and what is told of it.
REFUSED = {
    "masked": (lambda: np.ma.array(H, mask=np.eye(12, 4, dtype=bool)), "have no masked entries"),
    "rows with masks": (lambda: [np.ma.array(row, mask=[1, 0, 0, 0]) for row in H], "have no masked entries"),
    "the masked constant": (lambda: [[np.ma.masked, 1.0]] * 12, "be an array of numbers"),
    "data frame of words": (lambda: pd.DataFrame(H).assign(z="a"), "be an array of numbers; found object"),
    "missing in a data frame": (lambda: pd.DataFrame(H).astype("Float64").mask(pd.DataFrame(H) > 2), "numbers"),
    "None among numbers": (lambda: np.where(H > 2, None, H.astype(object)), "found object of shape"),
    "numbers in words": (lambda: H.astype(str).astype(object), "found object of shape"),
    "decimals": (lambda: [[decimal.Decimal(1)] * 4] * 12, "found object of shape"),
    "strings": (lambda: H.astype(str), "be an array of numbers"),
    "bytes": (lambda: H.astype("S"), "be an array of numbers"),
    "variable strings": (lambda: H.astype(str).astype(np.dtypes.StringDType()), "be an array of numbers"),
    "times": (lambda: H.astype("M8[s]"), "be an array of numbers; found datetime64"),
    "records": (lambda: np.zeros(12, dtype=[("a", "f8"), ("b", "f8")]), "be an array of numbers"),
    "raw bytes": (lambda: np.zeros((12, 4), dtype="V4"), "be an array of numbers"),
    "complex": (lambda: H + 0j, "be real numbers"),
    "complex tensor": (lambda: T.to(torch.complex64), "be real numbers"),
    "sparse matrix": (lambda: scipy.sparse.csr_matrix(H), re.escape("found a sparse csr_matrix; try .toarray()")),
    "sparse array": (lambda: scipy.sparse.coo_array(H), "found a sparse coo_array"),
    "sparse tensor": (T.to_sparse, re.escape("found a sparse tensor (torch.sparse_coo); try .to_dense()")),
    "fake": (lambda: FakeTensorMode().from_tensor(T), "be an array of numbers; found a FakeTensor"),
    "sparse rows": (lambda: quiet(T.to_sparse_csr), "found a sparse tensor"),
    "mkldnn": (lambda: T.float().to_mkldnn(), "be an array of numbers"),
    "quantised": (lambda: quiet(torch.quantize_per_tensor, T.float(), 0.1, 0, torch.qint8), "found a quantised tensor"),
    "meta": (lambda: T.to("meta"), "found a tensor on the meta device"),
    "nested": (lambda: quiet(torch.nested.nested_tensor, list(T)), "found a nested tensor"),
    "jagged": (lambda: quiet(torch.nested.nested_tensor, list(T), layout=torch.jagged), "found a nested tensor"),
    "masked tensor": (lambda: quiet(torch.masked.masked_tensor, T, T > 0), "found a masked tensor"),
    "bits": (lambda: torch.zeros(12, 4, dtype=torch.uint8).view(torch.bits8), "found a Tensor of torch.bits8"),
    "sparse tensors in a list": (lambda: [row.to_sparse() for row in T], r"\[0\]` should .*found a sparse tensor"),
    "ragged tensors": (lambda: [T[0], T[1][:2]], "found tensors of different shapes or devices"),
    "nothing": (lambda: None, "be an array of numbers"),
    "text": (lambda: "abc", "be an array of numbers"),
    "a set": (lambda: {1, 2}, "be an array of numbers"),
    "a generator": (lambda: (row for row in H), "be an array of numbers"),
    "a module in the place of an array": (lambda: {"h": torch.nn.Linear(2, 2)}, "be an array of numbers"),
    "a complex number": (lambda: 3 + 1j, "be real numbers of shape"),
    "a scalar tensor": (lambda: torch.tensor(3.0), "be real numbers of shape"),
    "an object that fails": (Broken, "found the disk is gone"),
    "NaN": (lambda: np.where(H > 2, np.nan, H), "be finite"),
    "beyond float64": (lambda: H.astype("g") * np.longdouble("1e400"), "be finite"),
    "beyond float64 in a sum": (lambda: H / np.abs(H).max() * 1.7e308, "be finite"),
    "no width": (lambda: T[:, :0], "be real numbers of shape"),
    "layers without a name": (lambda: {("a", 1): H}, "name its layers"),
    "a number and its word": (lambda: {"0": H, 0: H}, "name each layer differently; found two layers '0'"),
    "a NUL at the end of a layer": (lambda: {"a": H, "a\0": H}, "found two layers 'a'"),
}

#: Labels of the same three classes in the same places, and the names that they give.
LABELS = {
    "backwards": (lambda: np.ascontiguousarray(Y[::-1])[::-1], [0, 1, 2]),
    "big-endian": (lambda: Y.astype(">i4"), [0, 1, 2]),
    "float16": (lambda: Y.astype("f2"), [0.0, 1.0, 2.0]),
    "longdouble": (lambda: Y.astype("g"), [0.0, 1.0, 2.0]),
    "bfloat16": (lambda: torch.tensor(Y).bfloat16(), [0.0, 1.0, 2.0]),
    "gradient": (lambda: torch.tensor(Y).double().requires_grad_(), [0.0, 1.0, 2.0]),
    "uint16 tensor": (lambda: torch.tensor(Y).to(torch.uint16), [0, 1, 2]),
    "a column": (lambda: Y[:, None], [0, 1, 2]),
    "a data frame": (lambda: pd.DataFrame({"label": Y}), [0, 1, 2]),
    "nullable": (lambda: pd.array(Y, dtype="Int64"), [0, 1, 2]),
    "a series of strings": (lambda: pd.Series(list("abc") * 4, dtype="string"), ["a", "b", "c"]),
    "categories": (lambda: pd.Categorical(list("abc") * 4), ["a", "b", "c"]),
    "variable strings": (lambda: np.array(list("abc") * 4, dtype=np.dtypes.StringDType()), ["a", "b", "c"]),
    "objects": (lambda: np.array(list("abc") * 4, dtype=object), ["a", "b", "c"]),
    "two types of string": (lambda: [np.str_("a"), "b", "c"] * 4, ["a", "b", "c"]),
    "booleans and integers": (lambda: [False, 1, 2] * 4, [0, 1, 2]),
    "list of tensors": (lambda: list(torch.tensor(Y)), [0, 1, 2]),
    "masked nowhere": (lambda: np.ma.array(Y), [0, 1, 2]),
    "data array": (lambda: xr.DataArray(Y), [0, 1, 2]),
    "below zero": (lambda: Y - 1, [-1, 0, 1]),
}

NO_LABELS = {
    "NaN": (lambda: np.where(Y == 2, np.nan, Y), "be known for every sample; found 4 missing"),
    "NaN in a tensor": (lambda: torch.tensor(np.where(Y == 2, np.nan, Y)), "be known for every sample"),
    "NaN among strings": (lambda: ["a", float("nan")] * 6, "be known for every sample; found 6 missing"),
    "None": (lambda: [None, *Y[1:].tolist()], "be known for every sample; found 1 missing"),
    "None in objects": (lambda: np.array([None, *Y[1:].tolist()], dtype=object), "be known for every sample"),
    "NA": (lambda: pd.array([None, 0, 1] * 4, dtype="Int64"), "be known for every sample"),
    "NA among strings": (lambda: pd.Series(["a", None, "b"] * 4, dtype="string"), "be known for every sample"),
    "NA of categories": (lambda: pd.Categorical(["a", None, "b"] * 4), "be known for every sample"),
    "NaT": (lambda: np.array(["2020-01-01", "NaT", "2021-01-01"] * 4, dtype="M8[ns]"), "be known for every sample"),
    "variable strings": (
        lambda: np.array(["a", None, "c"] * 4, dtype=np.dtypes.StringDType(na_object=None)),
        "be known for every sample",
    ),
    "masked": (lambda: np.ma.array(Y, mask=Y == 1), "have no masked entries"),
    "the masked constant": (lambda: [np.ma.masked, *Y[1:].tolist()], "have no masked entries"),
    "infinity": (lambda: np.where(Y == 2, np.inf, Y), "be finite"),
    "one-hot": (lambda: np.eye(3)[Y], re.escape("found shape [12, 3]; try labels.argmax(1)")),
    "a row": (lambda: Y[None], "be one label a sample"),
    "three dims": (lambda: Y[:, None, None], "be one label a sample"),
    "pairs": (lambda: [(0, 1), (1, 2), (0, 1)] * 4, "be one label a sample"),
    "a number": (lambda: 3, "be one label a sample"),
    "text": (lambda: "abcabcabcabc", "be one label a sample"),
    "nothing": (lambda: None, "be one label a sample"),
    "a generator": (lambda: (k for k in Y), "be one label a sample"),
    "records": (lambda: np.zeros(12, dtype=[("a", "i4")]), "be integers or strings"),
    "raw bytes": (lambda: np.zeros(12, dtype="V4"), "be integers or strings"),
    "complex": (lambda: Y + 0j, "be integers or strings"),
    "complex tensor": (lambda: torch.tensor(Y).to(torch.complex64), "be integers or strings"),
    "numbers among strings": (lambda: [1, "a", 2] * 4, "be all numbers or all strings; found numbers and strings"),
    "bytes among strings": (lambda: [b"a", "a", "b"] * 4, "be all numbers or all strings"),
    "dates": (lambda: [datetime.date(2020, 1, day) for day in (1, 2, 3)] * 4, "be all numbers or all strings"),
    "ragged": (lambda: [[[1], [1, 2]]] * 12, "be an array of numbers"),
    "meta in a list": (lambda: [torch.tensor(0, device="meta")] * 12, "found a tensor on the meta device"),
    "mappings": (lambda: [{}] * 12, "be all numbers or all strings"),
    "a NUL at the end": (
        lambda: ["a", "a\0", "b"] * 4,
        "be distinct in a NumPy array; found labels that are equal as str",
    ),
    "beyond 53 bits among floats": (lambda: [2**53, 2**53 + 1, 0.5] * 4, "found labels that are equal as float64"),
    "beyond 64 bits": (lambda: [10**30, 10**30 + 1, 0] * 4, "found numbers beyond 64 bits"),
    "sparse": (lambda: torch.tensor(Y).to_sparse(), "found a sparse tensor"),
    "sparse matrix": (lambda: scipy.sparse.csr_matrix(Y), "found a sparse csr_matrix"),
    "meta": (lambda: torch.tensor(Y).to("meta"), "found a tensor on the meta device"),
    "quantised": (lambda: quiet(torch.quantize_per_tensor, torch.tensor(Y).float(), 0.1, 0, torch.qint8), "quantised"),
    "no labels": (list, "have one row a label"),
}

LOGITS = {
    "one dim": (lambda: H[:, 0], re.escape("should be of shape [n, C]; found shape [12]")),
    "tokens": (lambda: np.stack([H @ W.T] * 5, axis=1), re.escape("found shape [12, 5, 3]")),
    "pixels": (lambda: (H @ W.T).reshape(12, 3, 1, 1), re.escape("should be of shape [n, C]")),
    "tokens in a tensor": (lambda: torch.zeros(12, 2, 3), re.escape("should be of shape [n, C]")),
}

CLASSIFIERS = {
    "not finite": (lambda: W * np.nan, "`classifier` should be finite"),
    "a bias not finite": (lambda: (W, np.full(3, np.inf)), "`bias` should be finite"),
    "three parts": (lambda: tuple(W), "be weights .* or a pair"),
    "nothing in a pair": (lambda: (None, None), "`classifier` should be an array of numbers"),
    "a module": (lambda: torch.nn.Linear(4, 3), "`classifier` should be weights .*; found a Linear"),
    "sparse": (lambda: torch.tensor(W).to_sparse(), "found a sparse tensor"),
    "masked": (lambda: np.ma.array(W, mask=W > 0), "have no masked entries"),
    "a number": (lambda: 3, "`classifier` should be real numbers"),
}


@pytest.fixture(scope="module")
def plain():
    return measure_collapse(H, Y, classifier=W)


@pytest.mark.parametrize("kind", SAME)
def test_the_same_numbers_have_the_same_collapse_however_they_are_kept(plain, kind):
    measured = measure_collapse(SAME[kind](), Y, classifier=W)
    xr.testing.assert_allclose(measured.drop_vars("layer"), plain.drop_vars("layer"), rtol=1e-10, atol=1e-13)


def test_a_file_mapped_into_memory_is_an_array_and_is_left_as_it_is(plain, tmp_path):
    file = mapped(tmp_path)
    xr.testing.assert_identical(measure_collapse(file, Y, classifier=W), plain)
    np.testing.assert_array_equal(file, H)


@pytest.mark.parametrize("kind", NEAR)
def test_other_numbers_are_read_as_what_they_are(plain, kind):
    make, near = NEAR[kind]
    assert float(measure_collapse(make(), Y)["nc1"][0]) == pytest.approx(float(plain["nc1"][0]), rel=near)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_holds_no_dense_real_numbers_is_told(kind):
    make, message = REFUSED[kind]
    with pytest.raises(DegenerateInput, match=message):
        measure_collapse(make(), Y)


@pytest.mark.parametrize("kind", LABELS)
def test_the_same_labels_have_the_same_classes_however_they_are_kept(plain, kind):
    make, names = LABELS[kind]
    measured = measure_collapse(H, make(), classifier=W)
    assert measured["class"].values.tolist() == names
    for name, values in plain.data_vars.items():
        np.testing.assert_array_equal(measured[name], values)


@pytest.mark.parametrize("kind", NO_LABELS)
def test_labels_that_are_none_are_told(kind):
    make, message = NO_LABELS[kind]
    with pytest.raises(DegenerateInput, match=message):
        measure_collapse(H, make())


@pytest.mark.parametrize("kind", LOGITS)
def test_logits_are_one_row_a_sample(kind):
    make, message = LOGITS[kind]
    with pytest.raises(DegenerateInput, match=message):
        measure_collapse({"h": H, "logits": make()}, Y)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers_that_are_none_are_told(kind):
    make, message = CLASSIFIERS[kind]
    with pytest.raises(DegenerateInput, match=message):
        measure_collapse(H, Y, classifier=make())


def test_features_of_one_dim_have_a_classifier_of_one_column():
    measured = measure_collapse(H[:, 0], Y, classifier=W[:, :1])
    decided = (H[:, :1] @ W[:, :1].T).argmax(1)
    nearest = np.abs(H[:, :1] - [H[k == Y, 0].mean() for k in range(3)]).argmin(1)
    assert float(measured["nc4_mismatch"][0]) == np.mean(decided != nearest)


@pytest.mark.parametrize("tolerance", [-1e-9, 1, 2.0, float("nan"), "a", [0.1], 1j])
def test_a_rank_tolerance_is_a_share(tolerance):
    with pytest.raises(ElasticError, match="`rank_tolerance` should be at least 0 and below 1"):
        measure_collapse(H, Y, rank_tolerance=tolerance)


@pytest.mark.parametrize("code", "?bBhHiIlLqQefd")
def test_numbers_of_every_type_are_read_exactly_and_integers_keep_theirs(code):
    array = np.array([[0, 1, 2, 125]]).astype(code)[::-1]  # one row backwards: contiguous, with a negative stride
    numbers = as_numbers("x", array)
    assert numbers.tolist() == array.tolist()
    assert str(numbers.dtype) == f"torch.{array.dtype.name}"
    assert as_tensor("x", array).dtype == (numbers.dtype if code in "efd" else torch.float64)
    assert as_tensor("x", array).tolist() == array.astype(float).tolist()
