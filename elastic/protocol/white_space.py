"""Tabs as in YAML 1.2: white space between the parts of a line, but not indentation.

ruamel's scanner rejects every tab outside brackets, following YAML 1.1.
"""

from __future__ import annotations

from typing import Any

from ruamel.yaml.scanner import Scanner

_BREAKS = "\0\r\n\x85\u2028\u2029"


class TabScanner(Scanner):
    """Accepts tabs between parts of a line (YAML 1.2, §6.2) or between the words of a plain scalar."""

    def scan_to_next_token(self) -> Any:
        """Skip white space, comments and line breaks up to the next token."""
        super().scan_to_next_token()
        while self.reader.peek() == "\t":
            white = self._white()
            indents = not self._line_so_far().strip(" \t")
            if indents and self.reader.peek(len(white)) not in f"{_BREAKS}#":
                return
            self.reader.forward(len(white))
            if not indents:
                # No block starts after a tab (§6.1): its indentation would be ambiguous.
                self.allow_simple_key = False
            super().scan_to_next_token()

    def scan_plain_spaces(self, indent: Any, start_mark: Any) -> Any:
        """Return the white space between two words of a plain scalar, or what a line break between them stands for."""
        white = self._white()
        if "\t" not in white:
            return super().scan_plain_spaces(indent, start_mark)
        self.reader.forward(len(white))
        if self.reader.peek() in _BREAKS:
            return super().scan_plain_spaces(indent, start_mark)
        return [white]

    def _white(self) -> str:
        """Return the spaces and tabs that come next."""
        length = 0
        while self.reader.peek(length) in " \t":
            length += 1
        return str(self.reader.prefix(length))

    def _line_so_far(self) -> str:
        """Return the line up to the next character."""
        at = self.reader.pointer
        return str(self.reader.buffer[at - self.reader.column : at])
