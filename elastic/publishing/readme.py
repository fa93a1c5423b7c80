"""The README of an archive, for readers without elastic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elastic._version import __version__
from elastic.analysis.reading import read
from elastic.display.markdown import inert
from elastic.display.recorded import study_title
from elastic.errors import NotMeasured
from elastic.publishing.contents import CLAIMS, CRATE, CUBE, MEANINGS, REPORT, REQUIREMENTS, SUMS
from elastic.publishing.own_parts import own_parts
from elastic.report.citation import modules
from elastic.study import Study
from elastic.study.claim_standing import standing_of

_TEXT = """\
# {title}

{question}The study `{name}`, published with elastic {version}. Everything about it is in this archive; nothing is
downloaded. {anonymous}

## Read it

Open `{report}` in a browser. It needs no network and no other file.

## Open the numbers

The cube is a Zarr store that plain xarray reads, without elastic:

```python
# pip install "xarray>=2026.1" "zarr>=3.1.5"
import xarray as xr

cube = xr.open_datatree("{cube}", engine="zarr", decode_timedelta=False)
print(cube)
{example}
```

Dims are the axes of the study ({axes}), the epoch, and those of the group: split, layer, class. Every variable has
`long_name`, `units`, `source` and `formula` among its attributes. `status` says for each run and epoch whether it is
missing (0), done (1) or diverged (2); what was not computed is NaN.

## Verify it

```bash
sha256sum --check {sums}
elastic verify ARCHIVE.zip
```

The digest of the archive is the SHA-256 of the file `{sums}`: it does not depend on how the files are zipped.

## Reproduce it

{reproduce}

## What was claimed

{claims}

## Data

{data}

## Files

{files}
"""


def readme_of(study: Study, data: Mapping[str, Any], folder: Path, *, anonymous: bool) -> str:
    """Return the README of a study in the archive's folder.

    Parameters
    ----------
    study
        Of the archive.
    data
        Contents of ``data.json``.
    folder
        Of the archive: only existing files are listed.
    anonymous
        Whether names, hosts, commits and paths were removed.
    """
    protocol = study.facts["protocol"]
    question = str(protocol.get("question") or "").strip()
    files = [
        f"- `{name}`: {meaning}"
        for name, meaning in MEANINGS.items()
        if (folder / name).exists() or name in (CRATE, SUMS)
    ]
    return _TEXT.format(
        title=inert(study_title(protocol), heading=True),
        question=f"{inert(question)}\n\n" if question else "",
        name=study.name,
        version=__version__,
        anonymous="Names, hosts, commits and paths were removed for double-blind review." if anonymous else "",
        report=REPORT,
        cube=CUBE,
        sums=SUMS,
        axes=", ".join(map(str, study.facts["axes"])),
        example=_example(study),
        reproduce=_reproduce(study),
        claims=_claims(study),
        data=_data(data),
        files="\n".join(files),
    )


def _example(study: Study) -> str:
    """Return a line of code that reads a number, of a variable that the cube has."""
    cube = study.cube
    try:
        read(cube, "nc1", split=None)
        return 'print(cube["collapse/nc1"].isel(epoch=-1).mean("seed"))'
    except NotMeasured:
        return 'print(cube["training/status"])'


def _reproduce(study: Study) -> str:
    if study.recorded:
        return (
            "This study was recorded from a training loop that is not part of the archive. It cannot be run again from "
            f"here: `elastic verify` checks the files, and the verdicts in `{CLAIMS}` follow from the cube."
        )
    allow = "".join(f" --allow {module}" for module in sorted(modules(study.facts["protocol"])))
    text = (
        f"```bash\npip install -r {REQUIREMENTS}\nelastic reproduce ARCHIVE.zip{allow}            # all runs\n"
        f"elastic reproduce ARCHIVE.zip --runs 1{allow}   # a sample\n```\n\n"
        "The data are compared by digest before anything is trained. On the same torch, number of threads and CPU "
        "capability the numbers are identical to the last bit; elsewhere they are compared within the spread over the "
        "seeds."
    )
    if own := own_parts(study):
        text += (
            f" The runs need parts of the authors that are not in this archive ({', '.join(own)}): get their code and "
            "read it, then install it with its entry points, or import it and call `reproduce` of "
            "`elastic.publishing.reproduction` in Python."
        )
    if allow:
        text += " The protocol names code that is not part of this archive: read it before you allow it to run."
    return text


def _claims(study: Study) -> str:
    if not study.claims:
        return "The study has no claims."
    return "\n".join([f"Verdicts, effects and intervals are in `{CLAIMS}` and in the report.", "",
                      *(f"- {line}" for line in standing_of(study).lines())])  # fmt: skip


def _data(data: Mapping[str, Any]) -> str:
    source = data["source"]
    sentences = [f"`{data['name']}`: {source['get']}" if data["name"] else source["get"]]
    sentences += [f"licence: {source['license']}"] if source["license"] else []
    sentences += [source["cite"]] if source["cite"] else []
    digests = [f"- SHA-256 `{one['sha256']}` ({len(one['runs'])} runs)" for one in data["digests"]]
    return "\n".join([". ".join(sentences) + ".", *(["", *digests] if digests else [])])
