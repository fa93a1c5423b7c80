"""Reading pickles as data without executing code: arrays, containers, numbers and strings.

Loading a pickle executes a program. This reader resolves only the names that NumPy's arrays (of every version and
pickle protocol) and Python 2 strings need, and maps them to its own functions, which only build arrays of plain
numbers. It does not hash arbitrary objects either: hashing nested tuples takes time exponential in the depth, or
crashes the process; so keys must be strings, and there are no sets.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from elastic.data.regular_file import check_regular
from elastic.errors import DataError
from elastic.protocol.formatting import one_line

#: Largest file size in bytes.
MOST_BYTES = 2**31


class _Array:
    """An array under construction: created empty, then given its state."""

    def __init__(self, value: np.ndarray | None = None) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, in_columns, content = state
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array of something else than plain numbers")
        flat = np.frombuffer(content, dtype.value)
        self.value = flat.reshape(tuple(map(int, shape)), order="F" if in_columns else "C")


class _Dtype:
    """The dtype of an array: a plain number."""

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
    """Build an array of pickle protocol 5 from bytes in row-major ("C"), column-major ("F") or permuted order ("K")."""
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes | bytearray):
        raise pickle.UnpicklingError("an array of something else than plain numbers")
    array = np.frombuffer(content, dtype.value).reshape(tuple(map(int, shape)), order="F" if order == "F" else "C")
    return _Array(array if axis_order is None else array.transpose(tuple(map(int, axis_order))))


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes spelled in {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Return b"", which protocol 2 encodes as a call ``bytes()``; with an argument it could allocate any size."""
    return b""


#: All names that a pickle may resolve, and their replacements.
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


class _Reader(
    pickle._Unpickler
):  # the pure-Python unpickler, whose opcodes can be overridden; those of the C version cannot
    """Unpickler for data only."""

    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"code: {module}.{name}")
        return KNOWN[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("a reference to something outside the file")

    def take_item(self) -> None:
        """Put one item into the dictionary below it."""
        value, key = self.stack.pop(), self.stack.pop()
        _put(self.stack[-1], [key, value])

    def take_items(self) -> None:
        """Put all items since the mark into the dictionary below it."""
        items = self.pop_mark()
        _put(self.stack[-1], items)

    def take_dictionary(self) -> None:
        """Make a dictionary of all items since the mark."""
        items = self.pop_mark()
        self.append(_put({}, items))

    def take_state(self) -> None:
        """Set the state of an array or a dtype; rejects it for anything else."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Array | _Dtype):
            raise pickle.UnpicklingError("a state of something else than an array")
        self.stack[-1].__setstate__(state)

    def refuse_set(self) -> None:
        """Reject sets."""
        raise pickle.UnpicklingError("a set")

    dispatch |= {pickle.SETITEM[0]: take_item, pickle.SETITEMS[0]: take_items, pickle.DICT[0]: take_dictionary}
    dispatch |= {pickle.BUILD[0]: take_state}
    dispatch |= dict.fromkeys((pickle.EMPTY_SET[0], pickle.ADDITEMS[0], pickle.FROZENSET[0]), refuse_set)


def _put(dictionary: Any, items: list[Any]) -> dict[Any, Any]:
    keys = items[::2]
    if not isinstance(dictionary, dict) or len(items) % 2:
        raise pickle.UnpicklingError("items of no dictionary")
    if wrong := [key for key in keys if type(key) not in (str, bytes)]:
        raise pickle.UnpicklingError(f"a key that is no text but a {type(wrong[0]).__name__}")
    dictionary.update(zip(keys, items[1::2], strict=True))
    return dictionary


def read_plain_pickle(path: Path) -> dict[str, Any]:
    """Read a pickled dictionary with string keys; arrays become NumPy arrays.

    Raises
    ------
    DataError
        If the file cannot be read, is not a dictionary, or requires executing code.
    """
    hint = "a fresh copy of the file (python version)"
    check_regular(path, hint)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"`{path}`", f"have at most {MOST_BYTES} bytes", f"{path.stat().st_size}", hint)
        with path.open("rb") as file:
            # From memory, because a file may declare any number of bytes.
            content = _Reader(io.BytesIO(file.read(MOST_BYTES)), encoding="bytes").load()
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        found = one_line(str(error) or type(error).__name__, 200)
        raise DataError(f"`{path}`", "be a pickle of plain data", found, hint) from None
    if not isinstance(content, dict):
        raise DataError(f"`{path}`", "hold a dictionary", type(content).__name__, hint)
    named = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in content.items()}
    return {key: value.value if isinstance(value, _Array) else value for key, value in named.items()}
