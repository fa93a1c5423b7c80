"""Runs one operation inside a dispatch mode, which intercepts every operation of torch."""

from __future__ import annotations

from typing import Any

import torch


def run_operation(operation: Any, args: Any, kwargs: Any) -> Any:
    """Return the result of an operation.

    Forward derivatives create zeros without memory. In torch 2.13 an operation on one crashes the process while a
    dispatch mode is active, so that ordinary zeros are substituted.
    """
    if operation is torch.ops.aten._efficientzerotensor.default:
        return torch.zeros(*args, **(kwargs or {}))
    return operation(*args, **(kwargs or {}))
