import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from elastic.data import idx_file
from elastic.data.fashion_mnist import DEBIAN_FOLDER, fashion_mnist
from elastic.data.idx import idx
from elastic.data.idx_file import read_idx
from elastic.errors import DataError

IMAGES = np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4)
LABELS = np.array([7, 2, 9, 2, 7], dtype=np.uint8)
NAMES = [f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]


def packed(array):
    """Bytes of an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(path, content):
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture(params=["", ".gz"])
def folder(request, tmp_path):
    for name, array in zip(NAMES, [IMAGES, LABELS, 100 + IMAGES[:2], LABELS[:2]], strict=True):
        write(tmp_path / (name + request.param), packed(array))
    return tmp_path


def files(folder):
    return sorted(folder.iterdir())


def read(folder):
    return idx(torch.Generator(), folder=str(folder))


def test_a_folder_gives_images_with_one_channel_and_the_split_of_its_files(folder):
    samples = read(folder)
    assert samples.inputs.shape == (7, 1, 3, 4)
    assert samples.inputs.dtype == torch.float32
    assert samples.inputs[:5, 0].tolist() == IMAGES.tolist()
    assert samples.inputs[5:, 0].tolist() == (100 + IMAGES[:2]).tolist()
    assert samples.is_test.tolist() == [False] * 5 + [True] * 2


def test_labels_are_positions_in_the_classes_whatever_their_numbers(folder):
    samples = read(folder)
    assert samples.classes == (2, 7, 9)
    assert [samples.classes[label] for label in samples.labels] == [7, 2, 9, 2, 7, 7, 2]


def test_the_plain_file_is_read_where_both_exist(tmp_path):
    write(tmp_path / NAMES[1], packed(LABELS))
    assert read_idx(tmp_path / NAMES[1], 1).tolist() == LABELS.tolist()
    for name, array in zip(NAMES, [IMAGES, LABELS, IMAGES, LABELS], strict=True):
        write(tmp_path / name, packed(array))
        write(tmp_path / f"{name}.gz", b"not read")
    assert len(read(tmp_path)) == 10


@pytest.mark.parametrize("position", range(4))
def test_a_missing_file_is_named(folder, position):
    path = files(folder)[position]
    path.unlink()
    with pytest.raises(DataError, match=path.name.removesuffix(".gz")):
        read(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "header announces; found only"),
        (lambda content: content + b"\0", "header announces; found more"),
        (lambda content: content[:6], "have a header of"),
        (lambda content: b"", "found an empty file"),
        (lambda content: b"\x89PNG" + content[4:], "begin with 00 00 08"),
        (lambda content: content[:2] + b"\x0d" + content[3:], "begin with 00 00 08"),
        (lambda content: content[:4] + b"\0\0\0\0" + content[8:], "entries; found sizes"),
        (lambda content: content[:4] + b"\xff\xff\xff\xff" + content[8:], "entries; found sizes|found only"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(folder, position, damage, message):
    path = files(folder)[position]
    content = path.read_bytes()
    write(path, damage(gzip.decompress(content) if path.suffix == ".gz" else content))
    with pytest.raises(DataError, match=message) as caught:
        read(folder)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:20], lambda b: b[:-4], lambda b: b[:12] + b"\xff\xff" + b[14:], lambda b: b[2:]]
)
def test_a_damaged_gzip_is_named(tmp_path, damage):
    path = tmp_path / "x.gz"
    noise = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8)
    path.write_bytes(damage(gzip.compress(packed(noise))))
    with pytest.raises(DataError, match=r"x\.gz"):
        read_idx(path, 3)


def test_swapped_files_are_refused(folder):
    images, labels = files(folder)[2:]
    content = images.read_bytes()
    images.write_bytes(labels.read_bytes())
    labels.write_bytes(content)
    with pytest.raises(DataError, match=r"images-.* begin with 00 00 08 03 .*images.*; found 00 00 08 01"):
        read(folder)


def test_images_and_labels_must_be_as_many(folder):
    path = files(folder)[3]
    write(path, packed(LABELS[:4]))
    with pytest.raises(DataError, match=r"each of the 5 images .*; found 4 labels"):
        read(folder)


def test_train_and_test_images_must_have_one_size(folder):
    write(files(folder)[0], packed(IMAGES[:2, :2]))
    with pytest.raises(DataError, match=r"one size; found \(3, 4\) and \(2, 4\)"):
        read(folder)


def test_a_bomb_is_not_unpacked_beyond_what_its_header_announces(tmp_path, monkeypatch):
    asked = []

    class Watched(gzip.GzipFile):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    monkeypatch.setattr(idx_file.gzip, "open", Watched)
    path = tmp_path / "bomb.gz"
    write(path, packed(LABELS) + bytes(10_000_000))
    with pytest.raises(DataError, match="found more"):
        read_idx(path, 1)
    assert asked
    assert all(0 <= size <= 6 for size in asked)


def test_a_header_beyond_the_limit_is_refused_before_reading(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**16, 2**10, 2**5))
    with pytest.raises(DataError, match="announce 1 to"):
        read_idx(path, 3)


@pytest.mark.skipif(not Path(DEBIAN_FOLDER).is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_fashion_mnist_is_what_its_authors_describe():
    samples = fashion_mnist(torch.Generator())
    assert samples.inputs.shape == (70_000, 1, 28, 28)
    assert samples.classes == tuple(range(10))
    assert torch.bincount(samples.labels[~samples.is_test]).tolist() == [6_000] * 10
    assert torch.bincount(samples.labels[samples.is_test]).tolist() == [1_000] * 10
    assert samples.is_test.sum() == 10_000
    # Mean and standard deviation that are usual for this data set, in units of 255.
    train = samples.inputs[~samples.is_test] / 255
    assert train.mean().item() == pytest.approx(0.2860, abs=1e-4)
    assert train.std().item() == pytest.approx(0.3530, abs=1e-4)


def test_a_missing_fashion_mnist_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        fashion_mnist(torch.Generator(), folder=str(tmp_path))
