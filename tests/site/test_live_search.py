"""A site with an AppView, in Chromium: live answers in the box, and the site's own index whatever becomes of it."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from catalog.atproto.datamodel import record_cid
from catalog.errors import InvalidConfig
from catalog.records import DATASET, LENS, SCHEMA
from catalog.site import addresses
from catalog.site.search import ask_appview
from catalog.site.settings import read_search
from tests import sitecatalog
from tests.appviewservices import serving
from tests.appviewstores import World
from tests.hostilerecords import PAYLOADS
from tests.sitecatalog import DID, dataset, uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page, Route

    from catalog.atproto.datamodel import Json
    from tests.conftest import Watch

APPVIEW = "https://appview.example"
ODD = "Odd:Key~1"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with an AppView that isn't there; tests answer in its place."""
    folder = tmp_path_factory.mktemp("live")
    extra: list[tuple[str, str, dict[str, Json]]] = [
        (DATASET, "3kelephant", dataset(3, name="Elephant migrations", tags=[])),
        (DATASET, ODD, dataset(3, name="Odd elephants", tags=[])),
    ]
    sitecatalog.fill(folder / "store.sqlite", datasets=40, extra=extra)
    config = sitecatalog.MKDOCS % json.dumps({"appview": APPVIEW + "/"})
    (folder / "mkdocs.yml").write_text(config, encoding="utf-8")
    (folder / "docs").mkdir()
    (folder / "docs" / "guide.md").write_text("# Guide\n\nElephants are told of here.\n", encoding="utf-8")
    done = sitecatalog.mkdocs(folder, "--strict")
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "site"


@pytest.fixture
def base(site: Path, serve: Callable[[Path], str], page: Page) -> str:
    found = serve(site)
    page.goto(found + "guide/")
    return found


def hit(kind: str, key: str, **record: Json) -> dict[str, Any]:
    collection = {"dataset": DATASET, "schema": SCHEMA, "lens": LENS}[kind]
    value = dataset(1, **record)
    return {
        "kind": kind, "uri": str(uri(collection, key)), "cid": str(record_cid(value)), "did": str(DID),
        "verified": True, "indexedAt": "2026-11-20T12:00:00.000Z", "handle": "waves.example.org", "record": value,
    }  # fmt: skip


def answering(page: Page, *hits: dict[str, Any], asked: list[str] | None = None, **more: Any) -> None:  # noqa: ANN401
    def fulfil(route: Route) -> None:
        if asked is not None:
            asked.append(route.request.url)
        route.fulfill(
            json={"hits": list(hits), "total": len(hits), **more}, headers={"Access-Control-Allow-Origin": "*"}
        )

    page.route(f"{APPVIEW}/**", fulfil)


def ask(page: Page, term: str) -> list[str]:
    """The names that a term finds in the box, best first."""
    box = page.get_by_role("combobox", name="Search the catalog")
    box.fill("")
    expect(page.locator("#cat-search-results")).to_be_hidden()
    box.fill(term)
    expect(page.locator("#cat-search-results:visible, .cat-search__note:not(:empty)").first).to_be_visible()
    return page.locator("[role=option] .cat-search__title > span:first-child").all_inner_texts()


def leads(page: Page) -> list[str]:
    return [str(one.get_attribute("data-href")) for one in page.locator("[role=option]").all()]


def test_what_only_the_appview_has_is_shown_and_leads_there_what_the_site_has_to_its_page(
    base: str, page: Page, watch: Watch
) -> None:
    """In one list, the AppView's order first, then what only the site finds; nothing twice."""
    asked: list[str] = []
    answering(
        page, hit("dataset", "3knew", name="Elephants today"), hit("dataset", ODD, name="Odd elephants"),
        hit("dataset", "3kelephant", name="Elephant migrations"), asked=asked,
    )  # fmt: skip
    found = ask(page, "eleph")
    assert found == ["Elephants today", "Odd elephants", "Elephant migrations", "Guide"]
    there, odd, here, guide = leads(page)
    assert there.startswith(f"{APPVIEW}/xrpc/science.alt.dataset.getEntry?uri=at%3A%2F%2Fdid%3Aplc%3A")
    assert odd == base + addresses.of_record("dataset", str(DID), ODD)
    assert here == base + addresses.of_record("dataset", str(DID), "3kelephant")
    assert guide == base + "guide/"
    assert re.search(r"[?&]q=eleph\*&limit=8&kinds=dataset&kinds=schema&kinds=lens$", asked[-1].replace("%2A", "*"))
    assert {url.partition("/xrpc/")[0] for url in watch.strangers} == {APPVIEW}
    assert watch.errors == []


def test_a_record_of_the_site_that_its_own_index_finds_otherwise_leads_to_its_page_too(base: str, page: Page) -> None:
    """The AppView knows what was meant by another word; the page is found by the record's name."""
    answering(page, hit("dataset", "3kelephant", name="Elephant migrations"), total=1)
    assert ask(page, "pachyderm")[0] == "Elephant migrations"
    assert leads(page)[0] == base + addresses.of_record("dataset", str(DID), "3kelephant")


def test_lenses_and_schemas_lead_to_their_own_queries(base: str, page: Page) -> None:
    assert base
    answering(page, hit("lens", "3klens", name="new lens"), hit("schema", "New:2.0.0", name="New", version="2.0.0"))
    assert ask(page, "zebra") == ["new lens", "New 2.0.0"]
    assert [re.sub(r"\?.*", "", lead) for lead in leads(page)] == [
        f"{APPVIEW}/xrpc/science.alt.dataset.getLens", f"{APPVIEW}/xrpc/science.alt.dataset.getSchema",
    ]  # fmt: skip


@pytest.mark.parametrize("way", ["refused", "silent", "500", "limited"])
def test_an_appview_that_is_down_or_late_leaves_the_site_s_own_results(base: str, page: Page, way: str) -> None:
    """They appear though it never answers, and it isn't asked again with the next letters."""
    asked: list[str] = []

    def fail(route: Route) -> None:
        asked.append(route.request.url)
        if way == "refused":
            route.abort("connectionrefused")
        elif way == "500":
            route.fulfill(status=500, body="{}", headers={"Access-Control-Allow-Origin": "*"})
        elif way == "limited":
            route.fulfill(status=429, json={"error": "RateLimitExceeded"})
        # silent: nothing ever comes

    page.route(f"{APPVIEW}/**", fail)
    assert base
    page.get_by_role("combobox", name="Search the catalog").focus()
    page.wait_for_load_state("networkidle")
    assert "Elephant migrations" in ask(page, "elephant")
    assert "Elephant migrations" in ask(page, "elephant migr")
    assert len(asked) == 1


GARBAGE: list[str] = [
    "", "<html><script>window.pwned=1</script>", "null", "[]", '{"hits": {}}', '{"hits": [null]}', '{"hits": [{}]}',
    json.dumps({"hits": [{**hit("dataset", "3kx"), "uri": "javascript:window.pwned=1"}]}),
    json.dumps({"hits": [{**hit("dataset", "3kx"), "kind": "__proto__"}]}),
    json.dumps({"hits": [{**hit("dataset", "3kx"), "record": None}]}),
    json.dumps({"hits": [{**hit("dataset", "3kx"), "record": {"name": {"toString": 1}}}]}),
    "[" * 100_000, " " * 2_100_000 + '{"hits": []}',
]  # fmt: skip


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_of_an_appview_is_as_if_it_were_down(base: str, page: Page, watch: Watch, body: str) -> None:
    assert base
    page.route(
        f"{APPVIEW}/**",
        lambda route: route.fulfill(body=body, headers={"Access-Control-Allow-Origin": "*"}),
    )
    assert "Elephant migrations" in ask(page, "elephant")
    assert page.evaluate("window.pwned") is None
    assert watch.errors == []


def test_hostile_records_of_an_appview_stay_text(base: str, page: Page, watch: Watch) -> None:
    """Markup, addresses and hidden characters in every text; nothing runs, and nothing else is asked for."""
    for number, text in enumerate(PAYLOADS.values()):
        page.unroute(f"{APPVIEW}/**")
        one = hit("dataset", f"3kh{number}", name=text, description=text, tags=[text], size={"bytes": text})
        answering(page, {**one, "handle": text, "did": text}, loose=text, total=text)
        assert ask(page, f"zebra{number}")
        assert page.locator("#cat-search-results :is(img, script, svg, iframe, a)").count() == 0
        assert all(lead.startswith((f"{APPVIEW}/xrpc/", base)) for lead in leads(page))
    shown = page.locator("#cat-search-results").inner_text()
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00]", shown)
    assert page.evaluate("window.pwned") is None
    assert watch.errors == []
    assert {url.partition("/xrpc/")[0] for url in watch.strangers} == {APPVIEW}


def test_facets_and_the_browse_page_ask_nobody(base: str, page: Page, watch: Watch) -> None:
    page.goto(base + "browse/?q=elephant")
    expect(page.get_by_text("Odd elephants").first).to_be_visible()
    assert watch.strangers == []


def test_a_site_without_an_appview_has_no_byte_of_it(site: Path, tmp_path: Path) -> None:
    still = sitecatalog.build(tmp_path, datasets=1)
    assets = {file.name: file.read_bytes() for file in (still / "assets" / "catalog").iterdir()}
    assert "still.js" not in assets
    assert not any(b"xrpc/science" in raw for name, raw in assets.items() if name.endswith(".js"))
    live = {file.name: file.read_bytes() for file in (site / "assets" / "catalog").iterdir()}
    assert live.pop("still.js") == assets["text.js"]
    assert live.pop("text.js") != assets.pop("text.js")
    assert {name: raw for name, raw in live.items() if name.endswith(".js")} == {
        name: raw for name, raw in assets.items() if name.endswith(".js")
    }


def test_a_build_over_a_site_keeps_both_scripts(site: Path, tmp_path: Path) -> None:
    """As MkDocs's dirty builds do, which leave a file that is newer than its source."""
    assets = shutil.copytree(site / "assets" / "catalog", tmp_path / "assets")
    before = {name: (assets / name).read_bytes() for name in ("text.js", "still.js")}
    ask_appview(assets, APPVIEW)
    assert {name: (assets / name).read_bytes() for name in before} == before
    ask_appview(assets, "https://other.example")
    assert b"https://other.example" in (assets / "text.js").read_bytes()
    assert (assets / "still.js").read_bytes() == before["still.js"]


def test_a_new_record_is_in_the_box_of_a_site_that_was_built_before(
    site: Path, serve: Callable[[Path], str], page: Page, watch: Watch, tmp_path: Path
) -> None:
    """The real AppView: from another origin, with a record that came after the build."""
    world = World(tmp_path)
    world.put({f"{DATASET}/3klive": dataset(1, name="Elephants of this morning")})
    world.catch_up()
    (tmp_path / "mkdocs.yml").write_text(f"plugins: [catalog: {{store: {world.path}}}]\n", encoding="utf-8")
    copy = shutil.copytree(site, tmp_path / "site")
    try:
        with serving(tmp_path / "mkdocs.yml", "--no-follow") as served:
            served.until_ready()
            script = copy / "assets" / "catalog" / "text.js"
            script.write_text(script.read_text().replace(APPVIEW, served.url))
            page.goto(serve(copy) + "guide/")
            found = ask(page, "elephants mor")
            assert found[0] == "Elephants of this morning"  # those without "mor" follow
            assert (watch.strangers, watch.errors) == ([], [])
            lead = leads(page)[0]
            page.locator("[role=option]").first.click()
            page.wait_for_url(lead)
            assert '"Elephants of this morning"' in page.content()
    finally:
        world.close()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, (True, None)), (False, (False, None)), (None, (True, None)),
        ({"appview": "https://appview.example.org/"}, (True, "https://appview.example.org")),
        ({"appview": "http://127.0.0.1:8100"}, (True, "http://127.0.0.1:8100")),
    ],
)  # fmt: skip
def test_the_option_says_whether_and_whom(value: object, expected: tuple[bool, str | None]) -> None:
    assert read_search(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "yes", {}, {"appview": None}, {"appview": "appview.example"}, {"appview": "https://a.example/x"},
        {"appview": 'https://a"+alert(1)+".example'}, {"appview": "https://u:p@a.example"},
        {"appview": "https://a.example", "x": 1}, {"appview": "https://a.example:x"}, {"appview": "javascript:1"},
        {"appview": "https://[::1"}, {"appview": "https://a.example?x"},
    ],
)  # fmt: skip
def test_another_option_is_refused(value: object) -> None:
    with pytest.raises(InvalidConfig, match="search"):
        read_search(value)


@pytest.fixture(autouse=True)
def _no_errors_that_nobody_wanted(watch: Watch) -> Iterator[None]:
    yield
    assert not [error for error in watch.errors if "Uncaught" in error]
