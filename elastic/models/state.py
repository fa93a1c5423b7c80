"""Saving and restoring the state of a module that a forward pass may change.

A forward pass may count its calls, cache its features, update running statistics or rescale a weight. `ModuleState`
saves everything reachable from a module: attributes, parameters, buffers, hooks, and the contents of nested lists,
dictionaries, objects and closures. Restoring writes only what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from torch import nn

from elastic.models.containers import COMMON, Mappings, contents, differ_in_plain_values, refill, same
from elastic.models.restorers import restorer_of
from elastic.models.saved_tensor import SavedTensor, restore_tensors
from elastic.models.state_roles import WITHOUT_CONTENTS, Role, has_own_attributes, role_of

#: Depth of nested objects to save; deeper ones are not considered part of the module.
DEPTH = 6


class ModuleState:
    """The saved state of a module.

    Parameters
    ----------
    module
        The module, saved with its submodules and the contents of their attributes.
    parameters
        Whether to save the values of parameters as well, which doubles the memory. The identity of parameters is always
        saved.
    values
        Whether to save the values of tensors and arrays.
    known
        An earlier state of the same module. If every container has the contents that it had there, the objects that
        the module consists of are taken from it instead of being looked for.

    Examples
    --------
    >>> net = nn.Linear(2, 2)
    >>> state = ModuleState(net)
    >>> net.calls, net.bias.requires_grad = 1, False
    >>> state.restore()
    >>> hasattr(net, "calls"), net.bias.requires_grad
    (False, True)
    """

    def __init__(
        self, module: nn.Module, *, parameters: bool = True, values: bool = True, known: ModuleState | None = None
    ) -> None:
        self._parameters, self._values = parameters, values
        self._mappings, self._rest = Mappings([]), list[tuple[Any, Any]]()
        self._tensors: list[SavedTensor] = []
        self._others: list[Callable[[], None]] = []
        self.containers: list[tuple[Any, Any]] = []
        self._seen: dict[int, Any] = {}
        #: Objects with the dictionaries of their attributes, which code may replace.
        self._owners: list[tuple[Any, dict[str, Any]]] = []
        #: Tensors, arrays and random generators, whose values are saved.
        self._valued: list[tuple[Any, Role]] = []
        if known is None or not self._adopt(known):
            self._walk(module)
            self._hold(self.containers)
        self._save_values()

    def restore(self) -> None:
        """Restore attributes, then values."""
        self.restore_attributes()
        restore_tensors(self._tensors)
        for restore in self._others:
            restore()

    def restore_attributes(self) -> None:
        """Restore the identity of all attributes and container entries, without reading tensors."""
        for container, saved in self._rest if self._mappings.are_same() else self.containers:
            if not same(container, saved):
                refill(container, saved)

    def _adopt(self, known: ModuleState) -> bool:
        """Take over the objects of an earlier state, if they are still those that a walk would find."""
        if known._values != self._values and any(map(_is_walked_without_values, known._valued)):
            return False
        if any(vars(owner) is not attributes for owner, attributes in known._owners):
            return False
        if known.has_same_attributes():
            self.containers, self._mappings, self._rest = known.containers, known._mappings, known._rest
        elif (renewed := known._renewed()) is not None:
            self._hold(renewed)
        else:
            return False
        self._seen, self._valued, self._owners = known._seen, known._valued, known._owners
        return True

    def has_same_attributes(self) -> bool:
        """Whether all attributes and container entries are those that were saved, by identity."""
        return self._mappings.are_same() and all(same(container, saved) for container, saved in self._rest)

    def _renewed(self) -> list[tuple[Any, Any]] | None:
        """Return the containers with their present contents; None if these hold other objects than numbers and names.

        Between training and evaluation mode, only flags differ.
        """
        pairs = []
        for container, saved in self.containers:
            if same(container, saved):
                pairs.append((container, saved))
            elif differ_in_plain_values(now := contents(container), saved, WITHOUT_CONTENTS):
                pairs.append((container, now))
            else:
                return None
        return pairs

    def _hold(self, containers: list[tuple[Any, Any]]) -> None:
        self.containers = containers
        self._mappings = Mappings([pair for pair in containers if type(pair[0]) in COMMON])
        self._rest = [pair for pair in containers if type(pair[0]) not in COMMON]

    def _save_values(self) -> None:
        for value, role in self._valued:
            if role is Role.TENSOR:
                if self._values and (self._parameters or not isinstance(value, nn.Parameter)):
                    self._tensors.append(SavedTensor(value))
            elif (restorer := restorer_of(value, self._values)) is not None:
                self._others.append(restorer)

    def _walk(self, module: nn.Module) -> None:
        waiting: list[tuple[Any, int]] = [(module, 0)]
        while waiting:
            value, depth = waiting.pop()
            if id(value) in self._seen or depth > DEPTH:
                continue
            if type(value) in COMMON:  # most objects of a module are, and most of these are empty
                self._seen[id(value)] = value
                saved = dict(value)
                self.containers.append((value, saved))
                held: Collection[Any] = saved.values()
            else:
                role = role_of(value)
                if role is Role.PLAIN:
                    continue
                self._seen[id(value)] = value  # kept alive, so that its identity is not reused
                held = self._save(value, role)
            if held:
                below = 1 if isinstance(value, nn.Module) else depth + 1
                waiting += [(part, below) for part in held if type(part) not in WITHOUT_CONTENTS]

    def _save(self, value: Any, role: Role) -> Collection[Any]:
        """Save one object and return its contents."""
        if role is Role.CONTAINER:
            saved = contents(value)
            self.containers.append((value, saved))
            held: Collection[Any] = saved.values() if isinstance(saved, dict) else saved
            return held
        if role in (Role.TENSOR, Role.RESTORED):
            self._valued.append((value, role))
            return (vars(value),) if not self._values and _is_walked_without_values((value, role)) else ()
        if role is Role.FIXED:
            return tuple(value)
        if role is Role.FUNCTION:
            return value.__closure__ or ()
        if role is Role.METHOD:
            return (value.__self__,)
        if not has_own_attributes(value):
            return ()
        self._owners.append((value, vars(value)))
        return (vars(value),)


def _is_walked_without_values(valued: tuple[Any, Role]) -> bool:
    """Whether an array has attributes, which are saved where its values are not."""
    return isinstance(valued[0], np.ndarray) and has_own_attributes(valued[0])
