"""The JSON Schema of protocol files: it accepts what `load_protocol` accepts and knows every name."""

import copy
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from elastic.protocol import json_schema, load_protocol
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
        names, *components = schema["$defs"][kind]["anyOf"]
        assert names == {"enum": registry(kind).names()}
        for entry, component in zip(registry(kind), components, strict=True):
            assert component["properties"]["name"] == {"const": entry.name}
            assert set(entry.options.model_fields) <= set(component["properties"])
            assert component["description"] == entry.summary
