"""One finished study with claims, and its archive, for all tests of this folder."""

import pytest
from support import published, studies
from support.few_metrics import leave_few

from elastic.publishing.publish import publish


@pytest.fixture(scope="module")
def few_metrics():
    """Leave out most metrics: what is run again or extended here has those of `claimed_study`."""
    with pytest.MonkeyPatch.context() as patch:
        leave_few(patch)
        yield


@pytest.fixture(scope="session")
def claimed_study(tmp_path_factory):
    """Return the small study with two claims and few metrics, run to its end; tests change nothing of it.

    A metric more is two files more, of the same kinds, in each of the many archives that are made and verified here.
    """
    with pytest.MonkeyPatch.context() as patch:
        leave_few(patch)
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
