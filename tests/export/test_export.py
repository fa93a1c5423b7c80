"""Exporting: formats by name, whole files or none, a clear word where it cannot be."""

from __future__ import annotations

import pandas as pd
import pytest
from support import altered

from elastic.cli.group import cli
from elastic.errors import OptionError, StudyError
from elastic.export import FORMATS, export


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_all_formats_go_into_the_studys_own_folder_by_default(finished_study, tmp_path):
    study = altered.under_way(finished_study, tmp_path)
    written = list(export(study))
    assert {path.parent for path in written} == {study.folder / "export"}
    assert {path.suffix for path in written} == {".csv", ".nc", ".tex"}
    assert sorted(path.name for path in written) == names(study.folder / "export")
    assert set(FORMATS) == {"csv", "netcdf", "latex"}


def test_every_format_has_an_option_of_the_command():
    options = cli.get_command(None, "export").params
    asked = [option.flag_value for option in options if option.name == "formats"]
    assert sorted(asked) == sorted(FORMATS)


def test_the_same_study_gives_the_same_tables(finished_study, tmp_path):
    first, second = (
        {path.name: path.read_bytes() for path in export(finished_study, ["csv", "latex"], tmp_path / name)}
        for name in ("first", "second")
    )
    assert first == second


def test_an_unknown_format_is_told_before_anything_is_written(finished_study, tmp_path):
    with pytest.raises(OptionError, match="'netcfd'; try 'netcdf'"):
        export(finished_study, ["csv", "netcfd"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_that_cannot_be_written_is_told(finished_study, tmp_path, name):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StudyError, match=r"should be writable.*-o DIR"):
        list(export(finished_study, [name], tmp_path / "file" / "out"))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else(finished_study, tmp_path, monkeypatch):
    list(export(finished_study, ["csv"], tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def torn(self, path, **options):
        path.write_text("seed,epo")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", torn)
    with pytest.raises(StudyError, match="found No space left on device"):
        list(export(finished_study, ["csv"], tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_study_with_nothing_for_a_format_says_so(finished_study, tmp_path):
    nothing = altered.Altered(finished_study.folder, altered.without("nc1", "locality"))
    with pytest.raises(StudyError, match="hold something to write as latex"):
        list(export(nothing, ["latex"], tmp_path))
    assert list(export(nothing, ["latex", "netcdf"], tmp_path))
