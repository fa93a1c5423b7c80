"""Style sheet of the HTML summary.

All colours are the page's text colour with reduced opacity, so that the summary is readable on any background:
JupyterLab, VS Code and plain pages each have their own dark mode, and a notebook cannot detect which one applies. Only
verdicts set both text and background colour (blue and vermilion, distinct for colour-blind readers). JupyterLab floats
the terms of definition lists, which the grid of the summary overrides.
"""

from __future__ import annotations

STYLE = """<style>
.elastic-study{font-size:.92em;line-height:1.4;overflow-wrap:anywhere}
.elastic-study p{margin:.3em 0;max-width:60em}
.elastic-study .title{font-size:1.15em}
div.elastic-study>dl{display:grid;grid-template-columns:max-content 1fr;gap:.1em 1em;margin:.6em 0}
.elastic-study dt,.elastic-study .note,.elastic-study caption,.elastic-study cite,.elastic-study .interval{opacity:.72}
.elastic-study dl>dt,.elastic-study dl>dd{display:block;float:none;width:auto;margin:0;padding:0;overflow-wrap:normal}
.elastic-study dl>dd{overflow-wrap:anywhere}
.elastic-study .wide{overflow-x:auto;overflow-wrap:normal;margin:.9em 0}
.elastic-study table{border-collapse:collapse;margin:0;font-size:1em;font-variant-numeric:tabular-nums}
.elastic-study caption{caption-side:top;text-align:left;padding:0 0 .3em}
.elastic-study tr,.elastic-study th,.elastic-study td{background:none;color:inherit}
.elastic-study th,.elastic-study td{text-align:right;vertical-align:baseline;padding:.2em .4em;white-space:nowrap}
.elastic-study thead th+th{text-align:center}
.elastic-study th:first-child,.elastic-study .claims th,.elastic-study .claims td{text-align:left}
.elastic-study .claims td:first-child{white-space:normal;min-width:16em;max-width:40em}
.elastic-study thead th{border-bottom:1px solid currentColor;font-weight:600}
.elastic-study tbody th{font-weight:400}
.elastic-study tbody tr+tr>*{border-top:1px solid rgba(128,128,128,.25)}
.elastic-study .interval{font-size:.85em;text-align:left;padding-left:0}
.elastic-study .verdict{padding:.05em .5em;border-radius:.6em;font-size:.95em}
.elastic-study .supported{background:#cfe3f5;color:#0b3d66}
.elastic-study .refuted{background:#fbd9c6;color:#7a2600}
.elastic-study .inconclusive{background:#e4e4e4;color:#333}
.elastic-study .error{background:#fbd9c6;color:#7a2600}
</style>"""
