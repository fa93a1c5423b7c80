"""The seal of a study: a damaged cube is sealed again if the journals are complete, and kept otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from shlex import quote

from elastic.cube import is_sealed
from elastic.cube.manifest import CUBE, FILE
from elastic.study.completeness import named
from elastic.study.repair.actions import Actions
from elastic.study.seal_state import root_attributes
from elastic.study.study import Study
from elastic.study.study_file import PROTOCOL
from elastic.study.verification import State, Verified
from elastic.study.verification.reading import attempted
from elastic.study.verification.sealed_files import left_out


def clear_seal(actions: Actions, verified: Verified) -> Callable[[], None] | None:
    """Move the damaged files of a cube aside and return a function that seals it again; None if it is kept.

    The caller prevents others from sealing. A recorded study under repair loses its seal, and is sealed again.
    """
    bad = [one for one in verified.damaged if one.path.startswith((CUBE, FILE))]
    study, wrong = attempted(lambda: Study(actions.folder))
    is_changed = study is not None and study.recorded and actions.done and is_sealed(actions.folder)
    if not bad and not (is_changed and any(one.state is State.OUT_OF_DATE for one in verified.files)):
        return None
    extra = [one for one in bad if one.found.startswith("a file that")]
    for one in extra:
        actions.set_aside(one.path, "it is no part of the cube")
    if bad and len(extra) == len(bad):
        return None
    others = [one for one in verified.damaged if one not in bad]
    absent = left_out(root_attributes(actions.folder))
    unended, wrong = ([], wrong) if study is None else attempted(partial(_unended, study, absent))
    if study is None or others or unended is None or unended:
        because = f"{others[0].path} is {others[0].state}" if others else wrong or "some runs have not ended"
        actions.run_again |= bool(unended) and not others
        for one in bad:
            actions.say(one.path, f"left as it is: it can be sealed anew once the journals are whole ({because})")
        return None
    for one in bad:
        path = actions.folder / one.path
        # A chunk stays for its readers until it is replaced; a pipe or a link would make them wait.
        is_chunk = one.path != FILE and path.is_file() and not path.is_symlink()
        keep = actions.keep_copy if is_chunk else actions.set_aside
        keep(one.path)
    return partial(study.seal, leaving_out=[c["digest"] for c in study.cells if named(c["coordinates"]) in absent])


def next_step(actions: Actions, left: Verified) -> str:
    """Return the command that is left for the user to run, "" if there is none."""
    if not actions.run_again or not (actions.folder / PROTOCOL).exists():
        return ""
    study, _ = attempted(lambda: Study(actions.folder))
    command = f"elastic run {quote(str(actions.folder / PROTOCOL))} --out {quote(str(actions.folder.parent))}"
    if study is not None and study.name != actions.folder.resolve().name:
        return f"rename the folder to {quote(study.name)}, where a run looks for the study, and repeat elastic verify"
    is_external = study is not None and "external" in str(study.facts["protocol"].get("model"))
    return f"{command} --allow MODULE (of your model)" if is_external else command


def _unended(study: Study, absent: list[str]) -> list[str]:
    """Return the runs of a protocol that have not ended, but for those that the cube leaves out."""
    if study.recorded:
        return []
    return [run.cell for run in study.runs() if not run.ended and named(run.coordinates) not in absent]
