"""Every option of every claim that names a part of the study is checked before anything is trained."""

import json

import pytest
from support import studies

import elastic
from elastic.claims.fault import named_by
from elastic.errors import ElasticError
from elastic.protocol import load_protocol
from elastic.protocol.diagnostics import first_mistake
from elastic.registry import registry
from elastic.runs.rehearsal import rehearse
from elastic.study.claim_rehearsal import ONE_SEED, check_claims, mistakes_in_claims, planned_cube

#: Six layers between input and output, and an axis of three positive numbers.
TEXT = (
    studies.SMALL.replace("[10, 8]", "[6, 6, 6, 6, 6]").replace("axes:", "  class_steps: {}\naxes:")
    + "  decay: {path: optimizer.weight_decay, values: [0.1, 1, 10]}\n"
)

#: Line of the file on which the claim stands.
LINE = TEXT.count("\n") + 2

#: Options of each claim that have no default.
REQUIRED = {
    "above": {"variable": "nc1", "threshold": 1},
    "agrees_between": {"variable": "nc1", "axis": "decay", "first": 0.1, "second": 1, "within": 0.1},
    "below": {"variable": "nc1", "threshold": 1},
    "converges_to": {"variable": "nc1", "value": 1, "tolerance": 0.1},
    "differs_between": {"variable": "nc1", "axis": "decay", "first": 0.1, "second": 1, "least": 1},
    "equal_separation": {"min_r": 0.9},
    "exceeds": {"variable": "nc1", "other": "cdnv_mean", "least": 0},
    "follows_power_law": {"variable": "nc1", "axis": "decay", "least": 0},
    "meets_theory": {"variable": "nc1", "theory": "layer_peeled", "tolerance": 0.1,
                     "arguments": {"classes": 3, "e_h": 1.0, "e_w": 1.0}},
    "minority_collapses": {"classes": [3, 5], "min_cosine": 0.9},
    "groups": {"groups": {"low": [3, 5], "high": [8]}, "least": 0},
    "precedes": {"variable": "locality", "other": "nc1"},
    "ratio_between_splits": {"variable": "nc1", "least": 1},
    "reaches_level_inward": {"level": 0.1},
}  # fmt: skip

#: Values of what an option names that this study does not have, each with the rest of the path at which it is found.
WRONG = {
    "variable": [("nc_1", ()), ("collapse/nc_1", ()), ("elasticity/nc1", ()), ("least_squares_loss", ())],
    "axis": [("deca", ()), ("seed", ()), ("class", ())],
    "numeric_axis": [("deca", ()), ("seed", ())],
    "label": [(0.5, ()), ("x", ())],
    "where": [({"decy": 0.1}, ("decy",)), ({"decay": 0.5}, ("decay",)), ({"class": 11}, ("class",)),
              ({"other_class": "x"}, ("other_class",)), ({"layer": "hidden_1"}, ("layer",)), ({"seed": 0}, ("seed",)),
              ({"epoch": 1}, ("epoch",)), ({"component": 9}, ("component",))],
    "source": [("he2023lwa", ())],
    "epoch": [(5, ()), (-9, ()), (100, ())],
    "split": [("tset", ()), ("validation", ())],
    "layer": [("penultimat", ()), ("hidden_9", ()), ("Logits_", ())],
    "layers": [(["hidden_1", "hiden_2", "penultimate", "logits"], (1,)), (["x", "y", "z", "u"], (0,))],
    "classes": [([3, 4], (1,)), (["x", 3], (0,)), ([3, 5, 3], (0,))],
    "groups": [({"low": [3, 5], "high": [4]}, ("high",)), ({"low": [3, 5], "high": [5]}, ("high",)),
               ({"low": [3], "high": [5]}, ())],
}  # fmt: skip

#: Claims on data with a geodesic coordinate, which this study has not (`tests/runs/test_scalar_outputs.py`).
OF_CURVES = {"similarity_follows_geodesic"}

CLAIMS = [name for name in registry("claims").names() if name not in OF_CURVES]


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The cube that the study will fill, and a function that returns the mistakes in one claim, by their fields."""
    path = tmp_path_factory.mktemp("claims") / "small.yaml"
    path.write_text(TEXT)
    protocol = load_protocol(path)
    layout = rehearse(protocol, (), None).layout
    cube = planned_cube(protocol, {cell.digest: layout for cell in protocol.cells})

    def mistakes(claim):
        path.write_text(TEXT + f"claims:\n  - {json.dumps(claim)}\n")
        try:
            read = load_protocol(path)
            problems, undecided = mistakes_in_claims(read, cube)
            assert undecided == []
            if problems:
                raise first_mistake(problems, read.places)
        except ElasticError as error:
            return error
        return None

    mistakes.cube = cube
    return mistakes


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_of_what_the_study_has_is_right(planned, name):
    assert planned({"name": name, **REQUIRED.get(name, {})}) is None


@pytest.mark.parametrize("name", CLAIMS)
def test_whatever_a_claim_names_has_to_be_there(planned, name):
    entry = registry("claims").get(name)
    options = [option for option in entry.options.model_fields if named_by(entry, option)]
    assert options
    for option in options:
        for value, within in WRONG[named_by(entry, option)]:
            error = planned({"name": name, **REQUIRED.get(name, {}), option: value})
            path = ".".join(map(str, ("claims", 0, option, *within)))
            assert (error and error.field) == f"`{path}`", (option, value, str(error))
            assert f":{LINE}:" in error.place


@pytest.mark.parametrize("name", CLAIMS)
def test_every_option_that_can_name_a_part_of_the_study_says_so(name):
    entry = registry("claims").get(name)
    silent = {option for option in entry.options.model_fields if not named_by(entry, option)}
    assert silent <= {
        "threshold", "scale", "value", "tolerance", "by", "least", "most", "within", "min_factor", "min_r", "min_fall",
        "level", "over", "tail", "theory", "arguments", "quantity", "factor", "min_cosine", "include_input",
        "onset", "fraction", "other_level", "way", "other_way", "min_change", "max_residual", "of", "part",
    }  # fmt: skip


OF_NC1 = "{name: below, variable: nc1, threshold: 1"


@pytest.mark.parametrize(
    ("claim", "setting", "field", "hint"),
    [
        ("{name: locality_above}", "probes.elasticity=null", "`claims.0`", "probes.elasticity"),
        ("{name: exceeds, variable: nc1, other: response, least: 1}", "probes.elasticity=null", "`claims.0.other`",
         "probes.elasticity"),
        (OF_NC1 + "}", "probes.collapse=null", "`claims.0.variable`", "probes.collapse"),
        (OF_NC1 + ", split: test}", "probes.collapse.splits=[train]", "`claims.0.split`", "[train, test]"),
        ("{name: below, variable: locality, threshold: 1, split: test}", "training.epochs=2", "`claims.0.split`",
         "train"),
        (OF_NC1 + ", epoch: 2}", "probes.at={name: listed, values: [4]}", "`claims.0.epoch`", "0"),
    ],
)  # fmt: skip
def test_what_no_probe_measures_is_refused_before_a_folder_is_made(tmp_path, claim, setting, field, hint):
    path = studies.write(tmp_path, studies.SMALL + f"claims: [{claim}]\n")
    with pytest.raises(ElasticError) as caught:
        elastic.run(path, out=tmp_path / "results", settings=[setting])
    assert caught.value.field == field
    assert hint in caught.value.hint
    assert caught.value.place.startswith(f"{path}:14:")
    assert not (tmp_path / "results").exists()


def test_the_mistakes_of_all_claims_are_listed(tmp_path):
    claims = "claims: [{name: below, variable: nc1, threshold: 1, layer: x}, {name: locality_above, epoch: 5}]\n"
    path = studies.write(tmp_path, studies.SMALL + claims)
    with pytest.raises(ElasticError) as caught:
        elastic.run(path, out=tmp_path / "results")
    assert [error.field for error in (caught.value, *caught.value.others)] == ["`claims.0.layer`", "`claims.1.epoch`"]


def test_names_along_an_axis_are_those_of_any_of_its_runs(tmp_path):
    """The layers of both networks, of which only one has ``hidden_2``, and the epochs of the longer training."""
    axes = "  net: {path: model.widths, values: [[4], [4, 4, 4]], labels: [flat, deep]}\n"
    length = "  length: {path: training.epochs, values: [2, 5]}\n"
    claims = "claims: [{name: below, variable: nc1, threshold: 1, layer: hidden_2, epoch: 5, where: {net: deep}}]\n"
    path = studies.write(tmp_path, studies.SMALL + axes + length + claims)
    protocol = load_protocol(path)
    assert check_claims(protocol, tmp_path, (), None) == []
    with pytest.raises(ElasticError, match=r"`claims.0.layer` should be a layer of the network; found 'hidden_3'"):
        check_claims(load_protocol(path, settings=["claims.0.layer=hidden_3"]), tmp_path, (), None)


def test_claims_that_cannot_be_decided_are_told_and_run(tmp_path):
    path = studies.write(tmp_path, studies.SMALL + "claims: [collapse_deepens_with_depth]\n")
    protocol = load_protocol(path, settings=["axes.seed=[7]"])
    shallow, one_seed = check_claims(protocol, tmp_path, (), None)
    assert shallow.startswith(f"{path}:14:10: `claims.0` should have at least 3 of these layers; found 2")
    assert one_seed == ONE_SEED


def test_new_claims_of_a_study_that_is_there_are_checked_before_it_is_touched(finished_study, tmp_path):
    before = studies.contents(finished_study.folder)
    path = studies.write(tmp_path, studies.SMALL + "claims: [{name: below, variable: nc1, threshold: 1, layer: x}]\n")
    with pytest.raises(ElasticError, match=r"`claims.0.layer`"):
        elastic.run(path, out=finished_study.folder.parent)
    assert studies.contents(finished_study.folder) == before


@pytest.mark.parametrize("name", ["account_closes", "steps_move_collapse"])
def test_a_claim_that_sums_steps_needs_an_optimizer_whose_steps_are_sums(planned, name, tmp_path):
    path = tmp_path / "steps.yaml"
    rule = "  rule: {path: optimizer, values: [{name: sgd, lr: 0.1}, {name: adam}], labels: [plain, adaptive]}\n"
    text = studies.SMALL.replace("axes:", "  class_steps: {}\naxes:") + rule

    def mistake(claim, text=text, **settings):
        path.write_text(text + f"claims:\n  - {json.dumps({'name': name, **claim})}\n")
        read = load_protocol(path, settings=[f"{key}={value}" for key, value in settings.items()])
        problems, _ = mistakes_in_claims(read, planned.cube)
        return str(first_mistake(problems, read.places)) if problems else ""

    everywhere, line = mistake({}), text.count("\n") + 2
    assert everywhere.startswith(f"{path}:{line}:")
    assert "`claims.0` should be about training whose steps are sums of gradients" in everywhere
    assert "found `optimizer.name` 'adam'; try `optimizer.name` gradient_flow or sgd" in everywhere
    assert "sums of gradients" in mistake({"where": {"rule": "adaptive"}})
    assert "sums of gradients" not in mistake({"where": {"rule": "plain"}})
    of_one = text.removesuffix(rule)
    for optimizer in ("adam", "adamw", "rmsprop", "lbfgs"):
        assert f"found `optimizer.name` '{optimizer}'" in mistake({}, of_one, optimizer=f"{{name: {optimizer}}}")
    for optimizer in ("{name: sgd, lr: 0.1}", "{name: gradient_flow, lr: 0.1}"):
        assert "sums of gradients" not in mistake({}, of_one, optimizer=optimizer)


@pytest.mark.parametrize("name", ["account_closes", "steps_move_collapse"])
def test_a_claim_without_its_probe_names_the_option(planned, name):
    """The variables are the claim's own, so that no option names them."""
    entry = registry("claims").get(name)
    without = planned.cube.filter(lambda node: node.name != "class_steps")
    error = entry.facts.mistake(entry, without, entry.complete({}))
    assert error.location == ()
    assert error.expected == "be about what the study measures"
    assert "`probes.class_steps: {}`" in error.hint
