"""A finished study on a disk that cannot be written is run again without a word of it: nothing is left to do."""

from __future__ import annotations

import os
import shutil

import pytest
from support import studies

import elastic
from elastic.cube import sealing as writing
from elastic.errors import StudyError
from elastic.study import sealing


@pytest.fixture
def read_only(monkeypatch):
    """Make folders read-only for the superuser too, whom permissions do not keep from writing."""

    def refuse(*_):
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(sealing.os, "access", lambda path, mode: mode != os.W_OK)
    monkeypatch.setattr(writing, "waiting_lock", refuse)


def test_a_finished_study_is_run_again(finished_study, read_only):
    out, before = finished_study.folder.parent, studies.contents(finished_study.folder)
    study = elastic.run(finished_study.folder / "protocol.yaml", out=out)
    assert all(run.ended for run in study.runs())
    assert studies.contents(finished_study.folder) == before


def test_a_cube_that_has_to_be_sealed_is_not_passed_over(finished_study, read_only, tmp_path):
    folder = shutil.copytree(finished_study.folder, tmp_path / "small")
    (folder / "manifest.sha256").unlink()
    with pytest.raises(StudyError, match="should be writable; found Read-only file system"):
        elastic.open_study(folder).seal()
