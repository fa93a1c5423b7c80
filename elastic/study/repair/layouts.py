"""The layout of a run of a protocol, which follows from the protocol: it is made as `elastic run` makes it."""

from __future__ import annotations

from dataclasses import replace

from elastic.cube import Journal, Layout
from elastic.cube.atomic import write_atomically
from elastic.cube.layout_file import FILE as LAYOUT
from elastic.errors import ElasticError
from elastic.study.repair.actions import Actions
from elastic.study.study import Study


def write_layout_anew(actions: Actions, run: str, study: Study) -> bool:
    """Write the layout.json of a run, if the protocol defines it and every record fits it; the caller owns the run.

    A user's model is not imported for this.
    """
    folder = actions.folder / run
    try:
        layout = replace(_layout(study, folder.name), cell=folder.name)
    except (ElasticError, StopIteration) as error:
        actions.say(f"{run}/{LAYOUT}", f"not made again: {error or 'no run that is asked for'}")
        return False
    try:
        for _ in Journal(folder, layout).blocks():
            pass
    except ElasticError as error:
        actions.say(f"{run}/{LAYOUT}", f"not made again: a record does not fit what the protocol asks ({error.found})")
        return False
    actions.set_aside(f"{run}/{LAYOUT}", quietly=True)
    write_atomically(folder / LAYOUT, layout.to_json().encode())
    actions.say(f"{run}/{LAYOUT}", "written anew as the protocol asks; every record fits it")
    return True


def _layout(study: Study, cell: str) -> Layout:
    from elastic.runs.setup import build_setup, forget_data, resolve_device

    try:
        settings = next(one.settings for one in study.protocol.cells if one.digest == cell)
        return build_setup(settings, resolve_device("cpu")).layout
    finally:
        forget_data()
