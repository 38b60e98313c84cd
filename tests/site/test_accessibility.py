"""axe-core finds no fault on any kind of page, in either scheme, on a telephone or a desk, with what opens opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests import sitekinds
from tests.paths import TESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.conftest import Sites

AXE = TESTS / "browser" / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = 390, 1280
COLOURS = ("color-contrast", "link-in-text-block")
"""The rules whose result depends on the colour scheme."""
OPENED = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const panel of document.querySelectorAll("[role=tabpanel]")) panel.hidden = false;
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        pytest.fail("axe-core is not installed: run `make test`, or `npm ci` in tests/browser", pytrace=False)
    return AXE.read_text(encoding="utf-8")


def faults(page: Page, axe: str, *rules: str) -> list[str]:
    """Return the violations that axe-core finds: a line a rule, with its first element; of all rules by default."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    run = "rules => axe.run({resultTypes: ['violations'], ...(rules.length > 0 && {runOnly: rules})})"
    found: dict[str, Any] = page.evaluate(run, list(rules))
    return [
        f"{fault['id']} ×{len(fault['nodes'])}: {' '.join(fault['nodes'][0]['html'].split())[:160]}"
        f" ({' '.join(fault['nodes'][0]['failureSummary'].split())[:240]})"
        for fault in found["violations"]
    ]


def none(found: Mapping[str, list[str]]) -> None:
    """Fail with each fault once, and where it is."""
    places: dict[str, list[str]] = {}
    for place, words in found.items():
        for fault in words:
            places.setdefault(fault, []).append(place or "home")
    if places:
        lines = [f"{fault}\n    on {', '.join(where[:3])}" for fault, where in places.items()]
        pytest.fail("\n".join(lines), pytrace=False)


def turn(page: Page, scheme: str) -> None:
    """To a colour scheme by the theme's own switch; the browser remembers it for the pages that come."""
    body = page.locator("body")
    if body.get_attribute("data-md-color-scheme") != scheme:
        page.locator("[data-md-component=palette] label:visible").click()
    expect(body).to_have_attribute("data-md-color-scheme", scheme)
    page.evaluate("Promise.allSettled(document.getAnimations().map(animation => animation.finished))")


def _alone(context: BrowserContext) -> None:
    context.set_default_timeout(60_000)
    # Without `font: false` the theme asks another host for fonts.
    context.route(
        "**/*", lambda route: route.continue_() if route.request.url.startswith("http://127.") else route.abort()
    )


@pytest.fixture
def quiet(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": request.param, "height": 900}, reduced_motion="reduce", color_scheme="light"
    )
    _alone(context)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(
    ("name", "quiet", "schemes"),
    [
        ("varied", PHONE, ("default", "slate")),
        ("varied", DESK, ("slate",)),
        ("example", PHONE, ("slate",)),
        ("example", DESK, ("default",)),
    ],
    indirect=["quiet"],
)
def test_no_page_has_a_fault(
    sites: Sites, serve: Callable[[Path], str], quiet: Page, axe: str, name: str, schemes: tuple[str, ...]
) -> None:
    """Pages of every kind are checked with everything that unfolds unfolded, by the rules for colours in each scheme.

    The varied site is checked in both schemes at one width: no colour depends on the width. The other rules don't
    depend on the scheme: they are checked in the one that the previous page has left.
    """
    site = sites[name]
    base = serve(site.host) + site.path
    quiet.goto(base)
    turn(quiet, schemes[0])
    found = {}
    for address in sitekinds.chosen(site.folder, most=2):
        quiet.goto(base + address)
        expect(quiet.locator("body")).to_have_attribute("data-md-color-scheme", schemes[0])
        quiet.evaluate(OPENED)
        if address == "browse/":
            expect(quiet.locator("[data-rows] a").first).to_be_visible()
        found[address] = faults(quiet, axe)
        for scheme in schemes[1:]:
            turn(quiet, scheme)
            found[f"{address} in {scheme}"] = faults(quiet, axe, *COLOURS)
        schemes = schemes[::-1]
    assert len(found) > 10
    none(found)


@pytest.mark.parametrize("quiet", [PHONE, DESK], indirect=True)
def test_a_site_that_sets_nothing_has_no_fault(
    sites: Sites, serve: Callable[[Path], str], quiet: Page, axe: str
) -> None:
    """Material's own faults are fixed without any setting of the owner."""
    site = sites["plain"]
    base = serve(site.host)
    found = {}
    kinds = sitekinds.kinds(site.folder, most=1)
    for address in ("", "browse/", "404.html", *kinds["datasets/*/*"], *kinds["schemas/*/*"]):
        quiet.goto(base + address)
        quiet.evaluate(OPENED)
        found[address] = faults(quiet, axe)
    none(found)


@pytest.mark.parametrize("quiet", [PHONE, DESK], indirect=True)
def test_a_site_that_sets_everything_has_no_fault(
    sites: Sites, serve: Callable[[Path], str], quiet: Page, axe: str
) -> None:
    """Whatever of the theme is switched on, and in hand-written pages."""
    site = sites["themed"]
    base = serve(site.host)
    found = {}
    for address in ("", "guide/", *sitekinds.kinds(site.folder, most=1)["datasets/*/*"]):
        for scheme in ("light", "dark"):
            quiet.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            quiet.goto(base + address)
            quiet.evaluate(OPENED)
            quiet.wait_for_timeout(200)  # the theme's script adds buttons to code
            found[f"{address} {scheme}"] = faults(quiet, axe)
    none(found)


CONTRASTS = """([primary, scheme]) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colour, ground) => {
    canvas.fillStyle = ground; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const contrast = (colour, ground) => {
    const [a, b] = [light(over(colour, ground)), light(over(ground, "#fff"))].sort((x, y) => y - x);
    return (a + .05) / (b + .05);
  };
  document.body.setAttribute("data-md-color-primary", primary);
  document.body.setAttribute("data-md-color-scheme", scheme);
  const probe = document.body.appendChild(document.createElement("i"));
  const of = (name) => { probe.style.color = `var(--md-${name})`; return getComputedStyle(probe).color; };
  const [page, code] = [of("default-bg-color"), of("code-bg-color")];
  return {
    header: contrast(of("primary-bg-color"), of("primary-fg-color")),
    link: contrast(of("typeset-a-color"), page),
    "link in code": contrast(of("typeset-a-color"), code),
    comment: contrast(of("code-hl-comment-color"), code),
  };
}"""


def test_each_of_the_theme_s_colours_can_be_read(sites: Sites, serve: Callable[[Path], str], page: Page) -> None:
    """Header, links and code at 4.5:1 in all its palettes, light and dark."""
    page.goto(serve(sites["varied"].host) + sites["varied"].path)
    names = "red pink purple deep-purple indigo blue light-blue cyan teal green light-green lime yellow amber orange"
    faint = {
        (name, scheme, what): round(ratio, 2)
        for name in [*names.split(), "deep-orange", "brown", "grey", "blue-grey", "black", "white"]
        for scheme in ("default", "slate")
        for what, ratio in page.evaluate(CONTRASTS, [name, scheme]).items()
        if ratio < 4.5
    }
    assert faint == {}


@pytest.mark.parametrize("scheme", ["default", "slate"])
@pytest.mark.parametrize("quiet", [PHONE, DESK], indirect=True)
def test_what_opens_has_no_fault(
    sites: Sites, serve: Callable[[Path], str], quiet: Page, axe: str, scheme: str
) -> None:
    """The search with results and without, the browse page with filters set, and the drawer of a telephone."""
    base = serve(sites["varied"].host) + sites["varied"].path
    quiet.goto(base)
    turn(quiet, scheme)
    found = {}
    quiet.keyboard.press("/")
    quiet.keyboard.type("harbour")
    expect(quiet.get_by_role("option").first).to_be_visible()
    quiet.keyboard.press("ArrowDown")
    found["search"] = faults(quiet, axe)
    quiet.get_by_role("combobox").fill("zzzzqqqq")
    expect(quiet.get_by_text("Nothing found.")).to_be_visible()
    found["search for nothing"] = faults(quiet, axe)
    quiet.goto(base + "browse/?kind=dataset&licence=MIT&q=harbour&sort=size")
    expect(quiet.locator("[data-rows] a").first).to_be_visible()
    quiet.evaluate(OPENED)
    found["browse"] = faults(quiet, axe)
    if quiet.evaluate("innerWidth") == PHONE:
        quiet.goto(base)
        quiet.locator("label.md-header__button[for=__drawer]").click()
        expect(quiet.locator("nav.md-nav--primary .md-nav__link").first).to_be_visible()
        quiet.wait_for_timeout(400)  # it slides
        found["drawer"] = faults(quiet, axe)
    none(found)


def test_axe_notices(page: Page, axe: str) -> None:
    """The control: a page with faults is told of them."""
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><img src=data:,><p style='color:#ccc'>words</main>")
    words = " ".join(faults(page, axe))
    assert "image-alt" in words
    assert "color-contrast" in words
    (fault,) = faults(page, axe, *COLOURS)
    assert fault.startswith("color-contrast ")
