"""Options and their defaults are a promise: what comes later is marked, so that earlier studies keep their names."""

from __future__ import annotations

import copy
import json
from typing import Annotated, Any

import pydantic
import pytest
from support import protocol_options as options

from elastic.protocol import Protocol
from elastic.protocol.canonical import canonical_json
from elastic.registry import PACKAGES, registry
from elastic.releases import Added, marks

COMMITTED = json.loads(options.FILE.read_text())


def broken_promises(today: dict[str, Any], committed: dict[str, Any]) -> list[str]:
    """Return a sentence for each option that renames earlier studies or means something else in them."""
    collected = []
    for name, known in committed.items():
        for option, fact in known.items():
            here = today.get(name, {}).get(option)
            if here is None:
                collected.append(f"{name}: {option} is gone, which earlier studies name")
            elif here != fact:
                collected.append(
                    f"{name}: {option} was {fact} and is {here}; a new option, marked, may mean something else"
                )
    for name, options_now in today.items():
        for option, fact in options_now.items() if name in committed else ():
            inside_a_later_one = any(
                "added" in options_now[option[:end]] for end in range(len(option)) if option[:end] in options_now
            )
            if option not in committed[name] and "added" not in fact and not inside_a_later_one:
                collected.append(
                    f"{name}: {option} renames earlier studies; Annotated[…, Added(version, before=…)] keeps them"
                )
    return collected


def test_no_option_of_today_breaks_a_promise():
    assert broken_promises(options.every_option(), COMMITTED) == []


def test_the_committed_file_is_written_as_the_script_writes_it():
    assert options.text_of(COMMITTED) == options.FILE.read_text()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda o: o["models/mlp"].update(dropout={"default": 0.0}), "models/mlp: dropout renames earlier studies"),
        (lambda o: o["models/mlp"].update(dropout={"required": True}), "models/mlp: dropout renames earlier studies"),
        (lambda o: o["models/mlp"].update(bias={"default": False}), "models/mlp: bias was {'default': True} and is"),
        (lambda o: o["models/mlp"].pop("bias"), "models/mlp: bias is gone"),
        (lambda o: o.pop("models/mlp"), "models/mlp: activation is gone"),
        (lambda o: o["protocol"].update({"training.threads": {"default": 1}}), "protocol: training.threads renames"),
        (lambda o: o["protocol"]["probes.collapse.rank_tolerance"].pop("added"), "protocol: probes.collapse.rank_tol"),
    ],
)  # fmt: skip
def test_a_broken_promise_is_told(change, text):
    today = copy.deepcopy(COMMITTED)
    change(today)
    assert broken_promises(today, COMMITTED)[0].startswith(text)


def test_what_is_new_and_marked_breaks_none():
    today = copy.deepcopy(COMMITTED)
    today["models/mlp"]["dropout"] = {"default": 0.1, "added": "9.0.0", "before": 0.0}
    today["protocol"]["data.crop"] = {"default": None, "added": "9.0.0", "before": None}
    today["protocol"]["data.crop.size"] = {"required": True}
    today["models/another"] = {"depth": {"default": 3}}
    assert broken_promises(today, COMMITTED) == []


def test_an_option_of_a_function_and_of_a_section_is_found_wherever_it_stands():
    class Inner(pydantic.BaseModel):
        a: int
        b: Annotated[int, Added("9.0.0", before=1)] = 2

    class Outer(pydantic.BaseModel):
        one: Inner | None = None
        several: dict[str, list[Inner]] = {}

    assert options.options_of(Outer, "").keys() == {"one", "one.a", "one.b", "several", "several.a", "several.b"}
    assert options.options_of(Outer, "")["several.b"] == {"default": 2, "added": "9.0.0", "before": 1}


def marked_fields():
    entries = [entry.options for kind in PACKAGES for entry in registry(kind)]
    ahead, seen = [Protocol, *entries], set()
    while ahead:
        if (model := ahead.pop()) not in seen:
            seen.add(model)
            ahead += [inner for field in model.model_fields.values() for inner in options.models_in(field.annotation)]
            yield from ((model.model_fields[name], mark) for name, mark in marks(model).items())


def test_what_releases_did_before_an_option_is_one_of_its_values():
    result = list(marked_fields())
    assert len(result) >= 1
    for field, mark in result:
        adapter = pydantic.TypeAdapter(Annotated[field.annotation, *field.metadata])
        value = adapter.dump_python(adapter.validate_python(mark.before))
        assert canonical_json(value) == canonical_json(mark.before)  # not 0 for 0.0: it is compared with values


def test_a_later_option_needs_a_default():
    model = pydantic.create_model("Model", dropout=(Annotated[float, Added("9.0.0", before=0.0)], ...))
    with pytest.raises(TypeError, match=r"Model\.dropout .* needs a default"):
        marks(model)
