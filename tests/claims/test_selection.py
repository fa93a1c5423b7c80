"""What a claim reads: of runs that did not diverge, by names that exist, or a word of what is missing."""

import numpy as np
import pytest
import xarray as xr
from support import simulated_cubes as sim

from elastic.analysis.falls import middle_of_fall
from elastic.analysis.reading import select
from elastic.claims.checking import verdict_on
from elastic.claims.decision import step_of
from elastic.claims.selection import Selection
from elastic.cube import Status
from elastic.errors import NotMeasured, OptionError


def study(seeds=4):
    """Return the cube of one study in which nc1 halves from layer to layer and in training."""
    rng = np.random.default_rng(0)
    course = np.exp(-np.linspace(0, 3, len(sim.EPOCHS)))[:, None] * 0.5**sim.DEPTHS
    nc1 = sim.values(course * np.exp(rng.normal(0, 0.02, (1, seeds, *course.shape))), "epoch", "layer")
    locality = sim.values(1 / nc1.values, "epoch", "layer")
    rate = sim.values(locality.values[..., -1:] * 0.1, "epoch", "layer", layer=["logits"])
    cube = sim.cube(elasticity={"locality": locality}, nc1=nc1)
    cube["separability"] = xr.Dataset({"separation_rate": rate})  # a group of its own: other layers are hidden ones
    return cube.isel(study=0)


def diverged(cube, seed, since):
    status = xr.full_like(cube["collapse"]["nc1"].isel(layer=0, drop=True), Status.DONE, dtype=int)
    status[{"seed": seed, "epoch": slice(since, None)}] = Status.DIVERGED
    groups = {f"/{name}": group.dataset.assign(status=status) for name, group in cube.children.items()}
    return xr.DataTree.from_dict(groups)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("collapse_deepens_with_depth", {}), ("collapse_deepens_with_training", {}), ("propagates_inward", {}),
        ("equal_separation", {"metric": "nc1", "min_r": 0.9}), ("below", {"variable": "nc1", "threshold": 1}),
        ("reaches_level_inward", {"level": 0.1}), ("classes_separate", {}),
        ("locality_above", {}), ("locality_tracks_collapse", {}), ("locality_tracks_collapse", {"over": "epoch"}),
    ],
)  # fmt: skip
def test_a_diverged_run_is_left_out_and_counted(name, options):
    whole = verdict_on(study(), name, options)
    verdict = verdict_on(diverged(study(), 2, 4), name, options)
    assert {finding.seeds for finding in whole.findings} == {4}
    assert {finding.seeds for finding in verdict.findings} == {3}
    for one, other in zip(verdict.findings, whole.findings, strict=True):
        assert one.per_seed[2] is None
        assert [*one.per_seed[:2], one.per_seed[3]] == [*other.per_seed[:2], other.per_seed[3]]


def test_runs_that_all_diverged_decide_nothing():
    cube = diverged(study(), slice(None), 5)
    verdict = verdict_on(cube, "collapse_deepens_with_depth", {})
    assert (verdict.verdict, verdict.findings[0].reason) == ("inconclusive", "no seed has a finite value")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("collapse_deepens_with_depth", {"metric": "cdnv_mean"}, "cdnv_mean"),
        ("collapse_deepens_with_depth", {"epoch": 7}, "`epoch`"),
        ("locality_tracks_collapse", {"metric": "cdnv_mean"}, "cdnv_mean"),
        ("equal_separation", {"metric": "nc1", "min_r": 0.9, "layers": ["hidden_1", "hidden_2"]}, "at least 4"),
        ("reaches_level_inward", {"level": 0.1, "layers": ["hidden_1"]}, "at least 2"),
        ("classes_separate", {"tail": 0.9}, "at least 3"),
    ],
)
def test_what_was_not_measured_is_inconclusive_with_the_reason(name, options, words):
    verdict = verdict_on(study(), name, options)
    assert verdict.verdict == "inconclusive"
    assert words in verdict.findings[0].reason


@pytest.mark.parametrize(
    ("name", "options", "field", "hint"),
    [
        ("collapse_deepens_with_depth", {"metric": "nc_1"}, "`nc_1`", "'nc1'"),
        ("collapse_deepens_with_depth", {"where": {"decay": 1}}, "`where.decay`", "leaving it out"),
        ("collapse_deepens_with_depth", {"where": {"seed": 0}}, "`where.seed`", "leaving it out"),
        ("collapse_deepens_with_depth", {"layers": ["hiden_1"]}, "`layers`", "'hidden_1'"),
        ("collapse_deepens_with_training", {"layer": "penultimat"}, "`layer`", "'penultimate'"),
        ("collapse_deepens_with_depth", {"min_factr": 2}, "`min_factr`", "'min_factor'"),
        ("collapse_deepens_with_depth", {"min_factor": 0}, "`min_factor`", "elastic show collapse_deepens_with_depth"),
        ("below", {"variable": "nc1", "threshold": -1.0}, "`threshold`", "scale: linear"),
        ("converges_to", {"variable": "nc1", "value": -1.0, "tolerance": 0.5}, "`value`", "scale: linear"),
        ("minority_collapses", {"variable": "nc1", "classes": [0, 1], "min_cosine": 0.9}, "`variable`",
         "classifier_cosine"),
        ("differs_between", {"variable": "nc1", "axis": "decay", "first": 0, "second": 1, "least": 1}, "`decay`",
         "leaving it out"),
        ("follows_power_law", {"variable": "nc1", "axis": "scale", "least": 1.0}, "`axis`", "leaving it out"),
        ("follows_power_law", {"variable": "nc1", "axis": "scale"}, "`least`", "least: 1.8, most: 2.2"),
        ("follows_power_law", {"variable": "nc1", "axis": "scale", "least": 2.0, "most": 1.0}, "`least`",
         "least: 1.8, most: 2.2"),
        ("reaches_level_inward", {"level": 0.0}, "`level`", "elastic show reaches_level_inward"),
        ("meets_theory", {"variable": "nc1", "theory": "seely", "arguments": {}, "tolerance": 0.1}, "`theory`",
         "'seli'"),
        ("meets_theory", {"variable": "nc1", "theory": "layer_peeled", "arguments": {"clases": 3}, "tolerance": 0.1},
         "`arguments.clases`", "'classes'"),
        ("meets_theory", {"variable": "nc1", "theory": "layer_peeled", "arguments": {"classes": 3}, "tolerance": 0.1},
         "`arguments.e_h`", "adding it (elastic.theory.layer_peeled)"),
        ("meets_theory", {"variable": "nc1", "theory": "layer_peeled", "quantity": "los", "tolerance": 0.1,
                          "arguments": {"classes": 3, "e_h": 1.0, "e_w": 1.0}}, "`quantity`", "'loss'"),
        ("meets_theory", {"variable": "nc1", "theory": "mse_factor_layer", "tolerance": 0.1,
                          "arguments": {"per_class": [5, 5], "penalties": [0.1, 0.1], "layer": 1}}, "`quantity`",
         "one of singular_values, factor_singular_values, class_mean_spectrum, class_mean_spectrum_centred"),
        *(("meets_theory", {"variable": "nc1", "theory": "deep_cross_entropy_ufm", "tolerance": 0.1,
                            "arguments": {"classes": 10, "per_class": 5, "penalties": [1e-3, 1e-3], "group": group}},
           "`arguments.group`", hint) for group, hint in ((3, "2, 5, 10"), (0, "2"), ("x", "10"))),
        ("meets_theory", {"variable": "nc1", "theory": "layer_peeled_imbalanced", "tolerance": 0.1,
                          "arguments": {"per_class": [5, 0], "e_h": 1.0, "e_w": 1.0}}, "`arguments.per_class`", "1"),
        ("depth_order_crosses", {"least": 3, "most": 2}, "`least`", "0"),
        ("depth_order_crosses", {"least": 500}, "`least`", "0"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_an_error(name, options, field, hint):
    with pytest.raises(OptionError) as caught:
        verdict_on(study(), name, options)
    assert (caught.value.field, caught.value.hint) == (field, hint)


def test_a_selection_is_made_of_the_options_that_a_claim_has():
    cube = study()
    options = {"layer": "hidden_2", "epoch": 3, "where": None, "metric": "nc1", "cube": "not this"}
    assert Selection.of(cube, options) == Selection(cube, layer="hidden_2", epoch=3)
    assert Selection.of(cube, {}) == Selection(cube, split=None, layer=None, layers=None, epoch=-1, where=None)


def test_a_selection_reads_what_xarray_selects():
    cube = diverged(study(), 2, 4)
    nc1 = cube["collapse"]["nc1"].where(cube["collapse"]["status"] == Status.DONE)
    selection = Selection(cube, layer="hidden_2", epoch=3)
    expected = nc1.sel(layer="hidden_2", drop=True)
    xr.testing.assert_identical(selection.read("nc1"), expected)
    xr.testing.assert_identical(selection.at_epoch(selection.read("collapse/nc1")), expected.sel(epoch=3, drop=True))
    xr.testing.assert_identical(selection.at_epoch(expected, -1), expected.isel(epoch=-1, drop=True))
    np.testing.assert_array_equal(selection.read("nc1", layer="hidden_1"), nc1.sel(layer="hidden_1"))
    layers = ["hidden_3", "hidden_1"]  # in the order of depth, however they are named
    result = Selection(cube, layers=layers).in_layers(selection.read_every_layer("nc1"), least=2)
    xr.testing.assert_identical(result, nc1.sel(layer=["hidden_1", "hidden_3"]))


def test_layers_may_be_named_by_their_roles(monkeypatch):
    def by_role(values, dim, label):
        return select(values, dim, {"penultimate": "hidden_4"}.get(label, label))

    cube = study()
    cube["collapse"] = cube["collapse"].dataset.sel(layer=sim.HIDDEN[:-1])
    monkeypatch.setattr("elastic.claims.selection.select", by_role)
    selection = Selection(cube, layers=["penultimate", "hidden_1"])
    result = selection.in_layers(selection.read_every_layer("nc1"), least=2)
    assert result["layer"].values.tolist() == ["hidden_1", "hidden_4"]
    assert selection.read("nc1", layer="penultimate").equals(selection.read("nc1", layer="hidden_4"))


def test_a_role_of_different_layers_is_not_left_out_of_layers():
    depth = np.array([[0.0, 1.0, np.nan], [0.0, 1.0, 2.0]])
    nc1 = xr.DataArray(
        np.where(np.isnan(depth), np.nan, 4.0 - depth)[:, None, None],
        dims=("net", "seed", "epoch", "layer"),
        coords={
            "net": ["flat", "deep"], "seed": [0], "epoch": [0], "layer": ["block1", "block2", "block3"],
            "role": ("layer", ["hidden"] * 3), "depth": (("net", "layer"), depth),
        },
    )  # fmt: skip
    cube = xr.DataTree.from_dict({"/collapse": xr.Dataset({"nc1": nc1})})
    selection = Selection(cube, layers=["block1", "penultimate"])
    with pytest.raises(OptionError, match="'penultimate', which is not the same layer in all runs"):
        selection.in_layers(selection.read_every_layer("nc1"), least=1)
    of_one = Selection(cube, layers=["block1", "penultimate"], where={"net": "deep"})
    chosen = of_one.in_layers(of_one.read_every_layer("nc1"), least=2)
    assert chosen["layer"].values.tolist() == ["block1", "block3"]


def test_an_axis_may_have_the_name_of_a_layer_s_coordinate():
    cube = sim.cube(nc1=sim.values(np.ones((1, 3, 2, 5)), "width", "layer", width=[16, 64])).isel(study=0)
    verdict = verdict_on(cube, "below", {"variable": "nc1", "threshold": 2.0, "layer": "hidden_1"})
    assert [finding.setting for finding in verdict.findings] == [{"width": 16}, {"width": 64}]


def test_input_and_logits_count_only_where_they_are_named():
    cube = study()
    nc1 = cube["collapse"]["nc1"]
    outer = nc1.isel(layer=[0, -1]).assign_coords(layer=["input", "logits"], depth=("layer", [0.0, 6.0])) * 1e9
    whole = xr.concat([outer.isel(layer=[0]), nc1, outer.isel(layer=[1])], dim="layer").assign_attrs(nc1.attrs)
    wide = xr.DataTree.from_dict({"/collapse": xr.Dataset({"nc1": whole})})
    plain = verdict_on(cube, "collapse_deepens_with_depth", {}).findings[0].effect
    assert verdict_on(wide, "collapse_deepens_with_depth", {}).findings[0].effect == pytest.approx(plain)
    with_input = {"layers": ["input", *sim.HIDDEN]}
    assert verdict_on(wide, "collapse_deepens_with_depth", with_input).findings[0].effect > 2 * plain


def test_a_cube_without_a_known_variable_is_not_measured_and_an_unknown_one_is_wrong():
    with pytest.raises(NotMeasured):
        Selection(study()).read("fuzziness")
    with pytest.raises(OptionError):
        Selection(study()).read("fuzzyness")


@pytest.mark.parametrize("samples", [7, 20, 360, 1437])
def test_the_step_of_counted_shares_is_one_sample(samples):
    shares = np.random.default_rng(0).integers(0, samples + 1, 200) / samples
    assert step_of(xr.DataArray(shares, attrs={"value_bounds": ["0.0", "1.0"]})) == pytest.approx(1 / samples)


def test_what_is_no_count_has_no_step():
    values = np.random.default_rng(0).uniform(size=50)
    assert step_of(xr.DataArray(values, attrs={"value_bounds": ["0.0", "1.0"]})) == 0.0
    assert step_of(xr.DataArray([0.5**0.5], attrs={"value_bounds": ["0.0", "1.0"]})) == 0.0  # near 33461/47321
    assert step_of(xr.DataArray([0.5, 1.0], attrs={"value_bounds": ["0.0", "inf"]})) == 0.0


def test_the_middle_of_a_fall_does_not_depend_on_its_height_or_unit():
    values = study()["collapse"]["nc1"]
    xr.testing.assert_allclose(middle_of_fall(values), middle_of_fall(10 * values))
    xr.testing.assert_allclose(middle_of_fall(values), middle_of_fall(values**3))
    assert middle_of_fall(1 / values).isnull().all()


#: With a bias one of two classes' singular values is left: 1.5 and 0.
WITH_BIAS = {"theory": "mse_factor_model", "quantity": "singular_values", "variable": "class_mean_spectrum",
             "tolerance": 0.1,
             "arguments": {"per_class": [4, 4], "penalties": [1 / 16, 1 / 16], "bias": True}}  # fmt: skip


def test_a_spectrum_that_is_partly_zero_is_claimed_component_by_component():
    rng = np.random.default_rng(0)
    result = np.array([1.5, 0.0]) + rng.normal(0, 0.01, (1, 4, 2))
    cube = sim.cube(class_mean_spectrum=sim.values(result, "component", component=[1, 2])).isel(study=0)
    with pytest.raises(OptionError, match="component"):
        verdict_on(cube, "meets_theory", WITH_BIAS)
    for component in (1, 2):
        verdict = verdict_on(cube, "meets_theory", WITH_BIAS | {"where": {"component": component}})
        assert verdict.verdict == "supported"
    wrong = sim.cube(class_mean_spectrum=sim.values(result[..., ::-1], "component", component=[1, 2])).isel(study=0)
    assert verdict_on(wrong, "meets_theory", WITH_BIAS | {"where": {"component": 2}}).verdict == "refuted"
