"""Pickles read as data: arrays, containers, numbers and strings, and not one call more.

A pickle is a program; whoever loads it runs it. This reader looks up no names but those that NumPy's arrays (of every
version and pickle protocol) and Python 2 strings need, and gives them functions of its own that only build arrays of
plain numbers.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from elastic.errors import DataError

#: Largest file that is read.
MOST_BYTES = 2**31


class _Array:
    """An array as its pickle builds it: made empty, then given its state."""

    def __init__(self, value: np.ndarray | None = None) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, in_columns, content = state
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array of something else than plain numbers")
        flat = np.frombuffer(content, dtype.value)
        self.value = flat.reshape(tuple(map(int, shape)), order="F" if in_columns else "C")


class _Dtype:
    """The type of an array's entries: a number of some bytes."""

    def __init__(self, code: Any, *_: Any) -> None:
        name = code.decode("ascii") if isinstance(code, bytes) else str(code)
        if name[:1] not in "biuf" or not name[1:].isdigit():
            raise pickle.UnpicklingError(f"entries of type {name!r}")
        self.value = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        if state[1] in (">", b">"):
            self.value = self.value.newbyteorder(">")


def _empty_array(*_: Any) -> _Array:
    return _Array()


def _from_buffer(content: Any, dtype: Any, shape: Any, order: str, axis_order: Any = None) -> _Array:
    """Return an array of pickle protocol 5: bytes in the order of rows ("C"), columns ("F") or permuted axes ("K")."""
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes | bytearray):
        raise pickle.UnpicklingError("an array of something else than plain numbers")
    array = np.frombuffer(content, dtype.value).reshape(tuple(map(int, shape)), order="F" if order == "F" else "C")
    return _Array(array if axis_order is None else array.transpose(tuple(map(int, axis_order))))


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes spelled in {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Return b"", which Python 3 spells as a call in protocol 2; with an argument it would make as many as it says."""
    return b""


#: All names that a pickle may look up, and what they stand for here.
KNOWN: dict[tuple[str, str], Callable[..., Any] | type] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _no_bytes,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"code: {module}.{name}")
        return KNOWN[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("a reference to something outside the file")


def read_plain_pickle(path: Path) -> dict[str, Any]:
    """Return the dictionary of a pickle whose keys are strings, arrays as NumPy arrays.

    Raises
    ------
    DataError
        If the file cannot be read, is no dictionary, or asks for code.
    """
    hint = "a fresh copy of the file (python version)"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"`{path}`", f"have at most {MOST_BYTES} bytes", f"{path.stat().st_size}", hint)
        with path.open("rb") as file:
            content = _Reader(file, encoding="bytes").load()
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        found = str(error) or type(error).__name__
        raise DataError(f"`{path}`", "be a pickle of plain data", found, hint) from None
    if not isinstance(content, dict):
        raise DataError(f"`{path}`", "hold a dictionary", type(content).__name__, hint)
    named = {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in content.items()}
    return {key: value.value if isinstance(value, _Array) else value for key, value in named.items()}
