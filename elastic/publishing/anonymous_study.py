"""A staged study without names, hosts, commits and paths, from which the rest of an archive is made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from elastic.claims.checked import write_checked
from elastic.claims.checking import check_cube
from elastic.cube import seal
from elastic.cube.checked_files import write_json
from elastic.errors import StudyError
from elastic.protocol.canonical import digest
from elastic.protocol.writing import as_yaml
from elastic.publishing.contents import CLAIMS, FACTS, PROTOCOL, RUNS
from elastic.publishing.identity_words import Anonymizer, anonymizer
from elastic.publishing.listing import files_below
from elastic.publishing.staging import runs_of
from elastic.study import Study
from elastic.study.claim_history import read_history, write_history
from elastic.study.identity import axis_labels, stored_cells, todays_cells
from elastic.study.study_file import read_facts, write_facts

#: Provenance of machine and code that is left out.
TELLING = {"elastic_commit": ""}


def anonymize(staged: Study, folder: Path, original: Path, hide: Sequence[str]) -> tuple[Study, Anonymizer]:
    """Write a staged study to another folder without what identifies its authors.

    Comments of the protocol are removed, too: it is written from its canonical form. A protocol that does not name
    its authors keeps its digest, and can be reproduced like any other.

    Parameters
    ----------
    staged
        Study to rewrite.
    folder
        Folder to write to.
    original
        Folder of the study, in which git is asked for the author.
    hide
        Further words to remove.

    Returns
    -------
    (Study, Anonymizer)
        The study in ``folder``, and the object that removed the words.
    """
    facts = dict(staged.facts)
    commits = [str(facts["provenance"].get("elastic_commit") or "")]
    cleaner = anonymizer(original, commits, vocabulary(staged), hide)
    folder.mkdir(parents=True)
    cleaned = _facts(facts, cleaner, recorded=staged.recorded)
    _write_facts(staged, folder, cleaned, cleaner)
    _write_runs(staged, folder, cleaned, cleaner)
    history = [
        {**cleaner.value(entry), **({"study_digest": cleaned["digest"]} if "study_digest" in entry else {})}
        for entry in read_history(staged.folder)
    ]
    if history:
        write_history(folder, cleaned["protocol"]["name"], history)
    extra = [Path(FACTS), *([] if staged.recorded else [Path(PROTOCOL)])]
    seal(_cube(staged.cube, cleaned, cleaner), folder, extra)
    for leftover in folder.glob(".*"):  # locks
        leftover.unlink()
    study = Study(folder)
    if study.claims:
        write_checked(folder / CLAIMS, check_cube(study, study.cube))
    return study, cleaner


def vocabulary(study: Study) -> set[str]:
    """Return the words that a study uses: names of parts and options, of groups, variables and dims."""
    words = _names(study.facts["protocol"])
    for group, node in study.cube.children.items():
        words |= {group, *map(str, node.dataset.variables), *map(str, node.dataset.dims)}
    return words


def _names(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        own = {str(value["name"])} if "name" in value and len(value) > 1 and "axes" not in value else set()
        return own.union({str(key) for key in value}, *(_names(one) for one in value.values()))
    return set().union(*(_names(one) for one in value)) if isinstance(value, list) else set()


def _facts(facts: Mapping[str, Any], cleaner: Anonymizer, *, recorded: bool) -> dict[str, Any]:
    """Return the study.json of an anonymous study; its digest, axes and cells are derived from the new protocol."""
    protocol = cleaner.value(facts["protocol"])
    cleaned = {**cleaner.value(dict(facts)), "protocol": protocol}
    cleaned["provenance"] = {**cleaner.value(dict(facts["provenance"])), **TELLING}
    if recorded:
        cleaned["digest"] = facts["digest"] if protocol == facts["protocol"] else digest([facts["digest"], protocol])
        cleaned["text"] = json.dumps(protocol, indent=1, ensure_ascii=False) + "\n"
        return cleaned
    same = protocol == facts["protocol"]
    cleaned["digest"] = facts["digest"] if same else digest(protocol)
    cleaned["text"] = as_yaml(protocol)
    cleaned["axes"] = axis_labels(protocol)
    if not same:
        derive = stored_cells if stored_cells(facts["protocol"]) == facts["cells"] else todays_cells
        cleaned["cells"] = derive(protocol)
    return cleaned


def _write_facts(staged: Study, folder: Path, cleaned: Mapping[str, Any], cleaner: Anonymizer) -> None:
    if staged.recorded:
        stored = read_facts(staged.folder)
        made = {**cleaner.value(dict(stored["provenance"])), **TELLING}
        write_facts(folder, {**cleaner.value(stored), "provenance": made})
        return
    write_facts(folder, cleaned)
    (folder / PROTOCOL).write_text(cleaned["text"], encoding="utf-8")


def _write_runs(staged: Study, folder: Path, cleaned: Mapping[str, Any], cleaner: Anonymizer) -> None:
    """Write runs.json; runs have the cell names of the new protocol."""
    report = runs_of(staged)
    names = [cell["digest"] for cell in cleaned["cells"]]
    runs = [{**cleaner.value(run), "cell": name} for run, name in zip(report["runs"], names, strict=True)]
    write_json(folder / RUNS, {**({"facts": dict(cleaned)} if staged.recorded else {}), "runs": runs})


def _cube(cube: xr.DataTree, cleaned: Mapping[str, Any], cleaner: Anonymizer) -> xr.DataTree:
    known = {
        "digest": cleaned["digest"],
        "protocol": cleaned["text"],
        "canonical_protocol": json.dumps(cleaned["protocol"], sort_keys=True),
        **TELLING,
    }
    attrs = {name: cleaner.value(value) for name, value in cube.attrs.items()}
    attrs |= {name: value for name, value in known.items() if name in attrs}
    groups = {"/": xr.Dataset(attrs=attrs)}
    for name, node in cube.children.items():
        groups[f"/{name}"] = _dataset(node.to_dataset(), cleaner)
    return xr.DataTree.from_dict(groups)


def _dataset(dataset: xr.Dataset, cleaner: Anonymizer) -> xr.Dataset:
    """Return a group with the words removed from its attributes and from the labels of its coordinates."""
    dataset = dataset.copy()
    dataset.attrs = {key: cleaner.value(value) for key, value in dataset.attrs.items()}
    for name, variable in list(dataset.variables.items()):
        attrs = {key: cleaner.value(value) for key, value in variable.attrs.items()}
        if variable.dtype.kind in "UO":
            labels = np.array([cleaner.text(str(one)) for one in variable.values.ravel()], dtype=np.str_)
            dataset = dataset.assign_coords({name: (variable.dims, labels.reshape(variable.shape))})
        dataset[name].attrs = attrs
    return dataset


def check_nothing_left(folder: Path, cleaner: Anonymizer) -> None:
    """Raise a StudyError if a word to remove occurs in a file of an archive, or in its name."""
    for name in files_below(folder):
        left = cleaner.found_in((folder / name).read_bytes()) or cleaner.found_in(name.encode())
        if left:
            hint = "--hide with the form that stands there, or another name in the protocol"
            raise StudyError(f"`{name}`", "hold no name in an anonymous archive", repr(left[0]), hint)
