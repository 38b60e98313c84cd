"""Finding, filtering, opening and copying with the keyboard only: no test here uses the mouse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from tests.conftest import Sites, Watch

MOST_STEPS = 120
FOCUSED = "document.activeElement"


@pytest.fixture
def base(sites: Sites, serve: Callable[[Path], str], page: Page) -> str:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.set_viewport_size({"width": 1280, "height": 900})
    return serve(sites["varied"].host) + sites["varied"].path


def tab_to(page: Page, wanted: Locator, *, key: str = "Tab") -> None:
    """Press Tab until ``wanted`` has the focus; whatever has it on the way must be seen to have it."""
    for _ in range(MOST_STEPS):
        if wanted.count() == 1 and wanted.evaluate(f"element => element === {FOCUSED}"):
            return
        page.keyboard.press(key)
        assert page.evaluate(f"{FOCUSED} !== document.body"), "the focus is lost"
    pytest.fail(f"{MOST_STEPS} times {key} don't lead to {wanted}; the focus is on {where(page)}")


def where(page: Page) -> str:
    return str(page.evaluate(f"{FOCUSED}.outerHTML.slice(0, 200)"))


def seen(page: Page) -> bool:
    """Return whether the focus is visible: by an outline, a shadow, or a caret."""
    return bool(
        page.evaluate(f"""() => {{
          const shown = (element) => {{
            const style = getComputedStyle(element);
            return [style.outlineStyle, style.outlineWidth, style.boxShadow, style.borderColor, style.textDecoration,
                    style.backgroundColor, style.color, style.opacity].join();
          }};
          const element = {FOCUSED};
          if (element.matches("input:not([type=checkbox], [type=radio]), select")) return true;
          const label = element.matches("input") ? element.nextElementSibling ?? element : element;
          const [with_, around] = [shown(element), shown(label)];
          element.blur();
          const differs = with_ !== shown(element) || around !== shown(label);
          element.focus({{ focusVisible: true }});
          return differs;
        }}""")
    )


def test_search_and_open_and_copy(base: str, page: Page, watch: Watch) -> None:
    """From the first page: "/" and some letters, down to a result, in; another tab of its programs, and its text."""
    page.goto(base)
    page.keyboard.press("/")
    page.keyboard.type("harbour 42")
    expect(page.get_by_role("option").first).to_contain_text("Tidal recordings 42")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", selected=True)).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets/**")
    expect(page.locator("h1")).to_have_text("Tidal recordings 42")
    tab_to(page, page.get_by_role("tab", selected=True))
    for _ in range(page.get_by_role("tab").count()):
        page.keyboard.press("ArrowRight")
        if page.get_by_role("tab", selected=True).inner_text() == "WebDataset":
            break
    expect(page.get_by_role("tab", name="WebDataset")).to_be_focused()
    copy = page.get_by_role("tabpanel").get_by_role("button", name="Copy")
    expect(page.get_by_role("tabpanel")).to_contain_text("wds.WebDataset")
    tab_to(page, copy.first)
    assert seen(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("tabpanel").get_by_role("button", name="Copied")).to_be_visible()
    assert "wds.WebDataset" in page.evaluate("navigator.clipboard.readText()")
    assert watch.errors == []


def test_search_closes_and_gives_the_focus_back(base: str, page: Page) -> None:
    page.goto(base)
    page.keyboard.press("/")
    page.keyboard.type("harbour")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("option").first).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.get_by_role("combobox")).to_have_value("")


def test_filter_and_sort_and_open(base: str, page: Page) -> None:
    """On the browse page: two filters ticked, one taken back, sorted, a result opened."""
    page.goto(base + "browse/")
    expect(page.locator("[data-rows] a").first).to_be_visible()
    tab_to(page, page.get_by_label(re.compile("^river")))
    assert seen(page)
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile("tag=river"))
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    tab_to(page, page.get_by_label(re.compile("^MIT")))
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile("licence=MIT"))
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    page.keyboard.press("Space")
    expect(page).not_to_have_url(re.compile("licence=MIT"))
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    tab_to(page, page.get_by_label("Sort by"), key="Shift+Tab")
    page.keyboard.press("n")  # by name
    expect(page.get_by_label("Sort by")).to_have_value("name")
    first = page.locator("[data-rows] a").first
    expect(first).to_contain_text("Tidal recordings 0")
    tab_to(page, first)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Tidal recordings 0")


def test_the_way_past_the_header_and_the_switch_of_the_palette(base: str, page: Page) -> None:
    """The first Tab offers to skip to the content; the palette is switched by its arrow keys or Space."""
    page.goto(base + "guide/")
    page.keyboard.press("Tab")
    expect(page.locator(".md-skip")).to_be_focused()
    page.goto(base)
    for _ in range(MOST_STEPS):
        page.keyboard.press("Tab")
        if page.evaluate(f"{FOCUSED}.name === '__palette'"):
            break
    page.keyboard.press("ArrowRight")
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")


def test_the_drawer_of_a_telephone_opens(base: str, page: Page) -> None:
    """Its button is reached and pressed, a section in it opened."""
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(base)
    tab_to(page, page.locator("label.md-header__button[for=__drawer]"))
    page.keyboard.press("Enter")
    link = page.locator(".md-nav--primary").get_by_role("link", name="Datasets")
    expect(link).to_be_visible()
    tab_to(page, link)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Datasets")


@pytest.mark.parametrize("width", [390, 1280])
def test_whatever_takes_the_focus_shows_it(base: str, sites: Sites, page: Page, width: int) -> None:
    """On a dataset's page and the browse page, from the first Tab to the last, and it never gets stuck."""
    page.set_viewport_size({"width": width, "height": 900})
    folder = sites["varied"].folder
    dataset = next(folder.glob("datasets/*/3kfull")).relative_to(folder).as_posix()
    unseen: dict[str, str] = {}
    for address in (dataset + "/", "browse/"):
        page.goto(base + address)
        if address == "browse/":
            expect(page.locator("[data-rows] a").first).to_be_visible()
        met = []
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate(f"{FOCUSED} === document.body"):
                break
            met.append(where(page))
            if not seen(page):
                unseen[where(page)] = address
        assert len(set(met)) > 15, "the focus goes on"
    assert unseen == {}


def test_a_focus_that_does_not_show_is_noticed(page: Page) -> None:
    """The control of the test above."""
    page.set_content("<button id=a>shown</button><button id=b style='outline: none'>not</button>")
    page.keyboard.press("Tab")
    assert seen(page)
    page.keyboard.press("Tab")
    assert not seen(page)
