"""Options of functions, types of numbers, and functions off the usual way."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .contract import kind


@kind()
def rounding(net, x):
    h = net.a(x)
    return net.b(h + torch.div(h, 0.3, rounding_mode="trunc"))


@kind()
def alpha(net, x):
    h = net.a(x)
    return net.b(torch.add(torch.sub(torch.tanh(h), h, alpha=0.3), h * h, alpha=2))


@kind()
def addcmul_value(net, x):
    h = net.a(x)
    return net.b(torch.addcmul(h, h, torch.tanh(h), value=0.1))


@kind()
def softmax_dtype(net, x):
    return net.b(F.softmax(net.a(x), -1, dtype=torch.float64).log())


@kind()
def softmax_dtype_by_position(net, x):
    return net.b(torch.softmax(net.a(x), -1, torch.float64) + F.softmax(net.a(x), 1, 3))


@kind()
def softplus_threshold(net, x):
    return net.b(F.softplus(net.a(x), 3.0, 0.5))


@kind()
def gelu_tanh(net, x):
    return net.b(F.gelu(net.a(x), approximate="tanh"))


@kind()
def keepdim(net, x):
    h = net.a(x)
    return net.b(h / h.norm(dim=1, keepdim=True) - h.mean(1, keepdim=True) + h.amax(1, keepdim=True))


@kind(c=lambda: nn.Conv2d(1, 4, 3, padding=1), shape=(1, 5, 5))
def pooling_flags(net, x):
    h = torch.tanh(net.c(x))
    y = F.avg_pool2d(h, 2, ceil_mode=True, count_include_pad=False, padding=1)
    y = y.mean((2, 3)) + F.avg_pool2d(h, 2, divisor_override=3).sum((2, 3))
    return net.b(y + F.max_pool2d(h, 2, ceil_mode=True).mean((2, 3)))


@kind(c=lambda: nn.Conv2d(1, 4, 3, padding=1), shape=(1, 4, 4))
def pooling_indices(net, x):
    h, places = F.max_pool2d(torch.tanh(net.c(x)), 2, return_indices=True)
    return net.b(F.max_unpool2d(h, places, 2).mean((2, 3)) + F.lp_pool2d(h.abs() + 1, 2, 2).flatten(1))


@kind(p=lambda: nn.PReLU(4))
def prelu(net, x):
    return net.b(net.p(net.a(x)))


@kind()
def interpolation(net, x):
    h = torch.tanh(net.a(x)).view(-1, 1, 2, 2)
    return net.b(F.interpolate(h, size=(4, 4), mode="bicubic", antialias=True).flatten(1)[:, ::4])


@kind()
def padding_value(net, x):
    return net.b(F.pad(torch.tanh(net.a(x)), (1, 1), value=0.5)[:, :4])


@kind()
def complex_numbers(net, x):
    return net.b(torch.fft.fft(net.a(x)).abs() + torch.fft.ifft(net.a(x)).real)


@kind()
def real_transform(net, x):
    h = torch.fft.rfft(net.a(x))
    return net.b(torch.fft.irfft(h * h.conj() + 1j * h, n=4))


@kind()
def integer_cast(net, x):
    h = 3 * net.a(x)
    return net.b(h - h.long() + torch.floor(h))


@kind()
def sorted_values(net, x):
    h = net.a(x)
    return net.b(h.sort(dim=1).values * h.argsort(dim=1))


@kind()
def where_and_maximum(net, x):
    h = net.a(x)
    return net.b(torch.where(h > 0, h, torch.maximum(h * h, 0.1 * h.exp())))


@kind()
def scatter_reduce(net, x):
    h = net.a(x)
    return net.b(h.scatter_reduce(1, torch.tensor([[0, 0, 1, 3]]).expand(len(x), -1), torch.tanh(h), "prod"))


@kind()
def einsum_and_powers(net, x):
    h = net.a(x)
    return net.b(torch.einsum("ni,nj->nij", h, torch.tanh(h)).sum(2) + h.abs().pow(1.5) + 2**h)


@kind(d=lambda: nn.Dropout(0.5))
def dropout_in_evaluation_mode(net, x):
    return net.b(net.d(torch.tanh(net.a(x))))


@kind(n=lambda: nn.BatchNorm1d(4))
def batch_norm(net, x):
    return net.b(net.n(net.a(x)) - net.n.running_var)


@kind(alone=True, mean=lambda: torch.zeros(4), var=lambda: torch.ones(4))
def batch_norm_of_moving_statistics(net, x):
    h = net.a(x)
    return net.b(F.batch_norm(torch.tanh(h), h.detach()[0], 1 + h.detach()[0].square()))
