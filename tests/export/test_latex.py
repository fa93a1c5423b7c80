r"""LaTeX tables: the study's numbers, every character set as it reads, a document that compiles."""

from __future__ import annotations

import re
import shutil

import pytest
from support import altered, processes

from elastic.display.headline import headline
from elastic.export import export
from elastic.export.latex_text import escaped, number

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""

CLAIMS = [
    {"name": "below", "variable": "nc1", "layer": "penultimate", "threshold": 100.0},
    {"name": "collapse_deepens_with_depth", "metric": "nc1"},
]


def tex(study, folder):
    return {path.name: path.read_text(encoding="utf-8") for path in export(study, ["latex"], folder)}


def rows(text):
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    return [
        [cell.strip() for cell in line.removesuffix(r" \\").split(" & ")] for line in body.splitlines() if "&" in line
    ]


def claiming(study, change=None):
    return altered.Altered(study.folder, change, claims=CLAIMS, title="A \\title{} with_100% & more", name="small")


def test_the_headline_has_a_row_a_layer_with_the_numbers_of_the_headline(finished_study, tmp_path):
    result = rows(tex(finished_study, tmp_path)["headline.tex"])
    frame = headline(finished_study.cube)
    assert [row[0] for row in result[::2]] == [escaped(layer) for layer in frame["layer"].drop_duplicates()]
    last = frame[(frame["layer"] == "penultimate") & (frame["epoch"] == 6) & (frame["variable"] == "nc1")].iloc[0]
    assert float(result[-4][2].strip("$")) == pytest.approx(last["estimate"], rel=5e-3)
    ends = [float(end) for end in re.findall(r"[\d.]+", result[-3][2])]
    assert ends == pytest.approx([last["lower"], last["upper"]], rel=5e-3)
    assert result[0][5:] == ["--", "--"]  # locality of the input


def test_one_seed_has_a_row_a_layer_and_no_interval(finished_study, tmp_path):
    alone = altered.Altered(finished_study.folder, lambda group: group.isel(seed=[0]))
    text = tex(alone, tmp_path)["headline.tex"]
    assert len(rows(text)) == 4
    assert "[" not in text.partition(r"\midrule")[2]


def test_a_swept_study_has_its_settings_once_each(finished_study, tmp_path):
    study = altered.Altered(finished_study.folder, altered.swept("weight_decay", ["a_b", "c&d"]))
    text = tex(study, tmp_path)["headline.tex"]
    assert [row[0] for row in rows(text) if row[0]] == [r"a\_b", r"c\&d"]
    assert text.count(r"\midrule") == 2
    assert r"weight\_decay & layer" in text


def test_every_row_has_the_columns_of_its_table(finished_study, tmp_path):
    study = claiming(finished_study, altered.swept("weight_decay", ["a_b", "c&d"]))
    for text in tex(study, tmp_path).values():
        columns = re.search(r"\\begin\{tabular\}\{@\{\}(.*)@\{\}\}", text)[1]
        count = len(re.sub(r"\{[^}]*\}", "", columns))
        assert {len(row) for row in rows(text)} == {count}


def test_claims_stand_with_verdict_source_and_seeds(finished_study, tmp_path):
    result = rows(tex(claiming(finished_study), tmp_path)["claims.tex"])
    verdicts = [row[1] for row in result]
    assert verdicts[0] == "supported"
    assert len(verdicts) == 2
    assert all(r"\cite{" in row[0] for row in result)
    assert result[0][3] == "2"


def test_without_claims_there_is_no_table_of_claims(finished_study, tmp_path):
    assert set(tex(finished_study, tmp_path)) == {"headline.tex"}


def test_the_file_says_where_its_numbers_are_from(finished_study, tmp_path):
    head = tex(finished_study, tmp_path)["headline.tex"].partition(r"\begin")[0]
    assert all(line.startswith("%") for line in head.strip().splitlines())
    assert finished_study.digest in head


def test_a_title_of_many_lines_stays_a_comment(finished_study, tmp_path):
    study = altered.Altered(finished_study.folder, title="one\ntwo\r\\input{three}")
    head = tex(study, tmp_path)["headline.tex"].partition(r"\begin")[0]
    assert all(line.startswith("%") for line in head.strip().splitlines())


GREEK = "αβγδεζηθικλμνξοπρςστυφχψω ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ ϵϕ"
SIGNS = "≤ ≥ ≠ ≈ ± × · − – — … → ← ∞ √ ∂ ∇ ∑ ∈ ‖ ⟨ ⟩ ′ ℓ ° ² ³ ⁺ ⁻ ¹ ₀ ₁ “x” ‘y’"
ASCII = "".join(map(chr, range(32, 127)))


def test_what_is_escaped_is_ascii_and_has_no_bare_command():
    text = escaped(GREEK + SIGNS + ASCII)
    assert text.isascii()
    plain = re.sub(r"\\ensuremath\{(?:[^{}]|\{[^{}]*\})*\}|\\[a-z]+\{\}|\\[&%$#_{}]", "", text)
    assert not set(plain) & set("&%$#_{}\\^")


@pytest.mark.parametrize(
    ("result", "tex_told"),
    [("1.20e+05", r"$1.20 \times 10^{5}$"), ("-0.5 [-1, 2e-03]", r"$-0.5$ $[-1,\,2 \times 10^{-3}]$"), ("–", "--")],
)
def test_numbers_are_mathematics(result, tex_told):
    assert number(result) == tex_told


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_everything_compiles(finished_study, tmp_path):
    study = claiming(finished_study, altered.swept("µ_axis", ["α ≤ β", "100 % & more \\ ~^<>|"]))
    parts = list(tex(study, tmp_path).values())
    assert len(parts) == 2
    (tmp_path / "all.tex").write_text(DOCUMENT % "\n\n".join([*parts, escaped(GREEK), escaped(SIGNS), escaped(ASCII)]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = processes.run(command, cwd=tmp_path, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
