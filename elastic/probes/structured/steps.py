"""Steps: the gradients of stepped samples, those of weights in factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from elastic.probes.structured.duals import Unsupported


@dataclass(frozen=True)
class Use:
    """One use of a weight by the stepped samples: the two factors of its per-sample gradients.

    Attributes
    ----------
    inputs
        [c, …] input of each stepped sample.
    gradients
        [c, …] minus the gradient by the output, before a bias was added.
    biased
        Whether the call had a bias, whose gradient is that of the output summed over positions.
    way
        How the call read the weight, and its bias by its identity.
    """

    inputs: Tensor
    gradients: Tensor
    biased: bool
    way: Any = None
    #: Values that rules derive from the factors and cache while these samples are stepped on.
    derived: dict[Any, Tensor] = field(default_factory=dict)
    #: The use of which this one contains some rows.
    whole: tuple[Use, slice] | None = None

    def keep(self, name: Any, compute: Callable[[Use], Tensor]) -> Tensor:
        """Return a tensor [c, …] derived from a use, computed on first request: for all stepped samples at once."""
        if self.whole is not None:
            use, rows = self.whole
            return use.keep(name, compute)[rows]
        if name not in self.derived:
            self.derived[name] = compute(self)
        return self.derived[name]

    def rows(self, rows: slice) -> Use:
        """Return the use by some of the stepped samples."""
        return Use(self.inputs[rows], self.gradients[rows], self.biased, self.way, whole=(self, rows))


@dataclass(frozen=True)
class Steps:
    """Steps −∇⟨features, seed⟩ of c stepped samples, without a gradient of a weight matrix.

    Attributes
    ----------
    uses
        By the identity of a weight: its uses.
    loose
        By the identity of any other parameter: the step itself, [c, …].
    size
        None in first order; else [c], the length of each step.
    biases
        Identities of the biases whose steps are in the uses.
    """

    uses: dict[int, list[Use]]
    loose: dict[int, Tensor]
    size: Tensor | None = None
    biases: frozenset[int] = frozenset()

    def rows(self, rows: slice) -> Steps:
        """Return some of the steps."""
        uses = {key: [use.rows(rows) for use in many] for key, many in self.uses.items()}
        loose = {key: step[rows] for key, step in self.loose.items()}
        return Steps(uses, loose, None if self.size is None else self.size[rows], self.biases)

    def apart(self) -> Steps:
        """Return the same steps with a cache of their own, which begins with the present values."""
        uses = {key: [replace(use, derived=dict(use.derived)) for use in many] for key, many in self.uses.items()}
        return replace(self, uses=uses)

    @property
    def count(self) -> int:
        """Number c of stepped samples."""
        factors = [use.gradients for many in self.uses.values() for use in many]
        return len([*factors, *self.loose.values()][0])

    def along(self, moved: Tensor) -> Tensor:
        """Return the steps' sizes [c, 1, …], for multiplication with tangents [c, …]."""
        assert self.size is not None
        return self.size.view(-1, *[1] * (moved.ndim - 1))

    def factored(self, tensor: Any) -> bool:
        """Whether a tensor is a parameter whose step is in factors."""
        return id(tensor) in self.uses or id(tensor) in self.biases

    def of(self, weight: Tensor, way: Any, bias: Tensor | None = None) -> list[Use]:
        """Return the uses of a weight by the stepped samples.

        Raises
        ------
        Unsupported
            If they read it in another way, or with another bias.
        """
        uses = self.uses.get(id(weight), [])
        if any(use.way != (way, id(bias) if self.factored(bias) else None) for use in uses):
            raise Unsupported("a weight", "observed samples that read it in another way than stepped ones")
        if not uses and self.factored(bias):
            raise Unsupported("a bias", "observed samples that read it in another way than stepped ones")
        return uses
