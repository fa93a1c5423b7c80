"""Models that a grammar does not reach, each a constructor with samples; see `test_adversarial_models`.

An entry of `MODELS` is name → `Case`. ``expect`` is "measured" where the numbers have to be given, "refused" where they
may not, and "either" where refusing is as good as the right numbers.
"""

# ruff: noqa: E501 — a table: one line a model
from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


@dataclass(frozen=True)
class Case:
    """A model under examination: its constructor, the layers to read, what is expected, and one input's shape."""

    make: Callable[[], nn.Module]
    layers: tuple[str, ...] = ()
    expect: str = "either"
    shape: tuple[int, ...] = (5,)
    classes: int = 3
    #: The model without its casts to fewer digits: numbers need then be right only to these.
    make_double: Callable[[], nn.Module] | None = None


class Of(nn.Module):
    """A network of named parts and a forward function."""

    def __init__(self, call: Callable[..., Tensor], **parts: object) -> None:
        super().__init__()
        self.call = call
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.call(self, x)


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def of(call: Callable[..., Tensor], **more: Callable[[], object]) -> Callable[[], nn.Module]:
    """Return a constructor of a network with layers a [5, 4] and b [4, 3], and what else is given."""
    return lambda: Of(call, a=nn.Linear(5, 4), b=nn.Linear(4, 3), **{name: make() for name, make in more.items()})


def closure() -> nn.Module:
    inner = nn.Linear(5, 4)
    return Of(lambda net, x: net.b(torch.tanh(inner(x))), a=inner, b=nn.Linear(4, 3))


def closure_over_itself() -> nn.Module:
    net = Of(None, a=nn.Linear(5, 4), b=nn.Linear(4, 3))
    net.call = lambda _, x: net.b(torch.tanh(net.a(x)))
    return net


def bound_method() -> nn.Module:
    net = plain()
    first = net[0].forward
    net[0].forward = lambda x: first(x) * 2
    return net


def hidden_from_parameters() -> nn.Module:
    """The first layer is held in a list, so its weights are no parameters of the model: no step moves them."""
    return Of(lambda net, x: net.b(torch.tanh(net.parts[0](x))), parts=[nn.Linear(5, 4)], b=nn.Linear(4, 3))


def weights_in_a_list() -> nn.Module:
    weights = [torch.randn(4, 5, requires_grad=True)]
    return Of(
        lambda net, x: net.b(torch.tanh(x.to(net.w[0].dtype) @ net.w[0].T).to(x.dtype)), w=weights, b=nn.Linear(4, 3)
    )


def forward_hook(change: Callable[..., object]) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        net = plain()
        net[0].register_forward_hook(change)
        return net

    return make


def pre_hook() -> nn.Module:
    net = plain()
    net[2].register_forward_pre_hook(lambda module, args: (args[0] * 2 - args[0].detach(),))
    return net


def backward_hook() -> nn.Module:
    net = plain()
    net[0].register_full_backward_hook(
        lambda module, grad_in, grad_out: tuple(g if g is None else 3 * g for g in grad_in)
    )
    return net


def output_backward_hook() -> nn.Module:
    net = plain()
    net[2].register_full_backward_hook(
        lambda module, grad_in, grad_out: tuple(g if g is None else 3 * g for g in grad_in)
    )
    return net


def parameter_hook() -> nn.Module:
    net = plain()
    net[0].weight.register_hook(lambda g: g * 0.25)
    return net


def checkpointed(reentrant: bool) -> Callable[..., Tensor]:
    def call(net, x):
        return net.b(torch.utils.checkpoint.checkpoint(lambda z: torch.tanh(net.a(z)), x, use_reentrant=reentrant))

    return call


class WrongBackward(torch.autograd.Function):
    """A square whose gradient is not its derivative: training follows it, so the step does; the movement is real."""

    @staticmethod
    def forward(ctx, h):
        ctx.save_for_backward(h)
        return h * h

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].cos()


class WrongJvp(torch.autograd.Function):
    """A square with a right backward and a jvp that is half as long."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h):
        return h * h

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0] * g

    @staticmethod
    def jvp(ctx, t):
        return ctx.saved_tensors[0] * t


class StraightThrough(torch.autograd.Function):
    """A sign whose gradient passes, in the form that `torch.func` takes."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h):
        return h.sign()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return g

    @staticmethod
    def jvp(ctx, t):
        return t


class Grad(torch.autograd.Function):
    """The identity with a jvp that raises."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h):
        return h.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return g


def with_grad_cache(net, x):
    net.last = torch.tanh(net.a(x))
    return net.b(net.last)


def reads_last(net, x):
    h = torch.tanh(net.a(x))
    if net.last is not None:
        h = h + 0.1 * net.last.detach().mean()
    net.last = h
    return net.b(h)


def toggles_mode(net, x):
    net.train()
    h = torch.tanh(net.a(x))
    net.eval()
    return net.b(h)


def trains_its_dropout(net, x):
    net.drop.train()
    return net.b(net.drop(torch.tanh(net.a(x))))


def numpy_round_trip(net, x):
    h = torch.tanh(net.a(x))
    return net.b(h + torch.from_numpy(np.round(h.detach().numpy() * 8) / 8).to(h.dtype))


def replaces_buffer(net, x):
    net.buffer = net.buffer * 0.5 + x.detach().mean() * 0
    return net.b(torch.tanh(net.a(x)))


def counts_samples(net, x):
    net.buffer = net.buffer + len(x)
    return net.b(torch.tanh(net.a(x)))


class Distance(nn.Module):
    """A hidden layer that is no module of its own, weights that are set by assignment to `data`."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.empty(3, 5))
        self.w.data = torch.randn(3, 5)

    def forward(self, x):
        return -(x[:, None, :] - self.w).pow(2).sum(-1)


class Property(nn.Module):
    """A weight that is computed by a property from two others."""

    def __init__(self):
        super().__init__()
        self.u, self.v = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(2, 5))

    @property
    def weight(self):
        return self.u @ self.v

    def forward(self, x):
        return F.linear(x, self.weight)


class Lazily(nn.Module):
    """Makes its second weight at the first call."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 4), nn.LazyLinear(3)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


def cast(kind: torch.dtype) -> Callable[..., Tensor]:
    return lambda net, x: net.b(torch.tanh(net.a(x)).to(kind).to(x.dtype))


def inference(net, x):
    with torch.inference_mode():
        h = torch.tanh(net.a(x))
    return net.b(h.clone())


def no_grad_features(net, x):
    with torch.no_grad():
        h = torch.tanh(net.a(x))
    return net.b(h)


def aliased_parameters() -> nn.Module:
    """Two parameters that are views of one storage: a step on either moves both."""
    net = nn.Sequential(nn.Linear(5, 5, bias=False), nn.Tanh(), nn.Linear(5, 3, bias=False))
    net[2].weight = nn.Parameter(net[0].weight.data[:3])
    return net


def siblings() -> nn.Module:
    net = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3))
    net[2].weight, net[2].bias = net[0].weight, net[0].bias
    return net


def same_module_twice() -> nn.Module:
    block = nn.Linear(5, 5)
    return nn.Sequential(block, nn.Tanh(), block, nn.Tanh(), nn.Linear(5, 3))


def deep_copy_of_itself() -> nn.Module:
    """Its forward pass runs a frozen copy of the model beside it, as a mean teacher."""
    net = of(lambda net, x: net.b(torch.tanh(net.a(x))) + 0.5 * net.held[0](x))()
    teacher = plain()
    net.held = [copy.deepcopy(teacher).requires_grad_(False)]
    return net


def scripted() -> nn.Module:
    return torch.jit.script(plain())


def traced() -> nn.Module:
    return torch.jit.trace(plain(), torch.ones(2, 5))


def fx_traced() -> nn.Module:
    return torch.fx.symbolic_trace(plain())


def ema_buffers(net, x):
    with torch.no_grad():
        net.buffer.mul_(0.9).add_(0.1 * x.mean())
    return net.b(torch.tanh(net.a(x)))


def grows(net, x):
    net.items.append(float(x.detach().mean()))
    return net.b(torch.tanh(net.a(x)) * (1 + 0.1 * len(net.items)))


def draws(net, x):
    return net.b(torch.tanh(net.a(x)) * (1 + torch.rand(1, generator=net.draw)))


def seeds_itself(net, x):
    torch.manual_seed(3)
    return net.b(torch.tanh(net.a(x)) * (1 + torch.rand(1)))


def own_seeds(net, x):
    draw = torch.Generator().manual_seed(3)
    return net.b(torch.tanh(net.a(x)) * (1 + torch.rand(1, generator=draw)))


def changes_its_weights(net, x):
    with torch.no_grad():
        net.a.weight.mul_(1.01)
    return net.b(torch.tanh(net.a(x)))


def replaces_its_weights(net, x):
    net.a.weight = nn.Parameter(net.a.weight.detach().clone())
    return net.b(torch.tanh(net.a(x)))


def freezes_itself(net, x):
    net.a.requires_grad_(False)
    return net.b(torch.tanh(net.a(x)))


def leaves_a_gradient(net, x):
    if torch.is_grad_enabled():
        net.a.weight.grad = torch.ones_like(net.a.weight)
    return net.b(torch.tanh(net.a(x)))


def registers_a_hook(net, x):
    net.a.register_forward_hook(lambda *_: None)
    return net.b(torch.tanh(net.a(x)))


def dictionary(net, x):
    return {"logits": net.b(torch.tanh(net.a(x)))}


def tuple_of_two(net, x):
    h = torch.tanh(net.a(x))
    return net.b(h), h


def raises(net, x):
    if len(x) > 1:
        raise KeyError("only one sample a time")
    return net.b(torch.tanh(net.a(x)))


def many_samples_only(net, x):
    if len(x) < 2:
        raise ValueError("a batch of one")
    return net.b(torch.tanh(net.a(x)))


def not_finite(net, x):
    return net.b(torch.log(net.a(x)))


def infinite_slope(net, x):
    return net.b(net.a(x * 0).sub(net.a.bias).abs().sqrt() + torch.tanh(net.a(x)))


def batch_size(net, x):
    return net.b(torch.tanh(net.a(x))) * len(x)


def chunks(net, x):
    return torch.cat([net.b(torch.tanh(net.a(part))) * (1 + place) for place, part in enumerate(x.split(2))])


def first_of_batch(net, x):
    return net.b(torch.tanh(net.a(x) - net.a(x[:1]) * 0.1))


def nearly_coupled(net, x):
    h = torch.tanh(net.a(x))
    return net.b(h + 1e-3 * (h - h.mean(0)))


def requires_grad_only(net, x):
    h = torch.tanh(net.a(x))
    return net.b(h * 2 if h.requires_grad else h)


def grad_enabled_only(net, x):
    h = torch.tanh(net.a(x))
    return net.b(h * 2 if torch.is_grad_enabled() else h)


def where_nan(net, x):
    h = net.a(x)
    return net.b(torch.where(h > 0, h.clamp(min=1e-12).sqrt(), 0.0))


def version_of_torch_function(net, x):
    return net.b(torch.Tensor(torch.tanh(net.a(x))))


class Subclass(torch.Tensor):
    """A tensor of a class of its own."""


def subclass(net, x):
    return net.b(torch.tanh(net.a(x)).as_subclass(Subclass).mul(2).as_subclass(torch.Tensor))


def jacobian_features(net, x):
    return net.b(torch.func.vmap(torch.func.jacrev(lambda row: torch.tanh(net.a(row)).sum()))(x) @ net.a.weight.T)


def inner_loop(net, x):
    """One step of a MAML-like inner loop on each sample's own reconstruction."""
    with torch.enable_grad():
        w = net.a.weight
        loss = torch.tanh(x @ w.T).square().sum()
        (g,) = torch.autograd.grad(loss, w, create_graph=True)
    return net.b(torch.tanh(x @ (w - 0.1 * g).T))


def sample_inner_loop(net, x):
    def one(row):
        g = torch.func.grad(lambda w: torch.tanh(w @ row).square().sum())(net.a.weight)
        return torch.tanh((net.a.weight - 0.1 * g) @ row)

    return net.b(torch.func.vmap(one)(x))


def fixed_point(net, x):
    h = torch.zeros_like(net.a(x))
    for _ in range(30):
        h = torch.tanh(net.a(x) + 0.3 * h)
    return net.b(h)


def implicit(net, x):
    """A fixed point found without a gradient, and one step with it: the gradient is not the derivative."""
    with torch.no_grad():
        h = torch.zeros_like(net.a(x))
        for _ in range(30):
            h = torch.tanh(net.a(x) + 0.3 * h)
    return net.b(torch.tanh(net.a(x) + 0.3 * h))


def quantized(net, x):
    scale = net.a.weight.abs().max() / 7
    w = (net.a.weight / scale).round() * scale
    return net.b(torch.tanh(F.linear(x, net.a.weight + (w - net.a.weight).detach(), net.a.bias)))


def normalised_at_last(net, x):
    return F.normalize(net.b(torch.tanh(net.a(x))), dim=1)


def huge(net, x):
    return net.b(torch.tanh(net.a(x))) * 1e4


def tiny(net, x):
    return net.b(torch.tanh(net.a(x))) * 1e-6


def complex_first() -> nn.Module:
    """Its first parameter is complex."""
    return Of(
        lambda net, x: net.b(torch.view_as_real(torch.tanh(x * net.w)).flatten(1)),
        w=nn.Parameter(torch.randn(5, dtype=torch.cfloat)), b=nn.Linear(10, 3),
    )  # fmt: skip


def widened(make: Callable[[], nn.Module]) -> nn.Module:
    """Return a model with its complex parameters in complex128."""
    net = make()
    for p in net.parameters():
        p.data = p.data.to(torch.complex128) if p.is_complex() else p.data
    return net


def buffer() -> Tensor:
    return nn.Buffer(torch.zeros(()))


TANH = lambda net, x: net.b(torch.tanh(net.a(x)))  # noqa: E731

MODELS: dict[str, Case] = {
    "plain": Case(plain, ("0", "1"), "measured"),
    "a closure over a part": Case(closure, ("a",), "measured"),
    "a closure over the model": Case(closure_over_itself, ("a",), "measured"),
    "a forward method replaced on the instance": Case(bound_method, ("0",), "measured"),
    "a module in a plain list": Case(hidden_from_parameters),
    "weights in a plain list": Case(weights_in_a_list),
    "a forward hook that doubles": Case(forward_hook(lambda m, a, out: out * 2), ("0",), "measured"),
    "a forward hook in place": Case(forward_hook(lambda m, a, out: out.mul_(2)), ("0",), "measured"),
    "a forward hook that rounds": Case(forward_hook(lambda m, a, out: out + (out.round() - out).detach()), ("0",)),
    "a forward hook that keeps the output": Case(forward_hook(lambda m, a, out: setattr(m, "last", out)), ("0",), "measured"),
    "a pre-hook with detach": Case(pre_hook, ("0",), "measured"),
    "a backward hook that trebles": Case(backward_hook, ("0",)),
    "a backward hook of the head": Case(output_backward_hook, ("0",)),
    "a hook of a parameter": Case(parameter_hook, ("0",)),
    "checkpoint": Case(of(checkpointed(False)), ()),
    "checkpoint, reentrant": Case(of(checkpointed(True)), ()),
    "a function with a wrong backward": Case(of(lambda net, x: net.b(WrongBackward.apply(net.a(x)))), ("a",)),
    "a function with a wrong jvp": Case(of(lambda net, x: net.b(WrongJvp.apply(net.a(x)))), ("a",)),
    "a straight-through function with a jvp that passes": Case(of(lambda net, x: net.b(StraightThrough.apply(net.a(x)))), ("a",)),
    "a function without a jvp": Case(of(lambda net, x: net.b(Grad.apply(net.a(x)))), ("a",)),
    "keeps its features with a graph": Case(of(with_grad_cache), ("a",), "measured"),
    "reads the features that it kept": Case(of(reads_last, last=lambda: None), ("a",)),
    "calls train and eval": Case(of(toggles_mode), ("a",), "measured"),
    "dropout that is always on": Case(of(trains_its_dropout, drop=lambda: nn.Dropout(0.5)), ("a",), "refused"),
    "a round trip through NumPy": Case(of(numpy_round_trip), ("a",)),
    "a buffer replaced by assignment": Case(of(replaces_buffer, buffer=buffer), ("a",), "measured"),
    "a buffer that counts samples": Case(of(counts_samples, buffer=buffer), ("a",), "measured"),
    "a running mean that no output reads": Case(of(ema_buffers, buffer=buffer), ("a",), "measured"),
    "a list that grows and is read": Case(of(grows, items=list), ("a",)),
    "a generator of its own": Case(of(draws, draw=lambda: torch.Generator().manual_seed(2)), ("a",)),
    "sets the global seed": Case(of(seeds_itself), ("a",)),
    "a new generator with a fixed seed": Case(of(own_seeds), ("a",)),
    "changes its weights": Case(of(changes_its_weights), ("a",)),
    "replaces its weights": Case(of(replaces_its_weights), ("a",)),
    "freezes a part of itself": Case(of(freezes_itself), ("a",)),
    "leaves a gradient": Case(of(leaves_a_gradient), ("a",)),
    "registers a hook at each call": Case(of(registers_a_hook), ("a",), "measured"),
    "a loose prototype": Case(Distance, (), "measured"),
    "a weight that is a property": Case(Property, (), "measured"),
    "not yet initialised": Case(Lazily, ("a",), "refused"),
    "bfloat16 inside": Case(of(cast(torch.bfloat16)), ("a",), make_double=of(cast(torch.float64))),
    "float16 inside": Case(of(cast(torch.float16)), ("a",), make_double=of(cast(torch.float64))),
    "float64 inside": Case(of(cast(torch.float64)), ("a",), "measured"),
    "inference mode inside": Case(of(inference), ("a",)),
    "features without a gradient": Case(of(no_grad_features), ("a",), "measured"),
    "two parameters of one storage": Case(aliased_parameters, ("0",)),
    "submodules that share parameters": Case(siblings, ("0", "2"), "measured"),
    "one module twice": Case(same_module_twice, ("1",)),
    "a frozen teacher in a list": Case(deep_copy_of_itself, ("a",), "measured"),
    "torch.jit.script": Case(scripted, ()),
    "torch.jit.trace": Case(traced, ()),
    "torch.fx": Case(fx_traced, ("0",), "measured"),
    "DataParallel": Case(lambda: nn.DataParallel(plain()), ("0",), "measured"),
    "a dictionary": Case(of(dictionary), ("a",), "measured"),
    "two outputs": Case(of(tuple_of_two), ("a",)),
    "three axes of logits": Case(lambda: nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)), ("0",), "either", (2, 5)),
    "runs on single samples only": Case(of(raises), ("a",)),
    "runs on batches only": Case(of(many_samples_only), ("a",)),
    "features that are not finite": Case(of(not_finite), ("a",)),
    "an infinite slope": Case(of(infinite_slope), ("a",)),
    "times the size of the batch": Case(of(batch_size), ("a",), "refused"),
    "by place in the batch": Case(of(chunks), ("a",), "refused"),
    "against the first of the batch": Case(of(first_of_batch), ("a",), "refused"),
    "a weak coupling": Case(of(nearly_coupled), ("a",), "refused"),
    "otherwise where a gradient is taken": Case(of(requires_grad_only), ("a",)),
    "otherwise where gradients are enabled": Case(of(grad_enabled_only), ("a",)),
    "where and sqrt": Case(of(where_nan), ("a",)),
    "a subclass of Tensor": Case(of(subclass), ("a",)),
    "a Jacobian as feature": Case(of(jacobian_features), ()),
    "an inner loop over the batch": Case(of(inner_loop), ()),
    "an inner loop of each sample": Case(of(sample_inner_loop), ()),
    "a fixed point": Case(of(fixed_point), (), "measured"),
    "an implicit layer": Case(of(implicit), ()),
    "quantized weights": Case(of(quantized), ()),
    "unit logits": Case(of(normalised_at_last), ("a",), "measured"),
    "large logits": Case(of(huge), ("a",)),
    "small logits": Case(of(tiny), ("a",), "measured"),
    "no units": Case(lambda: nn.Sequential(nn.Linear(5, 0), nn.Linear(0, 3)), ()),
    "one class": Case(lambda: nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1)), ("0",), "either", (5,), 1),
    "no hidden layer": Case(lambda: nn.Sequential(nn.Linear(5, 3)), (), "measured"),
    "nothing but a bias": Case(lambda: Of(lambda net, x: net.bias.expand(len(x), 3), bias=nn.Parameter(torch.randn(3))), (), "measured"),
    "a parameter that is not read": Case(of(TANH, unread=lambda: nn.Parameter(torch.ones(2))), ("a",), "measured"),
    "a parameter of integers": Case(of(TANH, whole=lambda: nn.Parameter(torch.ones(2, dtype=torch.long), requires_grad=False)), ("a",), "measured"),
    "a complex parameter": Case(of(lambda net, x: net.b((torch.tanh(net.a(x)) * net.w).real), w=lambda: nn.Parameter(torch.randn(4, dtype=torch.cfloat))), ("a",)),
    "a complex first parameter": Case(complex_first, (), "measured", make_double=lambda: widened(complex_first)),
    "a first parameter in float64": Case(lambda: Of(lambda net, x: net.b(torch.tanh(net.a(x.to(net.w.dtype) * net.w).float() if False else (x.double() * net.w).to(net.a.weight.dtype) @ net.a.weight.T)), w=nn.Parameter(torch.ones(5, dtype=torch.float64)), a=nn.Linear(5, 4), b=nn.Linear(4, 3)), ()),
}  # fmt: skip
