"""Transfer to fine classes, layer by layer, for a network trained only on super-classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.contract import metric
from elastic.metrics.separation import cdnv_mean
from elastic.metrics.transfer import TransferFeatures, example_transfer, few_shot_accuracies, linear_probe_accuracy

__all__ = ["example_transfer"]

GROUP = "fine_classes"


@metric(
    group=GROUP,
    source="galanti2022role",
    formula="mean over super-classes of the accuracy of nearest means of s samples of each of its fine classes",
    bounds=(0.0, 1.0),
    dims=("shots",),
)
def fine_few_shot_accuracy(fine_transfer: Sequence[TransferFeatures]) -> Tensor:
    """Few-shot accuracy for the fine classes of a super-class, on test samples.

    Mean over super-classes of the mean over episodes and test samples m of [argmin_f ‖h_m − μ̂_f‖ = y_m], μ̂_f the mean
    of s random train samples of fine class f; [S], one value for each s.

    Convention: over super-classes of two or more fine classes; chance level is 1/F for F fine classes.

    >>> fine_few_shot_accuracy([example_transfer()]).tolist()
    [0.75]
    """
    return torch.stack([few_shot_accuracies(part) for part in fine_transfer]).mean(0)


@metric(
    group=GROUP,
    source="yang2023neurons",
    formula="mean over super-classes of the accuracy of a linear probe for its fine classes",
    bounds=(0.0, 1.0),
)
def fine_linear_probe_accuracy(fine_transfer: Sequence[TransferFeatures]) -> Tensor:
    """Accuracy of a linear probe for the fine classes of a super-class, fitted to train and scored on test samples.

    Mean over super-classes of the mean over test samples m of [argmax_f (W h_m + b)_f = y_m]; W and b minimise the mean
    cross-entropy on train samples plus (λ/2)‖W‖², features scaled to a mean squared norm of 1.

    Convention: over super-classes of two or more fine classes; chance level is 1/F for F fine classes.

    >>> fine_linear_probe_accuracy([example_transfer()]).item()
    1.0
    """
    return torch.stack([linear_probe_accuracy(part) for part in fine_transfer]).mean()


@metric(
    group=GROUP,
    source="galanti2022role",
    formula="mean over super-classes of mean_{f≠g} V_fg on test samples",
    bounds=(0.0, None),
)
def fine_cdnv_mean(fine_statistics: Sequence[ClassStatistics]) -> Tensor:
    """Class-distance normalised variance of the fine classes of a super-class, mean over pairs, on test samples.

    Mean over super-classes of the mean over f ≠ g of V_fg = (v_f + v_g) / (2‖μ_f - μ_g‖²): it grows as super-classes
    collapse and their fine classes merge.

    >>> h, y = torch.tensor([[-1.0], [1.0], [2.0], [2.0]]), torch.tensor([0, 0, 1, 1])
    >>> fine_cdnv_mean([ClassStatistics.of(h, y)]).item()
    0.125
    """
    return torch.stack([cdnv_mean(part) for part in fine_statistics]).mean()
