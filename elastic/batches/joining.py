"""Concatenation of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elastic.batches.nesting import mapped, tensors_of
from elastic.errors import DegenerateInput

PADDING = "padding all to one length (tokenizer(…, padding='max_length', max_length=…))"


def end_to_end(batches: Sequence[Any], counts: Sequence[int], names: Sequence[str]) -> Any:
    """Concatenate batches: tensors with one entry per sample are joined, shared ones are taken from the first.

    Parameters
    ----------
    batches
        Nestings of tensors.
    counts
        Number of samples of each.
    names
        Name of each in errors.

    Raises
    ------
    DegenerateInput
        If batches contain other tensors, or tensors of other shapes.

    Examples
    --------
    >>> first, second = ({"x": torch.tensor(x), "scale": torch.ones(1)} for x in ([3, 4], [5, 6]))
    >>> end_to_end([first, second], [2, 2], ["first", "second"])
    {'x': tensor([3, 4, 5, 6]), 'scale': tensor([1.])}
    """
    leaves = [tensors_of(batch) for batch in batches]
    for name, held in zip(names, leaves, strict=True):
        if held.keys() != leaves[0].keys():
            found = f"{', '.join(held)} in {name}, {', '.join(leaves[0])} in {names[0]}"
            raise DegenerateInput(name, f"hold the same arrays as {names[0]}", found, "one collate_fn for all")
    joined = iter([_joined(key, [held[key] for held in leaves], counts, names) for key in leaves[0]])
    return mapped(batches[0], lambda _: next(joined))


def _joined(key: str, tensors: Sequence[Tensor], counts: Sequence[int], names: Sequence[str]) -> Tensor:
    first, place = tensors[0], key or "an array"
    if all(t.shape[:1] == (count,) for t, count in zip(tensors, counts, strict=True)):
        shapes = {tuple(t.shape[1:]): name for t, name in zip(reversed(tensors), reversed(names), strict=True)}
        if len(shapes) == 1:
            return torch.cat(list(tensors))
        found = " and ".join(f"{place} of shape {['n', *shape]} in {name}" for shape, name in shapes.items())
        raise DegenerateInput(names[0], "hold samples of one shape", found.replace("'n'", "n"), PADDING)
    if all(t.shape == first.shape and torch.equal(t, first) for t in tensors):
        return first
    found = f"{place} of shape {list(first.shape)} for {counts[0]} labels"
    raise DegenerateInput(names[0], "hold one entry a label, or what all samples share", found, "one entry a label")
