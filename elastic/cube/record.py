"""The bytes of one journal record: an uncompressed ``.npz`` of named arrays, without pickle.

A record in a journal also has a label and a checksum as its comment (`elastic.cube.checked_files`).

The same arrays give the same bytes: keys are sorted, and NumPy stamps every member with the same date.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def encode(arrays: Mapping[str, Array]) -> bytes:
    """Return the record that holds these arrays.

    >>> one, two = np.zeros(3), np.ones((2, 2))
    >>> encode({"a": one, "b": two}) == encode({"b": two, "a": one})
    True
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{key: arrays[key] for key in sorted(arrays)})
    return buffer.getvalue()


def decode(data: bytes) -> dict[str, Array]:
    """Return the arrays of a record.

    Raises
    ------
    ValueError
        If the bytes are torn or a checksum does not fit.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            torn = archive.testzip()
            _check_complete(archive, data)
        if torn is not None:
            raise ValueError(f"a wrong checksum of {torn.removesuffix('.npy')}")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except Exception as error:  # a flipped bit makes zipfile raise nearly anything: unknown flags, codecs, sizes
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _check_complete(archive: zipfile.ZipFile, data: bytes) -> None:
    """Raise a ValueError unless the members fill the record: a flipped bit in its directory may hide some of them."""
    end = 0
    for info in archive.infolist():
        if info.header_offset != end:
            raise ValueError("a member that its directory does not list")
        end += 30 + sum(struct.unpack_from("<HH", data, end + 26)) + info.compress_size
    if end != archive.start_dir:
        raise ValueError("a member that its directory does not list")
