"""The browse page in Chromium, against a filter of a few lines of Python over the same graph."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, pairwise
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import expect

from catalog.atproto import datamodel
from catalog.records import DATASET, SCHEMA, Dataset, read_record
from catalog.site import facets, spelling
from catalog.site.markup import shown
from catalog.site.nodes import name_of
from catalog.store import Found, Repo, Store, index_format
from catalog.store.graph import Graph
from catalog.store.searchable import spelt_terms
from catalog.syntax import AtUri, Did, Handle
from tests.sitecatalog import MKDOCS, SEEN, SOURCE, dataset, mkdocs, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page, Route

    from catalog.atproto.datamodel import Json
    from catalog.store.graph import Node
    from tests.conftest import Watch

DIDS = ("did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:plc:44ybard66vv44zksje25o7dz", "did:web:tides.example.org")
HANDLES = ("waves.example.org", "shore.example.org", None)
TAGS = [
    "audio",
    "ocean",
    "river",
    "__proto__",
    "constructor",
    'a "quoted" <b>tag</b>',
    "x y&z=1#",
    *(f"rare-{n}" for n in range(30)),
]
LICENCES = ["MIT", "CC-BY-4.0", "https://example.org/licence?a=b&c", None]
HOSTILE = [
    "<img src=x onerror=alert(1)>", "\u202egnp.exe", "\u202e\u200b", "Zoë's 10 % ≤ 2",
    "</script><script>alert(1)</script>",
    "a" * 300, "Élan 9", "elan 10", "ELAN 2", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 名前 שלום",
]  # fmt: skip
ORDERS = ("new", "name", "size", "samples", "updated")
COUNT = ".cat-browse__count"
STATES = """() => document.querySelector('[data-catalog-browse]:not([aria-busy]) form:not([hidden])') !== null"""
MOVE = "at => { history.pushState(null, '', at); dispatchEvent(new PopStateEvent('popstate')); }"
SHOWN = """() => [...document.querySelectorAll('.cat-facet')].map((group) => [
  group.querySelector('legend').textContent,
  [...group.querySelectorAll('label')].map((label) => [...label.querySelectorAll('span')].map((s) => s.textContent)),
])"""
FOCUSED = """() => document.activeElement.getAttribute('aria-label')
  ?? document.activeElement.closest('label, button, summary')?.textContent ?? ''"""
TITLES = {
    "Kind": "kind", "Task": "task", "Modality": "modality", "Languages": "language", "Format": "format", "Tags": "tag",
    "Licence": "licence", "Publisher": "publisher", "Schema": "schema", "Array type": "dtype", "Size": "size",
    "Verification": "state", "Updated": "updated",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    site: Path
    # A node's repr has its neighbours, whose reprs have theirs: pytest would write for hours.
    graph: Graph = field(repr=False)
    nodes: tuple[Node, ...] = field(repr=False)
    words: tuple[dict[str, tuple[str, ...]], ...] = field(repr=False)


def _record(number: int, chance: Random) -> dict[str, Json]:
    value = dataset(number)
    owner = chance.randrange(2)
    value["schemaRef"] = f"at://{DIDS[owner]}/{SCHEMA}/{chance.choice(['Wave:1.0.0', 'Wave:1.1.0', 'Deep:1.0.0'])}"
    value["name"] = HOSTILE[number] if number < len(HOSTILE) else f"Tidal recordings {number % 70}"
    tags: list[Json] = list(chance.sample(TAGS, chance.choice([0, 1, 2, 3, 5])))
    value["tags"] = tags
    licence = chance.choice(LICENCES)
    del value["license"]
    value |= {} if licence is None else {"license": licence}
    sizes: list[dict[str, Json]] = [{}, {"bytes": 10 ** chance.randrange(4, 15)}, {"samples": chance.randrange(9)}]
    sizes.append({"bytes": 999_999, "samples": 1})
    value["size"] = chance.choice(sizes)
    value["createdAt"] = f"2026-{chance.randrange(1, 12):02d}-{chance.randrange(1, 28):02d}T12:00:00.000Z"
    return value


def _fill(path: Path) -> None:
    chance = Random(5)  # noqa: S311 - the same every time
    with Store.open(path) as store:
        store.configure([SOURCE], [])
        for place, (did, handle) in enumerate(zip(DIDS, HANDLES, strict=True)):
            values: list[tuple[str, str, dict[str, Json]]] = []
            if place < 2:
                values += [(SCHEMA, "Wave:1.0.0", schema()), (SCHEMA, "Wave:1.1.0", schema(version="1.1.0"))]
                values += [(SCHEMA, "Deep:1.0.0", schema("Deep" if place else "Deeper"))]
            values += [
                (
                    DATASET,
                    f"3kaaaaaaa{n:04d}".replace("0", "z").replace("1", "y").replace("8", "x").replace("9", "w"),
                    _record(n, chance),
                )
                for n in range(place, 330, 3)
            ]
            halves = [values[0::2], values[1::2]]
            for step in (1, 2):
                found = [
                    Found(
                        uri=AtUri.parse(f"at://{did}/{collection}/{rkey}"),
                        cid=datamodel.record_cid(value),
                        value=value,
                        verified=len(rkey) % 2 == 0 or number % 7 > 0,
                    )
                    for number, (collection, rkey, value) in enumerate(chain.from_iterable(halves[:step]))
                ]
                repo = Repo(
                    did=Did.parse(did),
                    source=SOURCE,
                    handle=None if handle is None else Handle.parse(handle),
                    rev=f"3kaaaaaaaaa2{step + 1}",
                )
                store.replace(repo, found, [], moment=SEEN + timedelta(days=40 * step + place))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("browse")
    _fill(folder / "store.sqlite")
    (folder / "mkdocs.yml").write_text(MKDOCS % "true", encoding="utf-8")
    (folder / "docs").mkdir()
    (folder / "docs" / "guide.md").write_text("# Guide\n\nSupercalifragilistic.\n", encoding="utf-8")
    done = mkdocs(folder)
    assert done.returncode == 0, done.stderr
    with Store.open(folder / "store.sqlite") as store:
        graph = Graph.from_store(store)
    names = facets.schema_names(graph)
    nodes = facets.rows(graph)
    return Made(
        site=folder / "site", graph=graph, nodes=nodes, words=tuple(facets.words_of(node, names) for node in nodes)
    )


@pytest.fixture
def base(made: Made, serve: Callable[[Path], str], watch: Watch) -> Iterator[str]:
    yield serve(made.site)
    assert watch.strangers == []
    assert watch.errors == []


def fits(words: dict[str, tuple[str, ...]], facet: str, chosen: list[str]) -> bool:
    """The reference: any of a facet's words, all of the tags; a schema also by its bare name, a month by its year."""

    def one(wanted: str) -> bool:
        more = {"schema": f"{wanted} · ", "updated": f"{wanted}-"}.get(facet)
        return any(word == wanted or (more is not None and word.startswith(more)) for word in words[facet])

    return (all if facet == "tag" else any)(map(one, chosen))


def reference(made: Made, chosen: dict[str, list[str]], sort: str = "new") -> list[int]:
    rows = [row for row, words in enumerate(made.words) if all(fits(words, f, c) for f, c in chosen.items())]

    def size(row: int, what: str) -> int:
        value = getattr(getattr(made.nodes[row].record, "size", None), what, None)
        return -1 if value is None else int(value)

    if sort in {"size", "samples"}:
        rows.sort(key=lambda row: -size(row, "bytes" if sort == "size" else sort))
    if sort == "updated":
        rows.sort(key=lambda row: made.nodes[row].updated, reverse=True)
    return rows


def counts(made: Made, chosen: dict[str, list[str]], facet: str) -> dict[str, int]:
    """Return the number of rows for each word of a facet; its own choice counts only for tags."""
    others = {f: c for f, c in chosen.items() if f != facet or f == "tag"}
    found: dict[str, int] = {}
    for row in reference(made, others):
        for word in made.words[row][facet]:
            found[word] = found.get(word, 0) + 1
    return found


def settled(page: Page) -> None:
    page.wait_for_function(STATES)


def shown_rows(page: Page) -> list[int]:
    rows: list[int] = page.eval_on_selector_all(
        "[data-rows] > li", "items => items.map((item) => Number(item.dataset.row))"
    )
    return rows


def some_choice(made: Made, chance: Random) -> dict[str, list[str]]:
    chosen: dict[str, list[str]] = {}
    # Mostly what some record has, so that something is left; now and then what none has.
    pattern = chance.choice(made.words)
    for facet in chance.sample(facets.FACETS, chance.choice([0, 1, 1, 2, 2, 3, 4])):
        words = list(pattern[facet]) or [chance.choice(chance.choice(made.words)[facet] or ("no such word",))]
        words += chance.choice([[], [], list(chance.choice(made.words)[facet]), ["no such word"]])
        chosen[facet] = list(dict.fromkeys(chance.sample(words, min(len(words), chance.choice([1, 2])))))
    if chance.random() < 0.1:
        chosen["updated"] = ["2026"]
    if chance.random() < 0.1:
        chosen["schema"] = ["Wave 1.1.0"]
    return chosen


def test_any_choice_in_any_order_shows_the_rows_and_counts_of_the_reference(made: Made, base: str, page: Page) -> None:
    chance = Random(11)  # noqa: S311 - the same every time
    page.goto(base + "browse/")
    met = 0
    for _ in range(80):
        chosen, sort = some_choice(made, chance), chance.choice(ORDERS)
        query = [(facet, word) for facet, words in chosen.items() for word in words] + [("sort", sort)]
        page.evaluate(MOVE, f"?{urlencode(query)}")
        settled(page)
        expected = reference(made, chosen, sort)
        met += bool(expected)
        assert page.locator(COUNT).inner_text() == ("1 record" if len(expected) == 1 else f"{len(expected)} records"), (
            query
        )
        if sort == "name":
            names = [facets.sort_key(made.nodes[row]) for row in shown_rows(page)]
            assert all(a <= b for a, b in pairwise(names))
            assert set(shown_rows(page)) <= set(expected)
        else:
            assert shown_rows(page) == expected[:40], query
        for title, labels in page.evaluate(SHOWN):
            known = counts(made, chosen, TITLES[title])
            for word, count in labels:
                assert int(count) == known.get(word, 0), (query, title, word)
            if len(known) <= 8:
                assert {word for word, _ in labels} == set(known) | set(chosen.get(TITLES[title], [])), (query, title)
    assert met > 40, "most choices leave something"


def test_names_are_sorted_as_people_do_and_hostile_ones_are_text(made: Made, base: str, page: Page) -> None:
    page.goto(base + "browse/?sort=name&kind=dataset")
    settled(page)
    names = [made.nodes[row].record.name for row in shown_rows(page)]  # type: ignore[union-attr]
    assert [name for name in names if name.lower().endswith(("elan 2", "lan 9", "elan 10"))] == [
        "ELAN 2",
        "Élan 9",
        "elan 10",
    ]
    for _ in range(20):
        if page.locator("[data-more]").is_hidden():
            break
        page.locator("[data-more]").click()
    for name in HOSTILE:
        row = page.locator("[data-rows] > li", has_text=shown(name))
        page.evaluate(
            "row => document.querySelector(`[data-row='${row}']`).scrollIntoView()",
            next(row for row, node in enumerate(made.nodes) if getattr(node.record, "name", "") == name),
        )
        expect(row.first.locator("a")).to_have_text(shown(name))
    assert page.locator("[data-rows] img, [data-rows] script").count() == 0
    assert page.evaluate("Object.prototype.toString.call({}.audio)") == "[object Undefined]"


def test_chunks_that_arrive_in_any_order_fill_their_own_rows(made: Made, base: str, page: Page) -> None:
    chance = Random(2)  # noqa: S311 - the same every time
    waiting: list[Route] = []
    released = False

    def hold(route: Route) -> None:
        if released:
            route.continue_()
        else:
            waiting.append(route)

    def held(least: int) -> None:
        for _ in range(3000):
            if len(waiting) >= least:
                return
            page.wait_for_timeout(20)
        pytest.fail(f"{len(waiting)} chunks were asked for, not {least}")

    page.route("**/catalog/rows/*", hold)
    page.set_viewport_size({"width": 1280, "height": 2600})
    page.goto(base + "browse/?tag=ocean&sort=size")
    settled(page)
    held(2)
    page.evaluate(MOVE, "?tag=ocean&sort=new")  # what was asked for is still under way
    settled(page)
    held(5)
    released = True
    chance.shuffle(waiting)
    for route in waiting:
        route.continue_()
        page.wait_for_timeout(chance.choice([0, 20]))
    expect(page.locator("li.is-coming")).to_have_count(0)
    rows = reference(made, {"tag": ["ocean"]})[:40]
    addresses = page.eval_on_selector_all("[data-rows] a", "links => links.map((link) => link.href)")
    assert addresses == [base + facets.address_of(made.nodes[row]) for row in rows]


def test_a_chunk_that_did_not_arrive_is_asked_for_again(made: Made, serve: Callable[[Path], str], page: Page) -> None:
    failed: list[str] = []

    def once(route: Route) -> None:
        if route.request.url in failed:
            route.continue_()
        else:
            failed.append(route.request.url)
            route.abort()

    page.route("**/catalog/rows/*", once)
    page.goto(serve(made.site) + "browse/")
    expect(page.locator("[data-rows] a").first).to_have_text("could not be loaded")
    expect(page.locator("[data-rows] a").first).to_have_text(shown(name_of(made.nodes[0])))


def test_only_the_chunks_of_rows_on_the_screen_are_fetched(base: str, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(base + "browse/")
    page.wait_for_load_state("networkidle")
    assert len([url for url in asked if "/catalog/rows/" in url]) == 1
    assert not [url for url in asked if "/catalog/columns/" in url or "/catalog/orders/" in url]


def test_going_back_and_forward_restores_choices_order_and_length(base: str, page: Page) -> None:
    page.goto(base + "browse/")
    count = page.locator(COUNT)
    expect(count).to_have_text("336 records")
    page.get_by_role("checkbox", name=re.compile("^MIT")).check()
    some = re.compile(r"^\d\d records")
    expect(count).to_have_text(some)
    page.get_by_label("Sort by").select_option("name")
    page.locator("[data-more]").click()
    shown = page.locator("[data-rows] > li").count()
    assert shown > 40
    page.locator("[data-rows] a").first.click()
    expect(page.locator("h1")).not_to_have_text("Browse")
    page.go_back()
    expect(count).to_have_text(some)
    expect(page.locator("[data-rows] > li")).to_have_count(shown)
    assert page.get_by_label("Sort by").input_value() == "name"
    page.go_back()
    expect(page.get_by_label("Sort by")).to_have_value("new")
    page.go_back()
    expect(count).to_have_text("336 records")
    expect(page.get_by_role("checkbox", name=re.compile("^MIT"))).not_to_be_checked()
    page.go_forward()
    expect(count).to_have_text(some)


def test_everything_works_by_keyboard_and_the_focus_is_never_lost(base: str, page: Page) -> None:
    page.goto(base + "browse/")
    expect(page.locator(COUNT)).to_have_text("336 records")

    def tab_to(name: str, *, key: str = "Tab") -> None:
        for _ in range(120):
            page.keyboard.press(key)
            if page.evaluate(FOCUSED).startswith(name):
                return
        pytest.fail(f"never came to {name}")

    page.get_by_role("searchbox", name="Text").focus()
    tab_to("Find in tags")
    page.keyboard.type("RARE-1")
    expect(page.locator(".cat-facet", has_text="Tags").locator("label")).to_have_count(11)
    tab_to("rare-1")
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile("tag=rare-1"))
    settled(page)
    assert page.evaluate("document.activeElement.type") == "checkbox"
    assert page.evaluate("document.activeElement.checked")
    tab_to("Remove Tags: rare-1")
    page.keyboard.press("Enter")
    expect(page.locator(COUNT)).to_have_text("336 records")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Text"
    page.keyboard.type("recordings")
    expect(page.get_by_role("button", name="Clear all")).to_be_visible()  # it comes when the search is done
    settled(page)
    tab_to("Clear all")
    page.keyboard.press("Enter")
    expect(page.locator(COUNT)).to_have_text("336 records")
    expect(page).to_have_url(re.compile(r"browse/$"))
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Text"


def test_a_choice_that_goes_gives_its_focus_to_its_group(base: str, page: Page) -> None:
    """A rare one stands among the most frequent only while it is chosen."""
    page.goto(base + "browse/?tag=rare-7")
    tags = page.locator(".cat-facet", has_text="Tags")
    rare = tags.get_by_role("checkbox", name=re.compile("^rare-7"))
    rare.focus()
    page.keyboard.press("Space")
    expect(page.locator(COUNT)).to_have_text("336 records")
    expect(rare).to_have_count(0)
    expect(tags.locator("summary")).to_be_focused()


def test_links_of_other_pages_lead_to_a_choice_that_has_something(made: Made, base: str, page: Page) -> None:
    pages = [*made.site.glob("schemas/*/*/index.html"), *made.site.glob("datasets/*/*/index.html")]
    pages += [
        *made.site.glob("tags/*/index.html"),
        *made.site.glob("licences/*/index.html"),
        *made.site.glob("publishers/*/index.html"),
    ]
    links = sorted(
        {
            link
            for file in pages
            for link in re.findall(r'href="[./]*browse/(\?[^"]+)"', file.read_text(encoding="utf-8"))
        }
    )
    assert len(links) > 20
    page.goto(base + "browse/")
    for link in links:
        page.evaluate(MOVE, link.replace("&amp;", "&").replace("&#34;", '"').replace("&#39;", "'"))
        settled(page)
        assert not page.locator(COUNT).inner_text().startswith("0 "), link


def test_words_and_choices_meet(made: Made, base: str, page: Page) -> None:
    page.goto(base + "browse/?q=harbour&licence=MIT&state=verified")
    chosen = {"licence": ["MIT"], "state": ["verified"], "kind": ["dataset"]}
    expect(page.locator(COUNT)).to_have_text(f"{len(reference(made, chosen))} records")


def test_the_best_matches_stand_first_where_that_is_wanted(made: Made, base: str, page: Page) -> None:
    """The same as in the box of the header, which shows the best; without a word the newest stand first."""
    term = "wave"  # the name of a schema, and a word of its datasets
    page.goto(base)
    page.get_by_role("combobox", name="Search the catalog").fill(term)
    expect(page.get_by_role("option").first).to_be_visible()
    best = page.get_by_role("option").first.get_attribute("data-href")
    orders: dict[str, list[int]] = {}
    found: list[str] = []
    for sort in ("match", "new"):
        page.goto(base + f"browse/?q={quote(term)}&sort={sort}")
        settled(page)
        orders[sort] = shown_rows(page)
        found.append(page.locator(COUNT).inner_text())
    assert found[0] == found[1]
    assert orders["match"] != orders["new"]
    assert best is not None
    assert best.endswith(facets.address_of(made.nodes[orders["match"][0]]))
    page.goto(base + "browse/?sort=match")
    settled(page)
    assert shown_rows(page) == list(range(len(shown_rows(page))))


def test_a_misspelt_word_finds_what_was_meant_and_says_so(base: str, page: Page) -> None:
    page.goto(base + "browse/?q=recrodings")
    expect(page.locator(COUNT)).to_contain_text("Showing results for recordings.")
    page.goto(base + "guide/")
    box = page.get_by_role("combobox", name="Search the catalog")
    for typed, right in (
        ("tidsl", "tidal"),
        ("uidal", "tidal"),
        ("ttidal", "tidal"),
        ("idal 7", "tidal 7"),
        ("itdal", "tidal"),
        ("recxrdxngs", "recordings"),
    ):
        box.fill(typed)
        expect(page.get_by_role("status").filter(has_text="Showing results")).to_contain_text(
            f"Showing results for {right}."
        )
        expect(page.get_by_role("option").first).to_be_visible()
    box.fill("zzzzqqqq")
    expect(page.get_by_text("Nothing found.")).to_be_visible()


def test_results_say_kind_publisher_size_and_tags(made: Made, base: str, page: Page) -> None:
    node = next(
        n for n in made.graph.datasets if n.record.size and n.record.size.bytes == 999_999 and len(n.record.tags) == 3
    )
    page.goto(base)
    page.get_by_role("combobox", name="Search the catalog").fill(f"{node.record.name} {node.publisher.shown}")
    option = page.get_by_role("option").filter(has_text="1 MB").first
    expect(option).to_contain_text("dataset")
    expect(option).to_contain_text(node.publisher.shown)


def test_a_large_catalog_starts_with_its_costly_facets_closed_and_counts_them_when_opened(
    made: Made, base: str, page: Page
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def smaller(route: Route) -> None:
        text = (made.site / "assets/catalog/browse.js").read_text(encoding="utf-8")
        assert "LARGE = 20_000" in text
        route.fulfill(body=text.replace("LARGE = 20_000", "LARGE = 20"), content_type="text/javascript")

    page.route("**/browse.js", smaller)
    page.goto(base + "browse/")
    page.get_by_role("checkbox", name=re.compile("^MIT")).check()
    settled(page)
    assert not [url for url in asked if "/catalog/columns/" in url]
    group = page.locator("details.cat-facet", has=page.get_by_text("Tags", exact=True))
    group.locator("summary").click()
    expected = counts(made, {"licence": ["MIT"]}, "tag")
    expect(group.locator("label", has_text="audio")).to_have_text(f"audio{expected['audio']}")
    assert [url for url in asked if "/catalog/columns/" in url]


@given(st.lists(st.integers(0, 2**31), max_size=40))
def test_numbers_are_told_back_from_their_digits(numbers: list[int]) -> None:
    base = len(index_format.DIGITS)
    planes = index_format.encode_digits(numbers)
    assert [
        sum(index_format.DIGITS.index(t[i]) * base**k for k, t in enumerate(planes)) for i in range(len(numbers))
    ] == numbers
    assert json.dumps(planes).isascii()


def test_the_browser_reads_numbers_as_they_were_written(base: str, page: Page) -> None:
    page.goto(base + "browse/")
    chance = Random(1)  # noqa: S311 - the same every time
    numbers = [*range(7000), *(chance.randrange(2 ** chance.randrange(1, 31)) for _ in range(4000))]
    for name, text in (
        ("decodeShort", index_format.encode_short(numbers)),
        ("decodeDigits", index_format.encode_digits(numbers)),
    ):
        read = page.evaluate(
            "async ([at, name, text]) => Array.from((await import(at))[name](text))",
            [base + "assets/catalog/numbers.js", name, text],
        )
        assert read == numbers


@given(st.text(max_size=60))
def test_words_to_spell_by_are_short_and_have_a_bucket(text: str) -> None:
    record = read_record(DATASET, dataset(1, name=f"n{text}"))
    assert isinstance(record, Dataset)
    for word in spelt_terms(record):
        assert len(word) >= 4
        assert spelling._key(word[0]) in spelling.KEYS


def test_the_files_are_the_same_each_time_and_spare_json_what_it_must_escape(made: Made) -> None:
    first, second = dict(facets.files(made.graph)), dict(facets.files(made.graph))
    assert first == second
    assert first["catalog/facets.json"] == (made.site / "catalog/facets.json").read_text(encoding="utf-8")
    assert "\\" not in index_format.DIGITS + index_format.encode_short(range(5000))
