"""Which claims were registered before training: known from a history that only grows, whose digest can be published."""

import json
import shutil
from contextlib import contextmanager

import pytest
from support import published, studies

import elastic
from elastic.claims.verdict_table import standing_lines
from elastic.errors import Damaged
from elastic.publishing.crate import times_of
from elastic.report import write_report
from elastic.study import claim_history
from elastic.study.claim_history import (
    FILE,
    claims_digest,
    read_history,
    register_publication,
    register_restart,
    write_history,
)
from elastic.study.claim_standing import AFTER, BEFORE, DURING, UNKNOWN, standing, standing_of
from elastic.study.creation import make_study

pytestmark = pytest.mark.usefixtures("few_metrics")

FIRST = {"name": "locality_above", "threshold": 1.0}
OTHER = {"name": "locality_above", "threshold": 0.5}
SECOND = {"name": "collapse_deepens_with_depth", "metric": "nc1"}


def registered(*claims, records=0, seen=False):
    return {
        "event": "claims",
        "claims": list(claims),
        "claims_digest": claims_digest(claims),
        "axes": {},
        "runs_with_records": records,
        "cube_seen": seen,
        "time": "2026-01-01T00:00:00+00:00",
    }


def verdicts(*seeds):
    return {"event": "verdicts", "claims_digest": "", "seeds": list(seeds)}


RESTART = {"event": "restart", "runs_with_records": 2, "cube_seen": True}


@pytest.mark.parametrize(
    ("history", "claims", "expected"),
    [
        ([registered(FIRST)], [FIRST], [BEFORE]),
        ([], [FIRST], [UNKNOWN]),
        ([registered(FIRST, records=1)], [FIRST], [UNKNOWN]),
        ([registered(FIRST), registered(FIRST, SECOND, records=1)], [FIRST, SECOND], [BEFORE, DURING]),
        ([registered(FIRST), registered(FIRST, SECOND, records=2, seen=True)], [FIRST, SECOND], [BEFORE, AFTER]),
        ([registered(FIRST), registered(SECOND, records=2, seen=True)], [SECOND], [AFTER]),
        # a claim that was dropped and taken up again was registered before
        (
            [registered(FIRST), registered(records=2, seen=True), registered(FIRST, records=2, seen=True)],
            [FIRST],
            [BEFORE],
        ),
        # runs that were dropped have been seen all the same
        ([RESTART, registered(FIRST, records=2, seen=True)], [FIRST], [AFTER]),
    ],
)  # fmt: skip
def test_a_claim_stands_from_the_first_entry_that_has_it(history, claims, expected):
    assert list(standing(history, claims, [0]).claims) == expected


def test_claims_that_changed_or_went_are_told():
    history = [registered(FIRST, SECOND), registered(OTHER, records=2, seen=True)]
    result = standing(history, [OTHER], [0])
    assert result.changed == (True,)
    assert [claim["name"] for claim in result.withdrawn] == [SECOND["name"]]
    assert not result.frozen
    assert result.late(0) == "changed after a cube was seen: exploratory"


def test_seeds_are_counted_from_the_first_verdict():
    result = standing([registered(FIRST), verdicts(0, 1, 2), verdicts(0, 1, 2, 3)], [FIRST], [0, 1, 3, 4])
    assert (result.seeds_added, result.seeds_dropped, result.verdicts) == ((3, 4), (2,), 2)
    assert not result.frozen
    for seeds, frozen in (([0, 1, 2], True), ([0, 1], False), ([0, 1, 2, 3], False)):
        assert standing([registered(FIRST), verdicts(0, 1, 2)], [FIRST], seeds).frozen == frozen


def test_a_first_verdict_before_all_runs_had_ended_names_the_seeds_that_had_records():
    early = {**verdicts(0, 1, 2), "recorded": [0]}
    result = standing([registered(FIRST), early, verdicts(0, 1, 2)], [FIRST], [0, 1, 2])
    assert "first verdict on 1 of 3 seeds, before all runs had ended; 0 added since" in result.lines()
    assert result.frozen  # the seeds were planned before
    assert result.to_json()["recorded_at_first_verdict"] == (0,)
    assert "recorded_at_first_verdict" not in standing([registered(FIRST), verdicts(0)], [FIRST], [0]).to_json()


@pytest.mark.parametrize("withheld", ["other runs", "all runs"])
def test_a_check_before_the_runs_have_ended_registers_what_it_saw(claimed_study, tmp_path, withheld):
    folder = tmp_path / "small"
    shutil.copytree(claimed_study.folder, folder)
    write_history(folder, "small", read_history(folder)[:1])
    for name in ("manifest.sha256", "claims.json"):
        (folder / name).unlink(missing_ok=True)
    first, *others = claimed_study.cells
    for cell in [*others, *([first] if withheld == "all runs" else [])]:
        shutil.rmtree(folder / "runs" / cell["digest"])
    elastic.check(folder)
    entries = [(one["event"], one.get("recorded")) for one in read_history(folder)]
    assert entries == [("claims", None), *([("verdicts", [0])] if withheld == "other runs" else [])]
    # where nothing was seen, claims that change then do so before training
    evidence = claim_history._evidence(folder, read_history(folder))
    assert evidence["cube_seen"] == (withheld == "other runs")
    # the archive names the time of the first verdicts on all runs
    looks = [{**verdicts(0), "recorded": [0], "time": "early"}, {**verdicts(0), "time": "then"}]
    write_history(folder, "small", [registered(FIRST), *looks, {**verdicts(0), "time": "later"}])
    assert times_of(elastic.open_study(folder))[1] == "then"


def test_the_digest_of_claims_depends_on_every_option_and_on_nothing_else():
    assert claims_digest([FIRST]) != claims_digest([OTHER]) != claims_digest([OTHER, SECOND])
    assert claims_digest([{"threshold": 1.0, "name": "locality_above"}]) == claims_digest([FIRST])


def test_a_study_registers_its_claims_before_the_first_run(claimed_study):
    first, *others = read_history(claimed_study.folder)
    assert (first["event"], first["runs_with_records"], first["cube_seen"]) == ("claims", 0, False)
    assert first["time"].endswith("+00:00")
    assert first["study_digest"] == claimed_study.digest
    assert first["claims_digest"] == claims_digest(claimed_study.facts["protocol"]["claims"])
    assert all(one["event"] == "verdicts" for one in others)
    assert standing_of(claimed_study).frozen


def test_extending_a_seen_study_is_told_by_check_and_report(claimed_study, tmp_path):
    shutil.copytree(claimed_study.folder, tmp_path / "results" / "small")
    elastic.check(tmp_path / "results" / "small")
    text = published.TEXT.replace("threshold: 1.0", "threshold: 0.5") + "  - {name: nc1_below, below: 1.0}\n"
    text = text.replace("  - {name: nc1_below, below: 1.0}\n", "  - {name: collapse_deepens_with_depth}\n")
    notes = []
    study = studies.run(tmp_path, "axes.seed=[0, 1, 2]", text=text, watch=noting(notes))
    checked = elastic.check(study)
    assert any(checked.standing.digest in note and "cube was seen" in note for note in notes)
    assert checked.standing.claims == (AFTER, BEFORE, AFTER)
    assert checked.standing.changed == (True, False, False)
    assert checked.standing.seeds_added == (2,)
    message = " ".join(standing_lines(checked))
    assert "2 of 3 claims added or changed after a cube was seen" in message
    assert "first verdict on 2 seeds, 1 added since" in message
    stored = json.loads((study.folder / "claims.json").read_text())
    assert stored["standing"]["claims"] == [AFTER, BEFORE, AFTER]
    page = write_report(study, tmp_path / "report.html").read_text()
    assert "changed after a cube was seen: exploratory" in page
    assert "1 added since" in page
    # dropping the runs drops no memory of them
    again = make_study(study.folder, study.protocol, restart=True)
    assert standing_of(again).claims == (AFTER, BEFORE, AFTER)


def noting(notes):
    from elastic.progress import Watcher

    class Noting(Watcher):
        def note(self, message):
            notes.append(message)

    return Noting()


def test_claims_of_another_protocol_are_exploratory(claimed_study):
    checked = elastic.check(claimed_study, claims={"claims": [FIRST]})
    assert checked.exploratory
    assert checked.to_json()["exploratory"]
    assert "exploratory" in standing_lines(checked)[0]
    assert not elastic.check(claimed_study).exploratory


def test_a_damaged_history_is_told_and_kept(claimed_study, tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(claimed_study.folder, folder)
    damaged = (folder / FILE).read_bytes().replace(b'"cube_seen": false', b'"cube_seen": true ')
    (folder / FILE).write_bytes(damaged)
    with pytest.raises(Damaged, match=FILE):
        read_history(folder)
    checked = elastic.check(folder)
    assert set(checked.standing.claims) == {UNKNOWN}
    assert FILE in checked.standing.note
    assert (folder / FILE).read_bytes() == damaged
    assert [one.path for one in elastic.open_study(folder).verify().damaged] == [FILE]
    (folder / FILE).unlink()
    assert set(standing_of(elastic.open_study(folder)).claims) == {UNKNOWN}


@pytest.mark.parametrize("register", [register_restart, lambda folder: register_publication(folder, "small")])
def test_what_another_process_registers_meanwhile_stays(tmp_path, monkeypatch, register):
    (tmp_path / "runs" / "a" / "journal").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "journal" / "000000.npz").write_bytes(b"")

    @contextmanager
    def lock(folder):
        write_history(folder, "small", [registered(FIRST)])  # by its owner, for whom this process has waited
        yield

    monkeypatch.setattr(claim_history, "study_lock", lock)
    register(tmp_path)
    assert read_history(tmp_path)[0] == registered(FIRST)
