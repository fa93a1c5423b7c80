"""Per-sample losses and gradients of a user's callable ``(outputs, labels) -> loss``.

The callable is differentiated in float64 (`torch.func`). Its gradient is only as accurate as the callable: with
``cross_entropy`` inside a function, the entry p_y − 1 is lost for 1 − p_y below 1e-16, while the other entries are
kept. The losses of torch, passed directly, have no such limit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap

from elastic.errors import DegenerateInput, ElasticError, ModelError, first_line
from elastic.losses.contract import Loss, LossGradient, by_norm
from elastic.losses.own_gradient import backpropagated
from elastic.losses.precision import Widened, widened

Function = Callable[[Tensor, Tensor], Any]


class OwnFunction:
    """A user's callable, on outputs [n, d] in the shape that the model gives, and labels in the user's shape.

    Parameters
    ----------
    function
        The callable.
    shape
        Of one sample's outputs: () for a model that gives [n].
    name
        Name for reports.
    like_outputs
        Whether to convert labels to the type and shape of the outputs, for torch's element-wise losses.
    """

    def __init__(self, function: Function, shape: Sequence[int], name: str, *, like_outputs: bool = False) -> None:
        self.function, self.shape, self.name, self.like_outputs = function, tuple(shape), name, like_outputs

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar or [n], computed in float64.

        Raises
        ------
        ModelError
            If the callable returns anything else.
        """
        shaped = outputs.reshape(len(outputs), *self.shape)
        given = labels.to(outputs.dtype).reshape(shaped.shape) if self.like_outputs else widened(labels)
        with Widened():
            # Copies: a callable may modify its arguments in place.
            value = self.function(shaped.clone(), given.clone())
        if not isinstance(value, Tensor) or value.is_complex():
            kind = f"{value.dtype}" if isinstance(value, Tensor) else type(value).__name__
            raise self.refused("return a tensor: one number, or one a sample", kind, "the loss alone")
        if value.numel() == 1:
            return value.reshape(())
        if value.shape in ((len(outputs),), (len(outputs), 1)):
            return value.reshape(-1)
        expected, hint = "return one number, or one a sample [n]", "reduction='mean', or .mean(1) for each sample"
        raise self.refused(expected, f"shape {list(value.shape)} for {len(outputs)} samples", hint)

    def alone(self, outputs: Tensor, label: Tensor) -> Tensor:
        """Return the loss of one sample with outputs [d], computed on a batch of one."""
        return self(outputs[None], label[None]).sum()

    def refused(self, expected: str, found: str, hint: str) -> ModelError:
        """Return the error for an invalid loss."""
        return ModelError(f"`loss` {self.name}", expected, found, hint)

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Translate exceptions of the callable to a ModelError."""
        try:
            yield
        except ElasticError:
            raise
        except Exception as error:
            hint = "labels of the shape and type that it takes (floats stay as they are, integers are int64)"
            raise self.refused("run on the model's outputs and the labels", first_line(error), hint) from error

    def of_samples(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each sample alone [n], with one call per sample."""
        return torch.stack([self.alone(z, y) for z, y in zip(outputs, labels, strict=True)])


def callable_loss(own: OwnFunction, *, vectorised: bool) -> Loss:
    """Return a function for the loss of each sample and its gradient by the sample's outputs, in float64.

    Parameters
    ----------
    own
        The callable.
    vectorised
        Whether to compute all samples in one call (`torch.func.vmap`) or one after the other.
    """

    def per_sample(outputs: Tensor, labels: Tensor) -> Tensor:
        with own.translate_errors():
            if not vectorised:
                return own.of_samples(outputs.double(), labels)
            return _vectorised(own.alone, outputs, labels)

    def gradient(outputs: Tensor, labels: Tensor) -> LossGradient:
        with own.translate_errors():
            slopes = _vectorised(grad(own.alone), outputs, labels) if vectorised else _one_by_one(own, outputs, labels)
        return by_norm(_finite(own, outputs, slopes.detach()))

    return Loss(per_sample, gradient)


def can_be_vectorised(own: OwnFunction, outputs: Tensor, labels: Tensor) -> bool:
    """Return whether a vectorised call gives the same values and gradients as separate calls."""
    one, all_at_once = (callable_loss(own, vectorised=vectorised) for vectorised in (False, True))
    try:
        values, slopes = all_at_once.per_sample(outputs, labels), all_at_once.gradient(outputs, labels)
    except Exception:  # torch.func does not support all operations; the callable itself has succeeded before
        return False
    expected = one.gradient(outputs, labels)
    return torch.allclose(values, one.per_sample(outputs, labels), rtol=1e-6, atol=1e-12) and torch.allclose(
        slopes.direction * slopes.norm[:, None], expected.direction * expected.norm[:, None], rtol=1e-6, atol=1e-12
    )


def _vectorised(of_sample: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, labels: Tensor) -> Tensor:
    with warnings.catch_warnings():
        # Performance warnings of torch.func, which a user of elastic cannot act on.
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        value: Tensor = vmap(of_sample)(outputs.double(), labels)
        return value


def _one_by_one(own: OwnFunction, outputs: Tensor, labels: Tensor) -> Tensor:
    rows = [backpropagated(own, z[None], y[None])[1] for z, y in zip(outputs, labels, strict=True)]
    return torch.cat([torch.zeros_like(z)[None].double() if row is None else row
                      for row, z in zip(rows, outputs, strict=True)])  # fmt: skip


def _finite(own: OwnFunction, outputs: Tensor, found: Tensor) -> Tensor:
    wrong = (~found.isfinite().all(dim=1) & outputs.isfinite().all(dim=1)).nonzero().flatten()
    if len(wrong):
        row = int(wrong[0])
        shown = ", ".join(f"{value:.3g}" for value in outputs[row, :4].tolist())
        raise DegenerateInput(
            f"`loss` {own.name}", "have a finite gradient", f"{found[row, :4].tolist()} at the outputs [{shown}]",
            "log_softmax, logsigmoid or logsumexp in the place of the log of a softmax, a sigmoid or a sum",
        )  # fmt: skip
    return found
