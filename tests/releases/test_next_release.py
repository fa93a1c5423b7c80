"""A release of tomorrow takes up the studies of today; today's refuses what tomorrow's wrote, naming both."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from releases import make, next_release
from releases.archives import unpacked
from releases.test_releases import check_numbers, journals, kept_numbers, numbers_of

import elastic
from elastic.cli import cli
from elastic.errors import StudyError

TODAY = "08cf3fc"

#: Settings of what tomorrow's release begins.
BEGUN = ("training.epochs=1", "probes.elasticity=null")


@pytest.fixture(scope="module")
def tomorrow(tmp_path_factory):
    return next_release.write_source(tmp_path_factory.mktemp("tomorrow"))


@pytest.fixture(scope="module")
def reported(tmp_path_factory, tomorrow):
    """Return what tomorrow's release tells of studies that it resumes, extends and begins, with their folders."""
    folder = tmp_path_factory.mktemp("studies")
    protocol = folder / "little.yaml"
    protocol.write_text(make.PROTOCOL)
    resumed, extended = (unpacked(TODAY, state, folder / state) for state in ("between_epochs", "sealed"))
    begun = elastic.open_study(resumed)
    before = {"digest": begun.digest, "cells": [cell["digest"] for cell in begun.cells], "journals": journals(extended)}
    fresh = (protocol, folder / "fresh", *BEGUN)
    tasks = (protocol, resumed.parent), (protocol, extended.parent, "axes.seed=[0, 1]"), fresh, fresh
    folders = (resumed, extended, folder / "fresh/little", folder / "fresh/little")
    result = zip(next_release.run(tomorrow, *tasks), folders, strict=True)
    facts = dict(zip(("resumed", "extended", "fresh", "again"), result, strict=True))
    return {"before": before, "protocol": protocol, "facts": facts}


def test_it_resumes_a_study_of_today_as_it_was_begun(reported):
    result, folder = reported["facts"]["resumed"]
    assert result["version"] == next_release.VERSION
    assert (result["digest"], result["cells"]) == (reported["before"]["digest"], reported["before"]["cells"])
    assert (result["fresh"], result["shrink"]) == ([None, None], [1.0, 1.0])
    assert result["states"] == ["done", "done"]
    assert f"resumed after epoch {make.STOP[1]} " in result["log"]
    kept_numbers(elastic.open_study(folder).cube, numbers_of(TODAY, "between_epochs"))


def test_it_extends_a_study_of_today_as_it_was_begun(reported):
    result, folder = reported["facts"]["extended"]
    assert (result["fresh"], result["shrink"]) == ([None] * 4, [1.0] * 4)
    assert result["states"] == ["done"] * 4
    assert journals(folder).items() > reported["before"]["journals"].items()
    check_numbers(elastic.open_study(folder).cube, numbers_of(TODAY, "extended"), rtol=1e-3, atol=1e-5)
    assert elastic.open_study(folder).protocol.digest == result["digest"]  # and today's release takes it back


def test_it_begins_studies_with_its_own_defaults_which_today_s_release_refuses(reported):
    result, folder = reported["facts"]["fresh"]
    protocol, out = reported["protocol"], folder.parent
    assert (result["fresh"], result["shrink"]) == ([1, 1], [0.5, 0.5])
    study = elastic.open_study(folder)
    assert study.cube["training"]["loss"].notnull().all()  # the numbers need no protocol
    assert CliRunner().invoke(cli, ["status", str(folder)]).exit_code == 0
    assert CliRunner().invoke(cli, ["check", str(folder)]).exit_code == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for refused in (
        lambda: study.protocol,
        lambda: elastic.run(protocol, out=out, settings=BEGUN),
        lambda: elastic.run(elastic.load_protocol(protocol), out=out),
    ):
        with pytest.raises(StudyError) as caught:
            refused()
        assert str(caught.value) == (
            f"{folder / 'study.json'}: `training.fresh` should be a key of `training`; found 'fresh', written by "
            f"elastic {next_release.VERSION} (this is elastic {elastic.__version__}); "
            f"try elastic {next_release.VERSION}, or a later one"
        )
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_it_takes_its_own_study_up_as_it_was_begun(reported):
    (result, _), (again, _) = reported["facts"]["fresh"], reported["facts"]["again"]
    assert (again["digest"], again["cells"]) == (result["digest"], result["cells"])
    assert f"{len(result['cells'])} finished before" in again["log"]


def test_a_claim_that_a_later_release_wrote_is_refused_with_both_versions(unpack, monkeypatch):
    folder = unpack(TODAY, "sealed")
    study = elastic.open_study(folder)
    facts = json.loads(json.dumps(study.facts))
    facts["provenance"]["elastic_version"] = next_release.VERSION
    facts["protocol"]["claims"][0]["fresh"] = 1
    monkeypatch.setattr(study, "facts", facts)
    known = elastic.check(study).verdicts
    assert known[0].verdict == "error"
    assert f"found 'fresh', written by elastic {next_release.VERSION} (this is elastic" in known[0].findings[0].reason
    facts["protocol"]["claims"][0] = {"name": "collapses_forever"}
    unknown = elastic.check(study).verdicts
    assert "found 'collapses_forever', written by elastic 99.0.0" in unknown[0].findings[0].reason
    assert [verdict.verdict for verdict in unknown[1:]] == [verdict.verdict for verdict in known[1:]]
    assert "error" not in [verdict.verdict for verdict in unknown[1:]]
