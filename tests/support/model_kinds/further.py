"""Further ones of each."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .contract import kind


@kind()
def one_hot_gate(net, x):
    h = net.a(x)
    return net.b(h * F.one_hot(h.argmax(1), 4) + (h > 0).to(h.dtype) * h.sign())


@kind()
def arrays(net, x):
    h = net.a(x)
    return net.b(h * torch.as_tensor(h.detach()) + torch.asarray(h.detach() * h) + torch.square(torch.as_tensor(h)))


@kind(n=lambda: nn.BatchNorm1d(4), g=lambda: nn.GroupNorm(2, 4))
def norms_in_place(net, x):
    h = net.n(net.a(x)).relu_()
    return net.b(h + net.g(h))


@kind()
def checkpointed_and_written(net, x):
    h = net.a(x)
    y = torch.empty_like(h)
    torch.nn.init.constant_(y, 0.5)
    y[:, 1:] = h[:, 1:]
    return net.b(y)


@kind()
def double_inside(net, x):
    h = net.a(x)
    return net.b((h.double() ** 3).to(h.dtype) + h.type(torch.float64).type_as(h))


@kind()
def mixed_products(net, x):
    h = net.a(x)
    return net.b(
        torch.addmm(h, h, net.a.weight, alpha=0.5)
        + torch.outer(h[:, 0], net.a.bias)
        + (h @ net.a.bias)[:, None]
        + torch.mv(h, net.a.bias)[:, None]
        + torch.tensordot(h, net.a.weight, 1)
    )


@kind()
def operators_by_name(net, x):
    h = net.a(x)
    y = torch.add(input=h, other=h * h, alpha=0.3) + torch.mul(input=h, other=h) + torch.sub(h, other=x)
    return net.b(y + torch.div(input=h, other=2 + h * h) + torch.rsub(h, 1, alpha=2) + 3.0 / (2 + h) + (1 - h))


@kind(alone=True)
def number_by_tensor(net, x):
    h = net.a(x)
    return net.b(F.leaky_relu(h, h.detach().mean()) + torch.full((4,), h.detach().sum().square(), dtype=x.dtype))


@kind(alone=True)
def scale_by_tensor(net, x):
    h = net.a(x)
    return net.b(torch.add(h, h * h, alpha=h.detach().mean()))


@kind(s=lambda: nn.Parameter(torch.tensor(0.3)))
def scalar_parameter(net, x):
    h = net.a(x)
    return net.b((h * net.s + net.s**2) / (1 + net.s) + torch.clamp(h, min=net.s) + h.masked_fill(h > 1, 0.5))


@kind(alone=True)
def number_for_control_flow(net, x):
    h = net.a(x)
    n = 1 + int(h.abs().sum() > 0.1) + (2 if bool(h.sum() > 0) else 0)
    return net.b(h**n)


@kind(s=lambda: nn.Parameter(torch.tensor([0.3])))
def slope_that_is_a_parameter(net, x):
    return net.b(F.leaky_relu(net.a(x), net.s.item()) + F.prelu(net.a(x), net.s) + net.s)


@kind(e=lambda: nn.EmbeddingBag(5, 4, mode="mean", padding_idx=2), shape=None)
def embedding_bag_with_offsets(net, x):
    return net.b(torch.tanh(net.e(x.flatten(), torch.arange(0, x.numel(), x.shape[1]))))


@kind(e=lambda: nn.EmbeddingBag(5, 4, mode="sum"), w=lambda: nn.Embedding(5, 1), shape=None)
def embedding_bag_weighted(net, x):
    return net.b(torch.tanh(net.e(x, per_sample_weights=net.w(x)[..., 0])))


@kind()
def guarded_hook(net, x):
    h = net.a(x)
    if h.requires_grad:
        h.register_hook(lambda g: 0.5 * g)
    return net.b(torch.tanh(h))


@kind()
def noise(net, x):
    return net.b(net.a(x) + torch.randn(4, dtype=x.dtype))


@kind(alone=True)
def noise_and_branch(net, x):
    h = net.a(x)
    return net.b(h + torch.randn(4, dtype=x.dtype) * 0.1) if h.sum() > -100 else h


@kind()
def dropout_by_function(net, x):
    return net.b(F.dropout(net.a(x), 0.5))


@kind(shape=(3, 4))
def dropout_in_attention(net, x):
    h = net.a(x)
    return net.b(F.scaled_dot_product_attention(h, h, h, dropout_p=0.3).sum(1))


@kind()
def param_modified(net, x):
    with torch.no_grad():
        net.a.weight.mul_(1.0)
    return net.b(torch.tanh(net.a(x)))


@kind()
def param_data_modified(net, x):
    w = net.a.weight.data
    w.clamp_(-0.4, 0.4)
    return net.b(torch.tanh(net.a(x)))


@kind()
def param_clip_view(net, x):
    with torch.no_grad():
        net.a.weight[0].clamp_(-0.3, 0.3)
    return net.b(torch.tanh(net.a(x)))


@kind()
def set_data(net, x):
    h = net.a(x)
    h.data = h.data * 2
    return net.b(torch.tanh(h))


@kind()
def fake_quantized(net, x):
    return net.b(torch.fake_quantize_per_tensor_affine(net.a(x).float(), 0.1, 0, -128, 127).to(x.dtype))


@kind()
def vmap_inside(net, x):
    return net.b(torch.func.vmap(lambda r: torch.tanh(r) * r.sum())(net.a(x)))


@kind()
def grad_inside(net, x):
    return net.b(torch.func.vmap(torch.func.grad(lambda r: (torch.tanh(net.a(r)) ** 2).sum()))(x))


@kind(shape=(3, 4))
def nested_lists(net, x):
    hs = [net.a(x[:, i]) for i in range(3)]
    hs[0].mul_(2)
    out = torch.stack(hs)
    out[1] = hs[0] * hs[2]
    return net.b(out.sum(0))


@kind()
def written_through_a_detached_alias(net, x):
    h = net.a(x)
    a = h.detach()
    b = a.view(-1)
    b[::2] = 0.3
    return net.b(h * 2)


@kind()
def cat_out(net, x):
    h = net.a(x)
    out = torch.zeros(len(x), 8, dtype=x.dtype)
    with torch.no_grad():
        torch.cat([h, h * h], 1, out=out)
    return net.b(torch.tanh(h) + out[:, :4] * out[:, 4:])


@kind()
def strided_writes(net, x):
    h = torch.sin(net.a(x))
    w = h.as_strided((len(x), 2), (4, 2))
    w.mul_(3)
    return net.b(h)


@kind()
def diag_write(net, x):
    m = torch.diag_embed(net.a(x))
    m.diagonal(dim1=1, dim2=2).add_(1)
    m[:, 0, 1] = m[:, 2, 2] * 2
    return net.b(m.sum(1) + m[:, 0].square())


@kind()
def columns_of_new_zeros(net, x):
    h = net.a(x)
    out = x.new_zeros(len(x), 4)
    for i in range(4):
        out[:, i] = h[:, i] * (i + 1)
    return net.b(out)


@kind()
def full_then_add(net, x):
    h = net.a(x)
    out = torch.full_like(h, 0.5)
    out += h
    out[:, -1] = 0
    return net.b(out.exp())


@kind(m=lambda: torch.ones(4, 4))
def matrix_normalized_in_place(net, x):
    m = net.m.clone()
    m[0, 1] = 0
    m /= m.sum(1, keepdim=True)
    return net.b(torch.tanh(net.a(x) @ m))


@kind()
def masks_in_place(net, x):
    h = net.a(x)
    mask = torch.zeros_like(h, dtype=torch.bool)
    mask[:, 1:] = h[:, 1:] > 0
    mask |= h < -0.3
    mask.logical_not_()
    return net.b(h.masked_fill(mask, 0.0) + h.where(mask, torch.tensor(0.1, dtype=x.dtype)))


@kind()
def int_write(net, x):
    h = net.a(x)
    i = torch.zeros(len(x), 4, dtype=torch.long)
    i.copy_(3 * h)
    return net.b(h * i)


@kind(s=lambda: nn.Parameter(torch.rand(4)))
def param_view_chain(net, x):
    s = net.s.view(2, 2).t().reshape(-1)
    return net.b(net.a(x) * s + net.s.unsqueeze(0).expand(len(x), -1)[:, [3, 2, 1, 0]])


@kind(c=lambda: nn.Conv2d(2, 4, 3, groups=2, padding="same"), shape=(2, 5, 5))
def convolution_of_one_image(net, x):
    return net.b(torch.stack([torch.tanh(net.c(i)).mean((1, 2)) for i in x]))


@kind(c=lambda: nn.Conv1d(2, 4, 3), shape=(2, 6))
def kernel_as_a_matrix(net, x):
    h = torch.tanh(net.c(x)).mean(2)
    return net.b(h + F.linear(x[:, :, :3].flatten(1), net.c.weight.flatten(1), net.c.bias))


@kind(e=lambda: nn.Embedding(5, 4), shape=None)
def tied_embedding_with_padding(net, x):
    return (
        net.b(torch.tanh(F.embedding(x, net.e.weight, padding_idx=-2)).sum(1))
        + (net.e(x).sum(1) @ net.e.weight.T)[:, :3]
    )


@kind(n=lambda: nn.BatchNorm1d(4))
def batch_norm_twice(net, x):
    return net.b(net.n(net.a(net.n(net.a(x)))))


@kind(n=lambda: nn.RMSNorm(4))
def root_mean_square_norm(net, x):
    return net.b(net.n(net.a(x)))


@kind(l=lambda: nn.Linear(4, 4, bias=False))
def layer_on_rows_and_positions(net, x):
    return net.b(net.l(torch.stack([net.a(x), x], 1)).sum(1) + net.l(net.a(x)))


@kind()
def moving_average_without_gradient(net, x):
    h = net.a(x)
    m = torch.zeros(len(x), 1, dtype=x.dtype)
    with torch.no_grad():
        for i in range(4):
            m = 0.9 * m + 0.1 * h[:, i : i + 1]
    return net.b(h - m)


@kind()
def set_grad_decorated(net, x):
    h = net.a(x)
    f = torch.no_grad()(lambda v: v.softmax(1) * 2)
    g = torch.enable_grad()(lambda v: v.square())
    return net.b(g(h) * f(h))
