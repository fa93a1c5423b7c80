"""Claims are held against a finished study: its own or those of another file, and nothing is trained."""

import errno
import hashlib
import json
import os
import shutil

import pytest
from support import studies

import elastic
from elastic.claims import checked as checked_module
from elastic.cube.atomic import translate_os_errors
from elastic.cube.checked_files import OF_WHAT
from elastic.display.verdicts import FILE as CLAIMS
from elastic.errors import ElasticError, StudyError
from elastic.export.latex import claims_table as latex_table
from elastic.report.claims_table import claims_table as report_table
from elastic.report.context import read_context

HELD, WRONG = "{name: below, variable: loss, threshold: 1000}", "{name: above, variable: loss, threshold: 1000}"


@pytest.fixture
def study(finished_study, tmp_path):
    folder = tmp_path / "results" / "small"
    shutil.copytree(finished_study.folder, folder)
    return elastic.open_study(folder)


def protocol(tmp_path, *claims, text=studies.SMALL):
    return studies.write(tmp_path, text + f"claims: [{', '.join(claims)}]\n")


def test_claims_of_another_file_are_checked_on_an_old_cube(study, tmp_path):
    before = studies.contents(study.folder)
    checked = elastic.check(study.folder, claims=protocol(tmp_path, HELD, WRONG))
    assert [verdict.verdict for verdict in checked.verdicts] == ["supported", "refuted"]
    assert checked.refuted
    assert (checked.study, checked.digest) == ("small", study.digest)
    assert studies.contents(study.folder) == before


def test_nothing_but_the_claims_of_that_file_counts(study, tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(f"claims:\n  - {HELD}\n")
    assert not elastic.check(study, claims=path).refuted


def test_new_claims_do_not_retrain_a_finished_study(study, tmp_path):
    before = studies.journals(study)
    again = elastic.run(protocol(tmp_path, HELD, WRONG), out=study.folder.parent)
    assert again.folder == study.folder
    assert studies.journals(again) == before
    assert [verdict.verdict for verdict in elastic.check(again).verdicts] == ["supported", "refuted"]
    assert [cell["digest"] for cell in again.cells] == [cell["digest"] for cell in study.cells]


def test_the_verdicts_on_a_study_s_own_claims_lie_in_its_folder(study, tmp_path):
    again = elastic.run(protocol(tmp_path, HELD, WRONG), out=study.folder.parent)
    checked = elastic.check(again)
    written = again.folder / CLAIMS
    result = json.loads(written.read_text())
    assert (result.pop("sha256_of"), len(result.pop("sha256"))) == (OF_WHAT, 64)
    assert result == json.loads(json.dumps(checked.to_json()))
    stamp = written.stat().st_mtime_ns
    elastic.check(again)
    assert written.stat().st_mtime_ns == stamp


def test_claims_json_is_whole(study, tmp_path):
    result = elastic.check(study, claims=protocol(tmp_path, HELD, "{name: locality_above}")).to_json()
    assert set(result) == {"study", "digest", "level", "elastic_version", "claims", "standing", "exploratory"}
    for claim in result["claims"]:
        assert set(claim) == {
            "name", "sentence", "source", "quantity", "options", "verdict", "findings", "estimates", "level", "plain",
            "fragile",
        }  # fmt: skip
        assert claim["sentence"]
        assert "{" not in claim["sentence"]
        for finding in claim["findings"]:
            assert len(finding["per_seed"]) == 2
            assert (finding["seeds"], len(finding["region"])) == (2, 2)
    assert [finding["setting"] for finding in result["claims"][1]["findings"]] == [
        {"layer": "hidden_1"},
        {"layer": "penultimate"},
    ]
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_study_that_this_user_may_not_write_is_checked(study, monkeypatch, number):
    """Of somebody else, or of an earlier release: its claims.json would have to be written anew."""

    def refuse(path, data):
        with translate_os_errors(path):
            raise OSError(number, os.strerror(number))

    study.facts["protocol"]["claims"] = [{"name": "below", "variable": "loss", "threshold": 1000}]
    monkeypatch.setattr(checked_module, "write_atomically", refuse)
    if number == errno.ENOSPC:
        with pytest.raises(StudyError, match=r"`claims\.json` should be writable; found No space left on device"):
            elastic.check(study)
        return
    checked = elastic.check(study)
    assert [verdict.verdict for verdict in checked.verdicts] == ["supported"]
    assert checked.notes == (f"{study.folder / CLAIMS} is not written: {os.strerror(number)}",)


def test_a_study_without_claims_claims_nothing(study):
    checked = elastic.check(study)
    assert checked.verdicts == ()
    assert not checked.refuted
    assert not (study.folder / CLAIMS).exists()


@pytest.mark.parametrize("stated", [[{"name": "below", "variable": "loss", "threshold": 1000.0}], None])
def test_the_claims_of_a_study_of_an_earlier_release_are_checked(study, stated):
    facts = json.loads((study.folder / "study.json").read_text())
    of_later_releases = ("question", "cites", "claims", "sha256_of", "sha256")
    facts = {key: value for key, value in facts.items() if key not in of_later_releases}
    protocol = {key: value for key, value in facts["protocol"].items() if key not in of_later_releases}
    protocol |= {"claims": stated} if stated else {}
    text = json.dumps(protocol, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    facts |= {"protocol": protocol, "digest": hashlib.sha256(text.encode()).hexdigest()}
    (study.folder / "study.json").write_text(json.dumps(facts))
    checked = elastic.check(study.folder)
    assert [verdict.verdict for verdict in checked.verdicts] == ["supported"] * len(stated or [])
    assert [claim.name for claim in elastic.open_study(study.folder).claims] == [v.name for v in checked.verdicts]


def test_what_a_shallow_network_cannot_show_is_inconclusive(study, tmp_path):
    (verdict,) = elastic.check(study, claims=protocol(tmp_path, "collapse_deepens_with_depth")).verdicts
    assert verdict.verdict == "inconclusive"
    assert "at least 3" in verdict.findings[0].reason


def test_a_study_that_has_not_begun_decides_nothing(study, tmp_path):
    for path in study.folder.iterdir():
        if path.name not in ("study.json", "protocol.yaml"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (verdict,) = elastic.check(study.folder, claims=protocol(tmp_path, HELD)).verdicts
    assert verdict.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("claims: below", "1:9", "be a list of claims"),
        ("title: none", "1:1", "`claims` should be a list of claims; found nothing"),
    ],
)
def test_a_file_without_claims_is_refused(study, tmp_path, text, place, words):
    path = tmp_path / "claims.yaml"
    path.write_text(text + "\n")
    with pytest.raises(ElasticError) as caught:
        elastic.check(study, claims=path)
    assert caught.value.place == f"{path}:{place}"
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("claim", "column", "words"),
    [
        ("{name: bellow, variable: loss, threshold: 1}", 12, "'below'"),
        ("{name: below, variable: loss}", 5, "`claims.1.threshold` should be given"),
        ("{name: below, variable: loss, threshold: a}", 46, "a valid number"),
        ("{name: below, variable: loss, treshold: 1}", 35, "'threshold'"),
        ("3", 5, "be a claim"),
        ("{name: below, variable: loss, threshold: 1, where: {decay: 1}}", 64, "`claims.1.where.decay` should be"),
        ("{name: below, variable: nc1, threshold: 1, layer: hidden_7}", 55, "`claims.1.layer` should be a layer"),
        ("{name: below, variable: nc1, threshold: 1, epoch: 5}", 55, "`claims.1.epoch` should be a recorded epoch"),
        ("{name: below, variable: nc1, threshold: 1, split: tset}", 55, "found 'tset'; try 'test'"),
        ("{name: minority_collapses, classes: [3, 4], min_cosine: 0.5}", 45, "`claims.1.classes.1` should be a class"),
    ],
)  # fmt: skip
def test_a_mistake_in_one_claim_hides_no_other_verdict(study, tmp_path, claim, column, words):
    path = tmp_path / "claims.yaml"
    path.write_text(f"claims:\n  - {HELD}\n  - {claim}\n  - {WRONG}\n")
    checked = elastic.check(study, claims=path)
    assert [verdict.verdict for verdict in checked.verdicts] == ["supported", "error", "refuted"]
    assert checked.mistaken
    (finding,) = checked.verdicts[1].findings
    assert (finding.verdict, finding.effect, finding.seeds) == ("error", None, 0)
    assert finding.reason.startswith(f"{path}:3:{column}: ")
    assert words in finding.reason
    json.dumps(checked.to_json(), allow_nan=False)


def test_a_mistake_among_a_study_s_own_claims_hides_no_other_verdict(study):
    """As of a study whose claims an earlier release took, or that uses a claim of a package that is not there."""
    facts = json.loads((study.folder / "study.json").read_text())
    claims = [{"name": "below", "variable": "loss", "threshold": 1000.0}, {"name": "belov", "variable": "loss"},
              {"name": "below", "variable": "nc1", "threshold": 1.0, "layer": "hidden_7"}]  # fmt: skip
    protocol = {**facts["protocol"], "claims": claims}
    text = json.dumps(protocol, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    facts |= {"protocol": protocol, "digest": hashlib.sha256(text.encode()).hexdigest()}
    facts = {key: value for key, value in facts.items() if key not in ("sha256_of", "sha256")}
    (study.folder / "study.json").write_text(json.dumps(facts))
    opened = elastic.open_study(study.folder)
    checked = elastic.check(opened)
    assert [verdict.verdict for verdict in checked.verdicts] == ["supported", "error", "error"]
    assert "written by elastic" in checked.verdicts[1].findings[0].reason
    assert "try the module that registers it" in checked.verdicts[1].findings[0].reason
    written = json.loads((study.folder / CLAIMS).read_text())["claims"]
    assert [claim["verdict"] for claim in written] == ["supported", "error", "error"]
    reported = report_table(read_context(opened))
    assert (reported.tally, reported.note) == ({"supported": 1, "error": 2}, "")
    assert "`claims.2.layer` should be a layer" in reported.claims[2].rows[0].reason
    assert latex_table(opened, opened.cube).count("error") == 2


def test_a_folder_that_is_no_study_is_told(tmp_path):
    with pytest.raises(StudyError):
        elastic.check(tmp_path)
