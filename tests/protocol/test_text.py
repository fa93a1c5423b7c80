"""Files and `--set` values that are no protocols, before anything is known of their meaning."""

import os

import pytest
from ruamel.yaml import YAML

from elastic.errors import ProtocolError
from elastic.protocol import load_protocol
from elastic.protocol.positions import Place
from elastic.protocol.text import MAX_BYTES, read_file, read_setting
from elastic.protocol.yaml_tree import read_tree


def tree_of(text):
    return read_tree(text, lambda line, column: Place(0, line + 1, column + 1, f"{line + 1}:{column + 1}"))


def value_of(text):
    return tree_of(f"x: {text}").data["x"]


@pytest.mark.parametrize(
    ("content", "found", "place"),
    [
        (b"", "an empty file", "a.yaml"),
        (b"# nothing but a comment\n", "an empty file", "a.yaml"),
        (b"null", "an empty file", "a.yaml"),
        (b"- a\n- b\n", "['a', 'b']", "a.yaml:1:1"),
        (b"just words", "'just words'", "a.yaml:1:1"),
        (b"name: a\ntitle: \xff", "the byte 0xff", "a.yaml:2:8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "the byte 0x89", "a.yaml:1:1"),
        (b"name: a\nti\x00tle: b", "'\\x00'", "a.yaml:2:3"),
        (b"a: " + b"x" * MAX_BYTES, "more", "a.yaml"),
        (b"a: [1, 2", "expected ',' or ']'", "a.yaml:1:9"),
        (b"a: b: c", "mapping values are not allowed", "a.yaml:1:5"),
        (b"name: a\n\ttitle: b", "'\\t'", "a.yaml:2:1"),
        (b'a: "\\U00110000"', "chr()", "a.yaml:1:1"),
        (b'a: "\\UFFFFFFFF"', "a part that is not", "a.yaml:1:1"),
        (b"%YAML 9999.1\n---\na: 1", "", "a.yaml:1:1"),
        (b"name: a\nb: *c", "'*c'", "a.yaml:2:4"),
        (b"name: &anchor a", "'&anchor'", "a.yaml:1:7"),
        (b"a: &b [*b]", "'&b'", "a.yaml:1:4"),
        (b"name: !!python/object/apply:os.system [ls]", "python/object", "a.yaml:1:7"),
        (b"a: 1\nb: 2\na: 3\n", "it again (first at", "a.yaml:3:1"),
        (b"x: {a: 1, a: 1}", "it again (first at", "a.yaml:1:11"),
        (b"a: 1\n---\nb: 1\n", "a second one", "a.yaml:2:1"),
        (b"%YAML 1.1\n---\na: yes\n", "a directive", "a.yaml:2:1"),
        (b"%TAG ! tag:x,2000:\n---\na: 1\n", "a directive", "a.yaml:2:1"),
        (b"1: a", "'1'", "a.yaml:1:1"),
        (b"? [a]\n: b", "a mapping or list", "a.yaml:1:3"),
        (b"~: a", "'~'", "a.yaml:1:1"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_plain_mapping_is_refused_at_its_place(files, content, found, place):
    error = files.refuse(content)
    assert isinstance(error, ProtocolError)
    assert found in error.found
    assert error.place == place


@pytest.mark.parametrize("error", [TypeError("of the parser"), AttributeError("of the parser")])
def test_an_error_of_the_parser_is_a_mistake_in_the_text(error, monkeypatch):
    monkeypatch.setattr(YAML, "parse", lambda self, text: exec("raise error", {"error": error}))
    with pytest.raises(
        ProtocolError, match=r"the protocol should be YAML 1\.2; found a part that is not .of the parser"
    ):
        tree_of("a: 1")


@pytest.mark.parametrize("opening", ["[", "- ", "[{a: ", "{a: ["])
def test_thousands_of_levels_are_refused(files, opening):
    error = files.refuse(opening * 5_000)
    assert "32 levels" in error.expected


@pytest.mark.parametrize("opening", ["{", "? "])
def test_a_mapping_is_no_key_however_deep(files, opening):
    assert files.refuse(opening * 5_000).field == "a key"


def test_32_levels_are_read_and_33_are_not(files):
    assert tree_of("[" * 32 + "]" * 32).data == eval("[" * 32 + "]" * 32)
    with pytest.raises(ProtocolError, match="at most 32 levels"):
        tree_of("[" * 33 + "]" * 33)


def test_what_is_no_regular_file_is_refused_without_opening_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, result in [
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "something else"),
        (tmp_path / "missing.yaml", "no such file or directory"),
        (tmp_path / "a.yaml" / "b", "no such file or directory"),
        (str(tmp_path / "nul\0l"), "null"),
        (tmp_path / ("long" * 200), "file name too long"),
    ]:
        with pytest.raises(ProtocolError) as caught:
            load_protocol(path)
        assert result in caught.value.found
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_path_of_odd_bytes_can_be_printed(tmp_path):
    with pytest.raises(ProtocolError) as caught:
        load_protocol(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml"))
    str(caught.value).encode()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_refused(files, base):
    files.path.write_text(base)
    files.path.chmod(0)
    with pytest.raises(ProtocolError, match="permission denied"):
        load_protocol(files.path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("5.0e-4", 0.0005), ("1.", 1.0), ("-.5", -0.5), ("+3", 3), ("017", 17), ("0o17", 15),
        ("0x1F", 31), ("1_000", 1000), ("true", True), ("False", False), ("yes", "yes"), ("on", "on"), ("~", None),
        ("", None), ("null", None), ("'null'", "null"), ('"1"', "1"),
        ("2001-01-01", "2001-01-01"), ("1:30", "1:30"), ("=", "="), (str(2**63 - 1), 2**63 - 1), ("ä", "ä"),
        ('"a\\nb"', "a\nb"), ("|\n  one\n  two\n", "one\ntwo\n"),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2_has_them(text, value):
    read = value_of(text)
    assert read == value
    assert type(read) is type(value)


def test_there_is_one_zero():
    assert str(value_of("-0.0")) == "0.0"


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a:\t1\nb: \t x", {"a": 1, "b": "x"}), ("a:\n  b:\t[1,\t2]\t# c\n", {"a": {"b": [1, 2]}}),
        ("-\ta\n- \tb", ["a", "b"]),
        ("a:\t\n\t\n  b: 1\n\t# c\n", {"a": {"b": 1}}), ("a\t:\t'x\ty'\t", {"a": "x\ty"}),
        ("a: x\ty \t z\t\n", {"a": "x\ty \t z"}),
        ("a:\t|\n  x\ty\n", {"a": "x\ty\n"}), ("a: x\t\n  y\n", {"a": "x y"}), ("?\ta\n:\tb", {"a": "b"}),
        ("a: 1\t", {"a": 1}),
    ],
)  # fmt: skip
def test_tabs_separate_as_spaces_do(text, data):
    assert tree_of(text).data == data


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("\ta: 1", "1:1"),
        ("a:\n\tb: 1", "2:1"),
        ("a:\n  b: 1\n \tc: 2", "3:2"),
        ("a: x\n\ty", "2:1"),
        ("a:\n\t- b", "2:1"),
    ],
)
def test_tabs_do_not_indent(text, place):
    with pytest.raises(ProtocolError, match="try spaces in place of the tab") as caught:
        tree_of(text)
    assert caught.value.place == place


@pytest.mark.parametrize("text", ["-\t- a", "a:\t- b", "-\tb: 1\n  c: 2", "a:\tb:\tc"])
def test_no_block_begins_behind_a_tab(text):
    with pytest.raises(ProtocolError, match="not allowed here"):
        tree_of(text)


@pytest.mark.parametrize("text", ["<<: {a: 1}", "<<: *x", "b: 1\n<<: [{a: 1}]", "{<<: {a: 1}}"])
def test_merge_keys_are_told_for_what_they_are(text):
    with pytest.raises(ProtocolError, match=r"no merge keys .*YAML 1\.1.*; try writing the merged keys out") as caught:
        tree_of(text)
    assert caught.value.place in ("1:1", "1:2", "2:1")


def test_quoted_it_is_text_as_any_other():
    assert tree_of("a: <<\n'<<': 1").data == {"a": "<<", "<<": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".nan", "finite"), (".inf", "finite"), ("-.INF", "finite"), ("1e400", "finite"), ("9" * 5_000, "64 bits"),
        (str(2**63), "64 bits"), ("0x" + "F" * 5_000, "64 bits"), ("-_", "be a number"), ('"\\0"', "printable"),
        ('"\\uD800"', "printable"), ('"\\e"', "printable"),
    ],
)  # fmt: skip
def test_scalars_that_no_protocol_can_mean_are_refused(text, expected):
    with pytest.raises(ProtocolError) as caught:
        value_of(text)
    assert expected in caught.value.expected
    assert caught.value.field == "`x`"
    assert caught.value.place == "1:4"
    assert len(str(caught.value)) < 250


def test_places_are_those_of_keys_and_values():
    places = tree_of("a: 1\nb:\n  c: [x, {d: y}]\n").places
    result = {path: (place.line, place.column) for path, place in places.values.items()}
    assert result == {
        (): (1, 1), ("a",): (1, 4), ("b",): (3, 3), ("b", "c"): (3, 6), ("b", "c", 0): (3, 7), ("b", "c", 1): (3, 10),
        ("b", "c", 1, "d"): (3, 14),
    }  # fmt: skip
    assert {path: (place.line, place.column) for path, place in places.keys.items()} == {
        ("a",): (1, 1), ("b",): (2, 1), ("b", "c"): (3, 3), ("b", "c", 1, "d"): (3, 11),
    }  # fmt: skip


def test_a_byte_order_mark_and_windows_lines_change_nothing(files, base):
    plain = files.load(base)
    assert files.load(b"\xef\xbb\xbf" + base.replace("\n", "\r\n").encode()).digest == plain.digest


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("training.epochs=5", ("training", "epochs"), 5),
        ("axes.seed=[0,1]", ("axes", "seed"), [0, 1]),
        (" a . b = x=y", ("a", "b"), "x=y"),
        ("loss={name: mse}", ("loss",), {"name": "mse"}),
        ("probes.collapse=null", ("probes", "collapse"), None),
    ],
)
def test_a_setting_is_a_path_and_one_yaml_value(setting, path, value):
    read, tree = read_setting(setting)
    assert (read, tree.data) == (path, value)


@pytest.mark.parametrize(
    "setting", ["", "x", "=1", "a..b=1", ".a=1", "a.=1", "a=", "a=[1", "a=&x 1", "a=\0", "a=1\n---\n2", "a=.nan",
                "a=" + "[" * 50, ".".join("a" * 40) + "=1"],
)  # fmt: skip
def test_a_setting_that_is_none_is_refused_as_it_was_typed(setting):
    with pytest.raises(ProtocolError) as caught:
        read_setting(setting)
    assert caught.value.place.startswith("--set")
    assert "\n" not in str(caught.value)


def test_the_folder_of_a_study_is_told_by_its_protocol(tmp_path):
    (tmp_path / "protocol.yaml").write_text("name: a")
    with pytest.raises(ProtocolError) as caught:
        read_file(tmp_path)
    assert caught.value.hint == f"{tmp_path}/protocol.yaml"
