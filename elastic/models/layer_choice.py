"""Selection of submodules as layers: by name, by pattern, or automatically."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from elastic.errors import ModelError
from elastic.models.auto_layers import auto_layers
from elastic.models.contract import TappedModel
from elastic.models.forward_trace import Trace, trace
from elastic.models.wrappers import inside, unwrapped
from elastic.registry import nearest

AUTO = "auto"


def choose_layers(model: nn.Module, example: Tensor | None, layers: Sequence[str] | str) -> list[str]:
    """Return the names of the submodules to use as layers, in the order of depth.

    Parameters
    ----------
    model
        Any module; names do not include wrappers. A `TappedModel` already has layers.
    example
        Inputs [n, …] for a forward pass, needed for patterns and "auto".
    layers
        Names and patterns. In a pattern ``*`` and ``?`` match characters between two dots, ``[12]`` one of these, and
        ``**`` any number of dotted names; submodules that cannot be layers are skipped. "auto" selects the outputs of
        blocks, of activations, or of modules with weights (`auto_layers`). Names alone keep their order, which is not
        checked. Matches of patterns are in order of execution, together with names given beside patterns.

    Raises
    ------
    ModelError
        If a pattern matches no possible layer, a name is not a string, or the model fails.

    Examples
    --------
    >>> import torch
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> choose_layers(net, torch.ones(2, 4), "auto"), choose_layers(net, torch.ones(2, 4), ["[024]"])
    (['1', '3', '4'], ['0', '2', '4'])
    """
    model = unwrapped(model)
    if isinstance(model, TappedModel):
        return list(model.layers)
    names = [layers] if isinstance(layers, str) else list(layers)
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise ModelError("`layers`", "be names of submodules", repr(wrong[0]), "their names in model.named_modules()")
    known = {name for name, _ in model.named_modules(remove_duplicate=False)}
    names = [name if name in known else inside(name) for name in names]
    patterns = [name for name in names if name not in known and set(name) & set("*?[")]
    if layers != AUTO and not patterns:
        return names
    if example is None:
        expected = "be names of submodules where no inputs are at hand to run the model on"
        raise ModelError("`layers`", expected, repr(layers), "example=inputs")
    traced = trace(model, example)
    if layers == AUTO:
        return auto_layers(traced)
    return _in_order(traced, [name for name in names if name not in patterns], patterns)


def _in_order(traced: Trace, explicit: list[str], patterns: list[str]) -> list[str]:
    """Return names and matches of patterns in order of execution; names keep their relative order."""
    order = {name: run.order for name, run in traced.modules.items()}
    order |= {alias: order[name] for alias, name in traced.aliases.items()}
    matched = {name for pattern in patterns for name in _matched(traced, pattern)} - set(explicit)
    giving = [name for name in (*explicit, *matched) if name in order and _gives_output(traced, name)]
    if any(name in explicit for name in giving):
        matched -= set(giving)
    elif giving:
        matched -= set(giving) - {max(giving, key=lambda name: order[name])}
    last = max(order.values()) + 1  # for "logits", and for unknown names, which raise an error later
    together = sorted([*explicit, *matched], key=lambda name: order.get(name, last))
    in_turn = iter(explicit)
    return [next(in_turn) if name in explicit else name for name in together]


def _matched(traced: Trace, pattern: str) -> list[str]:
    """Return the names of submodules that match a pattern and can be layers, without duplicates.

    Raises
    ------
    ModelError
        If there is none.
    """
    named = [*traced.modules, *traced.aliases]
    matching = [name for name in named if name and _matches(name.split("."), pattern.split("."))]
    runs = {name: traced.modules[traced.aliases.get(name, name)] for name in matching}
    can = {id(run): name for name, run in reversed(runs.items()) if not run.obstacle}
    if can:
        return list(can.values())
    expected = "match a submodule that can be tapped"
    if matching:
        name = matching[0]
        raise ModelError("`layers`", f"{expected}, as elastic.layers shows", f"{pattern!r}, which matches {name!r}, "
                         f"which {runs[name].obstacle}", "another pattern")  # fmt: skip
    deeper = [name for name in named if fnmatchcase(name, pattern)]
    hint = (
        f"** in the place of *, which matches no dots: {deeper[0]!r}"
        if deeper
        else nearest(pattern, named, fallback="names in elastic.layers(model, example)")
    )
    raise ModelError("`layers`", expected, f"{pattern!r}, which matches none", hint)


def _matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether names between dots match a pattern's.

    >>> _matches(["blocks", "0", "mlp"], ["blocks", "*", "mlp"]), _matches(["layer1", "0"], ["layer*"])
    (True, False)
    >>> _matches(["layer1", "0"], ["**"]), _matches(["relu"], ["**", "relu"])
    (True, True)
    """
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_matches(names[start:], pattern[1:]) for start in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])


def _gives_output(traced: Trace, name: str) -> bool:
    run, output = traced.modules[traced.aliases.get(name, name)], traced.output
    return not run.obstacle and run.returned is not None and output is not None and run.returned.is_same(output)
