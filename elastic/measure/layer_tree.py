"""The submodules of a model with their shapes: which ones can be layers, and which ones ``layers="auto"`` selects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from elastic.arguments import check_module
from elastic.arrays import as_numbers
from elastic.batches import Forward, place_of, placed, run
from elastic.batches.gathering import as_nested
from elastic.batches.nesting import tensors_of
from elastic.batches.table import Table, without_labels
from elastic.errors import DegenerateInput
from elastic.models.auto_layers import auto_layers
from elastic.models.batch_forward import BatchForward
from elastic.models.contract import TappedModel
from elastic.models.dry_run import trial
from elastic.models.forward_trace import ModuleRun, Trace, trace
from elastic.models.input_type import input_type
from elastic.models.taps import Tapped, unwrapped
from elastic.models.unnamed_functions import unnamed_functions


@dataclass(frozen=True)
class LayerRow:
    """One submodule.

    Attributes
    ----------
    name
        Name, as in ``layers``.
    module
        Its type.
    shape
        Of its output for one input, without the batch; None if there is none.
    obstacle
        Why it cannot be a layer; "" if it can.
    is_auto, is_output
        Whether ``layers="auto"`` selects it, and whether its output is the model's.
    """

    name: str
    module: str
    shape: tuple[int, ...] | None
    obstacle: str = ""
    is_auto: bool = False
    is_output: bool = False

    @property
    def width(self) -> int | None:
        """Number of features, None if there is no output [n, …]."""
        return None if self.shape is None else prod(self.shape)


@dataclass(frozen=True, repr=False)
class LayerTree:
    """The submodules of a model; ``print`` shows them as a tree.

    Attributes
    ----------
    model
        Type of the model.
    rows
        A `LayerRow` for each submodule, in the order in which they are registered.
    auto
        Names that ``layers="auto"`` selects, in the order of execution.
    notes
        Sentences on values that cannot be tapped because they have no name.
    """

    model: str
    rows: tuple[LayerRow, ...]
    auto: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[LayerRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        can = sum(not row.obstacle for row in self.rows)
        return f"<LayerTree of {self.model}: {len(self.rows)} submodules, {can} of which can be tapped>"

    def __str__(self) -> str:
        cells = [("layer", "module", "output", "features", ""), *map(_cells, self.rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(4)]
        lines = [
            "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[4]]).rstrip() for row in cells
        ]
        auto = f'layers="auto" takes {", ".join(self.auto) or "the output alone"}'
        output = "" if any(row.is_output for row in self.rows) else '; the output is added as "logits"'
        return "\n".join([*lines, "", auto + output, *self.notes])


def layers(model: nn.Module, example: Any, *, forward: Forward | None = None, show: bool = True) -> LayerTree:
    """Print the submodules of a model with the shapes of their outputs, and which ones can be layers.

    A submodule can be a layer if it runs once in a forward pass and returns a tensor [n, …]. What is computed without a
    module, such as a ReLU that is called as a function, has no name: a note below the tree lists it.

    Parameters
    ----------
    model
        Any module, which is run in evaluation mode and restored; wrappers of ``torch.compile`` and data
        parallelism are unwrapped.
    example
        A batch of inputs [n, …], an array or a tensor; or a mapping of keyword arguments, whose "labels" are left out.
        A few samples are run.
    forward
        ``forward(model, batch)`` runs the model on the example; by default ``model(inputs)`` or ``model(**batch)``.
    show
        Whether to print the tree; otherwise it is only returned.

    Returns
    -------
    LayerTree
        The printed object, with a record for each submodule; ``str`` of it is the tree, its ``repr`` one line.

    Raises
    ------
    ModelError
        If the model does not run on the example: it must be a batch, not a single input.

    Examples
    --------
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> tree = layers(net, [[[1.0, 2.0], [3.0, 4.0]]])
    layer  module   output  features
    0      Flatten  [n, 4]  4         ✓
    1      Linear   [n, 3]  3         ✓
    2      ReLU     [n, 3]  3         ✓ auto
    3      Linear   [n, 2]  2         ✓ auto, output
    <BLANKLINE>
    layers="auto" takes 2, 3
    >>> [row.width for row in layers(net, [[[1.0, 2.0], [3.0, 4.0]]], show=False)]
    [4, 3, 3, 2]
    """
    model = unwrapped(model)
    if isinstance(model, Tapped):
        model = model.module
    device = check_module(model).device
    if forward is not None or isinstance(example, Mapping):
        tree = _of_module(*_tabulated(model, example, forward, device), type(model).__name__)
    else:
        inputs = as_numbers("example", example).to(device)
        if len(inputs) == 0:
            raise DegenerateInput("`example`", "be a batch of inputs", "none", "one input or more: x[:2]")
        if inputs.is_floating_point():
            inputs = inputs.to(input_type(model, inputs[:1]))
        if isinstance(model, TappedModel):
            tree = _built_in(model, inputs)
        else:
            tree = _of_module(model, inputs, type(model).__name__)
    if show:
        print(tree)
    return tree


def _tabulated(
    model: nn.Module, example: Any, forward: Forward | None, device: torch.device
) -> tuple[nn.Module, Tensor]:
    """Return a view of a model that takes row numbers of samples, and those of an example in any format."""
    batch = placed(as_nested(example if forward is not None else without_labels(example)), device, place_of(model)[1])
    tensors = list(tensors_of(batch).values())
    if not tensors or not tensors[0].ndim or not len(tensors[0]):
        raise DegenerateInput("`example`", "be a batch of inputs", "no samples", "what a DataLoader gives")
    table = Table(batch, len(tensors[0]))
    return BatchForward(model, forward or run, table), torch.arange(table.count, device=device)[:, None]


def _of_module(model: nn.Module, inputs: Tensor, kind: str) -> LayerTree:
    traced = trace(model, inputs)
    auto = auto_layers(traced)
    names = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    rows = tuple(_row(traced, name, name in auto) for name in names)
    return LayerTree(kind, rows, tuple(auto), tuple(unnamed_functions(traced)))


def _row(traced: Trace, name: str, is_auto: bool) -> LayerRow:
    run = traced.modules[traced.aliases.get(name, name)]
    shape = run.shape[1:] if run.shape is not None and run.grows else None
    obstacle = f"is {run.name} by another name" if run.name != name else run.obstacle
    return LayerRow(name, type(run.module).__name__, shape, obstacle, is_auto, not obstacle and _is_output(traced, run))


def _is_output(traced: Trace, run: ModuleRun) -> bool:
    return run.returned is not None and traced.output is not None and run.returned.is_same(traced.output)


def _built_in(model: TappedModel, inputs: Tensor) -> LayerTree:
    """Return the layers of a model that defines them itself."""
    with trial(model):
        taps = model.taps(inputs[:1].clone())
    stages = getattr(model, "stages", {})
    kinds = {name: type(stages[name]).__name__ if name in stages else "" for name in taps}
    rows = [LayerRow(n, kinds[n], tuple(h.shape[1:]), "", True, n == model.output) for n, h in taps.items()]
    note = f"{type(model).__name__} names its layers itself: `layers` is not to be given"
    return LayerTree(type(model).__name__, tuple(rows), tuple(taps), (note,))


def _cells(row: LayerRow) -> tuple[str, ...]:
    """Return the cells of a row: its name, indented, type, shape, width, and whether it can be tapped."""
    indented = "  " * row.name.count(".") + row.name
    shape = "" if row.shape is None else f"[{', '.join(['n', *map(str, row.shape)])}]"
    width = "" if row.width is None else f"{row.width:,}"
    return (
        indented,
        row.module,
        shape,
        width,
        row.obstacle or "✓" + _marks(("auto", row.is_auto), ("output", row.is_output)),
    )


def _marks(*marks: tuple[str, bool]) -> str:
    shown = [word for word, is_shown in marks if is_shown]
    return f" {', '.join(shown)}" if shown else ""
