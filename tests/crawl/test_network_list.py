"""The list of lenses by what they start from, page by page, and the columns that the network's picture is made of."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from catalog.records import LENS, SCHEMA
from catalog.site.pages.network import network_json, network_page, network_places
from tests.schemagraphs import graph_of, lens, network_of, templates_of
from tests.sitecatalog import DID, build, schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.conftest import Watch


def test_the_columns_hold_every_schema_and_every_lens_with_two_ends(tmp_path: Path) -> None:
    graph = graph_of(tmp_path / "a.sqlite", [
        (SCHEMA, "A", schema(name="A\u202e<b>")), (SCHEMA, "B", schema(name="B")),
        (LENS, "3kab", lens("A", "B", "ab")), (LENS, "3kaway", lens("A", "Nowhere", "away")),
    ])  # fmt: skip
    held = json.loads(network_json(graph))
    assert held["publishers"] == [[str(DID).replace(":", "-"), str(DID)]]
    assert sorted(held["schemas"]["name"]) == ["A⟨U+202E⟩<b>", "B"]
    assert held["lenses"]["name"] == ["ab"]
    names = [held["schemas"]["name"][held["lenses"][end][0]] for end in ("source", "target")]
    assert names == ["A⟨U+202E⟩<b>", "B"]
    assert network_json(graph) == network_json(graph)
    assert "away" in network_page(templates_of(graph), network_places(graph), 1).body, "the list has it: to elsewhere"


def test_the_list_has_every_lens_once_on_pages_of_two_hundred(tmp_path: Path) -> None:
    graph = network_of(tmp_path / "store.sqlite", 30, [(n % 30, n * 7 % 30, n % 2 == 0) for n in range(450)])
    templates, lenses = templates_of(graph), network_places(graph)
    pages = [network_page(templates, lenses, number) for number in (1, 2, 3)]
    assert [page.address for page in pages] == ["network/", "network/page/2/", "network/page/3/"]
    listed = [re.findall(r'class="cat-ways__lens" href="((?:\.\./)+)([^"]+)"', page.body) for page in pages]
    assert [len(part) for part in listed] == [200, 200, 50]
    assert len({address for part in listed for _, address in part}) == 450
    for page, part in zip(pages, listed, strict=True):
        assert {root for root, _ in part} == {"../" * page.address.count("/")}
        assert ("data-network" in page.body) == (page.address == "network/"), "one picture"
    links = [re.findall(r'rel="(prev|next)" href="([^"]+)"', page.body) for page in pages]
    assert links == [
        [("next", "../network/page/2/")],
        [("prev", "../../../network/"), ("next", "../../../network/page/3/")],
        [("prev", "../../../network/page/2/")],
    ]


def test_the_list_goes_by_name_then_version_and_ends_with_what_comes_from_elsewhere(tmp_path: Path) -> None:
    versions = ("1.10.0", "1.9.0", "2.0.0-rc.1", "2.0.0")
    graph = graph_of(tmp_path / "store.sqlite", [
        *((SCHEMA, f"wave:{one}", schema(name="wave", version=one)) for one in versions),
        (SCHEMA, "Alpha", schema(name="Alpha")), (SCHEMA, "Zulu", schema(name="Zulu")),
        *((LENS, f"3k{n}", lens(f"wave:{one}", "Alpha", one)) for n, one in enumerate(versions)),
        (LENS, "3kx", lens("Gone", "Alpha", "from elsewhere")),
        (LENS, "3ky", lens("Zulu", "Alpha", "zulu")), (LENS, "3kz", lens("Alpha", "Zulu", "alpha")),
    ])  # fmt: skip
    assert [found.record.name for found in network_places(graph)] == [
        "alpha", "1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0", "zulu", "from elsewhere",
    ]  # fmt: skip


def test_the_pages_of_the_list_are_built_and_lead_to_each_other(
    tmp_path: Path, serve: Callable[[Path], str], page: Page, watch: Watch
) -> None:
    extra = [(LENS, f"3kmany{n:03d}", lens("Wave:1.0.0", "Wave:1.1.0", f"turn {n}")) for n in range(250)]
    base = serve(build(tmp_path, search=False, extra=extra))
    page.goto(base + "network/page/2/")
    expect(page.locator("h1")).to_have_text("Lens network 2 / 2")
    expect(page.locator(".cat-ways__lens")).to_have_count(51)
    expect(page.locator(".cat-net")).to_have_count(0)
    page.locator(".cat-ways__lens").first.click()
    expect(page.locator("h1")).to_contain_text("turn ")
    page.go_back()
    page.get_by_role("link", name="Explore the network").click()
    expect(page.locator(".cat-net__schema")).to_have_count(2)
    assert watch.strangers == watch.errors == []
