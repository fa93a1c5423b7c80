"""A module is as before after whatever was done to it: attributes, values, hooks, generators, in any nesting."""

from __future__ import annotations

import gc
import random
import weakref
from collections import OrderedDict, defaultdict, deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.pretended_device import PretendedDevice, pretend
from torch import nn

from elastic.models.dry_run import trial
from elastic.models.precision import in_copies, in_float64
from elastic.models.preservation import preserved, state_kept, state_of
from elastic.models.state import ModuleState


class Holder(nn.Module):
    """Holds state of every kind."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("count", torch.zeros(()))
        self.calls, self.cache, self.seen = 0, None, []
        self.by_name, self.ordered, self.lazy = {"h": [torch.zeros(2)]}, OrderedDict(a=1), defaultdict(list)
        self.recent, self.names = deque([1, 2], maxlen=2), {"a"}
        self.space = SimpleNamespace(h=torch.zeros(2), inner=SimpleNamespace(n=0))
        self.array, self.generator = np.zeros(3), torch.Generator()
        self.random, self.numpy = random.Random(0), np.random.default_rng(0)
        self.loose = torch.ones(2)
        self.pair = (torch.zeros(2), [1])
        held = {"n": 0, "h": torch.zeros(2)}

        def remember(value):
            held["n"] += 1
            held["h"] += value
            return held

        self.remember = remember


def assign_buffer(m):
    m.count = m.count + 1


def add_to_buffer(m):
    m.count.add_(1)


def add_to_buffer_data(m):
    m.count.data.add_(1)


def count_calls(m):
    m.calls += 1


def cache_with_graph(m):
    m.cache = m.linear(torch.ones(1, 3))


def append(m):
    m.seen.append(torch.ones(1))


def nested_dict(m):
    m.by_name["h"][0] += 1


def replace_in_list(m):
    m.by_name["h"][0] = torch.ones(2)


def ordered(m):
    m.ordered["b"] = 2


def default_dict(m):
    m.lazy["new"].append(1)


def ring(m):
    m.recent.append(3)


def names(m):
    m.names.add("b")


def namespace(m):
    m.space.h = None


def nested_namespace(m):
    m.space.inner.n += 1


def array(m):
    m.array[0] = 1


def generator(m):
    torch.rand(3, generator=m.generator)


def python_random(m):
    m.random.random()


def numpy_random(m):
    m.numpy.normal()


def loose(m):
    m.loose.mul_(2)


def tuple_inside(m):
    m.pair[0].add_(1)


def list_in_tuple(m):
    m.pair[1].append(2)


def closure(m):
    m.remember(torch.ones(2))


def new_attribute(m):
    m.fresh = 1


def removed_attribute(m):
    del m.cache


def weight(m):
    m.linear.weight.data.mul_(2)


def weight_memory(m):
    m.linear.weight.data = torch.zeros(3, 3)


def weight_object(m):
    m.linear.weight = nn.Parameter(torch.zeros(3, 3))


def frozen(m):
    m.linear.requires_grad_(False)


def gradient(m):
    m.linear(torch.ones(1, 3)).sum().backward()


def mode(m):
    m.norm.eval()


def statistics(m):
    m.norm(torch.randn(5, 3))


def hook(m):
    m.linear.register_forward_hook(lambda *_: None)


def submodule(m):
    m.extra = nn.Linear(1, 1)


def replaced_submodule(m):
    m.norm = nn.Identity()


def global_generators(m):
    torch.rand(3), np.random.rand(), random.random()


CHANGES = [
    assign_buffer, add_to_buffer, add_to_buffer_data, count_calls, cache_with_graph, append, nested_dict,
    replace_in_list, ordered, default_dict, ring, names, namespace, nested_namespace, array, generator, python_random,
    numpy_random, loose, tuple_inside, list_in_tuple, closure, new_attribute, removed_attribute, weight, weight_memory,
    weight_object, frozen, gradient, mode, statistics, hook, submodule, replaced_submodule, global_generators,
]  # fmt: skip


DESCRIPTIONS = {
    np.ndarray: np.ndarray.tolist,
    torch.Generator: lambda value: value.get_state().tolist(),
    random.Random: random.Random.getstate,
    np.random.Generator: lambda value: value.bit_generator.state,
    set: sorted,
}


def described(value):
    """Describe everything that a module holds, without the code under test."""
    for kind, describe in DESCRIPTIONS.items():
        if isinstance(value, kind):
            return describe(value)
    if isinstance(value, torch.Tensor):
        grad = None if not value.is_leaf or value.grad is None else value.grad.tolist()
        return value.dtype, value.requires_grad, value.detach().tolist(), grad, id(value)
    if isinstance(value, (nn.Module, SimpleNamespace)):
        return type(value), described(vars(value))
    if isinstance(value, dict):
        return [(key, described(part)) for key, part in value.items()]
    if isinstance(value, (list, tuple, deque)):
        return [described(part) for part in value]
    if callable(value) and getattr(value, "__closure__", None):
        return [described(cell.cell_contents) for cell in value.__closure__]
    return value


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_module_is_as_before(change):
    module = Holder()
    before = described(module)
    numbers = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()
    with preserved(module):
        change(module)
        assert change is global_generators or described(module) != before
    assert described(module) == before
    assert numbers == (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate())
    module.linear(torch.ones(1, 3))


#: One after another: an attribute is removed once; a frozen weight takes no gradient, which else adds to the first.
IMPOSSIBLE = {(removed_attribute, removed_attribute), (frozen, gradient), (gradient, gradient)}


@pytest.mark.parametrize("first", CHANGES, ids=lambda change: change.__name__)
def test_a_module_whose_state_was_known_before_a_change_is_as_it_was_after_it(first):
    for second in CHANGES:
        if (first, second) in IMPOSSIBLE:
            continue
        module = Holder()
        with state_kept(module):
            first(module)
            before = described(module)
            with preserved(module), preserved(module):
                second(module)
            assert described(module) == before, second.__name__


def test_attributes_that_were_replaced_altogether_are_looked_for_again():
    module = Holder()
    module.held = type("Held", (), {})()
    with state_kept(module):
        module.held.__dict__ = {"h": torch.zeros(2), "seen": []}
        with preserved(module):
            module.held.h.add_(1)
            module.held.seen.append(1)
    assert module.held.h.tolist() == [0, 0]
    assert module.held.seen == []


def test_what_a_module_consists_of_is_looked_for_once_unless_it_changes(monkeypatch):
    module, walked, walk = Holder(), [], ModuleState._walk
    monkeypatch.setattr(ModuleState, "_walk", lambda self, module: (walked.append(module), walk(self, module)))
    with state_kept(module):
        module.eval()
        with preserved(module), preserved(module):
            module.train()
        assert len(walked) == 1
        module.seen.append([0])
        with preserved(module):
            module.seen[0].append(1)
        assert len(walked) == 2
    assert module.seen == [[0]]
    assert not module.training
    state_of(module)
    assert len(walked) == 3


@pytest.mark.parametrize("change", [assign_buffer, weight, hook, frozen])
def test_a_module_is_as_before_after_an_error_too(change):
    module = Holder()
    before = described(module)

    def fail():
        with preserved(module):
            change(module)
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        fail()
    assert described(module) == before


def test_a_graph_that_waits_for_its_backward_pass_stays_valid():
    module = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1))
    loss = module(torch.ones(2, 3)).sum()
    with preserved(module):
        module[2].weight.data.mul_(2)
    loss.backward()
    assert module[0].weight.grad is not None


def test_modes_of_parts_are_kept_one_by_one():
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.Dropout())
    module[1].eval()
    with trial(module):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module] == [True, False, True]


def test_restoring_in_between_keeps_values_of_parameters_out_if_asked():
    module = Holder()
    state = ModuleState(module, parameters=False)
    weight(module)
    assign_buffer(module)
    changed = module.linear.weight.detach().clone()
    state.restore()
    assert torch.equal(module.linear.weight, changed)
    assert module.count == 0


def test_all_floating_point_tensors_of_a_module_are_in_float64_for_a_while():
    module = Holder().eval()
    module.tokens = torch.arange(3)
    before = described(module)
    with in_float64(module):
        assert module.linear.weight.dtype == module.count.dtype == module.loose.dtype == torch.float64
        assert module.by_name["h"][0].dtype == module.pair[0].dtype == module.space.h.dtype == torch.float64
        assert module.tokens.dtype == torch.int64
        assert module.norm(module.linear(torch.ones(1, 3).double())).dtype == torch.float64
        module.linear.weight.data.zero_()
    assert described(module) == before


@pytest.mark.parametrize("context", [in_float64, in_copies])
def test_what_is_written_in_other_tensors_is_not_written_in_the_module_s_own(context):
    module = Holder().double()
    before = described(module)
    with context(module):
        for tensor in (*module.parameters(), *module.buffers(), module.loose):
            tensor.data.fill_(7)
        assert module.linear.weight[0, 0] == module.count == 7
    assert described(module) == before


@pytest.mark.parametrize("context", [in_float64, in_copies])
def test_copies_are_freed_at_once(context):
    module = nn.Linear(3, 3)
    gc.disable()
    try:
        with context(module):
            copy = weakref.ref(module.weight)
        assert copy() is None
    finally:
        gc.enable()


def test_tied_weights_stay_tied_in_other_tensors():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    weight = module[0].weight
    for context in (in_float64, in_copies):
        with context(module):
            assert module[0].weight is module[1].weight
            assert module[0].weight is not weight
            assert module[0].weight.requires_grad
            assert len(list(module.parameters())) == 3
        assert module[0].weight is module[1].weight is weight


def test_what_a_compiled_submodule_holds_is_restored_and_replaced():
    norm = nn.BatchNorm1d(3)
    net = nn.Sequential(torch.compile(norm, backend="eager"))
    with preserved(net):
        norm.running_mean += 1
        norm.calls = 1
    assert not norm.running_mean.any()
    assert not hasattr(norm, "calls")
    weight = norm.weight
    with in_float64(net):
        assert norm.weight.dtype == torch.float64
    assert norm.weight is weight


@pytest.mark.parametrize("parameters", [True, False])
def test_a_backward_pass_inside_a_forward_pass_adds_nothing_to_a_gradient(parameters):
    module = nn.Linear(2, 1)
    module(torch.ones(1, 2)).sum().backward()
    gradients, values = [p.grad for p in module.parameters()], [p.grad.tolist() for p in module.parameters()]
    with preserved(module, parameters=parameters), torch.enable_grad():
        module(torch.ones(3, 2)).sum().backward()
    assert [p.grad.tolist() for p in module.parameters()] == values
    assert all(p.grad is gradient for p, gradient in zip(module.parameters(), gradients, strict=True))


def test_tensors_of_another_device_are_compared_together():
    with PretendedDevice() as device:
        net = pretend(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1)))
        net[1].running_mean.fill_(torch.nan)  # differs from itself, and is written
        state, kept = ModuleState(net), net[2].weight
        before = {name: tensor.tolist() for name, tensor in net.state_dict().items()}
        before_waits, version = device.waits, kept._version
        with torch.no_grad():
            net[0].weight.add_(1.0)
            net[1].running_var.zero_()
            net[2].bias = nn.Parameter(pretend(torch.ones(1)))
        state.restore()
        assert device.waits == before_waits + 1
        assert kept._version == version
    assert str({name: tensor.tolist() for name, tensor in net.state_dict().items()}) == str(before)
