"""Selection of layers for ``layers="auto"``, by the types and positions of submodules.

The module tree is expanded level by level, as long as at most `MOST` layers result. Residual and attention blocks are
not expanded: their output is a layer. Other submodules form stages: each module with weights starts a stage, whose
layer is its last activation, or the module with weights if there is none. The input of the classifier, i.e. the pooled
or normalised features, is a layer as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn
from torch.nn.modules import activation, batchnorm, conv, dropout, normalization, pooling, rnn

from elastic.models.forward_trace import ModuleRun, Trace

#: Most layers including the output; and number of layers that suffices if the next level has too many.
MOST, ENOUGH = 16, 5

WEIGHTS = (
    nn.Linear, conv._ConvNd, nn.Embedding, nn.EmbeddingBag, nn.Bilinear, rnn.RNNBase, rnn.RNNCellBase,
    nn.MultiheadAttention,
)  # fmt: skip
NORMS = (
    batchnorm._NormBase, normalization.LayerNorm, normalization.GroupNorm, normalization.RMSNorm,
    normalization.LocalResponseNorm, normalization.CrossMapLRN2d,
)  # fmt: skip
#: Containers of torch without computations of their own.
HOLDERS = (
    nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder,
    nn.DataParallel, nn.parallel.DistributedDataParallel,
)  # fmt: skip


def auto_layers(trace: Trace) -> list[str]:
    """Return the names of the chosen submodules in the order in which they finish; the output's is the last.

    If no submodule returns the output, all named layers are hidden.

    Examples
    --------
    >>> import torch
    >>> from elastic.models.forward_trace import trace
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> auto_layers(trace(net, torch.ones(2, 4)))
    ['1', '3', '4']
    """
    tree = _Tree(trace)
    level = tree.opened([Part("")])
    chosen = tree.chosen(level)
    while len(chosen) <= MOST and (finer := tree.opened(level)) != level:
        more = tree.chosen(finer)
        if len(more) > MOST and len(chosen) >= ENOUGH:
            break
        level, chosen = finer, more
    return tree.outermost(_thinned(chosen))


@dataclass(frozen=True)
class Part:
    """A submodule; an expanded one represents the code that runs after its own submodules."""

    name: str
    is_open: bool = False


@dataclass
class _Stage:
    """A module with weights, or a block, and what follows up to the next one."""

    first: Part
    tail: list[Part] = field(default_factory=list)


class _Tree:
    """The submodules of a trace, and what they are."""

    def __init__(self, trace: Trace) -> None:
        self.runs = trace.modules
        self.children: dict[str, list[str]] = {name: [] for name in self.runs}
        for name in self.runs:
            if name:
                self.children[name.rpartition(".")[0]].append(name)

    def parts(self, name: str) -> list[str]:
        """Return the submodules of a module that run; a list of modules, which does not run, gives its items."""
        parts = []
        for child in self.children[name]:
            parts += [child] if self.runs[child].runs else self.parts(child)
        return parts

    def below(self, name: str) -> list[str]:
        """Return all submodules of a module that run."""
        return [inner for part in self.parts(name) for inner in (part, *self.below(part))]

    def opened(self, level: Sequence[Part]) -> list[Part]:
        """Return the next level: every expandable module is replaced by its submodules, in order of completion."""
        parts: list[Part] = []
        for part in level:
            if part.is_open or self.is_whole(part.name):
                parts.append(part)
                continue
            parts += map(Part, self.parts(part.name))
            if part.name and not any(self.same(part.name, inner) for inner in self.below(part.name)):
                parts.append(Part(part.name, is_open=True))
        return sorted(parts, key=lambda part: self.runs[part.name].order)

    def is_whole(self, name: str) -> bool:
        """Whether a module is not expanded: it has no submodules, is from torch, runs repeatedly, or is a block."""
        run = self.runs[name]
        of_torch = type(run.module).__module__.startswith("torch.nn") and not isinstance(run.module, HOLDERS)
        is_block = run.merges and not self._holds_blocks(name)
        return bool(name) and (not self.parts(name) or of_torch or run.runs > 1 or is_block)

    def _holds_blocks(self, name: str) -> bool:
        """Whether a module is a chain of blocks: modules of one type, in a list, that each have several weights."""
        for holder in (name, *self.children[name]):
            if isinstance(self.runs[holder].module, HOLDERS):
                kinds = [type(self.runs[part].module) for part in self.parts(holder) if self._weights(part) > 1]
                if len(kinds) > len(set(kinds)):
                    return True
        return False

    def _weights(self, name: str) -> int:
        return sum(_has_weights(self.runs[inner].module) for inner in self.below(name))

    def same(self, first: str, second: str) -> bool:
        """Whether two modules returned the same features, flattened or not."""
        one, other = self.runs[first].returned, self.runs[second].returned
        return one is not None and other is not None and one.has_same_features(other)

    def gives(self, first: str, second: str) -> bool:
        """Whether two modules returned the same tensor, in the same shape."""
        one, other = self.runs[first].returned, self.runs[second].returned
        return one is not None and other is not None and one.is_same(other)

    def begins_stage(self, part: Part) -> bool:
        """Whether a part has weights, or submodules with parameters."""
        module = self.runs[part.name].module
        return not part.is_open and (_has_weights(module) or self.is_block(part))

    def is_block(self, part: Part) -> bool:
        """Whether a part has parameters, and submodules that are not looked at."""
        module = self.runs[part.name].module
        is_closed = not part.is_open and not _has_weights(module) and bool(self.parts(part.name))
        return is_closed and any(True for _ in module.parameters())

    def chosen(self, level: Sequence[Part]) -> list[str]:
        """Return the names of the layers of a level."""
        stages = [_Stage(Part(""))]
        for part in level:
            if self.begins_stage(part):
                stages.append(_Stage(part))
            else:
                stages[-1].tail.append(part)
        output = self._output(level)
        at_output = next((i for i, s in enumerate(stages) if output in _names(s)), len(stages))
        names: list[str] = []
        for i, stage in enumerate(stages[1 : at_output + 1], start=1):
            leaves = i == at_output - 1 or (output is None and i == len(stages) - 2)
            names += self._of_stage(stage, leaves)
        hidden = [
            n for i, n in enumerate(names) if not self.same(n, "") and not any(self.same(n, m) for m in names[:i])
        ]
        return hidden if output is None else [*hidden, output]

    def _of_stage(self, stage: _Stage, leaves: bool) -> list[str]:
        """Return the layer of a stage; with ``leaves`` also the input of the classifier."""
        tail = [part for part in stage.tail if not self.runs[part.name].obstacle]
        active = [part for part in tail if part.is_open or _is_activation(self.runs[part.name])]
        first = [] if self.runs[stage.first.name].obstacle else [stage.first]
        standing = first if self.is_block(stage.first) and first else active or first or tail
        names = [part.name for part in standing[-1:]]
        if leaves and tail:
            names.append(next(part.name for part in tail if self.same(part.name, tail[-1].name)))
        return names

    def _output(self, level: Sequence[Part]) -> str | None:
        """Return the submodule whose output is the module's: the first one of the level, or else the last to finish."""
        giving = [name for name, run in self.runs.items() if name and not run.obstacle and self.gives(name, "")]
        giving.sort(key=lambda name: self.runs[name].order)
        return next((part.name for part in level if part.name in giving), giving[-1] if giving else None)

    def outermost(self, names: Sequence[str]) -> list[str]:
        """Return the names, each replaced by that of the outermost module that gives the same and holds no other."""
        names_outside = []
        for name in names:
            parents = [name[:i] for i, letter in enumerate(name) if letter == "."]
            alone = (p for p in parents if not any(n != name and n.startswith(f"{p}.") for n in names))
            names_outside.append(next((p for p in alone if not self.runs[p].obstacle and self.gives(p, name)), name))
        return names_outside


def _names(stage: _Stage) -> list[str]:
    return [stage.first.name, *(part.name for part in stage.tail)]


def _has_weights(module: nn.Module) -> bool:
    """Whether a module is one of torch's with weights, or has a parameter of its own of two dims or more."""
    return isinstance(module, WEIGHTS) or any(p.ndim > 1 for p in module.parameters(recurse=False))


def _is_activation(run: ModuleRun) -> bool:
    """Whether a module without weights acts element-wise: it keeps the shape and is not a normalisation."""
    kind = type(run.module)
    if kind.__module__ == activation.__name__:
        return True
    others = isinstance(run.module, (*NORMS, dropout._DropoutNd)) or kind.__module__ == pooling.__name__
    if others or "norm" in kind.__name__.lower() or run.entered is None or run.returned is None:
        return False
    return run.entered.tensor.shape == run.returned.tensor.shape and not run.entered.is_same(run.returned)


def _thinned(names: list[str]) -> list[str]:
    """Select at most `MOST` evenly spaced names, including the first, the last before the output and the output."""
    if len(names) <= MOST:
        return names
    step = (len(names) - 2) / (MOST - 2)
    return [*(names[round(i * step)] for i in range(MOST - 1)), names[-1]]
