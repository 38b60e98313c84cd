"""The search box in Chromium: beginnings of words, slips, any script, hostile names, a late or missing index."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from catalog.records import DATASET
from catalog.site import spelling
from catalog.store import Store
from catalog.store.graph import Graph
from tests.hostilerecords import PAYLOADS
from tests.sitecatalog import build, dataset, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page, Route

    from catalog.atproto.datamodel import Json
    from tests.conftest import Watch

NAMES = {
    "3kelephant": "Elephant migrations",
    "3kkyrillic": "Волга наблюдения",
    "3kchinese": "海洋声音数据",
    "3kgreek": "Όρη και θάλασσες",
    "3kaccents": "Élévation du Rhône",
    "3kjoined": "MarineMammalCalls_2019",
    "3kemoji": "🐋🐋🐋",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    extra: list[tuple[str, str, dict[str, Json]]] = [
        (DATASET, key, dataset(3, name=name, description="Nothing else.", tags=[])) for key, name in NAMES.items()
    ]
    extra += [(DATASET, f"3khostile{key}", dataset(3, name=text[:200])) for key, text in PAYLOADS.items()]
    return build(tmp_path_factory.mktemp("site"), datasets=40, extra=extra)


@pytest.fixture
def base(site: Path, serve: Callable[[Path], str], watch: Watch) -> Iterator[str]:
    yield serve(site)
    assert watch.strangers == []
    assert watch.errors == []


def ask(page: Page, base: str, term: str) -> list[str]:
    """The names that a term finds in the box, best first."""
    if not page.url.startswith(base):
        page.goto(base + "guide/")
    box = page.get_by_role("combobox", name="Search the catalog")
    box.fill("")
    expect(page.locator("#cat-search-results")).to_be_hidden()
    box.fill(term)
    expect(page.locator("#cat-search-results, .cat-search__note:not(:empty)").first).to_be_visible()
    return page.locator("[role=option] .cat-search__title > span:first-child").all_inner_texts()


BEGINNINGS = {
    "eleph": "3kelephant",
    "migrations elephant": "3kelephant",
    "волг": "3kkyrillic",
    "海洋": "3kchinese",
    "声音": "3kchinese",
    "ορη": "3kgreek",
    "elevation": "3kaccents",
    "RHÔNE": "3kaccents",
    "mammal": "3kjoined",
    "marinemammalcalls": "3kjoined",
}
"""What is typed: the record that is found."""


def test_the_beginning_of_a_word_finds_it_in_any_script(base: str, page: Page) -> None:
    for typed, found in BEGINNINGS.items():
        assert ask(page, base, typed)[0] == NAMES[found], typed
        expect(page.get_by_text("Showing results for")).to_have_count(0)


SLIPS = {
    "elephnat": ("elephant", "3kelephant"),
    "lephant": ("elephant", "3kelephant"),
    "wlephant": ("elephant", "3kelephant"),
    "leephant": ("elephant", "3kelephant"),
    "elehpnat": ("elephant", "3kelephant"),
    "elephant migratoins": ("elephant migrations", "3kelephant"),
    "наблюдеиня": ("наблюдения", "3kkyrillic"),
    "θαλασες": ("θαλασσες", "3kgreek"),
    "elevatino": ("elevation", "3kaccents"),
}
"""What is typed: what was meant, and the record that is found."""


def test_a_slip_of_the_finger_finds_what_was_meant_and_says_so(base: str, page: Page) -> None:
    """Changed, left out, added, swapped, at the first letter too; two in a long word; and there is a way back."""
    for typed, (meant, found) in SLIPS.items():
        page.goto(base + "guide/")
        assert ask(page, base, typed)[0] == NAMES[found], typed
        expect(page.locator(".cat-search__note")).to_contain_text(f"Showing results for {meant}.")
        page.get_by_role("button", name=f"Search for {typed} instead").click()
        if " " in typed:  # what has the other word remains
            expect(page.locator(".cat-search__part")).to_have_text("Without “migratoins”")
        else:
            expect(page.locator(".cat-search__note")).to_contain_text("Nothing found.")


def test_what_is_near_nothing_finds_nothing(base: str, page: Page) -> None:
    assert ask(page, base, "xqzwvk") == []
    expect(page.locator(".cat-search__note")).to_contain_text("Nothing found.")
    expect(page.get_by_role("link", name="browse all records")).to_have_attribute("href", re.compile("/browse/$"))


def test_hostile_names_are_found_and_stay_text(base: str, page: Page) -> None:
    for term, payload in (
        ("onerror", "script"),
        ("svg onload", "attribute"),
        ("javascript pwned", "url"),
        ("wwwwww", "long"),
    ):
        names = ask(page, base, term)
        assert any(re.sub(r"\W", "", name) and name[:20] in PAYLOADS[payload] for name in names), (term, names)
    assert page.evaluate("window.pwned") is None
    assert page.locator(".cat-search :is(script, img, b)").count() == 0


def test_results_tell_kind_publisher_size_and_tags(base: str, page: Page) -> None:
    ask(page, base, "recordings 21")
    first = page.get_by_role("option").first
    for words in ("Tidal recordings 21", "dataset", "waves.example.org", "31.5 MB", "audio, river"):
        expect(first).to_contain_text(words)
    expect(first.locator("mark").first).to_have_text("recordings")


def test_an_index_that_does_not_come_is_told_and_may_come_later(
    serve: Callable[[Path], str], site: Path, page: Page
) -> None:
    base = serve(site)
    page.route("**/text/index.json", lambda route: route.abort())
    assert ask(page, base, "elephant") == []
    expect(page.locator(".cat-search__note")).to_have_text("The search index could not be loaded.")
    page.unroute("**/text/index.json")
    page.get_by_role("combobox").fill("elephan")
    expect(page.get_by_role("option").first).to_contain_text(NAMES["3kelephant"])


def test_an_older_answer_never_covers_a_newer_one(base: str, page: Page) -> None:
    """Chunks of results that come late, and in another order than they were asked for."""
    page.goto(base + "guide/")
    held: list[Route] = []
    page.route("**/shown/*.json*", lambda route: held.append(route))  # noqa: PLW0108 - Playwright counts its arguments
    box = page.get_by_role("combobox", name="Search the catalog")
    for number, term in enumerate(("elephant", "harbour 39"), start=1):
        box.fill(term)
        for _ in range(3000):
            if len(held) >= number:
                break
            page.wait_for_timeout(20)
    assert len(held) > 1, "two questions wait for their answers"
    for route in reversed(held):
        with page.expect_response(route.request.url):
            route.continue_()
    expect(page.get_by_role("option").first).to_contain_text("Tidal recordings 39")


def test_the_browse_page_says_what_it_thought_was_meant_and_leads_back(base: str, page: Page) -> None:
    page.goto(base + "browse/?q=elephnat")
    count = page.locator(".cat-browse__count")
    expect(count).to_contain_text("1 record. Showing results for elephant.")
    page.get_by_role("button", name="Search for elephnat instead").click()
    expect(count).to_contain_text("0 records")


def test_files_of_words_are_bounded_and_have_the_most_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spelling, "MOST", 1)
    fill(tmp_path / "store.sqlite", datasets=3, extra=[(DATASET, "3krare", dataset(1, name="Tideless reading"))])
    with Store.open(tmp_path / "store.sqlite") as store:
        files = {name: json.loads(text)["words"] for name, text in spelling.files(Graph.from_store(store), [])}
    assert files["catalog/words/1t.json"] == "tidal", "three have it, and one each of tides and tideless"
    assert files["catalog/words/1r.json"] == "recordings"
    assert files["catalog/words/1z.json"] == ""
