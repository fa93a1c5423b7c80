"""A claim is added with one function: a protocol names it, it is checked, listed, shown and in the schema."""

import importlib
import sys

import jsonschema
import pytest
import studies

import elastic
from elastic import listing
from elastic.protocol import json_schema
from elastic.registry import registry

CODE = '''
import math

from elastic.analysis.reading import read
from elastic.claims.contract import Evidence, claim


@claim(source="hui2021evaluation", sentence="The loss ends below {most:g}{where}")
def loss_is_low(cube, *, most: float = 5.0, where: dict[str, float] | None = None) -> Evidence:
    """The training loss is low at the end."""
    return Evidence(read(cube, "loss", where=where).isel(epoch=-1), (-math.inf, most), "loss (nats)")
'''


@pytest.fixture
def added(tmp_path, monkeypatch):
    registry("claims").names()
    entries = registry("claims")._entries
    before = dict(entries)
    (tmp_path / "my_claims.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    importlib.import_module("my_claims")
    yield
    entries.clear()
    entries.update(before)
    del sys.modules["my_claims"]


def test_one_function_makes_a_claim(added, finished_study, tmp_path):
    path = studies.write(tmp_path, studies.SMALL + "claims: [loss_is_low, {name: loss_is_low, most: -100.0}]\n")
    held, wrong = elastic.check(finished_study, claims=path).verdicts
    assert (held.verdict, wrong.verdict) == ("supported", "refuted")
    assert held.sentence == "The loss ends below 5"
    assert held.options == {"most": 5.0, "where": None}
    assert (held.source, held.quantity) == ("hui2021evaluation", "loss (nats)")
    assert elastic.load_protocol(path).claims[0].options == {"most": 5.0, "where": None}


def test_a_claim_is_listed_shown_and_in_the_schema(added):
    assert "loss_is_low" in listing.names(["claims"])["claims"]
    assert listing.description("loss_is_low")
    names, *components = json_schema()["$defs"]["claims"]["anyOf"]
    assert "loss_is_low" in names["enum"]
    (component,) = [part for part in components if part["title"] == "loss_is_low"]
    jsonschema.Draft202012Validator(component).validate({"name": "loss_is_low", "most": 2.0})


def test_every_claim_cites_an_entry_and_states_a_sentence():
    from elastic.protocol.citations import cite_keys

    for entry in registry("claims"):
        assert entry.facts.source in cite_keys()
        assert entry.facts.sentence
        assert entry.parameters == ("selection",)
        assert "where" in entry.options.model_fields
