"""Facts of a study, as sentences that answer the questions of a checklist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import xarray as xr

from elastic.analysis.reading import settings_of, spelled
from elastic.claims.checked import Checked
from elastic.claims.checking import check_cube
from elastic.claims.decision import LEVEL
from elastic.cube import Status
from elastic.display.markdown import code_span, inert
from elastic.publishing.data_sources import data_of
from elastic.publishing.environment import environment_of
from elastic.study import Study


class Facts:
    """Facts of a study, read once.

    Parameters
    ----------
    study
        Finished or not; its claims are checked.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.cube = study.cube
        self.protocol: Mapping[str, Any] = study.facts["protocol"]
        self.checked: Checked = check_cube(study, self.cube)
        self.environment = environment_of(study)
        self.data = data_of(study)
        self.runs = study.runs()
        self.seeds = list(study.facts["axes"].get("seed", ()))

    def claims(self) -> str:
        """Return the number of claims, their verdicts, and when they were registered."""
        if not self.checked.verdicts:
            return "The study has no claims; what it measures is described by its question."
        counts = Counter(one.verdict for one in self.checked.verdicts)
        outcomes = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
        standing = self.checked.standing
        lines = "; ".join(standing.lines()) if standing else ""
        opening = f"{len(self.checked.verdicts)} claims, each with its threshold in the protocol"
        return f"{opening}: {outcomes}. {_upper(lines)}."

    def seeds_and_runs(self) -> str:
        """Return the seeds, and the number of runs over all axes."""
        varied = {name: labels for name, labels in self.study.facts["axes"].items() if name != "seed"}
        axes = "; ".join(f"{name}: {', '.join(map(spelled, labels))}" for name, labels in varied.items())
        seeds, settings = ", ".join(map(str, self.seeds)), len(list(settings_of(self.cube)))
        return (
            f"{len(self.seeds)} seeds ({seeds}){f' at each of {settings} settings ({inert(axes)})' if axes else ''}: "
            f"{len(self.runs)} runs. {self.ends()}"
        )

    def ends(self) -> str:
        """Return how the runs ended, including those that diverged."""
        counts = Counter(run.state for run in self.runs)
        ends = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        status = self.cube["training"].dataset["status"]
        diverged = int((status == Status.DIVERGED).any("epoch").sum())
        return f"How they ended: {ends}." + (" Means leave out runs that diverged." if diverged else "")

    def intervals(self) -> str:
        """Return the method of the intervals, and the error rate of the verdicts."""
        findings = [one for verdict in self.checked.verdicts for one in verdict.findings if one.effect is not None]
        error = (1 - LEVEL) / 2
        text = (
            f"{LEVEL:.0%} intervals of the mean over seeds (Student's t, on the scale of each claim; the variability "
            "is that of initial weights and the order of the data). A claim is supported if the whole interval lies "
            "among the claimed values, refuted if it lies wholly outside; among several settings the interval of a "
            "refutation is widened (Bonferroni)."
        )
        if findings:
            text += (
                f" {len(findings)} effects are judged, those of all claims together (Holm's procedure). If one true "
                f"effect is at its threshold, it is supported in at most {error:.1%} of studies, provided that effects "
                "are normal over seeds."
            )
        return text

    def setup(self) -> str:
        """Return data, model, loss, optimizer and training from the protocol."""
        if self.study.recorded:
            return "The settings that the training loop gave are in study.json; the loop itself is the authors'."
        parts = {name: self.protocol.get(name) for name in ("model", "loss", "optimizer", "training")}
        options = "; ".join(f"{name}: {code_span(_compact(value))}" for name, value in parts.items())
        return f"Every option is in protocol.yaml, with defaults written out in study.json. {options}."

    def samples(self) -> str:
        """Return the name of the data and the number of samples of each split."""
        name = self.data["name"] or "the authors' own data"
        counts = self._counts()
        samples = ", ".join(f"{count:g} samples of {split!r}" for split, count in counts.items())
        classes = self.cube["collapse"].sizes.get("class") if "collapse" in self.cube.children else None
        return f"Data: {name}" + (f", {samples} in {classes} classes" if samples else "") + "."

    def _counts(self) -> dict[str, float]:
        group = self.cube["collapse"].to_dataset() if "collapse" in self.cube.children else xr.Dataset()
        name = next((one for one in ("samples", "class_samples") if one in group.coords), None)
        if name is None or "split" not in group[name].dims:
            return {}
        total = group[name].astype(float)
        others = [dim for dim in total.dims if dim not in ("split", "class")]
        total = total.isel(dict.fromkeys(others, 0)).sum("class")
        return {str(split): float(total.sel(split=split)) for split in total["split"].values}

    def access(self) -> str:
        """Return how to get the data, their digest and licence."""
        source, digests = self.data["source"], [one["sha256"] for one in self.data["digests"]]
        licence = f"licence {source['license']}" if source["license"] else "the source states no licence"
        digest = f"SHA-256 of the samples as used: {', '.join(digests)}" if digests else "no digest was recorded"
        return f"{_upper(source['get'])}; {licence}; {digest}."

    def compute(self) -> str:
        """Return machine, devices and the total time of the runs."""
        devices = {str(one["environment"].get("device", "not recorded")) for one in self.environment["runs"]}
        threads = {str(one["environment"].get("threads", "?")) for one in self.environment["runs"]}
        spent = sum((Counter(run.seconds) for run in self.runs), Counter[str]())
        total = sum(spent.values())
        parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in sorted(spent.items()))
        machine = self.study.facts["provenance"].get("machine") or "not recorded"
        each = f", {total / max(1, len(self.runs)):.0f} s a run" if self.runs else ""
        return (
            f"Machine: {machine}; device: {', '.join(sorted(devices))}; "
            f"threads of torch: {', '.join(sorted(threads))}. "
            f"{total:.0f} s for all runs of this study{each}{f' ({parts})' if parts else ''}."
        )

    def versions(self) -> str:
        """Return the versions of Python, elastic and the libraries on which the numbers depend."""
        made = self.study.facts["provenance"]
        named = {"Python": made.get("python"), "elastic": made.get("elastic_version"), **(made.get("versions") or {})}
        commit = f" (commit {made['elastic_commit']})" if made.get("elastic_commit") else ""
        return ", ".join(f"{name} {version}" for name, version in named.items() if version) + commit + "."


def _compact(value: Any) -> str:
    if isinstance(value, Mapping):
        items = (f"{key}: {_compact(one)}" for key, one in value.items() if one not in (None, {}))
        return f"{{{', '.join(items)}}}"
    return spelled(value) if isinstance(value, bool | int | float | str) else str(value)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
