"""The MkDocs plugin: a thin trigger. It adds archetypes, and hands the rendered site to :mod:`catalog.site.build`."""

from __future__ import annotations

import gc
import logging
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from mkdocs.config import config_options as options
from mkdocs.config.base import Config
from mkdocs.config.config_options import ExtraScriptValue
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin
from mkdocs.structure.files import File, InclusionLevel
from mkdocs.structure.nav import Section
from mkdocs.structure.pages import Page

from catalog import resources
from catalog.config import read_settings
from catalog.errors import CatalogError, StoreBusy
from catalog.graph import Graph
from catalog.site import build, search
from catalog.site.pages.sections import section_body
from catalog.site.settings import SiteSettings
from catalog.site.sitemap import write_sitemap
from catalog.site.templates import Templates
from catalog.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure import StructureItem
    from mkdocs.structure.files import Files
    from mkdocs.structure.nav import Navigation

    from catalog.config import CatalogSettings
    from catalog.site.previews import Previews

__all__ = ["CatalogConfig", "CatalogPlugin"]

log = logging.getLogger("mkdocs.plugins.catalog")

HOME_MARK: Final = "<!-- catalog:home -->"
_ASSETS: Final = "assets/catalog"
_FELT: Final = 0.1
"""Seconds."""
_SECTION_FILES: Final = {f"{section}/index.md": place for place, section in enumerate(build.IN_PLACE)}
_HOME: Final = f"---\nhide:\n  - navigation\n  - toc\n---\n\n# {{}}\n\n{HOME_MARK}\n"


class CatalogConfig(Config):  # type: ignore[no-untyped-call]
    """The block of ``mkdocs.yml``. What ``sources`` and ``deny`` hold is read by :mod:`catalog.config`."""

    store = options.Type(str, default=".catalog/catalog.sqlite")
    sources = options.Type(list, default=[])
    deny = options.Type(list, default=[])
    contact = options.Optional(options.Type(str))
    previews = options.Type((bool, dict), default=False)
    crawl = options.Type(bool, default=True)
    search = options.Type(bool, default=True)


class CatalogPlugin(BasePlugin[CatalogConfig]):  # type: ignore[no-untyped-call]
    """Fills a MkDocs site with the pages of a catalog."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._own: frozenset[str] = frozenset()
        self._written: dict[str, str] = {}

    def on_startup(self, *, command: Literal["build", "gh-deploy", "serve"], dirty: bool) -> None:
        """Being here keeps this object alive between the rebuilds of ``mkdocs serve``."""
        del command, dirty

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        """Crawl once, read the store, and add the catalog's style and scripts."""
        if not config.use_directory_urls:
            raise PluginError("catalog: its pages need directory URLs; remove use_directory_urls: false")
        if self._graph is None:
            try:
                self._graph = self._read(config)
            except CatalogError as error:
                raise PluginError(f"catalog: {error}") from error
            gc.freeze()  # the graph lives as long as the process: not to be searched for garbage again and again
        config.extra_css.insert(0, f"{_ASSETS}/catalog.css")  # the owner's own come after it
        script = ExtraScriptValue(f"{_ASSETS}/catalog.js")
        script.load_dict({"path": f"{_ASSETS}/catalog.js", "type": "module"})
        config.extra_javascript.append(script)
        if self._searches and any(name.split("/")[-1] == "search" for name in config.plugins):
            log.warning("the catalog has its own search: remove the plugin 'search', or set catalog's `search: false`")
        return config

    @property
    def _searches(self) -> bool:
        return bool(self.config.search)

    def _read(self, config: MkDocsConfig) -> Graph:
        settings = read_settings(dict(self.config), _folder(config))
        crawls = self.config.crawl and os.environ.get("CATALOG_NO_CRAWL", "") in {"", "0"}
        with Store.open(settings.store) as store:
            if crawls:
                _crawl(settings, store)
            else:  # what is denied now is not shown, whenever it was crawled
                store.configure([str(source) for source in settings.sources], settings.deny)
            with _timed("reading the store"):
                return Graph.from_store(store)

    def on_files(self, files: Files, *, config: MkDocsConfig) -> Files:
        """Add the archetypes, the sections' pages, the assets, and a home page where there is none."""
        own = set()
        for path, text, listed in build.sources():
            if files.get_file_from_path(path) is not None:
                own.add(path.removesuffix("/index.md"))
                continue
            level = InclusionLevel.INCLUDED if listed else InclusionLevel.NOT_IN_NAV
            if path.startswith("status/") or config.nav is not None:
                level = InclusionLevel.NOT_IN_NAV
            files.append(File.generated(config, path, content=text, inclusion=level))
        self._own = frozenset(own)
        if not any(files.get_file_from_path(name) for name in ("index.md", "README.md", "index.html")):
            files.append(File.generated(config, "index.md", content=_HOME.format(config.site_name)))
        for asset in sorted((resources.templates() / "assets").iterdir()):
            uri = f"{_ASSETS}/{asset.name}"
            if files.get_file_from_path(uri) is None:  # the owner's docs may replace any of them
                files.append(File.generated(config, uri, abs_src_path=str(asset)))
        return files

    def on_nav(self, nav: Navigation, *, config: MkDocsConfig, files: Files) -> Navigation:
        """Where nobody wrote a navigation, each section is a link, not a folder with one page in it."""
        del files
        if config.nav is None:
            nav.items = sorted(map(_unfolded, nav.items), key=_place)
        return nav

    def on_page_content(self, html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
        """Put what is new where a page asks for it; keep hand-written pages for the index."""
        del files
        if HOME_MARK in html:
            templates = Templates(self._loaded, _site_settings(config))
            html = html.replace(HOME_MARK, section_body(templates, "home", page.url.removeprefix("./")))
        elif page.file.generated_by is None:
            self._written[page.url.removeprefix("./")] = search.hand_written(str(page.title or ""), html)
        return html

    def on_post_build(self, *, config: MkDocsConfig) -> None:
        """Stamp the pages and build the index."""
        site_dir = Path(config.site_dir)
        try:
            with _timed("previews"):
                previews = self._previews(config)
            with _timed("pages"):
                pages = build.build_pages(
                    self._loaded, site_dir, settings=_site_settings(config), own=self._own, previews=previews
                )
            if config.site_url:
                with _timed("sitemap"):
                    entries = self._addresses(site_dir, set(pages))
                    write_sitemap(site_dir, config.site_url.rstrip("/") + "/", entries)
            if self._searches:
                with _timed("text index"):
                    search.build_index(self._loaded, self._written, site_dir)
        except CatalogError as error:
            raise PluginError(f"catalog: {error}") from error
        log.info("Catalog: %d pages", len(pages))

    def _previews(self, config: MkDocsConfig) -> Previews | None:
        """The first samples of datasets, where they are asked for."""
        settings = read_settings(dict(self.config), _folder(config))
        if settings.previews is None:
            return None
        from catalog.site.previews import gather

        return gather(self._loaded, settings, progress=log.info)

    def _addresses(self, site_dir: Path, stamped: set[str]) -> list[tuple[str, datetime | None]]:
        from catalog.site.facets import address_of, rows

        changed = {address_of(node): node.updated for node in rows(self._loaded)}
        ours = [*(f"{section}/" for section in build.IN_PLACE), *stamped]
        every = {"", *self._written, *ours} if (site_dir / "index.html").exists() else {*self._written, *ours}
        return [(address, changed.get(address)) for address in sorted(every)]

    @property
    def _loaded(self) -> Graph:
        if self._graph is None:
            raise PluginError("catalog: the store hasn't been read")
        return self._graph


@contextmanager
def _timed(part: str) -> Iterator[None]:
    """Tell in the log how long a part of the build took, where it took long enough to be felt."""
    begun = time.perf_counter()
    yield
    seconds = time.perf_counter() - begun
    if seconds >= _FELT:
        log.info("Catalog: %s took %.1f s", part, seconds)


def _unfolded(item: StructureItem) -> StructureItem:
    if not isinstance(item, Section) or len(item.children) != 1:
        return item
    only = item.children[0]
    if not isinstance(only, Page) or only.file.src_uri not in _SECTION_FILES:
        return item
    only.parent = None
    return only


def _place(item: StructureItem) -> int:
    """The home page, our sections in their order, then what else there is."""
    if not isinstance(item, Page):
        return len(_SECTION_FILES) + 1
    return 0 if item.is_homepage else _SECTION_FILES.get(item.file.src_uri, len(_SECTION_FILES)) + 1


def _folder(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path or "mkdocs.yml").resolve().parent


def _site_settings(config: MkDocsConfig) -> SiteSettings:
    url = config.site_url.rstrip("/") + "/" if config.site_url else None
    return SiteSettings(
        name=config.site_name,
        description=config.site_description or "",
        url=url,
        base=_folder(config),
        search=bool(config.plugins["catalog"].config.search),
    )


def _crawl(settings: CatalogSettings, store: Store) -> None:
    from catalog.crawl import crawl

    try:
        report: Any = crawl(settings, store, progress=log.info)
    except StoreBusy as error:  # what it has is whole all the same
        log.warning("catalog: %s; the site is built from what it has so far", error.what)
        store.configure([str(source) for source in settings.sources], settings.deny)
        return
    for line in report.lines():
        log.info("Catalog: %s", line)
    if report.failed:
        log.warning("the catalog's sources could not all be read; what the store had of them is shown")
