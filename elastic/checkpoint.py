"""Checkpoints: all that a training needs to go on, in one file that is whole or not there.

The file is what ``torch.save`` writes and ``torch.load`` reads, with the cell, the epoch and the SHA-256 of all bytes
in its comment (`elastic.cube.labels`): torch itself takes a flipped bit in a weight for the weight. The release before
this one wrote the SHA-256 alone, after the archive.
"""

from __future__ import annotations

import io
import pickle
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from elastic.cube import write_atomically
from elastic.cube.atomic import read_regular, translate_os_errors
from elastic.cube.labels import Label, has_checksum, labelled
from elastic.errors import Damaged, StudyError

FILE = "checkpoint.pt"

#: Key and number of the way in which probes add up movements and losses are evaluated; raised when their last bits
#: change.
ARITHMETIC, PROBE_ARITHMETIC = "probe_arithmetic", "4"

#: That of releases that did not store it.
FIRST_ARITHMETIC = "1"


def environment(device: torch.device) -> dict[str, str]:
    """Return what the bits of a training depend on beyond its protocol."""
    return {
        "torch": str(torch.__version__),  # a subclass of str, which a checkpoint could not bring back
        "threads": str(torch.get_num_threads()),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        ARITHMETIC: PROBE_ARITHMETIC,
    }


def save_checkpoint(folder: Path, digest: str, state: dict[str, Any], env: dict[str, str]) -> None:
    """Write a run's state in place of its former one.

    Raises
    ------
    StudyError
        If the disk is full or the folder read-only; the former checkpoint is kept.
    """
    buffer = io.BytesIO()
    torch.save({"cell": digest, "environment": env, "state": state}, buffer)
    epoch = state.get("epoch")
    label = Label("checkpoint", digest, epoch if isinstance(epoch, int) else None)
    write_atomically(folder / FILE, labelled(buffer.getvalue(), label))


def load_checkpoint(folder: Path, digest: str) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Return a run's state and the environment it was made in, None where there is no checkpoint.

    Nothing but tensors, numbers and strings is read: a checkpoint cannot bring code along.

    Raises
    ------
    Damaged
        If the file is not as it was written, or belongs to another run.
    StudyError
        If it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    with translate_os_errors(path, "be readable"):
        whole = read_regular(path)
    try:
        is_whole = has_checksum(whole)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise unfit(path, "be a whole checkpoint", f"{len(whole)} bytes with a wrong checksum")
    try:
        loaded = torch.load(io.BytesIO(whole), map_location="cpu", weights_only=True)
        cell, env, state = loaded["cell"], loaded["environment"], loaded["state"]
    except (RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise unfit(path, "be a checkpoint of elastic", f"{type(error).__name__}: {error}") from None
    if cell != digest:
        raise unfit(path, f"belong to the run {digest}", f"one of the run {cell}")
    return state, env


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return in words what is different now.

    >>> changes({"torch": "2.12", "threads": "2"}, {"torch": "2.13", "threads": "2"})
    ['torch 2.12 → 2.13']

    An environment without the arithmetic of probes is of a release before its change.

    >>> changes({"torch": "2.13"}, {"torch": "2.13", "probe_arithmetic": "2"})
    ['probe_arithmetic 1 → 2']
    """
    if ARITHMETIC in now:
        before = {ARITHMETIC: FIRST_ARITHMETIC, **before}
    keys = sorted(before.keys() | now.keys())
    return [f"{key} {before.get(key)} → {now.get(key)}" for key in keys if before.get(key) != now.get(key)]


def unfit(path: Path, expected: str, found: str, instead: str = "") -> StudyError:
    """Return the error of a checkpoint from which a run cannot be resumed.

    Parameters
    ----------
    path
        Of the file.
    expected, found
        As in `elastic.errors.ElasticError`.
    instead
        What to try before the run is given up, where the file itself is whole; "" for one that is damaged.
    """
    anew = f"deleting {path.parent} and running again: this run is trained anew, the others are kept"
    kind, hint = (StudyError, f"{instead}, or {anew}") if instead else (Damaged, anew)
    return kind("`checkpoint`", expected, found.partition("\n")[0][:100], hint, place=str(path))
