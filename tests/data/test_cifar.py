"""CIFAR's pickles: read as the authors wrote them, and never run."""

import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from elastic.data.cifar import cifar10, cifar100
from elastic.data.safe_pickle import read_plain_pickle
from elastic.errors import DataError

RNG = np.random.default_rng(0)
NAMES10 = [f"class {k}" for k in range(10)]


class Python2(pickle._Pickler):
    """Writes strings and bytes as Python 2 did: as byte strings without an encoding."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_text(self, value):
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)

    dispatch[str] = save_text
    dispatch[bytes] = save_text


def write(path, content, *, python2=True):
    with path.open("wb") as file:
        (Python2 if python2 else pickle.Pickler)(file, protocol=2).dump(content)


def batch(n, key="labels", classes=10):
    return {"data": RNG.integers(0, 256, (n, 3072), dtype=np.uint8), key: [int(k) for k in RNG.integers(0, classes, n)]}


@pytest.fixture(params=[True, False], ids=["python 2", "python 3"])
def ten(request, tmp_path):
    parts = {**{f"data_batch_{i}": batch(4) for i in range(1, 6)}, "test_batch": batch(3)}
    for name, content in parts.items():
        write(tmp_path / name, content, python2=request.param)
    write(tmp_path / "batches.meta", {"label_names": NAMES10}, python2=request.param)
    return tmp_path, parts


def test_cifar10_gives_the_images_and_labels_of_its_files_in_order(ten):
    folder, parts = ten
    samples = cifar10(torch.Generator(), folder=str(folder))
    assert samples.inputs.shape == (23, 3, 32, 32)
    assert samples.classes == tuple(NAMES10)
    assert samples.is_test.tolist() == [False] * 20 + [True] * 3
    assert samples.labels.tolist() == [label for part in parts.values() for label in part["labels"]]
    third = parts["data_batch_1"]["data"][2]
    assert samples.inputs[2, 1, 5, 7] == third[1024 + 5 * 32 + 7]  # green, row 5, column 7


@pytest.mark.parametrize(("labels", "count"), [("fine", 100), ("coarse", 20)])
def test_cifar100_has_fine_and_coarse_labels(tmp_path, labels, count):
    parts = {name: batch(n, "fine_labels", 100) | {"coarse_labels": [3] * n} for name, n in (("train", 9), ("test", 2))}
    for name, content in parts.items():
        write(tmp_path / name, content)
    names = {"fine_label_names": [f"f{k}" for k in range(100)], "coarse_label_names": [f"c{k}" for k in range(20)]}
    write(tmp_path / "meta", names)
    samples = cifar100(torch.Generator(), folder=str(tmp_path), labels=labels)
    assert len(samples.classes) == count
    assert samples.labels[:9].tolist() == parts["train"][f"{labels}_labels"]


class Hostile:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def touch(path):
    Path(path).touch()


@pytest.mark.parametrize("call", [touch, eval, np.load, getattr])
def test_a_pickle_that_asks_for_code_is_refused_and_not_run(tmp_path, call):
    mark = tmp_path / "ran"
    arguments = {touch: (str(mark),), eval: (f"open({str(mark)!r}, 'w')",), np.load: (str(mark),), getattr: ([], "x")}
    (tmp_path / "file").write_bytes(pickle.dumps({"data": Hostile(call, *arguments[call])}, protocol=2))
    with pytest.raises(DataError, match=r"plain data; found code: "):
        read_plain_pickle(tmp_path / "file")
    assert not mark.exists()


@pytest.mark.parametrize("dtype", [object, "U3", "S3", "datetime64[s]", [("a", "i4")]])
def test_arrays_of_anything_but_numbers_are_refused(tmp_path, dtype):
    (tmp_path / "file").write_bytes(pickle.dumps({"data": np.zeros(2, dtype)}, protocol=2))
    with pytest.raises(DataError, match="plain data"):
        read_plain_pickle(tmp_path / "file")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(12).reshape(3, 4)[:, ::2],
        np.arange(4, dtype=">i2"),
        np.array([True, False]),
        np.zeros((0, 3072), np.uint8),
        np.array(2.5),
        np.frombuffer(b"read only", np.uint8),
    ],
    ids=["rows", "columns", "permuted", "turned", "sliced", "big-endian", "bool", "empty", "one", "read-only"],
)
@pytest.mark.parametrize("numpy", ["numpy._core.", "numpy.core."], ids=["numpy 2", "numpy 1"])
@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_of_numbers_come_back_as_they_were(tmp_path, array, protocol, numpy):
    (tmp_path / "file").write_bytes(renamed(pickle.dumps({"a": array}, protocol=protocol), numpy))
    result = read_plain_pickle(tmp_path / "file")["a"]
    assert result.dtype == array.dtype
    assert result.shape == array.shape
    np.testing.assert_array_equal(result, array)


def renamed(content, package):
    """Return a pickle with NumPy's modules under the names of another version, each told with its length."""
    for module in (b"multiarray", b"numeric"):
        for text in (b"c%s\n", b"\x8c%c%s"):
            old, new = (prefix + module for prefix in (b"numpy._core.", package.encode()))
            spelled = [text % name if text.startswith(b"c") else text % (len(name), name) for name in (old, new)]
            content = content.replace(*spelled)
    return content.replace(b"\x95" + content[3:11], b"\x95" + (len(content) - 11).to_bytes(8, "little"))


def test_cifar_is_read_from_pickles_of_protocol_5(ten):
    folder, parts = ten
    expected = cifar10(torch.Generator(), folder=str(folder))
    for name, content in parts.items():
        part = {**content, "data": np.asfortranarray(content["data"]) if "2" in name else content["data"]}
        (folder / name).write_bytes(pickle.dumps(part, protocol=5))
    result = cifar10(torch.Generator(), folder=str(folder))
    assert torch.equal(result.inputs, expected.inputs)
    assert torch.equal(result.labels, expected.labels)


@pytest.mark.parametrize(
    "arguments",
    [
        (b"ab", np.dtype("O"), (2,), "C"), (b"ab", np.dtype("S1"), (2,), "C"), (b"abc", np.dtype("u1"), (2,), "C"),
        ("ab", np.dtype("u1"), (2,), "C"), (b"ab", "u1", (2,), "C"), (b"ab", np.dtype("u1"), (2,), "K", (1, 0)),
        (b"ab", np.dtype([("a", "u1")]), (2,), "C"), ([1, 2], np.dtype("u1"), (2,), "C"),
    ],
)  # fmt: skip
def test_a_buffer_of_anything_but_numbers_is_refused(tmp_path, arguments):
    call = np.zeros(1).__reduce_ex__(5)[0]
    (tmp_path / "file").write_bytes(pickle.dumps({"data": Hostile(call, *arguments)}, protocol=5))
    with pytest.raises(DataError, match="plain data"):
        read_plain_pickle(tmp_path / "file")


def test_bytes_outside_the_file_are_refused(tmp_path):
    content = pickle.dumps({"data": np.zeros(3)}, protocol=5, buffer_callback=lambda buffer: None)
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match="out-of-band"):
        read_plain_pickle(tmp_path / "file")


def test_damage_is_told_with_the_file(ten):
    folder, parts = ten
    path = folder / "data_batch_3"
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"\x80\x02", b"garbage" * 50, pickle.dumps([1], protocol=2)):
        path.write_bytes(content)
        with pytest.raises(DataError, match="data_batch_3"):
            cifar10(torch.Generator(), folder=str(folder))
    for wrong in (
        {"data": parts["test_batch"]["data"]},
        {**batch(4), "labels": [1]},
        {**batch(4), "data": np.zeros((4, 3000), np.uint8)},
        {**batch(4), "data": np.zeros((4, 3072), np.float32)},
        {**batch(2), "labels": [3, -1]},
    ):
        write(path, wrong)
        with pytest.raises(DataError, match="data_batch_3"):
            cifar10(torch.Generator(), folder=str(folder))
    write(path, {**batch(1), "labels": [10]})
    with pytest.raises(DataError, match="be below 10"):
        cifar10(torch.Generator(), folder=str(folder))
    path.unlink()
    with pytest.raises(DataError, match=r"hold data_batch_3; found no such file; try `data\.folder`"):
        cifar10(torch.Generator(), folder=str(folder))
