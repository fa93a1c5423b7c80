"""`elastic verify --repair`: what is whole after it has the numbers that were there; what is lost is said."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import tarfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pydantic
import pytest
import xarray as xr
from click.testing import CliRunner
from support import corruption, processes
from support.sampling import alternating

import elastic
from elastic.cli import cli
from elastic.cube import run_lock
from elastic.protocol import Protocol
from elastic.registry import Entry, registry
from elastic.releases import Added
from elastic.study.repair import places, repair, single_flips
from elastic.study.verification import State, verify

RELEASES = Path(__file__).parents[1] / "releases"

pytestmark = pytest.mark.usefixtures("few_metrics")

#: Attributes that tell where and when elastic ran, which cannot be rebuilt without a sealed cube.
OF_NOW = ("created", "elastic_commit", "machine")


def contents(folder):
    """Return the SHA-256 of all files, locks and leftovers aside."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not corruption.UNCOVERED.search(name := path.relative_to(folder).as_posix())
    }


def numbers(folder):
    """Return what a study's cube holds: by plain xarray if it is sealed, else assembled from the journals."""
    if (folder / "manifest.sha256").exists():
        tree = xr.open_datatree(folder / "cube.zarr", engine="zarr", chunks=None, decode_timedelta=False)
    else:
        tree = elastic.open_study(folder).cube
    return {node.path: node.to_dataset(inherit=False).load() for node in tree.subtree}


def assert_same(found, expected, but=()):
    assert found.keys() == expected.keys()
    for path, group in expected.items():
        xr.testing.assert_equal(found[path], group)
        assert {n: v.attrs for n, v in found[path].variables.items()} == {
            n: v.attrs for n, v in group.variables.items()
        }
        kept = [name for name in group.attrs if name not in but]
        assert {name: found[path].attrs[name] for name in kept} == {name: group.attrs[name] for name in kept}


@pytest.fixture(scope="session")
def known(made):
    """Return a function that gives the numbers of a study of a kind, as it was made."""
    collected = {}
    return lambda kind: collected.get(kind) or collected.setdefault(kind, numbers(made(kind)[0]))


@pytest.fixture
def copy(made, tmp_path):
    """Return a function that copies a study of a kind."""
    return lambda kind: Path(shutil.copytree(made(kind)[0], tmp_path / "copy" / made(kind)[0].name))


def repaired(folder):
    """Repair a study; check what holds of every repair, and return what it said."""
    before = contents(folder)
    done = repair(folder)
    after = contents(folder)
    sealed = ("cube.zarr", "manifest.sha256")
    gone = [n for n, one in before.items() if one not in after.values() and not n.startswith(sealed)]
    assert not [name for name in gone if not name.endswith("status.json")], "a repair deletes nothing"
    again = repair(folder)
    assert done.left.files == again.left.files  # which verified everything, and changed nothing
    assert {one.path for one in again.actions} <= {one.path for one in done.left.damaged}, "nothing to do twice"
    assert contents(folder) == after
    return done


@pytest.mark.parametrize("kind", corruption.MAKERS)
@pytest.mark.parametrize("at_once", [pytest.param(1, marks=pytest.mark.long), 2])
@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.long)])
def test_any_damage_is_repaired_or_said(made, copy, known, monkeypatch, kind, at_once, times):
    """A number never changes."""
    monkeypatch.setattr(single_flips, "LIMIT", 1500)  # seconds for each larger file
    _, files, others = made(kind)
    draw = random.Random(f"{kind} {at_once}")
    for _ in range(times):
        folder = copy(kind)
        changed = {}
        while len(changed) < at_once:
            changed |= corruption.drawn(draw, files, others)[1]
        corruption.put(folder, changed)
        damaged = {one.path for one in verify(folder).damaged}
        done = repaired(folder)
        text = "\n".join(done.lines())
        assert not damaged or done.actions, changed
        if not done.left.damaged and not done.next_step and "lost" not in text and "records cannot be read" not in text:
            assert_same(numbers(folder), known(kind), but=OF_NOW if "those of now" in text else ())
        for name in damaged & set(changed):
            assert name in text or name.rpartition("/")[0] in text or "cube.zarr: sealed anew" in text, (changed, text)
        shutil.rmtree(folder)


def cell_of(folder, number=0):
    return sorted(path.name for path in (folder / "runs").iterdir())[number]


def put_first(folder, name, data):
    """Damage a file of the first run and return its path."""
    name = f"runs/{cell_of(folder)}/{name}"
    corruption.put(folder, {name: data})
    return name


#: What is damaged in a sealed study, and what is said of it; all but the last two have the bytes that they had.
SEALED = {
    "study.json": "study.json: written anew from protocol.yaml; its versions are as the sealed cube has them",
    "protocol.yaml": "protocol.yaml: written anew, as study.json holds it",
    "runs/*/layout.json": "layout.json: written anew",
    "runs/*/journal/records.npz": "records rebuilt from the sealed cube, bit by bit",
    "manifest.sha256": "cube.zarr: sealed anew from the journals",
    "cube.zarr/collapse/nc1/c/0/0/0/0": "cube.zarr: sealed anew from the journals",
    "claims.json": "claims.json: moved to damaged/claims.json: elastic check",
    "cube.zarr/zarr.json": "cube.zarr: sealed anew from the journals",
    "runs/*/checkpoint.pt": "lost: the last weights of the run; its records are whole",
    "runs/*/status.json": "status.json: written anew from the records; on what machine",
}


@pytest.mark.parametrize(("name", "damage"), alternating(SEALED, (b"", None)))
def test_a_sealed_study_has_its_numbers_again(copy, known, made, name, damage):
    folder, before = copy("sealed"), made("sealed")[1]
    name = name.replace("*", cell_of(folder))
    corruption.put(folder, {name: damage})
    if name == "claims.json" and damage is None:
        assert not verify(folder).damaged
        return
    done = repaired(folder)
    assert SEALED[name.replace(cell_of(folder), "*")] in "\n".join(done.lines())
    assert not done.left.damaged
    assert not done.next_step
    assert_same(numbers(folder), known("sealed"))
    if not name.startswith(("cube.zarr", "manifest", "claims")) and not name.endswith(("checkpoint.pt", "status.json")):
        assert (folder / name).read_bytes() == before[name]
    if damage is not None:
        assert (folder / "damaged" / name).read_bytes() == damage


def test_one_flipped_bit_is_restored(copy, made):
    folder, before = copy("sealed"), made("sealed")[1]
    for name in ("protocol.yaml", "cube.zarr/collapse/nc1/c/0/0/0/0", f"runs/{cell_of(folder)}/status.json"):
        flipped = before[name][:9] + bytes([before[name][9] ^ 4]) + before[name][10:]
        corruption.put(folder, {name: flipped})
        assert "one flipped bit restored, in byte 9: the SHA-256 fits" in "\n".join(repaired(folder).lines())
        assert (folder / name).read_bytes() == before[name]
        assert (folder / "damaged" / name).read_bytes() == flipped


@pytest.mark.parametrize("name", ["study.json", "runs/*/layout.json", "runs/*/journal/records.npz", "manifest.sha256"])
def test_a_recorded_study_has_its_numbers_again(copy, known, name):
    folder = copy("recorded")
    corruption.put(folder, {name.replace("*", cell_of(folder)): b""})
    done = repaired(folder)
    assert not done.left.damaged
    assert_same(numbers(folder), known("recorded"))


def exchange_records(folder):
    first, second = (f"runs/{cell_of(folder, n)}/journal/records.npz" for n in (0, 1))
    corruption.put(folder, {first: (folder / second).read_bytes(), second: (folder / first).read_bytes()})


def exchange_folders(folder):
    first, second = (folder / "runs" / cell_of(folder, n) for n in (0, 1))
    first.rename(folder / "other")
    second.rename(first)
    (folder / "other").rename(second)


class Killed(BaseException):
    """Ends a repair as a kill does: nothing handles it."""


@pytest.fixture
def killed(monkeypatch):
    """Return a function that calls another one, and ends it before its n-th call that moves or writes a file."""

    def call(number, function):
        left = [number]

        def dying(move):
            def moved(*args, **kwargs):
                left[0] -= 1
                if left[0] == 0:
                    raise Killed
                return move(*args, **kwargs)

            return moved

        with monkeypatch.context() as patched:
            for name in ("rename", "replace"):
                patched.setattr(os, name, dying(getattr(os, name)))
            try:
                function()
            except Killed:
                return True
        return False

    return call


DAMAGE = {
    "records exchanged": ("recorded", exchange_records),
    "folders exchanged": ("recorded", exchange_folders),
    "study.json lost": ("under way", lambda folder: corruption.put(folder, {"study.json": b""})),
    "layout.json lost": ("sealed", lambda folder: put_first(folder, "layout.json", b"")),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_repair_that_was_killed_anywhere_goes_on(copy, made, killed, name):
    kind, damage = DAMAGE[name]
    for number in (1, 2, 3, 5, 8, 16):
        folder = copy(kind)
        damage(folder)
        if not killed(number, lambda folder=folder: repair(folder)):
            break
        repair(folder)
        result = corruption.covered(folder)
        wrong = [path for path, data in made(kind)[1].items() if result.get(path) != data]
        assert wrong in ([], ["study.json"] if kind == "under way" else []), number  # its versions are those of now
        assert not (folder / places.MOVING).exists()
        shutil.rmtree(folder)
    assert number > 2
    assert not verify(folder).damaged


def test_a_run_that_another_process_owns_is_left_as_it_is(copy):
    folder = copy("sealed")
    name = put_first(folder, "status.json", b"{")
    with run_lock((folder / name).parent):
        done = repair(folder)
        assert [str(one).partition(" owns it")[0].split(": ", 1)[0] for one in done.actions] == [str(Path(name).parent)]
        assert (folder / name).read_bytes() == b"{"
        assert [one.path for one in done.left.damaged] == [name]
    assert not repair(folder).left.damaged


def run_again(folder):
    return elastic.run(folder / "protocol.yaml", out=folder.parent)


@pytest.fixture(scope="module")
def finished(few_metrics, made, tmp_path_factory):
    """Return the numbers of the study that is under way, run to its end."""
    folder = Path(shutil.copytree(made("under way")[0], tmp_path_factory.mktemp("finished") / "damaged"))
    run_again(folder)
    return numbers(folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [("journal/000002.npz", "the record of epoch 2 is lost: the run is trained anew and compared"),
     ("journal/000003.npz", "the record of epoch 3 is lost"),
     ("checkpoint.pt", "lost: the run is trained anew, and its records are compared"),
     ("layout.json", "layout.json: written anew as the protocol asks; every record fits it")],
)  # fmt: skip
def test_a_study_under_way_ends_with_the_numbers_that_it_would_have_had(copy, finished, name, said):
    folder = copy("under way")
    run = next(path.parents[1] for path in folder.glob("runs/*/journal/000002.npz"))
    (run / name).write_bytes(b"damaged")
    done = repaired(folder)
    assert said in "\n".join(done.lines())
    assert not done.left.damaged
    assert (name == "layout.json") != done.next_step.startswith("elastic run ")
    run_again(folder)
    assert not verify(folder).damaged
    assert_same(numbers(folder), finished)


def test_study_json_is_that_of_the_runs_where_a_later_release_has_another_default(copy, made, monkeypatch):
    """`fresh` came later and means something else by default: the runs were begun without it."""
    known = registry("models").get("mlp")
    fields = {option: (field.annotation, field) for option, field in known.options.model_fields.items()}
    fields["fresh"] = (Annotated[str | None, Added("9.0.0", before=None)], "new")
    entry = Entry("models", "mlp", known.function, known.facts)
    entry.__dict__["options"] = pydantic.create_model("mlp", __config__=known.options.model_config, **fields)
    for kind in ("sealed", "under way"):
        folder = copy(kind)
        began = json.loads((folder / "study.json").read_text())
        (folder / "study.json").unlink()
        with monkeypatch.context() as later:
            later.setitem(registry("models")._entries, "mlp", entry)
            assert elastic.load_protocol(folder / "protocol.yaml").digest != began["digest"]
            assert not repaired(folder).left.damaged
        facts = json.loads((folder / "study.json").read_text())
        assert (facts["digest"], facts["cells"], facts["text"]) == (began["digest"], began["cells"], began["text"])
        shutil.rmtree(folder)


def test_a_protocol_that_was_extended_since_the_seal_is_kept(copy, tmp_path):
    """The manifest lists the text before the extension: the new one is right, and study.json is made from it."""
    folder = copy("sealed")
    text = (folder / "protocol.yaml").read_text().replace("seed: [0, 1]", "seed: [0, 1, 2]")
    (tmp_path / "more.yaml").write_text(text)
    with pytest.raises(KeyboardInterrupt):
        elastic.run(tmp_path / "more.yaml", out=folder.parent, watch=corruption.StopIn(0, 1))
    before = (folder / "study.json").read_bytes()
    (folder / "study.json").write_bytes(before[:-9])
    assert {one.path for one in verify(folder).damaged} == {"study.json"}
    done = repaired(folder)
    assert not done.left.damaged
    assert (folder / "protocol.yaml").read_text() == text
    assert Protocol.from_canonical(json.loads((folder / "study.json").read_text())["protocol"]).axes.seed == [0, 1, 2]


def test_of_two_recordings_with_the_same_coordinates_the_sealed_cube_tells_the_stranger(copy, made, known):
    other = made("recorded")[2]
    for name in ("status.json", "journal/records.npz"):
        folder = copy("recorded")
        recordings = sorted(n for n in other if n.endswith(name))
        alike = next(n for n in recordings if (folder / n).exists())
        (folder / alike).write_bytes(other[alike])
        assert [one.path for one in verify(folder).damaged] == [alike]
        assert not repaired(folder).left.damaged
        assert_same(numbers(folder), known("recorded"))
        shutil.rmtree(folder)


def test_the_lost_seal_of_a_study_that_leaves_a_run_out_is_missed(copy):
    folder = copy("under way")
    elastic.open_study(folder).seal(leaving_out=[{"seed": 1}])
    before = numbers(folder)
    (folder / "manifest.sha256").unlink()
    assert [str(one) for one in verify(folder).damaged] == ["manifest.sha256: missing"]
    assert not repaired(folder).left.damaged
    assert_same(numbers(folder), before)


def test_the_command_says_what_it_did_and_exits_with_4_if_damage_is_left(copy, monkeypatch):
    folder = copy("recorded, under way")
    invoke = CliRunner().invoke
    assert invoke(cli, ["verify", str(folder)]).exit_code == 0
    for path in folder.glob("runs/*/run.json"):
        path.write_bytes(b"")
    result = invoke(cli, ["verify", str(folder), "--repair", "--json"])
    assert (result.exit_code, json.loads(result.stdout)["damaged"]) == (0, False)
    (folder / "study.json").unlink()
    shutil.rmtree(folder / "runs")
    (folder / "runs").mkdir()
    (folder / "runs/0123456789abcdef").mkdir()
    (folder / "runs/0123456789abcdef/run.json").write_bytes(b"")
    result = invoke(cli, ["verify", str(folder), "--repair"])
    assert result.exit_code == 4
    assert "still study.json: missing" in result.output
    assert np.all([one.state is not State.INTACT for one in verify(folder).damaged])


def test_exchanged_records_of_an_earlier_release_never_replace_the_sealed_cube(tmp_path):
    """They name no run: the cube, whose files are as they were sealed, tells that they are exchanged."""
    with tarfile.open(RELEASES / "08cf3fc/sealed.tar.xz") as archive:
        archive.extractall(tmp_path / "little", filter="data")
    folder = tmp_path / "little"
    assert not verify(folder).damaged
    before = contents(folder / "cube.zarr")
    first, second = (f"runs/{cell_of(folder, n)}/journal/000001.npz" for n in (0, 1))
    corruption.put(folder, {first: (folder / second).read_bytes(), second: (folder / first).read_bytes()})
    done = repair(folder)
    assert [one.path for one in done.left.damaged] == ["runs"]
    assert "other numbers than the sealed cube" in "\n".join(done.lines())
    assert contents(folder / "cube.zarr") == before


ENDLESS = {"a pipe": os.mkfifo, "a link": lambda path: path.symlink_to("/dev/zero")}


@pytest.mark.parametrize("put", ENDLESS.values(), ids=ENDLESS)
def test_what_never_ends_in_the_place_of_a_chunk_is_moved_and_read_by_nobody(copy, known, put):
    folder = copy("recorded")
    chunk = next(path for path in sorted((folder / "cube.zarr/collapse/nc1/c").rglob("*")) if path.is_file())
    chunk.unlink()
    put(chunk)
    with processes.time_limit(60):
        assert not repaired(folder).left.damaged
        assert_same(numbers(folder), known("recorded"))
