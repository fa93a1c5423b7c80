"""Tidy tables: every number of the cube once, nothing lost on the way through a text file, every column explained."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from support import altered

from elastic.errors import StudyError
from elastic.export import codebook, export, read_tables, tables, tidy
from elastic.export.tables import FACTS

#: Labels that a reader of text files takes for something else, or that need quotes.
ODD = [
    "null",
    "true",
    "True",
    "007",
    "1e3",
    "1e5",
    "NaN",
    "nan",
    "NA",
    "N/A",
    "None",
    "",
    "a,b",
    'he said "no"',
    "two\nlines",
    "Größe µ",
    " blanks ",
    "inf",
]


def exported(study, folder):
    list(export(study, ["csv"], folder))
    return read_tables(folder)


@pytest.fixture(scope="module")
def written(finished_study, tmp_path_factory):
    """Return the folder of the tables of the finished study."""
    folder = tmp_path_factory.mktemp("tables")
    list(export(finished_study, ["csv"], folder))
    return folder


@pytest.fixture(scope="module")
def few(finished_study):
    """Return the cube of the finished study with a variable of each kind."""
    return altered.one_of_each(finished_study.cube).load()


def same(found, asked):
    assert found.keys() == asked.keys()
    for name, table in asked.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True)


def test_every_number_of_the_cube_stands_in_one_table_once(finished_study):
    cube = finished_study.cube
    result = tidy(cube)
    variables = {(group, name) for group, node in cube.children.items() for name in node.data_vars}
    placed = [(table.partition("-")[0], name) for table, part in tables(cube).items() for name in part.data_vars]
    assert sorted(placed) == sorted(variables)
    for table, part in tables(cube).items():
        for name, values in part.data_vars.items():
            assert len(result[table]) == values.size
            indexed = result[table].set_index(list(values.dims))[name]
            np.testing.assert_array_equal(
                indexed.to_xarray().sel({dim: values[dim] for dim in values.dims}).values, values.values
            )


def test_a_table_is_its_dataset_as_a_frame(finished_study):
    part = tables(finished_study.cube)["collapse-split-layer"]
    frame = part.to_dataframe()
    assert len(frame) == math.prod(part["nc1"].shape)
    assert {"nc1", "fuzziness", "depth", "width"} <= set(frame)


def test_what_is_written_is_read_back_to_the_last_bit(finished_study, written):
    same(read_tables(written), tidy(finished_study.cube))


def test_pandas_alone_reads_an_ordinary_study_back(finished_study, written):
    for name, table in tidy(finished_study.cube).items():
        pd.testing.assert_frame_equal(pd.read_csv(written / f"{name}.csv"), table, check_exact=True)


def test_labels_and_numbers_of_every_kind_survive(finished_study, few, tmp_path):
    random = np.random.default_rng(0)

    def extreme(group):
        group = altered.swept("odd", ODD)(group)
        numbers = [0.1, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7976931348623157e308, 2 / 3, 1e22, 200.0]
        drawn = {n: v.copy(data=random.choice(numbers, v.shape)) for n, v in group.data_vars.items() if n != "status"}
        return group.assign(drawn)

    study = altered.Altered(finished_study.folder, extreme, whole=few.copy())
    study._change = lambda group, known={}: known.setdefault(tuple(group.data_vars), extreme(group))  # drawn once
    asked = tidy(study.cube)
    assert set(asked["training"]["odd"]) == set(ODD)
    same(exported(study, tmp_path), asked)


def test_the_codebook_says_how_pandas_reads_each_table(finished_study, few, tmp_path, monkeypatch):
    study = altered.Altered(finished_study.folder, altered.swept("odd", ODD), whole=few)
    exported(study, tmp_path)
    monkeypatch.chdir(tmp_path)
    book = pd.read_csv("codebook.csv", keep_default_na=False)
    for name, table in tidy(study.cube).items():
        (line,) = book.loc[book["table"] == name, "read_with"].unique()
        result = eval(line, {"pandas": pd, "str": str})
        assert set(result["odd"]) == set(ODD)
        pd.testing.assert_frame_equal(result, table, check_exact=True, check_dtype=False)
        assert {column: result[column].dtype.kind for column in result} == {c: table[c].dtype.kind for c in table}


def test_a_study_under_way_is_written_as_far_as_it_is(finished_study, tmp_path):
    study = altered.under_way(finished_study, tmp_path)
    tables_of_study = exported(study, tmp_path / "out")
    result = tables_of_study["training-split"]
    late = result[(result["seed"] == 1) & (result["epoch"] > 2)]
    assert late["loss"].isna().all()
    assert result["loss"].notna().any()
    status = tables_of_study["training"].set_index(["seed", "epoch"])["status"]
    assert status[1, 6] == 0
    assert status[0, 6] == 1


def test_the_codebook_explains_every_column_of_every_file(finished_study, written):
    book = pd.read_csv(written / "codebook.csv", keep_default_na=False)
    files = {path.stem: list(pd.read_csv(path, nrows=0)) for path in written.glob("*-*.csv")}
    assert len(files) > 5
    for table, columns in files.items():
        assert book[book["table"] == table]["column"].tolist() == columns
    assert (book["long_name"] != "").all()
    nc1 = book[book["column"] == "nc1"].iloc[0]
    attrs = finished_study.cube["collapse"]["nc1"].attrs
    assert {fact: nc1[fact] for fact in FACTS} == {fact: attrs[fact] for fact in FACTS}
    status = book[(book["column"] == "status") & (book["table"] == "training")].iloc[0]
    assert status["convention"] == "0: missing, 1: done, 2: diverged"


def test_the_codebook_of_a_variable_without_attributes_is_empty_and_does_not_fail():
    values = xr.DataArray([[1.0]], dims=("seed", "epoch"), coords={"seed": [0], "epoch": [0]})
    book = codebook(xr.DataTree.from_dict({"/training": xr.Dataset({"own": values})}))
    assert book.set_index("column").loc["own", ["role", "dtype", "source"]].tolist() == ["variable", "float64", ""]


def test_the_study_is_told_with_its_digest(finished_study, written):
    facts = pd.read_csv(written / "study.csv", keep_default_na=False).set_index("attribute")["value"]
    assert facts["digest"] == finished_study.digest
    assert facts["protocol"] == finished_study.facts["text"]
    assert facts["seeds"] == "[0, 1]"


def test_a_folder_without_tables_is_told(tmp_path):
    with pytest.raises(StudyError, match="should hold exported tables"):
        read_tables(tmp_path)
