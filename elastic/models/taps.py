"""Wrapper of any ``nn.Module`` as a model with named layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import ModelError
from elastic.models.batch_forward import BatchForward
from elastic.models.contract import LOGITS, TappedModel
from elastic.models.dry_run import trial, uncompiled
from elastic.models.layer_choice import choose_layers
from elastic.models.linear_readers import last_linear, linear_after
from elastic.models.named_submodules import feature_of, hooked, known_names, layer_error, some_names
from elastic.models.positions import Position, at_position
from elastic.models.returned import Returned, is_transformed, warn_of_others
from elastic.models.wrappers import unwrapped

__all__ = ["Tapped", "tap", "unwrapped"]


class Tapped(TappedModel):
    """A module whose layers are the outputs of named submodules; the last layer is the module's output.

    Outputs are recorded by forward hooks that exist only while `taps` runs, so it works under ``torch.func``
    (``functional_call``, ``vmap``, ``jvp``, ``grad``) and the module stays unchanged. Features have the value that the
    submodule returned, even if an in-place activation overwrites it later. Of a tuple or a mapping the first tensor is
    used.

    The output layer has the name of the submodule that gives it, where the last of ``layers`` does: the module returns
    that tensor, or a view of the same shape, unchanged. Otherwise it is called ``logits``.

    Parameters
    ----------
    module
        Maps inputs [n, …] to logits [n, K].
    layers
        Names of submodules (see ``named_modules``) in the order of depth, which is not checked. A last name ``logits``
        that no submodule has is the output.
    example
        Inputs [n, …] for a forward pass in the constructor. It determines the name of the output, and the ``nn.Linear``
        after each layer for `next_weights`. Without it, the first call of `taps` determines the name; if `layers` is
        read before, the output is named ``logits``.
    output
        Name of the output layer, whichever submodule returns it.
    position
        Token whose features a layer [n, T, d] has (`elastic.models.positions.at_position`); None: all tokens.

    Raises
    ------
    ModelError
        If a name is unknown or a duplicate, or a submodule does not return one feature per input: it does not run, runs
        more than once (its features would be ambiguous), or returns no tensor [n, …]. If the output is named before
        another layer, or twice, or a hidden layer is named ``logits`` or ``input`` (the name of layer 0).

    Examples
    --------
    >>> import torch
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> Tapped(net, ["1"], example=torch.ones(5, 4)).layers
    ('1', 'logits')
    >>> tapped = Tapped(net, ["1", "2"], example=torch.ones(5, 4))
    >>> tapped.layers, tapped.output, tapped.penultimate
    (('1', '2'), '2', '1')
    >>> tapped.next_weights()["1"] is net[2]
    True
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Sequence[str],
        example: Tensor | None = None,
        *,
        output: str | None = None,
        position: Position | None = None,
    ) -> None:
        super().__init__()
        self.module, self.position = module, position
        self._names, self._output = known_names(module, tuple(layers), output)
        # Whether the output's name is final, and whether a forward pass has determined which submodule returns it.
        self._is_settled = self._is_shown = False
        #: The submodule whose name the output layer has; "" where it has another one.
        self._giving = ""
        self._next: dict[str, str] = {}
        self._last_linear: str | None = None
        if example is not None:
            with trial(module):
                self._settle(self._read(example)[1])
                self._is_shown = True
                self._next = linear_after(module, self._names, example, None if position is None else self._at)
                self._last_linear = last_linear(module, example)

    @property
    def layers(self) -> tuple[str, ...]:
        """The submodules' names, the output's last."""
        if not self._is_settled:
            self._settle(())
        return (*self._names, self._output or LOGITS)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits [n, K] of inputs [n, …]."""
        return self._at(self._returned(inputs))

    def entering(self, inputs: Tensor) -> Tensor:
        """Return the input features of the module [n, …]."""
        return self.module.entering(inputs) if isinstance(self.module, BatchForward) else inputs

    def taps(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return each hidden layer's features [n, …], then the logits."""
        features, giving = self._read(inputs)
        if not self._is_settled:
            self._settle(giving)
        elif giving:
            hint = "example=inputs, with which the output keeps its name, or leaving it out"
            raise layer_error(giving[-1], "be a hidden layer, as the output is called otherwise", "the output", hint)
        self._is_shown = True
        return {name: features[name] for name in self.layers}

    def layer_modules(self) -> dict[str, nn.Module]:
        """Return the named submodules, and for the output the module itself where it has no submodule's name."""
        names = dict(zip(self.layers, (*self._names, self._giving), strict=True))
        return {layer: self.module.get_submodule(name) for layer, name in names.items()}

    def next_weights(self) -> dict[str, nn.Linear]:
        """Return for each layer that is the input of exactly one ``nn.Linear`` that module (see ``example``)."""
        linears = {name: self.module.get_submodule(linear) for name, linear in self._next.items()}
        return {name: linear for name, linear in linears.items() if isinstance(linear, nn.Linear)}

    def last_weights(self) -> nn.Linear | None:
        """Return the last ``nn.Linear`` of a forward pass, if it takes the features of the last named layer."""
        # Not all layers need be named: the last named one may be the input of a linear layer between hidden ones.
        return super().last_weights() if self._next.get(self.penultimate or "") == self._last_linear else None

    def _settle(self, giving: Sequence[str]) -> None:
        """Determine the name of the output layer, given the named submodules that return it."""
        if len(giving) > 1:
            found = f"the output layer, which `{giving[-1]}` is too"
            raise layer_error(giving[0], "be a hidden layer", found, "leaving one of them out")
        if giving and giving[0] != self._names[-1]:
            hint = f"layers in the order of depth, {giving[0]!r} last"
            raise layer_error(giving[0], "be named last, as it gives the output", f"{list(self._names)}", hint)
        hidden = tuple(name for name in self._names if name not in giving)
        self._giving = giving[0] if giving and self._output is None else ""
        output = self._output or (giving[0] if giving else LOGITS)
        if output in hidden:
            expected = "give the output, whose name that is where no other is given"
            raise layer_error(output, expected, "a hidden layer", "renaming the submodule, or leaving it out")
        self._names, self._output, self._is_settled = hidden, output, True

    def _read(self, inputs: Tensor) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """Return the features, and the named submodules that return the output, in order of execution.

        The inputs are copied, because the first submodule may operate in place. The submodule that returns the output
        is determined only once: under ``torch.func`` tensors have no memory to compare.
        """
        features: dict[str, Tensor] = {}
        returned: dict[str, Returned] = {}
        count = len(inputs)

        def keep(name: str, output: Any) -> None:
            if name in features:
                raise layer_error(name, "run once in a forward pass", "a second run", "submodules that run once")
            feature = feature_of(name, output, count)
            returned[name] = Returned.of(feature)
            # A copy, because the next module may be an in-place activation.
            features[name] = self._at(feature).clone()

        with uncompiled(), hooked(self.module, self._names, keep):
            logits = self._returned(inputs.clone())
        for name in self._names:
            if name not in features:
                raise layer_error(name, "run in a forward pass", "that it does not", "submodules that run")
        shown = {} if self._is_shown else returned
        giving = tuple(
            name for name, tensor in shown.items() if tensor.is_still(logits) or self._equals(tensor, logits)
        )
        return features | dict.fromkeys((*giving, self._output or LOGITS), self._at(logits)), giving

    def _returned(self, inputs: Tensor) -> Tensor:
        returned = self.module(inputs)
        if not self._is_shown:
            warn_of_others(returned)
        return feature_of(self._output or LOGITS, returned, len(inputs))

    def _equals(self, layer: Returned, logits: Tensor) -> bool:
        """Whether the model's outputs [n, K] equal those of a layer [n, T, K] at the position."""
        if self.position is None or layer.tensor.ndim != 3 or logits.ndim != 2 or is_transformed(logits):
            return False
        return torch.equal(self._at(layer.tensor), logits)

    def _at(self, features: Tensor) -> Tensor:
        """Select features at the position, with the padding mask of the current forward pass."""
        mask = self.module.mask if isinstance(self.module, BatchForward) else None
        return at_position(features, self.position, mask)


def name_in_model(name: str) -> str:
    """Return the name that a part of a `Tapped` has in the user's model.

    >>> name_in_model("module.blocks.0.weight"), name_in_model("modules.0.weight")
    ('blocks.0.weight', 'modules.0.weight')
    """
    return name.removeprefix("module.")


def tap(
    model: nn.Module,
    layers: Sequence[str] | str | None = None,
    example: Tensor | None = None,
    position: Position | None = None,
) -> TappedModel:
    """Return a model with named layers: a `TappedModel` unchanged, any other module as `Tapped`.

    Parameters
    ----------
    model
        A built-in model, or any classifier.
    layers
        Names of submodules, patterns of names, or "auto" (see `elastic.models.layer_choice.choose_layers`).
    example
        See `Tapped`; needed for patterns and "auto".
    position
        See `Tapped`; None for a `TappedModel`.

    Raises
    ------
    ModelError
        If ``model`` is not a module, or ``layers`` is missing for a module without named layers.
    """
    model = unwrapped(model)
    if isinstance(model, TappedModel):
        return model
    if not isinstance(model, nn.Module):
        raise ModelError("`model`", "be a torch.nn.Module", type(model).__name__, "passing the network itself")
    if layers is None:
        raise ModelError(
            "`layers`",
            "name submodules of the model",
            "nothing",
            f"layers={some_names(model)} (elastic.layers(model, example) shows all), or layers='auto'",
        )
    return Tapped(model, choose_layers(model, example, layers), example, position=position)
