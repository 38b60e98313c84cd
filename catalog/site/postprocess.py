"""Postprocess a rendered site into the finished catalog: pages, sitemap, text index.

MkDocs calls it through our plugin, Zensical through :mod:`catalog.site.zensical`; what is here knows neither.
"""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Final

from catalog.errors import BuildError, StoreBusy
from catalog.formatting import byte_size, count
from catalog.sanitize import escaped_record
from catalog.site import addresses, build, search
from catalog.site.facets import address_of, rows
from catalog.site.shell import PLACEHOLDERS
from catalog.site.sitemap import drop_empty_sitemap, write_sitemap
from catalog.site.themes import SEARCH_MARK, page_text
from catalog.store import DAMAGED, Store, refuse_empty
from catalog.store.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from catalog.config import CatalogSettings, Source
    from catalog.site.omitted import LeftOut
    from catalog.site.previews import Previews
    from catalog.site.settings import SiteSettings

log = logging.getLogger("mkdocs.plugins.catalog")
log.addFilter(escaped_record)

ASSETS: Final = "assets/catalog"
"""The folder of the catalog's style sheet and scripts in the site."""
HOME_PAGE: Final = f"---\nhide:\n  - navigation\n  - toc\n---\n\n# {{}}\n\n{build.HOME_MARK}\n"
"""The home page of a site that has none."""
HOST_LIMIT: Final = 1_000_000_000
"""Maximum bytes of a site on GitHub Pages (https://docs.github.com/pages/getting-started-with-github-pages/github-pages-limits)."""
_NEAR: Final = 0.8
_FELT: Final = 0.1
"""Minimum seconds of a part of the build that is logged."""
_FRONT: Final = re.compile(r"\ufeff?---\s*\n(.*?)\n(?:---|\.\.\.)\s*(?:\n|\Z)", re.DOTALL)
_REPLACES: Final = re.compile(r"^replaces_catalog_page:\s*true\b", re.MULTILINE | re.IGNORECASE)
_TEXTS: Final = (".html", ".xml", ".json", ".txt", ".md", ".svg")
_LARGEST: Final = 50_000_000
_NAMED: Final = 20
"""Pages left out that are named in the log one by one."""
_CONTENT: Final = re.compile(r'<article class="md-content__inner[^>]*>(.*)</article>', re.DOTALL)
_TAG: Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.DOTALL | re.IGNORECASE)
_TITLE: Final = re.compile(r"<h1\b[^>]*>(.*?)</h1>", re.DOTALL)


def read_graph(settings: CatalogSettings, *, crawls: bool, sources: Sequence[Source] | None = None) -> Graph:
    """Return the catalog, after a crawl of ``sources`` (by default all) if requested.

    Accounts that are denied now are not shown.

    Raises :class:`BuildError` if sources failed and the store is empty, and :class:`~catalog.errors.MissingExtra` for
    previews without Pillow.
    """
    if settings.previews is not None:
        from catalog.site.previews import check_painter

        check_painter()
    crawls = crawls and os.environ.get("CATALOG_NO_CRAWL", "") in {"", "0"}
    if not crawls:
        refuse_empty(settings.store)
    with Store.open(settings.store) as store:
        failed = False
        if crawls:
            failed = _crawl(settings, store, sources)
        else:
            store.apply(settings)
        with _timed("reading the store"):
            graph = Graph.from_store(store)
        if store.damaged:
            log.warning("Catalog: %d records are damaged in the store, and left out; %s", len(store.damaged), DAMAGED)
    if failed and not graph.nodes:  # an empty site would take the place of a full one
        hint = "the messages above give the reason for each source"
        raise BuildError("the catalog's sources could not all be read, and its store is empty", hint=hint)
    return graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A site with all pages of the catalog; its sitemap and text index can be written again with more pages."""

    site_dir: Path
    site: SiteSettings
    built: build.Built
    written: dict[str, tuple[str, str]]
    """The owner's pages: address → title, text."""

    def add(self, files: Iterable[str]) -> None:
        """Add pages that were rendered later, by their paths in the site, and write the indexes again."""
        self.written.update(_texts(self.site_dir, sorted(self.site_dir / file for file in files)))
        self.index()

    def index(self) -> tuple[LeftOut, ...]:
        """Write the sitemap, the text index and the status page; return what was omitted."""
        graph = self.built.graph
        if self.site.url is not None:
            with _timed("sitemap"):
                made = {*self.built.addresses, *self.written}
                write_sitemap(self.site_dir, self.site.url, _addresses(graph, self.site_dir, made))
        unfound: tuple[LeftOut, ...] = ()
        if self.site.search:
            with _timed("text index"):
                unfound = search.build_index(
                    graph, self.written, self.site_dir, progress=lambda line: log.info("Catalog: %s", line)
                )
        return self.built.write_status(self.site_dir, unfound)


def finish_site(
    graph: Graph,
    site_dir: Path,
    *,
    settings: CatalogSettings,
    site: SiteSettings,
    own: frozenset[str] = frozenset(),
    on_request: bool = False,
) -> Finished:
    """Add the catalog to a rendered site. ``own`` are sections whose page the site's owner wrote.

    With ``on_request`` pages of records are written by :meth:`~catalog.site.build.Built.write_requested`.
    """
    if site.url is None:
        log.info("Catalog: without site_url there are no feeds, no sitemap and no canonical addresses")
        drop_empty_sitemap(site_dir)
    with _timed("previews"):
        previews = _previews(graph, settings)
    written = _hand_written(site_dir, own)
    with _timed("pages"):
        built = build.build_pages(
            graph,
            site_dir,
            settings=site,
            own=own,
            previews=previews,
            on_request=on_request,
            progress=lambda line: log.info("Catalog: %s", line),
        )
    finished = Finished(site_dir=site_dir, site=site, built=built, written=written)
    left_out = finished.index()
    if site.search and site.appview is not None:
        search.ask_appview(site_dir / ASSETS, site.appview)
    if site.search and not built.has_box:
        log.warning(
            "Catalog: the theme has no place for the search box: add %s to its header, in a template override, or set "
            "search: false in the catalog's settings", SEARCH_MARK,
        )  # fmt: skip
    for name in built.replaced:
        log.warning(
            "Catalog: %s comes from docs_dir or a plugin, so the catalog's own is left out; rename it there", name
        )
    size = site_size(site_dir)
    log.info("Catalog: %d pages; the site has %s", len(built.addresses), size)
    warning = size.warning(len(built.graph.datasets))
    if warning is not None:
        log.warning("Catalog: %s", warning)
    _warn(left_out)
    return finished


def _warn(left_out: Sequence[LeftOut]) -> None:
    """Log everything that was omitted; in a strict build each line is an error."""
    for found in left_out[:_NAMED]:
        log.warning("Catalog: not built: %s", found)
    if left_out:
        log.warning("Catalog: %d pages or files could not be built; the status page lists them", len(left_out))


def warn_replaced(source: str, text: str, replaced: str) -> None:
    """Warn that a page of the site's owner replaces one of the catalog, unless its front matter says that it should."""
    front = _FRONT.match(text)
    if front is not None and _REPLACES.search(front[1]):
        return
    log.warning(
        "Catalog: %s replaces %s, which is not built; rename the file, or add 'replaces_catalog_page: true' to its "
        "front matter if that is intended", source, replaced,
    )  # fmt: skip


def warn_of_placeholders(site_dir: Path, ours: frozenset[str]) -> None:
    """Warn of files with a placeholder of the catalog: a plugin has used a page before it was complete.

    ``ours`` are the addresses of the pages that this package has stamped; they aren't read again.
    """
    marked = []
    for folder, below, names in os.walk(site_dir):
        address = os.path.relpath(folder, site_dir).replace(os.sep, "/")
        if address == "catalog" or f"{address}/" in ours:
            below.clear() if address == "catalog" else None
            continue
        marked += [
            f"{address}/{name}".removeprefix("./")
            for name in names
            if name.endswith(_TEXTS) and holds_placeholder(f"{folder}/{name}")
        ]
    for name in marked[:_NAMED]:
        log.warning(
            "Catalog: %s contains a placeholder of the catalog; exclude the catalog's pages from the plugin that "
            "writes it, or list that plugin after 'catalog'", name,
        )  # fmt: skip


def holds_placeholder(file: str) -> bool:
    """Return whether a file contains a placeholder of a page that is not complete."""
    with open(file, "rb") as opened:  # noqa: PTH123 - there may be many
        text = opened.read(_LARGEST)
    return any(mark in text for mark in PLACEHOLDERS)


def _hand_written(site_dir: Path, own: frozenset[str]) -> dict[str, tuple[str, str]]:
    """Return title and text of the owner's pages for the text index, by address."""
    ours = {site_dir / section / "index.html" for section in build.IN_PLACE if section not in own}
    files = (file for file in sorted(site_dir.rglob("index.html")) if file not in ours)
    return dict(_texts(site_dir, files))


def _texts(site_dir: Path, files: Iterable[Path]) -> Iterator[tuple[str, tuple[str, str]]]:
    for file in files:
        address = file.parent.relative_to(site_dir).as_posix() + "/"
        if addresses.HIDDEN_FOLDER in address.split("/"):
            continue
        html = file.read_text(encoding="utf-8")
        content = _CONTENT.search(html)
        if content is not None and not build.HOME.search(content[1]):
            title = _TITLE.search(content[1])
            words = _text(title[1]) if title is not None else address
            yield address.removeprefix("./"), (words, _text(_TITLE.sub("", content[1])))
        elif content is None and not build.HOME.search(html) and (found := page_text(html)) is not None:
            yield address.removeprefix("./"), (found[0] or address, found[1])


def _text(html: str) -> str:
    return " ".join(unescape(_TAG.sub(" ", html)).replace("¶", "").split())


def _addresses(graph: Graph, site_dir: Path, made: set[str]) -> list[tuple[str, datetime | None]]:
    changed = {address_of(node): node.updated for node in rows(graph) if not node.draft}
    every = {
        *made,
        *(f"{section}/" for section in build.IN_PLACE),
        *([""] if (site_dir / "index.html").exists() else []),
    }
    return [(address, changed.get(address)) for address in sorted(every)]


def _previews(graph: Graph, settings: CatalogSettings) -> Previews | None:
    """Fetch the first samples of datasets, if previews are configured."""
    if settings.previews is None:
        return None
    from catalog.site.previews import gather

    return gather(graph, settings, progress=log.info)


def _crawl(settings: CatalogSettings, store: Store, sources: Sequence[Source] | None) -> bool:
    """Update the store; return whether a source failed."""
    from catalog.crawl import crawl

    try:
        whole = sources is None or len(sources) == len(settings.sources)  # else a draft has changed while serving
        report = crawl(settings, store, sources=sources, labels=whole, progress=log.info)
    except StoreBusy as error:  # what it has is whole all the same
        log.warning("catalog: %s; the site is built from what it has so far", error.what)
        store.apply(settings)
        return False
    for line in report.lines():
        log.info("Catalog: %s", line)
    if report.failed:
        log.warning("the catalog's sources could not all be read; what the store had of them is shown")
    return report.failed


@contextmanager
def _timed(part: str) -> Iterator[None]:
    """Log the duration of a part of the build if it is long."""
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    if seconds >= _FELT:
        log.info("Catalog: %s took %.1f s", part, seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes and number of files of a site."""

    bytes: int
    files: int

    def __str__(self) -> str:
        return f"{byte_size(self.bytes)} in {count(self.files)} files"

    def warning(self, datasets: int) -> str | None:
        """Return a warning if the site is near the limit, else None."""
        if self.bytes < _NEAR * HOST_LIMIT:
            return None
        each = self.bytes / max(1, datasets)
        return (
            f"the site has {self}; GitHub Pages takes {byte_size(HOST_LIMIT)}, about {count(int(HOST_LIMIT / each))} "
            f"datasets of this kind ({byte_size(int(each))} each). Other hosts take more"
        )


def site_size(site_dir: Path) -> Size:
    """Return the size of a folder."""
    total = files = 0
    for folder, _, names in os.walk(site_dir):
        for name in names:
            total += os.path.getsize(f"{folder}/{name}")  # noqa: PTH202 - a million of them
            files += 1
    return Size(bytes=total, files=files)
