"""What is refused in a sentence, and leaves everything as it was."""

from __future__ import annotations

import pytest
from support import studies
from support.recordings import record, recorder

from elastic.errors import ElasticError, StudyError

pytestmark = pytest.mark.usefixtures("unsealed")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"claims": "below"}, "`claims` should be a list of mappings"),
        ({"claims": ["below"]}, "`claims` should be a list of mappings"),
        ({"claims": {"name": "below"}}, "`claims` should be a list of mappings"),
        ({"claims": 3}, "`claims` should be a list of mappings"),
        ({"settings": 3}, "`settings` should be a mapping"),
        ({"layers": 3}, "`layers` should be names"),
        ({"weight_decay": "much"}, "`weight_decay` should be a number"),
        ({"weight_decay": -1}, "`weight_decay` should be a number"),
        ({"weight_decay": float("nan")}, "`weight_decay` should be a number"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_there_is_a_folder(tmp_path, options, match):
    with pytest.raises(ElasticError, match=match):
        recorder(tmp_path / "study", **options)
    assert not (tmp_path / "study").exists()


def test_a_folder_that_is_no_path_is_refused():
    with pytest.raises(StudyError, match="`folder`"):
        recorder(None)


def test_the_folder_of_a_protocol_s_study_is_left_as_it_is(tmp_path, finished_study):
    before = studies.contents(finished_study.folder)
    with pytest.raises(StudyError, match="the study of a protocol"):
        recorder(finished_study.folder)
    assert studies.contents(finished_study.folder) == before


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("facts", [None, "{", "[]"])
def test_a_protocol_takes_no_folder_with_recorded_runs_whose_study_json_is_lost(tmp_path, facts, restart):
    folder = tmp_path / "results" / "small"
    record(folder)
    (folder / "study.json").unlink()
    if facts is not None:
        (folder / "study.json").write_text(facts)
    before = studies.contents(folder)
    with pytest.raises(StudyError, match="one that training loops recorded"):
        studies.run(tmp_path, restart=restart)
    assert studies.contents(folder) == before
