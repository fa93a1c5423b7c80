"""`elastic new`: what it writes means what it started from, and every option in its comments is one."""

from __future__ import annotations

import re
import resource

import pytest

from elastic.errors import ElasticError
from elastic.listing.starts import slug_of, write_start
from elastic.protocol import load_protocol
from elastic.protocol.shipped import shipped_protocols
from elastic.registry import registry

#: An option in a comment: `  # norm: none  # …`.
OPTION = re.compile(r"^( *)# ([a-z_]+: .*)$", re.MULTILINE)


def meaning(path):
    protocol = load_protocol(path).canonical()
    return {key: value for key, value in protocol.items() if key != "name"}


@pytest.mark.parametrize("name", shipped_protocols())
def test_a_start_means_what_its_protocol_does(tmp_path, name):
    path = write_start(tmp_path / "mine.yaml", name)
    assert load_protocol(path).name == "mine"
    assert meaning(path) == meaning(shipped_protocols()[name])
    # Two kinds of lines name files of this machine, however long their paths are: that of the schema, and commands.
    lines = path.read_text().splitlines()[1:]
    comments = [line for line in lines if line.lstrip().startswith("#") and str(path) not in line]
    assert max(map(len, comments)) <= 120


def test_every_option_in_a_comment_can_be_taken_in(tmp_path):
    path = write_start(tmp_path / "mine.yaml")
    before = meaning(path)
    text = path.read_text()
    body = text.index("data:")
    path.write_text(text[:body] + OPTION.sub(r"\1\2", text[body:]))
    assert path.read_text() != text
    assert meaning(path) == before


def test_every_option_of_its_parts_is_named(tmp_path):
    text = write_start(tmp_path / "mine.yaml").read_text()
    protocol = load_protocol("quickstart").canonical()
    named = set(re.findall(r"^ *(?:# )?([a-z_]+):", text, re.MULTILINE))
    for section in ("data", "model", "loss", "optimizer", "training", "probes"):
        assert set(protocol[section]) | {section} <= named
    for kind, name in (("probes", "collapse"), ("probes", "elasticity"), ("models", "mlp")):
        assert set(registry(kind).get(name).options.model_fields) <= named


def test_a_start_from_a_protocol_that_extends_another_holds_all_of_it(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "extends: quickstart\nname: base\noptimizer: {name: adam}\ntraining: {epochs: 3}\n"
    )
    path = write_start(tmp_path / "mine.yaml", str(tmp_path / "base.yaml"))
    assert meaning(path) == meaning(tmp_path / "base.yaml")
    assert "extends" not in path.read_text()


def test_a_file_that_is_there_is_kept(tmp_path):
    (tmp_path / "mine.yaml").write_text("kept")
    with pytest.raises(ElasticError, match=r"`FILE` should be a new file; found .*mine\.yaml, which exists"):
        write_start(tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == "kept"


@pytest.mark.parametrize(
    ("file", "start", "words"),
    [
        ("mine.txt", "quickstart", r"should end in \.yaml; found '.*mine\.txt'; try .*mine\.yaml"),
        ("a/mine.yaml", "quickstart", r"should be in an existing folder; found .*; try mkdir -p"),
        ("日本.yaml", "quickstart", "should have a name of a-z and 0-9"),
        ("mine.yaml", "quickstrat", "try 'quickstart'"),
        ("", "quickstart", "should be a new file; found .*, which is a folder; try .*mine"),
        (".yaml", "quickstart", "have a name of a-z and 0-9"),
    ],
)
def test_what_cannot_be_begun_leaves_nothing(tmp_path, file, start, words):
    with pytest.raises(ElasticError, match=words):
        write_start(tmp_path / file, start)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_part_of_a_protocol(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(ElasticError, match=r"`mine\.yaml` should be writable; found File too large; try a higher"):
            write_start(tmp_path / "mine.yaml")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_suffix_is_added_and_the_study_is_called_like_the_file(tmp_path):
    path = write_start(tmp_path / "My study")
    assert path.name == "My study.yaml"
    assert load_protocol(path).name == slug_of("My study") == "my-study"
