"""A claim is added with one function: a protocol names it, it is checked, listed, shown and in the schema."""

import importlib
import math
import re
import sys
from pathlib import Path

import jsonschema
import pytest
from support import studies

import elastic
from elastic import listing
from elastic.claims.checking import verdict_on
from elastic.claims.contract import Evidence, Selection, claim
from elastic.errors import ElasticError
from elastic.protocol import json_schema
from elastic.registry import registry

#: Called with the whole cube.
OF_THE_CUBE = '''
import math

from elastic.analysis.reading import read
from elastic.claims.contract import Evidence, claim


@claim(source="hui2021evaluation", sentence="The loss ends below {most:g}{where}")
def loss_is_low(cube, *, most: float = 5.0, where: dict[str, float] | None = None) -> Evidence:
    """The training loss is low at the end."""
    return Evidence(read(cube, "loss", where=where).isel(epoch=-1), (-math.inf, most), "loss (nats)")
'''

#: Called with a selection: the example of the documentation.
(OF_A_SELECTION,) = re.findall(
    r"```python\n((?:(?!```).)*?@claim.*?)```",
    (Path(elastic.__file__).parent / "docs" / "extending.md").read_text(),
    re.S,
)


@pytest.fixture
def added(tmp_path, monkeypatch):
    registry("claims").names()
    entries = registry("claims")._entries
    before = dict(entries)
    (tmp_path / "my_claims.py").write_text(OF_THE_CUBE)
    (tmp_path / "shown_claims.py").write_text(OF_A_SELECTION)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    importlib.import_module("my_claims")
    importlib.import_module("shown_claims")
    yield
    entries.clear()
    entries.update(before)
    del sys.modules["my_claims"], sys.modules["shown_claims"]


def test_one_function_of_the_cube_makes_a_claim(added, finished_study, tmp_path):
    path = studies.write(tmp_path, studies.SMALL + "claims: [loss_is_low, {name: loss_is_low, most: -100.0}]\n")
    held, wrong = elastic.check(finished_study, claims=path).verdicts
    assert (held.verdict, wrong.verdict) == ("supported", "refuted")
    assert held.sentence == "The loss ends below 5"
    assert held.options == {"most": 5.0, "where": None}
    assert (held.source, held.quantity) == ("hui2021evaluation", "loss (nats)")
    assert elastic.load_protocol(path).claims[0].options == {"most": 5.0, "where": None}


def test_one_function_of_a_selection_makes_a_claim(added, finished_study, tmp_path):
    of_one_layer = "{name: settles, variable: nc1, since: 0, layer: penultimate, split: test, factor: 1.0e+3}"
    written = f"claims: [{{name: settles, variable: nc1, since: 0}}, {of_one_layer}]\n"
    every, one = elastic.check(finished_study, claims=studies.write(tmp_path, studies.SMALL + written)).verdicts
    assert every.sentence == "nc1 changes by a factor below 2 after epoch 0 (train)"
    assert one.sentence == "nc1 changes by a factor below 1000 after epoch 0 in the penultimate layer (test)"
    assert list(every.options) == ["variable", "since", "factor", "split", "layer", "where"]
    nc1 = finished_study.cube["collapse"]["nc1"]
    for verdict, split, layers in ((every, "train", ["hidden_1", "penultimate"]), (one, "test", ["penultimate"])):
        assert len(verdict.findings) == len(layers)
        for finding, layer in zip(verdict.findings, layers, strict=True):
            curve = nc1.sel(split=split, layer=layer)
            changes = (curve.isel(epoch=-1) / curve.sel(epoch=0)).values.tolist()
            assert finding.per_seed == pytest.approx(changes)
            assert finding.setting == ({"layer": layer} if verdict is every else {})
    assert one.verdict == "supported"


@pytest.mark.parametrize("parameters", ["tree", "selection, tree", ""])
def test_a_claim_of_other_positional_parameters_is_an_error(parameters):
    space = {"claim": claim, "Evidence": Evidence}
    code = f"def odd({parameters}{', ' if parameters else ''}*, most=1.0):\n    return Evidence(None, (0, most), '')"
    exec(code, space)
    with pytest.raises(ElasticError) as caught:
        claim(source="hui2021evaluation", sentence="")(space["odd"])
    assert "`odd` should be `selection`" in str(caught.value)
    assert f"found {parameters or 'none'}; try def odd(selection, *, …)" in str(caught.value)
    assert "odd" not in registry("claims").names()


def test_a_claim_may_take_both_a_selection_and_the_cube(finished_study):
    def both(cube, selection, *, layer: str = "penultimate") -> Evidence:
        """Both are of one study."""
        assert isinstance(selection, Selection)
        assert selection.cube is cube
        return Evidence(selection.at_epoch(selection.read("locality")), (0.0, math.inf), "locality")

    entries = registry("claims")._entries
    try:
        claim(source="papyan2020prevalence", sentence="both")(both)
        verdict = verdict_on(finished_study.cube, "both", {})
    finally:
        entries.pop("both", None)
    assert [finding.setting for finding in verdict.findings] == [{}]
    assert (
        verdict.findings[0].per_seed
        == finished_study.cube["elasticity"]["locality"].isel(epoch=-1, layer=-2).values.tolist()
    )


def test_a_claim_is_listed_shown_and_in_the_schema(added):
    assert "loss_is_low" in listing.names(["claims"])["claims"]
    assert listing.description("loss_is_low")
    schema = json_schema()
    claims = jsonschema.Draft202012Validator({"$ref": "#/$defs/claims", "$defs": schema["$defs"]})
    assert claims.is_valid("loss_is_low")
    assert claims.is_valid({"name": "loss_is_low", "most": 2.0})
    assert not claims.is_valid({"name": "loss_is_low", "most": "2"})


def test_every_claim_cites_an_entry_and_states_a_sentence():
    from elastic.protocol.citations import cite_keys

    for entry in registry("claims"):
        assert entry.facts.source in cite_keys()
        assert entry.facts.sentence
        assert entry.parameters == ("selection",)
        assert "where" in entry.options.model_fields
