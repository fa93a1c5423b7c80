"""Models that a grammar does not reach: measured truly or refused, and left as they were."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch
from support.adversarial_models import MODELS
from support.examination import Subject, examine
from support.random_models import drawing_from
from support.real_steps import Truth
from support.sampling import pairwise
from torch import nn


def seeded(make):
    """Return a constructor whose weights are always the same."""

    def made():
        usual = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            with drawing_from(4):
                return make()
        finally:
            torch.set_default_dtype(usual)

    return made


def in_double(make):
    """Return a constructor of the model in float64, whatever holds its parts."""

    def made():
        net = make().double()
        for held in vars(net).values():
            for part in held if isinstance(held, list) else ():
                if isinstance(part, nn.Module):
                    part.double()
        return net

    return made


def subject_of(case):
    draw = torch.Generator().manual_seed(8)
    x = torch.randn(5, *case.shape, generator=draw)
    y = torch.randint(0, case.classes, (5,), generator=draw)
    make = seeded(case.make)
    return Subject(
        make,
        in_double(seeded(case.make_double) if case.make_double else make),
        (x[:2], y[:2]),
        (x[2:], y[2:]),
        case.layers,
    )


@lru_cache
def truth_of(name, update):
    """Return the truth; a model that no single sample can be stepped on has none, and may be refused."""
    try:
        return subject_of(MODELS[name]).truth(update)
    except (ValueError, KeyError, AttributeError) as error:
        return Truth(excuses=[f"no step can be taken: {error}"])


def some_of(grid):
    """Leave `auto` with every model; of autodiff, which `auto` comes to for many of them, every other one."""
    taken = 0
    for parameter in grid:
        if not parameter.marks and parameter.values[1] == "autodiff":
            taken += 1
            if taken % 2:
                parameter = pytest.param(*parameter.values, marks=pytest.mark.long)
        yield parameter


GRID = [*some_of(pairwise(MODELS, ("auto", "autodiff"), ("first_order", "finite")))]


@pytest.mark.parametrize(("name", "engine", "update"), GRID)
@pytest.mark.filterwarnings("ignore")
def test_an_unusual_model_is_measured_truly_or_refused_and_left_as_it_was(name, engine, update):
    case = MODELS[name]
    subject = subject_of(case)
    outcome = examine(subject, engine, update, truth_of(name, update))
    borne = {"refused", "rounded"} if case.make_double else {"refused"}
    faults = [str(f) for f in outcome.findings if f.kind not in borne]
    if case.expect == "measured" and engine == "auto" and outcome.refused:
        faults.append(f"refused: {outcome.refused}")
    if case.expect == "refused" and not outcome.refused:
        faults.append(f"measured by {outcome.engine}, though {', '.join(outcome.excuses) or 'it should be refused'}")
    assert not faults, "\n".join(faults)
