"""A release of tomorrow: a copy of today's source in which a section and a model have got options.

Both options mean by default something that today's code does not do, and say so loudly when they are reached.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from support import forked

import elastic

VERSION = "99.0.0"

#: What tomorrow's source has in the place of today's, by file: (today, tomorrow).
CHANGES = {
    "_version.py": [(f'__version__ = "{elastic.__version__}"', f'__version__ = "{VERSION}"')],
    "protocol/training_section.py": [
        (
            "    threads: Annotated[\n",
            f'    fresh: Annotated[int | None, Added("{VERSION}", before=None), Field(ge=1)] = 1\n'
            "    threads: Annotated[\n",
        )
    ],
    "models/mlp.py": [
        ("from elastic.models.contract import Stages, Task, model\n",
         "from elastic.models.contract import Stages, Task, model\nfrom elastic.releases import Added\n"),
        ('norm: VectorNorm = "none", bias: bool = True\n',
         'norm: VectorNorm = "none", bias: bool = True,\n'
         f'    shrink: Annotated[float, Added("{VERSION}", before=1.0)] = 0.5,\n'),
        ("    for position, width in enumerate(widths):\n",
         "    for position, width in enumerate(int(width * shrink) for width in widths):\n"),
        ("    fan_in = [prod(task.input_shape), *widths]\n",
         "    fan_in = [prod(task.input_shape), *(int(width * shrink) for width in widths)]\n"),
        ('    stages["logits"] = nn.Linear(widths[-1],', '    stages["logits"] = nn.Linear(int(widths[-1] * shrink),'),
    ],
}  # fmt: skip

#: Runs protocols and tells of each what it ran. It is forked where today's elastic is loaded, with what that imports
#: from others; tomorrow's takes its place.
RUN = """\
import io, json, sys, warnings

for name in [name for name in sys.modules if name.partition(".")[0] == "elastic"]:
    del sys.modules[name]
sys.path.insert(0, sys.argv[1])
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # xarray: the accessor of the same name is replaced
    import elastic
    from elastic.progress import Lines
    from elastic.protocol.later_components import fill_in
    from elastic.study import runner
assert elastic.__file__.startswith(sys.argv[1]), elastic.__file__

for protocol, out, *settings in json.loads(sys.argv[2]):
    log = io.StringIO()
    study = elastic.run(protocol, out=out, settings=settings, watch=Lines(log))
    cells = [fill_in(cell.settings) for cell in study.protocol.cells]
    print(json.dumps({
        "version": elastic.__version__,
        "digest": study.digest,
        "cells": [cell.digest for cell in study.protocol.cells],
        "states": [run.state for run in study.runs()],
        "fresh": [cell.training.fresh for cell in cells],
        "shrink": [cell.model.options["shrink"] for cell in cells],
        "log": log.getvalue(),
    }))
"""


def write_source(folder: Path) -> Path:
    """Write tomorrow's source into a folder and return the folder that it is imported from."""
    source = Path(elastic.__file__).parent
    shutil.copytree(source, folder / "elastic")  # with its compiled modules, which take seconds to make
    for name, changes in CHANGES.items():
        text = (folder / "elastic" / name).read_text()
        for today, tomorrow in changes:
            assert text.count(today) == 1, f"{name} no longer has {today!r} once"
            text = text.replace(today, tomorrow)
        (folder / "elastic" / name).write_text(text)
    return folder


def run(source: Path, *tasks: tuple) -> list[dict]:
    """Run protocols as tomorrow's release does, each a tuple of file, folder and settings; return what it tells."""
    result = json.dumps([[str(part) for part in task] for task in tasks])
    script = source / "run.py"
    script.write_text(RUN)
    done = forked.script(script, source, result)
    assert done.returncode == 0, done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]
