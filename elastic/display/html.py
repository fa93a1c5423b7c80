"""The HTML summary of a study in notebooks: no scripts, readable on light and dark backgrounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import xarray as xr

from elastic.analysis.epochs import epoch_label
from elastic.analysis.reading import spelled
from elastic.display.headline import headline, headline_words, of_setting, wide
from elastic.display.numbers import effect_words, typeset, with_interval
from elastic.display.recorded import SOURCE, settings_glance, study_title
from elastic.display.style import STYLE
from elastic.display.verdicts import SIGNS, Verdicts, adjusted_words, fragile_words, read_verdicts
from elastic.errors import ElasticError

#: Most settings of the axes, and most values of an axis, that the summary shows.
SETTINGS, VALUES = 6, 8


def study_html(
    facts: Mapping[str, Any], folder: Path, states: Callable[[], Sequence[str]], cube: Callable[[], xr.DataTree]
) -> str:
    """Return a study's summary as HTML: question, runs, axes, headline numbers, verdicts.

    Parameters
    ----------
    facts
        What ``study.json`` holds: ``protocol``, ``axes``, ``digest``, and ``recorded`` of a recorded study.
    folder
        Folder of the study.
    states
        Returns the state of each run: "waiting", "under way", "interrupted", "done" or "diverged".
    cube
        Returns the cube; runs may be unfinished.

    Returns
    -------
    str
        A ``<div class="elastic-study">``. Damaged records are reported in it; no `ElasticError` is raised.
    """
    protocol = facts["protocol"]
    parts = [_heading(protocol), *_or_note(lambda: [_facts(facts, folder, states())])]
    parts += _or_note(lambda: [*_headline(cube())])
    parts += _claims(read_verdicts(folder, str(facts["digest"]), len(protocol.get("claims") or ())))
    return f'<div class="elastic-study">{STYLE}{"".join(parts)}</div>'


def claims_html(claims: Sequence[Mapping[str, Any]], note: str) -> str:
    """Return verdicts as HTML: a table with one row per claim, or a note instead.

    Parameters
    ----------
    claims
        Claims in the format of ``claims.json``.
    note
        Shown if there are no claims.
    """
    shown = "".join(_claims(Verdicts(tuple(claims), "" if claims else note)))
    return f'<div class="elastic-study">{STYLE}{shown}</div>'


def _or_note(parts: Callable[[], list[str]]) -> list[str]:
    try:
        return parts()
    except ElasticError as error:
        return [f'<p class="note">{escape(str(error))}</p>']


def _heading(protocol: Mapping[str, Any]) -> str:
    question = protocol.get("question")
    asked = f'<p class="question">{escape(str(question).strip())}</p>' if question else ""
    return f'<p class="title"><strong>{escape(study_title(protocol))}</strong></p>{asked}'


def _facts(facts: Mapping[str, Any], folder: Path, states: Sequence[str]) -> str:
    counted = ", ".join(f"{number} {state}" for state, number in Counter(states).items())
    digest = str(facts["digest"])
    rows = [
        ("study", f"<code>{escape(str(facts['protocol']['name']))}</code> in <code>{escape(str(folder))}</code>"),
        *_settings(facts),
        ("runs", f"{len(states)}: {escape(counted)}"),
        *((str(axis), escape(_values(values))) for axis, values in facts["axes"].items()),
        ("digest", f'<code title="{escape(digest)}">{escape(digest[:12])}</code>'),
    ]
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{text}</dd>" for name, text in rows) + "</dl>"


def _settings(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield origin and settings of a recorded study; nothing for a study with a protocol."""
    if facts.get("recorded"):
        yield "source", escape(SOURCE.lower())
        yield from ((name.lower(), escape(text)) for name, text in settings_glance(facts["protocol"]).items())


def _values(values: Sequence[Any]) -> str:
    """Format the values of an axis; of many values only the first.

    >>> _values([0, 0.0005, True]), _values(range(10))
    ('0, 0.0005, true', '0, 1, 2, 3, 4, 5, 6, 7, … (10)')
    """
    texts = [spelled(value) for value in values]
    return ", ".join(texts) if len(texts) <= VALUES else f"{', '.join(texts[:VALUES])}, … ({len(texts)})"


def _headline(cube: xr.DataTree) -> Iterator[str]:
    frame = headline(cube)
    if frame.empty:
        yield '<p class="note">Nothing is probed yet.</p>'
        return
    tables = list(wide(frame, lambda row: typeset(with_interval(row.estimate, row.lower, row.upper))))
    for setting, table in tables[:SETTINGS]:
        where = "".join(f"{axis} = {value}, " for axis, value in setting.items())
        yield _table(f"{where}{headline_words(of_setting(frame, setting))}", table)
    if len(tables) > SETTINGS:
        yield f'<p class="note">… and {len(tables) - SETTINGS} more settings: see the cube.</p>'


def _cells(text: str) -> str:
    """Put estimate and interval into separate columns, so that both align."""
    estimate, _, interval = text.partition(" ")
    return f'<td>{escape(estimate)}</td><td class="interval">{escape(interval)}</td>'


def _table(caption: str, table: Any) -> str:
    columns = "".join(
        f'<th scope="col" colspan="2">{escape(name)}<br>epoch {epoch_label(epoch)}</th>'
        for name, epoch in table.columns
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(str(layer))}</th>' + "".join(map(_cells, cells)) + "</tr>"
        for layer, cells in zip(table.index, table.to_numpy(), strict=True)
    )
    head = f'<thead><tr><th scope="col">layer</th>{columns}</tr></thead>'
    return f'<div class="wide"><table><caption>{escape(caption)}</caption>{head}<tbody>{rows}</tbody></table></div>'


def _claims(verdicts: Verdicts) -> Iterator[str]:
    if verdicts.claims:
        rows = "".join(_claim(claim) for claim in verdicts.claims)
        names = ("claim", "verdict", "effect, 95 % interval", "seeds")
        head = "".join(f'<th scope="col">{name}</th>' for name in names)
        yield f'<div class="wide"><table class="claims"><caption>claims</caption><thead><tr>{head}</tr></thead>'
        yield f"<tbody>{rows}</tbody></table></div>"
    if verdicts.note:
        yield f'<p class="note">Claims: {escape(verdicts.note)}</p>'


def _claim(claim: Mapping[str, Any]) -> str:
    verdict = str(claim["verdict"])
    shown = f'<span class="verdict {escape(verdict)}">{SIGNS.get(verdict, "")} {escape(verdict)}</span>'
    if weak := fragile_words(claim.get("fragile") or ()):
        shown += f'<br><span class="note">{escape(weak)}</span>'
    sentence = f"{escape(str(claim['sentence']))} <cite>{escape(str(claim['source']))}</cite>"
    # Deciding settings first: the table is truncated, and settings that refute a claim must stay in it.
    findings = sorted(claim["findings"], key=lambda finding: finding.get("verdict") != verdict)
    lines = [escape(_effect(finding, len(findings) > 1)) for finding in findings[:SETTINGS]]
    lines += [f"… and {len(findings) - SETTINGS} more"] if len(findings) > SETTINGS else []
    effects = "<br>".join(lines)
    seeds = "<br>".join(escape(str(finding.get("seeds", "–"))) for finding in findings[:SETTINGS])
    return f"<tr><td>{sentence}</td><td>{shown}</td><td>{effects}</td><td>{seeds}</td></tr>"


def _effect(finding: Mapping[str, Any], several: bool) -> str:
    effect, lower, upper = (_number(finding.get(key)) for key in ("effect", "lower", "upper"))
    setting = ", ".join(f"{axis} = {value}" for axis, value in (finding.get("setting") or {}).items())
    plain, decides = (finding.get("lower"), finding.get("upper")), finding.get("adjusted") or (None, None)
    numbers = effect_words(effect, lower, upper, _seeds(finding)), adjusted_words(plain, decides)
    text = finding.get("reason") or "; ".join(map(typeset, filter(None, numbers)))
    sign = f"{SIGNS.get(str(finding.get('verdict')), '')} " if several else ""
    return f"{sign}{setting}: {text}".lstrip() if setting else str(text)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _seeds(finding: Mapping[str, Any]) -> int:
    stated = finding.get("seeds")
    return stated if isinstance(stated, int) else 1
