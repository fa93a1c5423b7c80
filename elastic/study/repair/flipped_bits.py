"""Single flipped bits in small files, found by trying all: the checksum identifies the right one."""

from __future__ import annotations

import hashlib

from elastic.cube.labels import DIGITS

#: Largest size of files to try: a few seconds.
LIMIT = 24 * 2**10

#: What follows the digits of the checksum in a JSON file (`elastic.cube.checked_files`).
_END_OF_JSON = b'"\n}\n'


def restored(data: bytes, digest: str | None = None) -> tuple[bytes, int] | None:
    """Return a file without its one flipped bit, and the byte that had it; None if that does not explain the damage.

    Parameters
    ----------
    data
        The file as it is.
    digest
        Expected SHA-256. By default the one that the file contains, as archives and JSON files of elastic do.

    Examples
    --------
    >>> digest = hashlib.sha256(b"abc").hexdigest()
    >>> restored(b"abb", digest), restored(b"xyz", digest)
    ((b'abc', 2), None)
    """
    if len(data) > LIMIT:
        return None
    if digest is not None:
        return _tried(data, b"", digest.encode())
    for end in (b"", _END_OF_JSON):
        start = len(data) - len(end) - DIGITS
        if start > 0 and data.endswith(end) and (of_own := _of_own(data[:start], data[start : start + DIGITS], end)):
            return of_own
    # The bit may be one of the bytes after the digits.
    start = len(data) - len(_END_OF_JSON) - DIGITS
    whole = data[: start + DIGITS] + _END_OF_JSON
    if start > 0 and _differing_bits(data, whole) == 1 and _is_own(whole[:start], whole[start:-4], _END_OF_JSON):
        return whole, next(place for place in range(len(data)) if data[place] != whole[place])
    return None


def is_whole(data: bytes) -> bool:
    """Return whether a file matches its own checksum: then it is intact, if perhaps in another place.

    >>> is_whole(b"abc" + hashlib.sha256(b"abc").hexdigest().encode()), is_whole(b"abc")
    (True, False)
    """
    start = len(data) - DIGITS
    if hashlib.sha256(data[:start]).hexdigest().encode() == data[start:]:
        return True
    start -= len(_END_OF_JSON)
    return data.endswith(_END_OF_JSON) and _is_own(data[:start], data[start : start + DIGITS], _END_OF_JSON)


def _of_own(head: bytes, digits: bytes, end: bytes) -> tuple[bytes, int] | None:
    """Return a file with its own checksum, without a bit that is flipped in either."""
    tail = b"0" * DIGITS + end if end else b""
    computed = hashlib.sha256(head + tail).hexdigest().encode()
    if _differing_bits(computed, digits) == 1:
        place = next(place for place in range(DIGITS) if computed[place] != digits[place])
        return head + computed + end, len(head) + place
    restored_head = _tried(head, tail, digits)
    return None if restored_head is None else (restored_head[0] + digits + end, restored_head[1])


def _tried(head: bytes, tail: bytes, digits: bytes) -> tuple[bytes, int] | None:
    """Return bytes with one bit flipped back, so that they, followed by the tail (not returned), have a SHA-256."""
    try:
        wanted = bytes.fromhex(digits.decode())
    except ValueError:
        return None
    before = hashlib.sha256()
    for place, byte in enumerate(head):
        rest = head[place + 1 :] + tail
        for bit in range(8):
            attempt = before.copy()
            attempt.update(bytes([byte ^ 1 << bit]) + rest)
            if attempt.digest() == wanted:
                return head[:place] + bytes([byte ^ 1 << bit]) + head[place + 1 :], place
        before.update(head[place : place + 1])
    return None


def _is_own(head: bytes, digits: bytes, end: bytes) -> bool:
    return hashlib.sha256(head + b"0" * DIGITS + end).hexdigest().encode() == digits


def _differing_bits(one: bytes, other: bytes) -> int:
    if len(one) != len(other):
        return -1
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))
