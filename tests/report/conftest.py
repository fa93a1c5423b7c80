"""Pages that tests read: one that a real study gives, one of a stranger's texts, and a browser to open them in."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from support import altered
from support.report_pages import drawing

from elastic.claims.checked import Checked
from elastic.claims.verdicts import Finding, Verdict
from elastic.report import context, embedded_figures, write_report
from elastic.report.embedded_figures import HEAVY

#: Figures of pages with several: one is wider than a phone, and one is an image of pixels where classes are many.
TWO = ("depth_profile", "response_matrices")

CHROMIUM = Path("/usr/bin/chromium")

#: Text that leaves its place wherever it is not escaped: in an element, an attribute, a script, an expression of Vega.
HOSTILE = "</script><img src=x onerror=\"window.caught='{n}'\">'\"+(window.caught='{n}')+\"'${{7*7}}\\u2028<!--"
LABEL = "<img src=x onerror='caught=1'>"

WEIGHT_DECAY = altered.swept("weight_decay", [0.0, 0.005])


def finding(verdict="supported", *, effect=0.3, reach=0.1, region=(0.1, None), setting=None, seeds=2):
    bounds = (effect - reach, effect + reach) if seeds > 1 else (None, None)
    reason = "" if seeds > 1 else "one seed"
    return Finding(setting or {}, verdict, reason, effect, *bounds, region, seeds, [effect] * seeds)


VERDICTS = (
    Verdict("falls", "nc1 falls with depth", "he2023law", "fall of log nc1 per layer", {}, "supported", (finding(),)),
    Verdict(
        "local", "locality is above 2 everywhere", "he2020local", "locality", {}, "refuted",
        (
            finding("refuted", effect=1.5, region=(2.0, None), setting={"layer": "hidden_1"}),
            finding("inconclusive", effect=1.9, reach=0.2, region=(2.0, None), setting={"layer": "penultimate"}),
        ),
    ),
    Verdict(
        "measured", "nc9 is small", "papyan2020prevalence", "", {}, "inconclusive",
        (Finding({}, "inconclusive", "nc9 was not measured", None, None, None, (None, None), 0, []),),
    ),
)  # fmt: skip


def draw_pixels_of(patch, name):
    """Draw one figure as if it were too heavy for an SVG, where a page is wide; coarsely, which takes less time."""
    drawn = embedded_figures.picture

    def picture(entry, cube, figure, options):
        patch.setattr(embedded_figures, "HEAVY", 0 if (entry.name, options) == (name, {}) else HEAVY)
        return drawn(entry, cube, figure, options)

    patch.setattr(embedded_figures, "picture", picture)
    patch.setattr(embedded_figures, "DPI", 20)


@pytest.fixture(scope="session")
def report(finished_study, tmp_path_factory):
    """Return the page of the small study with an axis and three made-up verdicts."""
    study = altered.Altered(finished_study.folder, WEIGHT_DECAY, claims=[{"name": "falls"}])
    study.facts["axes"] = {"weight_decay": [0.0, 0.005], **study.facts["axes"]}
    with pytest.MonkeyPatch.context() as patch, drawing(*TWO):
        draw_pixels_of(patch, "response_matrices")
        patch.setattr(context, "check_cube", lambda s, cube, runs: Checked(s.name, s.digest, VERDICTS))
        return write_report(study, tmp_path_factory.mktemp("report") / "report.html")


def renamed(group: xr.Dataset) -> xr.Dataset:
    """Give layers, classes and an axis hostile names."""
    names = {
        dim: np.array([f"{n}{LABEL}" for n in range(group.sizes[dim])], dtype=object)
        for dim in ("layer", "class", "other_class", "stepped_class", "observed_class")
        if dim in group.dims
    }
    return WEIGHT_DECAY(group.assign_coords(names)).assign_coords(weight_decay=["a", HOSTILE.format(n="axis")])


@pytest.fixture(scope="session")
def hostile_report(finished_study, tmp_path_factory):
    """Return the page of a study whose every text is hostile."""
    text = HOSTILE.format
    asked = {"title": text(n="title"), "question": text(n="question"), "claims": [{"name": "falls"}]}
    study = altered.Altered(finished_study.folder, renamed, **asked)
    study.facts["text"] = text(n="protocol")
    study.facts["axes"] = {"weight_decay": ["a", text(n="axis")], **study.facts["axes"]}
    study.facts["provenance"] = {"machine": text(n="machine"), "versions": {"torch": text(n="version")}}
    result = Verdict(
        text(n="name"), text(n="sentence"), text(n="source"), text(n="quantity"), {}, "supported",
        (finding(setting={"layer": text(n="setting")}),),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "check_cube", lambda s, cube, runs: Checked(s.name, s.digest, (result,)))
        return write_report(study, tmp_path_factory.mktemp("hostile") / "report.html")


@pytest.fixture
def no_figure():
    """Draw no figure on the pages of a test, which is of their other parts: tests/figures draw of such cubes."""
    with drawing():
        yield


@pytest.fixture(scope="session")
def chromium():
    """Return a running Chromium; where there is none, tests are skipped, but not in CI."""
    result = CHROMIUM.exists()
    if not result and not os.environ.get("CI"):
        pytest.skip(f"no Chromium at {CHROMIUM}")
    assert result, f"CI needs a Chromium at {CHROMIUM}"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def tab(chromium):
    """Return the one tab of the browser: a new one for each test takes longer than the page in it."""
    context = chromium.new_context()
    context.set_default_timeout(10_000)
    return context.new_page()


@pytest.fixture
def opened(tab):
    """Return a function that opens a file and gives the page; at the end nothing may have been told or asked for.

    A test that reads what no other test changes asks for no new load of a page that is open already.
    """
    collected, allowed = [], set()

    def request(one):
        if one.url not in allowed and not one.url.startswith("data:"):
            collected.append(one.url)

    listeners = {
        "console": lambda message: collected.append(message.text),
        "pageerror": lambda error: collected.append(str(error)),
        "request": request,
    }

    def open_file(path, *, width=1280, scheme="light", anew=True):
        allowed.add(path.as_uri())
        tab.set_viewport_size({"width": width, "height": 800})
        tab.emulate_media(media="screen", color_scheme=scheme)
        if anew or tab.url != path.as_uri():
            tab.goto(path.as_uri())
        tab.wait_for_selector("#courses svg")
        return tab

    for event, listener in listeners.items():
        tab.on(event, listener)
    yield open_file
    for event, listener in listeners.items():
        tab.remove_listener(event, listener)
    assert collected == []
