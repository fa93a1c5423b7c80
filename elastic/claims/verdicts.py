"""The verdict on a claim, and its findings, one for each setting."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from elastic.claims.decision import INCONCLUSIVE, LEVEL, REFUTED, SUPPORTED, decide, judge
from elastic.claims.evidence import Evidence
from elastic.errors import ElasticError

#: Verdict on a claim that cannot be checked, as it names what the study does not have.
ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """The result at one setting of the axes (and in one layer) that a claim does not select.

    Attributes
    ----------
    setting
        {dim: label}; empty if the claim selects one value.
    verdict
        "supported", "refuted", "inconclusive", or "error" for a claim that cannot be checked.
    reason
        Why it is inconclusive, or the error; empty if the interval contains an edge of the region.
    effect, lower, upper
        Estimate and unadjusted 95 % interval over seeds, on the shown scale; None if there is none.
    region
        Values that support the claim, on the same scale; None for an open end.
    seeds
        Number of seeds with a finite effect.
    per_seed
        The effect of each seed, None for one that is left out (its run diverged, or is still in progress).
    adjusted
        Ends of the interval that decides: at the level of the claim among all claims of the study.
    fragile
        Labels of the seeds without which this verdict would differ.
    """

    setting: dict[str, Any]
    verdict: str
    reason: str
    effect: float | None
    lower: float | None
    upper: float | None
    region: tuple[float | None, float | None]
    seeds: int
    per_seed: list[float | None]
    adjusted: tuple[float | None, float | None] = (None, None)
    fragile: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim.

    Attributes
    ----------
    name, options
        As in a protocol, with all defaults.
    sentence, source
        The sentence of the claim, and the cite key of its source.
    quantity
        Description of the numbers of the findings, with their units.
    verdict
        Supported if every setting supports it, refuted if one refutes it, else inconclusive; "error" if the claim has
        an error.
    estimates
        The quantity that the effect estimates: the mean over seeds, or the typical seed as a geometric mean or similar.
    level
        Level of the claim among all claims of the study (`elastic.claims.multiplicity.holm`).
    plain
        The verdict if it were the only claim; "" if there is none.
    fragile
        Labels of the seeds without which the verdict would differ.
    """

    name: str
    sentence: str
    source: str
    quantity: str
    options: dict[str, Any]
    verdict: str
    findings: tuple[Finding, ...]
    estimates: str = ""
    level: float = LEVEL
    plain: str = ""
    fragile: tuple[Any, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain data."""
        return {**asdict(self), "fragile": list(self.fragile), "findings": [_plain(f) for f in self.findings]}


def _plain(finding: Finding) -> dict[str, Any]:
    lists = {"region": list(finding.region), "adjusted": list(finding.adjusted), "fragile": list(finding.fragile)}
    return {**asdict(finding), **lists}


def findings(
    evidence: Evidence, level: float = LEVEL, without: Mapping[Any, float] | None = None
) -> tuple[Finding, ...]:
    """Return the finding at each setting, with the verdict at a level; the unadjusted interval is that of 95 %.

    ``without`` is the level of the claim if a seed is left out, by the seed's label; by default the
    same level.
    """
    settings = [str(dim) for dim in evidence.effect.dims if dim != "seed"]
    judged, decided = judge(evidence), judge(evidence, level=level)
    others = {label: decide(one, level=(without or {}).get(label, level)) for label, one in left_out(evidence).items()}
    of_settings = []
    for at in _positions(judged, settings):
        place = tuple(at.values())
        verdict = decided["verdict"].values[place]
        of_settings.append(
            replace(
                _finding(evidence, judged.isel(at), decided.isel(at), evidence.effect.isel(at)),
                fragile=tuple(label for label, other in others.items() if other[place] != verdict),
            )
        )
    return tuple(of_settings)


def left_out(evidence: Evidence) -> dict[Any, Evidence]:
    """Return the evidence without each seed that has a finite effect, by the seed's label."""
    effect = evidence.effect
    labels = effect["seed"].values.tolist()
    finite = np.isfinite(np.moveaxis(effect.values.astype(float), effect.get_axis_num("seed"), 0))
    tried = [place for place in range(len(labels)) if finite[place].any()]
    if len(tried) < 2:
        return {}
    kept = [[other for other in range(len(labels)) if other != place] for place in tried]
    return {
        labels[place]: replace(evidence, effect=effect.isel(seed=rest)) for place, rest in zip(tried, kept, strict=True)
    }


def fragile(
    evidence: Evidence, verdict: str, level: float = LEVEL, without: Mapping[Any, float] | None = None
) -> tuple[Any, ...]:
    """Return the labels of the seeds without which a claim's verdict would differ.

    ``level`` and ``without`` are those of `findings`.

    >>> effect = xr.DataArray([1.0, 1.1, 0.9, 1.0, 9.0], dims="seed")
    >>> fragile(Evidence(effect, (0.0, math.inf), ""), "inconclusive")            # without 9.0: 1 ± 0.13
    (4,)
    """
    return tuple(
        label
        for label, one in left_out(evidence).items()
        if together(decide(one, level=(without or {}).get(label, level)).ravel().tolist()) != verdict
    )


def unmeasured(reason: str) -> Finding:
    """Return the finding of a claim about something that the cube does not have."""
    return Finding({}, INCONCLUSIVE, reason, None, None, None, (None, None), 0, [])


def mistaken(name: str, sentence: str, source: str, options: dict[str, Any], error: ElasticError) -> Verdict:
    """Return the verdict on a claim with an error."""
    finding = Finding({}, ERROR, str(error), None, None, None, (None, None), 0, [])
    return Verdict(name, sentence, source, "", options, ERROR, (finding,))


def together(verdicts: list[str]) -> str:
    """Return the verdict of a claim from those of its findings.

    >>> together(["supported", "refuted", "inconclusive"]), together(["supported", "inconclusive"]), together([])
    ('refuted', 'inconclusive', 'inconclusive')
    """
    if REFUTED in verdicts:
        return REFUTED
    return SUPPORTED if verdicts and set(verdicts) == {SUPPORTED} else INCONCLUSIVE


def _positions(judged: xr.Dataset, settings: list[str]) -> Iterator[dict[str, int]]:
    for at in product(*(range(judged.sizes[dim]) for dim in settings)):
        yield dict(zip(settings, at, strict=True))


def _finding(evidence: Evidence, judged: xr.Dataset, decided: xr.Dataset, effect: xr.DataArray) -> Finding:
    verdict = str(decided["verdict"].item())
    lower, upper = _ends(evidence, judged["lower"].item(), judged["upper"].item())
    return Finding(
        setting={str(dim): _label(judged, str(dim)) for dim in evidence.effect.dims if dim != "seed"},
        verdict=verdict,
        reason=_reason(evidence, judged, decided) if verdict == INCONCLUSIVE else "",
        effect=_shown(evidence, judged["estimate"].item()),
        lower=lower,
        upper=upper,
        region=_ends(evidence, *evidence.region),
        seeds=int(judged["count"]),
        per_seed=[_shown(evidence, value) for value in effect.values.tolist()],
        adjusted=_ends(evidence, decided["lower"].item(), decided["upper"].item()),
    )


def _label(judged: xr.Dataset, dim: str) -> Any:
    label = judged[dim].item() if dim in judged.coords else None
    return label if isinstance(label, bool | int | float) else str(label)


def _shown(evidence: Evidence, value: float) -> float | None:
    """Return a number on the shown scale, None if it is not finite there."""
    if not math.isfinite(value):
        return None
    try:
        shown = float(evidence.shown(value))
    except OverflowError:
        return None
    return shown if math.isfinite(shown) else None


def _ends(evidence: Evidence, least: float, greatest: float) -> tuple[float | None, float | None]:
    """Return the ends of a range on the shown scale, in ascending order."""
    ends = _shown(evidence, least), _shown(evidence, greatest)
    return ends if evidence.shown(0.0) < evidence.shown(0.5) else ends[::-1]


def _reason(evidence: Evidence, judged: xr.Dataset, decided: xr.Dataset) -> str:
    if judged["count"] == 0:
        return "no seed has a finite value"
    if judged["count"] == 1:
        return "one seed"
    if judged["verdict"].item() != decided["verdict"].item():
        return f"{judged['verdict'].item()} at {LEVEL:.0%}, but not among all claims of the study"
    if judged["upper"] <= evidence.region[0] or judged["lower"] >= evidence.region[1]:
        return f"outside at {LEVEL:.0%}, which by chance one of so many settings may be"
    return ""
