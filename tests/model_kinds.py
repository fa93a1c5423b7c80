"""Small networks as users write them, each with a part that an engine may follow wrongly without a word.

`moved` gives their movements by real steps: copy, step, run forward, subtract, in float64. It shares no code with the
engines.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

CLASSES = 3

#: By name: (forward, parts, shape of an input or None for tokens).
KINDS = {}
#: Names of those that are stepped on one sample at a time, because they read their first sample or all.
ALONE = set()


class Of(nn.Module):
    """A network of a forward function and parts; a part that is a tensor becomes a buffer."""

    def __init__(self, forward, parts):
        super().__init__()
        self.call = forward
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x):
        return self.call(self, x)


def kind(shape=(4,), alone=False, **parts):
    """Enter a forward function; parts are made by functions without arguments; ``a`` and ``b`` are there anyway."""

    def enter(forward):
        KINDS[forward.__name__] = (forward, parts, shape)
        if alone:
            ALONE.add(forward.__name__)
        return forward

    return enter


def network(name):
    """Return (float64 network in evaluation mode, inputs [2, …], labels, observed [3, …])."""
    forward, parts, shape = KINDS[name]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = {"a": nn.Linear(4, 4), "b": nn.Linear(4, CLASSES)} | {part: make() for part, make in parts.items()}
        net = Of(forward, made).double().eval()
        if shape is None:
            return (
                net,
                torch.tensor([[0, 1, 1], [2, 0, 4]]),
                torch.tensor([0, 1]),
                torch.tensor([[1, 1, 2], [0, 4, 1], [2, 2, 2]]),
            )
        x = torch.randn(5, *shape, dtype=torch.float64)
    return net, x[:2], torch.tensor([0, 1]), x[2:]


def moved(net, stepped, labels, observed, lr=None):
    """Return movements [J, M, K] of the logits by real steps: of length ``lr``, else the central difference."""
    rows = []
    for x, y in zip(stepped, labels, strict=True):
        at = copy.deepcopy(net)
        F.cross_entropy(at(x[None].clone()), y[None]).backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in at.parameters()]
        ends = [after(net, gradients, size, observed) for size in ((1e-6, -1e-6) if lr is None else (lr, 0.0))]
        rows.append((ends[0] - ends[1]) / (2e-6 if lr is None else lr))
    return torch.stack(rows)


def after(net, gradients, size, observed):
    """Return the logits [M, K] of each sample alone, after a step of a copy."""
    logits = []
    for sample in observed:
        other = copy.deepcopy(net)
        with torch.no_grad():
            for p, g in zip(other.parameters(), gradients, strict=True):
                p -= size * g.to_dense()
            logits.append(other(sample[None].clone())[0])
    return torch.stack(logits)


# Operations in place


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


# Weights


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


# Flags


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


# What stops the gradient, and not the movement


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


# Numbers of Python, and control flow


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


# More of each


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
