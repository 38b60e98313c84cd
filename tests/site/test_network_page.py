"""The lens network in Chromium: walked by mouse and by keyboard, with 5 and with 500 schemas, whatever their names."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from catalog.records import LENS, SCHEMA
from tests.hostilerecords import PAYLOADS
from tests.schemagraphs import lens, verification
from tests.sitecatalog import build, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.conftest import Watch

HOME = "did-plc-ewvi7nxzyoun6zhxrhs64oiz"

_NAMES = ("Spectrum", "Envelope", "Note", "Alone")
_LENSES = (
    ("to spectrum", "Wave:1.1.0", "Spectrum"),
    ("envelope", "Spectrum", "Envelope"),
    ("pitch", "Wave:1.0.0", "Note"),
)


def extra() -> list[tuple[str, str, dict[str, Any]]]:
    """Five schemas with lenses between them, one without any; one lens is verified (``without gain`` is, too)."""
    made = [(LENS, f"3klensaaa{n}", lens(source, target, name)) for n, (name, source, target) in enumerate(_LENSES)]
    return [
        *((SCHEMA, name, schema(name=name)) for name in _NAMES),
        *made,
        ("science.alt.dataset.lensVerification", "3kword", verification(made[0][1], made[0][2])),
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("site"), search=False, extra=extra())


@pytest.fixture
def base(site: Path, serve: Callable[[Path], str], watch: Watch) -> Iterator[str]:
    yield serve(site)
    assert watch.strangers == []
    assert watch.errors == []


def folder(site: Path, name: str) -> str:
    """The part of a schema's address that the picture's own address has."""
    found = next(
        path for path in (site / "schemas" / HOME).iterdir() if path.name.startswith(f"{name}~") or path.name == name
    )
    return f"{HOME}/{found.name}"


def middle(page: Page) -> str:
    """Return the centre of the picture."""
    label = page.locator(".cat-net__schema.is-chosen").get_attribute("aria-label")
    assert label is not None
    return " ".join(label.removeprefix("Schema ").split(" ")[:2])


def schemas(page: Page) -> list[str]:
    return [(text or "").split(" ")[0] for text in page.locator(".cat-net__name").all_text_contents()]


def test_a_small_network_is_seen_whole_and_a_click_puts_a_schema_in_the_middle(
    base: str, page: Page, site: Path
) -> None:
    page.goto(base + "network/")
    expect(page.locator(".cat-net__schema")).to_have_count(5)
    expect(page.locator(".cat-network__about")).to_have_text("4 lenses between 5 schemas. 1 schema has none.")
    assert "Alone" not in schemas(page)
    page.get_by_role("link", name="Schema Spectrum").click()
    expect(page).to_have_url(re.compile(re.escape(f"?schema={folder(site, 'spectrum')}")))
    assert middle(page) == "Spectrum 1.0.0"
    expect(page.locator(".cat-network [aria-live]")).to_have_text(
        "Spectrum 1.0.0 is in the middle. 1 lens leads from it, 1 leads to it."
    )
    assert sorted(schemas(page)) == ["Envelope", "Spectrum", "Wave", "Wave"], "two steps away at most"
    page.get_by_role("link", name="Lens envelope").hover()
    expect(page.locator(".cat-net__line.is-near")).to_have_count(1)
    page.go_back()
    expect(page.locator(".cat-net__schema")).to_have_count(5)
    page.go_forward()
    expect(page.locator(".cat-net__schema.is-chosen")).to_have_count(1)
    page.get_by_role("button", name="The whole network").click()
    expect(page.locator(".cat-net__schema.is-chosen")).to_have_count(0)
    page.get_by_role("link", name="Schema Note").click()
    page.get_by_role("link", name="Schema Note").click()
    expect(page.locator("h1")).to_contain_text("Note")


def test_it_is_walked_by_keyboard_alone(base: str, page: Page, site: Path) -> None:
    """Arrows go to the next column or row, lenses included; Space puts in the middle, Enter opens."""
    page.goto(f"{base}network/?schema={folder(site, 'spectrum')}")
    expect(page.locator(".cat-net__schema.is-chosen")).to_be_visible()
    page.get_by_role("combobox", name="Find a schema").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.cat-net a')"):
            break
    focused = page.locator(".cat-net a:focus")
    expect(focused).to_have_attribute("aria-label", re.compile("^Schema Spectrum"))
    assert page.locator(".cat-net a[tabindex='0']").count() == 1, "one stop of the Tab key"
    outline = page.locator(".cat-net a:focus rect").evaluate("rect => getComputedStyle(rect).strokeWidth")
    assert outline == "3px", "the focus is seen"
    page.keyboard.press("ArrowRight")
    expect(focused).to_have_attribute("aria-label", re.compile("^Lens envelope from Spectrum"))
    page.keyboard.press("ArrowRight")
    expect(focused).to_have_attribute("aria-label", re.compile("^Schema Envelope"))
    page.keyboard.press("ArrowRight")
    expect(focused).to_have_attribute("aria-label", re.compile("^Schema Envelope"))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(focused).to_have_attribute("aria-label", re.compile("^Schema Wave 1.1.0"))
    page.keyboard.press(" ")
    expect(focused).to_have_attribute("aria-current", "true")
    assert middle(page) == "Wave 1.1.0"
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Wave 1.1.0")


def test_every_item_is_reached_by_arrows(base: str, page: Page, site: Path) -> None:
    """From the middle, by any of the keys, to every schema and every lens of the picture."""
    page.goto(f"{base}network/?schema={folder(site, 'wave-1.1.0')}")
    page.locator(".cat-net__schema.is-chosen").focus()
    reached = page.evaluate("""() => {
      const seen = new Set(), queue = [document.activeElement];
      while (queue.length) {
        const here = queue.pop();
        if (seen.has(here)) continue;
        seen.add(here);
        for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) {
          here.focus();
          here.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
          queue.push(document.activeElement);
        }
      }
      return [seen.size, document.querySelectorAll(".cat-net [data-item]").length];
    }""")
    assert reached[0] == reached[1] >= 6


def test_a_schema_is_found_by_a_part_of_its_name(base: str, page: Page) -> None:
    page.goto(base + "network/")
    page.keyboard.press("Tab")
    box = page.get_by_role("combobox", name="Find a schema")
    box.fill("ALO")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    assert middle(page) == "Alone 1.0.0"
    expect(page.locator(".cat-network__about")).to_contain_text("No lens starts or ends here.")
    box.fill("wave")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert middle(page) == "Wave 1.1.0"
    expect(page.locator(".cat-net a:focus")).to_have_count(1)
    box.fill("nothing of the kind")
    expect(page.get_by_text("No schema of that name.")).to_be_visible()


def test_pages_of_schemas_and_lenses_lead_to_it_with_themselves_chosen(base: str, page: Page, site: Path) -> None:
    page.goto(f"{base}schemas/{folder(site, 'envelope')}/")
    page.get_by_role("link", name="Show in the lens network").click()
    expect(page.locator(".cat-net__schema.is-chosen")).to_be_visible()
    assert middle(page) == "Envelope 1.0.0"
    page.locator(".cat-table").get_by_role("link", name="envelope").click()
    page.get_by_role("link", name="Show in the lens network").click()
    expect(page.locator(".cat-net__line.is-chosen")).to_have_count(1)
    assert middle(page) == "Spectrum 1.0.0"
    expect(page.locator("tr.is-chosen")).to_contain_text("envelope")
    row = page.locator("tbody tr", has_text="to spectrum")
    expect(row.locator(".cat-mark--yes")).to_have_text("verified")
    row.get_by_role("link", name="Wave").click()
    assert middle(page) == "Wave 1.1.0"


def test_without_scripts_the_lenses_are_a_list(base: str, page: Page) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(base + "network/")
    expect(plain.get_by_role("heading", name="Wave 1.1.0")).to_be_visible()
    plain.get_by_role("link", name="to spectrum").click()
    expect(plain.locator("h1")).to_have_text("to spectrum")
    context.close()


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_in_the_picture_is_cut_off_or_lies_on_another(base: str, page: Page, site: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for place in ("network/", f"network/?schema={folder(site, 'wave-1.1.0')}"):
        page.goto(base + place)
        expect(page.locator(".cat-net__schema").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        boxes = page.locator(".cat-net a > rect").evaluate_all(
            "all => all.map(one => one.getBBox()).map(({x, y, width, height}) => [x, y, width, height])"
        )
        frame = page.locator(".cat-net").evaluate("svg => [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height]")
        for at, (x, y, w, h) in enumerate(boxes):
            assert 0 <= x <= frame[0] - w
            assert 0 <= y <= frame[1] - h
            for x2, y2, w2, h2 in boxes[:at]:
                assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
        assert page.locator("[style]").evaluate_all("all => all.filter(one => one.closest('.cat-network')).length") == 0


def test_the_picture_is_the_same_each_time_and_says_how_far_its_columns_are(base: str, page: Page, site: Path) -> None:
    drawn = []
    for _ in range(2):
        page.goto(f"{base}network/?schema={folder(site, 'wave-1.1.0')}")
        expect(page.locator(".cat-net__schema.is-chosen")).to_be_visible()
        drawn.append(page.locator(".cat-net").evaluate("svg => svg.outerHTML"))
    assert drawn[0] == drawn[1]
    expect(page.locator(".cat-net__caption")).to_have_text(["reached from it", "two steps away"])
    tops = page.evaluate("""() => [...document.querySelectorAll(".cat-net__caption")].map((words) => {
      const here = words.getBBox();
      const boxes = [...document.querySelectorAll(".cat-net__schema > rect")].map((one) => one.getBBox());
      const own = boxes.filter((box) => box.x < here.x + here.width / 2 && here.x + here.width / 2 < box.x + box.width);
      return Math.min(...own.map((box) => box.y)) - here.y - here.height;
    })""")
    assert all(0 <= above < 12 for above in tops), "right above the first schema"


def test_on_a_telephone_the_lenses_are_a_list_of_what_a_table_says(base: str, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(base + "network/")
    row = page.get_by_role("row", name="to spectrum")
    expect(row.get_by_role("cell")).to_have_count(3)
    frame = page.locator(".cat-network .cat-scroll")
    assert frame.evaluate("box => box.scrollWidth - box.clientWidth") <= 0
    name = row.get_by_role("rowheader").bounding_box()
    mark = row.locator(".cat-mark").bounding_box()
    assert name is not None
    assert mark is not None
    assert abs(name["y"] - mark["y"]) < 12
    assert mark["x"] > name["x"] + name["width"] - 1


# --- large, and hostile --------------------------------------------------------------------------------------


def synthetic(schemas: int, lenses: int) -> dict[str, Any]:
    """Columns of a network: names that anybody might choose, one schema that a fifth of the lenses starts from."""
    chance = random.Random(7)  # noqa: S311 - no secret
    names = [*PAYLOADS.values(), "W" * 100, "سلام دنیا", "   "]
    names += [f"{chance.choice(['Wave', 'Digit', 'Cell'])}{number // 3}" for number in range(len(names), schemas)]
    numbers = range(lenses)
    return {
        "publishers": [[f"did-plc-{n}", f"lab-{n}.example.org"] for n in range(5)],
        "schemas": {
            "name": names, "publisher": [n % 5 for n in range(schemas)], "page": [f"s{n}" for n in range(schemas)],
            "version": [f"1.{n % 7}.0" for n in range(schemas)], "datasets": [n % 9 for n in range(schemas)],
        },
        "lenses": {
            "name": [f"{names[n % 9][:60]} {n}" for n in numbers], "publisher": [n % 5 for n in numbers],
            "page": [f"l{n}" for n in numbers], "verified": [int(n % 3 == 0) for n in numbers],
            "source": [20 if n % 5 == 0 else chance.randrange(schemas) for n in numbers],
            "target": [chance.randrange(schemas) for n in numbers],
        },
    }  # fmt: skip


@pytest.fixture
def large(base: str, page: Page) -> Page:
    """The page with 500 schemas and 2,000 lenses."""
    page.route("**/network.json", lambda route: route.fulfill(json=synthetic(500, 2000)))
    page.goto(base + "network/")
    expect(page.locator(".cat-net__schema.is-chosen")).to_be_visible()
    return page


WALK = """async ([select, count]) => {
  for (let turn = 0; turn < count; turn++) {
    const all = document.querySelectorAll(select);
    const one = all[(turn * 7) % all.length];
    one.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, detail: 1 }));
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  }
}"""


def test_of_five_hundred_schemas_only_a_neighbourhood_is_drawn_at_each_step(large: Page) -> None:
    """So a step costs the same however large the network is."""
    large.evaluate(WALK, [".cat-net__schema:not(.is-chosen)", 31])
    assert large.locator(".cat-net [data-item]").count() <= 1 + 4 * 11 + 22
    assert large.locator(".cat-network tbody tr").count() <= 25


def test_of_a_schema_with_hundreds_of_neighbours_ten_are_shown_and_all_are_reached(large: Page) -> None:
    neighbours = large.evaluate("""async () => {
      const { schemas, lenses } = await (await fetch("../catalog/network.json")).json();
      return new Set(lenses.target.filter((target, row) => lenses.source[row] === 20 && target !== 20)).size;
    }""")
    more = large.locator(".cat-net__more[data-layer='1']")
    expect(more).to_have_text(f"{neighbours - 10:,} more")
    more.focus()
    seen: set[str | None] = set()
    for _ in range(-(-neighbours // 10)):
        seen |= set(
            large.locator(".cat-net__schema:not(.is-chosen)").evaluate_all("all => all.map(one => one.dataset.row)")
        )
        large.keyboard.press("Enter")
    wanted = large.evaluate("""async () => {
      const { lenses } = await (await fetch("../catalog/network.json")).json();
      const ends = lenses.target.filter((target, row) => lenses.source[row] === 20 && target !== 20);
      return [...new Set(ends)].map(String);
    }""")
    assert set(wanted) <= seen
    button = large.get_by_role("button", name=re.compile("^Show more"))
    before = large.locator(".cat-network tbody tr").count()
    button.click()
    expect(large.locator(".cat-network tbody tr")).to_have_count(before + 25)


GO = """(row) => {
  history.pushState(null, "", `?schema=did-plc-${row % 5}/s${row}`);
  dispatchEvent(new PopStateEvent("popstate"));
}"""


def test_hostile_names_are_text_and_stay_in_their_boxes(large: Page) -> None:
    box = large.get_by_role("combobox", name="Find a schema")
    for row, name in enumerate([*PAYLOADS.values(), "W" * 100]):
        large.evaluate(GO, row)
        assert large.locator(".cat-network__about h2 a").text_content() == name
        wide = large.locator(".cat-net__schema.is-chosen").evaluate("a => a.getBoundingClientRect().width")
        assert wide <= 230
    box.fill("<script")
    expect(large.get_by_role("option").first).to_contain_text("<script>window.pwned=1</script>")
    assert large.evaluate("window.pwned") is None
    assert large.locator(".cat-network script, .cat-network img").count() == 0


def test_a_network_that_does_not_arrive_leaves_the_list(base: str, page: Page, watch: Watch) -> None:
    page.route("**/network.json", lambda route: route.fulfill(body="not what it was"))
    page.goto(base + "network/")
    expect(page.get_by_role("link", name="to spectrum")).to_be_visible()
    assert watch.errors == []
