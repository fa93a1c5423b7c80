"""What stops the gradient, and not the movement."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812

from .contract import kind


@kind()
def detached_gate(net, x):
    h = net.a(x)
    return net.b(h * torch.sigmoid(h).detach())


@kind()
def data_gate(net, x):
    h = net.a(x)
    return net.b(h * torch.tanh(h).data)


@kind()
def no_grad_block(net, x):
    h = net.a(x)
    with torch.no_grad():
        scale = h.square().mean(1, keepdim=True).sqrt()
    return net.b(h / scale)


@torch.no_grad()
def _gate(h):
    return torch.sigmoid(3 * h)


@kind()
def no_grad_decorator(net, x):
    h = net.a(x)
    return net.b(h * _gate(h))


@kind()
def grad_switched_off(net, x):
    h = net.a(x)
    with torch.set_grad_enabled(False):
        g = torch.tanh(net.a(h))
    return net.b(h + g)


@kind()
def detach_in_place(net, x):
    h = net.a(x)
    g = (h * 1).detach_()
    return net.b(h * g)


@kind()
def flag_taken_off(net, x):
    h = net.a(x)
    return net.b(h * h.detach().requires_grad_(False).exp())


@kind()
def straight_through(net, x):
    h = net.a(x)
    return net.b(h + ((3 * h).round() / 3 - h).detach())


@kind()
def hard_choice(net, x):
    soft = F.softmax(net.a(x), -1)
    hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return net.b((hard - soft.detach() + soft) * net.a(x))


@kind()
def no_grad_layer(net, x):
    with torch.no_grad():
        h = net.a(x)
    return net.b(torch.tanh(h))
