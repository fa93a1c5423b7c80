"""Operations in place, written views, and aliases."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .contract import kind


@kind()
def clamp_min_(net, x):
    return net.b(net.a(x).clamp_min_(0))


@kind()
def masked_fill_(net, x):
    h = net.a(x)
    return net.b(torch.sin(h).masked_fill_(h.detach() > 0.3, 0.5))


@kind()
def copy_into_zeros_like(net, x):
    h = torch.tanh(net.a(x))
    return net.b(torch.zeros_like(h).copy_(h * h))


@kind()
def addcmul_(net, x):
    h = net.a(x)
    return net.b(torch.sin(h).addcmul_(torch.sin(h), h, value=0.5))


@kind()
def index_add_(net, x):
    h = net.a(x)
    return net.b(torch.sin(h).index_add_(1, torch.tensor([0, 2]), h[:, :2], alpha=2.0))


@kind()
def scatter_(net, x):
    h = net.a(x)
    return net.b(torch.sin(h).scatter_(1, torch.tensor([[0, 2]]).expand(len(x), -1), h[:, 2:] * 3))


@kind()
def set_items(net, x):
    h = net.a(x)
    y = torch.sin(h)
    y[:, 1:3] = h[:, :2] ** 2
    y[..., -1] = 0.7
    return net.b(y)


@kind()
def shift_within_itself(net, x):
    h = torch.tanh(net.a(x))
    g = h * 1
    g[:, 1:] = g[:, :-1].clone()
    return net.b(g * h)


@kind()
def slices_of_zeros(net, x):
    out = torch.zeros(len(x), 4, dtype=x.dtype)
    out[:, ::2] = torch.tanh(net.a(x))[:, ::2]
    return net.b(out)


@kind()
def slices_of_new_zeros(net, x):
    h = torch.tanh(net.a(x))
    out = h.new_zeros(len(x), 4)
    out[:, ::2] = h[:, ::2]
    row = out[:, 1]
    row.add_(h[:, 3])
    return net.b(out)


@kind()
def slices_of_empty_like(net, x):
    h = torch.tanh(net.a(x))
    out = torch.empty_like(h)
    out[:, :2], out[:, 2:] = h[:, 2:], h[:, :2] * 2
    return net.b(out)


@kind()
def older_alias_of_zeros(net, x):
    h = torch.tanh(net.a(x))
    out = torch.zeros_like(h)
    flat = out.view(-1)
    out.add_(h)
    return net.b(flat.view(h.shape))


@kind()
def relu_of_a_view(net, x):
    h = net.a(x)
    F.relu(h[:, 1:], inplace=True)
    return net.b(h)


@kind(act=lambda: nn.ReLU(inplace=True))
def module_relu_of_a_view(net, x):
    h = net.a(x)
    left, right = h[:, :2], h[:, 2:]
    net.act(right)
    return net.b(torch.cat([left, right], 1) + h)


@kind()
def torch_relu_(net, x):
    return net.b(torch.relu_(net.a(x)))


@kind()
def leaky_relu_(net, x):
    h = F.leaky_relu_(net.a(x), 0.3)
    return net.b(h)


@kind()
def elu_in_place(net, x):
    return net.b(F.elu(net.a(x), 0.7, True))


@kind()
def hardtanh_in_place(net, x):
    h = net.a(x)
    F.hardtanh(h, -0.3, 0.4, inplace=True)
    return net.b(h)


@kind()
def column_mul_(net, x):
    h = net.a(x)
    h[:, 0].mul_(2)
    return net.b(torch.tanh(h))


@kind()
def flat_add_(net, x):
    h = net.a(x)
    h.view(-1).add_(1)
    return net.b(torch.tanh(h))


@kind()
def transposed_set(net, x):
    h = net.a(x)
    h.T[0] = torch.ones(len(x), dtype=x.dtype)
    return net.b(torch.tanh(h))


@kind()
def split_mul_(net, x):
    h = net.a(x) * 1
    left, right = h[:, :2], h[:, 2:]
    right *= torch.tanh(left.detach())
    return net.b(h)


@kind()
def unbind_add_(net, x):
    h = net.a(x) * 1
    for i in range(4):
        h[:, i].add_(i)
    return net.b(torch.tanh(h))


@kind()
def alias_read_after_a_write(net, x):
    h = net.a(x) + 0
    same = h.view(len(x), 2, 2)
    h += 0.5 * torch.tanh(h)
    return net.b(same.flatten(1) * 2)


@kind()
def old_value_before_a_write(net, x):
    h = net.a(x) + 0
    before = h + 0
    h += 1 + torch.tanh(before)
    return net.b(h * before)


@kind()
def detached_alias_written(net, x):
    h = net.a(x) + 0
    h.detach().mul_(3)
    return net.b(h + 0)


@kind()
def data_written(net, x):
    h = net.a(x) + 0
    h.data[:, 1] = 2 * h.data[:, 0]
    return net.b(h + 0)


@kind()
def out_argument(net, x):
    h = net.a(x)
    with torch.no_grad():
        out = torch.empty_like(h)
        torch.mul(h, h, out=out)
    return net.b(torch.tanh(h) + out)


@kind()
def add_out_of_a_slice(net, x):
    h = net.a(x)
    out = torch.zeros(len(x), 8, dtype=x.dtype)
    with torch.no_grad():
        torch.add(h, 1, out=out[:, 2:6])
    return net.b(torch.tanh(h) * (1 + out[:, 1:5] + out[:, 4:]))


@kind(alone=True, past=lambda: torch.zeros(4))
def buffer_written(net, x):
    h = torch.tanh(net.a(x))
    net.past.mul_(0.5).add_(h.detach()[0])
    return net.b(h + net.past)


@kind(alone=True, past=lambda: torch.ones(4))
def buffer_assigned(net, x):
    h = torch.tanh(net.a(x))
    net.past = 0.9 * net.past + 0.1 * h.detach().mean(0)
    return net.b(h - net.past)


@kind()
def scaled_in_place_by_a_parameter(net, x):
    h = net.a(x) * 1
    h *= net.b.weight[0]
    h += net.a.bias
    return net.b(torch.tanh(h))


@kind(g=lambda: nn.Parameter(torch.tensor([0.5, 1.5, -1.0, 2.0])))
def gain_in_place(net, x):
    h = torch.sin(net.a(x))
    h *= net.g
    return net.b(h)


@kind()
def expanded_then_written(net, x):
    h = net.a(x)
    wide = h[:, None].expand(-1, 2, -1).clone()
    wide[:, 1].pow_(2)
    return net.b(wide.sum(1))


@kind(alone=True)
def mask_in_place(net, x):
    h = net.a(x) * 1
    h[h > 0] = 0.25
    return net.b(h)


@kind()
def mask_iand(net, x):
    h = net.a(x)
    mask = h > 0
    mask &= h < 0.5
    return net.b(h * mask)


@kind()
def written_input(net, x):
    x *= 2
    return net.b(torch.tanh(net.a(x)))


@kind()
def squeeze_(net, x):
    return net.b(torch.sin(net.a(x)[:, None]).squeeze_(1))


@kind()
def lerp_and_clamp_(net, x):
    h = net.a(x)
    return net.b(torch.sin(h).lerp_(h, 0.3).clamp_(-0.4, 0.6).exp_())


@kind()
def fill_by_a_moving_number(net, x):
    h = net.a(x)
    y = torch.sin(h)
    y[:, 1:2].fill_(2.0)
    y[:, 0] = h.square().sum(1)
    return net.b(y)


@kind(c=lambda: nn.Conv2d(1, 4, 3, padding=1), n=lambda: nn.BatchNorm2d(4), shape=(1, 5, 5))
def convolution_then_its_input_is_written(net, x):
    h = torch.tanh(net.c(x))
    with torch.no_grad():
        g = F.conv2d(h, net.c.weight.expand(4, 4, 3, 3), padding=1)
    k = net.c(h.mean(1, keepdim=True))
    y = net.n(k).relu_()
    return net.b((y + g).mean((2, 3)))
