"""Names of the files of an archive, and their descriptions."""

from __future__ import annotations

from collections.abc import Mapping

from elastic.cube.manifest import CUBE
from elastic.cube.manifest import FILE as MANIFEST
from elastic.display.verdicts import FILE as CLAIMS
from elastic.study import FACTS, PROTOCOL
from elastic.study.claim_history import FILE as HISTORY
from elastic.study.published_runs import FILE as RUNS

__all__ = [
    "CHECKLIST", "CITATION", "CLAIMS", "CRATE", "CUBE", "DATA", "ENVIRONMENT", "FACTS", "FIGURES", "HISTORY",
    "MANIFEST", "MEANINGS", "NOTEBOOK", "PROTOCOL", "README", "REPORT", "REQUIREMENTS", "RUNS", "SUMS",
]  # fmt: skip

#: SHA-256 of every other file, in the format of ``sha256sum --check``.
SUMS = "SHA256SUMS"

#: JSON-LD that describes the archive (RO-Crate).
CRATE = "ro-crate-metadata.json"

README, CITATION, ENVIRONMENT, REQUIREMENTS, DATA, CHECKLIST = (
    "README.md", "CITATION.cff", "environment.json", "requirements.txt", "data.json", "CHECKLIST.md",
)  # fmt: skip
REPORT, NOTEBOOK, FIGURES = "report.html", "analysis.ipynb", "figures"

#: Description of each file, in the order of the README.
MEANINGS: Mapping[str, str] = {
    REPORT: "the study on one page: open it in a browser, it needs no network",
    CUBE: "all numbers, labelled: a Zarr store that xarray opens",
    PROTOCOL: "what was asked: data, model, training, probes, claims",
    CLAIMS: "each claim with its verdict, effect and interval",
    HISTORY: "when each set of claims was registered, and what could be seen by then",
    NOTEBOOK: "an analysis in Jupyter, executed",
    FIGURES: "the figures as SVG, PDF and PNG",
    CHECKLIST: "answers to the questions of reproducibility checklists",
    ENVIRONMENT: "versions, threads, CPU capability and device of every run",
    REQUIREMENTS: "versions to install for the same numbers",
    DATA: "digests of the data, and how to get them",
    RUNS: "how each run ended, and where its time went",
    FACTS: "the protocol with every default written out, its digest and its runs",
    MANIFEST: "SHA-256 of each file of the cube",
    CITATION: "how to cite the study",
    CRATE: "this archive as a Process Run Crate (RO-Crate 1.1)",
    SUMS: "SHA-256 of every file; the SHA-256 of this list is the digest of the archive",
}
