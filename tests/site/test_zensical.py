"""The same site through Zensical: its shells, our pages."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.sitecatalog import CHANGED, MKDOCS, fill
from tests.sitecatalog import build as build_with_mkdocs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

from catalog.errors import MissingExtra
from catalog.site.addresses import of_source
from catalog.site.zensical import _lay_out, build_with_zensical
from tests import forked

HOME = "did-plc-ewvi7nxzyoun6zhxrhs64oiz"
BODY = re.compile(r'<article class="cat-page.*?</article>', re.DOTALL)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """By Zensical, and by MkDocs."""
    theirs = build_with_mkdocs(tmp_path_factory.mktemp("mkdocs"))
    folder = tmp_path_factory.mktemp("zensical")
    fill(folder / "store.sqlite")
    (folder / "mkdocs.yml").write_text(MKDOCS % "true", encoding="utf-8")
    (folder / "docs").mkdir()
    (folder / "docs" / "guide.md").write_text("# Guide\n\nHow to read it: supercalifragilistic.\n", encoding="utf-8")
    command = [sys.executable, "-m", "catalog", "build", "--zensical", "--no-crawl"]
    done = forked.run(command, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "INFO    -  Catalog: " in done.stderr
    return folder / "site", theirs


def test_every_page_of_ours_is_there_with_the_same_inside(sites: tuple[Path, Path]) -> None:
    ours, theirs = sites
    pages = {path.relative_to(theirs) for path in theirs.rglob("index.html")}
    assert {path.relative_to(ours) for path in ours.rglob("index.html")} == pages
    compared = 0
    for page in pages:
        inside = BODY.findall((theirs / page).read_text(encoding="utf-8"))
        assert BODY.findall((ours / page).read_text(encoding="utf-8")) == inside, page
        compared += len(inside)
    assert compared > 15
    for name in ("catalog.json", "feed.xml", "sitemap.xml", f"datasets/{HOME}/{CHANGED}/croissant.json"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()


def test_the_shell_is_zensicals_without_a_trace_of_the_archetypes(sites: tuple[Path, Path]) -> None:
    ours, _ = sites
    text = (ours / "datasets" / HOME / CHANGED / "index.html").read_text(encoding="utf-8")
    assert 'content="zensical-' in text
    assert "<title>Tidal recordings 0 - Tides</title>" in text
    assert f'<link rel="canonical" href="https://tides.example/catalog/datasets/{HOME}/{CHANGED}/">' in text
    assert text.count("<h1") == 1
    for page in ours.rglob("*.html"):
        assert "catalog-shell" not in page.read_text(encoding="utf-8").lower()
        assert "CatalogShell" not in page.read_text(encoding="utf-8")
    assert json.loads((ours / "catalog.json").read_text(encoding="utf-8"))["counts"]["datasets"] == 4


def test_it_is_searched_and_browsed(sites: tuple[Path, Path], serve: Callable[[Path], str], page: Page) -> None:
    base = serve(sites[0])
    page.goto(f"{base}datasets/{HOME}/{CHANGED}/")
    box = page.get_by_role("combobox", name="Search the catalog")
    expect(box).to_have_count(1)
    box.fill("supercalifragilistic")
    expect(page.get_by_role("option").first).to_contain_text("Guide")
    page.goto(base + "browse/?tag=river")
    expect(page.locator("[data-rows] li")).not_to_have_count(0)
    page.get_by_role("tab", name="WebDataset")  # the page's own scripts run beside the theme's
    page.goto(f"{base}datasets/{HOME}/{CHANGED}/")
    page.get_by_role("tab", name="WebDataset").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("wds.WebDataset")


@pytest.mark.parametrize("name", ["tags.md", "tags/index.md", "tags/README.md"])
def test_a_page_of_the_owner_is_known_by_its_address(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    base, project = tmp_path / "base", tmp_path / "project"
    (base / "docs" / name).parent.mkdir(parents=True)
    (base / "docs" / name).write_text("# My tags\n", encoding="utf-8")
    (base / "mkdocs.yml").write_text("site_name: T\n", encoding="utf-8")
    project.mkdir()
    assert _lay_out(project, base / "mkdocs.yml", base, {}, search=True) == {"tags"}
    assert [file.read_text() for file in (project / "docs").glob("tags*/*.md")] in ([], ["# My tags\n"])
    assert name in caplog.text
    assert of_source("guide.md") == "guide/"
    assert of_source("index.md") == of_source("README.md") == ""
    assert of_source("a/b.png") == "a/b.png"


def test_without_zensical_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mkdocs.yml").write_text(MKDOCS % "true", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "zensical", None)
    with pytest.raises(MissingExtra) as caught:
        build_with_zensical(tmp_path / "mkdocs.yml", tmp_path / "new")
    assert caught.value.hint == "pip install 'atdata-catalog[site,zensical]'"
    assert not (tmp_path / "site").exists()
