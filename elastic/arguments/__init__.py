"""What users hand over without a protocol: arrays, labels, samples and how to step; checked, as tensors."""

from elastic.arguments.classifiers import Classifier, as_classifier, decisions_of, linear_decisions, positions_among
from elastic.arguments.samples import Labelled, check_module, samples_like
from elastic.arguments.stepping import LossLike, as_loss, check_update

__all__ = [
    "Classifier",
    "Labelled",
    "LossLike",
    "as_classifier",
    "as_loss",
    "check_module",
    "check_update",
    "decisions_of",
    "linear_decisions",
    "positions_among",
    "samples_like",
]
