"""Pages that the catalog adds to MkDocs: files on disk for other plugins, and archetypes that only the theme sees."""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from mkdocs.commands.build import get_context
from mkdocs.structure.files import File, InclusionLevel
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import TableOfContents
from mkdocs.utils import write_file
from mkdocs.utils.meta import get_data

from catalog.errors import contained
from catalog.site import build
from catalog.site.shell import ARCHETYPE_BODY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Environment
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.nav import Navigation

log = logging.getLogger("mkdocs.plugins.catalog")

T = TypeVar("T")

_LINK: Final = re.compile(r"[^\s\"'()<>\[\]{}|,]+\.md")
"""The path of a Markdown file, in a link, a navigation or a table of redirects."""


def generated(config: MkDocsConfig, folder: Path, path: str, content: bytes, inclusion: InclusionLevel) -> File:
    """Return a file of MkDocs that exists on disk, in a temporary ``folder``: other plugins read its dates and size."""
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists() or place.read_bytes() != content:
        place.write_bytes(content)
    return File.generated(config, path, abs_src_path=str(place), inclusion=inclusion)


def by_address(files: Files) -> dict[str, File]:
    """Return the files that are part of the site by their path in it."""
    return {file.dest_uri: file for file in files if file.inclusion is not InclusionLevel.EXCLUDED}


def linked_pages(files: Files, config: MkDocsConfig, addresses: set[str]) -> list[File]:
    """Return files for the pages that Markdown files or ``mkdocs.yml`` name (``datasets/did-plc-abc/3k.md``).

    MkDocs resolves links to them; exclude them before it renders. ``addresses`` are those of the catalog's pages.
    """
    sources = [("", Path(config.config_file_path or "mkdocs.yml"))]
    sources += [(file.src_uri, Path(file.abs_src_path)) for file in files.documentation_pages() if file.abs_src_path]
    found = sorted({path for base, file in sources for path in _named(base, file)})
    return [
        _linked_page(config, path)
        for path in found
        if path.removesuffix(".md").removesuffix("/index") + "/" in addresses and files.get_file_from_path(path) is None
    ]


def _linked_page(config: MkDocsConfig, path: str) -> File:
    """Return the file of a record's page, which has a folder also where the site has no directory URLs."""
    file = File.generated(config, path, content="", inclusion=InclusionLevel.NOT_IN_NAV)
    if not config.use_directory_urls:
        file.dest_uri = f"{path.removesuffix('.md').removesuffix('/index')}/index.html"
    return file


class NotExcluded(logging.Filter):
    """Drops MkDocs's messages that a linked page is excluded from the site: the catalog writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: frozenset[str] = frozenset()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a message about a linked page."""
        text = record.getMessage()
        return "excluded from the built site" not in text or not any(f"'{path}'" in text for path in self.paths)


def _named(base: str, file: Path) -> Iterator[str]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for match in _LINK.finditer(text):
        for start in {posixpath.dirname(base), ""}:
            yield posixpath.normpath(posixpath.join(start, match[0].lstrip("/")))


def render_archetypes(config: MkDocsConfig, env: Environment, files: Files, nav: Navigation) -> None:
    """Render the archetypes as MkDocs renders a page, with the events for templates only.

    They aren't files of MkDocs, so that their tokens never reach a feed, a card, a printed page or a search index.
    """
    for path, source in build.archetype_sources():
        file = File.generated(config, path, content="", inclusion=InclusionLevel.NOT_IN_NAV)
        page = Page(None, file, config)
        page.markdown, page.meta = get_data(source)
        page.content, page.toc = ARCHETYPE_BODY, TableOfContents([])
        page.active = True
        config._current_page = page  # noqa: SLF001 - as in mkdocs.commands.build, for the filters of templates
        try:
            context = _event(config, "page_context", get_context(nav, files, config, page), page, nav=nav)
            html = env.get_template("main.html").render(context)
            html = _event(config, "post_page", html, page)
        finally:
            config._current_page = None  # noqa: SLF001
        write_file(html.encode("utf-8", errors="xmlcharrefreplace"), file.abs_dest_path)


def _event(config: MkDocsConfig, event: str, item: T, page: Page, **more: Navigation) -> T:
    """Run an event of all plugins but those that collect pages; a plugin that fails on an archetype is passed over."""
    for method in config.plugins.events[event]:
        plugin = getattr(method, "__self__", None)
        if type(plugin).__name__ in _COLLECTORS:
            continue
        try:
            result = method(item, page=page, config=config, **more)
        except Exception as error:  # noqa: BLE001 - whatever a plugin does, the other pages are built
            log.warning("Catalog: %s fails on the catalog's pages: %s", type(plugin).__name__, contained(error))
            continue
        item = item if result is None else result
    return item


_COLLECTORS: Final = frozenset({"CatalogPlugin", "SearchPlugin"})
"""Plugins that add each page to something of theirs: a search index, our own list."""
