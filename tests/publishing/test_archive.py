"""An archive holds what a stranger needs, its bytes depend on nothing but the study, and plain tools read it."""

import errno
import hashlib
import inspect
import json
import os
import re
import shutil
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ruamel.yaml import YAML
from support import processes, published, recorded

import elastic
from elastic._version import AUTHORS
from elastic.data.source import OWN
from elastic.errors import Damaged, OptionError, StudyError
from elastic.publishing import crate
from elastic.publishing.archive import open_archive
from elastic.publishing.citation_file import software_citation
from elastic.publishing.contents import MEANINGS, SUMS
from elastic.publishing.folder_writer import write_folder
from elastic.publishing.listing import encode_sums, sums_of
from elastic.publishing.notebook_outputs import settle_notebook
from elastic.publishing.publish import publish
from elastic.publishing.results_index import write_index
from elastic.publishing.unpacking import unpack
from elastic.publishing.verification import verify_archive
from elastic.publishing.zip_writer import EPOCH, write_zip
from elastic.registry import registry
from elastic.report import citation

ROOT = Path(elastic.__file__).parents[1]
CRATE_VALIDATOR = Path(processes.__file__).with_name("crate_validator.py")

EXPECTED = {
    "README.md", "CITATION.cff", "SHA256SUMS", "ro-crate-metadata.json", "protocol.yaml", "study.json", "runs.json",
    "claims.json", "claims_history.json", "manifest.sha256", "cube.zarr/zarr.json", "report.html", "analysis.ipynb",
    "environment.json", "requirements.txt", "data.json", "figures/depth_profile.svg", "figures/depth_profile.pdf",
    "figures/depth_profile.png", "CHECKLIST.md",
}  # fmt: skip


def test_an_archive_holds_what_a_stranger_needs(archive, claimed_study):
    files = published.files_of(archive)
    assert set(files) >= EXPECTED
    assert not any(name.startswith("runs/") for name in files)
    environment = json.loads(files["environment.json"])
    assert {"torch", "threads", "cpu_capability", "device"} <= set(environment["runs"][0]["environment"])
    assert len(environment["runs"][0]["runs"]) == 2
    assert f"torch=={environment['study']['versions']['torch'].partition('+')[0]}" in files["requirements.txt"].decode()
    data = json.loads(files["data.json"])
    assert data["source"]["license"] == "CC-BY-4.0"
    assert data["digests"][0]["sha256"] == claimed_study.cube.attrs["data_digest"]
    assert b"Emmy Noether" in files["CITATION.cff"]
    claims = json.loads(files["claims.json"])
    assert claims["standing"]["frozen"]
    assert [one["verdict"] for one in claims["claims"]] == [v.verdict for v in elastic.check(claimed_study).verdicts]


def test_every_data_set_says_where_it_comes_from():
    """A data set tells its source in its own file, in the decorator: those of a user's own data say so."""
    for name in registry("data").names():
        entry = registry("data").get(name)
        assert "source=" in inspect.getsource(entry.function).partition("def ")[0], name
        assert (entry.facts == OWN) == (name in ("arrays", "idx")), name
        assert entry.facts.get


def test_publishing_twice_gives_the_same_bytes(archive, claimed_study, tmp_path, monkeypatch):
    elsewhere = tmp_path / "another" / "folder"
    shutil.copytree(claimed_study.folder, elsewhere)
    for path in elsewhere.rglob("*"):
        os.utime(path, (1e9, 1e9))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    run, steps = claimed_study.cells[0]["digest"], []
    shutil.copytree(elsewhere / "runs" / run, elsewhere / "runs" / "copy")  # is not counted, and named
    options = {**published.QUICK, "tell": steps.append}
    again = publish(elsewhere, "study.zip", authors=["Emmy Noether"], license="CC-BY-4.0", **options)
    assert f"runs/copy is a copy of runs/{run}, and is not counted: delete or move it" in steps
    assert again.path.read_bytes() == archive.read_bytes()
    assert again.digest == hashlib.sha256(published.files_of(archive)["SHA256SUMS"]).hexdigest()


def test_entries_tell_no_time_and_no_owner(archive):
    with zipfile.ZipFile(archive) as opened:
        infos = opened.infolist()
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)
    assert {(info.date_time, info.external_attr >> 16, info.create_system, info.extra) for info in infos} == {
        (EPOCH, 0o100644, 3, b"")
    }


def test_plain_tools_read_it(archive, claimed_study, tmp_path, monkeypatch, capsys):
    """`sha256sum` checks the files, and the README's code opens the cube with xarray alone."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path)
    done = processes.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    listed = {line.partition("  ")[2] for line in (tmp_path / "SHA256SUMS").read_text().splitlines()}
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert listed == there - {"SHA256SUMS"}
    readme = (tmp_path / "README.md").read_text()
    described = re.findall(r"^- `(.+?)`: (.+)$", readme.partition("## Files")[2], re.M)
    assert described == [(name, meaning) for name, meaning in MEANINGS.items() if (tmp_path / name).exists()]
    code = re.search(r"```python\n(.*?)```", readme, re.S)[1]
    assert "elastic" not in code
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert "nc1" in capsys.readouterr().out
    xr.testing.assert_identical(
        names["cube"]["collapse/nc1"].drop_attrs().load(), claimed_study.cube["collapse/nc1"].drop_attrs().load()
    )


def test_an_unpacked_archive_is_a_study(archive, claimed_study, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path)
    study = elastic.open_study(tmp_path)
    assert [run.state for run in study.runs()] == ["done", "done"]
    assert [v.to_json() for v in elastic.check(study).verdicts] == [
        v.to_json() for v in elastic.check(claimed_study).verdicts
    ]
    assert published.files_of(archive)["claims_history.json"] == (tmp_path / "claims_history.json").read_bytes()


def test_the_crate_keeps_the_musts_of_its_profile(archive):
    """RO-Crate 1.1 and Process Run Crate 0.5, requirement by requirement."""
    files = published.files_of(archive)
    described = json.loads(files["ro-crate-metadata.json"])
    graph = {one["@id"]: one for one in described["@graph"]}
    assert len(graph) == len(described["@graph"]), "an @id stands once"
    assert described["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    descriptor, root = graph["ro-crate-metadata.json"], graph["./"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert root["@type"] == "Dataset"
    assert root["name"]
    assert root["description"]
    assert root["license"]["@id"] in graph
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", root["datePublished"])
    assert root["conformsTo"] == {"@id": crate.PROFILE}
    assert graph[crate.PROFILE] == {
        "@id": crate.PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"
    }  # fmt: skip
    actions = [one for one in graph.values() if one["@type"] == "CreateAction"]
    assert [{"@id": one["@id"]} for one in actions] == listed(root["mentions"])
    for action in actions:
        assert graph[action["instrument"]["@id"]]["@type"] == "SoftwareApplication"
        assert all(one["@id"] in graph for part in ("object", "result") for one in listed(action[part]))
        for time in (action["startTime"], action["endTime"]):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", time)
    for name, one in graph.items():
        if one["@type"] == "File":
            assert name in files
            assert one.get("sha256", "") == ("" if name == "SHA256SUMS" else hashlib.sha256(files[name]).hexdigest())
    assert set(files) <= set(graph), "every file is described"
    parts = {part["@id"] for one in graph.values() for part in listed(one.get("hasPart", ()))}
    assert set(files) - {"ro-crate-metadata.json"} <= parts


def listed(value):
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else list(value)


@pytest.mark.skipif("ROC_VALIDATOR_PYTHON" not in os.environ, reason="needs roc-validator in a venv of its own")
def test_the_validator_of_crates_finds_nothing(archive, tmp_path):
    import rocrate

    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path)
    context = Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld"
    command = [os.environ["ROC_VALIDATOR_PYTHON"], CRATE_VALIDATOR, context, tmp_path]
    done = processes.run(command)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-2000:]


@pytest.mark.usefixtures("stub_report")
def test_a_recorded_study_says_that_it_cannot_be_run_again(claimed_study, tmp_path):
    study = recorded.recorded(claimed_study.cube, tmp_path / "mine", title="My loop")
    path = publish(study, tmp_path / "mine.zip", **published.QUICK).path
    files = published.files_of(path)
    assert "cannot be run again" in files["README.md"].decode().replace("\n", " ")
    assert "protocol.yaml" not in files
    with zipfile.ZipFile(path) as opened:
        opened.extractall(tmp_path / "unpacked")
    unpacked = elastic.open_study(tmp_path / "unpacked")
    assert (unpacked.recorded, unpacked.digest) == (True, study.digest)
    np.testing.assert_array_equal(unpacked["nc1"].values, study["nc1"].values)


def test_what_cannot_be_published_is_refused(claimed_study, tmp_path, monkeypatch):
    with pytest.raises(OptionError, match=r"end in \.zip, or name a folder"):
        publish(claimed_study, tmp_path / "study.tar")
    with pytest.raises(OptionError, match="anonymous"):
        publish(claimed_study, tmp_path / "a.zip", anonymous=True, authors=["E"])
    folder = tmp_path / "small"
    shutil.copytree(claimed_study.folder, folder)
    (folder / "runs").rename(tmp_path / "runs")
    with pytest.raises(StudyError, match="copying the folder runs"):
        publish(folder, tmp_path / "a.zip")
    (tmp_path / "runs").rename(folder / "runs")
    chunk = next(path for path in (folder / "cube.zarr" / "collapse" / "nc1" / "c").rglob("*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"\0")
    with pytest.raises(Damaged, match="nc1"):
        publish(folder, tmp_path / "a.zip")
    (folder / "manifest.sha256").unlink()
    with pytest.raises(StudyError, match="be sealed"):
        publish(folder, tmp_path / "a.zip")
    monkeypatch.setitem(__import__("sys").modules, "rocrate.rocrate", None)
    with pytest.raises(StudyError, match=r"elastic-collapse\[publish\]"):
        publish(claimed_study, tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip"))
    assert not list(tmp_path.glob(".*.partial"))


def test_times_and_random_names_leave_a_notebook(tmp_path):
    def written(name, uuid, address, when):
        outputs = [
            {"output_type": "stream", "name": "stderr", "text": f"/home/emmy/{when}: warning"},
            {"output_type": "display_data", "data": {"text/html": f"<a id='{uuid}'><b id='{uuid}'> at {address}>"}},
        ]
        cell = {"cell_type": "code", "metadata": {"execution": {"iopub.execute_input": when}}, "outputs": outputs}
        path = tmp_path / name
        path.write_text(json.dumps({"cells": [cell, {"cell_type": "markdown", "metadata": {}}]}))
        settle_notebook(path)
        return path.read_bytes()

    first = written("a", "12345678-1234-4321-8888-123456789abc", "0x7f0123456789", "2026-01-01T00:00:00Z")
    second = written("b", "aaaaaaaa-1234-4321-8888-123456789abc", "0x7fffffffff00", "2027-01-01T00:00:00Z")
    assert first == second
    assert b"emmy" not in first


def test_names_and_authors_have_one_place():
    # Compared as data: a long line that YAML writers fold ends in a space, which a hook of the repository removes.
    assert YAML(typ="safe").load((ROOT / "CITATION.cff").read_text()) == software_citation()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [author["name"] for author in project["authors"]] == list(AUTHORS)
    assert all(author in citation.software() for author in AUTHORS)


def test_the_zip_file_is_whole_or_not_there(tmp_path, monkeypatch):
    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.txt").write_text("a")
    write_zip(tmp_path / "archive", tmp_path / "a.zip")
    before = (tmp_path / "a.zip").read_bytes()
    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(StudyError, match="No space left"):
        write_zip(tmp_path / "archive", tmp_path / "a.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "archive"]
    assert (tmp_path / "a.zip").read_bytes() == before


def test_a_folder_that_cannot_be_replaced_is_kept(tmp_path, monkeypatch):
    for name, text in (("new", b"new"), ("there", b"old")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_bytes(text)
        (tmp_path / name / SUMS).write_bytes(encode_sums(sums_of(tmp_path / name)))
    (tmp_path / "link").symlink_to("there")
    renamed, rename = [], Path.rename

    def fails_once(path, target):
        renamed.append(path)
        if len(renamed) == 2:
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails_once)
    with pytest.raises(StudyError, match="Input/output error"):
        write_folder(tmp_path / "new", tmp_path / "there")
    assert (tmp_path / "there" / "a").read_bytes() == b"old"
    write_folder(tmp_path / "new", tmp_path / "link")
    assert (tmp_path / "there" / "a").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "new", "there"]


def test_a_full_disk_is_named_in_one_line_whatever_the_number_of_files(tmp_path, monkeypatch):
    (tmp_path / "new").mkdir()
    for name in "abc":
        (tmp_path / "new" / name).write_bytes(b"new")

    def full(source, target, **_):
        raise OSError(errno.ENOSPC, "No space left on device", source, None, target)

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StudyError, match=r"writable; found No space left on device; try freeing space on [^/]*$"):
        write_folder(tmp_path / "new", tmp_path / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_published_studies_lie_side_by_side_with_an_index(archive, tmp_path):
    unpack(open_archive(archive), tmp_path / "source")
    for name in ("small", "other"):
        write_folder(tmp_path / "source", tmp_path / "results" / name)
    write_folder(tmp_path / "source", tmp_path / "results" / "small")  # an archive is replaced
    assert not verify_archive(tmp_path / "results" / "small").damaged
    text = write_index(tmp_path / "results").read_text()
    assert text == write_index(tmp_path / "results").read_text()
    digest = hashlib.sha256(published.files_of(archive)["SHA256SUMS"]).hexdigest()
    assert text.count(f"Digest of the archive: `{digest}`.") == 2
    assert "[small](small/report.html)" in text
    assert text.count("locality is above 1 in every hidden layer") == 2
    assert "Every claim was registered before training" in text
    (tmp_path / "results" / "small" / "mine.txt").write_text("mine")
    with pytest.raises(StudyError, match=r"mine\.txt"):
        write_folder(tmp_path / "source", tmp_path / "results" / "small")
    with pytest.raises(StudyError, match="hold published studies"):
        write_index(tmp_path / "source" / "figures")
