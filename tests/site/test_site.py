"""The documentation as a site: built whole without a warning, read without a network, made from what the code knows."""

from __future__ import annotations

import importlib.util
import re
import sys
from html.parser import HTMLParser
from types import ModuleType

import pytest
from click.testing import CliRunner

import elastic.integrations
from elastic.cli import cli
from elastic.errors import StudyError
from elastic.protocol import load_protocol
from elastic.protocol.references import references
from elastic.registry import PACKAGES, registry
from elastic.site import building, gallery, opening
from elastic.site.entries import label_of
from elastic.site.sources import generated, pages_folder


class Page(HTMLParser):
    """What a page loads when it is opened, where it leads, and the places in it that others lead to."""

    def __init__(self, file):
        super().__init__()
        self.loads, self.leads, self.places = [], [], set()
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.places |= {given.get("id"), given.get("name")}
        if tag in ("script", "img", "link", "iframe", "source") and (given.get("src") or given.get("href")):
            self.loads.append(given.get("src") or given["href"])
        if tag == "a" and given.get("href"):
            self.leads.append(given["href"])


def is_elsewhere(address):
    return re.match(r"(\w+:)?//", address) is not None


#: What the callbacks of trainers import of their frameworks, by module.
TRAINERS = {
    "lightning": ("lightning.pytorch", ["Callback", "LightningModule", "Trainer"]),
    "transformers": ("transformers", ["TrainerCallback", "TrainerControl", "TrainerState", "TrainingArguments"]),
}


@pytest.fixture
def light_trainers(monkeypatch):
    """Let the callbacks derive from stand-ins: their frameworks take seconds to import, and no page shows theirs."""
    loaded = []
    for package, (module, names) in TRAINERS.items():
        callback = f"elastic.integrations.{package}"
        if importlib.util.find_spec(package) is None or callback in sys.modules:
            continue
        for name in {package, module}:
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        sys.modules[package].__spec__ = importlib.util.spec_from_loader(package, None)
        for name in names:
            setattr(sys.modules[module], name, type(name, (), {"__module__": module}))
        importlib.import_module(callback)
        loaded.append(callback)
    yield
    for callback in loaded:
        del sys.modules[callback]
        delattr(elastic.integrations, callback.rpartition(".")[2])


@pytest.mark.usefixtures("light_trainers")
def test_the_site_builds_without_a_warning_and_needs_no_network(tmp_path):
    """One test, since the build takes half a minute: whatever is asked of the pages stands here."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed (extra: docs)")
    folder = tmp_path / "site"
    result = CliRunner().invoke(cli, ["docs", "--build", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(folder / "index.html")
    pages = {file: Page(file) for file in folder.rglob("*.html")}
    assert len(pages) > 40
    for file, page in pages.items():
        assert [address for address in page.loads if is_elsewhere(address)] == [], file
        for address in page.leads:
            path, _, anchor = address.partition("#")
            if not is_elsewhere(address) and not address.startswith("mailto:"):
                to = (file.parent / path).resolve() if path else file
                assert to.exists(), (file.name, address)
                assert not anchor or to not in pages or anchor in pages[to].places, (file.name, address)
    for style in folder.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text("utf-8")), style
    places = set().union(*(page.places for page in pages.values()))
    named = {label_of(kind, name).replace("_", "-") for kind in PACKAGES for name in registry(kind).names()}
    assert named - places == set()
    assert {f"elastic.integrations.{name}.ElasticCallback.on_train_end" for name in TRAINERS} - places == set()
    assert {f"paper-{key}".lower().replace("_", "-") for key in references()} - places == set()
    theory = (folder / "theory.html").read_text("utf-8")
    assert theory.count("<math") > 50
    assert "\\frac" not in theory
    assert "merror" not in theory
    assert "<mn>𝟏</mn>" in theory, "a bold 1 is a character: browsers ignore the variant"
    elasticity = (folder / "reference" / "metrics_elasticity.html").read_text("utf-8")
    assert 0 < elasticity.count('class="math-wide"') < elasticity.count("<math"), "wide formulas scroll on narrow pages"
    assert {"elastic.publishing.publish.publish", "elastic.probes.evaluation.probed"} - places == set()
    for page in (folder / "reference").glob("api_*.html"):
        text = re.sub(r"<[^>]*>", "", page.read_text("utf-8"))
        assert "TypeAliasForwardRef" not in text, page.name
        assert "dtype[" not in text, page.name


def test_the_gallery_draws_each_figure_from_a_study_that_has_its_data():
    """The account of steps needs the probe `class_steps`, which the quickstart does not have."""
    ((_, text),) = gallery.pages(pages_folder())
    section = text.split(".. _figure-closure:")[1].split(".. _figure-depth_profile:")[0]
    (study,) = re.findall(r"elastic plot results/(\w+) --figure closure", section)
    assert "class_steps" in load_protocol(study).probes.model_dump()


def test_a_part_that_is_added_has_its_section_without_an_edit():
    def doubled_nc1(statistics):
        """Twice NC1: a metric of this test, |2 nc1|."""

    facts = registry("metrics").get("nc1").facts
    registry("metrics").register(facts=facts)(doubled_nc1)
    try:
        pages = generated(pages_folder(), [])
        page = next(text for name, text in pages if name == "reference/metrics_collapse.rst")
    finally:
        registry("metrics")._entries.pop("doubled_nc1")
    assert ".. _metric-doubled_nc1:" in page
    assert r"Twice NC1: a metric of this test, \|2 nc1\|." in page


SCHEMES = {
    "repository": ("elastic/docs", "elastic"),
    "pip install --target": ("there/share/elastic/docs", "there/elastic"),
    "environment": ("venv/share/elastic/docs", "venv/lib/site-packages/elastic"),
    "pip install --user": ("home/share/elastic/docs", "home/lib/site-packages/elastic"),
    "none": ("nowhere", "home/lib/site-packages/elastic"),
}


@pytest.mark.parametrize(("pages", "package"), SCHEMES.values(), ids=SCHEMES)
def test_the_pages_are_found_however_elastic_was_installed(pages, package, tmp_path, monkeypatch):
    pages, package = tmp_path / pages, tmp_path / package
    pages.mkdir(parents=True)
    (pages / "index.md").write_text("# Pages\n")
    facts = package.parent / "elastic_collapse-9.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.4\nName: elastic-collapse\nVersion: 9\n")
    (facts / "RECORD").write_text("../../share/elastic/docs/index.md,,\n")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr("elastic.__file__", str(package / "__init__.py"))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "venv"))
    if pages.name == "nowhere":
        with pytest.raises(StudyError, match="installing elastic again"):
            pages_folder()
    else:
        assert pages_folder().resolve() == pages.resolve()


def test_without_sphinx_the_command_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(building, "NEEDED", ("sphinx_of_nobody",))
    with pytest.raises(StudyError, match=r"pip install 'elastic-collapse\[docs\]'"):
        CliRunner().invoke(cli, ["docs", "--build", str(tmp_path)], catch_exceptions=False)


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Give the folders that are built and the pages that are opened, both only told."""
    result = {"built": [], "opened": []}

    def build(folder, commands):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text("built")
        result["built"].append(len(commands))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(opening, "build_site", build)
    monkeypatch.setattr("click.launch", result["opened"].append)
    return result


def test_the_pages_are_built_once_and_again_when_their_sources_change(opened, monkeypatch):
    for _ in range(2):
        result = CliRunner().invoke(cli, ["docs"], catch_exceptions=False)
        assert result.exit_code == 0
    assert opened["built"] == [len(cli.commands)]
    assert opened["opened"] == [opening.cache_folder().joinpath("index.html").as_uri()] * 2
    monkeypatch.setattr(opening, "digest_of_sources", lambda: "of a later day")
    CliRunner().invoke(cli, ["docs"], catch_exceptions=False)
    assert len(opened["built"]) == 2


def test_a_build_that_was_stopped_is_made_again(opened, monkeypatch):
    """Its pages are a mixture, even where the sources are again what the pages before it were made from."""

    def interrupted(*_):
        raise KeyboardInterrupt

    CliRunner().invoke(cli, ["docs"], catch_exceptions=False)
    with monkeypatch.context() as patch:
        patch.setattr(opening, "digest_of_sources", lambda: "of a later day")
        patch.setattr(opening, "build_site", interrupted)
        with pytest.raises(KeyboardInterrupt):
            CliRunner().invoke(cli, ["docs"], catch_exceptions=False)
    CliRunner().invoke(cli, ["docs"], catch_exceptions=False)
    assert len(opened["built"]) == 2
