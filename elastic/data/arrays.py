"""The user's own data: arrays in an ``.npz`` file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elastic.data.contract import Samples, dataset
from elastic.data.regular_file import check_regular
from elastic.data.source import OWN
from elastic.errors import DataError

#: Largest uncompressed size of an array in bytes: a small file may declare any size.
MOST_BYTES = 2**34

NAMES = ("inputs", "labels", "test_inputs", "test_labels")


@dataset(source=OWN)
def arrays(generator: torch.Generator, *, file: str) -> Samples:
    """Arrays of an ``.npz`` file (``numpy.savez(file, inputs=…, labels=…)``).

    The file has ``inputs`` [n, …] (numbers) and ``labels`` [n] (any integers or strings), and optionally
    ``test_inputs`` and ``test_labels``. Classes are sorted by label.

    Parameters
    ----------
    generator
        Not used: nothing is random.
    file
        Path of the file.

    Raises
    ------
    DataError
        If the file cannot be read (pickled objects are rejected), an array is missing or unknown, has a wrong shape or
        type, or is not finite.
    """
    path = Path(file).expanduser()
    members = _read(path)
    parts = [_part(path, members, prefix) for prefix in ("", "test_") if f"{prefix}inputs" in members]
    shapes = [inputs.shape[1:] for inputs, _ in parts]
    if len({*shapes}) > 1 or len({labels.dtype.kind == "U" for _, labels in parts}) > 1:
        raise _unfit(path, "test_inputs and test_labels", "be like inputs and labels", "another shape or type")
    classes, labels = np.unique(np.concatenate([labels for _, labels in parts]), return_inverse=True)
    inputs = torch.from_numpy(np.concatenate([inputs for inputs, _ in parts]))
    is_test = torch.arange(len(inputs)) >= len(parts[0][0]) if len(parts) > 1 else None
    return Samples(inputs, torch.from_numpy(labels).long(), tuple(classes.tolist()), is_test)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of the file after checking their names and sizes."""
    check_regular(path, "a file of numpy.savez")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
        _check_members(path, sizes)
        with np.load(path, allow_pickle=False) as archive:
            # numpy returns bytes for a member that is not an array; asarray converts them to a type that is rejected.
            return {name.removesuffix(".npy"): np.asarray(archive[name]) for name in sizes}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError, MemoryError) as error:
        raise DataError(f"`{path}`", "be a readable .npz file", str(error), "numpy.savez") from error


def _check_members(path: Path, sizes: dict[str, int]) -> None:
    known = [f"{name}.npy" for name in NAMES]
    for member, size in sizes.items():
        if member not in known:
            raise _unfit(path, member, f"be one of {', '.join(known)}", "another name")
        if size > MOST_BYTES:
            raise _unfit(path, member, f"take at most {MOST_BYTES} bytes", f"{size}")
    needed = known if {*known[2:]} & {*sizes} else known[:2]
    for member in needed:
        if member not in sizes:
            raise _unfit(path, member, "be in the file", f"only {', '.join(sizes) or 'nothing'}")


def _part(path: Path, members: dict[str, NDArray[Any]], prefix: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Validate and return the inputs, as float32 or float64, and the labels of one split."""
    inputs, labels = members[f"{prefix}inputs"], members[f"{prefix}labels"]
    if inputs.dtype.kind not in "biuf" or inputs.ndim < 2 or not inputs.size:
        expected = "be numbers of shape [n, …], two dimensions at least"
        raise _unfit(path, f"{prefix}inputs", expected, f"{inputs.dtype} of shape {inputs.shape}")
    whole = np.can_cast(labels.dtype, np.int64) and labels.dtype.kind in "iu"
    if not (whole or labels.dtype.kind == "U") or labels.shape != inputs.shape[:1]:
        expected = f"be {len(inputs)} integers or strings, one for each of {prefix}inputs"
        raise _unfit(path, f"{prefix}labels", expected, f"{labels.dtype} of shape {labels.shape}")
    # float32 if it represents every value of the type (8 and 16 bits), else float64.
    small = np.result_type(inputs.dtype, np.float32) == np.float32
    numbers = inputs.astype(np.float32 if small else np.float64)
    if not np.isfinite(numbers).all():
        raise _unfit(path, f"{prefix}inputs", "be finite", f"{(~np.isfinite(numbers)).sum()} entries that are not")
    return numbers, labels


def _unfit(path: Path, name: str, expected: str, found: str) -> DataError:
    return DataError(f"`{name}` of {path}", expected, found, "numpy.savez with other arrays (elastic show arrays)")
