"""The table of verdicts says all that counts without colour, at 80 columns."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from elastic.claims.checked import Checked
from elastic.claims.verdict_table import verdict_table
from elastic.claims.verdicts import Finding, Verdict, unmeasured


def finding(verdict, setting=None, reason="", left_out=0):
    per_seed = [1.4, 1.5, 1.6] + [None] * left_out
    return Finding(setting or {}, verdict, reason, 1.5, 1.25, 1.75, (1.0, None), 3, per_seed)


CHECKED = Checked(
    "little",
    "0" * 64,
    (
        Verdict("one", "nc1 falls with depth", "he2023law", "factor of nc1", {}, "supported", (finding("supported"),)),
        Verdict("two", "locality is above 2", "he2020local", "locality", {}, "refuted",
                (finding("supported", {"layer": "hidden_1"}),
                 finding("refuted", {"layer": "penultimate"}, left_out=1))),
        Verdict("three", "fuzziness is low", "he2023law", "", {}, "inconclusive", (unmeasured("not measured"),)),
    ),
)  # fmt: skip


def printed(checked, width=80):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(verdict_table(checked))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_claim_is_told_with_its_verdict_effect_interval_threshold_seeds_and_source(width):
    text = printed(CHECKED, width)
    for words in (
        "1 supported, 1 refuted, 1 inconclusive", "✓ supported", "✗ refuted", "? inconclusive", "[he2023law]",
        "nc1 falls with depth", "1.50 [1.25, 1.75]", "claimed > 1.00", "3 seeds", "not measured",
    ):  # fmt: skip
        assert words in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= width


def test_a_notebook_shows_every_claim_as_a_row():
    shown = CHECKED._repr_html_()
    assert shown.count("<tr>") == 1 + len(CHECKED.verdicts)
    for words in (
        "✓ supported", "✗ refuted", "? inconclusive", "<cite>he2023law</cite>", "locality is above 2",
        "✗ layer = penultimate: 1.50 [1.25, 1.75]", "not measured",
    ):  # fmt: skip
        assert words in shown
    assert "has no claims" in Checked("little", "0", ())._repr_html_()


def test_a_notebook_shows_the_settings_that_refute_a_claim_first():
    result = (
        *(finding("supported", {"layer": f"hidden_{i}"}) for i in range(9)),
        finding("refuted", {"layer": "last"}),
    )
    shown = Checked("s", "0", (Verdict("a", "b", "c", "d", {}, "refuted", result),))._repr_html_()
    assert shown.index("✗ layer = last") < shown.index("✓ layer = hidden_0")
    assert "… and 4 more" in shown


def test_the_repr_counts_the_verdicts():
    assert repr(CHECKED) == "<Checked 'little': 1 supported, 1 refuted, 1 inconclusive>"
    assert repr(Checked("little", "0", ())) == "<Checked 'little': nothing claimed>"


def test_each_setting_has_its_own_mark():
    (line,) = [line for line in printed(CHECKED).splitlines() if "penultimate" in line]
    assert line.split()[:2] == ["✗", "penultimate"]
    assert "3 of 4 seeds" in line


def test_a_study_without_claims_is_told_what_to_do():
    assert "--claims FILE" in printed(Checked("little", "0", ()))


def test_the_interval_that_decides_and_fragile_verdicts_are_told_everywhere():
    result = replace(finding("supported"), adjusted=(1.125, 1.875))
    verdict = Verdict("a", "b", "c", "d", {}, "supported", (result,), "typical seed", 0.99, "supported", (1,))
    checked = Checked("s", "0", (verdict,))
    for text in (" ".join(printed(checked).split()), checked._repr_html_()):
        for words in ("1.50 [1.25, 1.75]", "adjusted [1.12, 1.88]", "fragile: another verdict without seed 1"):
            assert words in text
    assert "typical seed" in printed(checked)
