"""Restores damaged files of any kind that differ from the original in one bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from elastic.cube.atomic import write_atomically
from elastic.study.repair.actions import Actions
from elastic.study.repair.flipped_bits import LIMIT, is_whole, restored
from elastic.study.verification import State, Verified
from elastic.study.verification.reading import misfit, read_object
from elastic.study.verification.run_files import REPORT
from elastic.study.verification.sealed_files import read_sealed


def restore_flips(actions: Actions, verified: Verified) -> None:
    """Restore each damaged file that one flipped bit explains: its checksum identifies the bit."""
    listed = read_sealed(actions.folder).listed
    for one in verified.damaged:
        path = actions.folder / one.path
        if one.state is not State.DAMAGED or misfit(path) or path.is_symlink() or path.stat().st_size > LIMIT:
            continue
        if not actions.owns(one.path):
            continue
        data = path.read_bytes()
        if is_whole(data):
            continue
        for digest in (None, *_digests(actions, one.path), *filter(None, [listed.get(one.path)])):
            repaired = restored(data, digest)
            if repaired is not None:
                actions.set_aside(one.path, quietly=True)
                write_atomically(path, repaired[0])
                actions.say(one.path, f"one flipped bit restored, in byte {repaired[1]}: the SHA-256 fits")
                break


def _digests(actions: Actions, path: str) -> Iterator[str]:
    """Yield the SHA-256 that a file of a run should have by the run's status.json."""
    parts = PurePosixPath(path).parts
    if parts[0] == "runs" and len(parts) > 2 and parts[2] != REPORT:
        report, _ = read_object(actions.folder.joinpath(*parts[:2], REPORT), REPORT)
        listed = (report or {}).get("files")
        digest = listed.get("/".join(parts[2:])) if isinstance(listed, dict) else None
        if isinstance(digest, str):
            yield digest
