"""External models: any ``nn.Module`` given by import path."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from torch import nn

from elastic.close_names import nearest
from elastic.errors import ElasticError, ModelError, NotAllowed, first_line
from elastic.models.contract import LOGITS, Task, model
from elastic.models.dry_run import blank_batch
from elastic.models.own_modules import folder_of, import_own, own_modules
from elastic.models.taps import Tapped

_NAME = r"[^\W\d]\w*(\.[^\W\d]\w*)*"


def _import_path(target: str) -> str:
    if not re.fullmatch(f"{_NAME}:{_NAME}", target):
        raise ValueError("be an import path such as package.module:attribute")
    return target


Target = Annotated[str, Field(max_length=500, examples=["package.module:Network"]), AfterValidator(_import_path)]
LayerNames = Annotated[list[str], Field(min_length=1, max_length=10_000, examples=[["hidden_1", "hidden_2"]])]


@model()
def external(
    task: Task,
    *,
    target: Target,
    layers: LayerNames,
    options: dict[str, Any] = {},  # noqa: B006 (only read)
) -> Tapped:
    """Any ``nn.Module`` from an allowed module, with named submodules as layers.

    Parameters
    ----------
    task
        Shape of the inputs, number of classes, and the modules that the command line allows.
    target
        ``package.module:attribute``, a class or function that returns the network. It is called with ``options``, and
        with ``input_shape`` and ``classes`` if it has parameters of these names.
    layers
        Names of submodules in the order of depth, without the output layer, which is named ``logits``.
    options
        Keyword arguments of the target.

    Raises
    ------
    NotAllowed
        If the module, or the one that defines the target, is not allowed. Nothing is imported before this check.
    ModelError
        If the target cannot be imported, is not a class or function, or does not return an ``nn.Module``; if its module
        is next to the protocol and another one of that name is installed.
    """
    factory = resolve(target, task.allowed)
    with own_modules(folder_of(task.allowed)):
        network = factory(**_of_the_task(factory, task) | options)
    if not isinstance(network, nn.Module):
        raise ModelError(f"`{target}`", "return a torch.nn.Module", type(network).__name__, "returning the network")
    return Tapped(network, layers, blank_batch(network, task.input_shape), output=LOGITS)


def resolve(target: str, allowed: tuple[str, ...]) -> Callable[..., Any]:
    """Import the class or function that an import path names, if its module is allowed.

    Parameters
    ----------
    target
        ``package.module:attribute``.
    allowed
        Allowed modules, including their submodules. They may be next to the protocol (`elastic.protocol.allowed`).

    Raises
    ------
    NotAllowed, ModelError
        See `external`.
    """
    module, _, attribute = target.partition(":")
    if not attribute:
        hint = f"{target.rpartition('.')[0] or target}:{target.rpartition('.')[2] if '.' in target else 'function'}"
        raise ModelError(f"`{target}`", "name a module and a function, separated by a colon", "none", hint)
    _allow(module, allowed, repr(target))
    found: Any
    try:
        found = import_own(module, folder_of(allowed))
        for name in attribute.split("."):
            found = getattr(found, name)
    except ElasticError:
        raise
    except Exception as error:
        hint = f"{module.partition('.')[0]}.py beside the protocol, or its folder on PYTHONPATH"
        if not isinstance(error, ModuleNotFoundError):
            hint = f"python -c 'import {module}', in its folder"
        if isinstance(error, AttributeError) and error.name is not None and error.obj is not None:
            hint = nearest(error.name, [known for known in dir(error.obj) if known[:1] != "_"], fallback=hint)
        raise ModelError(f"`{target}`", "be importable", first_line(error), hint) from error
    if not (inspect.isclass(found) or inspect.isroutine(found)):
        raise ModelError(f"`{target}`", "be a class or function", type(found).__name__, "a function that returns it")
    # The allowed module may have imported the object from anywhere, `os.system` for one.
    origin = str(getattr(found, "__module__", None))
    _allow(origin, allowed, f"{target!r}, which is {origin}.{found.__qualname__}")
    return found


def _allow(module: str, allowed: tuple[str, ...], found: str) -> None:
    if not any(module == name or module.startswith(f"{name}.") for name in allowed):
        hint = f"--allow {module} (it runs that module's code)"
        raise NotAllowed("`target`", "be of a module that the command line allows", found, hint)


def _of_the_task(factory: Callable[..., Any], task: Task) -> dict[str, Any]:
    """Return the arguments among ``input_shape``, ``classes`` and ``outputs`` that the factory accepts."""
    given = {"input_shape": task.input_shape, "classes": task.classes, "outputs": task.outputs}
    try:
        parameters = inspect.signature(factory).parameters
    except ValueError:  # some classes made in C have no signature
        return {}
    return {name: value for name, value in given.items() if name in parameters}
