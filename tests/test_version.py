"""The version has one definition, which the build, the package and the citation file agree on."""

import re
import tomllib
from pathlib import Path

import elastic
from elastic._version import __version__

ROOT = Path(elastic.__file__).parents[1]


def test_the_build_reads_the_version_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    source = (ROOT / project["tool"]["hatch"]["version"]["path"]).read_text()
    assert re.findall(r'^__version__ = "(.+)"$', source, re.M) == [elastic.__version__]
    assert elastic.__version__ == __version__


def test_the_citation_file_has_the_version_of_the_package():
    assert re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M) == [elastic.__version__]
