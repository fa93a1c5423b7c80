"""An anonymous archive holds no name, host, commit or path in any file, however it is stored there."""

import base64
import json
import re
import zipfile
import zlib

import pytest
import xarray as xr
from support import published

from elastic.errors import OptionError
from elastic.notebook.cells import cells
from elastic.publishing.identity_words import Anonymizer, anonymizer
from elastic.publishing.notebook_outputs import settle_notebook
from elastic.publishing.publish import publish
from elastic.publishing.verification import verify_archive
from elastic.study import Study

USER, HOST, COMMITTER = "enoether7", "goettingen-gpu4", "Emmy Amalie Noether"
HIDDEN = ("emmy", "noether")

#: A PNG file in base64: no path and no text begins like this.
PICTURE = rb"iVBORw0KGgo[A-Za-z0-9+/]+={0,2}"


def cells_with_one_figure(study, place):
    """Yield the cells of a notebook without all figures but the first, which take seconds in a kernel."""
    is_drawn = False
    for cell in cells(study, place):
        is_figure = cell.text.startswith("study.plot.")
        if not (is_figure and is_drawn):
            yield cell
        is_drawn |= is_figure


def settled_without_warnings(path):
    """Settle a notebook, which takes warnings out of it, once it is seen that there are none."""
    shown = [one for cell in json.loads(path.read_text())["cells"] for one in cell.get("outputs", ())]
    assert {one["output_type"] for one in shown} == {"execute_result"}, "no error, no warning, nothing printed"
    settle_notebook(path)


def published_by_a_user_with_a_name(study, path):
    """Publish a study anonymously, its notebook executed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USER", USER)
        patch.setattr("elastic.notebook.writing.cells", cells_with_one_figure)
        patch.setattr("elastic.publishing.publish.settle_notebook", settled_without_warnings)
        patch.setattr("socket.gethostname", lambda: HOST)
        patch.setattr("elastic.publishing.identity_words.git_identity", lambda folder: [COMMITTER, "emmy@uni.example"])
        return publish(study, path, anonymous=True, hide=HIDDEN, figures=["training_curves"])


@pytest.fixture(scope="module")
def anonymous(claimed_study, tmp_path_factory):
    """Return an anonymous archive of a study, and what publishing it told."""
    path = tmp_path_factory.mktemp("anonymous") / "first.zip"
    return path, published_by_a_user_with_a_name(claimed_study, path)


def everything_in(name, data):
    """Yield the bytes of a file, and what is packed in them: base64, compressed streams.

    Pictures are left out of the bytes: among a hundred thousand letters of base64 any name of four comes by chance.
    """
    yield re.sub(PICTURE, b"", data)
    for result in re.findall(rb"[A-Za-z0-9+/]{40,}={0,2}", data):
        try:
            yield base64.b64decode(result[: len(result) // 4 * 4])
        except ValueError:
            continue
    if name.endswith(".pdf"):
        for stream in re.findall(rb"stream\r?\n(.*?)endstream", data, re.S):
            try:
                yield zlib.decompress(stream)
            except zlib.error:
                continue


def test_no_file_holds_a_name(anonymous, claimed_study):
    first, _ = anonymous
    commit = claimed_study.facts["provenance"]["elastic_commit"].rstrip("+")
    secrets = [*HIDDEN, USER, HOST, "amalie", "uni.example", "/home/emmy", str(claimed_study.folder.parent)]
    secrets += [commit] if commit else []
    for name, data in published.files_of(first).items():
        for part in everything_in(name, data):
            text = part.decode("utf-8", "replace").lower()
            assert [secret for secret in secrets if secret.lower() in text] == [], name
    assert "noether" in claimed_study.facts["text"].lower(), "the study itself names her"


def test_labels_and_attributes_of_the_cube_hold_none(anonymous, tmp_path):
    with zipfile.ZipFile(anonymous[0]) as opened:
        opened.extractall(tmp_path)
    cube = xr.open_datatree(tmp_path / "cube.zarr", engine="zarr", decode_timedelta=False)
    for node in cube.subtree:
        dataset = node.to_dataset()
        result = [dataset.attrs, *(v.attrs for v in dataset.variables.values())]
        labels = [v.values.tolist() for v in dataset.variables.values() if v.dtype.kind in "UO"]
        assert "noether" not in json.dumps([result, labels], default=str).lower()
    assert cube.attrs["elastic_commit"] == ""
    assert cube.attrs["title"] == "A small study of anonymous anonymous <address-removed>"


def test_the_numbers_and_the_verdicts_are_those_of_the_study(anonymous, claimed_study, tmp_path):
    with zipfile.ZipFile(anonymous[0]) as opened:
        opened.extractall(tmp_path)
    study = Study(tmp_path)
    for name, node in claimed_study.cube.children.items():
        xr.testing.assert_identical(
            study.cube[name].to_dataset().drop_attrs().load(), node.to_dataset().drop_attrs().load()
        )
    mine = [(one["name"], one["verdict"]) for one in published.json_of(anonymous[0], "claims.json")["claims"]]
    assert len(mine) == 2
    assert study.digest != claimed_study.digest, "the title named the author"
    assert study.protocol.digest == study.digest, "and follows from the protocol that is told"


def test_it_is_an_archive_as_any_other_with_a_digest_of_its_own(anonymous, archive):
    first, done = anonymous
    verified = verify_archive(first)
    assert (verified.findings, verified.digest) == ((), done.digest)
    assert verified.digest != verify_archive(archive).digest
    files = published.files_of(first)
    notebook = json.loads(files["analysis.ipynb"])
    shown = [one for cell in notebook["cells"] for one in cell.get("outputs", ())]
    assert any("image/png" in one.get("data", {}) for one in shown), "the notebook was executed"
    assert b"double-blind" in files["README.md"]


@pytest.mark.long
def test_an_archive_whose_notebook_is_executed_again_has_the_same_bytes(anonymous, claimed_study, tmp_path):
    """Without a notebook that is executed, tests/publishing/test_archive.py compares bytes whenever the tests run."""
    published_by_a_user_with_a_name(claimed_study, tmp_path / "second.zip")
    assert (tmp_path / "second.zip").read_bytes() == anonymous[0].read_bytes()


def test_words_that_the_study_needs_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("USER", "adam")
    monkeypatch.setattr("socket.gethostname", lambda: "localhost")
    monkeypatch.setattr("elastic.publishing.identity_words.git_identity", lambda folder: ["X"])
    result = anonymizer(tmp_path, ["0123abc+", ""], {"adam", "nc1"}, ["Hilbert"])
    assert set(result.words) >= {"hilbert", "0123abc"}
    assert not {"adam", "x", "localhost", ""} & set(result.words)
    with pytest.raises(OptionError, match="does not need"):
        anonymizer(tmp_path, [], {"adam"}, ["Adam"])
    with pytest.raises(OptionError, match="an empty one"):
        anonymizer(tmp_path, [], set(), [" "])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("by Emmy", "by anonymous"),
        ("EMMY's", "anonymous's"),
        ("dilemmy and emmys", "dilemmy and emmys"),
        ("a_emmy_b", "a_anonymous_b"),
        ("~/nets/a.yaml", "path-removed"),
        ("~emmy/nets", "path-removed"),
        ("/mnt/lab/data.npz, then", "path-removed, then"),
        (r"C:\Users\E\data.npz", "path-removed"),
        ("https://doi.org/10.1/x", "https://doi.org/10.1/x"),
        ("collapse/nc1 and 1/2", "collapse/nc1 and 1/2"),
        ("e.n@uni.example.org", "address-removed"),
        ("müller@uni.example", "address-removed"),
        ("git@host.example:emmy/nets.git", "address-removed"),
        ("see https://github.com/some-one/nets.", "see address-removed"),
        ("ORCID 0000-0002-1825-009X", "ORCID address-removed"),
        ("on 10.20.0.7:8786", "on address-removed:8786"),
        ("torch 2.13.0 and 1,797", "torch 2.13.0 and 1,797"),
        ("/usr/share/datasets/fashion-mnist", "/usr/share/datasets/fashion-mnist"),
        ("file:///mnt/lab/a.npz", "path-removed"),
        ("\\\\server\\lab\\a.npz", "path-removed"),
    ],
)
def test_texts_lose_names_paths_and_addresses(text, expected):
    assert Anonymizer(("emmy",)).text(text) == expected


def test_a_name_is_found_in_every_form():
    """Composed and decomposed letters, line breaks between names, and what JSON and HTML make of them."""
    cleaner = Anonymizer(("renée o'neill",))
    for text in ("Renée O'Neill", "Rene\u0301e O'Neill", "RENÉE\n  O'NEILL"):
        assert cleaner.text(text) == "anonymous"
    for text in ("Rene\u0301e O'Neill", json.dumps("renée o'neill"), "renée o&#x27;neill"):
        assert cleaner.found_in(text.encode()), text


def test_parts_of_a_name_are_taken_out_and_words_of_elastic_are_not(tmp_path, monkeypatch):
    """A surname stands alone in a title; a user called Max is told that formulas keep the word."""
    monkeypatch.setenv("USER", "max")
    monkeypatch.setattr("socket.gethostname", lambda: "localhost")
    names = ["Emmy Page-Noether", "emmy@uni.example"]
    monkeypatch.setattr("elastic.publishing.identity_words.git_identity", lambda folder: names)
    result = anonymizer(tmp_path, [], set(), ["torch"])
    assert result.text("E. Page-Noether (Emmy), max_k v_k") == "E. anonymous (anonymous), max_k v_k"
    assert "max" in result.kept
    assert "torch" in result.words, "what the user asks for is searched for"
