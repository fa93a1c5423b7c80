import io
import pickle
import zipfile

import numpy as np
import pytest
import torch

from elastic.data import arrays as arrays_module
from elastic.data.arrays import arrays
from elastic.errors import DataError

INPUTS = np.arange(12.0).reshape(4, 3)
LABELS = np.array([5, -1, 5, 9])


def read(path):
    return arrays(torch.Generator(), file=str(path))


def save(path, **entries):
    np.savez(path, **entries)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "own.npz"


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("labels", [LABELS, np.array(["dog", "cat", "dog", "zebra"]), LABELS.astype("i1")])
def test_any_labels_become_positions_in_the_classes(path, write, labels):
    write(path, inputs=INPUTS, labels=labels)
    samples = read(path)
    assert [samples.classes[label] for label in samples.labels] == labels.tolist()
    assert samples.labels.dtype == torch.int64
    assert list(samples.classes) == sorted(set(labels.tolist()))
    assert samples.inputs.tolist() == INPUTS.tolist()
    assert samples.is_test is None


def test_test_arrays_are_the_test_part_and_may_bring_classes_of_their_own(path):
    save(path, inputs=INPUTS, labels=LABELS, test_inputs=-INPUTS[:2], test_labels=np.array([9, 11], "u2"))
    samples = read(path)
    assert samples.is_test.tolist() == [False] * 4 + [True] * 2
    assert samples.inputs[4:].tolist() == (-INPUTS[:2]).tolist()
    assert samples.classes == (-1, 5, 9, 11)
    assert samples.labels.tolist() == [1, 0, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("kind", "kept"),
    [("?", "f4"), ("u1", "f4"), ("i2", "f4"), ("f2", "f4"), (">f4", "f4"), ("i4", "f8"), ("i8", "f8"), (">f8", "f8")],
)
def test_inputs_keep_their_values_in_the_smallest_floating_type(path, kind, kept):
    inputs = np.array([[0, 1], [1, 1]]).astype(kind)
    samples = read(save(path, inputs=inputs, labels=LABELS[:2]))
    assert samples.inputs.numpy().dtype == np.dtype(kept)
    assert samples.inputs.tolist() == inputs.astype(float).tolist()


def with_nan(value):
    inputs = INPUTS.copy()
    inputs[2, 1] = value
    return inputs


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"inputs": INPUTS}, r"`labels\.npy` .* be in the file"),
        ({"labels": LABELS}, r"`inputs\.npy` .* be in the file"),
        ({}, "found only nothing"),
        ({"inputs": INPUTS, "labels": LABELS, "label": LABELS}, r"`label\.npy` .* be one of"),
        ({"inputs": INPUTS, "labels": LABELS, "test_inputs": INPUTS}, r"`test_labels\.npy`"),
        ({"inputs": INPUTS, "labels": LABELS, "test_labels": LABELS}, r"`test_inputs\.npy`"),
        ({"inputs": INPUTS, "labels": LABELS[:3]}, r"`labels` .* be 4 integers .* shape \(3,\)"),
        ({"inputs": INPUTS, "labels": LABELS[:, None]}, r"shape \(4, 1\)"),
        ({"inputs": INPUTS, "labels": LABELS.astype(float)}, "`labels` .* found float64"),
        ({"inputs": INPUTS, "labels": LABELS > 0}, "`labels` .* found bool"),
        ({"inputs": INPUTS, "labels": LABELS.astype("u8")}, "`labels` .* found uint64"),
        ({"inputs": INPUTS[:, 0], "labels": LABELS}, r"`inputs` .* shape \(4,\)"),
        ({"inputs": INPUTS[:0], "labels": LABELS[:0]}, r"`inputs` .* shape \(0, 3\)"),
        ({"inputs": INPUTS + 0j, "labels": LABELS}, "`inputs` .* found complex128"),
        ({"inputs": INPUTS.astype(str), "labels": LABELS}, "`inputs` .* found <U"),
        ({"inputs": with_nan(np.nan), "labels": LABELS}, "be finite; found 1 entries"),
        ({"inputs": with_nan(-np.inf), "labels": LABELS}, "be finite; found 1 entries"),
        ({"inputs": INPUTS, "labels": LABELS, "test_inputs": INPUTS[:, :2], "test_labels": LABELS}, "another shape"),
        ({"inputs": INPUTS, "labels": LABELS, "test_inputs": INPUTS, "test_labels": LABELS.astype(str)}, "another"),
        ({"inputs": INPUTS, "labels": LABELS, "test_inputs": with_nan(np.nan), "test_labels": LABELS}, "`test_inputs`"),
    ],
)
def test_unfit_arrays_are_refused_by_name(path, entries, message):
    with pytest.raises(DataError, match=message) as caught:
        read(save(path, **entries))
    assert path.name in str(caught.value)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickled object was loaded",))


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def archive(path, **members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def test_pickled_objects_are_refused_and_not_loaded(path):
    with pytest.raises(DataError, match="allow_pickle"):
        read(archive(path, inputs=npy(INPUTS), labels=npy(np.array([Trap()] * 4, dtype=object))))
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match=r"readable \.npz"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"text"])
def test_files_that_are_no_archive_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"own\.npz` should be a readable \.npz file"):
        read(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path / "missing.npz", tmp_path):
        with pytest.raises(DataError, match=path.name):
            read(path)


@pytest.mark.parametrize("cut", [lambda b: b[: len(b) - 8], lambda b: b[:30], lambda b: b"junk"])
def test_members_that_are_no_arrays_are_refused(path, cut):
    with pytest.raises(DataError):
        read(archive(path, inputs=cut(npy(INPUTS)), labels=npy(LABELS)))


def test_an_archive_with_a_flipped_byte_is_refused(path):
    save(path, inputs=INPUTS, labels=LABELS)
    content = bytearray(path.read_bytes())
    content[content.index(INPUTS.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        read(path)


def test_arrays_beyond_the_limit_are_refused_before_reading(path, monkeypatch):
    save(path, inputs=INPUTS, labels=LABELS)
    monkeypatch.setattr(arrays_module, "MOST_BYTES", 100)
    monkeypatch.setattr(np, "load", lambda *args, **options: pytest.fail("the file was read"))
    with pytest.raises(DataError, match="take at most 100 bytes"):
        read(path)
