"""Files that a reader would wait for, read without end, or hash for ever: refused before they are read."""

from __future__ import annotations

import io
import os
import pickle
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support import processes

import elastic
from elastic.data.contract import Samples
from elastic.data.preparation import prepare
from elastic.data.safe_pickle import read_plain_pickle
from elastic.errors import DataError
from elastic.registry import registry

ROOT = Path(elastic.__file__).parents[1]

READ = """
import sys
from pathlib import Path
from elastic.data.safe_pickle import read_plain_pickle
from elastic.errors import DataError
try:
    read_plain_pickle(Path(sys.argv[1]))
except DataError as error:
    print(error)
"""


def fifo(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def folder(path):
    path.mkdir()


def server(path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


SPECIAL = {fifo: "a pipe", device: "a device", folder: "a folder", server: "a socket"}


@pytest.mark.parametrize("make", SPECIAL, ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    ("data", "option", "name"),
    [
        ("arrays", "file", "own.npz"),
        ("cifar10", "folder", "data_batch_1"),
        ("cifar100", "folder", "train"),
        ("idx", "folder", "train-images-idx3-ubyte"),
        ("idx", "folder", "train-images-idx3-ubyte.gz"),
        ("fashion_mnist", "folder", "train-images-idx3-ubyte"),
    ],
)
def test_what_is_no_ordinary_file_is_refused_unopened(tmp_path, monkeypatch, make, data, option, name):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make(Path(name))
    Path("train-labels-idx1-ubyte").touch()  # both files of a part are found before one is read
    given = str(tmp_path / name) if option == "file" else str(tmp_path)
    with processes.time_limit(), pytest.raises(DataError, match=f"should be an ordinary file; found {SPECIAL[make]}"):
        prepare(data, {option: given})


TUPLES = [pickle.EMPTY_TUPLE + pickle.TUPLE1 * 200_000, pickle.EMPTY_TUPLE + (pickle.DUP + pickle.TUPLE2) * 100]


@pytest.mark.parametrize("key", TUPLES, ids=["deep", "wide"])
@pytest.mark.parametrize(
    "around",
    [
        lambda key: pickle.EMPTY_DICT + key + pickle.NONE + pickle.SETITEM,
        lambda key: pickle.EMPTY_DICT + pickle.MARK + key + pickle.NONE + pickle.SETITEMS,
        lambda key: pickle.MARK + key + pickle.NONE + pickle.DICT,
        lambda key: pickle.EMPTY_SET + pickle.MARK + key + pickle.ADDITEMS,
        lambda key: pickle.MARK + key + pickle.FROZENSET,
    ],
    ids=["item", "items", "dictionary", "set", "frozenset"],
)
def test_a_pickle_whose_keys_are_nested_tuples_is_refused_and_ends_no_process(tmp_path, key, around):
    (tmp_path / "file").write_bytes(pickle.PROTO + b"\x04" + around(key) + pickle.STOP)
    done = processes.run([sys.executable, "-c", READ, tmp_path / "file"], cwd=ROOT, check=True)
    assert "should be a pickle of plain data; found a " in done.stdout


@pytest.mark.parametrize("key", [(1, 2), 3, None, 1.5, True, 10**5000, frozenset("a")], ids=type)
def test_keys_of_a_pickle_are_texts(tmp_path, key):
    (tmp_path / "file").write_bytes(pickle.dumps({"data": [], key: 1}))
    with pytest.raises(DataError, match="should be a pickle of plain data; found a "):
        read_plain_pickle(tmp_path / "file")


def test_a_pickle_gives_a_state_to_arrays_alone(tmp_path):
    # BUILD on a function or class would change it for the whole process.
    state = b"}" + pickle.BINUNICODE + (3).to_bytes(4, "little") + b"new" + pickle.NONE + pickle.SETITEM
    for name in (b"c_codecs\nencode\n", b"cnumpy\ndtype\n"):
        (tmp_path / "file").write_bytes(pickle.PROTO + b"\x02" + name + state + pickle.BUILD + pickle.STOP)
        with pytest.raises(DataError, match="a state of something else"):
            read_plain_pickle(tmp_path / "file")


def test_a_pickle_that_announces_more_than_it_holds_takes_no_memory(tmp_path):
    content = pickle.PROTO + b"\x04" + pickle.BINBYTES8 + (2**40).to_bytes(8, "little") + b"abc"
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match="plain data"):
        read_plain_pickle(tmp_path / "file")


def cifar(folder, labels):
    part = {"data": np.zeros((2, 3072), np.uint8), "labels": labels}
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        (folder / name).write_bytes(pickle.dumps(part))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a", "b"]}))


@pytest.mark.parametrize(
    "labels", [[True, False], [0, True], [0, 1.0], [0, 10**30], [0, "1"], [0, -1], [0, None], (0, 1)]
)
def test_labels_of_cifar_are_integers(tmp_path, labels):
    cifar(tmp_path, labels)
    with pytest.raises(DataError, match="hold labels as a list of integers from 0"):
        prepare("cifar10", {"folder": str(tmp_path)})


@pytest.mark.parametrize("labels", [[True, False], [1.0, 2.0], ["2001-01-01", "2001-01-02"], [1j, 2j]])
@pytest.mark.parametrize("dtype", [None, "datetime64[D]", object])
def test_labels_of_arrays_are_integers_or_texts(tmp_path, labels, dtype):
    try:
        labels = np.array(labels * 5, dtype)
    except (ValueError, TypeError):
        pytest.skip("no such array")
    if labels.dtype.kind == "U":
        pytest.skip("texts are labels")
    np.savez(tmp_path / "own.npz", inputs=np.zeros((10, 2)), labels=labels)
    with pytest.raises(DataError):
        prepare("arrays", {"file": str(tmp_path / "own.npz")})


@pytest.fixture
def registered(monkeypatch):
    data = registry("data")
    data.names()
    monkeypatch.setattr(data, "_entries", dict(data._entries))

    def register(samples):
        data.register("for_the_test")(lambda generator: samples)

    return register


def samples(labels=(0, 1) * 5, classes=("a", "b"), dtype=torch.int64):
    return Samples(torch.rand(10, 2), torch.tensor(labels, dtype=dtype), classes)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (samples(classes=("a", "\ud800")), "be of printable characters"),
        (samples(classes=("a", "b\0")), "be of printable characters"),
        (samples(classes=("a", True)), "be a text or an integer; found True"),
        (samples(classes=("a", b"b")), "be a text or an integer"),
        (samples(classes=("1", 1)), "have different names"),
        (samples(dtype=torch.bool), "be integers"),
        (samples(dtype=torch.int32), "be integers"),
        (samples(labels=(0, 2) * 5), "be 0 to 1; found 0 to 2"),
        (samples(labels=(0, -1) * 5), "be 0 to 1; found -1 to 0"),
    ],
)
def test_labels_and_names_of_any_data_set_are_checked(registered, wrong, text):
    registered(wrong)
    with pytest.raises(DataError, match=text):
        prepare("for_the_test", {})


def test_a_lone_surrogate_in_labels_of_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "own.npz", inputs=np.zeros((10, 2)), labels=np.array(["a", "\ud800"] * 5))
    with pytest.raises(DataError, match="be of printable characters"):
        prepare("arrays", {"file": str(tmp_path / "own.npz")})


def test_a_code_point_beyond_unicode_in_labels_of_arrays_is_refused(tmp_path):
    labels = np.array(["a", "b"] * 5)
    labels.view(np.uint32)[1] = 0x110000
    content = io.BytesIO()
    np.savez(content, inputs=np.zeros((10, 2)), labels=labels)
    (tmp_path / "own.npz").write_bytes(content.getvalue())
    with pytest.raises(DataError):
        prepare("arrays", {"file": str(tmp_path / "own.npz")})
