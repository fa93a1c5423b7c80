"""Registered probes that a protocol names: completed, checked with their place, set, swept; older digests stay."""

from __future__ import annotations

import json
import sys

import jsonschema
import pytest
from support import processes

from elastic.protocol import Probes, Protocol, json_schema
from elastic.protocol.registered_probes import complete_probes
from elastic.registry import registry


@pytest.fixture
def plain(files, base):
    return files.load(base)


def test_a_probe_is_completed_with_the_defaults_of_its_options(files, base):
    protocol = files.load(base + "probes:\n  weights: {}\n")
    assert protocol.probes.asked["weights"] == {"per_class": 200}
    assert list(protocol.probes.asked) == ["collapse", "elasticity", "weights"]
    assert protocol.canonical()["probes"]["weights"] == {"per_class": 200}
    written_out = files.load(base + "probes: {weights: {per_class: 200}}\n")
    assert written_out.digest == protocol.digest
    assert protocol.cells[0].settings.probes.asked == protocol.probes.asked


@pytest.mark.parametrize("written", ["", "probes: {}\n", "probes: {weights: null}\n"])
def test_a_protocol_without_it_is_what_it_was_before(files, base, plain, written):
    protocol = files.load(base + written)
    assert "weights" not in protocol.probes.asked
    assert "weights" not in protocol.canonical()["probes"]
    assert "weights" not in protocol.cells[0].settings.canonical()["probes"]
    assert (protocol.digest, protocol.cells[0].digest) == (plain.digest, plain.cells[0].digest)


def test_asked_are_the_probes_that_are_not_null_with_all_options(plain):
    assert plain.probes.asked == {
        "collapse": plain.probes.collapse.model_dump(),
        "elasticity": plain.probes.elasticity.model_dump(),
    }
    assert plain.probes.asked["collapse"]["rank_tolerance"] is None
    chosen = Probes.model_validate({"zeta": {"b": 1}, "collapse": None, "alpha": {}, "omega": None})
    assert list(chosen.asked) == ["elasticity", "alpha", "zeta"]


@pytest.mark.parametrize(
    ("written", "place", "text"),
    [
        ("weigths: {}", "a.yaml:16:3", "`probes.weigths` should be a key of `probes`; found 'weigths'; try 'weights'"),
        ("colapse: {}", "a.yaml:16:3", "`probes.colapse` should be a key of `probes`; found 'colapse'; try 'collapse'"),
        ("xyz: 3", "a.yaml:16:3", "`probes.xyz` should be a key of `probes`; found 'xyz'; try one of at, collapse, "),
        ("weights: {per_clas: 5}", "a.yaml:16:13",
         "`probes.weights.per_clas` should be an option of 'weights'; found 'per_clas'; try 'per_class'"),
        ("weights: {per_class: 0}", "a.yaml:16:24",
         "`probes.weights.per_class` should be greater than or equal to 1; found 0; try per_class: 1"),
        ("weights: {per_class: many}", "a.yaml:16:24", "`probes.weights.per_class` should be a valid integer"),
        ("weights: 5", "a.yaml:16:12", "`probes.weights` should be a mapping of keys to values; found 5; try "),
        ("weights: [per_class]", "a.yaml:16:12", "`probes.weights` should be a mapping of keys to values; found "),
        ("weights: {per_class: 5}\n  weights: {}", "a.yaml:17:3", "be given once"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_the_nearest_name(files, base, written, place, text):
    error = files.refuse(base + f"probes:\n  {written}\n")
    assert error.place == place
    assert text in str(error)


@pytest.mark.parametrize("written", ["", "probes: {weights: {}}\n", "probes: {weights: {per_class: 7}}\n"])
def test_an_option_is_set_on_the_command_line(files, base, written):
    protocol = files.load(base + written, settings=["probes.weights.per_class=5"])
    assert protocol.probes.asked["weights"] == {"per_class": 5}
    assert "weights" not in files.load(base + written, settings=["probes.weights=null"]).probes.asked
    assert files.load(base + written, settings=["probes.weights={}"]).probes.asked["weights"] == {"per_class": 200}
    error = files.refuse(base + written, settings=["probes.weights.per_clas=5"])
    assert (error.place, error.hint) == ("--set probes.weights.per_clas=5", "'per_class'")


def test_an_axis_leads_into_its_options(files, base, plain):
    text = base + "axes: {samples_each: {path: probes.weights.per_class, values: [5, null], labels: [five, all]}}\n"
    protocol = files.load(text)
    assert [cell.settings.probes.asked["weights"] for cell in protocol.cells] == [{"per_class": 5}, {"per_class": None}]
    opened = Protocol.from_canonical(json.loads(json.dumps(protocol.canonical())))
    assert (opened.digest, opened.cells) == (protocol.digest, protocol.cells)
    assert [cell.settings.probes.asked for cell in opened.cells] == [
        cell.settings.probes.asked for cell in protocol.cells
    ]
    error = files.refuse(text.replace("[5, null]", "[5, -1]"))
    assert "`probes.weights.per_class` should be greater than or equal to 1; found -1" in str(error)


def test_an_axis_switches_it_on_and_off(files, base, plain):
    axis = "axes: {probed: {path: probes.weights, values: [null, {per_class: 5}], labels: [without, with]}}\n"
    protocol = files.load(base + axis)
    assert ["weights" in cell.settings.probes.asked for cell in protocol.cells] == [False, True]
    assert protocol.cells[0].digest == plain.cells[0].digest
    opened = Protocol.from_canonical(json.loads(json.dumps(protocol.canonical())))
    assert (opened.digest, opened.cells) == (protocol.digest, protocol.cells)
    whole = "axes: {probed: {path: probes, values: [{}, {weights: {per_class: 5}}], labels: [without, with]}}\n"
    assert [cell.digest for cell in files.load(base + whole).cells] == [cell.digest for cell in protocol.cells]


def test_the_schema_knows_it(files, base):
    schema = json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    written = {
        "name": "little", "title": "x", "data": "digits", "model": {"name": "mlp", "widths": [3]},
        "optimizer": {"name": "sgd", "lr": 1}, "training": {"epochs": 1},
    }  # fmt: skip
    for probes, valid in [
        ({"weights": {}}, True), ({"weights": None}, True), ({"weights": {"per_class": 4}}, True),
        ({"weights": {"per_class": 0}}, False), ({"weights": {"per_clas": 4}}, False), ({"weights": 4}, False),
        ({"weigths": {}}, False),
    ]:  # fmt: skip
        assert validator.is_valid(written | {"probes": probes}) == valid
        (files.load if valid else files.refuse)(written | {"probes": probes})
    options = schema["$defs"]["Probes"]["properties"]["weights"]
    assert (options["type"], options["description"]) == (["object", "null"], registry("probes").get("weights").summary)


def test_a_protocol_that_names_no_further_probe_reads_no_registry(monkeypatch):
    monkeypatch.setattr("elastic.protocol.registered_probes.registry", None)
    assert complete_probes({"probes": {"collapse": None}}) == ({"probes": {"collapse": None}}, [])
    assert complete_probes({}) == ({}, [])


def test_the_canonical_form_is_opened_without_torch(files, base):
    canonical = files.load(base + "probes: {weights: {per_class: 5}}\n").canonical()
    code = (
        "import json, sys\n"
        "from elastic.protocol import Protocol\n"
        "protocol = Protocol.from_canonical(json.loads(sys.stdin.read()))\n"
        "assert protocol.cells[0].settings.probes.asked['weights'] == {'per_class': 5}\n"
        "assert 'torch' not in sys.modules\n"
    )
    processes.run([sys.executable, "-c", code], input=json.dumps(canonical), check=True)


def test_claims_may_select_by_the_dims_of_registered_probes(files, base, monkeypatch):
    monkeypatch.setattr("elastic.protocol.claims.OF_CUBE", ("class",))
    claim = "claims: [{name: below, variable: weight_singular_values, threshold: 1, where: {component: 1}}]\n"
    files.load(base + claim)
    error = files.refuse(base + claim.replace("component: 1", "componnet: 1"))
    assert (error.hint, error.expected) == ("'component'", "be an axis of the protocol or a dim of the cube")
