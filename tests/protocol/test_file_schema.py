"""The JSON Schema of protocol files: it accepts what `load_protocol` accepts and knows every name."""

import copy
import json
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import jsonschema
import pytest
from ruamel.yaml import YAML

from elastic.protocol import json_schema, load_protocol
from elastic.protocol.shipped import SCHEMA, schema_line
from elastic.registry import registry

PROTOCOLS = sorted((Path(__file__).parents[2] / "protocols").glob("*.yaml"))
QUICKSTART = next(path for path in PROTOCOLS if path.stem == "quickstart")


@pytest.fixture(scope="module")
def schema():
    return json_schema()


@pytest.fixture(scope="module")
def validator(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def quickstart():
    return YAML(typ="safe", pure=True).load(QUICKSTART.read_text())


@pytest.mark.parametrize("path", PROTOCOLS, ids=lambda path: path.stem)
def test_a_protocol_that_ships_is_read_and_accepted(validator, path):
    protocol = load_protocol(path)
    assert protocol.name == path.stem
    validator.validate(YAML(typ="safe", pure=True).load(path.read_text()))


def test_the_quick_start_asks_what_its_title_says():
    protocol = load_protocol(QUICKSTART)
    assert protocol.axis_labels == {"seed": [0, 1, 2]}
    assert protocol.model.options["widths"] == [256] * 5
    assert protocol.probes.collapse is not None
    assert protocol.probes.elasticity is not None


@pytest.mark.parametrize(
    "path",
    [(), ("data",), ("model",), ("loss",), ("optimizer",), ("optimizer", "schedule"), ("training",), ("probes",),
     ("probes", "at"), ("probes", "collapse"), ("probes", "elasticity")],
)  # fmt: skip
def test_an_unknown_key_is_refused_by_the_schema_and_by_the_reader(files, validator, quickstart, path):
    node = quickstart
    for part in path:
        node = node[part]
    node["colour"] = 1
    assert not validator.is_valid(quickstart)
    assert files.refuse(quickstart).field == f"`{'.'.join((*path, 'colour'))}`"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("model",), "mpl"), (("model", "name"), "mpl"), (("model", "widths"), "wide"), (("training", "epochs"), 0),
        (("training", "dtype"), "float16"), (("probes", "collapse", "splits"), ["valid"]), (("axes", "seed"), []),
        (("axes", "rate"), {"path": "optimizer.lr"}), (("title",), 3), (("name",), "Quick start"), (("data",), None),
        (("data", "test_fraction"), 1), (("optimizer", "schedule", "gamma"), "x"), (("probes", "at"), {"count": 3}),
        (("claims", 0), "falls"), (("claims", 0, "metric"), 3), (("claims", 0, "min_factor"), -1.0), (("claims", 0), 3),
        (("claims", 0, "depth"), 1),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_the_schema_and_by_the_reader(files, validator, quickstart, path, value):
    node = quickstart
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    assert not validator.is_valid(quickstart)
    files.refuse(quickstart)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "cnn"}, {"data": {"name": "gaussian_mixture", "dim": 4, "per_class": None, "classes": [0, 2]}},
        {"probes": {"collapse": None, "at": "every", "memory_budget": 4096}},
        {"claims": ["propagates_inward", {"name": "below", "variable": "nc1", "threshold": 1}]},
        {"optimizer": {"name": "adam", "schedule": "cosine"}}, {"training": {"epochs": 1, "batch_size": None}},
        {"axes": {"seed": [3], "rate": {"path": "optimizer.lr", "values": [0.1, 1]}}}, {"question": "Why?"},
        {"optimizer": {"name": "sgd"}, "axes": {"rate": {"path": "optimizer.lr", "values": [0.1, 1]}}},
    ],
)  # fmt: skip
def test_what_is_read_is_accepted(files, validator, quickstart, change):
    written = copy.deepcopy(quickstart) | change
    files.load(written)
    validator.validate(written)


def test_the_canonical_form_is_itself_a_protocol_file(files, validator):
    protocol = load_protocol(QUICKSTART)
    validator.validate(protocol.canonical())
    assert files.load(protocol.canonical()).digest == protocol.digest


def test_every_registered_name_and_option_is_in_the_schema(schema):
    for kind in ("data", "models", "losses", "optimizers", "schedules", "probe_schedules", "claims"):
        component = schema["$defs"][kind]
        names, options = component["else"]["properties"]["name"], component["else"]["allOf"]
        assert names["enum"] == component["then"]["enum"] == registry(kind).names()
        for entry, one in zip(registry(kind), options, strict=True):
            assert one["if"] == {"properties": {"name": {"const": entry.name}}, "required": ["name"]}
            assert set(entry.options.model_fields) <= set(one["then"]["properties"])
            assert one["then"]["description"] == entry.summary
            described = {
                name: one["then"]["properties"][name].get("description") for name in entry.options.model_fields
            }
            assert described == {name: field.description for name, field in entry.options.model_fields.items()}


def test_the_variables_of_claims_are_enumerated(schema):
    names = schema["$defs"]["variable"]["enum"]
    assert {*registry("metrics").names(), "accuracy", "kernel_change", "collapse/nc1"} <= {*names}


@pytest.mark.parametrize(
    ("path", "value", "wrong"),
    [
        (("model",), "mpl", "$.model"), (("model", "name"), "mpl", "$.model.name"), (("loss",), 3, "$.loss"),
        (("model", "widths"), "wide", "$.model.widths"), (("model", "widths"), [3, "a"], "$.model.widths[1]"),
        (("training", "batch_size"), "x", "$.training.batch_size"), (("data", "per_class"), -1, "$.data.per_class"),
        (("data", "imbalance"), {"ratio": 0.5}, "$.data.imbalance.ratio"), (("data",), None, "$.data"),
        (("loss",), {"name": "mse", "weight": -1}, "$.loss.weight"), (("optimizer", "lr"), -1, "$.optimizer.lr"),
        (("optimizer", "schedule"), {"name": "cosin"}, "$.optimizer.schedule.name"),
        (("optimizer", "schedule"), {"name": "cosine", "final": 3}, "$.optimizer.schedule.final"),
        (("probes", "collapse"), {"per_class": "a"}, "$.probes.collapse.per_class"),
        (("probes", "elasticity"), {"engine": "fast"}, "$.probes.elasticity.engine"),
        (("probes", "weights"), {"per_class": 0}, "$.probes.weights.per_class"),
        (("probes", "at"), {"name": "log", "count": 1}, "$.probes.at.count"),
        (("claims", 0), {"name": "collapse_deepens_with_training", "metric": "NC1"}, "$.claims[0].metric"),
        (("claims", 0), {"name": "below", "variable": "nc1", "threshold": "a"}, "$.claims[0].threshold"),
        (("claims", 0), {"name": "below", "variable": "nc1", "threshold": 1, "where": 3}, "$.claims[0].where"),
        (("axes", "rate"), {"path": "optimizer.lr"}, "$.axes.rate"), (("axes", "seed"), [], "$.axes.seed"),
    ],
)  # fmt: skip
def test_the_best_error_is_about_the_value_that_is_wrong(validator, quickstart, path, value, wrong):
    node = quickstart
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    error = jsonschema.exceptions.best_match(validator.iter_errors(quickstart))
    assert error.json_path == wrong


@pytest.mark.parametrize(
    ("path", "named"),
    [(("model",), "colour"), (("probes", "at"), "colour"), (("claims", 0), "colour"), (("training",), "batchsize")],
)
def test_the_best_error_names_an_unknown_key(validator, quickstart, path, named):
    node = quickstart
    for part in path:
        node = node[part]
    node[named] = 1
    error = jsonschema.exceptions.best_match(validator.iter_errors(quickstart))
    assert (error.validator, list(error.absolute_path)) == ("additionalProperties", [*path])
    assert f"'{named}' was unexpected" in error.message


def test_a_protocol_that_extends_another_need_not_be_whole(validator):
    extending = {"extends": "quickstart", "name": "mine", "model": {"widths": [8]}, "axes": {"rate": None}}
    assert validator.is_valid(extending)
    for missing in ({"name": "mine"}, {"title": "Mine"}, {"name": "mine", "title": "Mine", "model": {"widths": [8]}}):
        assert not validator.is_valid(missing)


def test_the_schema_beside_the_protocols_that_ship_is_that_of_this_release(schema):
    """Written by: elastic schema > protocols/protocol.schema.json"""
    written = (QUICKSTART.parent / SCHEMA).read_text()
    assert written == json.dumps(schema, indent=1, sort_keys=True) + "\n"


@pytest.mark.parametrize("path", PROTOCOLS, ids=lambda path: path.stem)
def test_a_protocol_that_ships_names_its_schema_for_editors(path):
    assert path.read_text().startswith(f"# yaml-language-server: $schema={SCHEMA}\n")


def test_a_new_protocol_names_the_schema_of_the_installation():
    uri = schema_line().partition("$schema=")[2].strip()
    assert Path(url2pathname(urlsplit(uri).path)) == QUICKSTART.parent / SCHEMA
