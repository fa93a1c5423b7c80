"""Tracing a forward pass: executed submodules, their order and outputs, and called functions.

`trace` runs a module on batches of two sizes, to distinguish the batch dimension from others of equal length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from elastic.errors import ModelError, first_line
from elastic.models.contract import INPUT, LOGITS
from elastic.models.dry_run import trial
from elastic.models.returned import Returned, first_tensor, obstacle_to_reading, version_of

#: Number of traced samples: few suffice for shapes and names, and every output is kept in memory.
SAMPLES = 2


@dataclass
class ModuleRun:
    """One submodule in a forward pass.

    Attributes
    ----------
    name
        Name in ``named_modules``; "" for the module itself.
    module
        The submodule.
    runs
        Number of calls.
    order
        Its position in the order of completion, at its last call.
    entered, returned
        First tensor of its arguments and of its output at the first call, or None.
    grows
        Whether the first dimension of the output is that of the batch.
    clash
        Why its name cannot name a layer, or "".
    merges
        Whether its own code, outside its submodules, joins several tensors that depend on the inputs: a residual
        connection, a concatenation, attention.
    """

    name: str
    module: nn.Module
    runs: int = 0
    order: int = -1
    entered: Returned | None = None
    returned: Returned | None = None
    grows: bool = True
    clash: str = ""
    merges: bool = False

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of the output [n, …], None without a tensor."""
        return None if self.returned is None else tuple(self.returned.tensor.shape)

    @property
    def obstacle(self) -> str:
        """Why the output cannot be a layer, or ""."""
        if isinstance(self.module, torch.jit.ScriptModule):
            return "is a ScriptModule"
        if self.runs == 0:
            return "not run"
        if self.runs > 1:
            return f"runs {self.runs} times"
        if self.returned is None:
            return "gives no tensor"
        if obstacle := obstacle_to_reading(self.returned.tensor):
            return f"gives {obstacle}"
        if not self.returned.tensor.is_floating_point():
            return f"gives {str(self.returned.tensor.dtype).removeprefix('torch.')}"
        return self.clash if self.grows else "has no batch dimension first"


@dataclass(frozen=True)
class FunctionCall:
    """A call of a torch function that returns new numbers: its name, the module whose code calls it, and the result."""

    function: str
    caller: str
    result: Returned


@dataclass
class Trace:
    """Modules by name, the module itself under ""; names of the same submodule again; function calls in their order."""

    modules: dict[str, ModuleRun]
    aliases: dict[str, str]
    calls: list[FunctionCall] = field(default_factory=list)

    @property
    def output(self) -> Returned | None:
        """Return value of the module."""
        return self.modules[""].returned

    def finished(self) -> list[ModuleRun]:
        """Return the executed submodules in order of completion."""
        return sorted((run for run in self.modules.values() if run.name and run.runs), key=lambda run: run.order)


def trace(module: nn.Module, example: Tensor) -> Trace:
    """Trace a forward pass in evaluation mode, without changing the module.

    Parameters
    ----------
    module
        Any module.
    example
        Inputs [n, …], of which a few are used.

    Raises
    ------
    ModelError
        If the module fails on the inputs, or on a batch of another size.

    Examples
    --------
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU())
    >>> [(run.name, run.shape) for run in trace(net, torch.ones(2, 2, 2)).finished()]
    [('0', (2, 4)), ('1', (2, 3)), ('2', (2, 3))]
    """
    few = example[:SAMPLES]
    hint = "inputs [n, …] of the shape and type that it takes (a single one: example[None])"
    if not example.is_floating_point():
        hint += "; integers stay integers: example.float()"
    try:
        longer = {name: run.shape for name, run in _traced(module, torch.cat([few, few[:1]])).modules.items()}
        traced = _traced(module, few)
    except Exception as error:
        raise ModelError(
            "`model`", "run on `example`, and on fewer inputs", _refusal(module, example, error), hint
        ) from error
    for name, run in traced.modules.items():
        run.grows = (run.shape or ())[:1] == (len(few),) and (longer[name] or ())[:1] == (len(few) + 1,)
    _note_clashes(traced)
    return traced


def _refusal(module: nn.Module, example: Tensor, error: Exception) -> str:
    """Return the error of a module that fails on some of the inputs; it may succeed on all by reading them as one."""
    kind = f"{str(example.dtype).removeprefix('torch.')} of shape {list(example.shape)}"
    try:
        with trial(module):
            module(example.clone())
    except Exception as other:
        return f"{first_line(other)} on {kind}"
    return f"{first_line(error)} on a part of {kind}, which runs as a whole: a single input"


def _note_clashes(traced: Trace) -> None:
    """Mark submodules with reserved names: `INPUT`, and `LOGITS` if it is not the output."""
    if (first := traced.modules.get(INPUT)) is not None:
        first.clash = "is called as layer 0, the inputs"
    if (last := traced.modules.get(LOGITS)) is not None and last.returned and traced.output:
        last.clash = "" if last.returned.is_same(traced.output) else "is called as the output, and is not"


def _traced(module: nn.Module, example: Tensor) -> Trace:
    names = list(module.named_modules(remove_duplicate=False))
    runs: dict[int, ModuleRun] = {}
    for name, part in names:
        runs.setdefault(id(part), ModuleRun(name, part))
    aliases = {name: runs[id(part)].name for name, part in names if runs[id(part)].name != name}
    trace_ = Trace({run.name: run for run in runs.values()}, aliases)
    example = example.clone()
    constants = [*module.parameters(), *module.buffers()]
    with trial(module), _Watch(trace_, constants) as watch, watch.hooked():
        module(example)
    return trace_


class _Watch(TorchFunctionMode):
    """Records function calls while active, and executed modules through hooks."""

    def __init__(self, traced: Trace, constants: Sequence[Tensor]) -> None:
        super().__init__()
        self.trace, self.running = traced, [""]
        self.finished = 0
        #: Tensors independent of the inputs, by identity; kept alive, so that identities are not reused.
        self.constants = {id(tensor): tensor for tensor in constants}

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Record executed modules."""
        handles = []
        try:
            for name, run in self.trace.modules.items():
                if not isinstance(run.module, torch.jit.ScriptModule):  # which takes no hooks
                    handles.append(run.module.register_forward_pre_hook(partial(self._enter, name)))
                    handles.append(run.module.register_forward_hook(partial(self._leave, name)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        run = self.trace.modules[name]
        if not run.runs:
            run.entered = _first_returned(arguments)
        self.running.append(name)

    def _leave(self, name: str, module: nn.Module, arguments: Any, output: Any) -> None:
        while self.running.pop() != name:  # a module that raised, and whose caller handled it, is still on the stack
            pass
        run = self.trace.modules[name]
        if not run.runs:
            run.returned = _first_returned(output)
        run.runs, run.order, self.finished = run.runs + 1, self.finished, self.finished + 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = {id(leaf): leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        before = {key: version_of(tensor) for key, tensor in given.items()}
        output = func(*args, **kwargs)
        made = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        data = given.keys() - self.constants.keys()
        if not data:
            self.constants |= {id(tensor): tensor for tensor in made}
        elif made and made[0].is_floating_point() and not _is_old(made[0], given, before):
            name = getattr(func, "__name__", str(func))
            self.trace.calls.append(FunctionCall(name, self.running[-1], Returned.of(made[0])))
            if len(data) > 1 and name.strip("_") not in ("mul", "div"):
                self.trace.modules[self.running[-1]].merges = True
        return output


def _is_old(result: Tensor, given: dict[int, Tensor], versions: dict[int, int]) -> bool:
    """Whether a result is an argument or a view of one, with unchanged values."""
    kept = [tensor for key, tensor in given.items() if version_of(tensor) == versions[key]]
    try:
        with torch._C.DisableTorchFunction():
            memory = result.untyped_storage().data_ptr()
            return any(tensor.untyped_storage().data_ptr() == memory for tensor in kept)
    except (RuntimeError, NotImplementedError):  # inside a transform of torch.func, whose tensors have no storage
        return any(tensor is result for tensor in kept)


def _first_returned(values: Any) -> Returned | None:
    tensor = first_tensor(values)
    # A nested tensor has no shape.
    return None if tensor is None or tensor.is_nested else Returned.of(tensor)
