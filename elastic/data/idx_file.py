"""Safe reading of the IDX format of MNIST and similar data sets.

A file is two zero bytes, one byte for the type of an entry (8: unsigned byte), one for the number r of dimensions,
r sizes as big-endian 32-bit integers, and the entries in row-major order; it may be packed with gzip.
Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from elastic.data.regular_file import check_regular
from elastic.errors import DataError

#: Largest number of entries that a header may declare, so that a wrong header cannot exhaust memory.
MOST_ENTRIES = 2**30

UNSIGNED_BYTE = 8


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read the unsigned bytes of an IDX file, compressed (``.gz``) or not.

    Parameters
    ----------
    path
        The file.
    dimensions
        Required number of dimensions: 3 for images [n, height, width], 1 for labels [n].

    Raises
    ------
    DataError
        If the file cannot be read, has another type or number of dimensions, no entries or more than
        `MOST_ENTRIES`, or has fewer or more bytes than declared.
    """
    check_regular(path)
    try:
        with _open(path) as file:
            shape = _read_header(file, path, dimensions)
            # Read one byte more than declared to detect excess; a decompression bomb is never unpacked further.
            content = file.read(prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, "be a readable IDX file", str(error)) from error
    if len(content) != prod(shape):
        found = f"only {len(content)}" if len(content) < prod(shape) else "more"
        raise _damaged(path, f"hold the {prod(shape)} bytes that its header announces", found)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _open(path: Path) -> IO[bytes]:
    # gzip.open's stream is bytes here: the mode says so.
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _read_header(file: IO[bytes], path: Path, dimensions: int) -> tuple[int, ...]:
    magic = file.read(4)
    expected = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if magic != expected:
        content = "images" if dimensions == 3 else "labels"
        found = magic.hex(" ") or "an empty file"
        raise _damaged(path, f"begin with {expected.hex(' ')} (IDX, unsigned bytes, {content})", found)
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise _damaged(path, f"have a header of {4 + 4 * dimensions} bytes", f"only {4 + len(sizes)}")
    shape = struct.unpack(f">{dimensions}I", sizes)
    if not 0 < prod(shape) <= MOST_ENTRIES:
        raise _damaged(path, f"announce 1 to {MOST_ENTRIES} entries", f"sizes {shape}")
    return shape


def _damaged(path: Path, expected: str, found: str) -> DataError:
    return DataError(f"`{path}`", expected, found, "a fresh copy of the file")
