"""One finished study with claims, and its archive, for all tests of this folder."""

import pytest
from support import published, studies

from elastic.publishing.publish import publish


@pytest.fixture(scope="session")
def claimed_study(tmp_path_factory):
    """Return the small study with two claims, run to its end; tests change nothing of it."""
    return studies.run(tmp_path_factory.mktemp("claimed"), text=published.TEXT)


@pytest.fixture
def stub_report(monkeypatch):
    """Let archives hold a stub of the report and no figure, which take seconds, where a test is not about them."""
    monkeypatch.setattr("elastic.figures.drawing.draw", lambda *_, **__: ())
    monkeypatch.setattr("elastic.report.write_report", lambda study, path: path.write_text("<!DOCTYPE html>"))


@pytest.fixture(scope="session")
def archive(claimed_study, tmp_path_factory):
    """Return the path of its archive; tests change nothing of it."""
    path = tmp_path_factory.mktemp("archive") / "study.zip"
    publish(claimed_study, path, authors=["Emmy Noether"], license="CC-BY-4.0", **published.QUICK)
    return path
