"""One changed byte in study.json or protocol.yaml: the numbers stay under their labels, or an error names the file."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from pathlib import Path

import pytest
import xarray as xr
from support import studies

import elastic
from elastic.errors import Damaged, StudyError
from elastic.protocol.cells import cell_digests
from elastic.protocol.sections import Sections
from elastic.study import Study, description
from elastic.study.creation import make_study

FLIPS = 300

#: Two axes, so that cells can be exchanged within each and across both.
GRID = ("axes.decay={path: optimizer.weight_decay, values: [0.0, 0.01]}", "training.epochs=2", *studies.NO_PROBES)


def plain_cube(folder):
    """Return the sealed numbers by group and variable, read with nothing but xarray."""
    tree = xr.open_datatree(folder / "cube.zarr", engine="zarr", chunks=None, decode_times=False)
    return {node.path: node.to_dataset(inherit=False).load() for node in tree.subtree}


def same_numbers(found, expected):
    groups = {node.path: node.to_dataset(inherit=False).load() for node in found.subtree}
    assert groups.keys() == expected.keys()
    for path, group in groups.items():
        xr.testing.assert_equal(group, expected[path])


def changed(raw, draw):
    """Return bytes in which one, at a random place, has one flipped bit or is any other."""
    place = draw.randrange(len(raw))
    other = (
        raw[place] ^ (1 << draw.randrange(8)) if draw.random() < 0.5 else (raw[place] + draw.randrange(1, 256)) % 256
    )
    return raw[:place] + bytes([other]) + raw[place + 1 :]


def contents(folder):
    return studies.contents(folder, "cube.zarr/**/*") | studies.contents(folder, "manifest.sha256")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    return studies.run(tmp_path_factory.mktemp("sealed"), *GRID).folder


@pytest.fixture
def folder(sealed, tmp_path):
    shutil.copytree(sealed, tmp_path / "results/small")
    return tmp_path / "results/small"


@pytest.fixture(params=["of today", "of an earlier release"])
def facts(folder, request):
    """Return the path of a study.json, with its checksum and without one."""
    path = folder / "study.json"
    if request.param == "of an earlier release":
        description = json.loads(path.read_text())
        del description["sha256_of"], description["sha256"]
        path.write_text(json.dumps(description, indent=1) + "\n")
    return path


def again(folder):
    return studies.run(folder.parents[1], *GRID)


def opened(folder):
    """Return everything that the commands read of a study."""
    study = Study(folder)
    return study.digest, study.name, study.facts["axes"], [(r.cell, r.coordinates, r.state) for r in study.runs()]


def test_a_changed_byte_of_study_json_never_changes_what_is_read(facts, folder):
    raw, draw = facts.read_bytes(), random.Random(0)
    expected, before, files = plain_cube(folder), opened(folder), contents(folder)
    refused, named = 0, set()
    for _ in range(FLIPS):
        facts.write_bytes(damaged := changed(raw, draw))
        try:
            result = opened(folder)
            cube = Study(folder).cube
        except StudyError as error:
            refused += 1
            named.add(Path(error.place))
            continue
        assert result == before, damaged
        same_numbers(cube, expected)
    assert refused > FLIPS / 2
    assert named <= {facts, folder / "protocol.yaml"}
    assert contents(folder) == files


def test_running_again_with_a_changed_byte_keeps_the_cube_or_tells(folder):
    facts, draw = folder / "study.json", random.Random(1)
    raw, before = facts.read_bytes(), contents(folder)
    outcomes = []
    for _ in range(20):
        facts.write_bytes(changed(raw, draw))
        try:
            again(folder)
            outcomes.append("whole")
        except Damaged as error:
            outcomes.append(error.place)
        assert contents(folder) == before
        facts.write_bytes(raw)
    assert set(outcomes) <= {"whole", str(facts)}
    assert outcomes.count("whole") > 10


def rewritten(path, change):
    """Change the parsed file by hand, as someone does who makes a new checksum, too."""
    description = json.loads(path.read_text())
    change(description)
    if "sha256" in description:
        description["sha256"] = "0" * 64
        text = json.dumps(description, indent=1) + "\n"
        path.write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()))
    else:
        path.write_text(json.dumps(description))


def exchange_digests(description):
    first, second, *_ = description["cells"]
    first["digest"], second["digest"] = second["digest"], first["digest"]


def flip_a_digest(description):
    digest = description["cells"][1]["digest"]
    description["cells"][1]["digest"] = f"{int(digest, 16) ^ 1:016x}"


def exchange_coordinates(description):
    first, second, *_ = description["cells"]
    first["coordinates"], second["coordinates"] = second["coordinates"], first["coordinates"]


CHANGES = {
    "digests exchanged": exchange_digests,
    "digest of another run": flip_a_digest,
    "coordinates exchanged": exchange_coordinates,
    "a cell left out": lambda description: description["cells"].pop(),
    "labels reversed": lambda description: description["axes"]["decay"].reverse(),
    "digest of the study": lambda description: description.update(digest=description["digest"][::-1]),
    "another protocol": lambda description: description["protocol"]["optimizer"].update(lr=0.2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_cells_are_those_of_the_protocol_whatever_study_json_lists(facts, folder, change):
    before, expected = contents(folder), plain_cube(folder)
    rewritten(facts, CHANGES[change])
    with pytest.raises(Damaged, match=r"study\.json: .* try deleting it and running its protocol again") as caught:
        Study(folder).runs()
    assert caught.value.exit_code == 4
    if change == "another protocol":  # whose digest is still there
        assert "a digest of another protocol" in str(caught.value)
    same_numbers(again(folder).cube, expected)
    assert studies.contents(folder, "cube.zarr/**/c/**/*") == {p: s for p, s in before.items() if "/c/" in p}


def test_a_damaged_study_json_is_written_as_it_was_by_its_protocol(folder, monkeypatch):
    """Where it was made is read in the sealed cube: the machine of today may be another."""
    monkeypatch.setattr(description, "provenance", dict)
    before = studies.contents(folder)
    raw = (folder / "study.json").read_bytes()
    for damaged in (raw.replace(b'"seed"', b'"sead"'), raw[: len(raw) - 200], raw.replace(b"sha256_of", b"sha257_of")):
        (folder / "study.json").write_bytes(damaged)
        again(folder)
        assert studies.contents(folder) == before
    for lost in ("study.json", "protocol.yaml"):
        (folder / lost).unlink()
        again(folder)
        assert studies.contents(folder) == before


def test_a_damaged_study_json_of_another_protocol_is_left_as_it_is(folder):
    facts = folder / "study.json"
    facts.write_bytes(facts.read_bytes().replace(b'"seed"', b'"sead"'))
    before = studies.contents(folder)
    with pytest.raises(Damaged, match=r"study\.json"):
        studies.run(folder.parents[1], *GRID, "optimizer.lr=0.2")
    assert studies.contents(folder) == before


def test_a_changed_byte_of_protocol_yaml_is_told_and_never_certified(folder):
    path, draw = folder / "protocol.yaml", random.Random(2)
    raw, before = path.read_bytes(), contents(folder)
    for attempt in range(60):
        path.write_bytes(changed(raw, draw))
        for read in (Study, elastic.check, again) if attempt < 10 else (Study,):
            with pytest.raises(Damaged, match=r"protocol\.yaml: .*study\.json.* try .*deleting it"):
                read(folder)
    (folder / "manifest.sha256").unlink()
    with pytest.raises(Damaged):
        again(folder)
    assert not (folder / "manifest.sha256").exists()
    assert before.keys() - contents(folder).keys() == {"manifest.sha256"}


@pytest.mark.parametrize("name", ["study.json", "protocol.yaml"])
def test_damage_while_the_study_is_open_is_not_sealed(folder, name):
    study = Study(folder)
    (folder / "manifest.sha256").unlink()
    raw = (folder / name).read_bytes()
    (folder / name).write_bytes(raw.replace(b"small", b"smell", 1))
    with pytest.raises(Damaged, match=name):
        study.seal()
    assert not (folder / "manifest.sha256").exists()


def test_a_study_that_was_extended_meanwhile_is_not_sealed_as_it_was(folder):
    study = Study(folder)
    studies.run(folder.parents[1], *GRID, "axes.seed=[0, 1, 2]")
    before = contents(folder)
    with pytest.raises(StudyError, match="another process has begun there since; try one protocol with all values"):
        study.seal()
    assert contents(folder) == before


def test_protocol_yaml_edited_in_place_is_run_as_any_other(folder, sealed):
    path = folder / "protocol.yaml"
    path.write_text(path.read_text().replace('"seed": [\n   0,\n   1\n  ]', '"seed": [\n   0,\n   1,\n   2\n  ]'))
    study = elastic.run(path, out=folder.parent)
    assert study.cube["training"]["seed"].values.tolist() == [0, 1, 2]
    assert path.read_bytes() != (sealed / "protocol.yaml").read_bytes()


def test_the_way_out_of_another_protocol_names_no_restart(folder):
    with pytest.raises(StudyError, match="--set name=small-2") as caught:
        studies.run(folder.parents[1], *GRID, "optimizer.lr=0.2")
    assert "--restart" not in str(caught.value)


def test_an_earlier_release_that_lacks_an_option_keeps_its_cells(folder):
    """A canonical protocol without an option of today: cells are named by what is stored."""
    description = json.loads((folder / "study.json").read_text())
    del description["protocol"]["data"]["superclasses"], description["sha256_of"], description["sha256"]
    text = json.dumps(description["protocol"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    description["digest"] = hashlib.sha256(text.encode()).hexdigest()
    for cell in description["cells"]:
        settings = {k: description["protocol"][k] for k in ("data", "model", "loss", "optimizer", "training", "probes")}
        settings["optimizer"] = settings["optimizer"] | {"weight_decay": cell["coordinates"]["decay"]}
        settings |= {"seed": cell["coordinates"]["seed"]}
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        cell["digest"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    (folder / "study.json").write_text(json.dumps(description))
    assert [cell["digest"] for cell in Study(folder).cells] == [cell["digest"] for cell in description["cells"]]


def test_an_axis_over_an_option_that_the_canonical_form_leaves_out(tmp_path):
    axis = "axes.cut={path: probes.collapse.rank_tolerance, values: [null, 0.001], labels: [own, set]}"
    protocol = elastic.load_protocol(studies.write(tmp_path), settings=[axis])
    study = make_study(tmp_path / "small", protocol)
    assert [cell["digest"] for cell in study.cells] == [cell.digest for cell in protocol.cells]


def test_shipped_protocols_derive_the_cells_that_are_run(tmp_path):
    paths = sorted((Path(elastic.__file__).parents[1] / "protocols").glob("*.yaml"))
    assert paths
    for path in paths:
        protocol = elastic.load_protocol(path)
        sections = {name: protocol.canonical()[name] for name in Sections.model_fields}
        assert list(cell_digests(sections, protocol.grid)) == [cell.digest for cell in protocol.cells], path
