"""The code on a schema's page in Chromium: each language comes when its tab is chosen, is copied and downloaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from catalog.records import SCHEMA
from catalog.site.pages.schema import CODE
from tests.hostilerecords import PAYLOADS
from tests.sitecatalog import DID, build, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page, Route

    from tests.conftest import Watch

HOME = str(DID).replace(":", "-")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    extra = [(SCHEMA, f"Odd{number}", schema(name=name)) for number, name in enumerate(PAYLOADS.values())]
    return build(tmp_path_factory.mktemp("site"), search=False, extra=extra)


@pytest.fixture
def base(site: Path, serve: Callable[[Path], str], watch: Watch) -> Iterator[str]:
    yield serve(site)
    assert watch.strangers == []


def folders(site: Path, start: str) -> list[Path]:
    return sorted(site.glob(f"schemas/{HOME}/{start}*"))


def test_each_language_is_shown_and_copied_as_its_file_has_it(base: str, site: Path, page: Page, watch: Watch) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    (folder,) = folders(site, "wave-1.1.0")
    page.goto(f"{base}{folder.relative_to(site)}/")
    expect(page.get_by_role("tab", selected=True)).to_have_text("Python")
    assert not [name for name in asked if name.startswith("code.") and name != "code.js"], "nothing before it is wanted"
    for code in CODE:
        page.get_by_role("tab", name=code.label, exact=True).click()
        panel = page.get_by_role("tabpanel")
        text = (folder / code.file).read_text(encoding="utf-8")
        expect(panel.locator("pre code")).to_have_count(1)
        assert panel.locator("pre code").text_content() == text
        panel.get_by_role("button", name="Copy").click()
        expect(panel.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == text
        with page.expect_download() as found:
            panel.get_by_role("link", name="Download").click()
        assert found.value.suggested_filename == f"wave.{code.suffix}"
        assert found.value.path().read_text(encoding="utf-8") == text
    for code in CODE:
        page.get_by_role("tab", name=code.label, exact=True).click()
        expect(page.get_by_role("tabpanel").locator("pre code")).to_have_count(1)
    assert sorted(name for name in set(asked) if name in {code.file for code in CODE[1:]}) == sorted(
        code.file for code in CODE[1:]
    )
    assert watch.errors == []


def test_the_language_is_remembered_on_the_next_schema(base: str, site: Path, page: Page) -> None:
    older, newer = folders(site, "wave-")
    page.goto(f"{base}{older.relative_to(site)}/")
    page.get_by_role("tab", name="Rust").click()
    expect(page.get_by_role("tabpanel").locator("pre code")).to_contain_text("pub struct Wave")
    page.goto(f"{base}{newer.relative_to(site)}/")
    expect(page.get_by_role("tab", name="Rust")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel").locator("pre code")).to_have_text(
        (newer / "code.rs").read_text(encoding="utf-8"), use_inner_text=False
    )


def test_a_file_that_does_not_arrive_is_told_and_asked_for_again(base: str, site: Path, page: Page) -> None:
    tries: list[str] = []

    def broken(route: Route) -> None:
        tries.append(route.request.url)
        if len(tries) == 1:
            route.fulfill(status=503, body="later")
        else:
            route.continue_()

    page.route("**/code.ts", broken)
    page.goto(f"{base}{folders(site, 'wave-1.1.0')[0].relative_to(site)}/")
    page.get_by_role("tab", name="TypeScript").click()
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text("It could not be loaded. Download wave.ts")
    page.get_by_role("tab", name="Python").click()
    page.get_by_role("tab", name="TypeScript").click()
    expect(panel.locator("pre code")).to_contain_text("export interface Wave")
    expect(panel).not_to_contain_text("It could not be loaded.")
    assert len(tries) == 2


def test_hostile_names_stay_text_in_every_language(base: str, site: Path, page: Page, watch: Watch) -> None:
    odd = folders(site, "odd")
    assert len(odd) == len(PAYLOADS)
    for folder in odd:
        page.goto(f"{base}{folder.relative_to(site)}/")
        for code in CODE:
            page.get_by_role("tab", name=code.label, exact=True).click()
            shown = page.get_by_role("tabpanel").locator("pre code")
            expect(shown).to_have_count(1)
            assert shown.text_content() == (folder / code.file).read_text(encoding="utf-8")
            assert shown.locator("*:not(span)").count() == 0
        assert page.evaluate("window.pwned") is None
    assert watch.errors == []


def test_without_scripts_every_language_is_a_link_to_its_file(base: str, site: Path, page: Page) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    (folder,) = folders(site, "wave-1.1.0")
    address = f"{base}{folder.relative_to(site)}/"
    plain.goto(address)
    expect(plain.get_by_text("class Wave(")).to_be_visible()
    for code in CODE:
        link = plain.get_by_role("link", name=re.compile(rf"^Download wave\.{re.escape(code.suffix)}$"))
        expect(link).to_be_visible()
        assert (folder / str(link.get_attribute("href"))).is_file()
    plain.get_by_role("link", name="Example programs that load a dataset with this schema").click()
    expect(plain.locator("body")).to_contain_text("=== Typed Python: pip install atdata-catalog")
    context.close()
