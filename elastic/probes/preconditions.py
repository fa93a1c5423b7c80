"""Requirements of probes on a model: deterministic features, which do not depend on other samples."""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.errors import ElasticError, ModelError, first_line
from elastic.models.contract import INPUT, TappedModel
from elastic.models.precision import double, in_copies, in_float64
from elastic.models.preservation import preserved, state_of
from elastic.models.state import ModuleState
from elastic.models.taps import name_in_model
from elastic.probes.evaluation import probed
from elastic.probes.features import flat_taps

#: Relative differences of two passes over the same samples in the same batch: the order of atomic sums on a GPU.
REPEATED = 1e-5
#: Relative differences between a sample alone and in a batch, by precision: rounding, which a network amplifies.
COUPLED = {torch.float64: 1e-5, torch.float32: 1e-3}
#: Samples that are read alone and together.
SAMPLES = 3

Features = dict[str, Tensor]


def check_preconditions(model: TappedModel, inputs: Tensor, *, first: bool = True) -> Features:
    """Refuse a model whose features a probe cannot read.

    Parameters
    ----------
    model
        Read in evaluation mode, and restored.
    inputs
        Samples [n, …], of which a few different ones are read.
    first
        Whether the model's code is checked for the first time: samples are then compared alone and together in
        float64. With other parameters, the model's own precision is enough.

    Returns
    -------
    dict
        The features [n, d] by layer of a few different samples, of which the first is that of ``inputs``.

    Raises
    ------
    ModelError
        If two forward passes on the same samples differ (dropout active in evaluation mode), if the features
        of a sample depend on the batch that it is in (batch statistics), or if a forward pass fails.
    """
    samples = different(inputs)
    with torch.no_grad(), probed(model) as state:
        together = _read(model, samples, state)
        _check_same(
            together, _read(model, samples, state), "be deterministic in evaluation mode",
            "other features in a second forward pass on the same samples",
            "`self.training` as the switch of dropout and noise (`dropout_p` of attention, too)",
        )  # fmt: skip
        if len(samples) > 1 and first:
            _check_independent(model, samples, state)
        elif len(samples) > 1:
            _check_alike(*_in_company(model, samples, state, together))
    return together


def check_stepping(model: TappedModel, inputs: Tensor) -> None:
    """Refuse a model whose steps engines cannot follow; one check suffices, as it concerns the model's code.

    Parameters
    ----------
    model, inputs
        As in `check_preconditions`.

    Raises
    ------
    ModelError
        If a hook or the forward pass changes the gradient of a parameter, features are not finite or depend on whether
        gradients are recorded, or code reads a parameter past the module that owns it.
    """
    _check_hooks(model)
    samples = different(inputs)
    with torch.no_grad(), preserved(model), probed(model) as state:
        plain = _read(model, samples, state)
        _check_numbers(plain)
        gradients = [p.grad for p in model.parameters()]
        with torch.enable_grad():
            recorded = _read(model, samples, state)
        _check_gradients(model, gradients)
        _check_same(
            plain, recorded, "give the same features whether or not gradients are recorded",
            "features that depend on it", "computing the same with and without torch.no_grad",
        )  # fmt: skip
        # Both are changed in the same way: code that holds a parameter by another name uses only one of the changes.
        with in_copies(model, state):
            in_modules = _read_changed(model, samples, state_of(model, parameters=False))
        in_place = _read_changed(model, samples, state)
    _check_same(
        in_modules, in_place, "read parameters from the modules that own them",
        "a parameter that is read by another name (a closure, a global variable, a list of weights)",
        "`self.weight` in the place of a variable that holds it",
    )  # fmt: skip


def _read_changed(model: TappedModel, samples: Tensor, state: ModuleState) -> Features:
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.mul_(1.125).add_(2**-6)
    return _read(model, samples, state)


def _check_hooks(model: TappedModel) -> None:
    for name, parameter in model.named_parameters():
        if parameter._backward_hooks:
            found = "a hook that changes it (Tensor.register_hook)"
            hint = "removing the hook, or scaling the loss or the learning rate"
            raise ModelError(f"parameter `{name_in_model(name)}`", "be stepped along its own gradient", found, hint)


def _check_gradients(model: TappedModel, before: list[Tensor | None]) -> None:
    for (name, parameter), gradient in zip(model.named_parameters(), before, strict=True):
        if parameter.grad is not gradient:
            found = "a gradient that the forward pass leaves behind"
            raise ModelError(
                f"parameter `{name_in_model(name)}`", "be stepped along its own gradient", found, "an added loss"
            )


def _check_numbers(features: Features) -> None:
    for layer, values in features.items():
        if not values.is_floating_point():
            found, hint = str(values.dtype).removeprefix("torch."), "the layer before it"
            raise ModelError(f"layer {layer!r}", "give floating-point features, which a step can move", found, hint)
        if not bool(values.isfinite().all()):
            hint = "an earlier epoch, a smaller learning rate, or inputs of another scale"
            raise ModelError(f"layer {layer!r}", "give finite features", "NaN or infinity", hint)


def different(inputs: Tensor) -> Tensor:
    """Return the first sample [1, …] and some that differ from it and from one another, up to `SAMPLES`.

    >>> different(torch.tensor([[1.0], [1.0], [2.0], [1.0]])).flatten().tolist()
    [1.0, 2.0]
    """
    # In float64: other types round the last place up, beyond the samples, from 2²⁴ samples on or from a few hundred.
    places = torch.linspace(0, len(inputs) - 1, min(len(inputs), 16 * SAMPLES), dtype=torch.float64).round().long()
    chosen: list[Tensor] = []
    for sample in inputs[places.to(inputs.device)]:
        if len(chosen) < SAMPLES and not any(torch.equal(sample, other) for other in chosen):
            chosen.append(sample)
    return torch.stack(chosen)


def _read(model: TappedModel, samples: Tensor, state: ModuleState) -> Features:
    try:
        # Copies: features may be views of a parameter.
        return {layer: h.detach().clone() for layer, h in flat_taps(model, samples, state).items() if layer != INPUT}
    except ElasticError:
        raise
    except Exception as error:
        count = "one sample" if len(samples) == 1 else f"{len(samples)} samples"
        hint = "inputs of the shape and type that it takes, and layers that need no other samples"
        raise ModelError("`model`", f"run on {count}", first_line(error), hint) from error
    finally:
        state.restore()


def _check_same(first: Features, second: Features, expected: str, found: str, hint: str) -> None:
    """Raise a ModelError about the first layer whose features differ."""
    for layer, features in first.items():
        if _differs(features, second[layer], REPEATED):
            raise ModelError(f"layer {layer!r}", expected, found, hint)


def _check_independent(model: TappedModel, samples: Tensor, state: ModuleState) -> None:
    """Compare samples in different batches: in float64, where rounding hides nothing, if the model runs in it."""
    try:
        with in_float64(model, state):
            first, second = _in_company(model, double(samples), state_of(model, parameters=False))
    except (ModelError, TypeError, RuntimeError):  # of the model, or of a device without float64
        first, second = _in_company(model, samples, state)
    _check_alike(first, second)


def _check_alike(first: Features, second: Features) -> None:
    """Raise a ModelError about the first layer in which features depend on the batch."""
    for layer, features in first.items():
        if _differs(features, second[layer], COUPLED.get(features.dtype, COUPLED[torch.float32])):
            raise ModelError(
                f"layer {layer!r}", "give each sample features of its own",
                "features that depend on which other samples are in the batch",
                "running statistics in the place of those of the batch (track_running_stats=True), or layer norm",
            )  # fmt: skip


def _in_company(
    model: TappedModel, samples: Tensor, state: ModuleState, together: Features | None = None
) -> tuple[Features, Features]:
    """Return the features [n, d] of samples in a batch, which may be known, and of each alone.

    A batch norm without running statistics does not run on one sample: then those of the first sample [1, d], together
    with the second and with the third.
    """
    if together is None:
        together = _read(model, samples, state)
    try:
        alone = [_read(model, sample[None], state) for sample in samples]
    except ModelError:
        if len(samples) < SAMPLES:
            raise
        pairs = (_read(model, samples[[0, other]], state) for other in (1, 2))
        first, second = ({layer: h[:1] for layer, h in features.items()} for features in pairs)
        return first, second
    return together, {layer: torch.cat([one[layer] for one in alone]) for layer in together}


def _differs(first: Tensor, second: Tensor, tolerance: float) -> bool:
    """Whether features [n, d] differ by more than a share of the first; False if non-finite ones make that unknown."""
    if first.shape != second.shape:
        return True
    size, difference = first.double().norm(), (first.double() - second.double()).norm()
    return bool(difference > tolerance * size)
