"""Batching: all stepped samples at once if vmap supports the model, else one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.func import vmap
from torch.utils._pytree import tree_map

from elastic.errors import ModelError

#: Exceptions of a model in a pass that it does not support.
FAILURES = (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError, AttributeError, AssertionError)


class Batching:
    """How the passes over stepped samples run; a kind of pass on which vmap once failed stays one at a time.

    vmap does not support control flow that depends on values, writes of many samples' values into memory of one,
    random numbers (which a model may draw if its features do not depend on them) or operations without a
    batching rule.

    Examples
    --------
    >>> batching, x = Batching(), torch.tensor([1.0, -2.0])
    >>> batching("sign", lambda v: v if v > 0 else -v, (0,), x).tolist()
    [1.0, 2.0]
    >>> batching.alone
    {'sign'}
    """

    def __init__(self) -> None:
        self.alone: set[str] = set()

    def __call__(
        self, kind: str, whole: Callable[..., Any], in_dims: tuple[int | None, ...], *inputs: Any, one: Any = None
    ) -> Any:
        """Return ``vmap(whole, in_dims)(*inputs)``.

        Parameters
        ----------
        kind
            Of the kind of pass.
        whole
            The function.
        in_dims
            By input: 0 where its tensors have a row for each sample, None where they are shared.
        inputs
            Nestings of tensors.
        one
            The same for one sample, if vmap does not support the function; ``whole`` itself by default.

        Raises
        ------
        ModelError
            If neither way supports the model.
        """
        try:
            # Compiled scripts cannot be differentiated in forward mode.
            with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
                return self._run(kind, whole, in_dims, inputs, one or whole)
        except torch.OutOfMemoryError as error:
            found = str(error).partition(".")[0]
            raise ModelError(
                "`probes.memory_budget`", "fit the device's free memory", found, "a smaller one"
            ) from error
        except ModelError:
            raise
        except FAILURES as error:
            raise ModelError(
                "`model`",
                "be differentiable forwards, sample by sample (torch.func)",
                (str(error).strip().splitlines() or [type(error).__name__])[0],
                "replacing that part, or `probes.elasticity: null`",
            ) from error

    def _run(self, kind: str, whole: Any, in_dims: tuple[int | None, ...], inputs: Any, one: Any) -> Any:
        if kind not in self.alone:
            try:
                return vmap(whole, in_dims)(*inputs)
            except torch.OutOfMemoryError:
                raise
            except FAILURES as error:
                if isinstance(error, ModelError):
                    raise
        results = one_at_a_time(one, in_dims, inputs)
        self.alone.add(kind)
        return results


def one_at_a_time(function: Callable[..., Any], in_dims: tuple[int | None, ...], inputs: Any) -> Any:
    """Return the function's results for each sample, stacked."""
    first = next(value for value, dim in zip(inputs, in_dims, strict=True) if dim is not None)
    while isinstance(first, dict):
        first = next(iter(first.values()))
    results = []
    for row in range(len(first)):
        arguments = [
            value if dim is None else tree_map(lambda t, row=row: t[row], value)
            for value, dim in zip(inputs, in_dims, strict=True)
        ]
        results.append(function(*arguments))
    return tree_map(lambda *rows: torch.stack(rows), *results)
