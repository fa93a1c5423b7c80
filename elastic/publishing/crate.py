"""``ro-crate-metadata.json``: an archive as a Process Run Crate 0.5, in RO-Crate 1.1."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic.display.recorded import study_title
from elastic.errors import StudyError
from elastic.publishing.contents import CLAIMS, CRATE, CUBE, DATA, FIGURES, MEANINGS, PROTOCOL, SUMS
from elastic.study import Study
from elastic.study.claim_history import CLAIMS as REGISTERED
from elastic.study.claim_history import RECORDED, VERDICTS, read_history

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"

#: Media types that Python may not know on some machines.
MEDIA = {
    ".ipynb": "application/x-ipynb+json", ".yaml": "application/yaml", ".cff": "application/yaml",
    ".md": "text/markdown", ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png",
    ".pdf": "application/pdf", ".html": "text/html", ".txt": "text/plain",
}  # fmt: skip


@dataclass(frozen=True)
class Publication:
    """Metadata of an archive beside those of its study.

    Attributes
    ----------
    authors
        Of the study.
    license
        SPDX identifier or URL; "" if none is given.
    """

    authors: tuple[str, ...] = ()
    license: str = ""


def require_rocrate() -> None:
    """Raise a StudyError unless the package is installed."""
    try:
        import rocrate.rocrate  # noqa: F401
    except ImportError:
        hint = "pip install 'elastic-collapse[publish]'"
        raise StudyError("`elastic publish`", "find the package rocrate", "none", hint) from None


def crate_of(study: Study, folder: Path, sums: Mapping[str, str], publication: Publication) -> bytes:
    """Return the description of an archive.

    Parameters
    ----------
    study
        As it is in the archive's folder.
    folder
        Of the archive, with all files except the description and the list of sums.
    sums
        SHA-256 of each file.
    publication
        Who publishes.
    """
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms = {"sha256": "https://schema.org/sha256"}
    began, ended = times_of(study)
    _describe_root(crate, study, publication, ended)
    _add_files(crate, folder, sums)
    _add_action(crate, study, publication, (began, ended))
    described = crate.metadata.generate()
    described["@graph"] = sorted(described["@graph"], key=lambda entity: (entity["@id"] != CRATE, entity["@id"]))
    return (json.dumps(described, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def times_of(study: Study) -> tuple[str, str]:
    """Return the UTC times of a study's start and of its first verdicts on all runs; unknown: that of the last entry.

    Times are those of the history of the claims. A study without a history has neither.
    """
    history = read_history(study.folder)
    if not history:
        return "", ""
    began = next((one["time"] for one in history if one["event"] == REGISTERED), "")
    verdicts = (one["time"] for one in history if one["event"] == VERDICTS and RECORDED not in one)  # of ended runs
    ended = next(verdicts, history[-1]["time"])
    return str(began), str(ended)


def _describe_root(crate: ROCrate, study: Study, publication: Publication, date: str) -> None:
    from rocrate.model import ContextEntity

    protocol, root = study.facts["protocol"], crate.root_dataset
    crate.name = study_title(protocol)
    crate.description = str(protocol.get("question") or "").strip() or f"The study {study.name}."
    root["datePublished"] = date or UNKNOWN_DATE
    profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    root["conformsTo"] = crate.add(ContextEntity(crate, PROFILE, profile))
    root["identifier"] = f"sha256:{study.digest}"
    stated = {"@type": "CreativeWork", "name": publication.license or "No licence is stated: ask the authors"}
    is_address = publication.license.startswith(("http://", "https://"))
    name = publication.license if is_address else "#licence"
    root["license"] = crate.add(ContextEntity(crate, name, {**stated, "description": stated["name"]}))
    if publication.authors:
        root["author"] = _single([_author(crate, author) for author in publication.authors])


#: Date of a study whose folder records none and cannot be written.
UNKNOWN_DATE = "1980-01-01T00:00:00+00:00"


def _author(crate: ROCrate, name: str) -> Any:
    from rocrate.model import ContextEntity

    identifier = f"#author-{'-'.join(name.split())}"
    return crate.get(identifier) or crate.add(ContextEntity(crate, identifier, {"@type": "Person", "name": name}))


def _add_files(crate: ROCrate, folder: Path, sums: Mapping[str, str]) -> None:
    """Add every file with its SHA-256; those of the cube and the figures belong to separate data sets."""
    parts: dict[str, list[Any]] = {CUBE: [], FIGURES: []}
    for name in sorted(sums):
        top = name.partition("/")[0]
        facts = {
            "name": MEANINGS.get(name, name),
            "sha256": sums[name],
            "contentSize": str((folder / name).stat().st_size),
            "encodingFormat": _media_type(name),
        }
        added = crate.add_file(dest_path=name, properties=facts)
        if top in parts:
            parts[top].append(added)
    listed = {"name": MEANINGS[SUMS], "encodingFormat": "text/plain"}
    crate.add_file(dest_path=SUMS, properties=listed)
    for top, files in parts.items():
        if files:
            crate.add_dataset(dest_path=f"{top}/", properties={"name": MEANINGS[top]})["hasPart"] = files


def _media_type(name: str) -> str:
    known = MEDIA.get(Path(name).suffix)
    return known or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _add_action(crate: ROCrate, study: Study, publication: Publication, times: Sequence[str]) -> None:
    """Add the process that made the cube: program, inputs, result, start and end."""
    from rocrate.model import ContextEntity

    made = study.facts["provenance"]
    versions = {"Python": made.get("python"), **dict(made.get("versions") or {})}
    needs = [crate.add(ContextEntity(crate, *_package(name, str(v)))) for name, v in versions.items() if v]
    facts = {"@type": "SoftwareApplication", "name": "elastic", "softwareVersion": str(made.get("elastic_version"))}
    software = crate.add(ContextEntity(crate, "#elastic", {**facts, "softwareRequirements": needs}))
    asked = [one for name in (PROTOCOL, DATA) if (one := crate.get(name)) is not None]
    results = [one for name in (f"{CUBE}/", CLAIMS) if (one := crate.get(name)) is not None]
    what = "Recording of a training loop" if study.recorded else "Training and probing by the protocol"
    properties = {
        "@type": "CreateAction",
        "name": f"{what}: {study.name}",
        "description": f"{len(study.cells)} runs on {made.get('machine') or 'an unnamed machine'}",
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    }
    properties |= {key: time for key, time in zip(("startTime", "endTime"), times, strict=True) if time}
    action = crate.add_action(software, "#study", object=asked, result=results, properties=properties)
    if publication.authors:
        action["agent"] = _single([_author(crate, author) for author in publication.authors])
    crate.root_dataset["mentions"] = action


#: Project pages of packages, which identify them.
HOMES = {
    "Python": "https://www.python.org/", "torch": "https://pytorch.org/", "numpy": "https://numpy.org/",
    "scikit-learn": "https://scikit-learn.org/", "xarray": "https://xarray.dev/", "zarr": "https://zarr.dev/",
}  # fmt: skip


def _package(name: str, version: str) -> tuple[str, dict[str, Any]]:
    """Return the identifier and the properties of a package."""
    facts = {"@type": "SoftwareApplication", "name": name, "softwareVersion": version}
    home = HOMES.get(name)
    return (home, {**facts, "url": home}) if home else (f"#{name}", facts)


def _single(values: list[Any]) -> Any:
    """Return a list, or its only item: RO-Crate 1.1 does not use lists of one item."""
    return values[0] if len(values) == 1 else values
