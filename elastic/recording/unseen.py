"""The argument ``unseen`` of a Recorder: samples of classes that the model is not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from elastic.data.contract import Samples
from elastic.errors import DegenerateInput
from elastic.registry import shorten

#: Name of the argument and of its probe.
UNSEEN = "unseen"
#: Fewest samples of an unseen class: one for a nearest mean or linear probe, and another one to score it on.
LEAST = 2

Named = Callable[[Sequence[int]], tuple[str | int, ...]]


def with_unseen_probe(probes: Any, unseen: Any) -> Any:
    """Return the requested probes, with that of unseen classes if there are any and nothing is said about it.

    >>> with_unseen_probe({"weights": {}}, None), with_unseen_probe(None, "samples")
    ({'weights': {}}, {'unseen': {}})
    >>> with_unseen_probe({"unseen": None}, "samples")
    {'unseen': None}
    """
    asked = {} if probes is None else probes
    return probes if unseen is None or not isinstance(asked, Mapping) else {UNSEEN: {}, **asked}


def unseen_samples(inputs: Tensor, labels: Tensor, trained: Sequence[int | float | str], named: Named) -> Samples:
    """Return samples of unseen classes, labelled 0 … U−1 in the order of their labels.

    Parameters
    ----------
    inputs, labels
        [n, …] and [n] whole numbers.
    trained
        Labels of the classes that the model has outputs for.
    named
        Returns the names of classes by their labels.

    Raises
    ------
    DegenerateInput
        If labels are no whole numbers, one is a label of a trained class, or a class has a single sample.

    Examples
    --------
    >>> import torch
    >>> found = unseen_samples(torch.zeros(4, 2), torch.tensor([9, 8, 8, 9]), (0, 1), lambda labels: tuple(labels))
    >>> found.labels.tolist(), found.classes
    ([1, 0, 0, 1], (8, 9))
    """
    whole = not labels.is_floating_point() or bool((labels == labels.floor()).all())
    if labels.ndim != 1 or not whole:
        found = f"{str(labels.dtype).removeprefix('torch.')} of shape {list(labels.shape)}"
        raise not_whole(found)
    own, codes, counts = labels.long().unique(return_inverse=True, return_counts=True)
    if shared := [label for label in own.tolist() if label in trained]:
        expected = f"be labels of other classes than the {len(trained)} that the model has outputs for"
        hint = f"labels of classes that are never trained on, such as {max(_whole(trained), default=0) + 1}"
        raise DegenerateInput("`unseen[1]`", expected, shorten(shared), hint)
    if few := [label for label, count in zip(own.tolist(), counts.tolist(), strict=True) if count < LEAST]:
        expected = f"have {LEAST} samples or more of each class, one of them to score on"
        raise DegenerateInput("`unseen`", expected, f"one of class {few[0]}", "more samples, or leaving the class out")
    return Samples(inputs, codes, named(own.tolist()))


def not_whole(found: str) -> DegenerateInput:
    """Return the error of labels of unseen classes that are no whole numbers."""
    hint = "unseen=(x, [8, 8, 9]), and names in classes={8: …}"
    return DegenerateInput("`unseen[1]`", "be one whole number a sample, its class", found, hint)


def in_words_of_unseen(error: DegenerateInput) -> DegenerateInput:
    """Return an error of samples; that of labels which are no numbers without the advice to number them from 0.

    >>> error = DegenerateInput("`unseen[1]`", "be numbers", "str96 of shape [12]", "np.unique(…)")
    >>> in_words_of_unseen(error).expected, in_words_of_unseen(DegenerateInput("`train`", "be finite", "", "")).expected
    ('be one whole number a sample, its class', 'be finite')
    """
    of_type = error.expected in ("be numbers", "be positions of logits, as integers")
    return not_whole(error.found) if error.field == "`unseen[1]`" and of_type else error


def _whole(labels: Sequence[int | float | str]) -> list[int]:
    return [label for label in labels if isinstance(label, int)]
