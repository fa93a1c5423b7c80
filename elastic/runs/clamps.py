"""Numbers of a protocol that exceed its data or its training, and their replacements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from elastic.data.contract import Samples
from elastic.protocol import Protocol, Settings
from elastic.protocol.cells import representatives
from elastic.protocol.formatting import dotted
from elastic.protocol.paths import Path
from elastic.runs.setup import Setup

#: Path of a number, its largest value, the reason, and the replacement.
Clamp = tuple[Path, int, str, str]


def clamps(setup: Setup, protocol: Protocol) -> list[str]:
    """Return a sentence for each number in the protocol that the data or the training limit.

    Parameters
    ----------
    setup
        Of the first run; runs with other data are not examined.
    protocol
        Of the study. Limited defaults are not reported: they are meant to fit any data.
    """
    first = protocol.cells[0].settings
    sentences: dict[str, None] = {}
    for cell in representatives(protocol.cells):
        if cell.settings.data == first.data:
            sentences |= dict.fromkeys(_clamped(cell.settings, setup.trainer.splits, protocol))
            sentences |= dict.fromkeys(_single(cell.settings, setup.trainer.splits, protocol))
    return list(sentences)


def _clamped(settings: Settings, samples: Mapping[str, Samples], protocol: Protocol) -> Iterator[str]:
    for path, most, why, instead in (*_of_data(samples), *_of_training(settings)):
        value = _number_at(settings.model_dump(), path)
        place = _place(protocol, path)
        if value is not None and value > most and place is not None:
            where = f"{place}: " if place else ""
            yield f"{where}{dotted(path)} should be at most {most}, {why}; found {value}; {instead}"


def _single(settings: Settings, samples: Mapping[str, Samples], protocol: Protocol) -> Iterator[str]:
    """Yield a sentence for each split in which the collapse probe has one sample of a class: nc1 of these is 0."""
    probe = settings.probes.collapse
    if probe is None:
        return
    for split in probe.splits:
        labels, names = samples[split].strata
        counts = [min(count, probe.per_class or count) for count in labels.bincount(minlength=len(names)).tolist()]
        single = [str(name) for name, count in zip(names, counts, strict=True) if count == 1]
        if single:
            path = ("probes", "collapse", "per_class")
            place = _place(protocol, path)
            where = f"{place}: " if place else ""
            classes = "every class" if len(single) == len(names) else f"class {', '.join(single)}"
            yield (
                f"{where}{dotted(path)} should leave two {split} samples of a class; found one of {classes}; nothing "
                "varies within it, so that nc1 and its like are too low (0 if all classes are such)"
            )


def _of_data(samples: Mapping[str, Samples]) -> Iterator[Clamp]:
    train = samples["train"]
    strata, names = train.strata
    least = int(strata.bincount(minlength=len(names)).min())
    why, instead = "the train samples of the smallest class", "a class with fewer gives all it has"
    yield ("training", "batch_size"), len(train), "the number of train samples", "every step takes all of them"
    yield ("probes", "collapse", "per_class"), least, why, instead
    for name in ("stepped_per_class", "observed_per_class", "most_per_class"):
        yield ("probes", "elasticity", name), least, why, instead
    yield ("probes", "weights", "per_class"), least, why, instead


def _of_training(settings: Settings) -> Iterator[Clamp]:
    epochs = settings.training.epochs
    if settings.probes.at.name == "every":
        yield ("probes", "at", "step"), epochs, "the last epoch", "only epoch 0 and the last are probed"
    late = "the last epoch", "it is never reached"
    if settings.probes.at.name == "listed":
        for place in range(len(settings.probes.at.options["values"])):
            yield ("probes", "at", "values", place), epochs, *late
    if settings.optimizer.schedule.name == "multistep":
        for place in range(len(settings.optimizer.schedule.options["milestones"])):
            yield ("optimizer", "schedule", "milestones", place), epochs, *late


def _number_at(settings: Any, path: Path) -> int | float | None:
    for part in path:
        if isinstance(part, str) and (not isinstance(settings, dict) or part not in settings):
            return None
        settings = settings[part]
    return settings if isinstance(settings, int | float) else None


def _place(protocol: Protocol, path: Path) -> str | None:
    """Return where a number is set, in the file or by an axis; None for a default."""
    places = protocol.places
    for name, axis in protocol.axes.named.items():
        if path[: len(axis.parts)] == axis.parts and ("axes", name, "values") in places.values:
            return places.of_value(("axes", name, "values")).text
    place = places.of_value(path)
    # In a file every value has its own location; a --set has one location as a whole.
    return place.text if path in places.values or place.source > 0 else None
