"""The verdicts on a study's claims: as published, and on the numbers of the repeated runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from elastic.claims.checking import verdicts_on
from elastic.study import Study


@dataclass(frozen=True)
class ComparedVerdict:
    """One claim.

    Attributes
    ----------
    name, sentence
        Of the claim.
    published
        The verdict in the archive; "" if it has none.
    judged_now
        The verdict of this release on the published numbers.
    again
        The verdict on the numbers of the repeated runs, with the published ones of all others.
    """

    name: str
    sentence: str
    published: str
    judged_now: str
    again: str

    @property
    def same(self) -> bool:
        """Whether the rerun has the verdict of the published numbers: by the same release, or as published."""
        return self.again in (self.judged_now, self.published)

    @property
    def judge_changed(self) -> bool:
        """Whether this release judges the published numbers differently from the one that published them."""
        return bool(self.published) and self.judged_now != self.published


def compare_verdicts(
    study: Study,
    stated: Sequence[Mapping[str, Any]],
    published: xr.DataTree,
    again: xr.DataTree,
    runs: Iterable[Mapping[str, Any]],
) -> list[ComparedVerdict]:
    """Return the verdicts on each claim of a study.

    Parameters
    ----------
    study
        The published study.
    stated
        Its verdicts, from ``claims.json``.
    published, again
        Cubes.
    runs
        Coordinates of the repeated runs; the published numbers of the others are used.
    """
    if not study.claims:
        return []
    now = verdicts_on(published, study.claims, study=study)
    replaced = verdicts_on(with_runs(published, again, runs), study.claims, study=study)
    words = [str(one.get("verdict", "")) for one in stated] if len(stated) == len(now) else [""] * len(now)
    return [
        ComparedVerdict(one.name, one.sentence, word, one.verdict, other.verdict)
        for one, other, word in zip(now, replaced, words, strict=True)
    ]


def with_runs(published: xr.DataTree, again: xr.DataTree, runs: Iterable[Mapping[str, Any]]) -> xr.DataTree:
    """Return a cube in memory in which the numbers of some runs are replaced by those of another cube."""
    places = [dict(at) for at in runs]
    groups: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs=published.attrs)}
    for name, node in published.children.items():
        dataset = node.to_dataset().load().copy(deep=True)
        other = again[name].to_dataset() if name in again.children else xr.Dataset()
        for variable, values in dataset.data_vars.items():
            if variable in other.data_vars:
                dataset[variable] = _replaced(values, other[variable], places)
        groups[f"/{name}"] = dataset
    return xr.DataTree.from_dict(groups)


def _replaced(values: xr.DataArray, other: xr.DataArray, places: Sequence[dict[str, Any]]) -> xr.DataArray:
    for at in places:
        if not (set(at) <= set(values.dims) and set(at) <= set(other.dims)):
            continue
        one = values.loc[at]
        new = other.sel(at)
        if set(new.dims) == set(one.dims):
            labelled = {dim: one[dim].values for dim in one.dims if dim in one.coords and dim in new.coords}
            values.loc[at] = new.reindex(labelled).transpose(*one.dims).astype(values.dtype).values
    return values
