"""Every study in `results` is as it was published, and the index is the one that follows from them."""

import json
import shutil

import pytest
from support.repository import RESULTS

from elastic.errors import Damaged, OptionError
from elastic.publishing.archive import open_archive
from elastic.publishing.folder_writer import write_folder
from elastic.publishing.publish import publish
from elastic.publishing.reproduction import reproduce
from elastic.publishing.results_index import BELOW, check_index, write_index
from elastic.publishing.unpacking import unpack
from elastic.publishing.verification import verify_archive

PUBLISHED = sorted(path.parent for pattern in BELOW for path in RESULTS.glob(pattern))

#: What a reader of the repository finds of every study.
SHOWN = {"report.html", "analysis.ipynb", "claims.json", "protocol.yaml", "study.json", "environment.json"}

#: Bytes of a published study in the repository.
MOST = 10_000_000


def test_published_studies_are_intact_and_the_index_is_theirs():
    assert not PUBLISHED or check_index(RESULTS) == []


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_a_published_study_is_small_and_shows_what_was_found(folder):
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    recorded = "protocol.yaml" not in files
    assert files.keys() >= SHOWN - ({"protocol.yaml"} if recorded else set())
    assert any(name.startswith("figures/") for name in files)
    assert sum(path.stat().st_size for path in files.values()) < MOST
    notebook = json.loads(files["analysis.ipynb"].read_text("utf-8"))
    shown = [one for cell in notebook["cells"] for one in cell.get("outputs", ())]
    assert any("image/png" in one.get("data", {}) for one in shown), "the notebook was executed"


@pytest.fixture
def results(archive, tmp_path):
    """Return a folder of results with one study without its cube."""
    unpack(open_archive(archive), tmp_path / "source")
    write_folder(tmp_path / "source", tmp_path / "results" / "published" / "small", cube=False)
    write_index(tmp_path / "results")
    return tmp_path / "results"


def test_a_folder_without_its_cube_keeps_the_digest_of_the_archive(results, archive):
    folder = results / "published" / "small"
    assert not (folder / "cube.zarr").exists()
    whole, verified = verify_archive(archive), verify_archive(folder, without_cube=True)
    assert (verified.findings, verified.digest, verified.study_digest) == ((), whole.digest, whole.study_digest)
    assert verified.intact + verified.left_out == whole.intact
    assert verified.summary().endswith(f"{verified.left_out} of the cube left out")
    assert verify_archive(folder).damaged, "unless told otherwise, an archive without its cube is damaged"
    assert "(published/small/report.html)" in (results / "README.md").read_text()
    assert "Its cube is not kept here." in (results / "README.md").read_text()
    with pytest.raises(Damaged, match="be as it was published"):
        reproduce(folder)


def forged_verdict(folder):
    result = json.loads((folder / "claims.json").read_text())
    result["claims"][0]["verdict"] = "refuted"
    (folder / "claims.json").write_text(json.dumps(result))


def part_of_the_cube(folder):
    (folder / "cube.zarr").mkdir()
    (folder / "cube.zarr" / "zarr.json").write_text("{}")


def forged_manifest(folder):
    """Another cube is listed, and the list of sums is written anew."""
    from elastic.publishing.listing import encode_sums, sums_of

    sums = {**decoded(folder), **{name: "0" * 64 for name in decoded(folder) if name.endswith("nc1/zarr.json")}}
    (folder / "SHA256SUMS").write_bytes(encode_sums({**sums, **sums_of(folder)}))


def decoded(folder):
    from elastic.publishing.listing import decode_sums

    return decode_sums((folder / "SHA256SUMS").read_bytes())


@pytest.mark.parametrize("change", [forged_verdict, part_of_the_cube, forged_manifest], ids=lambda one: one.__name__)
def test_the_check_names_what_was_changed(results, change):
    assert check_index(results) == []
    change(results / "published" / "small")
    assert check_index(results)


def test_the_check_compares_the_index(results):
    (results / "README.md").write_text((results / "README.md").read_text().replace("locality is", "locality is not"))
    (wrong,) = check_index(results)
    assert "out of date" in wrong
    with pytest.raises(OptionError, match="be given for a folder"):
        publish(results / "published" / "small", results / "a.zip", cube=False)
    shutil.rmtree(results / "published")
    assert check_index(results) == [wrong]
