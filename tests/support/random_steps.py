"""The grammar of random models: families of steps, each a few lines of source text for `__init__` and for `forward`.

A step is ``(kinds, init, forward)``. `kinds` names the shapes that it takes: ``v`` for a vector [n, d], ``s`` for a
sequence [n, t, d], ``i`` for an image [n, c, h, w]. The texts are templates: ``{a}`` is a name that no other step has,
``{d}`` the number of features or channels, ``{k}`` the number of heads that divides it, ``{t}`` the length, ``{H}`` and
``{W}`` the height and width. ``h`` is the current feature, ``x`` the input. The text of a step may assume that ``h``
requires a gradient; a step whose lines do not run is left out of the model.
"""

# ruff: noqa: E501 — a table: one line a model
from __future__ import annotations

import itertools

Step = tuple[str, str, str]

#: Definitions that the texts use.
PREAMBLE = '''
class Reversed(torch.autograd.Function):
    """The identity, whose gradient is turned round."""

    @staticmethod
    def forward(ctx, h):
        return h.view_as(h)

    @staticmethod
    def backward(ctx, gradient):
        return -0.5 * gradient


class Squared(torch.autograd.Function):
    """The square, with a right backward, a right jvp and a rule for vmap."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h):
        return h * h

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient

    @staticmethod
    def jvp(ctx, tangent):
        return 2 * ctx.saved_tensors[0] * tangent


class Masked(nn.Module):
    def forward(self, w):
        return w.tril()


class Doubled(nn.Module):
    def forward(self, w):
        return torch.cat([w[:1] * 2, w[1:].tanh()])


class Counted(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, h):
        self.calls += 1
        return h


calls = 0
seen = []
'''


def each(kinds: str, init: str, *forwards: str) -> list[Step]:
    """Return one step for each text of `forward`."""
    return [(kinds, init, forward) for forward in forwards]


def modules(kinds: str, *constructors: str, call: str = "h = self.{a}(h)") -> list[Step]:
    """Return one step for each module."""
    return [(kinds, "self.{a} = " + constructor, call) for constructor in constructors]


FIRST_DIM_LAST = "h = self.{a}(h.transpose(1, 2)).transpose(1, 2)"
W = "self.{a} = nn.Parameter(torch.randn(4, {d}) / 2)"
SQUARE = "self.{a} = nn.Parameter(torch.randn({d}, {d}) / 2)"
ROW = "self.{a} = nn.Parameter(torch.randn({d}) / 2)"
LINEAR = "self.{a} = nn.Linear({d}, {d})"
KERNEL = "self.{a} = nn.Parameter(torch.randn({d}, {d}, 3) / 2)"
KERNEL2 = "self.{a} = nn.Parameter(torch.randn({d}, {d}, 3, 3) / 3)"
STATISTICS = "\nself.{a}.running_mean.normal_()\nself.{a}.running_var.uniform_(0.5, 2)"

STEPS: dict[str, list[Step]] = {
    "linear": [
        *modules("vs", "nn.Linear({d}, 4)", "nn.Linear({d}, 6, bias=False)"),
        *modules("v", "nn.Bilinear({d}, {d}, 4)", call="h = self.{a}(h, torch.tanh(h))"),
        *each(
            "vs", W,
            "h = F.linear(h, self.{a})",
            "h = h @ self.{a}.T",
            "h = torch.einsum('...d,kd->...k', h, self.{a})",
            "h = torch.tensordot(h, self.{a}, dims=([-1], [1]))",
            "h = (h[..., None, :] * self.{a}).sum(-1)",
            "h = torch.inner(h, self.{a})",
            "h = torch.matmul(self.{a}, h[..., None]).squeeze(-1)",
            "h = F.linear(input=h, weight=self.{a}, bias=self.{a}[:, 0])",
        ),
        *each(
            "v", W,
            "h = torch.addmm(self.{a}[:, 0], h, self.{a}.T, beta=0.5, alpha=2)",
            "h = torch.bmm(h[:, None], self.{a}.T.expand(len(h), -1, -1))[:, 0]",
            "h = torch.stack([h @ row for row in self.{a}], dim=1)",
            "h = torch.mm(h, self.{a}.t())",
            "h = -torch.cdist(h, self.{a})",
        ),
        *each("s", W, "h = torch.baddbmm(self.{a}[:, 0], h, self.{a}.T.expand(len(h), -1, -1), alpha=0.5)"),
        *modules("i", "nn.Linear({d}, 4)", call="h = self.{a}(h.movedim(1, -1)).movedim(-1, 1)"),
        *modules("s", "nn.Linear({t}, 3)", call="h = self.{a}(h.mT).mT"),
    ],
    "conv2d": [
        *modules(
            "i",
            "nn.Conv2d({d}, 4, 3, padding=1)",
            "nn.Conv2d({d}, 4, 3, stride=2, bias=False)",
            "nn.Conv2d({d}, 4, 3, padding=2, dilation=2)",
            "nn.Conv2d({d}, 2 * {d}, 3, padding=1, groups={d})",
            "nn.Conv2d({d}, 4, 3, padding=1, groups={k}, stride=(1, 2))",
            "nn.Conv2d({d}, 4, 3, padding=1, padding_mode='reflect')",
            "nn.Conv2d({d}, 4, 3, padding=(2, 1), padding_mode='circular')",
            "nn.Conv2d({d}, 4, (3, 1), padding='same', padding_mode='replicate', dilation=2)",
            "nn.Conv2d({d}, 4, 2, padding='same')",
            "nn.Conv2d({d}, 4, 3, padding='valid')",
            "nn.ConvTranspose2d({d}, 4, 3, stride=2, output_padding=1)",
            "nn.ConvTranspose2d({d}, 4, 3, padding=1, groups={k}, dilation=2)",
            "nn.ConvTranspose2d({d}, 4, 2, bias=False)",
        ),
        *modules("i", "nn.ConvTranspose2d({d}, 4, 3, stride=2)", call="h = self.{a}(h, output_size=({H} * 2 + 2, {W} * 2 + 2))"),
        *each(
            "i", KERNEL2,
            "h = F.conv2d(h, self.{a}, padding=1)",
            "h = torch.tanh(F.conv2d(h, self.{a}, padding=1))\nh = F.conv2d(h, self.{a}, padding=2, dilation=2)",
            "h = F.conv2d(h, self.{a}, padding=1) + F.conv_transpose2d(h, self.{a}, padding=1)",
            "h = F.conv2d(h, self.{a}.flip(-1).transpose(0, 1), padding=1)",
            "h = F.conv2d(F.pad(h, (1, 1, 1, 1), mode='reflect'), self.{a})",
            "h = F.conv2d(F.pad(h, (1, 0, 2, 1), value=0.5), self.{a})",
            "h = torch.conv2d(h, self.{a}, None, (2, 1), (1, 1))",
            "h = (self.{a}.flatten(1) @ F.unfold(h, 3, padding=1)).view(len(h), -1, {H}, {W})",
            "h = F.fold(F.unfold(h, 3, padding=1) * self.{a}[0].flatten()[:, None], ({H}, {W}), 3, padding=1)",
            "h = F.conv2d(h, self.{a} - self.{a}.mean((1, 2, 3), keepdim=True), self.{a}[:, 0, 0, 0], padding=1)",
            "h = F.conv2d(h.reshape(1, -1, {H}, {W}), self.{a}.repeat(len(h), 1, 1, 1), padding=1, groups=len(h)).view(len(h), -1, {H}, {W})",
        ),
    ],
    "conv1d": [
        *modules(
            "s",
            "nn.Conv1d({d}, 4, 3, padding=1)",
            "nn.Conv1d({d}, 4, 2, stride=2)",
            "nn.Conv1d({d}, {d}, 3, padding='same', dilation=2, groups={d})",
            "nn.Conv1d({d}, 4, 3, padding=2, padding_mode='circular', bias=False)",
            "nn.ConvTranspose1d({d}, 4, 3, stride=2, padding=1)",
            "nn.ConvTranspose1d({d}, 4, 2, groups={k})",
            call=FIRST_DIM_LAST,
        ),
        *each(
            "s", KERNEL,
            "h = F.conv1d(h.mT, self.{a}, padding=1).mT",
            "h = F.conv1d(torch.tanh(F.conv1d(h.mT, self.{a}, padding=1)), self.{a}, padding=2, dilation=2).mT",
            "h = F.conv1d(F.pad(h.mT, (2, 0)), self.{a}).mT",
            "h = (F.conv1d(h.mT, self.{a}, padding=1) + F.conv1d(h.mT, self.{a}, padding=1, stride=1, groups=1)).mT",
            "h = F.conv1d(h.mT, self.{a}[:, :1], padding=1, groups={d}).mT",
        ),
    ],
    "norm": [
        *modules("vs", "nn.LayerNorm({d})", "nn.LayerNorm({d}, elementwise_affine=False)", "nn.RMSNorm({d})", "nn.LayerNorm({d}, eps=0.1, bias=False)"),
        *modules("s", "nn.LayerNorm(({t}, {d}))"),
        *modules("v", "nn.BatchNorm1d({d})" + STATISTICS, "nn.BatchNorm1d({d}, affine=False)" + STATISTICS, "nn.GroupNorm(1, {d})", "nn.GroupNorm({k}, {d})"),
        *modules("i", "nn.BatchNorm2d({d})" + STATISTICS, "nn.GroupNorm({k}, {d})", "nn.InstanceNorm2d({d})", "nn.InstanceNorm2d({d}, affine=True, track_running_stats=True)" + STATISTICS, "nn.LayerNorm(({d}, {H}, {W}))", "nn.LocalResponseNorm(2)", "nn.BatchNorm2d({d}, momentum=None, eps=0.5)" + STATISTICS),
        *modules("s", "nn.BatchNorm1d({d})" + STATISTICS, "nn.InstanceNorm1d({d}, affine=True)", call=FIRST_DIM_LAST),
        *each(
            "vs", ROW,
            "h = self.{a} * h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-3)",
            "h = F.layer_norm(h, ({d},), self.{a})",
            "h = F.normalize(h, dim=-1) * self.{a}",
            "h = F.rms_norm(h, ({d},), self.{a}, eps=0.1)",
            "h = (h - h.mean(-1, keepdim=True)) / (h.std(-1, keepdim=True) + 0.1) * self.{a}",
            "h = (h - h.mean(-1, keepdim=True)) / (h.var(-1, unbiased=False, keepdim=True) + 0.1).sqrt()",
            "mean, var = torch.var_mean(h, -1, correction=0, keepdim=True)[::-1]\nh = (h - mean) * torch.rsqrt(var + 0.1) + self.{a}",
        ),
        *each("v", ROW, "h = F.batch_norm(h, self.{a}.detach(), self.{a}.detach() ** 2 + 1, self.{a}, None, False)"),
        *each("v", ROW, "h = F.batch_norm(h, self.{a} * 0.1, self.{a} ** 2 + 1)"),
        *each("i", ROW, "h = F.group_norm(h, 1, self.{a}, self.{a})", "h = F.instance_norm(h, weight=self.{a})"),
    ],
    "attention": [
        *modules("s", "nn.MultiheadAttention({d}, {k}, batch_first=True)", call="h = self.{a}(h, h, h)[0]"),
        *modules("s", "nn.MultiheadAttention({d}, {k}, batch_first=True)", call="h = h + self.{a}(h, h, h, need_weights=False)[0]"),
        *modules("s", "nn.MultiheadAttention({d}, {k}, bias=False)", call="h = self.{a}(h.transpose(0, 1), h.transpose(0, 1), h.transpose(0, 1))[0].transpose(0, 1)"),
        *modules("s", "nn.MultiheadAttention({d}, {k}, batch_first=True, add_bias_kv=True, add_zero_attn=True)", call="h = self.{a}(h, h, h)[0]"),
        *modules("s", "nn.MultiheadAttention({d}, {k}, batch_first=True, kdim={d}, vdim=2)", call="h = self.{a}(h, h, h[..., :2])[0]"),
        *modules("s", "nn.MultiheadAttention({d}, {k}, batch_first=True)", call="out, weights = self.{a}(h, h, h, attn_mask=torch.ones({t}, {t}, dtype=torch.bool).triu(1))\nh = out + weights.sum(1)[..., None]"),
        *modules("s", "nn.MultiheadAttention({d}, {k}, batch_first=True)", call="h = self.{a}(h, h, h, key_padding_mask=h[..., 0] >= h[..., 0].amax(1, keepdim=True), average_attn_weights=False)[0]"),
        *modules("s", "nn.TransformerEncoderLayer({d}, {k}, 8, 0.1, batch_first=True)", "nn.TransformerEncoderLayer({d}, {k}, 8, norm_first=True, activation='gelu', batch_first=True)", "nn.TransformerEncoder(nn.TransformerEncoderLayer({d}, {k}, 8, batch_first=True), 2, enable_nested_tensor=False)"),
        *modules("s", "nn.TransformerDecoderLayer({d}, {k}, 8, batch_first=True)", call="h = self.{a}(h, torch.tanh(h))"),
        *each(
            "s", "self.{a} = nn.Linear({d}, 3 * {d})",
            "q, k, v = self.{a}(h).chunk(3, -1)\nh = F.scaled_dot_product_attention(q, k, v)",
            "q, k, v = self.{a}(h)[:, None].chunk(3, -1)\nh = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.7)[:, 0]",
            "q, k, v = self.{a}(h).split({d}, -1)\nh = torch.softmax(q @ k.mT / {d} ** 0.5, -1) @ v",
            "q, k, v = self.{a}(h).unflatten(-1, (3, {d})).unbind(2)\nscores = torch.einsum('nid,njd->nij', q, k).masked_fill(torch.ones({t}, {t}).triu(1).bool(), float('-inf'))\nh = torch.einsum('nij,njd->nid', scores.softmax(-1), v)",
            "q, k, v = self.{a}(h).chunk(3, -1)\nh = F.scaled_dot_product_attention(q, k, v, attn_mask=(q @ k.mT).detach().tanh())",
            "q, k, v = self.{a}(h).chunk(3, -1)\nh = (F.elu(q) + 1) @ ((F.elu(k) + 1).mT @ v) / {t}",
            "q, k, v = self.{a}(h).chunk(3, -1)\nscores = q @ k.mT\nscores[:, torch.ones({t}, {t}).triu(1).bool()] = -1e4\nh = scores.softmax(-1) @ v",
            "q, k, v = self.{a}(h).view(len(h), {t}, 3, {k}, -1).permute(2, 0, 3, 1, 4)\nh = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(len(h), {t}, -1)",
        ),
    ],
    "recurrent": [
        *modules("s", "nn.LSTM({d}, 4, batch_first=True)", "nn.GRU({d}, 4, batch_first=True)", "nn.RNN({d}, 4, batch_first=True, nonlinearity='tanh')", "nn.GRU({d}, 3, 2, batch_first=True, bidirectional=True)", "nn.LSTM({d}, 4, batch_first=True, proj_size=3)", call="h = self.{a}(h)[0]"),
        *modules("s", "nn.LSTM({d}, 4)", call="h = self.{a}(h.transpose(0, 1))[1][0][-1]"),
        *modules("s", "nn.LSTMCell({d}, {d})", call="state = None\nfor step in h.unbind(1):\n    state = self.{a}(step, state)\nh = state[0]"),
        *modules("s", "nn.GRUCell({d}, {d})", call="state = torch.zeros_like(h[:, 0])\nfor step in range({t}):\n    state = self.{a}(h[:, step], state)\nh = state"),
        *modules("s", "nn.RNNCell({d}, {d})", call="states = [torch.zeros_like(h[:, 0])]\nfor step in range({t}):\n    states.append(self.{a}(h[:, step], states[-1]))\nh = torch.stack(states, 1)"),
        *each("s", SQUARE, "state = h[:, 0]\nfor step in range(1, {t}):\n    state = torch.tanh(state @ self.{a} + h[:, step])\nh = state"),
    ],
    "pool": [
        *modules("i", "nn.MaxPool2d(2)", "nn.AvgPool2d(2)", "nn.AdaptiveAvgPool2d(2)", "nn.AdaptiveMaxPool2d((1, 2))", "nn.LPPool2d(2, 2)", "nn.MaxPool2d(2, ceil_mode=True, padding=1)", "nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)", "nn.AvgPool2d(2, divisor_override=3)", "nn.MaxPool2d(2, stride=1, dilation=2)", "nn.Upsample(scale_factor=2)", "nn.PixelUnshuffle(2)"),
        *each(
            "i", "",
            "h = F.max_unpool2d(*F.max_pool2d(h, 2, return_indices=True), 2)",
            "h = F.interpolate(h, scale_factor=2, mode='bilinear', align_corners=False)",
            "h = F.interpolate(h, size=(3, 5), mode='bicubic')",
            "h = F.interpolate(h, size=(3, 3), mode='nearest')",
            "h = F.avg_pool2d(h, 2, 1) - F.max_pool2d(-h, 2, 1)",
            "h = h.unfold(2, 2, 1).unfold(3, 2, 1).amax((-1, -2))",
            "h = h.mean((2, 3), keepdim=True) + h",
            "h = h.amax((2, 3))",
            "h = h.flatten(2).mT",
            "h = F.pixel_shuffle(h.repeat(1, 4, 1, 1), 2)",
        ),
        *each("i", "self.{a} = nn.Parameter(torch.tensor([[0.93, 0.11, 0.03], [-0.07, 0.87, 0.1]]))", "h = F.grid_sample(h, F.affine_grid(self.{a}.expand(len(h), 2, 3), list(h.shape), align_corners=False), align_corners=False)"),
        *each(
            "s", "",
            "h = h.mean(1)",
            "h = h.amax(1)",
            "h = h[:, -1]",
            "h = F.adaptive_avg_pool1d(h.mT, 2).mT",
            "h = F.max_pool1d(h.mT, 2, ceil_mode=True).mT",
            "h = h.flatten(1)",
            "h = h.logsumexp(1)",
            "h = torch.cat([h.mean(1), h.amin(1)], 1)",
        ),
    ],
    "activation": each(
        "vsi", "self.{a} = nn.Parameter(torch.tensor([0.3]))",
        *(f"h = F.{name}(h)" for name in (
            "relu", "gelu", "silu", "elu", "selu", "softplus", "hardtanh", "hardswish", "mish", "logsigmoid", "softsign",
            "tanhshrink", "hardshrink", "softshrink", "celu", "relu6", "hardsigmoid", "leaky_relu", "rrelu",
        )),
        *(f"h = torch.{name}(h)" for name in ("tanh", "sigmoid", "sin", "erf", "atan", "asinh", "abs", "square", "cos")),
        "h = F.gelu(h, approximate='tanh')",
        "h = F.leaky_relu(h, 0.3)",
        "h = F.leaky_relu(h, negative_slope=-0.5)",
        "h = F.elu(h, 0.5)",
        "h = F.hardtanh(h, -0.3, 0.4)",
        "h = F.softplus(h, 2, 0.5)",
        "h = F.threshold(h, 0.1, -0.2)",
        "h = F.prelu(h, self.{a})",
        "h = F.softmax(h, dim=-1)",
        "h = F.log_softmax(h, dim=1)",
        "h = F.softmin(h, dim=1)",
        "h = F.glu(torch.cat([h, h.tanh()], 1), dim=1)",
        "h = h.relu() - self.{a} * h.neg().relu()",
        "h = h * torch.sigmoid(self.{a} * h)",
        "h = F.dropout(h, 0.5, self.training)",
        "h = F.alpha_dropout(h, 0.5, False)",
    )
    + modules("vsi", "nn.ReLU(inplace=True)", "nn.ELU(inplace=True)", "nn.Hardswish(inplace=True)", "nn.PReLU({d}, 0.4)", "nn.Dropout(0.5)", "nn.Dropout(0.5, inplace=True)", "nn.Softmax(dim=1)", "nn.Threshold(0.1, 0.0, inplace=True)", "nn.Identity()", "nn.RReLU(inplace=True)", "nn.Sequential(nn.LeakyReLU(0.2, True), nn.Sigmoid())"),
    "arithmetic": each(
        "vsi", "self.{a} = nn.Parameter(torch.rand(()) + 0.5)",
        "h = h / (1 + h.abs())",
        "h = torch.sqrt(h * h + 1)",
        "h = torch.exp(-h * h)",
        "h = torch.log1p(h * h)",
        "h = h.clamp(-2, 2) ** 3",
        "h = (h.abs() + 0.1) ** self.{a}",
        "h = self.{a} ** h.clamp(-3, 3)",
        "h = torch.atan2(h, 1 + h * h)",
        "h = torch.hypot(h, self.{a})",
        "h = torch.lerp(h, h.tanh(), 0.3)",
        "h = torch.lerp(h, self.{a}.expand_as(h), h.sigmoid())",
        "h = torch.addcmul(h, h, h.tanh(), value=0.5)",
        "h = torch.addcdiv(h, h, 1 + h * h, value=-0.5)",
        "h = torch.add(h, h.tanh(), alpha=2)",
        "h = torch.sub(h, self.{a}, alpha=3)",
        "h = torch.rsub(h, self.{a}, alpha=3)",
        "h = 1 - h",
        "h = 2 / (1 + h.square())",
        "h = torch.true_divide(h, self.{a})",
        "h = torch.div(h, 0.3, rounding_mode='trunc') + h",
        "h = torch.div(h, self.{a}, rounding_mode='floor') * 0.1 + h",
        "h = h // 0.3 * 0.1 + h",
        "h = torch.remainder(h, 0.7)",
        "h = torch.fmod(h, self.{a})",
        "h = h % 0.7",
        "h = torch.frac(h)",
        "h = torch.round(h, decimals=1) + h",
        "h = h + torch.floor(h * 3) + torch.ceil(h) + torch.trunc(h)",
        "h = h * torch.sign(h + 0.1)",
        "h = h * torch.heaviside(h, self.{a}.detach())",
        "h = torch.copysign(h, -h)",
        "h = torch.logaddexp(h, self.{a})",
        "h = torch.sinc(h)",
        "h = torch.special.expit(h) + torch.special.erfc(h)",
        "h = torch.nan_to_num(torch.where(h > 0.2, float('nan'), h), 0.1)",
        "h = torch.maximum(h, self.{a} - 1) + torch.minimum(h, h.mean(1, keepdim=True))",
        "h = torch.fmax(h, self.{a}) - torch.fmin(h, self.{a})",
        "h = torch.clamp(h, min=self.{a} - 1, max=self.{a})",
        "h = h.clip(max=0.3)",
        "h = h.cumsum(1)",
        "h = h.tanh().cumprod(1)",
        "h = h.logcumsumexp(1)",
        "h = h - h.mean(1, keepdim=True)",
        "h = h / h.norm(dim=1, keepdim=True).clamp(min=0.1)",
        "h = h / torch.linalg.vector_norm(h, ord=1, dim=1, keepdim=True).add(0.1)",
        "h = h * h.flatten(1).prod(1).view(-1, *[1] * (h.dim() - 1)).tanh()",
        "h = h + h.logsumexp(1, keepdim=True)",
        "h = torch.diff(h, dim=1, prepend=h[:, :1])",
        "h = torch.fft.rfft(h, dim=1).abs()",
        "h = torch.fft.ifft(torch.fft.fft(h, dim=1) * self.{a}, dim=1).real",
        "h = torch.view_as_real(torch.complex(h, h.tanh()) * (1 + 1j)).sum(-1)",
        "h = torch.polar(h.sigmoid(), h).imag",
        "h = h.clone().requires_grad_().square() if False else h * 1.0",
        "h = torch.abs(h).pow(0.5 + self.{a}.square())",
        "h = torch.xlogy(h, 1 + h * h)",
        "h = torch.ldexp(h, torch.ones(()))",
        "h = h.mul(self.{a}).add(self.{a}, alpha=-2).neg()",
        "h = h + torch.as_tensor(self.{a}).item()",
        "h = h * float(self.{a})",
        "h = Squared.apply(h)",
    ),
    "matrix": [
        *each(
            "v", SQUARE,
            "h = torch.linalg.solve(self.{a} @ self.{a}.T + torch.eye({d}), h.T).T",
            "h = h @ torch.linalg.inv(self.{a} @ self.{a}.T + torch.eye({d}))",
            "h = h @ torch.linalg.qr(self.{a})[0]",
            "h = h @ torch.matrix_exp(self.{a} - self.{a}.T)",
            "h = h * torch.linalg.det(self.{a})",
            "h = h @ torch.linalg.cholesky(self.{a} @ self.{a}.T + torch.eye({d}))",
            "h = h * torch.linalg.svdvals(self.{a})",
            "h = h @ torch.block_diag(self.{a}[:1, :1], self.{a}[1:, 1:])",
            "h = h @ torch.kron(torch.eye(1), self.{a})",
            "h = (h[:, :, None] * h[:, None, :]).flatten(1)",
            "h = torch.einsum('ni,ij,nj->ni', h, self.{a}, h.tanh())",
            "h = torch.einsum('ni,nj,ij->nj', h.tanh(), h, self.{a})",
            "h = torch.baddbmm(h[:, :, None], self.{a}.expand(len(h), -1, -1), h[:, :, None])[:, :, 0]",
            "h = torch.linalg.multi_dot([h, self.{a}, self.{a}])",
            "h = h @ self.{a}.softmax(-1)",
            "h = h @ (self.{a} / self.{a}.norm())",
            "h = h @ torch.diag(self.{a}.diagonal()) + h @ torch.diag_embed(self.{a}[0])",
            "h = F.cosine_similarity(h[:, None], self.{a}, dim=-1)",
            "h = F.pairwise_distance(h, self.{a}[0])[:, None] + h",
            "h = h @ self.{a}.triu()",
            "h = torch.chain_matmul(h, self.{a}) if False else h.matmul(self.{a}).matmul(self.{a}.t())",
        ),
    ],
    "selection": each(
        "vsi", "self.{a} = nn.Parameter(torch.randn(()))\nself.register_buffer('{a}_order', torch.randperm({d1}))",
        "h = h.topk(2, dim=1).values",
        "h = h.sort(dim=1, descending=True).values",
        "h = h.gather(1, h.argsort(1))",
        "h = h * (h == h.amax(1, keepdim=True))",
        "h = h.max(1, keepdim=True).values + h",
        "h = h.index_select(1, self.{a}_order)",
        "h = h[:, self.{a}_order]",
        "h = h.take_along_dim(h.argmax(1, keepdim=True), 1) - h",
        "h = h.masked_fill(h > 0.1, 0.2)",
        "h = h.masked_fill(h > 0.1, self.{a}.detach())",
        "h = torch.where(h > 0, h, self.{a})",
        "h = torch.where(h > 0, h.square(), -h)",
        "h = torch.where(h.mean(1, keepdim=True) > 0, h.sin(), h)",
        "h = h.kthvalue(2, dim=1, keepdim=True).values + h",
        "h = h.median(1, keepdim=True).values + h",
        "h = h.flip(1).roll(1, 1)",
        "h = h + F.one_hot(h.argmax(1), {d1}).movedim(-1, 1).to(h.dtype)",
        "h = torch.index_add(h, 1, self.{a}_order, h.tanh(), alpha=0.5)",
        "h = torch.scatter(h, 1, h.argmax(1, keepdim=True), 0.5)",
        "h = torch.scatter_add(h, 1, h.argmin(1, keepdim=True), h.amax(1, keepdim=True))",
        "h = h.scatter_reduce(1, h.argmin(1, keepdim=True), h.amax(1, keepdim=True), 'amax')",
        "h = h.cummax(1).values",
        "h = torch.quantile(h, 0.4, dim=1, keepdim=True) + h",
        "h = h + torch.bucketize(h.detach(), torch.tensor([-0.5, 0.0, 0.5]))",
        "h = h[:, ::2]",
        "h = h[:, 1:] - h[:, :-1]",
        "h = torch.cat([h[:, :1], h[:, 1:].exp().log1p()], 1)",
        "h = torch.stack(h.unbind(1)[::-1], 1)",
        "h = torch.narrow(h, 1, 0, 2).repeat_interleave(2, 1)",
        "h = h.unfold(1, 2, 1).prod(-1)",
        "h = h.aminmax(dim=1, keepdim=True).max - h",
        "h = h.mode(1, keepdim=True).values + h",
        "h = h.index_fill(1, self.{a}_order[:1], 0.3)",
        "h = h.index_copy(1, self.{a}_order[:1], h[:, -1:].tanh())",
        "h = torch.select_scatter(h, h[:, 0].tanh(), 1, 1)",
        "h = torch.slice_scatter(h, h[:, :1].tanh(), 1, 1, 2)",
        "h = h.renorm(2, 0, 0.5)",
        "h = h * (h.detach() > 0)",
        "h = h.masked_scatter(h > 0, h.flip(1))",
        "h = h.tensor_split(2, 1)[0].expand(-1, 2, *h.shape[2:]) if {d1} == 2 else h.tensor_split(2, 1)[0]",
        "h = torch.count_nonzero(h > 0, 1).view(-1, 1, *[1] * (h.dim() - 2)) + h",
    ),
    "in_place": each(
        "vsi", "self.{a} = nn.Parameter(torch.randn(()))",
        *(f"h = h * 1\nh.{call}" for call in (
            "add_(1)", "mul_(2)", "clamp_(-0.3, 0.4)", "clamp_min_(0)", "clamp_max_(0.1)", "relu_()", "sigmoid_()", "tanh_()", "sub_(self.{a})",
            "div_(2)", "div_(0.3, rounding_mode='floor')", "pow_(2)", "abs_()", "neg_()", "square_()", "exp_()", "sin_()",
            "lerp_(self.{a}.expand_as(h), 0.3)", "addcmul_(h.tanh(), h.sin(), value=2)", "cumsum_(1)", "masked_fill_(h > 0, 0.1)",
            "fill_(0.3)", "zero_()", "copy_(h.tanh())", "index_fill_(1, torch.tensor([0]), 0.2)", "add_(h.detach().tanh(), alpha=2)",
            "remainder_(0.7)", "round_()", "floor_()", "frac_()", "nan_to_num_()", "erf_()", "atan_()", "threshold_(0.1, 0.2)" if False else "hypot_(self.{a})",
            "scatter_(1, h.argmax(1, keepdim=True), 0.5)", "index_add_(1, torch.tensor([0]), h[:, :1].tanh())", "copysign_(self.{a}.detach())",
            "sign_()", "unsqueeze_(0).squeeze_(0)", "transpose_(0, 1).transpose_(0, 1)", "fmod_(0.4)", "sub_(h.mean(1, keepdim=True))", "logit_(0.1)", "t_().t_()" if False else "swapaxes_(0, 1).swapaxes_(0, 1)",
        )),
        "h = F.relu(h * 1, inplace=True)",
        "h = F.leaky_relu_(h * 1, 0.2)",
        "h = F.silu(h * 1, inplace=True)",
        "h = F.hardtanh_(h * 1)",
        "h = F.dropout(h * 1, 0.5, False, inplace=True)",
        "h = h.clone()\nh += h.tanh()",
        "h = h.clone()\nh *= 0.5\nh -= 1\nh /= 2",
        "h = h.clone()\nh **= 2",
        "h = h.clone()\nh %= 0.6",
        "g = h.tanh()\ng += h\nh = g * g",
        "g = h.tanh()\ng.mul_(self.{a}).add_(h)\nh = g",
        "out = torch.zeros_like(h)\nout += h\nh = out",
        "out = h.new_zeros(h.shape)\nout.add_(h, alpha=2)\nh = out",
        "torch.relu_(h := h * 1)",
        "torch.sigmoid_(h := h * 1)",
        "torch.Tensor.mul_(h := h * 1, 3)",
        "import operator\nh = operator.iadd(h * 1, 1)",
    ),
    "assignment": each(
        "vsi", "self.{a} = nn.Parameter(torch.randn(()))",
        "out = torch.zeros_like(h)\nout[:, ::2] = torch.tanh(h)[:, ::2]\nh = out",
        "h = h.clone()\nh[:, 0] = 0",
        "h = h.clone()\nh[:, 0] = h[:, 1]",
        "h = h.clone()\nh[h > 0.1] = 0.1",
        "h = h.clone()\nh[h > 0.1] *= 2",
        "h = h.clone()\nh[:, 0] *= 2",
        "h = h.clone()\nh[:, 0] += self.{a}",
        "h = h.clone()\nh[:, -1] = self.{a}",
        "h = h.clone()\nh[..., 0] = h[..., 0].detach()",
        "out = torch.empty_like(h)\nout[:, 0] = h[:, 1].sin()\nout[:, 1:] = h[:, 1:]\nh = out",
        "out = torch.empty_like(h)\nout.copy_(h.sin())\nh = out",
        "out = torch.zeros(len(h), *h.shape[1:])\nfor i in range(len(h)):\n    out[i] = h[i].sin()\nh = out",
        "out = torch.zeros(len(h), *h.shape[1:], dtype=h.dtype)\nout[:] = h\nh = out",
        "h = h.clone()\nh[:, torch.tensor([0, 1])] = h[:, torch.tensor([1, 0])]",
        "h = h.clone()\nh.data[:, 0] = 0",
        "h = h.clone()\nh[torch.arange(len(h)), h.flatten(2).mean(2).argmax(1) if h.dim() > 2 else h.argmax(1)] = 0.2",
        "out = h.new_full(h.shape, 0.1)\nout[:, :1].copy_(h[:, :1])\nh = out",
        "out = torch.zeros_like(h)\nout.index_put_((torch.arange(len(h)),), h)\nh = out",
        "out = torch.zeros_like(h)\nout.index_copy_(0, torch.arange(len(h)), h)\nh = out",
        "h = h.clone()\nh[:, 0].copy_(h[:, 1].tanh())",
        "h = h.clone()\nh[:, 0].fill_(0.2)",
        "h = h.clone()\nh.select(1, 0).mul_(3)",
        "h = h.clone()\nh.narrow(1, 0, 1).zero_()",
        "h = h.clone()\nh[:, 1:].sub_(h[:, :-1].clone())",
    ),
    "alias": each(
        "vsi", "self.{a} = nn.Parameter(torch.randn(()))",
        "g = h.clone()\nfirst = g[:, 0]\ng.mul_(2)\nh = g * first[:, None]",
        "g = h.clone()\nview = g.view(g.shape)\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = g.flatten(1)\ng.add_(self.{a})\nh = g * view.sum(1).view(-1, *[1] * (h.dim() - 1))",
        "g = h.clone()\nview = g.transpose(0, 1)\nview.mul_(self.{a})\nh = g",
        "g = h.clone()\nview = g.unsqueeze(1)\nview.tanh_()\nh = g",
        "g = h.clone()\nview = g.detach()\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = g.data\nview.add_(1)\nh = g",
        "g = h.clone()\nview = g.expand(g.shape)\ng.sin_()\nh = view",
        "g = h.clone()\nview = g[:, :2]\nview += 1\nh = g",
        "g = h.clone()\nsame = g\nsame *= 2\nh = g + same",
        "g = h.clone()\nview = g.reshape(len(g), -1)\nview[:, 0] = 0.1\nh = g",
        "g = h.clone()\nview = g.diagonal(dim1=0, dim2=1)\nh = g + view.sum() * 0",
        "g = h.clone()\nfor row in g.unbind(1)[:0]:\n    row.mul_(2)\nh = g",
        "g = h.clone()\nfor i in range(g.shape[1]):\n    g.select(1, i).mul_(i)\nh = g",
        "g = h.clone()\nview = g.contiguous()\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = g.to(g.dtype)\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = g.as_strided(g.size(), g.stride())\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = g.movedim(0, -1)\nview[0] = 0.3\nh = g",
        "g = h.clone()\nview = g.unfold(1, 1, 1)\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = F.dropout(g, 0.5, False)\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = nn.Identity()(g)\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = torch.squeeze(g[:, None])\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = torch.atleast_1d(g)\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = g.type_as(g)\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = g.view_as(g)\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = g.real\nview.mul_(2)\nh = g",
        "g = h.clone()\nview = g.flatten(1).split(1, 1)\nh = g + view[0].sum(1).view(-1, *[1] * (h.dim() - 1))",
        "kept = h\nh = h * 1\nh.relu_()\nh = h + kept",
        "g = x.clone()\ng.mul_(2)\nh = h + g.flatten(1).sum(1).view(-1, *[1] * (h.dim() - 1)).tanh()",
    ),
    "out": each(
        "vsi", "",
        "o = torch.empty_like(h)\nwith torch.no_grad():\n    torch.mul(h, 2, out=o)\nh = h + o",
        "o = torch.empty_like(h)\ntorch.sin(h.detach(), out=o)\nh = h * o",
        "o = torch.zeros_like(h)\nwith torch.no_grad():\n    torch.cumsum(h, 1, out=o)\nh = h - o",
        "o = torch.empty(0, dtype=h.dtype)\nwith torch.no_grad():\n    torch.cat([h, h], 1, out=o)\nh = torch.cat([h, o], 1)",
        "values, places = torch.empty_like(h[:, 0]), torch.empty_like(h[:, 0], dtype=torch.long)\nwith torch.no_grad():\n    torch.max(h, 1, out=(values, places))\nh = h * values[:, None]",
    ),
    "detach": each(
        "vsi", "self.{a} = nn.Parameter(torch.randn({d}, {d}) / 2)",
        "h = h * torch.sigmoid(h).detach()",
        "h = h - h.mean(1, keepdim=True).detach()",
        "h = h * h.data",
        "with torch.no_grad():\n    gate = torch.sigmoid(h)\nh = h * gate",
        "h = h + (torch.round(h * 3) / 3 - h).detach()",
        "h = h + (h.sign() - h).detach()",
        "h = h.clamp(-0.5, 0.5) + (h - h.clamp(-0.5, 0.5)).detach()",
        "h = Reversed.apply(h)",
        "h = torch.cat([h.detach(), h], 1)",
        "with torch.set_grad_enabled(False):\n    scale = h.flatten(1).norm(dim=1)\nh = h / (1 + scale.view(-1, *[1] * (h.dim() - 1)))",
        "h = h / h.detach().abs().amax(1, keepdim=True).clamp(min=0.1)",
        "h = h + h.clone().detach().tanh()",
        "h = h * torch.softmax(h, 1).clone().detach_()",
        "h = 0.1 * h + 0.9 * h.detach()",
        "@torch.no_grad()\ndef gate(z):\n    return z.sigmoid()\nh = h * gate(h)",
        "hard = F.one_hot(h.softmax(1).argmax(1), h.shape[1]).movedim(-1, 1).to(h.dtype)\nsoft = h.softmax(1)\nh = hard + soft - soft.detach()",
        "if h.requires_grad:\n    h.register_hook(lambda g: 2 * g)\nh = h * 1",
        "h = torch.tensor(h.detach().tolist(), dtype=h.dtype) + h",
        "h = torch.from_numpy(h.detach().numpy()).tanh() * h",
    )
    + each(
        "v", "self.{a} = nn.Parameter(torch.randn({d}, {d}) / 2)",
        "h = h @ self.{a}.detach() + h @ self.{a}",
        "h = h @ self.{a}.data",
        "with torch.no_grad():\n    shift = F.linear(h, self.{a})\nh = h @ self.{a} - shift.tanh()",
        "w = self.{a} + (self.{a}.sign() * self.{a}.abs().mean() - self.{a}).detach()\nh = h @ w",
        "w = self.{a} / self.{a}.detach().norm()\nh = h @ w",
        "w = self.{a} + (torch.round(self.{a} * 4) / 4 - self.{a}).detach()\nh = F.linear(h, w)",
    ),
    "shared": [
        *each(
            "vs", LINEAR,
            "h = self.{a}(torch.tanh(self.{a}(h)))",
            "h = self.{a}(h) + self.{a}(h.tanh())",
            "h = F.linear(torch.tanh(self.{a}(h)), self.{a}.weight.T)",
            "h = self.{a}(h) * self.{a}.bias",
            "h = self.{a}(h) + self.{a}.weight.sum(0)",
            "h = F.linear(self.{a}(h).tanh(), self.{a}.weight[:2])",
            "for _ in range(3):\n    h = torch.tanh(self.{a}(h) + h)",
            "h = F.linear(h, self.{a}.weight, self.{a}.weight[0])",
            "h = self.{a}(h) / self.{a}.weight.norm()",
        ),
        *each(
            "vs", SQUARE,
            "h = (h @ self.{a}).tanh() @ self.{a}.T",
            "h = h @ self.{a} + F.linear(h, self.{a})",
            "h = h @ self.{a} ** 2",
            "h = h @ (self.{a} + self.{a}.T)",
            "h = h * self.{a}[0] + self.{a}[:, 0]",
            "h = F.layer_norm(h, ({d},), self.{a}[0], self.{a}[1]) @ self.{a}",
            "h = h @ torch.relu(self.{a})",
            "h = h @ self.{a}[:, self.{a}.sum(0).argsort()]",
            "h = h @ torch.where(self.{a} > 0, self.{a}, 0)",
            "h = F.linear(h, F.normalize(self.{a}, dim=1))",
            "h = h @ (self.{a}[:, :1] @ self.{a}[:1])",
            "w = self.{a}.clone()\nw[0] = 0\nh = h @ w",
            "w = self.{a} * 1\nw.clamp_(-0.3, 0.3)\nh = h @ w",
            "h = F.embedding((h > 0).long().sum(-1).clamp(max=1), self.{a}) + h @ self.{a}",
        ),
        ("vs", "self.{a} = nn.Linear({d}, {d})\nself.{a}b = nn.Linear({d}, {d})\nself.{a}b.weight = self.{a}.weight", "h = self.{a}b(torch.tanh(self.{a}(h)))"),
        ("vs", "self.{a} = nn.Linear({d}, {d})\nself.{a}b = self.{a}", "h = self.{a}b(torch.tanh(self.{a}(h)))"),
        ("i", "self.{a} = nn.Conv2d({d}, {d}, 3, padding=1)", "h = self.{a}(torch.tanh(self.{a}(h)))"),
        ("i", "self.{a} = nn.Conv2d({d}, {d}, 3, padding=1)", "h = self.{a}(h) + F.conv2d(h, self.{a}.weight, stride=1, padding='same')"),
        ("i", "self.{a} = nn.Conv2d({d}, {d}, 3, padding=1)", "h = self.{a}(F.avg_pool2d(torch.tanh(self.{a}(h)), 2))"),
    ],
    "parametrized": [
        *((kinds, f"self.{{a}} = {wrap.format(module)}", "h = self.{a}(h)") for (kinds, module), wrap in itertools.product(
            [("vs", "nn.Linear({d}, 4)"), ("i", "nn.Conv2d({d}, 4, 3, padding=1)")],
            ["nn.utils.parametrizations.weight_norm({})", "nn.utils.parametrizations.spectral_norm({})", "nn.utils.spectral_norm({})", "nn.utils.weight_norm({})"],
        )),
        *((kinds, f"self.{{a}} = {wrap}\n{more}", "h = self.{a}(h)") for kinds, wrap, more in [
            ("vs", "nn.utils.parametrizations.orthogonal(nn.Linear({d}, {d}))", ""),
            ("vs", "nn.Linear({d}, 4)", "nn.utils.parametrize.register_parametrization(self.{a}, 'weight', Masked())"),
            ("vs", "nn.Linear({d}, 4)", "nn.utils.parametrize.register_parametrization(self.{a}, 'weight', Doubled())"),
            ("vs", "nn.Linear({d}, 4)", "nn.utils.parametrize.register_parametrization(self.{a}, 'bias', nn.Tanh())"),
            ("vs", "nn.Linear({d}, 4)", "nn.utils.prune.random_unstructured(self.{a}, 'weight', 0.4)"),
            ("i", "nn.Conv2d({d}, 4, 3, padding=1)", "nn.utils.prune.l1_unstructured(self.{a}, 'weight', 0.4)"),
        ]),
        ("vs", "self.{a} = nn.Parameter(torch.randn({d}, 2))\nself.{a}b = nn.Parameter(torch.randn(2, 4))", "h = h @ (self.{a} @ self.{a}b)"),
        ("vs", "self.{a} = nn.Parameter(torch.randn({d}, 4))\nself.register_buffer('{a}b', torch.rand({d}, 4).round())", "h = h @ (self.{a} * self.{a}b)"),
        ("vs", "self.{a} = nn.Linear(2, 3 * {d})\nself.register_buffer('{a}b', torch.randn(2))", "h = F.linear(h, self.{a}(self.{a}b).view(3, {d}))"),
        ("v", "self.{a} = nn.Linear({d}, 3 * {d})", "h = torch.bmm(self.{a}(h).view(-1, 3, {d}), h[:, :, None])[:, :, 0]"),
    ],
    "cast": each(
        "vsi", "self.{a} = nn.Linear({d}, {d}).double()\nself.{a}e = nn.Embedding(4, {d})",
        "h = h.double().tanh().float()",
        "h = h.to(torch.float64).mul(2).to(torch.float32)",
        "h = h.double().sin().type_as(h)",
        "h = h.type(torch.float64).square().type(torch.float32)",
        "h = h * (h > 0).float()",
        "h = h * (h > 0)",
        "h = h + (h * 2).int()",
        "h = h + (h > 0).long()",
        "h = h * h.bool()",
        "h = h.to('cpu').contiguous()",
        "h = h * torch.ones((), dtype=torch.float64)",
        "h = h.double() * 0.1\nh = h.float()",
    )
    + each(
        "v", "self.{a} = nn.Linear({d}, {d}).double()\nself.{a}e = nn.Embedding(4, {d})",
        "h = self.{a}(h.double()).float()",
        "h = h + self.{a}e((h > 0).sum(1).clamp(max=3))",
        "h = self.{a}(h.to(self.{a}.weight.dtype)).to(h.dtype)",
        "h = h + torch.tanh(self.{a}.weight.float() @ h[..., None])[..., 0]",
    ),
    "control": each(
        "vsi", "self.{a} = nn.Linear({d1}, {d1})",
        "h = torch.stack([row.sin() if row.sum() > 0 else row for row in h])",
        "h = torch.stack([row * 2 if row.mean().item() > 0 else row.abs() for row in h])",
        "rows = []\nfor row in h:\n    while row.norm() > 2:\n        row = row / 2\n    rows.append(row)\nh = torch.stack(rows)",
        "h = torch.cat([part * (1 + int(part.argmax())) for part in h.split(1)])",
        "h = h * 2 if len(h) else h",
        "h = h * 2 if h.shape[1] > 2 and h.requires_grad in (True, False) else h",
        "h = torch.stack([torch.stack([v.sin() if v.flatten()[0] > 0 else v for v in row]) for row in h])",
        "h = h.tanh() if torch.is_grad_enabled() or True else h",
        "if self.training:\n    h = h * 3\nelse:\n    h = h.sin()",
        "h = torch.stack(list(map(torch.tanh, h)))",
        "h = torch.func.vmap(torch.sin)(h)",
        "h = torch.utils.checkpoint.checkpoint(torch.sin, h, use_reentrant=False)",
        "try:\n    h = h.reshape(len(h), -1, 999)\nexcept RuntimeError:\n    h = h.cos()",
        "h = torch.jit.annotate(torch.Tensor, h.sin())",
    )
    + each(
        "v", "self.{a} = nn.Linear({d}, {d})",
        "h = torch.stack([self.{a}(row) if row.sum() > 0 else row for row in h])",
        "h = torch.func.vmap(self.{a})(h)",
        "h = torch.stack([torch.func.grad(lambda row: self.{a}(row).square().sum())(row) for row in h])",
        "h = torch.func.vmap(torch.func.grad(lambda row: self.{a}(row).tanh().sum()))(h)",
        "with torch.enable_grad():\n    z = h if h.requires_grad else h.requires_grad_()\n    energy = self.{a}(z).tanh().square().sum()\n    h = z - 0.5 * torch.autograd.grad(energy, z, create_graph=True)[0]",
        "h = torch.func.functional_call(self.{a}, dict(self.{a}.named_parameters()), (h,))",
        "h = torch.utils.checkpoint.checkpoint(self.{a}, h, use_reentrant=False)",
        "chosen = h.argmax(1)\nh = torch.stack([self.{a}(h[i]) * (1 + chosen[i]) for i in range(len(h))])",
        "places = (h.sum(1) > 0).nonzero()[:, 0]\nout = h.clone()\nout[places] = self.{a}(h[places])\nh = out",
        "mask = h.sum(1) > 0\nh = torch.cat([self.{a}(h[mask]), h[~mask]])[torch.cat([mask.nonzero(), (~mask).nonzero()])[:, 0].argsort()]",
    ),
    "gate": [
        *each(
            "vs", LINEAR,
            "h = h * torch.sigmoid(self.{a}(h))",
            "h = h + torch.tanh(self.{a}(h))",
            "gate = torch.sigmoid(self.{a}(h))\nh = gate * h + (1 - gate) * h.tanh()",
            "h = h * F.softmax(self.{a}(h), -1)",
            "g = self.{a}(h)\nh = h * (g >= g.topk(2, -1).values[..., -1:])",
            "g = self.{a}(h).softmax(-1)\nvalues, places = g.topk(1, -1)\nh = h * values + places",
            "h = h * self.{a}(h).amax(-1, keepdim=True)",
            "h = h + self.{a}(h.mean(1, keepdim=True)) if h.dim() > 2 else h + self.{a}(h)",
            "a, b = self.{a}(h).chunk(2, -1)\nh = torch.cat([a * b.sigmoid()[..., :a.shape[-1]] if a.shape == b.shape else a, b], -1)",
        ),
        ("i", "self.{a} = nn.Linear({d}, {d})", "h = h * torch.sigmoid(self.{a}(h.mean((2, 3))))[:, :, None, None]"),
        ("i", "self.{a} = nn.Conv2d({d}, {d}, 3, padding=1)", "h = h + F.relu(self.{a}(h))"),
        ("i", "self.{a} = nn.Conv2d({d}, {d}, 1)\nself.{a}b = nn.Conv2d({d}, {d}, 1)", "h = self.{a}(h)\nh += self.{a}b(h)\nh = F.relu(h, True)"),
        ("s", "self.{a} = nn.Linear({d}, 1)", "h = (h * self.{a}(h).softmax(1)).sum(1)"),
        ("v", "self.{a} = nn.ModuleList(nn.Linear({d}, {d}) for _ in range(3))\nself.{a}g = nn.Linear({d}, 3)", "h = torch.einsum('ne,ned->nd', self.{a}g(h).softmax(1), torch.stack([f(h) for f in self.{a}], 1))"),
        ("v", "self.{a} = nn.ModuleList(nn.Linear({d}, {d}) for _ in range(3))\nself.{a}g = nn.Linear({d}, 3)", "score, place = self.{a}g(h).softmax(1).max(1)\nh = torch.stack([score[i] * self.{a}[int(place[i])](h[i]) for i in range(len(h))])"),
        ("v", "self.{a} = nn.ModuleList(nn.Linear({d}, {d}) for _ in range(3))\nself.{a}g = nn.Linear({d}, 3)", "score, place = self.{a}g(h).softmax(1).max(1)\nout = torch.zeros_like(h)\nfor k, f in enumerate(self.{a}):\n    rows = place == k\n    out[rows] = f(h[rows]) * score[rows, None]\nh = out"),
    ],
    "loose": [
        *each(
            "vs", ROW,
            "h = h + self.{a}", "h = h * self.{a}", "h = h / (1 + self.{a} ** 2)", "h = h + self.{a}.expand_as(h)",
            "h = torch.cat([h, self.{a}.expand(*h.shape[:-1], -1)], -1)", "h = h * self.{a}.sigmoid().view(-1)",
            "h = torch.where(h > 0, h, self.{a})", "h = h - self.{a}.mean()", "h = h * self.{a}.norm()", "h = h * self.{a}[0] + self.{a}[-1]",
            "h = h * self.{a}.flip(0).cumsum(0)", "h = torch.addcmul(h, h, self.{a}, value=2)",
        ),
        ("s", "self.{a} = nn.Parameter(torch.randn(1, 1, {d}))", "h = torch.cat([self.{a}.expand(len(h), -1, -1), h], 1)"),
        ("s", "self.{a} = nn.Parameter(torch.randn({t}, {d}))", "h = h + self.{a}"),
        ("i", "self.{a} = nn.Parameter(torch.randn({d}, 1, 1))", "h = h * self.{a} + self.{a}"),
        ("vs", "self.{a} = nn.ParameterList([nn.Parameter(torch.randn({d})) for _ in range(2)])", "h = h * self.{a}[0] + self.{a}[1]"),
        ("vs", "self.{a} = nn.ParameterDict(dict(w=nn.Parameter(torch.randn({d}))))", "h = h * self.{a}['w']"),
        ("vs", "self.{a} = nn.Parameter(torch.randn(3))", "h = h * 1"),
        ("vs", "self.{a} = [torch.randn({d})]", "h = h * self.{a}[0]"),
        ("vs", "self.{a} = dict(w=torch.randn({d}))", "h = h + self.{a}['w']"),
        ("vsi", "self.{a} = nn.Parameter(torch.tensor(0.3))", "h = h * self.{a}"),
        ("vsi", "self.{a} = nn.Parameter(torch.zeros(()))", "h = h + self.{a} * h.tanh()"),
        ("v", "self.{a} = nn.Parameter(torch.randn(0, {d}))", "h = torch.cat([h, F.linear(h, self.{a})], 1)"),
    ],
    "frozen": [
        ("vs", "self.{a} = nn.Linear({d}, 4).requires_grad_(False)", "h = self.{a}(h)"),
        ("vs", "self.{a} = nn.Linear({d}, 4)\nself.{a}.bias.requires_grad_(False)", "h = self.{a}(h)"),
        ("vs", "self.{a} = nn.Linear({d}, 4)\nself.{a}.weight.requires_grad_(False)", "h = self.{a}(h)"),
        ("i", "self.{a} = nn.Conv2d({d}, 4, 3).requires_grad_(False)", "h = self.{a}(h)"),
        ("i", "self.{a} = nn.Conv2d({d}, 4, 3, padding=1)\nself.{a}.weight.requires_grad_(False)", "h = self.{a}(h)"),
        ("s", "self.{a} = nn.MultiheadAttention({d}, {k}, batch_first=True)\nself.{a}.in_proj_weight.requires_grad_(False)", "h = self.{a}(h, h, h)[0]"),
        ("vs", "self.{a} = nn.LayerNorm({d}).requires_grad_(False)", "h = self.{a}(h)"),
        ("vs", "self.{a} = nn.Linear({d}, {d})\nself.{a}f = nn.Linear({d}, {d})\nself.{a}f.load_state_dict(self.{a}.state_dict())\nself.{a}f.requires_grad_(False)", "h = self.{a}(h) - self.{a}f(h).tanh()"),
    ],
    "state": [
        *each(
            "vsi", "self.register_buffer('{a}', torch.zeros(()))\nself.{a}n = 0\nself.{a}l = []\nself.{a}d = {{}}\nself.{a}c = Counted()\nself.{a}np = __import__('numpy').zeros(2)",
            "self.{a} += 1\nh = h * 1",
            "self.{a} = self.{a} + 1\nh = h * 1",
            "self.{a}.add_(1)",
            "self.{a}.copy_(h.detach().mean())",
            "self.{a}n += 1",
            "self.{a}l.append(1)",
            "self.{a}l.append(h.detach())",
            "self.{a}l.append(h)",
            "self.{a}d['last'] = h",
            "self.{a}d[len(self.{a}d)] = 1",
            "self.{a}cache = h.detach()",
            "self.{a}cache = h",
            "h = self.{a}c(h)",
            "self.{a}np[0] += 1",
            "global calls\ncalls += 1",
            "seen.append(1)",
            "type(self).calls = getattr(type(self), 'calls', 0) + 1",
            "if not hasattr(self, '{a}late'):\n    self.register_buffer('{a}late', torch.ones(()))\nh = h * self.{a}late",
            "if not hasattr(self, '{a}late'):\n    self.{a}late = torch.arange(h.shape[1])\nh = h[:, self.{a}late]",
            "self.{a}n, before = h.shape[0], self.{a}n\nh = h * 1",
            "self.train(self.training)",
            "with torch.no_grad():\n    self.{a}.mul_(0.9).add_(0.1 * h.mean())",
            "self.{a}.data = self.{a}.data + 1",
            "self.{a}c = Counted()",
            "h = h * (1 + self.{a})\nself.{a} += 1",
            "h = h * (1 + self.{a}n)\nself.{a}n += 1",
            "h = h + len(self.{a}l)\nself.{a}l.append(0)",
            "h = h - self.{a}\nself.{a}.mul_(0.9).add_(0.1 * h.detach().mean())",
            "if len(self.{a}l) < 2:\n    self.{a}l.append(h.detach().mean())\nh = h * 1",
            "self.{a}._version_of_mine = 3",
            "h = h + self.{a}d.setdefault('first', h.detach().mean() * 0)",
            "torch.rand(1)",
            "__import__('random').random()",
            "__import__('numpy').random.rand()",
            "h = h * torch.rand(1, generator=torch.Generator().manual_seed(3)).to(h.dtype)",
        ),
        ("vsi", "self.{a} = torch.Generator().manual_seed(1)", "torch.rand(1, generator=self.{a})"),
        ("vs", "self.{a} = nn.Linear({d}, {d})", "self.{a}.weight.requires_grad_(True)\nh = self.{a}(h)"),
        ("vs", "self.{a} = nn.Linear({d}, {d})", "self.{a}.eval()\nh = self.{a}(h)"),
        ("vs", "self.{a} = nn.Linear({d}, {d})", "h = self.{a}(h)\nself.{a}.last = h"),
        ("vs", "self.{a} = nn.Linear({d}, {d})", "with torch.no_grad():\n    self.{a}.weight.clamp_(-9, 9)\nh = self.{a}(h)"),
        ("v", "self.{a} = nn.BatchNorm1d({d}).eval()", "h = self.{a}(h)"),
    ],
    "coupled": each(
        "vsi", "self.{a} = nn.BatchNorm1d({d}, track_running_stats=False)",
        "h = h - h.mean(0)", "h = h.softmax(0)", "h = h / h.norm()", "h = h.flip(0)", "h = h.cumsum(0)", "h = h.sort(0).values",
        "h = h * len(h)", "h = h / h.abs().max()", "h = h + h[:1]", "h = h.roll(1, 0)", "h = h - h.std()", "h = h.tanh() if h.sum() > 0 else h",
        "h = h + torch.arange(len(h)).view(-1, *[1] * (h.dim() - 1))", "h = F.normalize(h, dim=0)",
    ),
    "random": each(
        "vsi", "",
        "h = F.dropout(h, 0.5, True)", "h = h + 0.1 * torch.randn_like(h)", "h = h * torch.bernoulli(torch.full_like(h, 0.5))", "h = h[:, torch.randperm(h.shape[1])]",
        "h = F.gumbel_softmax(h, dim=1)", "h = h * (1 + __import__('random').random())", "h = h + float(__import__('numpy').random.rand())",
    ),
    "tap": modules("vsi", "nn.Identity()", "nn.Sequential()", "nn.Flatten(2)", "nn.Unflatten(1, (1, -1))"),
}  # fmt: skip

#: How an input of each kind enters: text for `__init__` and for `forward`.
ENTRIES: dict[str, list[tuple[str, str]]] = {
    "vector": [("", "h = x"), ("self.enter = nn.Linear(5, 6)", "h = self.enter(x)")],
    "sequence": [("", "h = x"), ("self.enter = nn.Linear(4, 6)", "h = self.enter(x)")],
    "image": [("", "h = x"), ("self.enter = nn.Conv2d(2, 4, 3, padding=1)", "h = self.enter(x)")],
    "scalar": [("self.enter = nn.Linear(1, 4)", "h = self.enter(x[:, None])"), ("", "h = torch.stack([x, x.sin(), x.cos()], 1)")],
    "token": [
        ("self.enter = nn.Embedding(6, 4)", "h = self.enter(x.long())"),
        ("self.enter = nn.Embedding(6, 4)", "h = self.enter(x)"),
        ("self.enter = nn.Embedding(6, 4, padding_idx=0)", "h = self.enter(x.long())"),
        ("self.enter = nn.Embedding(6, 4, max_norm=1.0)", "h = self.enter(x.long())"),
        ("self.enter = nn.Embedding(6, 4, scale_grad_by_freq=True)", "h = self.enter(x.long())"),
        ("self.enter = nn.Embedding(6, 4, sparse=True)", "h = self.enter(x.long())"),
        ("self.enter = nn.Embedding(6, 4)", "h = F.one_hot(x.long(), 6).to(self.enter.weight.dtype) @ self.enter.weight"),
        ("self.enter = nn.Embedding(6, 4)", "h = self.enter.weight[x.long()]"),
        ("self.enter = nn.Embedding(6, 4)", "h = F.embedding(x.long(), self.enter.weight, padding_idx=1) + F.embedding(x.long() // 2, self.enter.weight)"),
        ("self.enter = nn.EmbeddingBag(6, 4)", "h = self.enter(x.long())"),
        ("self.enter = nn.EmbeddingBag(6, 4, mode='sum')", "h = self.enter(x.long(), per_sample_weights=x.to(self.enter.weight.dtype) + 1)"),
        ("self.enter = nn.EmbeddingBag(6, 4, mode='max')", "h = self.enter(x.long())"),
        ("self.enter = nn.EmbeddingBag(6, 4, padding_idx=1)", "h = self.enter(x.long())"),
        ("self.enter = nn.Embedding(6, 4)\nself.positions = nn.Embedding(3, 4)", "h = self.enter(x.long()) + self.positions(torch.arange(3))"),
        ("self.enter = nn.Embedding(6, 4)", "h = torch.index_select(self.enter.weight, 0, x.long().flatten()).view(len(x), -1, 4)"),
    ],
}  # fmt: skip

#: How logits [n, 3] are read from features [n, d].
HEADS: list[tuple[str, str]] = [
    ("self.head = nn.Linear({d}, 3)", "return self.head(h)"),
    ("self.head = nn.Linear({d}, 3, bias=False)", "return self.head(h)"),
    ("self.head = nn.Linear({d}, 3).requires_grad_(False)", "return self.head(h)"),
    ("self.head = nn.Parameter(torch.randn(3, {d}) / 2)", "return F.linear(F.normalize(h, dim=1), F.normalize(self.head, dim=1)) * 3"),
    ("self.head = nn.Parameter(torch.randn(3, {d}) / 2)", "return -(h[:, None] - self.head).square().sum(2)"),
    ("self.head = nn.Linear({d}, 3)", "return F.log_softmax(self.head(h), dim=1)"),
    ("self.head = nn.Linear({d}, 3)", "z = self.head(h)\nreturn z - z.mean(1, keepdim=True)"),
    ("self.head = nn.Linear({d}, 3)\nself.scale = nn.Parameter(torch.ones(()))", "return self.head(h) * self.scale.exp()"),
    ("self.head = nn.Linear({d}, 2)", "z = self.head(h)\nreturn torch.cat([z, torch.zeros_like(z[:, :1])], 1)"),
    ("self.head = nn.Linear({d}, 3)", "return self.head(h), h"),
]  # fmt: skip
#: Heads for a token input whose features have the width of the embedding.
TIED = ("self.bias = nn.Parameter(torch.zeros(6))", "return F.linear(h, self.enter.weight, self.bias)")
