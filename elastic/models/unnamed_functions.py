"""Functions that a module's code calls between submodules, whose results have no name and cannot be layers."""

from __future__ import annotations

from collections import Counter, defaultdict

from torch import nn

from elastic.models.forward_trace import Trace

#: Equivalent modules of functions, by name of the function.
MODULES = {
    "relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "LeakyReLU", "prelu": "PReLU", "rrelu": "RReLU", "elu": "ELU",
    "selu": "SELU", "celu": "CELU", "gelu": "GELU", "silu": "SiLU", "mish": "Mish", "glu": "GLU", "tanh": "Tanh",
    "sigmoid": "Sigmoid", "logsigmoid": "LogSigmoid", "softplus": "Softplus", "softsign": "Softsign",
    "softmax": "Softmax", "log_softmax": "LogSoftmax", "softmin": "Softmin", "threshold": "Threshold",
    "hardtanh": "Hardtanh", "hardswish": "Hardswish", "hardsigmoid": "Hardsigmoid", "tanhshrink": "Tanhshrink",
    "softshrink": "Softshrink", "hardshrink": "Hardshrink", "layer_norm": "LayerNorm", "group_norm": "GroupNorm",
    "linear": "Linear", "conv1d": "Conv1d", "conv2d": "Conv2d", "conv3d": "Conv3d", "embedding": "Embedding",
    "max_pool1d": "MaxPool1d", "max_pool2d": "MaxPool2d", "max_pool3d": "MaxPool3d", "avg_pool1d": "AvgPool1d",
    "avg_pool2d": "AvgPool2d", "avg_pool3d": "AvgPool3d", "adaptive_avg_pool1d": "AdaptiveAvgPool1d",
    "adaptive_avg_pool2d": "AdaptiveAvgPool2d", "adaptive_max_pool2d": "AdaptiveMaxPool2d",
}  # fmt: skip
#: Functions that only rearrange values, or change their dtype.
MOVING = frozenset(
    {"reshape", "flatten", "contiguous", "clone", "to", "float", "double", "half", "bfloat16", "type_as", "expand"}
    | {"repeat", "permute", "transpose", "getitem", "index_select", "gather", "movedim", "roll", "flip", "unfold"}
    | {"repeat_interleave", "tile", "view", "squeeze", "unsqueeze"}
)


def unnamed_functions(trace: Trace) -> list[str]:
    """Return a sentence on each function of a trace that changes features and whose result no module returns.

    Functions inside torch's modules without submodules are ignored.

    Examples
    --------
    >>> import torch
    >>> from elastic.models.forward_trace import trace
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.first, self.last = nn.Linear(2, 3), nn.Linear(3, 2)
    ...     def forward(self, x):
    ...         return self.last(torch.relu(self.first(x)))
    >>> print(*unnamed_functions(trace(Net(), torch.ones(1, 2))))
    forward of Net calls relu once as a function: its output has no name and cannot be tapped; use nn.ReLU
    """
    returned = [run.returned for run in trace.modules.values() if run.returned and (not run.name or not run.obstacle)]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    callers: dict[str, set[str]] = defaultdict(set)
    for call in trace.calls:
        name, kind = call.function.strip("_"), type(trace.modules[call.caller].module)
        if name in MOVING or not _is_open(trace, call.caller) or any(call.result.is_same(other) for other in returned):
            continue
        counts[kind.__name__][name] += 1
        callers[kind.__name__].add(call.caller)
    return [sentence for kind, of_kind in counts.items() for sentence in _sentences(kind, of_kind, len(callers[kind]))]


def _is_open(trace: Trace, caller: str) -> bool:
    """Whether a module has the user's code, with submodules or weights of its own."""
    module = trace.modules[caller].module
    if not caller:
        return True
    if type(module).__module__.startswith("torch.nn"):
        return isinstance(module, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer))
    inner = any(run.runs and run.name.startswith(f"{caller}.") for run in trace.modules.values())
    return inner or any(p.ndim > 1 for p in module.parameters(recurse=False))


def _sentences(kind: str, counts: Counter[str], modules: int) -> list[str]:
    where = f"forward of {kind}" + (f" (in {modules} modules)" if modules > 1 else "")
    sentences = [
        f"{where} calls {name} {_times(count)} as a function: its output has no name and cannot be tapped; "
        f"use nn.{MODULES[name]}"
        for name, count in counts.items()
        if name in MODULES
    ]
    others = ", ".join(f"{name} ({_times(count)})" for name, count in counts.items() if name not in MODULES)
    if others:
        sentences.append(f"{where} computes with {others}: what no module returns has no name and cannot be tapped")
    return sentences


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
