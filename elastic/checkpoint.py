"""Checkpoints: all that a training needs to go on, in one file that is whole or not there."""

from __future__ import annotations

import io
import pickle
import platform
from pathlib import Path
from typing import Any

import torch

from elastic.cube import write_atomically
from elastic.errors import StudyError

FILE = "checkpoint.pt"


def environment(device: torch.device) -> dict[str, str]:
    """Return what the bits of a training depend on beyond its protocol."""
    return {
        "torch": str(torch.__version__),  # a subclass of str, which a checkpoint could not bring back
        "threads": str(torch.get_num_threads()),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
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
    write_atomically(folder / FILE, buffer.getvalue())


def load_checkpoint(folder: Path, digest: str, device: torch.device) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Return a run's state and the environment it was made in, None where there is no checkpoint.

    Nothing but tensors, numbers and strings is read: a checkpoint cannot bring code along.

    Raises
    ------
    StudyError
        If the file is damaged or belongs to another run.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        cell, env, state = loaded["cell"], loaded["environment"], loaded["state"]
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise _unfit(path, "be a whole checkpoint", str(error).splitlines()[0][:100]) from None
    if cell != digest:
        raise _unfit(path, f"belong to the run {digest}", f"one of the run {cell}")
    return state, env


def changes(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return in words what is different now.

    >>> changes({"torch": "2.12", "threads": "2"}, {"torch": "2.13", "threads": "2"})
    ['torch 2.12 → 2.13']
    """
    keys = sorted(before.keys() | now.keys())
    return [f"{key} {before.get(key)} → {now.get(key)}" for key in keys if before.get(key) != now.get(key)]


def _unfit(path: Path, should: str, found: str) -> StudyError:
    hint = f"deleting {path.parent} and running again: this run is trained anew, the others are kept"
    return StudyError("`checkpoint`", should, found, hint, place=str(path))
