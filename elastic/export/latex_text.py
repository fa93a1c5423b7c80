"""Text and numbers as LaTeX for pdfLaTeX: escaped special characters, Greek and symbols in math mode."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

#: Characters that LaTeX reads as commands or prints as other characters.
SPECIAL: Mapping[str, str] = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "\u00a0": "~",
    "\u2013": "--",
    "\u2014": "---",
    "\u2026": r"\dots{}",
    "\u201c": "``",
    "\u201d": "''",
    "\u2018": "`",
    "\u2019": "'",
    **dict.fromkeys("\n\r\t", " "),
}

#: Mathematical symbols in sentences of claims and in formulas.
SIGNS: Mapping[str, str] = {
    "−": "-", "±": r"\pm", "×": r"\times", "·": r"\cdot", "≤": r"\le", "≥": r"\ge", "≠": r"\ne", "≈": r"\approx",
    "→": r"\to", "←": r"\leftarrow", "∞": r"\infty", "√": r"\surd", "∂": r"\partial", "∇": r"\nabla", "Σ": r"\Sigma",
    "∑": r"\sum", "∈": r"\in", "‖": r"\|", "⟨": r"\langle", "⟩": r"\rangle", "′": "'", "ℓ": r"\ell", "°": r"^{\circ}",
    "ϵ": r"\epsilon", "ϕ": r"\phi",
}  # fmt: skip

#: Greek letters without a LaTeX command because they look like Latin ones.
LIKE_LATIN: Mapping[str, str] = {
    "ALPHA": "A", "BETA": "B", "EPSILON": "E", "ZETA": "Z", "ETA": "H", "IOTA": "I", "KAPPA": "K", "MU": "M",
    "NU": "N", "OMICRON": "O", "RHO": "P", "TAU": "T", "CHI": "X",
}  # fmt: skip

#: Greek letters whose command is spelled differently from their name.
SPELLED: Mapping[str, str] = {"LAMDA": "lambda", "FINAL SIGMA": "varsigma"}


def escaped(text: str) -> str:
    r"""Escape a text for LaTeX.

    Unknown non-Latin characters stay unchanged: LuaLaTeX and XeLaTeX print them.

    Examples
    --------
    >>> print(escaped("nc1_mean ≤ 5 % & ρ^2"))
    nc1\_mean \ensuremath{\le} 5 \% \& \ensuremath{\rho}\textasciicircum{}2
    >>> print(escaped("Σ_B⁺ of ‖Δ‖"))
    \ensuremath{\Sigma}\_B\ensuremath{^{+}} of \ensuremath{\|}\ensuremath{\Delta}\ensuremath{\|}
    """
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if character.isascii():
        return character
    mathematics = SIGNS.get(character) or _raised(character) or _greek(character)
    return rf"\ensuremath{{{mathematics}}}" if mathematics else character


def _raised(character: str) -> str:
    """Convert a superscript or subscript: "²" to "^{2}"."""
    kind, _, base = unicodedata.decomposition(character).partition(" ")
    places = {"<super>": "^", "<sub>": "_"}
    return f"{places[kind]}{{{SIGNS.get(chr(int(base, 16)), chr(int(base, 16)))}}}" if kind in places else ""


def _greek(character: str) -> str:
    name = unicodedata.name(character, "")
    match = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER ([A-Z]+|FINAL SIGMA)", name)
    if not match:
        return ""
    size, letter = match.groups()
    if size == "CAPITAL" and letter in LIKE_LATIN:
        return rf"\mathrm{{{LIKE_LATIN[letter]}}}"
    if letter == "OMICRON":
        return "o"
    command = SPELLED.get(letter, letter.lower())
    return "\\" + (command.capitalize() if size == "CAPITAL" else command)


def number(text: str) -> str:
    r"""Put a number, an interval, or a number with its interval in math mode; an en dash stays text.

    >>> print(number("0.372 [-0.274, 1.20e-05]"))
    $0.372$ $[-0.274,\,1.20 \times 10^{-5}]$
    >>> number("–"), number("-∞")
    ('--', '$-\\infty$')
    """
    if text == "–":
        return "--"
    text = re.sub(r"e([+-])0*(\d+)", lambda e: rf" \times 10^{{{'-' if e[1] == '-' else ''}{e[2]}}}", text)
    text = text.replace("∞", r"\infty").replace(", ", r",\,")
    return " ".join(f"${part}$" for part in text.replace(" [", "\0[").split("\0"))
