"""Numbers of Python, control flow, and functions of a user's own."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .contract import kind


@kind(alone=True)
def item(net, x):
    h = net.a(x)
    return net.b(h / h.norm().item())


@kind()
def item_of_a_parameter(net, x):
    return net.b(torch.tanh(net.a(x)) * net.b.weight.norm().item())


@kind(alone=True)
def float_of_a_feature(net, x):
    h = net.a(x)
    return net.b(h * float(h.square().sum()))


@kind()
def tolist(net, x):
    h = net.a(x)
    scale = h.sum(1).tolist()
    return net.b(h * torch.tensor(scale, dtype=h.dtype)[:, None])


@kind()
def numpy_numbers(net, x):
    h = net.a(x)
    return net.b(h * torch.from_numpy(h.detach().numpy() ** 2))


@kind(alone=True)
def new_tensor_of_a_feature(net, x):
    h = net.a(x)
    return net.b(h * torch.tensor(list(h[0])))


@kind(alone=True)
def item_for_control_flow(net, x):
    h = net.a(x)
    return net.b(h if h.sum().item() > 0 else torch.tanh(h))


@kind(alone=True)
def branch(net, x):
    h = net.a(x)
    if (h > 0.5).any():
        return net.b(torch.tanh(h))
    return net.b(h * h)


@kind(alone=True)
def loop_by_value(net, x):
    h, steps = net.a(x), 0
    while h.norm() > 0.1 and steps < 5:
        h, steps = h * 0.5 + 0.01 * h.square(), steps + 1
    return net.b(h)


@kind()
def rows_by_index(net, x):
    h = net.a(x)
    return torch.stack([net.b(h[i]) * (i + 1) / (i + 1) for i in range(len(x))])


@kind()
def list_of_rows(net, x):
    out = torch.zeros(len(x), 4, dtype=x.dtype)
    for i, row in enumerate(net.a(x)):
        out[i] = torch.tanh(row)
    return net.b(out)


@torch.jit.script
def _scripted(h: torch.Tensor) -> torch.Tensor:
    return h * torch.sigmoid(h)


@kind()
def scripted(net, x):
    return net.b(_scripted(net.a(x)))


@kind()
def aten_operator(net, x):
    h = torch.ops.aten.sin(net.a(x))
    torch.ops.aten.mul_(h, 2)
    return net.b(h)


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h):
        return h * h.sign()

    @staticmethod
    def backward(ctx, g):
        return g


@kind()
def own_function(net, x):
    return net.b(_Sign.apply(net.a(x)))


@kind()
def own_function_without_gradient(net, x):
    h = net.a(x)
    return net.b(h + _Sign.apply(h).detach())


class _Clipped(torch.autograd.Function):
    """Its derivatives are not those of its value."""

    @staticmethod
    def forward(ctx, h):
        ctx.save_for_backward(h)
        return torch.tanh(h).clamp(-0.5, 0.5)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].cos()

    @staticmethod
    def jvp(ctx, t):
        return 3 * t


@kind()
def own_function_with_a_wrong_derivative(net, x):
    return net.b(_Clipped.apply(net.a(x)))


_clipped = _Clipped.apply


@kind()
def own_function_kept_by_name(net, x):
    h = net.a(x)
    with torch.no_grad():
        g = _clipped(2 * h)
    return net.b(_clipped(h) + g)


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(h):
        return h * 2

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return -g

    @staticmethod
    def jvp(ctx, t):
        return 2 * t

    @staticmethod
    def vmap(info, in_dims, h):
        return _Reversed.apply(h), in_dims[0]


@kind()
def reversed_gradient(net, x):
    return net.b(_Reversed.apply(torch.tanh(net.a(x))))


@kind()
def reversed_gradient_stopped(net, x):
    h = net.a(x)
    return net.b(h + _Reversed.apply(torch.tanh(h)).detach())


@kind()
def checkpointed(net, x):
    return net.b(torch.utils.checkpoint.checkpoint(lambda h: torch.tanh(net.a(h)), x, use_reentrant=False))


@kind()
def autocast(net, x):
    with torch.autocast("cpu", enabled=False):
        h = net.a(x)
    return net.b(torch.tanh(h))


@kind()
def inference_mode(net, x):
    h = net.a(x)
    with torch.inference_mode():
        g = torch.tanh(h) * 2
    return net.b(h + g.clone())


@kind()
def distances(net, x):
    return net.b(torch.cdist(net.a(x)[:, None], net.a.weight[None].expand(len(x), -1, -1))[:, 0])


@kind(shape=(1, 4, 4), b=lambda: nn.Linear(16, 3), s=lambda: nn.Linear(16, 6))
def grid_sample(net, x):
    grid = F.affine_grid(net.s(x.flatten(1)).view(-1, 2, 3), x.shape, align_corners=False)
    return net.b(F.grid_sample(x, grid, align_corners=False).flatten(1))


@kind(
    c=lambda: nn.Conv2d(1, 4, 3), n=lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True), shape=(1, 5, 5)
)
def instance_norm(net, x):
    return net.b(net.n(net.c(x)).square().mean((2, 3)))


@kind(c=lambda: nn.Conv3d(1, 4, 2), shape=(1, 3, 3, 3))
def convolution_of_volumes(net, x):
    return net.b(torch.tanh(net.c(x)).mean((2, 3, 4)))


@kind()
def standardized_weight(net, x):
    w = net.a.weight
    w = (w - w.mean(1, keepdim=True)) / w.std(1, keepdim=True)
    return net.b(torch.tanh(F.linear(x, w, net.a.bias)))


@kind()
def aliased_gate(net, x):
    h = torch.sin(net.a(x))
    gate = h[:, :2]
    h[:, 2:] += gate
    h[:, :2] = 1.0
    return net.b(h + gate.repeat(1, 2))


@kind()
def reshaped_view_written(net, x):
    h = torch.sin(net.a(x)).unsqueeze(1).expand(-1, 3, -1).reshape(len(x), 12)
    h.unflatten(1, (3, 4)).diagonal(dim1=1, dim2=2).zero_()
    return net.b(h[:, :4] + h[:, 4:8] * h[:, 8:])


@kind()
def permuted_memory_written(net, x):
    h = torch.sin(net.a(x)).view(-1, 2, 2).permute(2, 0, 1)
    h[0] = h[1] * 2
    h.narrow(2, 0, 1).sub_(0.25)
    return net.b(h.permute(1, 2, 0).flatten(1))


@kind()
def index_put_and_masked_scatter(net, x):
    h = net.a(x)
    y = torch.sin(h)
    y.index_put_((torch.arange(len(x)), torch.full((len(x),), 1)), h[:, 0], accumulate=True)
    return net.b(torch.where(y > 0, y, 0.2 * y))


@kind(t=lambda: nn.Parameter(torch.randn(1, 4)))
def token_written(net, x):
    tokens = net.t.expand(len(x), -1).clone()
    tokens[:, 1:3] = torch.sin(net.a(x))[:, 1:3]
    tokens.mul_(net.t)
    return net.b(tokens)
