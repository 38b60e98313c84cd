"""Every address inside the site that its pages and files give leads somewhere, as a plain file server serves it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import httpx
import pytest

from tests import sitekinds
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Sites
    from tests.sitevariety import BuiltSite

ADDRESS_OF = {"varied": "https://tides.example/catalog/", "example": "https://tides.example/example/"}
"""The ``site_url`` of those that have one."""
HOST = "http://site.invalid/"
LINKING = frozenset({"href", "src", "action", "poster", "cite", "formaction", "srcset"})
RELATIVE = re.compile(r"\.{1,2}/[^\s<>\"]*")
TEXTS = frozenset({".html", ".xml", ".json", ".jsonld", ".txt", ".atom", ".rss", ".ttl", ".css", ".js", ".md", ".csv"})


class Links(HTMLParser):
    """The links of a page, and its link targets."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.places = {"", "top"}  # the latter is every page's, by the standard
        self.base: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.places.add(value)
            elif name in LINKING:
                parts = value.split(",") if name == "srcset" else [value]
                self.targets += [part.split()[0] if name == "srcset" else part for part in parts]
            elif name.startswith("data-") and RELATIVE.fullmatch(value):
                self.targets.append(value)
            elif name == "content" and re.match(r"\s*\d+\s*;\s*url=", value, re.IGNORECASE):  # a page that leads on
                self.targets.append(value.split("=", 1)[1].strip("'\" "))


def pointers(site: BuiltSite, own: str | None) -> Iterator[tuple[str, str]]:
    """Pairs of a file and an address on :data:`HOST` that it points to; ``own`` is the site's ``site_url``."""
    for file in sorted(site.folder.rglob("*")):
        name = file.relative_to(site.host).as_posix()
        if file.suffix not in TEXTS or "catalog/text/" in name:
            continue
        text = file.read_text(encoding="utf-8")
        here = HOST + name.removesuffix("index.html")
        found: list[str] = []
        if file.suffix == ".html":
            found = Links(text).targets
        elif file.suffix == ".css":
            found = [part.strip("'\"") for part in re.findall(r"url\(([^)]*)\)", text)]
        elif file.suffix == ".js":
            found = re.findall(r"""(?:\bfrom|\bimport\()\s*["'](\.{1,2}/[^"']+)["']""", text)
        if own is not None:  # feeds, sitemaps, JSON-LD, canonical links: wherever the site names its own addresses
            plain = text.replace("\\/", "/").replace("&amp;", "&")
            found += re.findall(re.escape(own) + r"[^\s<>\"'\\){}]*", plain)
        for target in found:
            if own is not None and (target + "/").startswith(own):
                target = HOST + site.path + target[len(own) :]  # noqa: PLW2901
            whole = urljoin(here, target)
            if whole.startswith(HOST):
                yield name, whole


def places_of(site: BuiltSite, address: str, known: dict[str, set[str] | None]) -> set[str] | None:
    """Return the link targets in the file that a server has for an address; None without a file."""
    path = unquote(urlsplit(address).path).lstrip("/")
    if path not in known:
        file = site.host / path
        if path == "" or path.endswith("/"):
            file /= "index.html"
        if not file.is_file():
            known[path] = None
        else:
            known[path] = Links(file.read_text(encoding="utf-8")).places if file.suffix == ".html" else {""}
    return known[path]


@pytest.mark.parametrize("name", ["varied", "example", "plain", "hostile"])
def test_every_address_inside_the_site_leads_somewhere(sites: Sites, serve: Callable[[Path], str], name: str) -> None:
    """To a file that is there and to a place in it; folders with their slash, so that no server needs to redirect."""
    site = sites[name]
    known: dict[str, set[str] | None] = {}
    lost: defaultdict[str, list[str]] = defaultdict(list)
    paths = set()
    count = 0
    for where, whole in pointers(site, ADDRESS_OF.get(name)):
        count += 1
        address, place = urldefrag(whole)
        places = places_of(site, address, known)
        paths.add(urlsplit(address).path)
        if places is None or unquote(place) not in places:
            lost[whole.removeprefix(HOST)].append(where)
    assert {target: where[:3] for target, where in lost.items()} == {}
    assert count > 1000
    base = serve(site.host)
    with httpx.Client(base_url=base, timeout=60) as client:
        refused = {path: code for path in paths if (code := client.head(path).status_code) != 200}
    assert refused == {}


@pytest.mark.parametrize("name", ["varied", "example"])
def test_pages_give_no_address_that_only_holds_at_the_root(sites: Sites, name: str) -> None:
    """A site works under any path: only the error page, which may be shown anywhere, has addresses from the root."""
    site = sites[name]
    rooted = {
        (address, target)
        for address in sitekinds.pages(site.folder)
        if address != "404.html"
        for target in Links(sitekinds.text(site.folder, address)).targets
        if target.startswith("/")
    }
    assert rooted == set()


def test_each_page_is_reached_from_the_first(sites: Sites) -> None:
    """By links alone, without scripts: nothing of the catalog is hidden."""
    site = sites["varied"]
    todo, seen = [""], {""}
    while todo:
        here = todo.pop()
        for target in Links(sitekinds.text(site.folder, here)).targets:
            path = urlsplit(urljoin(HOST + here, target))
            address = unquote(path.path).lstrip("/")
            inside = f"{path.scheme}://{path.netloc}/" == HOST and (site.folder / address / "index.html").is_file()
            if inside and address not in seen:
                seen.add(address)
                todo.append(address)
    assert set(sitekinds.pages(site.folder)) - seen - {"404.html"} == set()


def test_links_of_the_readme_lead_somewhere() -> None:
    """Files that are there, and headings as GitHub names them."""
    for name in ("README.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        headings = {
            re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        }
        prose = re.sub(r"`[^`]*`", "", text)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r'(?:src|href)="([^"]+)"', text):
            if urlsplit(target).scheme:
                continue
            path, _, place = target.partition("#")
            assert (ROOT / path).exists(), (name, target)
            assert path or place in headings, (name, target)


def test_a_lost_link_is_noticed(tmp_path: Path) -> None:
    """The control, for each of the ways an address is written."""
    from tests.sitevariety import BuiltSite

    own = "https://own.example/sub/"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text(
        '<a href="a/">x</a><img srcset="b.png 2x"><p data-x="./c">x</p><meta http-equiv="refresh" content="0; url=d/">'
        '<a href="#e">x</a><i id="f"></i><a href="#f">x</a><script type="application/ld+json">'
        f"{json.dumps({'url': own + 'g/'})}</script><a href='https://else.example/'>x</a>",
        encoding="utf-8",
    )
    (tmp_path / "sub" / "feed.xml").write_text(f"<loc>{own}h/</loc><loc>{own}</loc>", encoding="utf-8")
    site = BuiltSite(host=tmp_path, path="sub/")
    known: dict[str, set[str] | None] = {}
    lost = set()
    for _, whole in pointers(site, own):
        address, place = urldefrag(whole)
        if place not in (places_of(site, address, known) or set()):
            lost.add(whole.removeprefix(HOST + "sub/"))
    assert lost == {"a/", "b.png", "c", "d/", "#e", "g/", "h/"}
