"""A report in a real browser: its explorers answer to keyboard and pointer, and it reads on a phone and in the dark."""

from __future__ import annotations

import base64
import csv
import io

import pytest
from matplotlib.image import imread

from elastic.figures.style import THEMES

MATRIX = "#responses g.mark-rect[class*=cells] path"
TEXTS = "els => els.map(el => el.textContent)"
FILLS = "els => els.map(el => el.getAttribute('fill'))"
PATHS = "els => els.map(el => el.getAttribute('d'))"
FIELD = """el => [[...el.labels].map(label => label.innerText.trim()).join(''), el === document.activeElement,
  getComputedStyle(el).outlineStyle]"""
RATIO = """([text, on]) => {
  const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(c => c / 255)
    .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = el => { const own = getComputedStyle(el).backgroundColor;
    return own === "rgba(0, 0, 0, 0)" && el.parentElement ? behind(el.parentElement) : own; };
  return [...document.querySelectorAll(text)].filter(el => el.checkVisibility() && el.textContent.trim()).map(el => {
    const [a, b] = [light(getComputedStyle(el).color), light(behind(el))].sort((x, y) => y - x);
    return [(a + .05) / (b + .05), el.tagName + "." + el.className]; }).filter(([ratio]) => ratio < on); }"""


def titles(page, key):
    return " | ".join(page.eval_on_selector_all(f"#{key} .role-title-text", TEXTS))


def until(page, key, words):
    page.locator(f"#{key} .role-title-text").filter(has_text=words).first.wait_for(state="attached")


def becomes(page, what, old, pause=25):
    """Return what a function of the page gives once it is no longer the old: its policy forbids to wait inside it."""
    for _ in range(200):
        if (now := what(page)) != old:
            return now
        page.wait_for_timeout(pause)
    raise AssertionError("nothing changed")


def cells(page):
    return page.eval_on_selector_all(MATRIX, FILLS)


def courses(page, key="responses"):
    return page.eval_on_selector_all(f"#{key} .mark-line path", PATHS)


def control(page, key, name):
    return page.locator(f"#{key}-controls [name={name}]")


def middle(mark):
    box = mark.bounding_box()
    return [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]


def test_the_slider_moves_through_the_probed_epochs_by_keyboard(opened, report):
    page = opened(report)
    assert "Epoch 6, penultimate" in titles(page, "responses")
    last = cells(page)
    assert len(last) == 9
    page.locator("#responses-controls input[type=range]").focus()
    page.keyboard.press("Home")
    until(page, "responses", "Epoch 0, penultimate")
    spoken = page.locator("#responses-controls input[type=range]").get_attribute("aria-valuetext")
    assert spoken == page.locator("#responses-controls output").inner_text() == "epoch 0"
    assert cells(page) != last
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    until(page, "responses", "Epoch 2, penultimate")
    page.keyboard.press("End")
    until(page, "responses", "Epoch 6, penultimate")
    assert cells(page) == last


def test_layer_and_setting_are_chosen_from_lists(opened, report):
    page = opened(report)
    before, course = cells(page), courses(page)
    control(page, "responses", "layer").select_option(label="hidden_1")
    until(page, "responses", "Epoch 6, hidden_1")
    inner = cells(page), courses(page)
    assert inner[0] != before
    assert inner[1] != course
    control(page, "responses", "setting").select_option(label="weight_decay = 0.005")
    becomes(page, cells, inner[0])
    assert courses(page) != inner[1]


def test_a_click_on_a_class_shows_its_course_and_marks_it(opened, report):
    page = opened(report)
    until(page, "responses", "A step on class 3 moves class 5")
    before = courses(page)
    page.locator(MATRIX).nth(7).click()  # row of the third class, column of the second
    until(page, "responses", "A step on class 8 moves class 5")
    assert courses(page) != before
    chosen = "el => el.selectedOptions[0].text"
    assert [control(page, "responses", f"pair_{end}").evaluate(chosen) for end in "so"] == ["8", "5"]
    marked, clicked = page.locator("#responses .mark-rect path[stroke*='#D55E00']"), page.locator(MATRIX).nth(7)
    assert [middle(mark) for mark in (marked, clicked)] == [pytest.approx(middle(clicked), abs=1)] * 2
    page.locator("#responses svg").click(position={"x": 3, "y": 3})  # beside all cells: the choice stays
    assert "A step on class 8 moves class 5" in titles(page, "responses")
    control(page, "responses", "pair_o").select_option(label="3")
    until(page, "responses", "A step on class 8 moves class 3")


def test_the_metric_of_the_second_explorer_is_chosen(opened, report):
    page = opened(report)
    assert "nc1 (train), geometric mean" in titles(page, "courses")
    before = courses(page, "courses")
    groups = control(page, "courses", "metric").evaluate("el => [...el.children].map(part => part.label)")
    assert groups[0] == "most asked for"
    assert {"collapse, train samples", "collapse, test samples", "elasticity"} <= set(groups)
    control(page, "courses", "metric").select_option(label="ncc_accuracy (test)")
    until(page, "courses", "ncc_accuracy (test), mean")
    assert courses(page, "courses") != before
    page.locator("#courses-controls input[type=range]").focus()
    page.keyboard.press("Home")
    until(page, "courses", "Epoch 0")


def saved(page, key, ending):
    with page.expect_download() as download:
        page.locator(f"#{key}-controls button", has_text=ending.upper()).click()
    assert download.value.suggested_filename == f"{key}.{ending}"
    return download.value.path().read_text()


def test_what_is_shown_can_be_saved_as_a_picture_on_paper_and_as_its_numbers(opened, report, finished_study):
    page = opened(report, scheme="dark")
    control(page, "courses", "metric").select_option(label="ncc_accuracy (test)")
    until(page, "courses", "ncc_accuracy (test), mean")
    rows = list(csv.DictReader(saved(page, "courses", "csv").splitlines()))
    accuracy = finished_study.cube["collapse"]["ncc_accuracy"].sel(split="test")
    assert {row["metric"] for row in rows} == {"ncc_accuracy (test)"}
    assert {row["setting"] for row in rows} == {"weight_decay = 0.0"}
    assert len(rows) == accuracy.sizes["layer"] * accuracy.sizes["epoch"]
    for row in rows:
        values = accuracy.sel(layer=row["layer"], epoch=float(row["epoch"]))
        assert float(row["mean"]) == pytest.approx(values.mean().item(), rel=5e-4)
    picture = saved(page, "courses", "svg")
    assert picture.startswith('<svg style="background:#fff"')
    assert "var(" not in picture
    assert THEMES["light"].colours[1] in picture
    responses = list(csv.DictReader(saved(page, "responses", "csv").splitlines()))
    assert {row["layer"] for row in responses} == {"penultimate"}
    assert {(row["stepped_class"], row["observed_class"]) for row in responses} == {
        (a, b) for a in "358" for b in "358"
    }


def test_figures_are_dark_on_a_dark_page_and_light_on_paper(opened, report):
    page = opened(report, scheme="dark", anew=False)
    drawn, pixels = (page.locator(f"#figure-{name} img") for name in ("depth_profile", "response_matrices"))
    assert corner(drawn) == ground(pixels) == (27, 30, 34)
    page.emulate_media(media="print")
    assert corner(drawn) == ground(pixels) == (255, 255, 255)
    assert page.evaluate("getComputedStyle(document.querySelector('.controls')).display") == "none"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.emulate_media(media="screen", color_scheme="light")
    assert ground(pixels) == (255, 255, 255)


def corner(element):
    """Return red, green and blue of a pixel near the corner of what an element shows."""
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    return colour(element.page.screenshot(clip={**box, "width": 8, "height": 8}), 4)


def ground(image):
    """Return red, green and blue of the ground of the PNG that a browser shows in place of an image."""
    kind, data = image.evaluate("img => img.currentSrc").split(",")
    assert kind == "data:image/png;base64"
    return colour(base64.b64decode(data), 0)


def colour(png, at):
    return tuple(round(255 * float(part)) for part in imread(io.BytesIO(png))[at, at, :3])


def test_all_is_reached_by_keyboard_and_every_input_has_a_label(opened, report):
    page = opened(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    inputs = page.locator("input, select")
    assert inputs.count() == 8
    for number in range(inputs.count()):
        inputs.nth(number).focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        label, is_reached, outline = inputs.nth(number).evaluate(FIELD)
        assert label
        assert is_reached
        assert outline != "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(opened, report, scheme):
    page = opened(report, scheme=scheme, anew=False)
    page.eval_on_selector_all("details", "els => els.forEach(el => el.open = true)")
    text = "h1, h2, h3, p, a, dt, dd, th, td, caption, code, summary, li, .verdict, .meta, .vega-bind-name, figcaption"
    assert page.evaluate(RATIO, [text, 4.5]) == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(22, 24, 27)") is (scheme == "dark")
    paper = page.evaluate("getComputedStyle(document.querySelector('.paper')).backgroundColor")
    assert paper == ("rgb(27, 30, 34)" if scheme == "dark" else "rgb(255, 255, 255)")


def test_a_phone_scrolls_one_way_and_stacks_the_charts(opened, report):
    page = opened(report, width=360)
    page.eval_on_selector_all("details", "els => els.forEach(el => el.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    hidden = "els => els.filter(el => el.scrollWidth > el.clientWidth + 1).map(el => el.outerHTML.slice(0, 80))"
    assert page.eval_on_selector_all(".wide, .paper, pre", hidden) == []
    long = "els => els.forEach(el => el.firstChild.textContent = '1.96e-05 [1.44e-06, 2.66e-05]')"
    page.eval_on_selector_all("td.number[data-label]", long)
    assert page.eval_on_selector_all(".wide", hidden) == []  # an interval may be longer than half of the screen
    assert page.locator("figure img").first.evaluate("el => el.currentSrc != el.src")  # drawn for a phone
    outside = """els => els.filter(el => !el.closest('.wide, .paper, pre'))
        .filter(el => el.getBoundingClientRect().right > innerWidth + 1).map(el => el.outerHTML.slice(0, 80))"""
    assert page.eval_on_selector_all("body *", outside) == []
    for key in ("responses", "courses"):
        assert page.locator(f"#{key} svg").bounding_box()["width"] <= 330
    matrix, course = (page.locator(f"#responses g.{name}_group").bounding_box() for name in ("matrix", "course"))
    assert course["y"] > matrix["y"] + matrix["height"] / 2


def test_charts_follow_the_width_of_the_window(opened, report):
    page = opened(report, anew=False)
    matrix, course = (page.locator(f"#responses g.{name}_group").bounding_box() for name in ("matrix", "course"))
    assert course["x"] > matrix["x"] + matrix["width"] / 2
    before = page.locator("#responses svg").bounding_box()["width"]
    page.set_viewport_size({"width": 360, "height": 800})
    width = becomes(page, lambda page: page.locator("#responses svg").bounding_box()["width"], before)
    assert width <= 330
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_paper_shows_all_and_no_controls(opened, report):
    page = opened(report)
    page.emulate_media(media="print")
    assert not page.locator("#responses-controls").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.locator("#responses svg").is_visible()
    assert page.eval_on_selector("#protocol pre", "el => el.scrollHeight <= el.clientHeight + 1")


def test_hostile_text_runs_nowhere(opened, hostile_report):
    page = opened(hostile_report)
    for name in ("layer", "pair_s", "pair_o", "setting"):
        control(page, "responses", name).select_option(index=1)
    until(page, "responses", "<img src=x")
    page.locator(MATRIX).nth(5).hover()
    page.locator("#vg-tooltip-element.visible").wait_for()
    assert "<img src=x" in page.locator("#vg-tooltip-element").inner_text()
    assert page.locator("img").count() == 1
    assert page.evaluate("window.caught") is None
    assert "window.caught" in page.title()


#: What JupyterLab sets for every list of terms in an output.
JUPYTERLAB = """<style>.jp-OutputArea-output dl, .jp-OutputArea-output dt, .jp-OutputArea-output dd { display: block; }
.jp-OutputArea-output dt { float: left; width: 20%; } .jp-OutputArea-output dd { float: left; width: 80%; }</style>"""
LINES = "els => els.map(el => el.offsetHeight / parseFloat(getComputedStyle(el).lineHeight))"


def test_jupyterlab_does_not_break_the_names_of_the_summary_into_letters(tab, finished_study):
    tab.goto("about:blank")
    tab.set_content(f'{JUPYTERLAB}<div class="jp-OutputArea-output">{finished_study._repr_html_()}</div>')
    lines = tab.eval_on_selector_all("dt", LINES)
    beside = tab.eval_on_selector_all("dt", "els => els.map(el => el.offsetTop === el.nextElementSibling.offsetTop)")
    assert len(lines) > 3
    assert max(lines) < 1.5
    assert all(beside)
