"""Validation of arguments of the library functions: arrays, labels, samples and the kind of step; returns tensors."""

from elastic.arguments.classifiers import Classifier, as_classifier, decisions_of, linear_decisions, positions_among
from elastic.arguments.models import Reading, check_module
from elastic.arguments.samples import Labelled, model_and_samples, samples_like
from elastic.arguments.stepping import LossLike, as_loss, check_update

__all__ = [
    "Classifier",
    "Labelled",
    "LossLike",
    "Reading",
    "as_classifier",
    "as_loss",
    "check_module",
    "check_update",
    "decisions_of",
    "linear_decisions",
    "model_and_samples",
    "positions_among",
    "samples_like",
]
