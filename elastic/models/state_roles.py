"""How to save an object that a forward pass may change, depending on its type.

A model is saved before every forward pass, and contains hundreds of objects of a few types. Checking whether a type is
a mapping, a tensor or a random generator takes microseconds (abstract classes, metaclasses), so results are cached by
type.
"""

from __future__ import annotations

import random
from enum import Enum, auto
from functools import lru_cache
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elastic.models.containers import CONTAINERS

#: Types without contents.
PLAIN = (int, float, str, bytes, type(None), type, ModuleType, torch.dtype, torch.device, torch.Size)
#: The most common of these, without subclasses: recognised by a lookup.
WITHOUT_CONTENTS = {bool, int, float, str, type(None), torch.dtype, torch.device, torch.Size}
#: Types handled by `elastic.models.restorers`.
RESTORED = (
    np.ndarray, torch.Generator, random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator,
)  # fmt: skip
#: Objects that are referenced by a model but not part of its state: a LightningModule references its trainer, with
#: data, loops and callbacks.
FOREIGN = (
    "logging", "threading", "torch.optim", "torch.utils.data", "torch._dynamo", "torch.distributed",
    "lightning.", "pytorch_lightning.",
)  # fmt: skip


class Role(Enum):
    """How the state of an object is saved."""

    PLAIN = auto()
    TENSOR = auto()
    RESTORED = auto()
    CONTAINER = auto()
    FIXED = auto()
    FUNCTION = auto()
    METHOD = auto()
    OBJECT = auto()


def role_of(value: Any) -> Role:
    """Return how the state of an object is saved.

    >>> role_of(3), role_of([3]), role_of(torch.ones(3)), role_of(nn.ReLU())
    (<Role.PLAIN: 1>, <Role.CONTAINER: 4>, <Role.TENSOR: 2>, <Role.OBJECT: 8>)
    """
    kind: Any = type(value)
    role = _role_of_type(kind)
    # A proxy reports the type of its target.
    return role if role is not Role.OBJECT or value.__class__ is kind else _role_of_type(value.__class__)


@lru_cache(maxsize=4096)
def _role_of_type(kind: Any) -> Role:
    roles = (
        (PLAIN, Role.PLAIN),
        (Tensor, Role.TENSOR),
        (RESTORED, Role.RESTORED),
        (CONTAINERS, Role.CONTAINER),
        ((tuple, frozenset), Role.FIXED),
        (FunctionType, Role.FUNCTION),
        (MethodType, Role.METHOD),
    )
    return next((role for kinds, role in roles if issubclass(kind, kinds)), Role.OBJECT)


def has_own_attributes(value: Any) -> bool:
    """Return whether attributes of an object are saved."""
    # A compiled submodule is an object of torch._dynamo that contains the user's module.
    is_foreign = type(value).__module__.startswith(FOREIGN) and not isinstance(value, nn.Module)
    return hasattr(value, "__dict__") and not is_foreign
