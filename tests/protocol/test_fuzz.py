"""Whatever the file: a protocol or one `ElasticError`, nothing else, and no file is made."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elastic.errors import ElasticError
from elastic.protocol import Protocol, load_protocol
from elastic.protocol.diagnostics import MOST

VALID = (Path(__file__).parents[2] / "protocols" / "quickstart.yaml").read_bytes()

WITH_AXES = {
    "name": "little",
    "title": "A grid",
    "cites": ["he2023law"],
    "data": {"name": "digits", "classes": [3, 8]},
    "model": {"name": "mlp", "widths": [8, 4]},
    "loss": "mse",
    "optimizer": {"name": "sgd", "lr": 0.05, "schedule": {"name": "multistep", "milestones": [0.5]}},
    "training": {"epochs": 3, "batch_size": None},
    "probes": {
        "at": "linear",
        "collapse": {"splits": ["test"]},
        "elasticity": {"update": "finite", "lr": 0.1},
        "weights": {"per_class": 9},
    },
    "axes": {"seed": [0, 1], "decay": {"path": "optimizer.weight_decay", "values": [0.0, 0.1], "labels": ["a", "b"]}},
    "claims": ["propagates_inward", {"name": "below", "variable": "nc1", "threshold": 1, "where": {"decay": "b"}}],
}

WORDS = st.sampled_from(
    ["name", "path", "values", "labels", "seed", "model", "optimizer.lr", "model.name", "external", "cnn", "target",
     "a:b", "axes", "probes.at", "null", "~", "&a", "*a", "!!int", "%YAML 1.1", "---",
     "1e999", ".nan", "<<", "? ", "\t", "- "]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | WORDS, inner, max_size=3),
    max_leaves=8,
)


def paths(node, path=()):
    """Yield the path of every part of plain data."""
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        yield from paths(child, (*path, key))


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Return a function that reads a file of some bytes and tells whether the promise was kept."""
    folder = tmp_path_factory.mktemp("fuzz")
    path, before = folder / "a.yaml", Path.cwd()
    os.chdir(folder)

    def check(content, **options):
        path.write_bytes(content)
        try:
            outcome = load_protocol(path, **options)
        except ElasticError as error:
            outcome = error
        if isinstance(outcome, ElasticError):
            assert outcome.exit_code == 2
            assert outcome.place is not None
            lines = str(outcome).split("\n")
            assert len(lines) <= 1 + MOST
            assert all(line.isprintable() and len(line) < 2_000 for line in lines)
        else:
            opened = Protocol.from_canonical(json.loads(json.dumps(outcome.canonical())))
            assert opened.digest == outcome.digest
            assert opened.cells == outcome.cells
        assert [file.name for file in folder.iterdir()] == ["a.yaml"]
        assert path.read_bytes() == content

    yield check
    os.chdir(before)


@given(st.binary(max_size=200))
@settings(max_examples=80)
def test_bytes(read, content):
    read(content)


@given(st.text(max_size=100) | st.lists(WORDS | st.text(max_size=5), max_size=12).map(" ".join))
@example("a: " + "[" * 5_000)
@example("a: " + "9" * 5_000)
@example("? " * 500 + "a")
@example("&a " * 500)
@settings(max_examples=120)
def test_text(read, content):
    read(content.encode("utf-8", "surrogatepass"))


@given(
    st.lists(
        st.tuples(st.integers(0, len(VALID)), st.integers(0, 12), st.binary(max_size=4) | WORDS.map(str.encode)),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=170)
def test_a_valid_file_with_parts_deleted_inserted_and_replaced(read, changes):
    content = VALID
    for start, length, put in changes:
        content = content[:start] + put + content[start + length :]
    read(content)


@given(st.data())
@settings(max_examples=170)
def test_any_data_at_any_place_of_a_valid_protocol(read, data):
    written = json.loads(json.dumps(WITH_AXES))
    *owners, last = data.draw(st.sampled_from([path for path in paths(WITH_AXES) if path]))
    node = written
    for owner in owners:
        node = node[owner]
    value = data.draw(VALUES)
    if isinstance(node, dict) and data.draw(st.booleans()):
        node[data.draw(st.text(max_size=5) | WORDS)] = value
    else:
        node[last] = value
    read(json.dumps(written, allow_nan=True).encode())


@given(st.lists(st.text(max_size=20) | st.tuples(WORDS, VALUES.map(json.dumps)).map("=".join), min_size=1, max_size=3))
@settings(max_examples=100)
def test_settings(read, given_settings):
    read(json.dumps(WITH_AXES).encode(), settings=given_settings)


@given(st.sampled_from([path for path in paths(WITH_AXES) if path]), VALUES.map(json.dumps))
@settings(max_examples=100)
def test_a_setting_anywhere_in_a_valid_protocol(read, path, value):
    read(json.dumps(WITH_AXES).encode(), settings=[".".join(map(str, path)) + "=" + value])
