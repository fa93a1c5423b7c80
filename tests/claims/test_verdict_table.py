"""The table of verdicts says all that counts without colour, at 80 columns."""

import io
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import pytest
from rich.console import Console

from elastic.claims.checked import Checked
from elastic.claims.verdict_table import verdict_table
from elastic.claims.verdicts import Finding, Verdict, unmeasured
from elastic.display.html import claims_html
from elastic.export import latex
from elastic.publishing.results_index import Entry, index_of
from elastic.report.claims_table import claims_table


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


@pytest.mark.parametrize(
    ("ends", "of_programs", "of_print", "of_latex"),
    [
        ((None, -1.0), "-2.00 [-∞, -1.00]", "−2.00 [−∞, −1.00]", r"$-2.00$ $[-\infty,\,-1.00]$"),
        ((-3.0, None), "-2.00 [-3.00, ∞]", "−2.00 [−3.00, ∞]", r"$-2.00$ $[-3.00,\,\infty]$"),
        ((-2.00002, -1.99999), "-2.00000 [-2.00002, -1.99999]", "−2.00000 [−2.00002, −1.99999]", r"$-2.00000$"),
    ],
)
def test_an_effect_and_its_interval_are_spelled_alike_wherever_verdicts_are_shown(
    ends, of_programs, of_print, of_latex, monkeypatch
):
    below = Finding({}, "supported", "", -2.0, *ends, (None, -0.5), 3, [-2.0] * 3, adjusted=(None, -0.75))
    verdict = Verdict("one", "it falls", "he2023law", "slope", {}, "supported", (below,))
    text = printed(replace(CHECKED, verdicts=(verdict,)), width=120)
    assert all(words in text for words in (of_programs, "claimed < -0.500", "adjusted [-∞, -0.750]"))
    assert f"{of_print}; adjusted [−∞, −0.750]" in claims_html([verdict.to_json()], "")
    (claim,) = claims_table(SimpleNamespace(verdicts=[verdict], standing=None, unchecked="", recorded=False)).claims
    (row,) = claim.rows
    assert (row.effect, row.adjusted, row.region) == (of_print, "adjusted [−∞, −0.750]", "below −0.500")
    assert of_print in unescape(
        index_of([Entry("one", "?", (verdict.to_json(),), True, 1.0, 1, "0" * 64, False, False)])
    )
    monkeypatch.setattr(latex, "verdicts_on", lambda *_, **__: (verdict,))
    study = SimpleNamespace(claims=[verdict], facts={"protocol": {"name": "one"}}, name="one", digest="0" * 64)
    assert of_latex in latex.claims_table(study, None)
