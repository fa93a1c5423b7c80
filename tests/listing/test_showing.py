"""`elastic show`: for users, complete, and no wider than the terminal."""

from __future__ import annotations

import io
import re
import shlex

import pytest
from rich.cells import cell_len
from rich.console import Console
from ruamel.yaml import YAML

from elastic.errors import ElasticError
from elastic.listing import description
from elastic.listing.lines import lines_of
from elastic.listing.options import options_of
from elastic.listing.sections import sections
from elastic.protocol import Protocol, load_protocol
from elastic.protocol.claims import complete_claims
from elastic.protocol.shipped import shipped_protocols
from elastic.registry import PACKAGES, registry

#: What `elastic show` showed to developers only.
INNER = ("Parameters", "Returns", "Raises", "generator", "`", ">>>", "elastic.models", "<class", "Facts(")

COMPONENTS = ("data", "models", "losses", "optimizers", "schedules", "probe_schedules", "probes")


def shown(name, width=80, kind=None):
    text = io.StringIO()
    Console(file=text, width=width).print(description(name, kind))
    assert max(cell_len(line) for line in text.getvalue().splitlines()) <= width
    return text.getvalue()


def in_one_line(text):
    return " ".join(text.split())


@pytest.mark.parametrize("kind", PACKAGES)
def test_every_registered_name_is_shown_with_its_options_and_nothing_of_developers(kind):
    for entry in registry(kind):
        text = shown(entry.name, kind=kind)
        for option in options_of(entry):
            assert option.meaning, (entry.name, option.name)
            assert re.search(rf"^{option.name} .*", text, re.MULTILINE), (entry.name, option.name)
        assert not [word for word in INNER if word in text], entry.name
        names = [name for name in entry.parameters if re.search(rf"^{name} {{2,}}", text, re.MULTILINE)]
        assert names == [], entry.name


def test_a_metric_is_shown_with_formula_source_and_place():
    text = in_one_line(shown("nc1"))
    for fact in (
        "tr(Σ_W Σ_B⁺)/K",
        "[papyan2020prevalence]",
        "Prevalence of neural collapse",
        "collapse/nc1",
        "0 or more",
    ):
        assert fact in text


@pytest.mark.parametrize("kind", COMPONENTS)
def test_the_line_to_copy_is_part_of_a_protocol(kind):
    for entry in registry(kind):
        part = YAML(typ="safe").load("\n".join(lines_of(entry)))
        start = {"extends": "quickstart", "name": "copied", "claims": [], **part}
        protocol = load_protocol(start, allow=["package"])
        (section,) = part
        assert entry.name in str(getattr(protocol, section)), entry.name


def test_the_lines_of_claims_and_metrics_are_claims():
    for kind in ("claims", "metrics"):
        for entry in registry(kind):
            lines = lines_of(entry)
            text = "\n".join(lines[lines.index("claims:") :] if kind == "claims" else lines[1:])
            completed, problems = complete_claims(YAML(typ="safe").load(text)["claims"], None)
            assert (len(completed), problems) == (1, []), entry.name


def test_every_part_of_a_protocol_is_shown_with_its_keys_and_an_example():
    assert set(Protocol.model_fields) <= set(sections())
    for name, section in sections().items():
        text = shown(name, kind="sections")
        for key in () if section.keys is None else section.keys.model_fields:
            assert key in ("name", "left_out") or re.search(rf"^{key} ", text, re.MULTILINE), (name, key)
        assert YAML(typ="safe").load(section.example)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", shipped_protocols())
def test_every_protocol_is_shown(name, width):
    protocol, text = load_protocol(name), in_one_line(shown(name, width, kind="protocols"))
    assert in_one_line(protocol.title) in text
    assert text.count("- ") >= len(protocol.claims) > 0
    assert f"{len(protocol.cells)} runs, " in text
    assert all(f"[{key}]" in text for key in protocol.cites)
    assert re.search(r"\bcost .*(second|minute|hour)s?\b", text)


def test_the_commands_of_a_protocol_can_be_pasted(tmp_path):
    path = tmp_path / "a protocol's.yaml"
    path.write_text("extends: quickstart\nname: mine\n")
    lines = [" ".join(line.split()) for line in shown(str(path), 500).splitlines()]
    commands = [line[line.index("elastic ") :].removesuffix(" measures it on this machine") for line in lines[-10:]
                if "elastic " in line]  # fmt: skip
    assert [shlex.split(line)[-1] for line in commands] == [str(path)] * 3


def test_an_unknown_name_is_told_with_the_nearest():
    for name, hint in (("ncl", "'nc1'"), ("Quickstart", "'quickstart'"), ("axis", "'axes'"), ("qqqq", "another name")):
        with pytest.raises(ElasticError, match=re.escape(f"try {hint} (elastic list)")):
            description(name)
