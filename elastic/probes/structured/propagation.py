"""Propagation: a model's own forward pass, in which every operation carries the stepped samples' tangents along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from elastic.probes.structured.differences import difference
from elastic.probes.structured.duals import Dual, differentiated, dual, overwrite, plain, tensors_of
from elastic.probes.structured.rules import IN_PLACE, REWRITES, RULES


@dataclass(frozen=True)
class Use:
    """One use of a weight by the stepped samples: the two factors of its per-sample gradients.

    Attributes
    ----------
    inputs
        [c, …] what entered for each stepped sample.
    gradients
        [c, …] minus the gradient by what came out, before a bias was added.
    biased
        Whether the call had a bias, whose gradient is that of the output summed over positions.
    """

    inputs: Tensor
    gradients: Tensor
    biased: bool
    #: What rules derive from the factors and want to keep as long as these samples are stepped on.
    derived: dict[Any, Tensor] = field(default_factory=dict)

    def keep(self, name: Any, compute: Callable[[], Tensor]) -> Tensor:
        """Return a tensor [c, …] derived from the factors, computed at the first question."""
        if name not in self.derived:
            self.derived[name] = compute()
        return self.derived[name]

    def rows(self, rows: slice) -> Use:
        """Return the use by some of the stepped samples."""
        derived = {name: value[rows] for name, value in self.derived.items()}
        return Use(self.inputs[rows], self.gradients[rows], self.biased, derived)


@dataclass(frozen=True)
class Steps:
    """Steps −∇⟨features, seed⟩ of c stepped samples, with no gradient of a weight matrix written out.

    Attributes
    ----------
    uses
        By the identity of a weight: its uses.
    loose
        By the identity of any other parameter: the step itself, [c, …].
    size
        None in first order; else [c], how far each step goes.
    """

    uses: dict[int, list[Use]]
    loose: dict[int, Tensor]
    size: Tensor | None = None

    def rows(self, rows: slice) -> Steps:
        """Return some of the steps."""
        uses = {key: [use.rows(rows) for use in many] for key, many in self.uses.items()}
        loose = {key: step[rows] for key, step in self.loose.items()}
        return Steps(uses, loose, None if self.size is None else self.size[rows])

    @property
    def count(self) -> int:
        """Number c of stepped samples."""
        factors = [use.gradients for many in self.uses.values() for use in many]
        return len([*factors, *self.loose.values()][0])

    def along(self, moved: Tensor) -> Tensor:
        """Return the steps' sizes [c, 1, …], to be multiplied with tangents [c, …]."""
        assert self.size is not None
        return self.size.view(-1, *[1] * (moved.ndim - 1))

    def of(self, weight: Tensor) -> list[Use]:
        """Return the uses of a weight by the stepped samples."""
        return self.uses.get(id(weight), [])


class Propagation(TorchFunctionMode):
    """While active, every torch function that meets a dual or a stepped parameter follows its rule.

    Parameters
    ----------
    steps
        That the tangents are taken along.
    """

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self.steps = steps

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Follow the rule of one function."""
        kwargs = kwargs or {}
        tensors = list(tensors_of(args, kwargs))
        if not any(isinstance(t, Dual) or id(t) in self.steps.loose or id(t) in self.steps.uses for t in tensors):
            return func(*args, **kwargs)
        if func in IN_PLACE:
            return self._in_place(func, args, kwargs)
        if any(id(t) in self.steps.loose for t in tensors):
            args, kwargs = tree_map(self._loose, (args, kwargs))
        if func in RULES:
            return RULES[func](self.steps, *args, **kwargs)
        if func in REWRITES:
            with self:
                return REWRITES[func](*args, **kwargs)
        follow = differentiated if self.steps.size is None else difference
        return follow(func, args, kwargs)

    def _loose(self, leaf: Any) -> Any:
        return dual(leaf.detach(), self.steps.loose[id(leaf)]) if id(leaf) in self.steps.loose else leaf

    def _in_place(self, func: Any, args: Any, kwargs: Any) -> Any:
        with self:
            output = IN_PLACE[func](*args, **kwargs)
        return overwrite(args[0], output)


def propagate(model: Any, steps: Steps, inputs: Tensor) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Return each layer's value [n, …] and tangent [c, n, …] (None where it is zero) on inputs [n, …]."""
    with Propagation(steps):
        taps = model.taps(dual(inputs, None))
    return {layer: (plain(h), h.tangent if isinstance(h, Dual) else None) for layer, h in taps.items()}
