"""Records, layouts and folders that stand at another run's or epoch's place are refused with their path."""

from __future__ import annotations

import random
import shutil

import numpy as np
import pytest

from elastic.cube import Journal, assemble, read_layout
from elastic.errors import Damaged, StudyError

SEEDS = ("5e1f0a", "77aa01", "c0ffee")


@pytest.fixture
def runs(tmp_path, make_layout, write_run):
    """Return three runs of one layout, in folders named after their cells."""
    for seed, name in enumerate(SEEDS):
        write_run(tmp_path / name, make_layout(), seed=seed)
    return tmp_path


def swap(one, other):
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def read_all(folder):
    for name in SEEDS:
        list(Journal(folder / name).blocks())


def assembled(folder):
    assemble([({"seed": seed}, folder / name) for seed, name in enumerate(SEEDS)], {"seed": [0, 1, 2]}, {})


def read_variables(folder):
    for name in SEEDS:
        journal = Journal(folder / name)
        for key in journal.keys(probed=True):
            journal.read_variable(key)


def read_each(folder):
    for name in SEEDS:
        journal = Journal(folder / name)
        for epoch in journal.epochs():
            journal.read(epoch)


@pytest.mark.parametrize("reading", [read_all, assembled, read_variables, read_each])
def test_any_two_records_that_are_exchanged_are_refused(runs, reading):
    files, draw = sorted(runs.glob("*/journal/*.npz")), random.Random(0)
    reading(runs)
    for _ in range(40):
        one, other = draw.sample(files, 2)
        swap(one, other)
        with pytest.raises(Damaged) as caught:
            reading(runs)
        assert caught.value.place in (str(one), str(other))
        assert caught.value.exit_code == 4
        swap(one, other)
    reading(runs)


def test_a_copied_record_is_refused_in_words(runs):
    shutil.copy(runs / "5e1f0a/journal/000003.npz", runs / "5e1f0a/journal/000002.npz")
    with pytest.raises(Damaged) as caught:
        list(Journal(runs / "5e1f0a").blocks())
    assert str(caught.value).startswith(
        f"{runs}/5e1f0a/journal/000002.npz: the record should be that of run 5e1f0a at epoch 2; "
        "found the record of run 5e1f0a at epoch 3; try moving the files back to their places, or deleting"
    )


@pytest.mark.parametrize("part", ["", "journal", "layout.json"])
def test_exchanged_folders_and_layouts_are_refused(runs, part):
    swap(runs / SEEDS[0] / part, runs / SEEDS[1] / part)
    with pytest.raises(Damaged, match=f"{SEEDS[0]}/"):
        assembled(runs)


def test_a_folder_under_another_name_is_refused(runs):
    (runs / SEEDS[0]).rename(runs / "other")
    with pytest.raises(StudyError, match=r"`layout\.json` should be of run other; found that of run 5e1f0a"):
        read_layout(runs / "other")


def test_a_record_without_a_label_is_refused_in_a_run_of_this_release_and_read_in_one_of_an_earlier(
    runs, make_layout, make_record
):
    layout, run = make_layout(), runs / SEEDS[0]
    bare = {**make_record(layout, 2), "status": np.int8(1)}
    np.savez(run / "journal/000002.npz", **{key: bare[key] for key in sorted(bare)})
    with pytest.raises(Damaged, match=r"000002\.npz.*no checksum"):
        list(Journal(run).blocks())
    with pytest.raises(Damaged, match=r"000002\.npz.*no checksum"):
        Journal(run).read_variable("training/loss")
    (run / "layout.json").write_text(layout.to_json())  # it names no cell, as in earlier releases
    expected = np.stack([make_record(layout, epoch)["training/loss"] for epoch in range(5)])
    for _ in range(2):
        assert np.array_equal(Journal(run).read_variable("training/loss")[1], expected)
        collected = {
            e: r for epochs, block in Journal(run).blocks() for e, r in zip(epochs, block["training/loss"], strict=True)
        }
        assert np.array_equal([collected[epoch] for epoch in range(5)], expected)
    shutil.copy(runs / SEEDS[1] / "journal/000003.npz", run / "journal/000003.npz")  # one with a label of another run
    with pytest.raises(Damaged, match=r"000003\.npz"):
        list(Journal(run).blocks())


# One variable over all epochs


def test_a_variable_is_read_over_all_epochs_without_the_rest(runs, make_layout, make_record, monkeypatch):
    layout, journal = make_layout(), Journal(runs / SEEDS[1])
    monkeypatch.setattr("elastic.cube.journal_records._BATCH", 100)
    monkeypatch.setattr(type(journal), "read", None)
    for variable in layout.variables:
        held = [epoch for epoch in range(5) if variable.group == "training" or epoch in (0, 4)]
        expected = np.stack([make_record(layout, epoch, seed=1)[variable.key] for epoch in held])
        epochs, values = journal.read_variable(variable.key)
        assert (epochs, values.dtype) == (held, np.float64)
        assert np.array_equal(values, expected)
    part = journal.read_variable("collapse/class_cosine", (slice(1, 2), slice(None), slice(0, 2)))[1]
    whole = journal.read_variable("collapse/class_cosine")[1]
    assert np.array_equal(part, whole[:, 1:2, :, 0:2])
    assert journal.read_variable("status")[1].tolist() == [1] * 5


def test_no_flipped_bit_of_a_record_is_read_as_another_number_of_a_variable(runs):
    journal = Journal(runs / SEEDS[0])
    keys = journal.keys(probed=True)
    truth, path, draw = {key: journal.read_variable(key) for key in keys}, journal.path(4), random.Random(1)
    whole, collected = path.read_bytes(), []
    for place in range(0, len(whole), 31):
        torn = bytearray(whole)
        torn[place] ^= 1 << draw.randrange(8)
        path.write_bytes(torn)
        for key in keys:
            try:
                epochs, values = Journal(runs / SEEDS[0]).read_variable(key)
            except Damaged as error:
                collected.append(str(error))
            else:
                assert epochs == truth[key][0]
                assert values.tobytes() == truth[key][1].tobytes()
    assert len(collected) > 20
    assert all(message.startswith(str(path)) for message in collected)
