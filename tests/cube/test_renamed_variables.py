"""A run of an earlier release keeps the definitions that it was begun with, under the names that they have now."""

import dataclasses

import numpy as np

from elastic.cube import Variable, assemble
from elastic.cube.renamed_variables import names_now


def with_formulas(layout, **formulas):
    """Return a layout in which ``response`` has a formula, and others of its dims are added."""
    like = next(one for one in layout.variables if one.key == "elasticity/response")
    added = [dataclasses.replace(like, name=name, attrs={"formula": said}) for name, said in formulas.items()]
    kept = [one for one in layout.variables if one.key != "elasticity/response"]
    return dataclasses.replace(layout, variables=(*kept, *added))


def test_numbers_stand_under_the_name_that_their_formula_has_now(tmp_path, make_layout, write_run):
    layout = make_layout()
    old = with_formulas(layout, response="a")
    new = with_formulas(layout, response="b", response_before="a")
    runs = [({"seed": 0}, write_run(tmp_path / "0", old)), ({"seed": 1}, write_run(tmp_path / "1", new))]
    for order in (runs, runs[::-1]):
        result = assemble(order, {"seed": [0, 1]}, {})["elasticity"]
        assert result["response"].attrs["formula"] == "b"
        assert result["response"].sel(seed=0).isnull().all()
        for seed in (0, 1):
            assert result["response_before"].sel(seed=seed).notnull().any()
    alone = assemble(runs[:1], {"seed": [0]}, {})["elasticity"]
    assert alone["response"].attrs["formula"] == "a"
    np.testing.assert_array_equal(alone["response"].sel(seed=0), result["response_before"].sel(seed=0))


def test_other_words_for_a_formula_rename_nothing():
    before, now = (Variable("g", "v", (), {"formula": said}) for said in ("mean of x", "the mean of x"))
    assert names_now([before], [now]) == {}
