"""Arrays as users have them, read as dense tensors of real numbers and as class labels, or refused in a sentence.

NumPy, torch, pandas, xarray and lists keep numbers in ways that torch cannot take as they are (negative strides, other
byte orders, masks, missing values). What has one meaning is converted; what has none is a `DegenerateInput`.
"""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd  # type: ignore[import-untyped]
import torch
from torch import Tensor

from elastic.errors import DegenerateInput

ArrayLike = npt.ArrayLike | Tensor
Array = npt.NDArray[Any]

#: Types of floating-point numbers that torch and NumPy share; the others are read as float64.
SHARED = (np.float16, np.float32, np.float64)


def as_tensor(name: str, values: ArrayLike) -> Tensor:
    """Return values [n, …] as a dense floating-point tensor where they are; integers become float64.

    Raises
    ------
    DegenerateInput
        If they are no real numbers, a single number, have no features, or are kept in a way that holds no dense
        numbers (sparse, quantised, nested, masked, meta).

    Examples
    --------
    >>> as_tensor("h", np.array([[1, 2], [3, 4]], dtype=">i2")[::-1])
    tensor([[3., 4.],
            [1., 2.]], dtype=torch.float64)
    """
    tensor = as_numbers(name, values)
    return tensor if tensor.is_floating_point() else tensor.double()


def as_numbers(name: str, values: ArrayLike) -> Tensor:
    """Return values [n, …] as `as_tensor` does, but integers and booleans in their own type.

    Raises
    ------
    DegenerateInput
        As `as_tensor`.
    """
    if isinstance(values, (list, tuple)) and values and all(isinstance(item, Tensor) for item in values):
        rows = [as_dense(f"{name}[{i}]", item) for i, item in enumerate(values)]
        if len({(row.shape, row.device) for row in rows}) > 1:
            found = "tensors of different shapes or devices"
            raise DegenerateInput(f"`{name}`", "be an array of numbers", found, "torch.cat of them")
        values = torch.stack(rows)
    tensor = as_dense(name, values) if isinstance(values, Tensor) else torch.from_numpy(_numbers(name, values))
    if tensor.ndim == 0 or tensor.is_complex() or 0 in tensor.shape[1:]:
        found = f"{str(tensor.dtype).removeprefix('torch.')} of shape {list(tensor.shape)}"
        raise DegenerateInput(f"`{name}`", "be real numbers of shape [n, …]", found, "a row of features a sample")
    return tensor


def as_dense(name: str, values: Tensor) -> Tensor:
    """Return a tensor without its history, if it holds one number at each place.

    Raises
    ------
    DegenerateInput
        For sparse, quantised, nested, masked and meta tensors.
    """
    kind, hint = _strangeness(values)
    if not kind:
        try:
            dense: Tensor = values.detach().resolve_conj().resolve_neg()
            # One number is read as every metric reads them: not all types and tensors hold any.
            dense.reshape(-1)[:1].to(torch.complex128 if dense.is_complex() else torch.float64).tolist()
        except Exception as error:
            kind, hint = f"a {type(values).__name__} of {values.dtype} ({_first_line(error)})", ".double()"
        else:
            return dense
    raise DegenerateInput(f"`{name}`", "be an array of numbers", kind, hint)


def _strangeness(values: Tensor) -> tuple[str, str]:
    """Return what keeps a tensor from being read, and what to try; two empty strings if nothing does."""
    if values.is_nested:
        return "a nested tensor", "torch.nested.to_padded_tensor, or the samples flattened to one width"
    if isinstance(values, torch.masked.MaskedTensor):
        return "a masked tensor", "the rows that are not masked, with their labels"
    if values.is_quantized:
        return "a quantised tensor", ".dequantize()"
    if values.layout != torch.strided:
        return f"a sparse tensor ({values.layout})", ".to_dense()"
    if values.is_meta:
        return "a tensor on the meta device, which holds no values", "the tensor on the CPU"
    return "", ""


def as_numpy(name: str, values: ArrayLike) -> Array:
    """Return values as a NumPy array on the host, in the byte order of the machine, whatever they are.

    Raises
    ------
    DegenerateInput
        If NumPy makes no array of them, or entries are masked.
    """
    if isinstance(values, Tensor):
        dense = as_dense(name, values).cpu()
        shared = dense.dtype in (torch.float16, torch.float32) or not dense.is_floating_point()
        return np.asarray((dense if shared else dense.double()).numpy())
    _refuse_masks(name, values)
    if not isinstance(values, np.ndarray) and hasattr(values, "todense"):
        hint = ".toarray()"
        raise DegenerateInput(f"`{name}`", "be an array of numbers", f"a sparse {type(values).__name__}", hint)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            array = np.asarray(values)
    except Exception as error:  # any error of an object's __array__
        hint = "a NumPy array"
        raise DegenerateInput(f"`{name}`", "be an array of numbers", _first_line(error), hint) from None
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _refuse_masks(name: str, values: ArrayLike) -> None:
    parts = values if isinstance(values, (list, tuple)) else [values]
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        hint = "the rows without masked entries, with their labels"
        raise DegenerateInput(f"`{name}`", "have no masked entries", "a mask over some of them", hint)


def _numbers(name: str, values: ArrayLike) -> Array:
    """Return real numbers as an array that torch takes: integers, float16, 32, 64 as they are, all else in float64."""
    array = as_numpy(name, values)
    if array.dtype == object and array.size and all(isinstance(item, Real) for item in array.flat):
        array = array.astype(np.float64)
    brief = array.dtype.kind == "V" and "float" in array.dtype.name  # bfloat16 and float8 of ml_dtypes
    if array.dtype.kind == "c":
        return array.astype(np.complex128)
    if array.dtype.kind not in "biuf" and not brief:
        single = array.dtype == object and not array.ndim
        found = f"a {type(values).__name__}" if single else f"{array.dtype.name} of shape {list(array.shape)}"
        raise DegenerateInput(f"`{name}`", "be an array of numbers", found, "a NumPy array of floats")
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes infinite, and is refused as that
        shared = array.dtype.kind in "biu" or array.dtype.type in SHARED
        array = np.array(array, dtype=None if shared else np.float64, order="C", copy=None)
    forwards = all(stride >= 0 for stride in array.strides)  # one row counts as contiguous in either direction
    array = array if array.flags.writeable and array.flags.aligned and forwards else array.copy()
    return array.view(array.dtype.str)  # C's long long is int64 under another name, which torch does not know


def class_positions(labels: ArrayLike) -> tuple[Array, npt.NDArray[np.intp]]:
    """Return the sorted class names, and each label's position among them.

    Raises
    ------
    DegenerateInput
        If they are not one number or string a sample, some are missing, or they have no order (numbers among strings).

    Examples
    --------
    >>> class_positions(["cat", "dog", "cat"])
    (array(['cat', 'dog'], dtype='<U3'), array([0, 1, 0]))
    """
    array = label_array("labels", labels)
    try:
        names, positions = np.unique(array, return_inverse=True)
    except TypeError as error:
        hint = "strings"
        raise DegenerateInput("`labels`", "be all numbers or all strings", _first_line(error), hint) from None
    return names, positions.reshape(-1)


def label_array(name: str, labels: ArrayLike) -> Array:
    """Return labels [n] of one kind: numbers, strings or times, none of them missing.

    Raises
    ------
    DegenerateInput
        If they are anything else.
    """
    _refuse_masks(name, labels)
    array = as_numpy(name, _as_they_are(labels))
    if array.ndim != 1 and array.shape[1:] != (1,):
        hint = "labels.argmax(1) of one-hot rows" if array.ndim == 2 else "a list of labels"
        raise DegenerateInput(f"`{name}`", "be one label a sample, of shape [n]", f"shape {list(array.shape)}", hint)
    array = array.reshape(-1)
    if array.dtype.kind not in "biufUSTMmO":
        raise DegenerateInput(f"`{name}`", "be integers or strings", array.dtype.name, "integers from 0 on")
    if array.dtype.kind in "OT":
        plain = [as_dense(name, item).item() if isinstance(item, Tensor) else item for item in array]
        array = np.array(plain, dtype=object)
    if missing := int(pd.isna(array).sum()):
        hint = "features[known], labels[known] of the samples whose label is known"
        raise DegenerateInput(f"`{name}`", "be known for every sample", f"{missing} missing", hint)
    if array.dtype == object:
        array = _of_one_kind(name, array) if len(array) else array.astype(np.float64)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DegenerateInput(f"`{name}`", "be finite", "infinity among them", "integers or strings")
    # No index of pandas or xarray is of float16 or longdouble.
    return array.astype(np.float64) if array.dtype.kind == "f" and array.dtype != np.float32 else array


def _as_they_are(labels: ArrayLike) -> ArrayLike:
    """Return a list as an array of objects: NumPy would write numbers among strings, and None, as strings."""
    if not isinstance(labels, (list, tuple)) or any(_has_dims(item) for item in labels):
        return labels
    return np.fromiter(labels, dtype=object, count=len(labels))


def _has_dims(item: Any) -> bool:
    return isinstance(item, (list, tuple)) or getattr(item, "ndim", 0) != 0


def _of_one_kind(name: str, array: Array) -> Array:
    """Return an array of objects as one of numbers, or of strings."""
    names = {Real: "numbers", str: "strings", bytes: "bytes"}
    kinds = {next((n for t, n in names.items() if isinstance(item, t)), type(item).__name__) for item in array}
    plain = np.array(array.tolist()) if len(kinds) == 1 and kinds <= set(names.values()) else array
    if plain.dtype == object:
        found = " and ".join(sorted(kinds)) if len(kinds) > 1 or array is plain else f"{kinds.pop()} beyond 64 bits"
        raise DegenerateInput(f"`{name}`", "be all numbers or all strings", found, "strings")
    if len(set(array.tolist())) > len(np.unique(plain)):  # a NUL at the end, integers beyond 2^53 among floats
        found = f"labels that are equal as {plain.dtype.name}"
        raise DegenerateInput(f"`{name}`", "be distinct in a NumPy array", found, "integers from 0 on")
    return plain


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
