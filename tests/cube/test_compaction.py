"""The journal of an ended run is one file that holds the same records, at every instant of its making."""

from __future__ import annotations

import os
import random
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from elastic.cube import Journal, Layout, Status, Variable, assemble, compact_journal, compaction, write_layout
from elastic.errors import Damaged, NotReproduced, StudyError

BEFORE = Path(__file__).with_name("sealed_before.tar.xz")

LOSS, NC1 = Variable("training", "loss", ("split",)), Variable("collapse", "nc1", ("split", "layer"))
OPEN = Layout(
    None,
    (),
    [("input", 0, 4), ("head", 1, 4)],
    [0, 1],
    ["train"],
    {"train": [3, 3]},
    (LOSS, NC1),
    {"collapse": {"split": ["train"], "layer": ["input", "head"]}},
)


@pytest.fixture
def run(tmp_path, make_layout, write_run):
    """Return a run of five epochs, two of them probed."""
    return write_run(tmp_path / "5e1f0a", make_layout())


def names(run):
    return sorted(path.name for path in (run / "journal").iterdir())


def contents(run):
    """Return every record of a run as NumPy itself reads it from the single files, {epoch: {key: bytes}}."""
    collected = {}
    for path in sorted((run / "journal").glob("0*.npz")):
        with np.load(path, allow_pickle=False) as record:
            collected[float(path.stem)] = {key: record[key].tobytes() for key in record.files}
    return collected


def read(run):
    """Return every record as the journal reads it, once by blocks, once by itself and once by variable."""
    journal = Journal(run)
    by_block = {
        epoch: {key: rows[place].tobytes() for key, rows in block.items()}
        for epochs, block in journal.blocks()
        for place, epoch in enumerate(epochs)
    }
    alone = {epoch: {key: a.tobytes() for key, a in journal.read(epoch).items()} for epoch in journal.epochs()}
    by_key = {epoch: {} for epoch in journal.epochs()}
    for key in journal.keys(probed=True):
        for epoch, row in zip(*journal.read_variable(key), strict=True):
            by_key[epoch][key] = row.tobytes()
    assert by_block == alone
    assert {epoch: {key: by_key[epoch][key] for key in alone[epoch]} for epoch in alone} == alone
    return alone


def test_a_compacted_journal_is_read_as_the_single_files(run, make_layout):
    expected = contents(run)
    cube = assemble([({"seed": 0}, run)], {"seed": [0]}, {})
    compact_journal(Journal(run, writing=True))
    assert names(run) == ["records.npz"]
    assert read(run) == expected
    assert assemble([({"seed": 0}, run)], {"seed": [0]}, {}).identical(cube)
    journal = Journal(run)
    assert journal.epochs() == [0, 1, 2, 3, 4]
    assert journal.path(3) == run / "journal/records.npz"
    with pytest.raises(StudyError, match=r"000009\.npz"):
        journal.read(9)


def test_the_one_file_is_on_disk_before_it_takes_the_place_of_the_others(run, monkeypatch):
    steps, single = [], names(run)

    def flush(descriptor):
        steps.append((Path(os.path.realpath(f"/proc/self/fd/{descriptor}")), names(run)))

    monkeypatch.setattr(os, "fsync", flush)
    compact_journal(Journal(run, writing=True))
    (written, before), (folder, after), *_ = steps
    assert written.name.startswith(".records.npz.")
    assert before == sorted([written.name, *single])
    assert (folder, after) == ((run / "journal").resolve(), sorted(["records.npz", *single]))
    assert names(run) == ["records.npz"]


def test_numpy_reads_a_compacted_journal_by_itself(run, make_layout, make_record):
    compact_journal(Journal(run, writing=True))
    with np.load(run / "journal/records.npz", allow_pickle=False) as result:
        assert result["epochs"].tolist() == [0, 1, 2, 3, 4]
        assert result["probed"].tolist() == [True, False, False, False, True]
        nc1 = [make_record(make_layout(), epoch)["collapse/nc1"] for epoch in (0, 4)]
        assert np.array_equal(result["collapse/nc1"], nc1)
        assert result["training/loss"].shape == (5, 2)


@pytest.mark.parametrize("limit", [0, 2**30])
def test_the_same_records_give_the_same_bytes_in_memory_or_not(tmp_path, make_layout, write_run, monkeypatch, limit):
    one, two = (write_run(tmp_path / name / "5e1f0a", make_layout()) for name in "ab")
    compact_journal(Journal(one, writing=True))
    monkeypatch.setattr(compaction, "WHOLE", limit)
    monkeypatch.setattr("elastic.cube.journal_records._BATCH", 100)
    compact_journal(Journal(two, writing=True))
    assert (one / "journal/records.npz").read_bytes() == (two / "journal/records.npz").read_bytes()


def test_a_replay_of_a_compacted_epoch_is_compared(run, make_layout, make_record):
    compact_journal(Journal(run, writing=True))
    record, before = make_record(make_layout(), 4), (run / "journal/records.npz").stat()
    journal = Journal(run, writing=True)
    journal.append(4, record)
    with pytest.raises(NotReproduced, match=r"collapse/nc1 other by up to 0\.25"):
        journal.append(4, {**record, "collapse/nc1": record["collapse/nc1"] + 0.25})
    compact_journal(journal)
    assert (run / "journal/records.npz").stat() == before
    assert names(run) == ["records.npz"]


def test_a_diverged_run_is_compacted_as_far_as_it_went(tmp_path, make_layout, make_record):
    write_layout(tmp_path / "run", make_layout())
    journal = Journal(tmp_path / "run", writing=True)
    journal.append(0, make_record(make_layout(), 0))
    journal.append(1, {"status": Status.DIVERGED, "training/loss": [np.inf, 2.0]})
    expected = contents(tmp_path / "run")
    compact_journal(journal)
    assert read(tmp_path / "run") == expected
    assert Journal(tmp_path / "run").read_variable("status")[1].tolist() == [1, 2]


def test_a_journal_without_a_record_stays_empty(tmp_path, make_layout):
    write_layout(tmp_path / "run", make_layout())
    compact_journal(Journal(tmp_path / "run", writing=True))
    assert not (tmp_path / "run/journal").exists()


# Runs that are extended


def values(epoch, probed=False):
    numbers = np.random.default_rng(int(epoch * 100))
    record = {"training/loss": numbers.normal(size=1)}
    return {**record, "collapse/nc1": numbers.normal(size=(1, 2))} if probed else record


def test_a_run_is_extended_and_compacted_again(tmp_path):
    """Records come after the compacted ones and between them, with variables that came later."""
    run, epochs = tmp_path / "run", {0: True, 1: False, 2.5: True, 4: False}
    write_layout(run, OPEN)
    journal = Journal(run, writing=True)
    for epoch, probed in epochs.items():
        journal.append(epoch, values(epoch, probed))
    compact_journal(journal)
    journal = Journal(run, writing=True)
    journal.extend([Variable("training", "lr")])
    for epoch, probed in ((0.5, True), (3, False), (7, True)):
        journal.append(epoch, {**values(epoch, probed), "training/lr": 0.5})
    assert names(run) == ["000000.5.npz", "000003.npz", "000007.npz", "records.npz"]
    expected = read(run)
    assert list(expected) == [0, 0.5, 1, 2.5, 3, 4, 7]
    for epoch, record in expected.items():
        probed = epochs.get(epoch, epoch != 3)
        assert record["training/loss"] == values(epoch, probed)["training/loss"].tobytes()
        assert record["training/lr"] == np.array(np.nan if epoch in epochs else 0.5).tobytes()
        assert record.get("collapse/nc1") == (values(epoch, True)["collapse/nc1"].tobytes() if probed else None)
    assert Journal(run).by_probed() == {False: [1, 3, 4], True: [0, 0.5, 2.5, 7]}
    compact_journal(Journal(run, writing=True))
    assert names(run) == ["records.npz"]
    assert read(run) == expected


def test_a_reader_goes_on_while_another_process_compacts(run):
    expected = contents(run)
    journal = Journal(run)
    epochs = journal.by_probed()
    owner = Journal(run, writing=True)
    compact_journal(owner)
    losses = {e: row for part, b in journal.blocks(epochs) for e, row in zip(part, b["training/loss"], strict=True)}
    assert {epoch: row.tobytes() for epoch, row in losses.items()} == {
        e: r["training/loss"] for e, r in expected.items()
    }
    assert {key: array.tobytes() for key, array in journal.read(2).items()} == expected[2]
    assert Journal(run).epochs() == journal.epochs()


def test_a_reader_that_found_single_files_misses_none_that_go_meanwhile(run):
    journal = Journal(run)
    compact_journal(Journal(run, writing=True))
    assert journal.epochs() == [0, 1, 2, 3, 4]
    assert journal.read_variable("training/loss")[0] == [0, 1, 2, 3, 4]


# Accidents


class Accident(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("count", range(12))
def test_whoever_dies_on_the_way_loses_nothing(run, monkeypatch, count):
    """Die before the n-th call that changes the disk or follows one, and go on."""
    expected, left = contents(run), [count]

    def dying(step):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Accident
            return step(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for place, name in ((Path, "replace"), (Path, "unlink"), (compaction, "_verify"), (compaction.os, "fsync"),
                            (compaction, "_write"), (compaction, "sync_folder")):  # fmt: skip
            patched.setattr(place, name, dying(getattr(place, name)))
        with suppress(Accident):
            compact_journal(Journal(run, writing=True))
    assert read(run) == expected
    compact_journal(Journal(run, writing=True))
    assert names(run) == ["records.npz"]
    assert read(run) == expected


def test_what_does_not_read_back_is_not_taken(run, monkeypatch):
    expected, write = contents(run), compaction._write

    def torn(path, *arguments):
        write(path, *arguments)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    monkeypatch.setattr(compaction, "_write", torn)
    with pytest.raises(Damaged):
        compact_journal(Journal(run, writing=True))
    assert len(names(run)) == 5
    assert read(run) == expected


def test_other_numbers_than_the_records_are_not_taken(run, monkeypatch):
    add = compaction._add

    def adding(archive, key, shape, dtype, count, parts):
        add(archive, key, shape, dtype, count, (part + (key == "training/loss") for part in parts))

    monkeypatch.setattr(compaction, "_add", adding)
    with pytest.raises(Damaged, match="read back as it was written; found other training/loss"):
        compact_journal(Journal(run, writing=True))
    assert len(names(run)) == 5


def test_a_damaged_record_is_not_compacted(run):
    path = run / "journal/000002.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Damaged, match=r"000002\.npz"):
        compact_journal(Journal(run, writing=True))
    assert len(names(run)) == 5


def test_a_single_file_that_is_not_what_was_compacted_is_told(run, make_layout, make_record):
    copy = run.parent / "copy" / "5e1f0a"
    shutil.copytree(run, copy)
    compact_journal(Journal(run, writing=True))
    shutil.copy(copy / "journal/000001.npz", run / "journal/000001.npz")
    Journal(run, writing=True)  # left by a dead owner
    assert names(run) == ["records.npz"]
    (copy / "journal/000001.npz").unlink()
    Journal(copy, writing=True).append(1, make_record(make_layout(), 1, seed=5))
    shutil.copy(copy / "journal/000001.npz", run / "journal/000001.npz")
    with pytest.raises(Damaged, match=r"000001\.npz` should be the record of epoch 1 in records\.npz"):
        Journal(run, writing=True)


@pytest.mark.parametrize("fault", ["flip", "truncate", "append", "empty"])
def test_any_fault_of_a_compacted_journal_is_noticed(run, fault):
    compact_journal(Journal(run, writing=True))
    path, draw = run / "journal/records.npz", random.Random(0)
    whole = path.read_bytes()
    for _ in range(150):
        place = draw.randrange(len(whole))
        path.write_bytes(
            {
                "flip": whole[:place] + bytes([whole[place] ^ (1 << draw.randrange(8))]) + whole[place + 1 :],
                "truncate": whole[:place],
                "append": whole + draw.randbytes(1 + place % 30),
                "empty": b"",
            }[fault]
        )
        with pytest.raises(Damaged, match=r"journal/records\.npz"):
            list(Journal(run).blocks())


def test_a_compacted_journal_of_another_run_is_refused(run, make_layout, write_run):
    other = write_run(run.parent / "77aa01", make_layout(), seed=1)
    for folder in (run, other):
        compact_journal(Journal(folder, writing=True))
    shutil.copy(other / "journal/records.npz", run / "journal/records.npz")
    with pytest.raises(Damaged, match=r"should be the journal of run 5e1f0a; found the journal of run 77aa01"):
        Journal(run)


def test_a_journal_of_an_earlier_release_is_compacted_and_read_alike(tmp_path):
    with tarfile.open(BEFORE) as archive:
        archive.extractall(tmp_path, filter="data")
    for run in (tmp_path / "runs").iterdir():
        expected = contents(run)
        assert read(run) == expected
        compact_journal(Journal(run, writing=True))
        assert names(run) == ["records.npz"]
        assert read(run) == expected


# Records that are set aside


def test_records_set_aside_never_replace_others_that_were(run):
    journal = Journal(run, writing=True)
    first, second = journal.set_aside(4), journal.set_aside(3)
    shutil.rmtree(first)
    assert journal.set_aside(2).name == "003"
    assert [path.name for path in second.iterdir()] == ["000003.npz"]


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("first", [0, 3, 4])
def test_records_are_set_aside_and_stay_readable_by_numpy(run, compacted, first):
    expected = contents(run)
    if compacted:
        compact_journal(Journal(run, writing=True))
    journal = Journal(run, writing=True)
    place = journal.set_aside(first)
    assert journal.epochs() == Journal(run).epochs() == list(range(first))
    assert read(run) == {epoch: record for epoch, record in expected.items() if epoch < first}
    kept = sorted(path.name for path in place.iterdir())
    assert kept == (["records.npz"] if compacted else [f"{epoch:06d}.npz" for epoch in range(first, 5)])
    assert place == run / "journal/set-aside/001"
