"""Random models as source text, from the grammar of `random_steps`.

A `Spec` is short, printable and replayable: ``Spec.parse("vector.1/3: in_place.4, shared.2 > 0")`` is the model whose
input is entry 1 of a vector, weights drawn from seed 3, steps ``in_place.4`` and ``shared.2``, and head 0. `compose`
turns it into source text; what does not run on the shapes at hand is left out.
"""

from __future__ import annotations

import math
import random
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from support.random_steps import ENTRIES, HEADS, PREAMBLE, STEPS, TIED

#: Shapes of one sample.
SHAPES = {"vector": (5,), "sequence": (3, 4), "image": (2, 5, 6), "scalar": (), "token": (3,)}
KINDS = {2: "v", 3: "s", 4: "i"}
STEP_NAMES = [f"{family}.{place}" for family, steps in STEPS.items() for place in range(len(steps))]
ENTRY_NAMES = [f"{kind}.{place}" for kind, entries in ENTRIES.items() for place in range(len(entries))]
#: The largest feature that a model may have at its example.
LARGEST = 40.0


@dataclass(frozen=True)
class Spec:
    """What a random model is made of."""

    entry: str
    seed: int
    steps: tuple[str, ...]
    head: int

    def __str__(self) -> str:
        return f"{self.entry}/{self.seed}: {', '.join(self.steps)} > {self.head}"

    @classmethod
    def parse(cls, text: str) -> Spec:
        entry, seed, steps, head = re.fullmatch(r"(\S+)/(\d+): (.*) ?> (\d+)", text.strip()).groups()
        return cls(entry, int(seed), tuple(s for s in re.split(r"[,\s]+", steps) if s), int(head))

    @classmethod
    def draw(cls, source: random.Random) -> Spec:
        """Draw each family as often as any other, and few steps more often than many."""
        entry = source.choice(
            [name for name in ENTRY_NAMES if name.startswith(source.choice(list(ENTRIES)) + ".")] or ENTRY_NAMES
        )
        steps = []
        for _ in range(source.choice([1, 1, 2, 2, 3, 4, 5])):
            family = source.choice(list(STEPS))
            steps.append(f"{family}.{source.randrange(len(STEPS[family]))}")
        return cls(entry, source.randrange(1000), tuple(steps), source.randrange(len(HEADS) + 1))

    def smaller(self) -> list[Spec]:
        """Return specs that are simpler by one part."""
        fewer = [replace(self, steps=self.steps[:i] + self.steps[i + 1 :]) for i in range(len(self.steps))]
        kind = self.entry.partition(".")[0]
        plain = [replace(self, head=0)] * (self.head != 0) + [replace(self, entry=f"{kind}.0")] * (
            not self.entry.endswith(".0")
        )
        return fewer + plain


@dataclass(frozen=True)
class Random:
    """A random model: its source text, samples, layers that can be probed, and the steps that were not left out."""

    spec: Spec
    source: str
    layers: tuple[str, ...]
    classes: int
    steps: tuple[str, ...]

    def make(self) -> nn.Module:
        """Return the model anew, always with the same weights, in a namespace of its own."""
        return build(self.source, self.spec.seed)

    def make_double(self) -> nn.Module:
        """Return the same model in float64, constants and casts included."""
        text = double_text(self.source)
        wide = build(text, self.spec.seed)
        return widened(wide if text == self.source else self.make(), wide)

    def samples(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return (inputs, labels) of stepped and of observed samples.

        By the seed there are few, all of which a probe may verify, or more; one may be in both, and one all zeros.
        """
        seed = self.spec.seed
        stepped, observed = (3, 7) if seed % 4 == 0 else (2, 3)
        draw = torch.Generator().manual_seed(seed + 1)
        x = inputs(self.spec.entry, stepped + observed, draw)
        y = torch.randint(0, self.classes, (stepped + observed,), generator=draw)
        if seed % 3 == 1:
            x[-1], y[-1] = x[0], y[0]
        if seed % 5 == 4:
            x[-2] = 0
        return (x[:stepped], y[:stepped]), (x[stepped:], y[stepped:])

    def __str__(self) -> str:
        return f"{self.spec}\n{textwrap.indent(self.source, '    ')}layers={list(self.layers)}"


def inputs(entry: str, count: int, draw: torch.Generator) -> Tensor:
    kind = entry.partition(".")[0]
    if kind == "token":
        return torch.randint(0, 6, (count, *SHAPES[kind]), generator=draw)
    return torch.randn(count, *SHAPES[kind], generator=draw)


#: Each definition that the texts use, by its name.
DEFINITIONS = {re.match(r"(?:class )?(\w+)", text)[1]: text for text in re.split(r"\n(?=\w)", PREAMBLE.strip("\n"))}


@lru_cache(maxsize=512)
def code_of(source: str) -> Any:
    """Return a text compiled behind the definitions that it names: to run all of them takes longer than most models."""
    named = [text for name, text in DEFINITIONS.items() if re.search(rf"\b{name}\b", source)]
    return compile("\n".join([*named, source]), "<random model>", "exec")


def build(source: str, seed: int) -> nn.Module:
    """Return the network that a text defines, its weights drawn from a seed."""
    space: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, "math": math, "__name__": "random_model"}
    exec(code_of(source), space)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)  # weights are drawn in it, whatever a forward pass computes in
    try:
        with drawing_from(seed):
            return space["Net"]()
    finally:
        torch.set_default_dtype(usual)


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Draw from a seed on the CPU: `torch.manual_seed` notes who called it for each device that is not there."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


def double_text(source: str) -> str:
    """Return a text whose casts to float32 are ones to float64."""
    return source.replace(".float()", ".double()").replace("torch.float32", "torch.float64")


def widened(net: nn.Module, wide: nn.Module) -> nn.Module:
    """Return ``wide`` with the numbers of ``net`` in float64, in parameters, buffers and plain attributes."""
    wide.double()
    with torch.no_grad():
        for ours, theirs in zip(wide.parameters(), net.parameters(), strict=True):
            ours.copy_(theirs)
    for module in wide.modules():
        for name, value in vars(module).items():
            vars(module)[name] = as_double(value) if name not in ("_parameters", "_buffers", "_modules") else value
    return wide


def as_double(value: Any) -> Any:
    """Return a value with every float32 tensor in it in float64."""
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        return value.detach().double() if value.dtype == torch.float32 else value
    if type(value) in (list, tuple):
        return type(value)(map(as_double, value))
    return {key: as_double(part) for key, part in value.items()} if type(value) is dict else value


def compose(spec: Spec) -> Random | None:
    """Return the model of a spec, or None if it does not run.

    Text is added step by step, and each step is tried: the shapes that templates name are those found.
    """
    kind, place = spec.entry.split(".")
    init, forward = ENTRIES[kind][int(place)]
    text = Text((init,), (forward,))
    h = text.run(spec)
    if h is None:
        return None
    kept: list[str] = []
    for number, name in enumerate(spec.steps):
        family, at = name.split(".")
        kinds, *templates = STEPS[family][int(at)]
        # torch 2.13 ends the process on a hook of a view whose base has been written to, without any probe.
        if "register_hook" in "".join(templates) and "_(" in "".join(text.forward):
            continue
        if KINDS.get(h.dim(), "?") not in kinds:
            continue
        longer = text.plus(*templates, f"a{number}", h)
        result = longer.run(spec)
        if result is not None and result.dim() in KINDS and 0 < result[0].numel() <= 600:
            text, h = longer, result
            kept.append(name)
    if h.dim() > 2:
        text = replace(text, forward=(*text.forward, "h = h.flatten(2).mean(2)" if h.dim() == 4 else "h = h.mean(1)"))
        h = text.run(spec)
    tied = spec.head == len(HEADS)
    head = TIED if tied and kind == "token" and h.shape[1] == 4 else HEADS[spec.head % len(HEADS)]
    return finished(spec, text.plus(*head, "head", h), 6 if head is TIED else 3, tuple(kept))


@dataclass(frozen=True)
class Text:
    """Lines of a network."""

    init: tuple[str, ...]
    forward: tuple[str, ...]

    def plus(self, init: str, forward: str, name: str, h: Tensor) -> Text:
        """Return the text with a step for features h."""
        d = h.shape[1] if h.dim() == 4 else h.shape[-1]
        sizes = {"a": name, "d": d, "d1": h.shape[1], "t": h.shape[1], "H": h.shape[-2], "W": h.shape[-1]}
        sizes["k"] = 2 if d % 2 == 0 else 1
        return Text((*self.init, init.format(**sizes)), (*self.forward, forward.format(**sizes)))

    def source(self, last: str = "") -> str:
        init, forward = ("\n".join(line for line in lines if line) for lines in (self.init, (*self.forward, last)))
        init, forward = (textwrap.indent(text, " " * 8) for text in (f"super().__init__()\n{init}", forward))
        return f"class Net(nn.Module):\n    def __init__(self):\n{init}\n\n    def forward(self, x):\n{forward}\n"

    def run(self, spec: Spec, last: str = "return h") -> Tensor | None:
        """Return what the network gives for an example, None if it cannot run in evaluation mode."""
        x = inputs(spec.entry, 4, torch.Generator().manual_seed(spec.seed))
        try:
            with torch.random.fork_rng():
                h = build(self.source(last), spec.seed).eval()(x)
        except Exception:
            return None
        h = h[0] if isinstance(h, tuple) else h
        good = (
            isinstance(h, Tensor)
            and h.dtype == torch.float32
            and h.dim() > 1
            and len(h) == 4
            and bool(h.isfinite().all())
        )
        return h if good and float(h.detach().abs().max()) < LARGEST else None


def finished(spec: Spec, text: Text, classes: int, steps: tuple[str, ...]) -> Random | None:
    if text.run(spec, "") is None:
        return None
    model = Random(spec, text.source(), (), classes, steps)
    names = probed_layers(model)
    draw = random.Random(spec.seed)
    some = sorted(draw.sample(range(len(names)), min(len(names), 3)))
    return replace(model, layers=tuple(names[place] for place in some))


def probed_layers(model: Random) -> list[str]:
    """Return the submodules that run once and give a feature for each sample, in the order in which they run."""
    net, runs = model.make().eval(), []

    def note(name: str) -> Callable[..., None]:
        return lambda module, args, output: runs.append((name, output[0] if isinstance(output, tuple) else output))

    for name, module in net.named_modules():
        if name and "parametrizations" not in name and name != "head":
            module.register_forward_hook(note(name))
    net(inputs(model.spec.entry, 7, torch.Generator().manual_seed(model.spec.seed)))
    names = [name for name, _ in runs]
    return [
        n
        for n, h in runs
        if names.count(n) == 1 and isinstance(h, Tensor) and h.dim() > 0 and len(h) == 7 and h.is_floating_point()
    ]
