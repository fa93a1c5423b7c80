from __future__ import annotations

from elastic.cube import RESERVED, Status
from elastic.cube.names import COORDINATES, STATUS_ATTRS, UNDECLARED


def test_a_chunk_of_zeros_reads_as_missing():
    # What was never written must not look done: zero is what memory and stores hold by default.
    assert Status.MISSING == 0


def test_every_dim_of_every_group_is_explained_and_reserved():
    for dims in UNDECLARED.values():
        for dim in dims:
            assert dim in RESERVED
            assert COORDINATES.get(dim.removeprefix("stepped_")), dim


def test_the_flags_name_every_state():
    meanings = dict(zip(STATUS_ATTRS["flag_values"], STATUS_ATTRS["flag_meanings"].split(), strict=True))
    assert meanings == {state.value: state.name.lower() for state in Status}
