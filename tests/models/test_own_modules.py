"""Modules beside the protocol: found without being on Python's path, and never in place of another."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from elastic.errors import ElasticError, NotAllowed
from elastic.models.external import resolve
from elastic.models.own_modules import import_own
from elastic.protocol.allowed import allow_beside
from elastic.registry import registry
from elastic.study.executors.attempts import Work
from elastic.study.executors.worker import Settings, prepare

NAMES = ("beside_net", "beside_part", "beside_package", "beside_claim")


@pytest.fixture(autouse=True)
def _forgotten():
    """Leave Python's path and modules as they were; the path is compared."""
    path = list(sys.path)
    yield
    assert sys.path == path
    for name in [name for name in sys.modules if name.partition(".")[0] in NAMES]:
        del sys.modules[name]


def write(folder, value):
    """Write a module that imports another one beside it, when it is imported and when it is called."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "beside_part.py").write_text(f"VALUE = {value}\n")
    (folder / "beside_net.py").write_text("import beside_part\n\ndef make():\n    return beside_part.VALUE\n")
    return folder


def test_a_module_beside_the_protocol_is_found(tmp_path):
    allowed = allow_beside(["beside_net"], write(tmp_path, 1))
    assert resolve("beside_net:make", allowed)() == 1
    with pytest.raises(ElasticError, match="should be importable"):
        resolve("beside_net2:make", allow_beside(["beside_net2"], tmp_path))


def test_what_lies_beside_is_not_thereby_allowed(tmp_path):
    with pytest.raises(NotAllowed):
        resolve("beside_part:VALUE", allow_beside(["beside_net"], write(tmp_path, 1)))
    assert "beside_part" not in sys.modules


def test_a_package_beside_the_protocol_is_found(tmp_path):
    (tmp_path / "beside_package").mkdir()
    (tmp_path / "beside_package/__init__.py").write_text("")
    (tmp_path / "beside_package/nets.py").write_text("def make():\n    return 3\n")
    assert resolve("beside_package.nets:make", allow_beside(["beside_package"], tmp_path))() == 3


def test_two_protocols_in_two_folders_have_modules_of_their_own(tmp_path):
    for value in (1, 2, 1):
        folder = write(tmp_path / str(value), value)
        assert resolve("beside_net:make", allow_beside(["beside_net"], folder))() == value


@pytest.mark.parametrize("name", ["rich", "time", "json", "elastic"])
def test_a_clash_with_an_installed_module_is_told(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("def make(): ...\n")
    with pytest.raises(
        ElasticError, match=f"`{name}` should name one module; found also .*; try another name for "
    ) as text:
        resolve(f"{name}:make", allow_beside([name], tmp_path))
    assert str(tmp_path / f"{name}.py") in str(text.value)


def test_a_folder_that_is_on_the_path_is_no_clash(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(write(tmp_path, 4))
    assert resolve("beside_net:make", allow_beside(["beside_net"], tmp_path))() == 4
    monkeypatch.undo()


def test_a_module_that_is_elsewhere_only_is_imported_from_there(tmp_path):
    assert import_own("json.decoder", tmp_path).__name__ == "json.decoder"


def test_workers_are_told_of_the_folder(tmp_path):
    """A worker and a task of dask are handed what is pickled here, and get ready as here."""
    (tmp_path / "beside_claim.py").write_text(
        "from elastic.claims.contract import claim\n\n"
        "@claim(source='he2023law', sentence='')\ndef beside_claim(selection): ...\n"
    )
    work = Work(tmp_path / "runs", allow_beside(["beside_claim"], tmp_path))
    prepare(pickle.loads(pickle.dumps(Settings(work, ("beside_claim",)))))
    assert "beside_claim" in registry("claims").names()
    del registry("claims")._entries["beside_claim"]


def test_the_folder_of_allowed_modules_is_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (name,) = allow_beside(["a"], Path())
    assert name.folder == tmp_path
