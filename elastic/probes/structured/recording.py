"""Recording: one ordinary forward and backward pass of the stepped samples, which finds their steps in factors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from elastic.models.contract import TappedModel
from elastic.probes.structured.duals import Unsupported, tensors_of
from elastic.probes.structured.propagation import Steps, Use
from elastic.probes.structured.rules import FACTORED, REWRITES

#: Numbers of the largest parameter whose per-sample gradients are written out.
LARGEST = 2**20


@dataclass(frozen=True)
class Call:
    """One call of a function that reads a weight in factors."""

    function: Any
    weight: str
    bias: str | None
    inputs: Tensor
    output: Tensor


class Recorder(TorchFunctionMode):
    """While active, notes every use of a parameter and adds a shift to it, by which a gradient can be taken.

    A weight that is read in factors is not shifted itself; the output of the call is. Parameters that were noted
    are cut off from autograd: one that still gets a gradient was used in a way that was not seen.

    Parameters
    ----------
    names
        Of the parameters, by their identity.
    loose
        Names of parameters that are to be shifted themselves wherever they are used.
    shifts
        Shifts by name: ``"#0"``, ``"#1"``, … of the calls in their order, else of parameters. None shifts nothing.
    """

    def __init__(self, names: dict[int, str], loose: set[str], shifts: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        self.names, self.loose, self.shifts = names, loose, shifts or {}
        self.calls: list[Call] = []
        self.met: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note and shift one call."""
        kwargs = kwargs or {}
        if func in REWRITES:
            with self:
                return REWRITES[func](*args, **kwargs)
        if not any(id(tensor) in self.names for tensor in tensors_of(args, kwargs)):
            return func(*args, **kwargs)
        if func in FACTORED and self._is_factored(*args, **kwargs):
            output = func(*tree_map(self._cut, args), **tree_map(self._cut, kwargs))
            shift = self.shifts.get(f"#{len(self.calls)}", torch.zeros_like(output, requires_grad=True))
            self.calls.append(self._call(func, output, *args, **kwargs))
            return output + shift
        result = func(*args, **kwargs)
        if next(tensors_of(result), None) is None:
            return result  # a shape, a dtype
        args, kwargs = tree_map(self._shift, (args, kwargs))
        return func(*args, **kwargs)

    def _is_factored(self, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> bool:
        """Whether the weight is a parameter, and neither the input nor a bias is one to be shifted itself."""
        names = [self.names.get(id(tensor)) for tensor in tensors_of(weight, rest, options)]
        return names[0] is not None and id(input) not in self.names and not self.loose & set(names)

    def _call(self, func: Any, output: Tensor, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> Call:
        biases = [self.names[id(tensor)] for tensor in tensors_of(rest, options) if id(tensor) in self.names]
        return Call(func, self.names[id(weight)], biases[0] if biases else None, input, output)

    def _cut(self, leaf: Any) -> Any:
        return leaf.detach() if id(leaf) in self.names else leaf

    def _shift(self, leaf: Any) -> Any:
        name = self.names.get(id(leaf))
        if name is None:
            return leaf
        self.met.add(name)
        return leaf.detach() + self.shifts[name] if name in self.shifts else leaf.detach()


def _leaf(example: Tensor) -> Tensor:
    return example.detach().clone().requires_grad_(example.is_floating_point())


class Recording:
    """How a model uses its parameters, found by one forward pass on one sample.

    Parameters
    ----------
    model
        In evaluation mode.
    example
        One input [1, …].

    Raises
    ------
    Unsupported
        If the model uses a parameter in a way that torch functions do not show.
    """

    def __init__(self, model: TappedModel, example: Tensor) -> None:
        self.model = model
        self.parameters = dict(model.named_parameters())
        self.names = {id(p): name for name, p in self.parameters.items()}
        self.loose: set[str] = set()
        self.calls = self._calls(example)

    def _calls(self, example: Tensor) -> list[Call]:
        """Return the calls with factors, once no parameter of theirs is used in any other way."""
        while True:
            recorder = Recorder(self.names, self.loose)
            with torch.enable_grad(), recorder:
                logits = self.model.taps(_leaf(example))["logits"]
            mixed = recorder.met | _shared(recorder.calls)
            if not {name for c in recorder.calls for name in (c.weight, c.bias)} & mixed:
                self.loose = recorder.met
                self._check(logits)
                return recorder.calls
            self.loose |= mixed

    def _check(self, logits: Tensor) -> None:
        """Refuse what the recorder cannot have seen, and large parameters without factors."""
        for node in _nodes(logits.grad_fn):
            name = self.names.get(id(getattr(node, "variable", None)))
            if name is not None:
                raise Unsupported(self._part(name), f"a use of `{name}` that torch functions do not show")
            if isinstance(node, torch.autograd.function.BackwardCFunction):
                raise Unsupported(f"`{node.name()}`", "a torch.autograd.Function of its own")
        for name in sorted(self.loose):
            if self.parameters[name].numel() > LARGEST:
                raise Unsupported(self._part(name), f"a large `{name}` without a rule for its gradient's factors")

    def _part(self, name: str) -> str:
        """Return the type and name of the module that owns a parameter."""
        owner = name.rpartition(".")[0]
        return f"{type(self.model.get_submodule(owner)).__name__} `{owner}`"

    @property
    def dtype(self) -> torch.dtype:
        """Of the parameters."""
        return next(iter(self.parameters.values())).dtype

    def steps(self, inputs: Tensor, seeds: Tensor, size: Tensor | None = None) -> Steps:
        """Return the steps −∇⟨logits, seed⟩ of each sample.

        Parameters
        ----------
        inputs, seeds
            [c, …] and [c, K].
        size
            As in `Steps`.
        """
        shifts = {f"#{i}": torch.zeros_like(call.output) for i, call in enumerate(self.calls)}
        shifts |= {name: torch.zeros_like(self.parameters[name]) for name in self.loose}

        def against(moved: dict[str, Tensor], x: Tensor, seed: Tensor) -> tuple[Tensor, list[Tensor]]:
            with Recorder(self.names, self.loose, moved) as recorder:
                logits = self.model.taps(x[None])["logits"][0]
            return -(logits * seed).sum(), [call.inputs for call in recorder.calls]

        gradients, entered = vmap(grad(against, has_aux=True), in_dims=(None, 0, 0))(shifts, inputs, seeds)
        uses: dict[int, list[Use]] = {}
        for i, (call, h) in enumerate(zip(self.calls, entered, strict=True)):
            use = Use(h, gradients[f"#{i}"], call.bias is not None)
            uses.setdefault(id(self.parameters[call.weight]), []).append(use)
        return Steps(uses, {id(self.parameters[name]): gradients[name] for name in self.loose}, size)


def _shared(calls: list[Call]) -> set[str]:
    """Return names of weights that different functions read, or whose bias is another one's too."""
    functions: dict[str, set[Any]] = {}
    for call in calls:
        functions.setdefault(call.weight, set()).add((call.function, call.bias))
    biases = Counter(call.bias for call in calls if call.bias)
    weights = {name for name, kinds in functions.items() if len(kinds) > 1}
    return weights | {b for b, n in biases.items() if n > 1}


def _nodes(root: Any) -> Iterator[Any]:
    """Visit every node of an autograd graph."""
    seen, waiting = set(), [root]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
            yield node
