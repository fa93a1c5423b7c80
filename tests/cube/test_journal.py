from __future__ import annotations

import random

import numpy as np
import pytest

from elastic.cube import Journal, Status, Variable, write_layout
from elastic.cube.labels import Label, labelled
from elastic.cube.record import decode, encode
from elastic.errors import NotReproduced, StudyError


@pytest.fixture
def layout(make_layout):
    return make_layout()


@pytest.fixture
def journal(tmp_path, layout):
    write_layout(tmp_path / "run", layout)
    return Journal(tmp_path / "run", writing=True)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_appended_is_read(journal, layout, make_record):
    for epoch in (3, 0, 4):
        journal.append(epoch, make_record(layout, epoch))
    assert journal.epochs() == [0, 3, 4]
    for epoch in (0, 3, 4):
        read = journal.read(epoch)
        assert read.pop("status") == Status.DONE
        asked = make_record(layout, epoch)
        assert read.keys() == asked.keys()
        assert all(np.array_equal(read[key], asked[key]) for key in asked)


def test_two_journals_of_the_same_run_have_the_same_bytes(tmp_path, layout, write_run):
    one, two = (write_run(tmp_path / name / "run", layout) for name in ("one", "two"))
    assert files(one / "journal") == files(two / "journal")
    assert sorted(files(one / "journal")) == [f"{epoch:06d}.npz" for epoch in range(5)]


def test_numbers_of_any_type_and_order_are_stored_as_the_layout_says(journal, layout, make_record):
    record = {key: np.array(array, dtype=np.float32, order="F") for key, array in make_record(layout, 0).items()}
    journal.append(0, record)
    stored = journal.read(0)
    assert stored["collapse/nc1"].dtype == np.float64
    assert np.array_equal(stored["collapse/class_cosine"], record["collapse/class_cosine"])
    journal.append(0, {key: np.array(array, order="C") for key, array in record.items()})  # the same bytes


@pytest.mark.parametrize(
    "value", [np.float16(0.1), np.float32(1e-45), 5e-324, -0.0, np.inf, np.nan, 2**53, np.int64(-(2**53)), True,
              np.uint8(7), np.longdouble(0.1), np.array(0.1, dtype=">f8")],
)  # fmt: skip
def test_every_number_is_kept_to_the_last_bit(journal, layout, make_record, value):
    record = {**make_record(layout, 1), "training/learning_rate": value, "training/loss": [value, 0.5]}
    journal.append(1, record)
    (_, block), *_ = journal.blocks()
    expected = np.array(float(value))
    for stored in (journal.read(1)["training/learning_rate"], block["training/learning_rate"][0]):
        assert stored.dtype == np.float64
        assert stored.tobytes() == expected.tobytes()
    assert np.array_equal(journal.read(1)["training/loss"], [float(value), 0.5], equal_nan=True)


@pytest.mark.parametrize(
    "value", [2**53 + 1, np.int64(2**53 + 1), np.uint64(2**64 - 1), 10**400, np.longdouble(1) / 3, "1.5", None, 1j,
              np.complex64(1), np.datetime64("2020-01-01")],
)  # fmt: skip
@pytest.mark.parametrize("wrapped", [lambda v: v, lambda v: np.array(v)], ids=["alone", "array"])
def test_a_number_that_would_be_rounded_is_refused(journal, layout, make_record, value, wrapped):
    record = make_record(layout, 1)
    with pytest.raises(StudyError, match=r"`training/learning_rate` should be real numbers that float64 holds exactly"):
        journal.append(1, {**record, "training/learning_rate": wrapped(value)})
    with pytest.raises(StudyError, match=r"`training/loss` should be real numbers"):
        journal.append(1, {**record, "training/loss": [0.5, value]})
    assert journal.epochs() == []


def test_a_narrow_type_of_the_layout_takes_what_it_holds(tmp_path, make_layout):
    write_layout(tmp_path, make_layout(probed=(), variables=(Variable("training", "loss", dtype="float32"),)))
    journal = Journal(tmp_path)
    journal.append(0, {"training/loss": np.float64(np.float32(0.1))})
    assert journal.read(0)["training/loss"] == np.float32(0.1)
    for value in (0.1, 1e300, 2**24 + 1):
        with pytest.raises(StudyError, match="float32 holds exactly"):
            journal.append(1, {"training/loss": value})


def test_replaying_an_epoch_writes_nothing(journal, layout, make_record):
    journal.append(0, make_record(layout, 0))
    before = journal.path(0).stat()
    journal.append(0, make_record(layout, 0))
    after = journal.path(0).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_another_replay_is_reported_with_what_differs_and_by_how_much(journal, layout, make_record):
    record = make_record(layout, 0)
    journal.append(0, record)
    before = files(journal.folder)
    other = {key: array.copy() for key, array in record.items()}
    other["collapse/nc1"][0, 1] += 0.25
    other["training/learning_rate"] = np.nan
    with pytest.raises(NotReproduced) as error:
        journal.append(0, other)
    assert "training/learning_rate finite or not, collapse/nc1 other by up to 0.25" in str(error.value)
    assert "loss" not in str(error.value)
    assert str(journal.path(0)) in str(error.value)
    assert files(journal.folder) == before


def test_of_another_arithmetic_too_a_replay_may_differ_by_rounding_alone(journal, layout, make_record):
    record = make_record(layout, 0)
    journal.append(0, record)
    with pytest.raises(NotReproduced):
        Journal(journal.run_folder, layout, rounded=True).append(0, {**record, "training/learning_rate": np.nan})


def test_a_zero_of_another_sign_is_not_the_same_bytes(journal, layout, make_record):
    record = make_record(layout, 1)
    journal.append(1, {**record, "training/learning_rate": 0.0})
    with pytest.raises(NotReproduced, match="sign of a zero"):
        journal.append(1, {**record, "training/learning_rate": -0.0})


def test_nan_is_equal_to_nan_in_a_replay(journal, layout, make_record):
    record = {**make_record(layout, 1), "training/learning_rate": np.nan}
    journal.append(1, record)
    journal.append(1, record)


def test_a_diverged_epoch_may_leave_variables_out(journal):
    journal.append(0, {"status": Status.DIVERGED, "training/loss": [np.inf, 2.0]})
    read = journal.read(0)
    assert read["status"] == Status.DIVERGED
    assert np.array_equal(read["training/loss"], [np.inf, 2.0])
    assert np.isnan(read["elasticity/response"]).all()


@pytest.mark.parametrize(
    ("epoch", "change", "text"),
    [
        (1, {"training/learning_rate": None}, "`training/learning_rate` should be in the record"),
        (1, {"training/loss": [1.0]}, r"`training/loss` should be of shape \(2,\); found \(1,\)"),
        (1, {"collapse/nc1": np.zeros((2, 4))}, "`collapse/nc1` should be a variable of this epoch's record"),
        (5, {}, "should be one of 0 … 4; found 5"),
        (1, {"status": Status.MISSING}, "should be done or diverged"),
    ],
)
def test_a_record_that_is_not_what_the_layout_says_is_refused(journal, layout, make_record, epoch, change, text):
    record = {k: v for k, v in {**make_record(layout, min(epoch, 3)), **change}.items() if v is not None}
    with pytest.raises(StudyError, match=text):
        journal.append(epoch, record)
    assert journal.epochs() == []


def test_damage_is_told_with_the_file_and_what_to_do(journal, layout, make_record):
    journal.append(0, make_record(layout, 0))
    whole = journal.path(0).read_bytes()
    generator, collected = random.Random(1), []
    for _ in range(100):
        torn = bytearray(whole)
        torn[generator.randrange(len(torn))] ^= 1 << generator.randrange(8)
        journal.path(0).write_bytes(torn)
        try:
            read = journal.read(0)
        except StudyError as error:
            collected.append(str(error))
        else:  # a bit that carries nothing, as the date of a file in the archive
            assert all(np.array_equal(read[key], array) for key, array in make_record(layout, 0).items())
    assert len(collected) > 50
    for message in collected:
        assert message.startswith(f"{journal.path(0)}: the record of epoch 0 should be whole; found ")
        assert f"try deleting {journal.run_folder} and running again" in message


def test_a_torn_record_is_never_taken_for_a_replay(journal, layout, make_record):
    journal.append(0, make_record(layout, 0))
    journal.path(0).write_bytes(journal.path(0).read_bytes()[:-200])
    with pytest.raises(StudyError, match="be whole") as error:
        journal.append(0, make_record(layout, 0))
    assert not isinstance(error.value, NotReproduced)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"training/learning_rate": np.zeros(2)}, r"training/learning_rate of shape \(2,\)"),
        ({"training/learning_rate": np.float32(0)}, "type float32"),
        ({"training/more": np.zeros(2)}, "other variables: training/more"),
        ({"status": np.int8(9)}, "status 9"),
        ({"status": np.int8(0)}, "status 0"),
    ],
)
def test_a_foreign_record_is_refused(journal, layout, make_record, change, text):
    for epoch in (1, 2):
        journal.append(epoch, make_record(layout, epoch))
    record = encode({**decode(journal.path(2).read_bytes()), **change})
    journal.path(2).write_bytes(labelled(record, Label("record", "run", 2)))
    with pytest.raises(StudyError, match=text):
        journal.read(2)
    with pytest.raises(StudyError, match=rf"000002\.npz.*{text}"):
        list(journal.blocks())


def test_blocks_hold_every_record_once(journal, layout, make_record, monkeypatch):
    monkeypatch.setattr("elastic.cube.journal_records._BATCH", 2000)
    for epoch in range(5):
        journal.append(epoch, make_record(layout, epoch))
    seen = []
    for epochs, block in journal.blocks():
        seen += epochs
        for i, epoch in enumerate(epochs):
            read = journal.read(epoch)
            assert read.keys() == block.keys()
            assert all(np.array_equal(read[key], block[key][i]) for key in read)
    assert sorted(seen) == list(range(5))


def test_an_epoch_after_the_last_one_is_not_read_silently(journal, layout, make_record):
    journal.append(4, make_record(layout, 4))
    journal.path(4).rename(journal.path(7))
    with pytest.raises(StudyError, match="after the last"):
        list(journal.blocks())


def test_what_dead_writers_left_is_ignored_and_removed_by_the_next_writer(journal, layout, make_record):
    journal.append(0, make_record(layout, 0))
    left = [journal.folder / ".000001.npz.99-ab.partial", journal.run_folder / ".checkpoint.pt.99-cd.partial"]
    for path in left:
        path.write_bytes(b"half")
    (journal.folder / "notes.txt").write_text("mine")
    assert Journal(journal.run_folder).epochs() == [0]
    assert all(path.exists() for path in left)  # a reader owns nothing
    Journal(journal.run_folder, writing=True)
    assert sorted(files(journal.folder)) == ["000000.npz", "notes.txt"]
    assert not left[1].exists()


def test_there_is_no_journal_without_a_layout(tmp_path):
    with pytest.raises(StudyError, match="no such file"):
        Journal(tmp_path)


def test_a_missing_record_is_told(journal):
    with pytest.raises(StudyError, match=r"000003\.npz"):
        journal.read(3)


def test_a_run_that_only_trains_has_a_journal(tmp_path, make_layout, make_record):
    layout = make_layout(probed=(), variables=(Variable("training", "loss"),))
    write_layout(tmp_path, layout)
    Journal(tmp_path).append(0, {"training/loss": 1.0})
    assert Journal(tmp_path).read(0)["training/loss"] == 1.0
