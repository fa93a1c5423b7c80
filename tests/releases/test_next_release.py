"""A release of tomorrow takes up the studies of today; today's refuses what tomorrow's wrote, naming both."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner
from releases import make, next_release
from releases.test_releases import check_numbers, journals, kept_numbers, numbers_of

import elastic
from elastic.cli import cli
from elastic.errors import StudyError

TODAY = "08cf3fc"


@pytest.fixture(scope="module")
def tomorrow(tmp_path_factory):
    return next_release.write_source(tmp_path_factory.mktemp("tomorrow"))


@pytest.fixture
def protocol(tmp_path):
    path = tmp_path / "little.yaml"
    path.write_text(make.PROTOCOL)
    return path


def test_it_resumes_a_study_of_today_as_it_was_begun(unpack, tomorrow, protocol):
    folder = unpack(TODAY, "between_epochs")
    begun = elastic.open_study(folder)
    told = next_release.run(tomorrow, protocol, folder.parent)
    assert told["version"] == next_release.VERSION
    assert (told["digest"], told["cells"]) == (begun.digest, [cell["digest"] for cell in begun.cells])
    assert (told["fresh"], told["shrink"]) == ([None, None], [1.0, 1.0])
    assert told["states"] == ["done", "done"]
    assert f"resumed after epoch {make.STOP[1]} " in told["log"]
    kept_numbers(elastic.open_study(folder).cube, numbers_of(TODAY, "between_epochs"))


def test_it_extends_a_study_of_today_as_it_was_begun(unpack, tomorrow, protocol):
    folder = unpack(TODAY, "sealed")
    before = journals(folder)
    told = next_release.run(tomorrow, protocol, folder.parent, "axes.seed=[0, 1]")
    assert (told["fresh"], told["shrink"]) == ([None] * 4, [1.0] * 4)
    assert told["states"] == ["done"] * 4
    assert journals(folder).items() > before.items()
    check_numbers(elastic.open_study(folder).cube, numbers_of(TODAY, "extended"), rtol=1e-3, atol=1e-5)
    assert elastic.open_study(folder).protocol.digest == told["digest"]  # and today's release takes it back


def test_it_begins_studies_with_its_own_defaults_which_today_s_release_refuses(tmp_path, tomorrow, protocol):
    told = next_release.run(tomorrow, protocol, tmp_path / "results", "training.epochs=1")
    assert (told["fresh"], told["shrink"]) == ([1, 1], [0.5, 0.5])
    folder = tmp_path / "results/little"
    study = elastic.open_study(folder)
    assert study.cube["training"]["loss"].notnull().all()  # the numbers need no protocol
    assert CliRunner().invoke(cli, ["status", str(folder)]).exit_code == 0
    assert CliRunner().invoke(cli, ["check", str(folder)]).exit_code == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for refused in (
        lambda: study.protocol,
        lambda: elastic.run(protocol, out=tmp_path / "results", settings=["training.epochs=1"]),
        lambda: elastic.run(elastic.load_protocol(protocol), out=tmp_path / "results"),
    ):
        with pytest.raises(StudyError) as caught:
            refused()
        assert str(caught.value) == (
            f"{folder / 'study.json'}: `training.fresh` should be a key of `training`; found 'fresh', written by "
            f"elastic {next_release.VERSION} (this is elastic {elastic.__version__}); "
            f"try elastic {next_release.VERSION}, or a later one"
        )
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    # Run once more by tomorrow's release, with the file as it was, it is the same study.
    shutil.rmtree(folder / "cube.zarr")
    assert next_release.run(tomorrow, protocol, tmp_path / "results", "training.epochs=1")["digest"] == told["digest"]


def test_a_claim_that_a_later_release_wrote_is_refused_with_both_versions(unpack, monkeypatch):
    folder = unpack(TODAY, "sealed")
    study = elastic.open_study(folder)
    facts = json.loads(json.dumps(study.facts))
    facts["provenance"]["elastic_version"] = next_release.VERSION
    facts["protocol"]["claims"][0]["fresh"] = 1
    monkeypatch.setattr(study, "facts", facts)
    with pytest.raises(StudyError) as caught:
        elastic.check(study)
    assert f"found 'fresh', written by elastic {next_release.VERSION} (this is elastic" in str(caught.value)
    facts["protocol"]["claims"][0] = {"name": "collapses_forever"}
    with pytest.raises(StudyError, match=r"found 'collapses_forever', written by elastic 99\.0\.0"):
        elastic.check(study)
