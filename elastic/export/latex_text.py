"""Words and numbers as LaTeX that pdfLaTeX sets: special characters escaped, Greek and signs in mathematics."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

#: What LaTeX reads as a command, or sets as another character.
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

#: Signs of mathematics that stand in sentences of claims and in formulas.
SIGNS: Mapping[str, str] = {
    "−": "-", "±": r"\pm", "×": r"\times", "·": r"\cdot", "≤": r"\le", "≥": r"\ge", "≠": r"\ne", "≈": r"\approx",
    "→": r"\to", "←": r"\leftarrow", "∞": r"\infty", "√": r"\surd", "∂": r"\partial", "∇": r"\nabla", "Σ": r"\Sigma",
    "∑": r"\sum", "∈": r"\in", "‖": r"\|", "⟨": r"\langle", "⟩": r"\rangle", "′": "'", "ℓ": r"\ell", "°": r"^{\circ}",
    "ϵ": r"\epsilon", "ϕ": r"\phi",
}  # fmt: skip

#: Greek letters that LaTeX has no command for, as they look like Latin ones.
LIKE_LATIN: Mapping[str, str] = {
    "ALPHA": "A", "BETA": "B", "EPSILON": "E", "ZETA": "Z", "ETA": "H", "IOTA": "I", "KAPPA": "K", "MU": "M",
    "NU": "N", "OMICRON": "O", "RHO": "P", "TAU": "T", "CHI": "X",
}  # fmt: skip

#: Greek letters whose command is spelled differently from their name.
SPELLED: Mapping[str, str] = {"LAMDA": "lambda", "FINAL SIGMA": "varsigma"}


def escaped(text: str) -> str:
    r"""Return a text that LaTeX sets as it reads.

    What is neither Latin nor known here stays as it is: LuaLaTeX and XeLaTeX set it.

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
    """Return a superscript or subscript: "²" as "^{2}"."""
    kind, _, base = unicodedata.decomposition(character).partition(" ")
    places = {"<super>": "^", "<sub>": "_"}
    return f"{places[kind]}{{{SIGNS.get(chr(int(base, 16)), chr(int(base, 16)))}}}" if kind in places else ""


def _greek(character: str) -> str:
    name = unicodedata.name(character, "")
    found = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER ([A-Z]+|FINAL SIGMA)", name)
    if not found:
        return ""
    size, letter = found.groups()
    if size == "CAPITAL" and letter in LIKE_LATIN:
        return rf"\mathrm{{{LIKE_LATIN[letter]}}}"
    if letter == "OMICRON":
        return "o"
    command = SPELLED.get(letter, letter.lower())
    return "\\" + (command.capitalize() if size == "CAPITAL" else command)


def number(told: str) -> str:
    r"""Return a number, an interval, or a number with its interval in mathematics; an en dash stays one.

    >>> print(number("0.372 [-0.274, 1.20e-05]"))
    $0.372$ $[-0.274,\,1.20 \times 10^{-5}]$
    >>> number("–"), number("+inf")
    ('--', '$+\\infty$')
    """
    if told == "–":
        return "--"
    told = re.sub(r"e([+-])0*(\d+)", lambda e: rf" \times 10^{{{'-' if e[1] == '-' else ''}{e[2]}}}", told)
    told = told.replace("inf", r"\infty").replace(", ", r",\,")
    return " ".join(f"${part}$" for part in told.replace(" [", "\0[").split("\0"))
