"""Reading a report as a browser does, without one."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest

VOID = {"meta", "link", "img", "br", "circle", "line", "rect", "path", "source"}


class Reader(HTMLParser):
    """Reads a page as a browser does: its text, its elements, its scripts, and whether all that opens is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.words, self.scripts = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag):
        return [attrs for result, attrs in self.elements if result == tag]

    @property
    def specs(self):
        return {attrs["data-explorer"]: json.loads(data) for attrs, data in self.scripts if "data-explorer" in attrs}

    def rows(self, key, name):
        return next(data["values"] for data in self.specs[key]["data"] if data["name"] == name)


def read(path: Path) -> Reader:
    return Reader(path.read_text(encoding="utf-8"))


@contextmanager
def drawing(*names):
    """Draw the figures of these names on pages, and no others."""
    from elastic.registry import registry
    from elastic.report import embedded_figures

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded_figures, "in_order", lambda: [registry("figures").get(name) for name in names])
        yield
