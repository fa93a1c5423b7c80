"""Tensors among arguments: those that `tree_leaves` of torch finds, in its order."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from elastic.probes.tensor_leaves import each_leaf, tensor_leaves

Pair = namedtuple("Pair", ["first", "second"])
A, B, C = torch.ones(1), nn.Parameter(torch.ones(2)), torch.ones(3).as_subclass(type("Own", (Tensor,), {}))
NESTINGS = {
    "flat": (A, 1, 2.0, "text", None, torch.float32, torch.Size([2]), torch.device("cpu"), True),
    "lists": ([A, [B, (C,)]], 3),
    "a mapping": ({"x": A, "y": {"z": [B]}},),
    "an ordered mapping": (OrderedDict(x=A, y=B),),
    "a named tuple": (Pair(A, [B, C]), B),
    "an object": (object(), A, slice(0, 1)),
}


@pytest.mark.parametrize("name", NESTINGS)
def test_the_tensors_are_the_leaves(name):
    given = NESTINGS[name]
    leaves = [leaf for leaf in tree_leaves((given, {"alpha": B})) if isinstance(leaf, Tensor)]
    assert list(map(id, tensor_leaves(given, {"alpha": B}))) == list(map(id, leaves))


@pytest.mark.parametrize("name", NESTINGS)
def test_each_leaf_is_mapped(name):
    given, met, right = NESTINGS[name], [], []
    made, options = each_leaf(lambda leaf: met.append(id(leaf)) or leaf, given, {"alpha": B})
    expected, _ = tree_map(lambda leaf: right.append(id(leaf)) or leaf, (given, {"alpha": B}))
    tensors = {id(leaf) for leaf in tree_leaves((given, B)) if isinstance(leaf, Tensor)}
    assert [key for key in met if key in tensors] == [key for key in right if key in tensors]
    kinds = [tuple if kind is torch.Size else kind for kind in map(type, made)]  # which `tree_map` makes a tuple of
    assert kinds == list(map(type, expected))
    assert options["alpha"] is B
