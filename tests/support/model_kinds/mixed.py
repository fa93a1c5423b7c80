"""More of each, and several at once."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .contract import kind


@kind()
def augmented_item(net, x):
    h = torch.sin(net.a(x))
    h[:, 0] += net.a(x)[:, 1]
    h[:, 1:3] *= 0.5
    return net.b(h)


@kind()
def swapped_halves(net, x):
    h = torch.sin(net.a(x))
    h[:, :2], h[:, 2:] = h[:, 2:] * 2, h[:, :2] * 3
    return net.b(h)


@kind()
def standardized_in_place(net, x):
    h = net.a(x) + 0
    h.sub_(h.mean(1, keepdim=True)).div_(h.detach().std(1, keepdim=True) + 0.1)
    return net.b(h)


@kind()
def weight_written_in_a_copy(net, x):
    w = net.a.weight.clone()
    w.fill_diagonal_(0).clamp_(-0.4, 0.4)
    w[0] *= 2
    return net.b(F.linear(x, w, net.a.bias))


@kind()
def batched_product_in_place(net, x):
    h = net.a(x).view(-1, 2, 2)
    y = torch.sin(h)
    y.baddbmm_(h, h.mT, beta=0.5, alpha=2)
    return net.b(y.flatten(1))


@kind(act=lambda: nn.SiLU(inplace=True), drop=lambda: nn.Dropout(0.3, inplace=True))
def modules_in_place(net, x):
    return net.b(net.drop(net.act(net.a(x))))


@kind(cache=lambda: torch.zeros(3, 4))
def cache_written(net, x):
    cache = net.cache.expand(len(x), 3, 4).clone()
    cache[:, 1] = torch.tanh(net.a(x))
    cache[:, 2].copy_(cache[:, 1] * 2)
    return net.b(cache.sum(1))


@kind()
def flipped_onto_itself(net, x):
    h = net.a(x) + 0
    h.copy_(h.flip(1) * 2)
    return net.b(h)


@kind()
def several_in_place(net, x):
    h, g = net.a(x) + 0, torch.sin(net.a(x))
    torch._foreach_mul_([h, g], 2.0)
    return net.b(h * g)


@kind()
def clamped_by_a_moving_bound(net, x):
    h = net.a(x)
    return net.b(torch.sin(h).clamp_(max=h.mean(1, keepdim=True)))


@kind()
def overlapping_windows(net, x):
    h = torch.sin(net.a(x))
    windows = h.unfold(1, 2, 1)
    h.mul_(2)
    return net.b(F.pad(windows.prod(2), (0, 1)) + h)


@kind()
def imaginary_part_written(net, x):
    z = torch.complex(net.a(x), torch.sin(net.a(x)))
    z.imag.mul_(2)
    return net.b(z.abs())


def _hooked():
    layer = nn.Linear(4, 4)
    layer.register_forward_hook(lambda module, inputs, output: output.mul_(2).sin_())
    return layer


@kind(a=_hooked)
def hook_in_place(net, x):
    return net.b(net.a(x))


@kind()
def nested_views_written(net, x):
    h = torch.sin(net.a(x))
    view = h.view(-1, 2, 2)[:, 0]
    view[:, 1] = 3 * view[:, 0]
    view.T.add_(1)
    return net.b(h)


@kind()
def ignored_copy_written(net, x):
    h = torch.sin(net.a(x))
    copied = h.clone()
    copied.zero_()
    h.contiguous().reshape(-1)[0:1].add_(0.0)
    return net.b(h + copied)


@kind(p=lambda: nn.ParameterList([nn.Parameter(torch.randn(4, 4)) for _ in range(2)]))
def parameter_list(net, x):
    for w in net.p:
        x = torch.tanh(x @ w)
    return net.b(x)


@kind(w=lambda: nn.Parameter(torch.randn(2, 4, 4)))
def rows_of_a_weight(net, x):
    return net.b(F.linear(torch.tanh(F.linear(x, net.w[0])), net.w[1]))


@kind(h=lambda: nn.Linear(4, 16))
def weights_of_features(net, x):
    w = net.h(x).view(-1, 4, 4)
    return net.b(torch.tanh(torch.bmm(w, x[:, :, None])[:, :, 0]))


@kind(h=lambda: nn.Linear(8, 6), shape=(2, 4), b=lambda: nn.Linear(2, 3))
def kernels_of_features(net, x):
    w = net.h(x.flatten(1)).view(-1, 1, 3)
    y = F.conv1d(x.reshape(1, -1, 4), w, padding=1, groups=2 * len(x))
    return net.b(torch.tanh(y).view(len(x), 2, 4).mean(2))


@kind()
def quantized_weight(net, x):
    w = net.a.weight
    return net.b(torch.tanh(F.linear(x, w + ((4 * w).round() / 4 - w).detach(), net.a.bias)))


@kind(r=lambda: nn.LSTM(2, 4, 2, batch_first=True), shape=(3, 2))
def long_memory(net, x):
    return net.b(net.r(x)[0][:, -1])


@kind(r=lambda: nn.GRUCell(4, 4))
def cell(net, x):
    h = torch.zeros_like(x)
    for _ in range(3):
        h = net.r(x, h)
    return net.b(h)


@kind(q=lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=3, batch_first=True), shape=(3, 4))
def attention_of_other_widths(net, x):
    return net.b(net.q(torch.tanh(net.a(x)), x[..., :3], x[..., 1:])[0].sum(1))


@kind(t=lambda: nn.TransformerDecoderLayer(4, 2, 8, batch_first=True), shape=(3, 4))
def decoder(net, x):
    mask = nn.Transformer.generate_square_subsequent_mask(3, dtype=x.dtype)
    return net.b(net.t(net.a(x), x, tgt_mask=mask, tgt_is_causal=True)[:, -1])


@kind(bias=lambda: nn.Parameter(torch.randn(2, 3, 3)), shape=(3, 4))
def attention_with_learned_scores(net, x):
    h = net.a(x).unflatten(2, (2, 2)).transpose(1, 2)
    y = F.scaled_dot_product_attention(h, torch.tanh(h), h, attn_mask=net.bias, scale=0.7)
    return net.b(y.transpose(1, 2).flatten(2).mean(1))


@kind(shape=(3, 4))
def attention_in_groups(net, x):
    h = net.a(x).unflatten(2, (2, 2)).transpose(1, 2)
    y = F.scaled_dot_product_attention(h, h[:, :1], h[:, 1:], enable_gqa=True, is_causal=True)
    return net.b(y.transpose(1, 2).flatten(2).mean(1))


@kind(
    c=lambda: nn.Conv2d(2, 2, 3, padding="same", dilation=2),
    d=lambda: nn.Conv2d(2, 2, 1),
    shape=(2, 5, 5),
    b=lambda: nn.Linear(2, 3),
)
def bias_of_two_convolutions(net, x):
    h = torch.tanh(F.conv2d(x, net.c.weight, net.c.bias, padding="same", dilation=2))
    return net.b(torch.tanh(F.conv2d(h, net.d.weight, net.c.bias)).mean((2, 3)))


@kind(c=lambda: nn.Conv2d(2, 2, 2, stride=(1, 2), padding=(1, 0)), shape=(2, 4, 6), b=lambda: nn.Linear(2, 3))
def uneven_geometry_twice(net, x):
    h = torch.tanh(net.c(x))
    return net.b(torch.tanh(net.c(h)).mean((2, 3)))


@kind(e=lambda: nn.Embedding(5, 4), shape=None)
def rows_by_tokens(net, x):
    return net.b(torch.tanh(net.e.weight[x]).mean(1))


@kind(e=lambda: nn.Embedding(5, 4), p=lambda: nn.Embedding(3, 4), shape=None)
def positions_by_number(net, x):
    return net.b(torch.tanh(net.e(x) + net.p(torch.arange(3))).mean(1))


@kind(e=lambda: nn.Embedding(5, 4, padding_idx=2), shape=None)
def padding_and_a_softmax_over_rows(net, x):
    h = net.e(x).mean(1)
    return (h @ net.e.weight.T).softmax(1)[:, :3]


@kind(c=lambda: nn.Conv1d(1, 4, 3, padding=1), shape=(1, 9))
def pools_of_sequences(net, x):
    h = torch.tanh(net.c(x))
    y = F.max_pool1d(h, 2, ceil_mode=True).mean(2) + F.avg_pool1d(h, 3, 2, 1, count_include_pad=False).sum(2)
    return net.b(y + F.adaptive_max_pool1d(h, 2).mean(2) + F.lp_pool1d(h + 2, 2, 2).mean(2))


@kind(c=lambda: nn.Conv2d(1, 4, 3, padding=1), shape=(1, 6, 6))
def pools_of_images(net, x):
    h = F.local_response_norm(torch.tanh(net.c(x)), 2)
    y, places = F.adaptive_max_pool2d(h, 2, return_indices=True)
    y = F.pixel_shuffle(y * (places % 2), 2).flatten(1)[:, :4]
    return net.b(y + F.fold(F.unfold(h, 2, stride=2), (6, 6), 2, stride=2).mean((2, 3)))


@kind()
def norms_and_similarities(net, x):
    h = net.a(x)
    y = F.normalize(h, p=1, dim=1) + F.cosine_similarity(h, x, dim=1)[:, None]
    y = y + F.pairwise_distance(h, x, p=3, keepdim=True) + h.std(1, correction=0, keepdim=True)
    return net.b(y + F.layer_norm(h, (4,), eps=0.1))


@kind()
def activations_with_options(net, x):
    h = net.a(x)
    y = F.celu(h, 0.5) + F.hardshrink(h, 0.2) + F.threshold(h, 0.1, -1.0) + F.glu(torch.cat([h, h], 1), 1)
    return net.b(y + F.softmin(h, 1) + F.elu(h, 0.3) + F.rrelu(h) + F.tanhshrink(h) + F.logsigmoid(h))


@kind()
def reductions(net, x):
    h = net.a(x)
    y = h.logsumexp(1, keepdim=True) + h.cumsum(1) + h.cumprod(1) + h.topk(2, 1).values.sum(1, keepdim=True)
    y = y + h.median(1, keepdim=True).values + h.quantile(0.3, dim=1, keepdim=True) + h.max(1, keepdim=True)[0]
    return net.b(y + h.sum(1, keepdim=True, dtype=h.dtype))


@kind()
def remainders(net, x):
    h = net.a(x)
    y = torch.remainder(h, 0.3) + torch.fmod(h, 0.7) + h.frac() + h.trunc()
    return net.b(y + torch.atan2(h, 1 + h * h) + torch.hypot(h, h + 1) + torch.copysign(h, x) + h % (1 + h.abs()))


@kind()
def linear_algebra(net, x):
    h = net.a(x).view(-1, 2, 2)
    m = h @ h.mT + torch.eye(2, dtype=x.dtype)
    y = torch.linalg.solve(m, h) + torch.linalg.inv(m) + torch.linalg.eigvalsh(m)[:, None] + torch.linalg.cholesky(m)
    return net.b(y.flatten(1) + torch.linalg.det(m)[:, None])


@kind()
def lookups(net, x):
    h = net.a(x)
    places = torch.bucketize(h.detach(), torch.tensor([-0.5, 0.0, 0.5], dtype=x.dtype))
    return net.b(h * places + torch.searchsorted(torch.arange(3.0, dtype=x.dtype) - 1, h.detach()) * h.square())


@kind()
def copied_deeply(net, x):
    h = net.a(x)
    return net.b(h * copy.deepcopy(h.detach()))


@kind()
def cloned_detached(net, x):
    h = net.a(x)
    return net.b(h * torch.clone(h.detach()).clamp(-1, 0.2) + torch.tensor(h.detach()) + h.new_tensor(h.detach()))


@kind()
def energy(net, x):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (force,) = torch.autograd.grad(torch.tanh(net.a(x)).square().sum(), x, create_graph=True)
    return net.b(force)


@kind()
def integer_choice(net, x):
    h = net.a(x)
    return torch.stack([net.b(row * (1 + int(row.argmax()))) for row in h])


@kind(alone=True)
def selected_by_value(net, x):
    h = net.a(x)
    chosen = h[h > h.mean()]
    return net.b(h * chosen.sum()) + len(torch.nonzero(h > 0))
