"""Options that a later release adds, marked with `Added`: earlier studies and cells keep their names and their meaning.

`release` stands for two releases of one package of models: in the first, ``grown`` has widths alone.
"""

from __future__ import annotations

import io
import json
from typing import Annotated, Any

import pydantic
import pytest
from rich.console import Console

from elastic.listing import description
from elastic.protocol import Protocol, json_schema
from elastic.protocol.later_components import fill_in, options_of, written_out
from elastic.protocol.later_options import with_earlier, without_later
from elastic.registry import Entry, registry
from elastic.releases import Added

GROWN = {
    "name": "little", "title": "Two releases", "data": "digits", "model": {"name": "grown", "widths": [8, 4]},
    "optimizer": {"name": "sgd", "lr": 0.05}, "training": {"epochs": 3},
}  # fmt: skip


class Head(pydantic.BaseModel):
    """An option that is itself a mapping, and was given a second key later still."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    width: int = 4
    depth: Annotated[int, Added("9.1.0", before=1)] = 1


def grown(task: Any, *, widths: list[int]) -> None:
    """First release."""


def grown_later(
    task: Any,
    *,
    widths: list[int],
    dropout: Annotated[float, Added("9.0.0", before=0.0)] = 0.0,
    gate: Annotated[str | None, Added("9.0.0", before=None)] = "soft",
    head: Annotated[Head, Added("9.0.0", before={"width": 4})] = Head(),  # noqa: B008 (only read)
) -> None:
    """Second release: dropout and head are off by default as before, the gate is not."""


def pruned(task: Any, *, widths: list[int], dropout: float = 0.3) -> None:
    """Another model, which had dropout from the first release on."""


@pytest.fixture
def release(monkeypatch):
    """Return a function that puts the models of the first or of the second release in place."""

    def install(number):
        function = {1: grown, 2: grown_later}[number]
        monkeypatch.setitem(registry("models")._entries, "grown", Entry("models", "grown", function))

    registry("models").names()  # reads the room first
    monkeypatch.setitem(registry("models")._entries, "pruned", Entry("models", "pruned", pruned))
    install(1)
    return install


@pytest.fixture
def load(files, release):
    """Return a function that reads the protocol, with changes, as the first or the second release does."""

    def read(number, model=None, axes=None, **options):
        release(number)
        changed = {"model": GROWN["model"] | (model or {})} | ({"axes": axes} if axes else {})
        return files.load(GROWN | changed, **options)

    return read


def model_of(cell):
    return fill_in(cell.settings).model.options


def opened(protocol):
    """Return the protocol as a study that holds it is opened: no registry is asked."""
    again = Protocol.from_canonical(json.loads(json.dumps(protocol.canonical())))
    assert (again.digest, again.cells) == (protocol.digest, protocol.cells)
    return again


def names(protocol):
    return [cell.digest for cell in protocol.cells]


#: Gates were off before.
AS_BEFORE = {"gate": None}


@pytest.mark.parametrize(
    "model",
    [{}, {"dropout": 0.0}, {"dropout": 0}, {"dropout": -0.0}, {"head": {"width": 4}}, {"head": {"depth": 1}},
     {"head": {"width": 4, "depth": 1}, "dropout": 0.0}],
    ids=str,
)  # fmt: skip
def test_digests_stay_while_the_behaviour_is_the_earlier_one(load, model):
    before, after = load(1), load(2, AS_BEFORE | model)
    assert (after.digest, names(after)) == (before.digest, names(before))
    assert after.canonical()["model"] == {"name": "grown", "widths": [8, 4]}
    assert opened(after).canonical() == before.canonical()


@pytest.mark.parametrize(
    "model", [{"dropout": 0.5}, {"gate": "hard"}, {"head": {"depth": 2}}, {"head": {"width": 5}}, {}], ids=str
)
def test_digests_change_with_the_behaviour(load, model):
    before, after = load(1), load(2, model)
    assert after.digest != before.digest
    assert names(after) != names(before)
    assert model_of(opened(after).cells[0]) == {
        "widths": [8, 4], "dropout": model.get("dropout", 0.0), "gate": model.get("gate", "soft"),
        "head": {"width": 4, "depth": 1} | model.get("head", {}),
    }  # fmt: skip


def test_what_an_earlier_study_lacks_means_what_it_meant(load, release):
    before = load(1)
    release(2)
    assert model_of(opened(before).cells[0]) == {
        "widths": [8, 4], "dropout": 0.0, "gate": None, "head": {"width": 4, "depth": 1}
    }  # fmt: skip


def test_a_file_that_resumes_an_earlier_study_means_what_it_meant(load, files):
    begun = load(1).canonical()
    resumed = load(2, begun=begun)
    assert resumed.digest == load(1).digest
    assert resumed.text == files.path.read_text()
    assert model_of(load(2, begun=begun).cells[0])["gate"] is None
    # What the file names, it names.
    assert model_of(load(2, {"gate": "hard"}, begun=begun).cells[0])["gate"] == "hard"
    # A study that a later release began knows the option.
    assert model_of(load(2, begun=load(2).canonical()).cells[0])["gate"] == "soft"


@pytest.mark.parametrize(
    "axes",
    [
        {"act": {"path": "model.name", "values": ["grown", "pruned"]}},
        {"net": {"path": "model", "values": [{"name": "grown", "widths": [2]}, {"name": "grown", "widths": [3]}],
                 "labels": ["a", "b"]}},
        {"wide": {"path": "model.widths", "values": [[2], [3]], "labels": ["a", "b"]}},
    ],
)  # fmt: skip
def test_a_file_with_axes_resumes_an_earlier_study(load, axes):
    before = load(1, axes=axes)
    after = load(2, axes=axes, begun=before.canonical())
    assert (after.digest, names(after)) == (before.digest, names(before))
    assert opened(after).canonical() == before.canonical()
    gates = [model_of(cell).get("gate") for cell in opened(before).cells]
    assert gates == [None, None]


def test_a_cell_is_named_alike_with_an_axis_and_without(load):
    plain = load(1)
    swept = load(2, AS_BEFORE, {"drop": {"path": "model.dropout", "values": [0.5, 0.0, 0.1]}})
    assert names(swept)[1] == names(plain)[0] == names(load(2, AS_BEFORE))[0]
    assert names(swept)[0] == names(load(2, AS_BEFORE | {"dropout": 0.5}))[0]
    again = opened(swept)
    assert [model_of(cell)["dropout"] for cell in again.cells] == [0.5, 0.0, 0.1]
    assert again.axis_labels == {"drop": [0.5, 0.0, 0.1], "seed": [0]}


def test_several_axes_lead_to_later_options(load):
    axes = {
        "drop": {"path": "model.dropout", "values": [0.0, 0.5]},
        "gate": {"path": "model.gate", "values": [None, "soft"], "labels": ["off", "on"]},
        "rate": {"path": "optimizer.lr", "values": [0.05]},
    }
    swept = load(2, axes=axes)
    assert [(model_of(c)["dropout"], model_of(c)["gate"]) for c in opened(swept).cells] == [
        (0.0, None), (0.0, "soft"), (0.5, None), (0.5, "soft")
    ]  # fmt: skip
    assert names(swept)[0] == names(load(1))[0]
    assert len(set(names(swept))) == 4


def test_an_axis_of_whole_components_leaves_them_out_too(load):
    values = [{"name": "grown", "widths": [8, 4]}, {"name": "grown", "widths": [3]}]
    axes = {"net": {"path": "model", "values": values, "labels": ["a", "b"]}}
    later = {"net": axes["net"] | {"values": [value | {"gate": None, "dropout": 0.0} for value in values]}}
    before, after = load(1, axes=axes), load(2, axes=later)
    assert (after.digest, names(after)) == (before.digest, names(before))
    assert opened(after).canonical() == before.canonical()


@pytest.mark.parametrize("models", [["pruned", "grown"], ["grown", "pruned"]])
def test_a_model_that_always_had_the_option_keeps_it(load, models):
    """Left out of its cells, the value would be taken for the default of that model."""
    axes = {
        "drop": {"path": "model.dropout", "values": [0.0, 0.5]},
        "net": {"path": "model.name", "values": models},
    }
    swept = load(2, axes=axes)
    collected = {(c.settings.model.name, c.coordinates["drop"]): model_of(c)["dropout"] for c in opened(swept).cells}
    assert collected == {("pruned", 0.0): 0.0, ("pruned", 0.5): 0.5, ("grown", 0.0): 0.0, ("grown", 0.5): 0.5}


def test_an_axis_leads_into_a_later_option(load):
    deep = load(2, AS_BEFORE, {"deep": {"path": "model.head.depth", "values": [1, 2]}})
    wide = load(2, AS_BEFORE | {"head": {"width": 9}}, {"deep": {"path": "model.head.depth", "values": [2, 1]}})
    assert [model_of(cell)["head"] for cell in opened(deep).cells] == [
        {"width": 4, "depth": 1},
        {"width": 4, "depth": 2},
    ]
    assert [model_of(cell)["head"] for cell in opened(wide).cells] == [
        {"width": 9, "depth": 2},
        {"width": 9, "depth": 1},
    ]


@pytest.mark.parametrize(
    ("model", "axes"),
    [
        ({}, None),
        (AS_BEFORE, None),
        ({"gate": "hard", "dropout": 0.0}, None),
        ({}, {"gate": {"path": "model.gate", "values": [None, "soft"], "labels": ["off", "on"]}}),
        ({}, {"net": {"path": "model.name", "values": ["grown", "pruned"]}}),
        (AS_BEFORE, {"cut": {"path": "probes.collapse", "values": [{}, {"per_class": 2}], "labels": ["a", "b"]}}),
    ],
)  # fmt: skip
def test_the_text_that_names_every_value_means_the_same_when_it_is_read_again(load, files, model, axes):
    protocol = load(2, model, axes, settings=["training.epochs=4"])
    for text in (protocol.text, json.dumps(written_out(protocol.canonical(), Protocol)), opened(protocol).text):
        again = files.load(text)
        assert (again.digest, again.cells) == (protocol.digest, protocol.cells)


def test_a_file_cannot_tell_what_is_left_out(files):
    axis = {"path": "optimizer.lr", "values": [0.1], "left_out": [0]}
    error = files.refuse(GROWN | {"model": {"name": "mlp", "widths": [3]}, "axes": {"rate": axis}})
    assert error.field == "`axes.rate.left_out`"
    assert error.hint == "one of path, values, labels"
    assert "left_out" not in json.dumps(json_schema())


def test_claims_keep_their_digests_and_their_meaning(files, monkeypatch):
    known = registry("claims").get("below")

    base = GROWN | {"model": {"name": "mlp", "widths": [3]}}
    asked = {"name": "below", "variable": "nc1", "threshold": 1}
    before = files.load(base | {"claims": [asked]})
    fields = {name: (field.annotation, field) for name, field in known.options.model_fields.items()}
    fields["fresh"] = (Annotated[str | None, Added("9.0.0", before=None)], "new")
    model = pydantic.create_model("below", __config__=known.options.model_config, **fields)
    entry = Entry("claims", "below", known.function, known.facts)
    entry.__dict__["options"] = model
    monkeypatch.setitem(registry("claims")._entries, "below", entry)
    after = files.load(base | {"claims": [asked | {"fresh": None}]})
    assert after.digest == before.digest
    assert options_of("claims", after.claims[0])["fresh"] is None
    assert options_of("claims", before.claims[0])["fresh"] is None
    assert files.load(base | {"claims": [asked]}, begun=before.canonical()).digest == before.digest
    assert options_of("claims", files.load(base | {"claims": [asked]}).claims[0])["fresh"] == "new"
    assert json.loads(opened(after).text)["claims"][0]["fresh"] is None


@pytest.mark.parametrize(
    ("kind", "name", "where"),
    [
        ("data", "digits", ("data",)),
        ("losses", "cross_entropy", ("loss",)),
        ("optimizers", "sgd", ("optimizer",)),
        ("schedules", "multistep", ("optimizer", "schedule")),
        ("probe_schedules", "log", ("probes", "at")),
        ("probes", "weights", ("probes", "weights")),
    ],
)
def test_every_kind_of_component_may_get_an_option(files, monkeypatch, kind, name, where):
    base = GROWN | {
        "model": {"name": "mlp", "widths": [3]},
        "optimizer": {"name": "sgd", "lr": 1, "schedule": {"name": "multistep", "milestones": [0.5]}},
        "probes": {"weights": {}},
    }
    before = files.load(base)
    known = registry(kind).get(name)
    fields = {option: (field.annotation, field) for option, field in known.options.model_fields.items()}
    fields["fresh"] = (Annotated[str | None, Added("9.0.0", before=None)], "new")
    entry = Entry(kind, name, known.function, known.facts)
    entry.__dict__["options"] = pydantic.create_model(name, __config__=known.options.model_config, **fields)
    monkeypatch.setitem(registry(kind)._entries, name, entry)

    def fresh(protocol, cell=0):
        data = fill_in(protocol.cells[cell].settings).model_dump()
        for part in where:
            data = data[part]
        return data["fresh"]

    assert files.load(base, begun=before.canonical()).digest == before.digest
    assert files.load(base).digest != before.digest
    assert (fresh(opened(before)), fresh(files.load(base))) == (None, "new")
    path = ".".join(where) + ".fresh"
    assert files.load(base, settings=[f"{path}=null"]).digest == before.digest
    swept = files.load(base | {"axes": {"new_one": {"path": path, "values": [None, "x"], "labels": ["off", "on"]}}})
    assert names(swept)[0] == names(before)[0]
    assert [fresh(opened(swept), cell) for cell in (0, 1)] == [None, "x"]


def test_an_option_of_a_package_that_is_not_installed_stays_as_it_is(load, release, monkeypatch):
    protocol = load(2, {"dropout": 0.5})
    monkeypatch.delitem(registry("models")._entries, "grown")
    assert opened(protocol).cells[0].settings.model.options == {"widths": [8, 4], "dropout": 0.5, "gate": "soft"}


def test_settings_without_later_options_are_not_changed(files):
    protocol = files.load()
    assert fill_in(protocol.cells[0].settings) is protocol.cells[0].settings


# Sections, and models inside models


class Part(pydantic.BaseModel):
    size: int
    mode: Annotated[str, Added("9.0.0", before="plain")] = "fancy"


class Whole(pydantic.BaseModel):
    part: Part | None = None
    parts: list[Part] = []
    named: dict[str, list[Part] | None] = {}
    later: Annotated[Part | None, Added("9.0.0", before={"size": 1})] = None
    other: int | str | None = None


FULL = {"size": 2, "mode": "plain"}
EARLIER = {"size": 2}


@pytest.mark.parametrize(
    ("full", "left"),
    [
        ({"part": FULL}, {"part": EARLIER}),
        ({"part": None}, {"part": None}),
        ({"parts": [FULL, {"size": 3, "mode": "fancy"}]}, {"parts": [EARLIER, {"size": 3, "mode": "fancy"}]}),
        ({"named": {"mode": [FULL], "b": None}}, {"named": {"mode": [EARLIER], "b": None}}),
        ({"later": {"size": 1, "mode": "plain"}}, {}),
        ({"later": {"size": 1, "mode": "fancy"}}, {"later": {"size": 1, "mode": "fancy"}}),
        ({"later": None}, {"later": None}),
        ({"other": 3}, {"other": 3}),
    ],
    ids=str,
)
def test_models_in_models_are_left_out_and_filled_in(full, left):
    later = {"later": {"size": 1, "mode": "plain"}}
    assert without_later(Whole, full) == left
    assert with_earlier(Whole, left) == later | full
    assert without_later(Whole, with_earlier(Whole, left)) == left


def test_data_that_are_handed_over_stay_as_they_are():
    full = {"part": dict(FULL), "parts": [dict(FULL)]}
    without_later(Whole, full)
    with_earlier(Whole, full)
    assert full == {"part": FULL, "parts": [FULL]}


def test_a_value_of_earlier_releases_is_not_shared():
    class List(pydantic.BaseModel):
        values: Annotated[list[int], Added("9.0.0", before=[])] = [1]

    with_earlier(List, {})["values"].append(5)
    assert with_earlier(List, {}) == {"values": []}


@pytest.mark.parametrize(("value", "before"), [(1, True), (0, False), ("0", 0), (None, 0), ([], None), ([0.0], [1.0])])
def test_another_value_is_kept(value, before):
    model = pydantic.create_model("Model", a=(Annotated[Any, Added("9.0.0", before=before)], 5))
    assert without_later(model, {"a": value}) == {"a": value}


def test_show_tells_since_when_an_option_is_there():
    text = io.StringIO()
    Console(file=text, width=200).print(description("collapse"))
    (line,) = [line for line in text.getvalue().splitlines() if "rank_tolerance" in line and "since" in line]
    assert line.rstrip().endswith("(since 0.1.0; before: null)")
