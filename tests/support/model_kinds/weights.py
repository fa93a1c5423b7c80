"""Weights that are computed, tied, or read in several ways."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .contract import kind


@kind(e=lambda: nn.Embedding(5, 4), shape=None)
def tied_embedding(net, x):
    return F.linear(torch.tanh(net.e(x).sum(1)), net.e.weight)[:, :3]


@kind(e=lambda: nn.Embedding(5, 4), shape=None)
def embedding_weight_computed(net, x):
    return net.b(F.embedding(x, torch.tanh(net.e.weight) * 2).sum(1))


@kind(e=lambda: nn.Embedding(5, 4, padding_idx=-1), shape=None)
def embedding_padding(net, x):
    return net.b(torch.tanh(net.e(x)).mean(1))


@kind(e=lambda: nn.Embedding(5, 4), shape=None)
def embedding_two_paddings(net, x):
    h = F.embedding(x, net.e.weight, padding_idx=1) + F.embedding(x, net.e.weight)
    return net.b(torch.tanh(h).mean(1))


@kind(e=lambda: nn.Embedding(5, 4, scale_grad_by_freq=True), shape=None)
def embedding_by_frequency(net, x):
    return net.b(torch.tanh(net.e(x)).mean(1))


@kind(e=lambda: nn.Embedding(5, 4, sparse=True), shape=None)
def embedding_sparse(net, x):
    return net.b(torch.tanh(net.e(x)).mean(1))


@kind(e=lambda: nn.Embedding(5, 4, max_norm=1.0), shape=None)
def embedding_max_norm(net, x):
    return net.b(torch.tanh(net.e(x)).mean(1))


@kind(e=lambda: nn.EmbeddingBag(5, 4, mode="sum"), shape=None)
def embedding_bag(net, x):
    return net.b(torch.tanh(net.e(x)))


@kind(e=lambda: nn.EmbeddingBag(5, 4, mode="mean", padding_idx=1), shape=None)
def embedding_bag_mean(net, x):
    return net.b(torch.tanh(net.e(x)))


@kind(e=lambda: nn.EmbeddingBag(5, 4, mode="max"), shape=None)
def embedding_bag_max(net, x):
    return net.b(torch.tanh(net.e(x)))


@kind(e=lambda: nn.Embedding(5, 4), shape=None)
def one_hot_matmul(net, x):
    return net.b(torch.tanh(F.one_hot(x, 5).to(net.e.weight.dtype) @ net.e.weight).sum(1))


@kind(w=lambda: nn.Parameter(torch.randn(3, 3, 3)), shape=(3, 9), b=lambda: nn.Linear(3, 3))
def two_dilations(net, x):
    h = torch.tanh(F.conv1d(x, net.w, padding=1))
    return net.b(torch.tanh(F.conv1d(h, net.w, padding=2, dilation=2)).mean(2))


@kind(w=lambda: nn.Parameter(torch.randn(2, 2, 3, 3)), shape=(2, 6, 6), b=lambda: nn.Linear(2, 3))
def two_strides(net, x):
    h = torch.tanh(F.conv2d(x, net.w, padding=1))
    return net.b(torch.tanh(F.conv2d(h, net.w, stride=2)).mean((2, 3)))


@kind(w=lambda: nn.Parameter(torch.randn(4, 2, 3)), shape=(4, 8))
def two_groupings(net, x):
    h = torch.tanh(F.conv1d(x, net.w, padding=1, groups=2))
    return net.b(torch.tanh(F.conv1d(h[:, :2], net.w, padding=1)).mean(2))


@kind(a=lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)))
def weight_norm(net, x):
    return net.b(torch.tanh(net.a(x)))


@kind(a=lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)))
def spectral_norm(net, x):
    return net.b(torch.tanh(net.a(x)))


@kind(a=lambda: nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)))
def orthogonal(net, x):
    return net.b(torch.tanh(net.a(x)))


@kind(m=lambda: torch.tensor([[1.0, 0, 1, 0]]))
def masked_weight(net, x):
    return net.b(torch.tanh(F.linear(x, net.a.weight * net.m, net.a.bias)))


@kind(u=lambda: nn.Parameter(torch.randn(4, 1)), v=lambda: nn.Parameter(torch.randn(1, 4)))
def low_rank(net, x):
    return net.b(torch.tanh(F.linear(x, net.a.weight + net.u @ net.v, net.a.bias)))


@kind()
def tied_transposed(net, x):
    h = torch.tanh(net.a(x))
    return net.b(torch.tanh(F.linear(h, net.a.weight.t())))


@kind()
def bias_computed(net, x):
    return net.b(torch.tanh(F.linear(x, net.a.weight, 2 * net.a.bias)))


@kind(c=lambda: nn.Conv1d(2, 3, 3), shape=(2, 7), b=lambda: nn.Linear(3, 3))
def convolution_bias_computed(net, x):
    return net.b(torch.tanh(F.conv1d(x, net.c.weight, net.c.bias.square())).mean(2))


@kind()
def one_bias_of_two(net, x):
    h = torch.tanh(net.a(x)) + net.a.bias
    return net.b(F.linear(h, net.a.weight))


@kind()
def reshaped_weight(net, x):
    return net.b(torch.tanh(x @ net.a.weight.view(2, 8).reshape(4, 4)))


@kind(c=lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), shape=(2, 5, 5), b=lambda: nn.Linear(3, 3))
def circular_padding(net, x):
    return net.b(torch.tanh(net.c(x)).mean((2, 3)))


@kind(c=lambda: nn.ConvTranspose1d(2, 3, 3, stride=2), shape=(2, 5), b=lambda: nn.Linear(3, 3))
def transposed_convolution(net, x):
    return net.b(torch.tanh(net.c(x)).mean(2))


@kind(w=lambda: nn.Bilinear(4, 4, 4))
def bilinear(net, x):
    h = torch.tanh(net.a(x))
    return net.b(net.w(h, x))


@kind()
def weight_detached(net, x):
    h = torch.tanh(net.a(x))
    return net.b(h + torch.tanh(F.linear(h, net.a.weight.detach())))


@kind()
def weight_data(net, x):
    return net.b(torch.tanh(net.a(x)) * net.a.weight.data.norm())


@kind(r=lambda: nn.GRU(2, 4, batch_first=True), shape=(3, 2))
def recurrent(net, x):
    return net.b(net.r(x)[0][:, -1])


@kind(q=lambda: nn.MultiheadAttention(4, 2, batch_first=True), shape=(3, 4))
def attention_weights(net, x):
    y, weights = net.q(torch.tanh(net.a(x)), x, x, average_attn_weights=False)
    return net.b(y.sum(1) + weights.flatten(1)[:, :4])


@kind(n=lambda: nn.LayerNorm(4), shape=(4,))
def layer_norm_tied_to_a_gate(net, x):
    return net.b(net.n(net.a(x)) * net.n.weight)
