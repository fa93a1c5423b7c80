"""Grids that are no products: axes that vary together, and cells that are left out."""

from __future__ import annotations

import copy
import json
from itertools import product

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elastic.protocol import Protocol, json_schema

LITTLE = {
    "name": "little",
    "title": "A grid that is no product",
    "data": {"name": "digits"},
    "model": {"name": "mlp", "widths": [8, 4]},
    "optimizer": {"name": "sgd", "lr": 0.05},
    "training": {"epochs": 3},
    "axes": {
        "seed": [0, 1],
        "wide": {"path": "model.widths", "values": [[4], [4], [8]], "labels": [4, 4, 8]},
        "rate": {"path": "optimizer.lr", "values": [1, 0.5, 0.25]},
        "norm": {"path": "model.norm", "values": ["none", "batch"]},
        "decay": {"path": "optimizer.weight_decay", "values": [0, 1.0e-3]},
    },
    "together": {"size": ["wide", "rate"]},
}


def with_changes(together=None, exclude=None, axes=None, **changes):
    written = copy.deepcopy(LITTLE) | changes
    written["axes"] |= axes or {}
    return (
        written | ({"together": together} if together is not None else {}) | ({"exclude": exclude} if exclude else {})
    )


def points(protocol):
    """Return what each cell sets, by its digest."""
    collected = {}
    for cell in protocol.cells:
        s = cell.settings
        options = (s.model.options["widths"], s.optimizer.options["lr"], s.model.options["norm"])
        collected[cell.digest] = (*options, s.optimizer.options["weight_decay"], s.seed)
    return collected


def test_axes_that_vary_together_are_one_dim(files):
    protocol = files.load(LITTLE)
    assert list(protocol.axis_labels) == ["decay", "norm", "size", "seed"]
    assert protocol.axis_labels["size"] == ["wide=4 rate=1", "wide=4 rate=0.5", "wide=8 rate=0.25"]
    assert protocol.grid.along == {"wide": ("size", [4, 4, 8]), "rate": ("size", [1.0, 0.5, 0.25])}
    rows = [([4], 1.0), ([4], 0.5), ([8], 0.25)]
    expected = [(*row, norm, decay, seed) for decay, norm, row, seed in
                product((0.0, 1e-3), ("none", "batch"), rows, (0, 1))]  # fmt: skip
    assert list(points(protocol).values()) == expected
    assert [cell.index for cell in protocol.cells] == list(range(24))


def test_labels_of_a_group_may_be_given(files):
    group = {"size": {"axes": ["wide", "rate"], "labels": [4, 16, 64.0]}}
    protocol = files.load(with_changes(group))
    assert protocol.axis_labels["size"] == [4.0, 16.0, 64.0]
    assert points(protocol) == points(files.load(LITTLE))


#: The same axes without repeats, which make a product.
DISTINCT = {"wide": {"path": "model.widths", "values": [[2], [4], [8]], "labels": [2, 4, 8]}}


@given(
    grouped=st.booleans(),
    exclude=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "wide": st.sampled_from([2, 8, [4, 8]]), "rate": st.sampled_from([1.0, [0.5, 1]]),
                "norm": st.sampled_from(["none", "batch"]), "decay": st.just(0), "seed": st.sampled_from([1, [0, 1]]),
            },
        ).filter(bool),
        max_size=3,
    ),
)  # fmt: skip
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cell_has_the_name_that_it_has_in_the_product(files, grouped, exclude):
    """Held against a plain loop over the conditions."""
    product_of_all = files.load(with_changes({}, axes=DISTINCT))
    asked = with_changes({"size": ["wide", "rate"]} if grouped else {}, exclude, axes=DISTINCT)

    def fits(cell, condition):
        return all(cell.coordinates[n] in (w if isinstance(w, list) else [w]) for n, w in condition.items())

    def is_in_step(cell):
        at = cell.coordinates
        return [2, 4, 8].index(at["wide"]) == [1.0, 0.5, 0.25].index(at["rate"])

    possible = [cell for cell in product_of_all.cells if is_in_step(cell) or not grouped]
    kept = [cell for cell in possible if not any(fits(cell, one) for one in exclude)]
    in_vain = any(not any(fits(cell, one) for cell in possible) for one in exclude)
    bare = any(
        len({c.coordinates[axis] for c in kept}) < len(all_of) for axis, all_of in product_of_all.axes.labels.items()
    )
    if in_vain or bare:
        assert files.refuse(asked).field.startswith("`exclude")
        return
    protocol = files.load(asked)
    assert {cell.digest for cell in protocol.cells} == {cell.digest for cell in kept}
    opened = Protocol.from_canonical(json.loads(json.dumps(protocol.canonical(), sort_keys=True)))
    again = files.load(json.dumps(json.loads(opened.text)))
    for other in (opened, again):
        assert (other.digest, other.cells) == (protocol.digest, protocol.cells)


def test_order_and_spelling_of_conditions_have_no_meaning(files):
    one = [{"norm": "none", "rate": 1}, {"decay": [1e-3], "seed": 1, "norm": "batch"}]
    other = [{"norm": ["batch"], "seed": [1], "decay": 1e-3}, {"rate": 1.0, "norm": "none"}]
    assert files.load(with_changes(exclude=one)).digest == files.load(with_changes(exclude=other)).digest


def test_without_either_the_canonical_form_is_that_of_a_product(files):
    plain = files.load(with_changes({}, axes=DISTINCT))
    assert {"together", "exclude"}.isdisjoint(plain.canonical())
    assert files.load(with_changes({}, axes=DISTINCT) | {"exclude": []}).digest == plain.digest


def test_what_never_runs_need_not_be_possible(files):
    """There is a VGG of depth 11 and none of 18, a ResNet of depth 18 and none of 11."""
    written = {key: value for key, value in LITTLE.items() if key != "together"}
    written["axes"] = {
        "net": {"path": "model.name", "values": ["resnet", "vgg"]},
        "deep": {"path": "model.depth", "values": [11, 18]},
    }
    written["model"] = {"name": "resnet", "depth": 18}
    assert "found 11" in str(files.refuse(written))
    for crossing in (
        {"exclude": [{"net": "resnet", "deep": 11}, {"net": "vgg", "deep": 18}]},
        {"together": {"network": ["net", "deep"]}},
    ):
        if "together" in crossing:
            written["axes"]["deep"] = {"path": "model.depth", "values": [18, 11]}
        protocol = files.load(written | crossing)
        collected = {(c.settings.model.name, c.settings.model.options["depth"]): c.digest for c in protocol.cells}
        assert collected.keys() == {("resnet", 18), ("vgg", 11)}
        for (name, depth), digest in collected.items():
            (alone,) = files.load(written | {"axes": {}, "model": {"name": name, "depth": depth}}).cells
            assert digest == alone.digest


@pytest.mark.parametrize(
    ("changes", "place", "text"),
    [
        ({"together": {"size": ["wide", "rat"]}}, "together.size.1", "be an axis of the protocol; found 'rat'"),
        ({"together": {"size": {"axes": ["wide", "seed"]}}}, "together.size.axes.1", "be an axis other than the seed"),
        ({"together": {"size": ["wide"]}}, "together.size", "at least 2 items"),
        ({"together": {"size": ["wide", "norm"]}}, "together.size", "values each; found wide with 3, norm with 2"),
        ({"together": {"norm": ["wide", "rate"]}}, "together.norm", "have another name than an axis; found 'norm'"),
        ({"together": {"layer": ["wide", "rate"]}}, "together.layer", "found 'layer'; try layer_axis"),
        ({"together": {"nc1": ["wide", "rate"]}}, "together.nc1", "have another name than a variable"),
        ({"together": {"a": ["wide", "rate"], "b": ["rate", "wide"]}}, "together.b.0", "vary together with one group"),
        ({"together": {"size": {"axes": ["wide", "rate"], "labels": [1, 2]}}}, "together.size.labels",
         "one label for each of the 3 positions"),
        ({"together": {}}, "axes.wide.values", "have no duplicates"),
        ({"axes": {"rate": {"path": "optimizer.lr", "values": [1, 1, 0.5]}}}, "together.size",
         "differ at every position; found the values of position 0 at position 1 again"),
        ({"exclude": [{"nrm": "none"}]}, "exclude.0.nrm", "be an axis of the protocol; found 'nrm'; try 'norm'"),
        ({"exclude": [{"norm": "bath"}]}, "exclude.0.norm", "be a label on the axis norm; found 'bath'; try 'batch'"),
        ({"exclude": [{"seed": [0, 7]}]}, "exclude.0.seed.1", "be a label on the axis seed; found 7; try one of 0, 1"),
        ({"exclude": [{"decay": False}]}, "exclude.0.decay", "be a label on the axis decay; found false"),
        ({"exclude": [{"norm": "none"}, {}]}, "exclude.1", "at least 1 item"),
        ({"exclude": [{"wide": 8, "rate": 1}]}, "exclude.0", "drop a run; found labels that never occur"),
        ({"exclude": [{"norm": ["none", "batch"]}]}, "exclude", "leave a run; found conditions that drop all 24"),
        ({"exclude": [{"norm": "none"}]}, "exclude", "for every label of an axis; found none with norm='none'"),
        ({"exclude": "norm"}, "exclude", "valid list"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(files, changes, place, text):
    written = with_changes(**changes)
    error = files.refuse(json.dumps(written, indent=1))
    assert text in str(error)
    assert error.field == f"`{place}`"
    line = int(error.place.split(":")[1])
    assert place.split(".")[0] in "".join(json.dumps(written, indent=1).splitlines()[:line])


def test_editors_know_both(files):
    for together in ({"size": ["wide", "rate"]}, {"size": {"axes": ["wide", "rate"], "labels": ["a", "b", "c"]}}):
        jsonschema.validate(with_changes(together, [{"norm": "none", "rate": [1, 0.5]}]), json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(with_changes({"size": "wide"}), json_schema())


def test_claims_may_name_a_dim_and_in_where_its_axes(files):
    claim = {"name": "below", "variable": "nc1", "threshold": 1, "where": {"norm": "none", "rate": 0.5}}
    assert files.load(with_changes() | {"claims": [claim]}).claims[0].options["where"]["rate"] == 0.5
    wrong = claim | {"where": {"rate": 0.7}}
    assert "be a label on the axis rate; found 0.7" in str(files.refuse(with_changes() | {"claims": [wrong]}))


def test_a_product_may_be_larger_than_the_grid(files):
    hundred = {"path": "optimizer.lr", "values": [i / 100 for i in range(1, 101)]}
    axes = {"rate": hundred, "decay": hundred | {"path": "optimizer.weight_decay"}}
    axes["momentum"] = hundred | {"path": "optimizer.momentum", "values": [i / 200 for i in range(100)]}
    written = LITTLE | {"axes": axes, "together": {"step": ["rate", "decay", "momentum"]}}
    assert len(files.load(written).cells) == 100
    assert "make at most 100,000 runs (they make 1,000,000)" in str(files.refuse(written | {"together": {}}))
