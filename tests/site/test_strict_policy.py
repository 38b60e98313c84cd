"""The site works under a strict Content-Security-Policy, and reads without any script."""

from __future__ import annotations

import re
from http.server import SimpleHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests import sitekinds
from tests.fakes import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.conftest import Sites, Watch

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'"
)
WATCH = """() => {
  window.broken = [];
  document.addEventListener("securitypolicyviolation", (event) => window.broken.push(
    `${event.effectiveDirective}: ${event.blockedURI} ${event.sample} (${event.sourceFile}:${event.lineNumber})`));
}"""


class _StrictHandler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def strictly() -> Iterator[Callable[[Path], str]]:
    """``strictly(directory)`` serves it with the policy on everything; answers the base URL, with a slash."""
    with serving(_StrictHandler) as start:
        yield start


def _broken(page: Page) -> list[str]:
    return [re.sub(r"127\.0\.0\.1:\d+", "", line) for line in page.evaluate("window.broken")]


@pytest.mark.parametrize("name", ["varied", "example"])
def test_nothing_breaks_the_policy(
    sites: Sites, strictly: Callable[[Path], str], page: Page, watch: Watch, name: str
) -> None:
    """On no kind of page, with all that unfolds unfolded, the palette switched, and the search and filters used."""
    site = sites[name]
    base = strictly(site.host) + site.path
    page.add_init_script(f"({WATCH})()")
    found = {}
    for address in sitekinds.chosen(site.folder, most=2):
        page.goto(base + address, wait_until="load")
        page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        for tab in page.get_by_role("tab").all():
            tab.click()
        if address == "":
            page.locator("[data-md-component=palette] label:visible").click()
            expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")
        if address == "browse/":
            expect(page.locator("[data-rows] a").first).to_be_visible()
            page.get_by_role("searchbox").fill("a")
            page.get_by_role("checkbox").first.check()
        page.keyboard.press("Escape")
        page.locator("body").press("/")
        page.keyboard.type("cla" if name == "example" else "tid")
        expect(page.get_by_role("option").first).to_be_visible()
        found[address] = _broken(page)
    assert {address: words for address, words in found.items() if words} == {}
    assert watch.strangers == []
    assert [line for line in watch.errors if "404.html" not in line] == []


def test_a_page_that_breaks_it_is_noticed(tmp_path: Path, strictly: Callable[[Path], str], page: Page) -> None:
    """The control: inline scripts, styles and handlers, and somebody else's picture."""
    (tmp_path / "index.html").write_text(
        "<!doctype html><title>x</title><script>1</script><p style='color:red' onclick='1'>x</p><style>p{}</style>"
        "<img src='http://127.0.0.1:1/x.png'>",
        encoding="utf-8",
    )
    page.add_init_script(f"({WATCH})()")
    page.goto(strictly(tmp_path))
    words = " ".join(_broken(page))
    for directive in ("script-src-elem", "style-src-attr", "style-src-elem", "img-src"):
        assert directive in words


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def test_every_kind_of_page_reads_without_scripts(sites: Sites, serve: Callable[[Path], str], plain: Page) -> None:
    """A heading and words on each; no control that would do nothing; the ways on are links."""
    site = sites["varied"]
    base = serve(site.host) + site.path
    for address in sitekinds.chosen(site.folder, most=2):
        plain.goto(base + address)
        main = plain.locator("main")
        expect(main.locator("h1")).to_be_visible()
        assert len(main.inner_text()) > 15, address
        if address != "404.html":
            assert main.locator("a:visible").count() + main.locator("p:visible").count() > 0, address
        dead = main.locator("button:visible, [role=tab]:visible, select:visible")
        assert dead.count() == 0, (address, dead.first.evaluate("e => e.outerHTML"))


def test_what_matters_of_a_dataset_is_there_without_scripts(
    sites: Sites, serve: Callable[[Path], str], plain: Page
) -> None:
    """Its description, the program that loads it, its fields, its shards; of a schema its fields and code."""
    site = sites["varied"]
    base = serve(site.host) + site.path
    dataset = next(site.folder.glob("datasets/*/3kaaaaaaaaaba")).relative_to(site.folder).as_posix()
    plain.goto(f"{base}{dataset}/")
    main = plain.locator("main")
    for words in (
        "Recordings of harbour 1",
        "pip install",
        "from_atproto",
        "Pressure, in pascal",
        "tides-1-000000.tar",
    ):
        expect(main.get_by_text(words).first).to_be_visible()
    many = next(site.folder.glob("datasets/*/3kmany")).relative_to(site.folder).as_posix()
    plain.goto(f"{base}{many}/")
    shard = plain.get_by_text("many-000000.tar").first
    if not shard.is_visible():
        plain.get_by_text("shards", exact=False).locator("visible=true").last.click()
    schema = next(site.folder.glob("schemas/*/wave-1.1.0*")).relative_to(site.folder).as_posix()
    plain.goto(f"{base}{schema}/")
    for words in ("signal", "Pressure, in pascal", "class Wave"):
        expect(plain.locator("main").get_by_text(words).first).to_be_visible()
    plain.goto(f"{base}datasets/")
    plain.get_by_role("link", name="Older").click()
    expect(plain.locator("h1")).to_contain_text("Datasets")
    assert plain.locator("main a[href*='datasets/did']").count() > 5
