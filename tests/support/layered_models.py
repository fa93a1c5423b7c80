"""Models of the architectures that users have, small: their layers are chosen and shown."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class BasicBlock(nn.Module):
    """The residual block of torchvision: one activation runs twice, in place."""

    def __init__(self, entering, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(entering, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or entering != width:
            self.downsample = nn.Sequential(nn.Conv2d(entering, width, 1, stride), nn.BatchNorm2d(width))

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, blocks=(2, 2, 2, 2), head=True):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        entering = 4
        for number, count in enumerate(blocks, start=1):
            width = 4 * number
            stages = [BasicBlock(entering, width, 2 if number > 1 else 1)]
            stages += [BasicBlock(width, width, 1) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*stages))
            entering = width
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(entering, 3) if head else nn.Identity()

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class EncoderBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        h = self.ln_1(x)
        h, _ = self.self_attention(h, h, h, need_weights=False)
        x = x + self.dropout(h)
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    def __init__(self, width, depth, tokens):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.randn(1, tokens, width))
        self.dropout = nn.Dropout(0.1)
        self.layers = nn.Sequential(OrderedDict((f"block_{i}", EncoderBlock(width)) for i in range(depth)))
        self.ln = nn.LayerNorm(width)

    def forward(self, x):
        return self.ln(self.layers(self.dropout(x + self.pos_embedding)))


class ViT(nn.Module):
    """As torchvision's: the class token is taken by an index, and the head is the only module of a sequence."""

    def __init__(self, depth=12, width=4):
        super().__init__()
        self.conv_proj = nn.Conv2d(3, width, 4, 4)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.encoder = Encoder(width, depth, 5)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(width, 3)))

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        return self.heads(self.encoder(x)[:, 0])


class Text(nn.Module):
    def __init__(self, depth=3):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, norm=nn.LayerNorm(8), enable_nested_tensor=False)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(self.encoder(self.embed(x)).mean(1))


class Recurrent(nn.Module):
    def __init__(self, batch_first=True):
        super().__init__()
        self.embed, self.lstm = nn.Embedding(20, 8), nn.LSTM(8, 6, batch_first=batch_first)
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        h = self.lstm(self.embed(x if self.lstm.batch_first else x.T))[0]
        return self.fc(h[:, -1] if self.lstm.batch_first else h[-1])


class Functional(nn.Module):
    """Its activations are functions, or one module that runs twice."""

    def __init__(self, act=None):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        if act is not None:
            self.act = act
        self.calls = (torch.relu, F.relu) if act is None else (act, act)

    def forward(self, x):
        return self.fc3(self.calls[1](self.fc2(self.calls[0](self.fc1(x)))))


class Ended(Functional):
    def forward(self, x):
        return F.log_softmax(super().forward(x), dim=1)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.b.weight = self.a.weight
        self.act1, self.act2 = nn.Tanh(), nn.Tanh()

    def forward(self, x):
        return self.out(self.act2(self.b(self.act1(self.a(x)))))


class Parts(nn.Module):
    def __init__(self, backbone, head):
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x):
        return self.head(self.backbone(x))


class FunctionalBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)

    def forward(self, x):
        return F.relu(self.lin(x))


class Mixer(nn.Module):
    """A backbone that adds what its blocks give: they do not add it themselves."""

    def __init__(self, depth):
        super().__init__()
        self.stem, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)
        blocks = (nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)) for _ in range(depth))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.norm(x)


class Odd(nn.Module):
    """Submodules that cannot be layers, each for another reason, and one that has two names."""

    def __init__(self):
        super().__init__()
        self.input, self.logits = nn.Linear(4, 4), nn.Linear(4, 4)
        self.twice, self.never = nn.Tanh(), nn.Linear(2, 2)
        self.constant, self.tokens, self.first = nn.Embedding(9, 2), Choose(), Turned()
        self.named = nn.ModuleDict({"tuple": Pair(), "dict": Mapped()})
        self.out = nn.Linear(4, 3)
        self.alias = self.out

    def forward(self, x):
        h = self.twice(self.twice(self.input(x)))
        self.constant(torch.arange(3)), self.tokens(h), self.first(h), self.named["dict"](h)
        return self.alias(self.logits(self.named["tuple"](h)[0]))


class Choose(nn.Module):
    def forward(self, x):
        return x.argmax(1)


class Turned(nn.Module):
    def forward(self, x):
        return x.T


class Pair(nn.Module):
    def forward(self, x):
        return x.sin(), x


class Mapped(nn.Module):
    def forward(self, x):
        return {"features": x}


def vgg(*widths):
    """Convolutions with activations in place, a pooling for each None, and a classifier of three linear layers."""
    features, entering = [], 3
    for width in widths:
        features += [nn.MaxPool2d(2)] if width is None else [nn.Conv2d(entering, width, 3, 1, 1), nn.ReLU(inplace=True)]
        entering = width or entering
    head = [nn.Linear(entering, 4), nn.ReLU(True), nn.Dropout(), nn.Linear(4, 4), nn.ReLU(True), nn.Dropout()]
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    names = (
        ("features", nn.Sequential(*features)),
        ("pooled", pooled),
        ("classifier", nn.Sequential(*head, nn.Linear(4, 3))),
    )
    return nn.Sequential(OrderedDict(names))


def chain(*sizes, act=nn.ReLU):
    """Linear layers of these sizes with activations between them."""
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), act())]
    return nn.Sequential(*layers[:-1])
