"""``environment.json`` and ``requirements.txt``: the recorded environment of a study."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from typing import Any

from elastic._version import __version__
from elastic.study import Study

#: Name of the distribution on package registries.
DISTRIBUTION = "elastic-collapse"


def environment_of(study: Study) -> dict[str, Any]:
    """Return versions, code and machine of a study, and the environments of its runs.

    Returns
    -------
    dict
        ``study``: what was recorded when the study began; ``runs``: each different environment with its runs;
        ``published_with``: the version of elastic that drew the figures and wrote the report.
    """
    environments: list[dict[str, Any]] = []
    for run in study.runs():
        report = study.run_report(run.cell)
        facts = {"environment": dict(report.get("environment") or {}), "engine": report.get("engine")}
        same = next((one for one in environments if {k: one[k] for k in facts} == facts), None)
        if same is None:
            environments.append({**facts, "runs": [run.cell]})
        else:
            same["runs"].append(run.cell)
    return {"study": dict(study.facts["provenance"]), "runs": environments, "published_with": {"elastic": __version__}}


def requirements_of(made_with: Mapping[str, Any]) -> str:
    """Return a file for ``pip install -r``: the recorded versions, then those of all packages that elastic needs here.

    Parameters
    ----------
    made_with
        Provenance of the study. Packages that it does not name have the versions of the environment that publishes
        the study.
    """
    recorded = {_normal(name): str(version) for name, version in (made_with.get("versions") or {}).items() if version}
    lines = [f"{name}=={version.partition('+')[0]}" for name, version in sorted(recorded.items())]
    others = {name: version for name, version in _closure([DISTRIBUTION]).items() if name not in recorded}
    others.pop(DISTRIBUTION, None)
    version = made_with.get("elastic_version") or __version__
    return "\n".join(
        [
            f"# Python {made_with.get('python', '')}",
            f"{DISTRIBUTION}=={version}",
            "# versions that the study recorded when it began",
            *lines,
            "# versions where it was published",
            *(f"{name}=={version.partition('+')[0]}" for name, version in sorted(others.items())),
            "",
        ]
    )


def _closure(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of installed packages and of their dependencies, without extras."""
    versions: dict[str, str] = {}
    waiting = [_normal(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in versions:
            continue
        try:
            versions[name] = importlib.metadata.version(name)
            needed = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [_normal(_NAME.match(one)[0]) for one in needed if "extra ==" not in one and _NAME.match(one)]  # type: ignore[index]
    return versions


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _normal(name: str) -> str:
    """Return a package's name as registries normalise it.

    >>> _normal("Ruamel.YAML")
    'ruamel-yaml'
    """
    return re.sub(r"[-_.]+", "-", name).lower()
