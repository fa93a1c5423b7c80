"""Every registered metric, held to its own facts and to its slow twin."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import (
    cases,
    class_step_cases,
    elasticity_cases,
    kernel_cases,
    loss_oracles,
    oracles,
    transfer_cases,
    weight_cases,
)

import elastic
from elastic.metrics.contract import attributes, evaluate
from elastic.registry import registry

BIBLIOGRAPHY = Path(elastic.__file__).with_name("references.bib")


@dataclass(frozen=True)
class GroupUnderTest:
    """What the tests below need to know of a group.

    cases: by name; each has ``classes`` and ``ask(oracle)``. readings: of a case, by name.
    collapsed: a case at exact collapse with an aligned classifier; None where no metric of the group is fixed there.
    oracles: slow twins by the names of the metrics.
    """

    cases: Mapping[str, Any]
    readings: Callable[[Any], Mapping[str, Any]]
    collapsed: Any | None
    oracles: Mapping[str, Any] = field(default_factory=lambda: vars(oracles))


GROUPS = {
    "collapse": GroupUnderTest(cases.CASES, cases.Case.readings, cases.simplex_etf()),
    "elasticity": GroupUnderTest(
        elasticity_cases.CASES, elasticity_cases.Case.readings, None, {**vars(oracles), **vars(loss_oracles)}
    ),
    "weights": GroupUnderTest(
        weight_cases.CASES, weight_cases.Case.readings, weight_cases.of_classifier(cases.simplex_etf(shift=0.7))
    ),
    "unseen": GroupUnderTest(transfer_cases.CASES, transfer_cases.Case.readings, None, transfer_cases.ORACLES),
    "tangent_kernel": GroupUnderTest(kernel_cases.CASES, kernel_cases.Case.readings, None, vars(kernel_cases)),
    "class_steps": GroupUnderTest(class_step_cases.CASES, class_step_cases.Case.readings, None, vars(class_step_cases)),
    "fine_classes": GroupUnderTest(transfer_cases.CASES, transfer_cases.Case.readings, None, transfer_cases.ORACLES),
}

ENTRIES = [e for e in registry("metrics") if e.facts.group in GROUPS]
FIXED_AT_COLLAPSE = [e for e in ENTRIES if e.facts.at_collapse is not None]
each_metric = pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
each_metric_fixed_at_collapse = pytest.mark.parametrize("entry", FIXED_AT_COLLAPSE, ids=lambda e: e.name)


def cases_of(entry):
    """Return the cases in which a metric has what it reads, by name."""
    known = GROUPS[entry.facts.group].cases.items()
    return {name: case for name, case in known if set(entry.parameters).isdisjoint(getattr(case, "unmeasured", ()))}


#: The values of metrics that were asked for: they are compared with a slow twin, and held to their bounds.
VALUES = {}


def value_of(entry, case):
    if (entry.name, id(case)) not in VALUES:
        readings = GROUPS[entry.facts.group].readings(case)
        VALUES[entry.name, id(case)] = entry.function(**{name: readings[name] for name in entry.parameters})
    return VALUES[entry.name, id(case)]


@each_metric
def test_a_metric_agrees_with_its_slow_twin(entry):
    oracle = GROUPS[entry.facts.group].oracles.get(entry.name)
    assert oracle is not None, f"{entry.name} needs a slow twin of its definition among the oracles of tests/support"
    for name, case in cases_of(entry).items():
        expected, result = case.ask(oracle), value_of(entry, case).numpy()
        np.testing.assert_allclose(result, expected, rtol=1e-8, atol=1e-13, err_msg=name)


@each_metric
def test_a_metric_keeps_its_bounds_dims_and_precision(entry):
    low, high = entry.facts.bounds
    for name, case in cases_of(entry).items():
        value = value_of(entry, case)
        assert value.dtype == torch.float64, name
        assert value.shape == (case.classes,) * len(entry.facts.dims), name
        known = value[~value.isnan()]
        assert known.numel() > 0, name
        assert known.isfinite().all(), name
        assert low is None or (known >= low).all(), name
        assert high is None or (known <= high).all(), name


@each_metric_fixed_at_collapse
def test_a_metric_has_its_recorded_value_at_exact_collapse(entry):
    value = value_of(entry, GROUPS[entry.facts.group].collapsed)
    known = value[~value.isnan()]
    assert known.numel() > 0
    torch.testing.assert_close(known, torch.full_like(known, entry.facts.at_collapse), rtol=0, atol=1e-12)


@each_metric_fixed_at_collapse
def test_a_metric_is_away_from_its_value_at_collapse_where_nothing_has_collapsed(entry):
    group = GROUPS[entry.facts.group]
    values = [value_of(entry, case) for case in group.cases.values()]
    assert any(((v - entry.facts.at_collapse).abs() > 0.01).any() for v in values)


@each_metric
def test_a_metric_is_documented(entry):
    doc = inspect.getdoc(entry.function)
    assert ">>>" in doc
    prose = doc.partition(">>>")[0]
    assert re.search(r"[=Σ‖√/⟨]", prose), "no formula"
    assert len(entry.summary) <= 120
    assert entry.facts.formula
    assert entry.facts.units


@each_metric
def test_a_metric_gives_plain_attributes_to_its_variable(entry):
    attrs = attributes(entry)
    assert {"long_name", "units", "source", "formula", "value_bounds"} <= attrs.keys()
    plain = (str, int, float)
    assert all(isinstance(x, plain) for v in attrs.values() for x in (v if isinstance(v, list) else [v]))
    assert ("convention" in attrs) == ("Convention:" in inspect.getdoc(entry.function))


@each_metric
@pytest.mark.skipif(not BIBLIOGRAPHY.exists(), reason="no bibliography in this checkout")
def test_a_metric_names_a_source_of_the_bibliography(entry):
    keys = re.findall(r"^@\w+\{([^,\s]+)", BIBLIOGRAPHY.read_text(encoding="utf-8"), re.M)
    assert entry.facts.source in keys


@pytest.mark.parametrize("group", GROUPS)
def test_evaluating_a_group_gives_every_metric_of_it_once(group):
    tested = GROUPS[group]
    readings = tested.readings(next(iter(tested.cases.values())))
    by_layer, of_network = evaluate(group, readings), evaluate(group, readings, layerless=True)
    assert not by_layer.keys() & of_network.keys()
    assert by_layer.keys() | of_network.keys() == {e.name for e in ENTRIES if e.facts.group == group}


def test_the_group_collapse_has_the_variables_of_the_cube():
    expected = {
        "nc1", "within_between_ratio", "fuzziness", "cdnv", "cdnv_mean", "nc2_equinorm", "nc2_equiangle",
        "nc2_etf_error", "nc2_classifier_equinorm", "nc3_duality", "nc4_mismatch", "ncc_accuracy",
        "class_mean_norm", "within_variance", "class_cosine", "classifier_cosine",
        "class_mean_spectrum", "class_mean_spectrum_centred", "class_mean_rank",
        "mse_least_squares", "mse_perpendicular", "mse_nc1", "mse_nc23",
    }  # fmt: skip
    assert expected <= {e.name for e in ENTRIES if e.facts.group == "collapse"}


def test_the_group_elasticity_has_the_variables_of_the_cube():
    expected = {
        "response", "response_stderr", "response_lower", "response_upper", "response_stderr_clustered",
        "effective_samples", "relative_similarity_stderr", "relative_similarity_per_sample", "locality_corrected",
        "locality_stderr", "locality_lower", "locality_upper", "locality_per_sample", "locality", "self_response",
        "relative_similarity", "response_product",
        "self_response_squared", "kernel_similarity", "mean_shift", "mean_shift_alignment", "within_sensitivity",
    }  # fmt: skip
    assert expected <= {e.name for e in ENTRIES if e.facts.group == "elasticity"}


def test_the_group_weights_has_the_variables_of_the_cube():
    expected = {
        "weight_spectral_norm", "weight_stable_rank", "weight_effective_rank", "weight_singular_values",
        "weight_class_alignment", "weight_class_cosine",
    }  # fmt: skip
    assert expected <= {e.name for e in ENTRIES if e.facts.group == "weights"}


def test_every_registered_metric_is_tested_here():
    assert {e.name for e in ENTRIES} == set(registry("metrics").names())
