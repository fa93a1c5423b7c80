"""Every changed, missing or added byte of a file with a checksum is noticed; files of earlier releases are read."""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elastic.cube.checked_files import (
    Condition,
    check_archive,
    check_json,
    decode_json,
    encode_json,
    read_json,
    write_json,
)
from elastic.cube.labels import Label, has_checksum, labelled, read_label
from elastic.errors import Damaged

FACTS = {"status": "done", "epochs": 6, "seconds": {"training": 0.25}, "names": ["ä", ""], "sha": "ab" * 32}
LABEL = Label("record", "716b2a1a3cd00b05", 17)


def npz():
    np.savez(buffer := io.BytesIO(), **{"training/loss": np.arange(3.0), "status": np.int8(1)})
    return buffer.getvalue()


def pt():
    torch.save({"cell": "a", "state": {"weight": torch.arange(4.0)}}, buffer := io.BytesIO())
    return buffer.getvalue()


def damaged(data, draw):
    """Return the data with one fault: flipped bits, a part overwritten, cut off, removed, doubled or added."""
    place, length = draw.randrange(len(data)), draw.randint(1, 40)
    other = {
        "flip": lambda: data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :],
        "overwrite": lambda: data[:place] + draw.randbytes(length) + data[place + length :],
        "zeros": lambda: data[:place] + bytes(min(length, len(data) - place)) + data[place + length :],
        "truncate": lambda: data[:place],
        "remove": lambda: data[:place] + data[place + length :],
        "double": lambda: data[: place + length] + data[place:],
        "append": lambda: data + draw.randbytes(length),
        "prepend": lambda: draw.randbytes(length) + data,
        "newline": lambda: data + b"\n",
        "crlf": lambda: data.replace(b"\n", b"\r\n"),
    }
    result = other[draw.choice(sorted(other))]()
    return result if result != data else data[:-1]


FILES = {
    "record": (labelled(npz(), LABEL), check_archive),
    "checkpoint": (labelled(pt(), Label("checkpoint", "716b2a1a3cd00b05", 3)), check_archive),
    "json": (encode_json(FACTS), check_json),
}


@pytest.mark.parametrize("kind", FILES)
def test_any_fault_of_a_file_is_noticed(tmp_path, kind):
    data, check = FILES[kind]
    path = tmp_path / "file"
    path.write_bytes(data)
    assert check(path).condition is Condition.INTACT
    draw = random.Random(0)
    for _ in range(1000):
        path.write_bytes(fault := damaged(data, draw))
        assert check(path).condition is Condition.DAMAGED, fault


@pytest.mark.parametrize("kind", FILES)
def test_every_flipped_bit_and_every_shorter_length_is_noticed(tmp_path, kind):
    data, check = FILES[kind]
    path = tmp_path / "file"
    for bit in range(0, 8 * len(data), 3):
        torn = bytearray(data)
        torn[bit // 8] ^= 1 << bit % 8
        path.write_bytes(torn)
        assert check(path).condition is Condition.DAMAGED, bit
    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert check(path).condition is Condition.DAMAGED, length


def test_the_checksum_is_that_of_all_bytes_before_it():
    data, _ = FILES["record"]
    assert data[-64:].decode() == hashlib.sha256(data[:-64]).hexdigest()
    assert zipfile.ZipFile(io.BytesIO(data)).comment == (
        b"elastic record of run 716b2a1a3cd00b05 at epoch 17, sha256 " + data[-64:]
    )


def test_numpy_and_torch_read_labelled_archives_as_they_are(tmp_path):
    for kind in ("record", "checkpoint"):
        (tmp_path / kind).write_bytes(FILES[kind][0])
    with np.load(tmp_path / "record", allow_pickle=False) as result:
        assert result["training/loss"].tolist() == [0, 1, 2]
    assert torch.load(tmp_path / "checkpoint", weights_only=True)["state"]["weight"].tolist() == [0, 1, 2, 3]


def test_a_checkpoint_of_the_release_before_is_intact_and_damage_of_it_is_noticed(tmp_path):
    data = pt()
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(data + hashlib.sha256(data).hexdigest().encode())
    result = check_archive(path)
    assert (result.condition, result.label) == (Condition.INTACT, None)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert str(check_archive(path)) == "damaged: a wrong checksum"


def test_a_record_of_an_earlier_release_is_not_checkable(tmp_path):
    (tmp_path / "000000.npz").write_bytes(npz())
    assert not has_checksum(npz())
    assert str(check_archive(tmp_path / "000000.npz")) == "not checkable (written by an earlier release)"


@given(st.sampled_from(["record", "checkpoint"]), st.text(min_size=1, max_size=20), st.floats(0, allow_nan=False))
def test_labels_come_back_as_they_were_given(kind, cell, epoch):
    for label in (Label(kind, cell, epoch), Label(kind, cell, int(min(epoch, 2**53))), Label("journal", cell)):
        data = labelled(npz(), label)
        assert has_checksum(data)
        assert read_label(data) == label
        assert type(read_label(data).epoch) is type(label.epoch)


VALUES = st.none() | st.booleans() | st.integers() | st.text()


@given(st.dictionaries(st.text(max_size=5), st.recursive(VALUES, lambda inner: st.lists(inner), max_leaves=5)))
def test_facts_come_back_as_they_were_given(facts):
    assert decode_json(encode_json(facts)) == (facts, True)
    assert decode_json(json.dumps(facts).encode()) == (facts, False)
    assert json.loads(encode_json(facts)).items() >= facts.items()


def test_a_layout_of_the_release_before_is_checked_by_its_sorted_keys():
    facts = {"epochs": 6, "probed": [0, 6]}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    text = json.dumps({**facts, "sha256": digest}, indent=1, sort_keys=True).encode()
    assert decode_json(text) == (facts, True)
    with pytest.raises(ValueError, match="checksum"):
        decode_json(text.replace(b"6", b"7", 1))


def test_json_without_a_checksum_is_refused_where_one_is_due(tmp_path):
    (tmp_path / "status.json").write_text('{"status": "done"}')
    assert read_json(tmp_path / "status.json", "…") == {"status": "done"}
    with pytest.raises(Damaged, match=r"`status\.json` should be as it was written; found no checksum; try this"):
        read_json(tmp_path / "status.json", "this", checked=True)
    assert read_json(tmp_path / "absent.json", "…", checked=True) is None


def test_what_is_written_is_read(tmp_path):
    write_json(tmp_path / "a.json", FACTS)
    assert read_json(tmp_path / "a.json", "…", checked=True) == FACTS
    assert check_json(tmp_path / "a.json").condition is Condition.INTACT
    with pytest.raises(ValueError, match="'sha256' is the checksum's own"):
        write_json(tmp_path / "a.json", {"sha256": ""})
