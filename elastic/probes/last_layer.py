"""The last layer's weights and the features that enter it, for the invariant of a class-blocked tangent kernel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from elastic.metrics.kernel_invariant import LastLayer
from elastic.metrics.tangent_kernel import TangentKernel
from elastic.probes.contract import Subject
from elastic.probes.evaluation import weights_in_evaluation
from elastic.probes.features import FeatureStream

#: Matrices [d, d] in float64 that are in memory at once: the terms of the invariant and their differences.
MATRICES = 8


def why_not_read(subject: Subject) -> str:
    """Return why a model has no last layer of which the invariant can be computed; "" if it has one."""
    linear = subject.model.last_weights()
    if linear is None:
        return "no linear layer takes the penultimate features as they are"
    needed = MATRICES * 8 * linear.in_features**2
    if needed > subject.memory_budget:
        return f"its matrices need {needed} bytes, more than the memory budget of {subject.memory_budget}"
    return ""


def why_not_equal(subject: Subject) -> str:
    """Return that classes have different numbers of train samples, for which the invariant is NaN; "" if they do not.

    These numbers may differ between the runs of a study, as with noise of labels: the variables are the same.
    """
    counts = subject.samples["train"].labels.bincount(minlength=len(subject.classes))
    least, most = int(counts.min()), int(counts.max())
    return "" if least == most else f"classes have {least} to {most} train samples, and should have equally many"


def read_last_layer(subject: Subject, kernel: TangentKernel) -> LastLayer:
    """Return the weights and the moments of the features of all train samples; the caller restores the model.

    Parameters
    ----------
    subject
        With a linear last layer (`why_not_read`).
    kernel
        Of the penultimate layer.
    """
    model, train = subject.model, subject.samples["train"]
    linear = model.last_weights()
    assert linear is not None
    layer = model.penultimate or ""
    stream = FeatureStream(model, train.inputs, train.labels, memory_budget=subject.memory_budget)
    counts = train.labels.bincount(minlength=len(subject.classes)).double()
    sums = torch.zeros(len(counts), linear.in_features, dtype=torch.float64, device=counts.device)
    for features, labels in stream():
        if sums.is_cuda:  # where index_add_ sums in the order of chance
            sums += one_hot(labels, len(counts)).double().T @ features[layer].double()
        else:
            sums.index_add_(0, labels, features[layer].double())
    means = sums / counts[:, None]
    # In a second pass: from squared features the deviations of a collapsed class would be rounding.
    scatter = torch.zeros(linear.in_features, linear.in_features, dtype=torch.float64, device=counts.device)
    for features, labels in stream():
        residual: Tensor = features[layer].double() - means[labels]
        scatter += residual.T @ residual
    applied = weights_in_evaluation(model, [linear], train.inputs[:2])[linear]
    return LastLayer(applied.weight.double(), means, scatter, counts, kernel)
