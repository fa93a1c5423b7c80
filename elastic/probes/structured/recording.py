"""Recording: one ordinary forward and backward pass of the stepped samples, which computes their steps in factors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from elastic.models.batch_forward import takes_numbers
from elastic.models.contract import TappedModel
from elastic.models.taps import name_in_model
from elastic.probes.autodiff import Taps, widest_type
from elastic.probes.batching import one_at_a_time
from elastic.probes.structured.duals import Unsupported
from elastic.probes.structured.memory import storage_of
from elastic.probes.structured.recorder import Call, Recorder
from elastic.probes.structured.steps import Steps, Use

#: Most numbers of a parameter whose per-sample gradients are formed.
LARGEST = 2**20


class Recording:
    """The uses of a model's parameters, found by one forward pass on one sample.

    Parameters
    ----------
    model
        In evaluation mode.
    example
        One input [1, …].
    layer
        The layer along whose features steps are taken, the output by default. Parameters on which it does not depend
        have a step of zero.

    Raises
    ------
    Unsupported
        If the model uses a parameter in a way that torch functions do not show.
    """

    def __init__(self, model: TappedModel, example: Tensor, layer: str | None = None) -> None:
        self.model, self.layer = model, model.output if layer is None else layer
        self.parameters = dict(model.named_parameters())
        frozen = [name for name, p in self.parameters.items() if not p.requires_grad]
        if frozen:
            raise Unsupported(f"`{name_in_model(frozen[0])}`", "a frozen parameter, which no step moves")
        self.names = {id(p): name for name, p in self.parameters.items()}
        memory = [storage_of(p) for p in self.parameters.values()]
        if len(set(memory)) < len(memory) or any(p.is_complex() for p in self.parameters.values()):
            raise Unsupported("`model`", "parameters that share memory, or complex ones")
        self.memory = set(memory)
        self.loose: set[str] = set()
        #: Whether samples are recorded one by one.
        self.alone = False
        self.calls = self._calls(example)

    def _calls(self, example: Tensor) -> list[Call]:
        """Return the calls with factors, after checking that their parameters are not used in any other way."""
        example = example.detach().clone()
        while True:
            recorder = Recorder(self.names, self.loose, memory=self.memory)
            with torch.enable_grad():
                entered = example.requires_grad_(example.is_floating_point()).clone()
                taps = self._taps(entered, recorder)
            if entered._version:
                raise Unsupported("an operation in place", "the input as its target")
            mixed = recorder.met | _shared(recorder.calls)
            if not {name for c in recorder.calls for name in (c.weight, c.bias)} & mixed:
                self.loose = recorder.met
                self._check(taps)
                # Only the shapes of the outputs are kept, not the graph.
                return [replace(c, inputs=c.output.new_empty(0), output=c.output.detach()) for c in recorder.calls]
            self.loose |= mixed

    def _taps(self, inputs: Tensor, recorder: Recorder) -> dict[str, Tensor]:
        """Return the features [1, …] of inputs [1, …], observed by a recorder; buffers are copied."""
        buffers = {f"model.{name}": buffer.clone() for name, buffer in self.model.named_buffers()}
        with recorder:
            taps: dict[str, Tensor] = functional_call(Taps(self.model), buffers, (inputs,))
        if any(call.inputs._version != call.version for call in recorder.calls):
            raise Unsupported("an operation in place", "what a weight was multiplied with as its target")
        return taps

    def _check(self, taps: dict[str, Tensor]) -> None:
        """Refuse uses that the recorder cannot have observed, and large parameters without factors."""
        for node in _nodes([h.grad_fn for h in taps.values()]):
            name = self.names.get(id(getattr(node, "variable", None)))
            if name is not None:
                raise Unsupported(
                    self._part(name), f"a use of `{name_in_model(name)}` that torch functions do not show"
                )
            if isinstance(node, torch.autograd.function.BackwardCFunction):
                raise Unsupported(f"`{type(node).__name__}`", "a torch.autograd.Function of its own")
        for name in sorted(self.loose):
            if self.parameters[name].numel() > LARGEST:
                raise Unsupported(
                    self._part(name), f"a large `{name_in_model(name)}` without a rule for its gradient's factors"
                )

    def _part(self, name: str) -> str:
        """Return the type and name of the module that owns a parameter."""
        owner = name.rpartition(".")[0]
        return f"{type(self.model.get_submodule(owner)).__name__} `{name_in_model(owner)}`"

    @property
    def dtype(self) -> torch.dtype:
        """Type in which no parameter's numbers lose digits: that of the steps' seeds and lengths."""
        return widest_type(self.parameters.values())

    def steps(self, inputs: Tensor, seeds: Tensor, size: Tensor | None = None) -> Steps:
        """Return the steps −∇⟨features, seed⟩ of each sample, of the layer's flattened features.

        Parameters
        ----------
        inputs, seeds
            [c, …] and [c, d].
        size
            As in `Steps`.
        """
        shifts = {f"#{i}": torch.zeros_like(call.output) for i, call in enumerate(self.calls)}
        shifts |= {name: torch.zeros_like(self.parameters[name]) for name in self.loose}
        ways = [(call.way, call.weight, call.bias) for call in self.calls]

        def against(moved: dict[str, Tensor], x: Tensor, seed: Tensor) -> tuple[Tensor, list[Tensor]]:
            recorder = Recorder(self.names, self.loose, moved)
            features = self._taps(x[None], recorder)[self.layer].reshape(-1)
            if [(call.way, call.weight, call.bias) for call in recorder.calls] != ways:
                raise Unsupported("`model`", "a use of its weights that depends on the sample")
            return -(features * seed).sum(), [call.inputs for call in recorder.calls]

        gradients, entered = self._of_each(grad(against, has_aux=True), shifts, inputs, seeds)
        uses: dict[int, list[Use]] = {}
        for i, (call, h) in enumerate(zip(self.calls, entered, strict=True)):
            bias = None if call.bias is None else id(self.parameters[call.bias])
            use = Use(h, gradients[f"#{i}"], bias is not None, (call.way, bias))
            uses.setdefault(id(self.parameters[call.weight]), []).append(use)
        biases = frozenset(id(self.parameters[call.bias]) for call in self.calls if call.bias is not None)
        return Steps(uses, {id(self.parameters[name]): gradients[name] for name in self.loose}, size, biases)

    def _of_each(self, function: Callable[..., Any], shifts: dict[str, Tensor], inputs: Tensor, seeds: Tensor) -> Any:
        """Return a function of the shifts of each sample: of all at once, or one by one.

        Transformers choose their attention by the values of a batch's mask, which vmap does not support. If samples
        are arrays, reading values means reading features, which is left to the autodiff engine.
        """
        if not self.alone:
            try:
                return vmap(function, (None, 0, 0))(shifts, inputs, seeds)
            except RuntimeError as error:
                if not (takes_numbers(self.model) and "data-dependent control flow" in str(error)):
                    raise
                self.alone = True
        return one_at_a_time(function, (None, 0, 0), (shifts, inputs, seeds))


def _shared(calls: list[Call]) -> set[str]:
    """Return names of weights that are read in more than one way, and of biases of more than one weight."""
    ways: dict[str, set[Any]] = {}
    for call in calls:
        ways.setdefault(call.weight, set()).add((call.way, call.bias))
        if call.bias is not None:
            ways.setdefault(call.bias, set()).add(call.weight)
    return {name for name, kinds in ways.items() if len(kinds) > 1}


def _nodes(roots: list[Any]) -> Iterator[Any]:
    """Iterate over the nodes of an autograd graph."""
    seen, waiting = set(), list(roots)
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
            yield node
