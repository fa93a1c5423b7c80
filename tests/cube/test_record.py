from __future__ import annotations

import io
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from elastic.cube.record import decode, encode
from elastic.cube.record_table import RecordTable

SAMPLE = {"training/loss": np.array([1.5, np.nan]), "collapse/nc1": np.arange(6.0).reshape(2, 3), "status": np.int8(1)}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k], equal_nan=True) for k in one)


def test_the_same_arrays_give_the_same_bytes_at_any_time_and_in_any_order(monkeypatch):
    before = encode(SAMPLE)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2_000_000_000))
    assert encode(dict(reversed(SAMPLE.items()))) == before


def test_numpy_reads_a_record_by_itself():
    with np.load(io.BytesIO(encode(SAMPLE)), allow_pickle=False) as read:
        assert same(dict(read), SAMPLE)


def test_no_flipped_bit_gives_other_numbers():
    data, table = encode(SAMPLE), RecordTable(SAMPLE)
    caught = 0
    for bit in range(8 * len(data)):
        torn = bytearray(data)
        torn[bit // 8] ^= 1 << bit % 8
        assert table.cast([data, bytes(torn)]) is None
        if bit % 7 == 0:  # slower: every seventh bit hits every byte of the heads, the numbers and the directory
            try:
                read = decode(bytes(torn))
            except ValueError:
                caught += 1
            else:
                assert read.keys() != SAMPLE.keys() or same(read, SAMPLE)
    assert caught > len(SAMPLE["collapse/nc1"].tobytes())


def test_a_large_array_is_checked_to_its_end_even_where_a_damaged_head_asks_for_less():
    data = encode({"a": np.arange(3000.0).reshape(3, 1000)})
    assert data.count(b"(3, 1000)") == 1
    with pytest.raises(ValueError, match=r"checksum|CRC"):
        decode(data.replace(b"(3, 1000)", b"(1, 1000)"))


def test_no_torn_record_is_read():
    data = encode(SAMPLE)
    for length in range(0, len(data), 5):
        with pytest.raises(ValueError, match=r"."):
            decode(data[:length])
        assert RecordTable(SAMPLE).cast([data[:length]]) is None


def test_pickled_objects_are_neither_written_nor_read():
    with pytest.raises(ValueError, match="pickle"):
        encode({"a": np.array([{}], dtype=object)})
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        decode(buffer.getvalue())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_many_records_at_once_read_as_each_by_itself(data):
    shapes = data.draw(st.dictionaries(st.text("abcñ/_", min_size=1, max_size=8), arrays.array_shapes(min_dims=0)))
    dtypes = {key: data.draw(st.sampled_from(["<f8", "<f4", "<f2", "|i1"])) for key in shapes}
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    records = [
        {key: np.asarray(generator.normal(size=shape) * 99).astype(dtypes[key]) for key, shape in shapes.items()}
        for _ in range(data.draw(st.integers(1, 4)))
    ]
    read = RecordTable({key: np.zeros(shape, dtypes[key]) for key, shape in shapes.items()}).cast(
        [encode(record) for record in records]
    )
    assert read is not None
    assert same(read, {key: np.stack([decode(encode(r))[key] for r in records]) for key in shapes})


def test_records_of_other_shapes_types_or_names_do_not_fit():
    table = RecordTable({"a": np.zeros((2, 3))})
    assert table.cast([encode({"a": np.ones((2, 3))})]) is not None
    for other in ({"a": np.ones((3, 2))}, {"a": np.ones((2, 3), "<i8")}, {"b": np.ones((2, 3))}):
        assert table.cast([encode(other)]) is None
