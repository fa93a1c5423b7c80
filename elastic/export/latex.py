r"""Headline and claims as LaTeX tables for ``\input``; they need only booktabs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import xarray as xr

from elastic import __version__
from elastic.analysis.epochs import epoch_label
from elastic.claims.checking import verdicts_on
from elastic.claims.verdicts import Finding, Verdict
from elastic.display.headline import headline, headline_words, wide
from elastic.display.numbers import effect_words, with_interval
from elastic.display.recorded import study_title
from elastic.display.verdicts import adjusted_words
from elastic.export.latex_text import escaped, number
from elastic.export.writing import whole
from elastic.study import Study

HEADLINE, CLAIMS = "headline.tex", "claims.tex"


def write_latex(study: Study, cube: xr.DataTree, folder: Path) -> Iterator[Path]:
    """Write the headline and the claims of a study as LaTeX tables and yield the files.

    The claims are checked on the current cube.
    """
    texts = {HEADLINE: headline_table(study, cube), CLAIMS: claims_table(study, cube)}
    for name, text in texts.items():
        if text:
            with whole(folder / name) as partial:
                partial.write_text(text, encoding="utf-8")
            yield folder / name


def headline_table(study: Study, cube: xr.DataTree) -> str:
    """Return the headline of a study as a LaTeX table; "" if nothing of it was measured."""
    frame = headline(cube)
    parts = list(wide(frame, lambda row: with_interval(row.estimate, row.lower, row.upper)))
    if not parts:
        return ""
    axes = list(parts[0][0])
    columns = list(parts[0][1].columns)
    left = len(axes) + 1
    body: list[str] = []
    for setting, table in parts:
        body += [r"\midrule"] if body else []
        labels = [escaped(str(value)) for value in setting.values()]
        for layer, cells in zip(table.index, table.to_numpy(), strict=True):
            body += _layer([*labels, escaped(str(layer))], cells)
            labels = [""] * len(labels)  # a setting is a heading above its layers
    variables = [(name, len(list(group))) for name, group in groupby(name for name, _ in columns)]
    heads = [
        row([*[""] * left, *(rf"\multicolumn{{{span}}}{{c}}{{{escaped(name)}}}" for name, span in variables)]),
        rules([span for _, span in variables], left),
        row([*map(escaped, axes), "layer", *(f"epoch {epoch_label(epoch)}" for _, epoch in columns)]),
    ]
    return tabular(study, headline_words(frame), "l" * left + "c" * len(columns), heads, body)


def _layer(labels: Sequence[str], cells: Sequence[str]) -> Iterator[str]:
    """Yield a layer's estimates and below them its intervals; side by side they are too wide for a page."""
    parts = [cell.partition(" ") for cell in cells]
    yield row([*labels, *(number(estimate) for estimate, _, _ in parts)])
    if any(interval for _, _, interval in parts):
        small = [rf"{{\scriptsize {number(interval)}}}" if interval else "" for _, _, interval in parts]
        yield row([*[""] * len(labels), *small])
        yield r"\addlinespace[2pt]"


def claims_table(study: Study, cube: xr.DataTree) -> str:
    """Return the claims of a study with their verdicts as a LaTeX table; "" if it makes none."""
    claimed = study.claims
    if not claimed:
        return ""
    heads = [row(["claim", "verdict", r"effect, 95\,\% interval", "seeds"])]
    verdicts = verdicts_on(cube, claimed, study=study)
    body = [line for verdict in verdicts for line in (*_claim(verdict), r"\addlinespace")][:-1]
    return tabular(study, "95 % t intervals over seeds", r"p{0.4\linewidth}lp{0.22\linewidth}r", heads, body)


def _claim(verdict: Verdict) -> Iterator[str]:
    """Yield a row for each setting of a claim; the first holds the sentence."""
    first = escaped(verdict.sentence) + (rf"~\cite{{{verdict.source}}}" if verdict.source else "")
    for finding in verdict.findings:
        setting = ", ".join(f"{axis} = {value}" for axis, value in finding.setting.items())
        where = f"{escaped(setting)}: " if setting else ""
        effect = escaped(finding.reason) if finding.effect is None else _effect(finding)
        yield row([first, escaped(finding.verdict), rf"{{\raggedright {where}{effect}\par}}", str(finding.seeds)])
        first = ""


def _effect(finding: Finding) -> str:
    effect = number(effect_words(finding.effect, finding.lower, finding.upper, finding.seeds))
    decides = adjusted_words((finding.lower, finding.upper), finding.adjusted).removeprefix("adjusted ")
    return f"{effect}; adjusted {number(decides)}" if decides else effect


def row(cells: Sequence[str]) -> str:
    r"""Format a row of a table.

    LaTeX would read a bracket or an asterisk at its beginning as an option of the command before, such as ``\\``.

    >>> print(row(["layer", "$1$"]), row(["[64, 64]", "$1$"]))
    layer & $1$ \\ {}[64, 64] & $1$ \\
    """
    text = " & ".join(cells) + r" \\"
    return f"{{}}{text}" if text.startswith(("[", "*")) else text


def rules(spans: Sequence[int], left: int) -> str:
    r"""Return the partial rules below headings that span columns.

    >>> print(rules([2, 2], left=1))
    \cmidrule(lr){2-3}\cmidrule(lr){4-5}
    """
    ends = [left + sum(spans[: n + 1]) for n in range(len(spans))]
    return "".join(rf"\cmidrule(lr){{{end - span + 1}-{end}}}" for end, span in zip(ends, spans, strict=True))


def tabular(study: Study, what: str, columns: str, heads: Sequence[str], body: Sequence[str]) -> str:
    """Return a complete table with a comment on the origin of its numbers."""
    title = " ".join(study_title(study.facts["protocol"]).split())
    lines = [
        f"% {title}",
        f"% study {study.name}, digest {study.digest}, elastic {__version__}",
        f"% {what}; needs \\usepackage{{booktabs}}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *heads,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"
