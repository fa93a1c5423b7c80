"""A second device that is not there: tensors that say they lie on it, and hold their numbers in the processor's memory.

Every operation is computed on the processor, and raises where tensors of both devices meet, as it does with a GPU
(tensors without dims are allowed, and positions that index). It is called ``meta``, the one device besides the
processor for which torch asks no driver. Under torch's ``FakeTensorMode`` a build for processors takes no gradients on
``cuda``, and no number can be read. Engines of movements, which wrap tensors themselves, are not followed here:
``tests/device`` runs them where there is a GPU.
"""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE, CPU = torch.device("meta"), torch.device("cpu")

_ATEN = torch.ops.aten
_BETWEEN_DEVICES = {_ATEN.copy_.default, _ATEN._to_copy.default}
#: Operations whose results the processor reads: it waits for all work of the device before them.
_READ = {_ATEN._local_scalar_dense.default, _ATEN.equal.default, _ATEN.nonzero.default, _ATEN._linalg_svd.default}
_BY_POSITION = {_ATEN.index.Tensor, _ATEN.index_put.default, _ATEN.index_put_.default}


class Pretended(torch.Tensor):
    """A tensor that says it lies on the device."""

    @staticmethod
    def __new__(cls, held, requires_grad=False):
        return torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=DEVICE, requires_grad=requires_grad,
        )  # fmt: skip

    def __init__(self, held, requires_grad=False):
        self.held = held

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self):
        return f"Pretended({self.held})"

    def tolist(self):
        if PretendedDevice.latest is not None:
            PretendedDevice.latest.waits += 1
        return self.held.tolist()

    def data_ptr(self):
        return self.held.data_ptr()

    def numpy(self, **_):
        raise TypeError("can't convert a tensor of the other device to numpy; use Tensor.cpu() first")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})


class PretendedDevice(TorchDispatchMode):
    """While it is active, new tensors can be made on the device, and waits for it are counted."""

    latest = None

    def __init__(self):
        super().__init__()
        self.waits = 0
        PretendedDevice.latest = self

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = [isinstance(leaf, Pretended) for leaf in tree_leaves(args)]
        to_processor = func is _ATEN._to_copy.default and (kwargs or {}).get("device") == CPU
        self.waits += any(given) and (func in _READ or to_processor or (func is _ATEN.copy_.default and not given[0]))
        return computed(func, args, kwargs or {})


def computed(func, args, kwargs):
    """Compute an operation on what its tensors hold; its results are where CUDA would have them."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    pretended = [tensor for tensor in tensors if isinstance(tensor, Pretended)]
    asked = kwargs.get("device")
    if pretended and func not in _BETWEEN_DEVICES:
        check(func, tensors)
    there = isinstance(tensors[0], Pretended) if func in _BETWEEN_DEVICES else bool(pretended)
    if asked is not None:
        there, kwargs = torch.device(asked) == DEVICE, kwargs | {"device": CPU}
    args, kwargs = tree_map(lambda leaf: leaf.held if isinstance(leaf, Pretended) else leaf, (args, kwargs))
    known = {id(tensor.held): tensor for tensor in pretended}

    def shown(value):
        if not there or not isinstance(value, torch.Tensor):
            return value
        return known.get(id(value)) if id(value) in known else Pretended(value)

    return tree_map(shown, func(*args, **kwargs))


def check(func, tensors):
    """Raise a RuntimeError where tensors of both devices meet."""
    writes = func._schema.is_mutable and not isinstance(tensors[0], Pretended)
    for tensor in tensors:
        position = func in _BY_POSITION and tensor.dtype in (torch.int64, torch.bool)
        if not isinstance(tensor, Pretended) and ((tensor.ndim and not position) or writes):
            raise RuntimeError(f"{func}: a tensor {tuple(tensor.shape)} on cpu among those on the other device")


def pretend(given):
    """Return a tensor, or a module with its parameters and buffers, as if on the device."""
    if isinstance(given, torch.Tensor):
        return Pretended(given)
    for module in given.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                held = Pretended(parameter.detach().clone())
                module._parameters[name] = torch.nn.Parameter(held, requires_grad=parameter.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = Pretended(buffer.clone())
    return given
