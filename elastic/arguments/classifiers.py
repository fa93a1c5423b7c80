"""Validation of a linear classifier given by the user, and its decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from elastic.arrays import ArrayLike, as_tensor
from elastic.errors import DegenerateInput
from elastic.metrics.rounding import magnitude

#: Weights [K, d], alone or with a bias [K].
Classifier = ArrayLike | tuple[ArrayLike, ArrayLike | None]


def as_classifier(classifier: Classifier, classes: int, width: int) -> tuple[Tensor, Tensor]:
    """Return float64 weights [K, d] and bias [K] (by default zeros).

    Raises
    ------
    DegenerateInput
        If they have other shapes, or are not finite.
    """
    expected = "be weights [K, d], or a pair of weights and bias"
    given: object = classifier
    if isinstance(given, nn.Module):
        hint = "(module.weight, module.bias)"
        raise DegenerateInput("`classifier`", expected, f"a {type(given).__name__}", hint)
    if isinstance(classifier, tuple) and len(classifier) != 2:
        raise DegenerateInput("`classifier`", expected, f"a tuple of {len(classifier)}", "(W, b)")
    weights, bias = classifier if isinstance(classifier, tuple) else (classifier, None)
    W = as_tensor("classifier", weights).double()
    b = W.new_zeros(classes) if bias is None else as_tensor("bias", bias).double()
    for name, found, shape in (("classifier", W, [classes, width]), ("bias", b, [classes])):
        if list(found.shape) != shape:
            expected, hint = f"be of shape {shape} for {classes} classes", "those that read the last layer"
            raise DegenerateInput(f"`{name}`", expected, str(list(found.shape)), hint)
        if not bool(found.isfinite().all()):
            raise DegenerateInput(f"`{name}`", "be finite", "NaN or infinity", "an earlier epoch")
    return W, b.to(W.device)


def linear_decisions(features: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """Return argmax_k (W h + b)_k [n] of float64 features [n, d], weights [K, d] and bias [K], at any scale of them.

    >>> h, W = torch.tensor([[1e200], [-1e200]]).double(), torch.tensor([[1e200], [-1e200]]).double()
    >>> linear_decisions(h, W, torch.zeros(2).double()).tolist()
    [0, 1]
    """
    scales = [magnitude(part) for part in (features, weights, bias)]
    product, shift = scales[0].log2() + scales[1].log2(), scales[2].log2()
    top = torch.maximum(product, shift) if bool((bias != 0).any()) else product
    logits = (features / scales[0]) @ (weights / scales[1]).T * (product - top).exp2()
    return (logits + bias / scales[2] * (shift - top).exp2()).argmax(dim=1)


def decisions_of(logits: Tensor, names: npt.NDArray[Any]) -> Tensor:
    """Return the class position of the largest of the logits [n, C].

    If there is one logit per class, they are in the order of the class names. If there are more, labels are positions
    of logits; a decision for a class without samples is −1.

    Raises
    ------
    DegenerateInput
        If there are fewer, or not one row per sample (logits of T tokens, [n, T, C]), or the names are no positions.

    Examples
    --------
    >>> decisions_of(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]), np.array([1, 2])).tolist()
    [0, -1]
    """
    if logits.ndim != 2:
        hint = "one row a sample: logits.flatten(0, 1) with a label a token, or logits[:, -1]"
        raise DegenerateInput("`features['logits']`", "be of shape [n, C]", f"shape {list(logits.shape)}", hint)
    return positions_among(logits.argmax(dim=1), logits.shape[1], names)


def positions_among(highest: Tensor, count: int, names: npt.NDArray[Any]) -> Tensor:
    """Return the position among the classes of each of the highest [n] of ``count`` logits, as `decisions_of` does."""
    if count == len(names):
        return highest
    if names.dtype.kind not in "iu" or names.min() < 0 or names.max() >= count:
        expected = f"have a column for each of the {len(names)} labels, or labels that are positions"
        raise DegenerateInput("`features['logits']`", expected, f"{count} columns", "integer labels from 0 on")
    place = torch.full((count,), -1, device=highest.device)
    place[torch.as_tensor(names.astype(np.int64))] = torch.arange(len(names), device=highest.device)
    return place[highest]
