"""A study is sealed once every run has ended, except for those that a user leaves out."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from support import studies

import elastic
from elastic.cube import is_sealed, verify_manifest
from elastic.errors import StudyError


@pytest.fixture
def study(tmp_path):
    """Return a sealed study of three short runs."""
    return studies.run(tmp_path, *studies.NO_PROBES, "training.epochs=1", "axes.seed=[0, 1, 2]")


def unfinish(study, seed):
    """Take the last thing that a run of this seed writes away, and the seal."""
    (cell,) = (cell["digest"] for cell in study.cells if cell["coordinates"]["seed"] == seed)
    (study.run_folder(cell) / "status.json").unlink()
    (study.folder / "manifest.sha256").unlink(missing_ok=True)
    return cell


def test_a_study_with_a_run_that_has_not_ended_is_not_sealed(study):
    unfinish(study, 1)
    with pytest.raises(StudyError, match=r"found seed=1 \(interrupted\); try running .*leaving_out=\[{'seed': 1}\]"):
        study.seal()
    assert not is_sealed(study.folder)
    unfinish(study, 2)
    with pytest.raises(StudyError, match=r"found seed=1 \(interrupted\), seed=2 \(interrupted\); try"):
        study.seal()
    with pytest.raises(StudyError, match=r"found seed=2 \(interrupted\); try"):
        study.seal(leaving_out=[{"seed": 1}])
    assert not is_sealed(study.folder)


@pytest.mark.parametrize("by_name", [False, True])
def test_runs_that_are_left_out_read_as_missing_and_are_named(study, by_name):
    whole = study.cube.load()
    cell = unfinish(study, 1)
    study.seal(leaving_out=[cell if by_name else {"seed": 1}])
    assert verify_manifest(study.folder) == []
    plain = xr.open_datatree(study.folder / "cube.zarr", engine="zarr")
    assert plain.attrs["left_out"] == "seed=1"
    training = plain["training"].to_dataset()
    assert training["status"].sel(seed=1).values.tolist() == [0, 0]
    assert np.isnan(training["loss"].sel(seed=1)).all()
    for seed in (0, 2):
        np.testing.assert_array_equal(training["loss"].sel(seed=seed), whole["training"]["loss"].sel(seed=seed))
    assert elastic.open_study(study.folder).cube.attrs["left_out"] == "seed=1"


def test_a_run_that_was_left_out_is_sealed_once_it_has_ended(study):
    before = studies.contents(study.folder, "cube.zarr/zarr.json")
    whole = study.cube.load()
    unfinish(study, 1)
    study.seal(leaving_out=[{"seed": 1}])
    first = studies.contents(study.folder)
    study.seal(leaving_out=[{"seed": 1}])  # it stands there already
    assert studies.contents(study.folder) == first
    again = studies.run(study.folder.parents[1], *studies.NO_PROBES, "training.epochs=1", "axes.seed=[0, 1, 2]")
    xr.testing.assert_identical(again.cube.load(), whole)
    assert studies.contents(study.folder, "cube.zarr/zarr.json").keys() == before.keys()


@pytest.mark.parametrize("unknown", ["0123", {"seed": 7}, {"lr": 0.1}, {}])
def test_only_runs_of_the_study_can_be_left_out(study, unknown):
    with pytest.raises(StudyError, match="`leaving_out` should be runs of the study"):
        study.seal(leaving_out=[unknown])
    assert is_sealed(study.folder)
