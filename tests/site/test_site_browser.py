"""The site in Chromium: tabs, search, browsing, no errors, no strangers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.pagesnippets import page_programs
from tests.sitecatalog import build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page, Route

    from tests.conftest import Watch

HOME = "did-plc-ewvi7nxzyoun6zhxrhs64oiz"
PLACES = ["", "browse/", "datasets/", "schemas/", "lenses/", "publishers/", "status/", "guide/"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("site"), datasets=70)


@pytest.fixture
def base(site: Path, serve: Callable[[Path], str], watch: Watch) -> Iterator[str]:
    yield serve(site)
    assert watch.strangers == []
    assert watch.errors == []


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_window_or_asks_another_host(base: str, site: Path, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    records = [
        str(next(site.glob(f"{kind}/{HOME}/*")).relative_to(site)) + "/" for kind in ("datasets", "schemas", "lenses")
    ]
    for place in [*PLACES, *records, f"publishers/{HOME}/"]:
        page.goto(base + place, wait_until="networkidle")
        for scheme in ("default", "slate"):
            page.evaluate("scheme => document.body.setAttribute('data-md-color-scheme', scheme)", scheme)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, (place, scheme)


def test_a_word_of_the_description_finds_the_record_by_keyboard_alone(base: str, page: Page) -> None:
    page.goto(base + "guide/")
    page.keyboard.press("/")
    page.keyboard.type("harbour 42")
    expect(page.get_by_role("option").first).to_contain_text("Tidal recordings 42")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets/**")
    expect(page.locator("h1")).to_have_text("Tidal recordings 42")


def test_the_page_for_missing_addresses_redirects_names_under_a_handle(base: str, site: Path, page: Page) -> None:
    """It is served as hosts do: with the status 404, at the address that is missing."""
    missing = (site / "404.html").read_text(encoding="utf-8").replace("/catalog/assets/", "/assets/")
    page.route(re.compile("/@[^/]+/[^/]+/$"), lambda route: route.fulfill(body=missing, content_type="text/html"))
    page.goto(f"{base}@waves.example.org/tidal-recordings-42/")
    page.wait_for_url("**/datasets/**")
    expect(page.locator("h1")).to_have_text("Tidal recordings 42")
    page.goto(f"{base}@waves.example.org/nothing/", wait_until="networkidle")
    expect(page.locator("h1")).to_have_text("404 - Not found")


def test_the_search_form_leads_to_the_browse_page_from_every_address(base: str, page: Page) -> None:
    """With instant loading, the theme keeps the header while the address of the page changes."""
    page.goto(base)
    form = page.locator("[data-catalog-search].is-live")
    form.wait_for(state="attached")
    moved = """(form) => {
      history.replaceState(null, "", "a/b/");
      const { action } = form;
      history.replaceState(null, "", "../../");
      return action;
    }"""
    assert form.evaluate(moved) == f"{base}browse/"


def test_hand_written_pages_are_found_too_and_nonsense_is_not(base: str, page: Page) -> None:
    page.goto(base)
    box = page.get_by_role("combobox", name="Search the catalog")
    box.fill("supercalifragilistic")
    expect(page.get_by_role("option").first).to_contain_text("Guide")
    box.fill("zzzzqqqq")
    expect(page.get_by_text("Nothing found.")).to_be_visible()


def test_the_choice_of_tab_is_remembered_and_arrows_move_it(base: str, site: Path, page: Page) -> None:
    first, second = sorted(path.relative_to(site) for path in site.glob(f"datasets/{HOME}/*"))[:2]
    page.goto(f"{base}{first}/")
    page.get_by_role("tab", selected=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="WebDataset")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel")).to_contain_text("wds.WebDataset")
    page.goto(f"{base}{second}/")
    expect(page.get_by_role("tab", name="WebDataset")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel")).to_contain_text("wds.WebDataset")


def test_the_copy_button_copies_the_snippet(base: str, site: Path, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{base}{next(site.glob(f'datasets/{HOME}/*')).relative_to(site)}/")
    page.get_by_role("tabpanel").get_by_role("button", name="Copy").click()
    assert "Dataset.from_atproto(" in page.evaluate("navigator.clipboard.readText()")


def test_each_of_the_programs_is_shown_and_copied_alone(base: str, site: Path, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    folder = next(site.glob(f"datasets/{HOME}/*"))
    page.goto(f"{base}{folder.relative_to(site)}/")
    tabs = page.get_by_role("tab")
    programs = page_programs(folder / "index.html")
    assert tabs.all_inner_texts() == [label for label, _, _ in programs]
    assert [label for label, _, _ in programs] == [
        "Python", "Typed Python", "WebDataset", "PyTorch", "Ray Data", "Hugging Face", "TypeScript",
    ]  # fmt: skip
    tabs.first.focus()
    page.keyboard.press("End")
    expect(tabs.last).to_be_focused()
    for tab, (_, _, code) in zip(tabs.all(), programs, strict=True):
        tab.click()
        panel = page.get_by_role("tabpanel")
        expect(panel).to_have_count(1)
        panel.get_by_role("button", name="Copy").click()
        expect(panel.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == panel.locator("pre code").text_content() == code
        assert "install" not in copied
        assert re.search(r"^(from|import|//) ", copied), "nothing but the code"


def test_a_program_that_does_not_arrive_is_told_and_led_to_as_text(base: str, site: Path, page: Page) -> None:
    def broken(route: Route) -> None:
        if route.request.resource_type == "fetch":
            route.fulfill(body="not what it was")
        else:
            route.continue_()

    page.route("**/load.txt", broken)
    page.goto(f"{base}{next(site.glob(f'datasets/{HOME}/*')).relative_to(site)}/")
    page.get_by_role("tab", name="PyTorch").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("It could not be loaded.")
    page.get_by_role("link", name="As text").click()
    expect(page.locator("body")).to_contain_text("=== PyTorch: pip install atdata-catalog torch")


def test_the_record_is_shown_when_asked_for(base: str, site: Path, page: Page) -> None:
    page.goto(f"{base}{next(site.glob(f'lenses/{HOME}/*')).relative_to(site)}/")
    page.get_by_text("Source record").click()
    expect(page.locator('code[data-language="json"]')).to_contain_text('"sourceSchema"')


def test_facets_combine_count_and_live_in_the_address_without_the_text_index(base: str, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(base + "browse/")
    count = page.locator(".cat-browse__count")
    expect(count).to_have_text("73 records")
    page.get_by_label(re.compile("^river")).check()
    expect(count).to_have_text("24 records")
    page.get_by_label(re.compile("^MIT")).check()
    expect(count).to_have_text("12 records")
    assert "tag=river" in page.url
    assert "licence=MIT" in page.url
    page.reload()
    expect(count).to_have_text("12 records")
    page.go_back()
    expect(count).to_have_text("24 records")
    assert not [url for url in asked if re.search(r"/catalog/text[/-]", url)], "no term, no text index"


def test_text_and_facets_meet(base: str, page: Page) -> None:
    page.goto(base + "browse/?tag=river")
    page.get_by_role("searchbox", name="Text").fill("harbour")
    expect(page).to_have_url(re.compile("q=harbour"))
    expect(page.locator(".cat-browse__count")).to_have_text("24 records")
    page.get_by_label("Sort by").select_option("size")
    expect(page.locator("[data-rows] a").first).to_have_text("Tidal recordings 69")
    page.locator("[data-rows] a").first.click()
    expect(page.locator("h1")).to_have_text("Tidal recordings 69")


def test_without_scripts_the_pages_read_and_the_lists_are_reached(base: str, site: Path, page: Page) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{base}{next(site.glob(f'datasets/{HOME}/*')).relative_to(site)}/")
    expect(plain.get_by_text("Dataset.from_atproto(")).to_be_visible()
    plain.get_by_role("link", name="Hugging Face").click()
    expect(plain.locator("body")).to_contain_text("wds.WebDataset")
    plain.goto(base + "browse/")
    plain.locator("noscript a, .cat-note a").first.click()
    expect(plain.locator("h1")).to_contain_text("Datasets")
    context.close()
