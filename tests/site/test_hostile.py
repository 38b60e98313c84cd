"""Hostile text in every string field of every record kind shows as text, and breaks nothing."""

from __future__ import annotations

import ast
import html
import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests import forked
from tests.hostilerecords import PAYLOADS, hostile_records
from tests.pagesnippets import page_programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.conftest import Account, Network


@pytest.fixture(scope="module")
def hostile_site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Account]]:
    """A site built from one account for each payload, by way of the real PDS."""
    work = tmp_path_factory.mktemp("hostile")
    accounts = {}
    for name, text in PAYLOADS.items():
        account = accounts[name] = network.account()
        for collection, rkey, value in hostile_records(account.did, text):
            network.put_record(account, collection, rkey, {"$type": collection, **value})
    sources = "".join(f"        - repo: {account.did}\n" for account in accounts.values())
    (work / "mkdocs.yml").write_text(
        "site_name: Hostile\ntheme: {name: material, font: false}\nplugins:\n  - catalog:\n      store: s.sqlite\n"
        f"      sources:\n{sources}",
        encoding="utf-8",
    )
    (work / "docs").mkdir()
    (work / "docs" / "index.md").write_text("# Home\n", encoding="utf-8")
    built = forked.run(
        [sys.executable, "-m", "mkdocs", "build"],
        cwd=work,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    return work / "site", accounts


def _pages(site: Path, part: str) -> list[Path]:
    return sorted(path.parent.relative_to(site) for path in site.rglob("index.html") if part in path.as_posix())


def test_every_hostile_record_has_its_page(hostile_site: tuple[Path, dict[str, Account]]) -> None:
    """None of them is refused: they keep to their lexicons, and so have to be shown."""
    site, accounts = hostile_site
    for name, account in accounts.items():
        pages = [str(page) for page in _pages(site, account.did.replace(":", "-"))]
        for kind in ("datasets", "schemas", "lenses", "publishers"):
            assert any(page.startswith(kind) for page in pages), (name, kind, pages)


LISTS = ("datasets/", "schemas/", "lenses/", "browse/", "publishers/", "")
"""Pages that show records of all accounts."""


@pytest.mark.parametrize("payload", [*PAYLOADS, None], ids=lambda payload: payload or "lists")
def test_hostile_text_runs_nothing_and_breaks_no_layout(
    hostile_site: tuple[Path, dict[str, Account]], serve: Callable[[Path], str], page: Page, payload: str | None
) -> None:
    """In Chromium: no script of theirs runs, nothing is asked of another host, no page is wider than its window."""
    site, accounts = hostile_site
    base = serve(site).rstrip("/")
    strangers: list[str] = []
    page.on(
        "request",
        lambda request: strangers.append(request.url) if not request.url.startswith((base, "data:")) else None,
    )
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    own = () if payload is None else _pages(site, accounts[payload].did.replace(":", "-"))
    places = [str(path) + "/" for path in own] or LISTS
    for place in places:
        page.goto(f"{base}/{place}", wait_until="load")
        assert page.evaluate("window.pwned") is None, place
        assert page.locator("main a[href^='javascript' i], main svg[onload], main img[src^='http']").count() == 0
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{place} is {wide} px wider than its window of {width} px"
    assert strangers == []
    if payload in ("script", "attribute", "jinja", "url"):
        page.goto(f"{base}/{next(place for place in places if place.startswith('datasets'))}")
        assert PAYLOADS[payload] in page.locator("h1").inner_text()


def test_every_generated_snippet_still_parses(hostile_site: tuple[Path, dict[str, Account]]) -> None:
    """Whatever the names and descriptions say, what the pages offer as Python is Python, and hides no characters."""
    site, _ = hostile_site
    snippets = 0
    blocks = {path: _python_blocks(path) for path in site.glob("schemas/*/*/index.html")}
    blocks |= {
        path: [code for _, language, code in page_programs(path) if language == "python"]
        for path in site.glob("datasets/*/*/index.html")
    }
    for path, sources in blocks.items():
        for source in sources:
            ast.parse(source)
            assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u0000-\u0008]", source), path
            snippets += 1
    assert snippets >= 3 * len(PAYLOADS)


def _python_blocks(path: Path) -> list[str]:
    blocks = re.findall(r'<code[^>]*data-language="python"[^>]*>(.*?)</code>', path.read_text("utf-8"), re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", block)) for block in blocks]
