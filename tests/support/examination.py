"""The examination of one model: is what the probe tells true, or refused, and is the model left as it was?"""

from __future__ import annotations

import random
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import elastic
from support.real_steps import RANDOM, Truth, first, movements

#: A movement is right if it is off by at most this share of it, or of SMALL times the stepped sample's own.
RIGHT, SMALL = 1e-3, 1e-2
#: Rounding of float32 in sums that cancel, per unit of `Truth.scale`.
ROUNDING = 1e-6
LR = 0.05


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass(frozen=True)
class Outcome:
    """What an examination found.

    Attributes
    ----------
    refused
        The sentence of the refusal, "" where the probe gave numbers.
    checked, undecided
        Numbers of compared and of skipped (layer, pair).
    engine
        The engine that the dataset names.
    """

    findings: tuple[Finding, ...]
    refused: str
    checked: int
    undecided: int
    engine: str
    excuses: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """A model under examination.

    Attributes
    ----------
    make, make_double
        Return the model anew, always the same, as users have it and in float64.
    """

    make: Callable[[], nn.Module]
    make_double: Callable[[], nn.Module]
    stepped: tuple[Tensor, Tensor]
    observed: tuple[Tensor, Tensor]
    layers: Sequence[str]

    def truth(self, update: str) -> Truth:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return movements(
                self.make_double, self.stepped, self.observed[0], self.layers, LR if update == "finite" else None
            )

    def handed(self) -> list[Tensor]:
        """Return copies of stepped inputs and labels, observed inputs and labels."""
        return [part.clone() for pair in (self.stepped, self.observed) for part in pair]

    def measure(self, net: nn.Module, engine: str, update: str, handed: Sequence[Tensor]) -> Any:
        """Return what the probe tells of samples as `handed` returns them."""
        x, y, xo, yo = handed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return elastic.measure_elasticity(
                net, (x, y), (xo, yo), layers=list(self.layers), engine=engine, update=update,
                lr=LR if update == "finite" else None, pairs=True,
            )  # fmt: skip


def examine(subject: Subject, engine: str, update: str, truth: Truth) -> Outcome:
    """Probe the model once, and compare."""
    net = subject.make()
    handed = subject.handed()
    before = snapshot(net)
    findings, refused, chosen, checked, undecided = [], "", "", 0, 0
    try:
        ds = subject.measure(net, engine, update, handed)
    except elastic.errors.ElasticError as error:
        refused = str(error)
        if engine == "auto" and not truth.excuses:
            findings.append(Finding("refused", refused))
    except Exception as error:
        findings.append(Finding("crashed", f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}"))
    else:
        chosen = str(ds.attrs["engine"])
        wrong, checked, undecided = compare(subject, ds, truth, engine, update)
        findings += wrong
    changed = differences(before, snapshot(net))
    if not all(map(torch.equal, handed, subject.handed())):
        changed.append("the samples that were handed over")
    if changed:
        findings.append(Finding("state", "; ".join(changed[:4])))
    if not truth.excuses and not same_output(subject, net):
        findings.append(Finding("state", "the model gives another output afterwards"))
    return Outcome(tuple(findings), refused, checked, undecided, chosen, tuple(truth.excuses))


def compare(subject: Subject, ds: Any, truth: Truth, engine: str, update: str) -> tuple[list[Finding], int, int]:
    """Return the findings, and the numbers of (layer, pair) checked and skipped."""
    if not truth.moved:
        return [], 0, 0
    if RANDOM in truth.excuses:
        return [Finding("accepted", RANDOM)], 0, 0
    worst, where, checked, undecided = 0.0, "", 0, 0
    for layer in truth.moved:
        for name, right, size, decided in quantities(truth, layer):
            result = torch.as_tensor(ds[name].sel(layer=layer).values)
            counted = decided & ~(result.isnan() & (name != "own_response"))
            counted &= ~(result.isnan() & right.isnan())
            error = torch.where(counted, (result - right).abs() / size.clamp(min=1e-300), 0.0).nan_to_num(float("inf"))
            checked, undecided = checked + int(counted.sum()), undecided + int((~decided).sum())
            if float(error.max()) > (10 * worst if worst > RIGHT else worst):
                worst, place = float(error.max()), error.argmax()
                numbers = f"{float(result.flatten()[place]):.6g}, right {float(right.flatten()[place]):.6g}"
                where = f"{name} in {layer}: {numbers}"
    if worst <= RIGHT:
        return [], checked, undecided
    kind = "rounded" if right_in_double(subject, engine, update, truth) else "wrong"
    text = "; ".join([f"error {worst:.1e} of {RIGHT}", str(ds.attrs["engine"]), *truth.excuses])
    return [Finding(kind, f"{where} ({text})")], checked, undecided


def quantities(truth: Truth, layer: str) -> list[tuple[str, Tensor, Tensor, Tensor]]:
    """Return name, right values, the size of which errors are a share, and where the values are decided."""
    own, pairs = truth.own[layer].norm(dim=1), truth.moved[layer].norm(dim=2)
    products = torch.einsum("jmd,jd->jm", truth.moved[layer], truth.own[layer])
    least = ROUNDING / RIGHT * truth.scale[layer]
    near = torch.maximum(pairs, SMALL * own[:, None]) + least[:, None]
    both = truth.decided[layer] & truth.own_decided[layer][:, None]
    return [
        ("pair_response", pairs, near, truth.decided[layer]),
        ("own_response", own, own + least, truth.own_decided[layer]),
        ("pair_product", products, near * (own + least)[:, None], both),
    ]


def right_in_double(subject: Subject, engine: str, update: str, truth: Truth) -> bool:
    """Tell whether the same engine is right in float64: then the error is rounding."""
    try:
        handed = [part.double() if part.is_floating_point() else part for part in subject.handed()]
        ds = subject.measure(subject.make_double(), engine, update, handed)
    except Exception:
        return False
    for layer in truth.moved:
        own, pairs = truth.own[layer].norm(dim=1), truth.moved[layer].norm(dim=2)
        result = torch.as_tensor(ds.pair_response.sel(layer=layer).values)
        off = torch.where(truth.decided[layer] & ~result.isnan(), result - pairs, 0.0)
        of_own = torch.as_tensor(ds.own_response.sel(layer=layer).values) - own
        if max(float(off.abs().max()), float(of_own.abs().max())) > 1e-5 * float(own.max()):
            return False
    return True


def same_output(subject: Subject, net: nn.Module) -> bool:
    """Tell whether a model still runs and gives, bit by bit, what a new one gives."""
    x = subject.observed[0]
    try:
        want = seeded_output(subject.make(), x)
    except Exception:
        return True
    try:
        result = seeded_output(net, x)
    except Exception:
        return False
    return result.shape == want.shape and bool(torch.isclose(result, want, rtol=0, atol=0, equal_nan=True).all())


def seeded_output(net: nn.Module, x: Tensor) -> Tensor:
    """Return what a model gives in evaluation mode, all generators seeded for the while."""
    ours, theirs = np.random.get_state(), random.getstate()
    try:
        with torch.no_grad(), torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for seed in (torch.default_generator.manual_seed, np.random.seed, random.seed):
                seed(0)
            return first(net.eval()(x.clone()))
    finally:
        np.random.set_state(ours)
        random.setstate(theirs)


def snapshot(net: nn.Module) -> dict[str, Any]:
    """Return everything that a probe must not change, as a flat mapping that can be compared.

    What the model does not hold (globals, attributes of its class) is the model's own to keep.
    """
    taken: dict[str, Any] = {}
    walk(net, "model", taken, set())
    taken["torch rng"] = torch.get_rng_state().numpy().tobytes()
    _, key, *rest = np.random.get_state()
    taken["numpy rng"] = key.tobytes(), repr(rest)
    taken["random rng"] = random.getstate()
    taken["flags"] = (
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.backends.mha.get_fastpath_enabled(),
        torch.are_deterministic_algorithms_enabled(),
    )
    return taken


def walk(value: Any, path: str, taken: dict[str, Any], met: set[int]) -> None:
    """Take down a value and whatever it holds."""
    if isinstance(value, weakref.ref) or (id(value) in met and isinstance(value, (nn.Module, dict, list))):
        return
    met.add(id(value))
    if isinstance(value, nn.Module):
        taken[path] = id(value)
        walk(vars(value), path, taken, met)
    elif isinstance(value, Mapping):
        taken[f"{path} (keys)"] = list(map(str, value))
        for key, part in value.items():
            walk(part, f"{path}.{key}", taken, met)
    elif isinstance(value, (list, tuple)):
        taken[f"{path} (length)"] = len(value)
        for place, part in enumerate(value):
            walk(part, f"{path}[{place}]", taken, met)
    else:
        taken[path] = leaf_state(value)


def leaf_state(value: Any) -> Any:
    """Return what tells a value that holds no others from any other one."""
    if isinstance(value, nn.Parameter) and not nn.parameter.is_lazy(value):
        return id(value), value.data_ptr(), tensor_state(value)
    if isinstance(value, Tensor):
        return tensor_state(value)
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return value if isinstance(value, (int, float, str, bool, type(None))) else id(value)


def tensor_state(value: Tensor) -> Any:
    """Return what tells a tensor from any other, or why it cannot be read."""
    if nn.parameter.is_lazy(value):
        return "not yet initialised"
    if torch._C._functorch.is_functorch_wrapped_tensor(value):
        return "a tensor that left a transform of torch.func"
    grad = value.grad if value.is_leaf else None
    bits = value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b""
    return (
        value.dtype,
        tuple(value.shape),
        bits,
        value.requires_grad,
        None if grad is None else tensor_state(grad.to_dense()),
    )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the paths at which two snapshots differ."""
    return [path for path in {**before, **after} if before.get(path, "none") != after.get(path, "none")]
