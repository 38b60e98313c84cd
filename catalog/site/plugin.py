"""The MkDocs plugin: it adds archetypes and hands the rendered site to :mod:`catalog.site.postprocess`."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, cast

from mkdocs.config import config_options as options
from mkdocs.config.base import Config
from mkdocs.config.config_options import ExtraScriptValue
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin, CombinedEvent, event_priority
from mkdocs.structure.files import InclusionLevel
from mkdocs.structure.nav import Section
from mkdocs.structure.pages import Page
from mkdocs.utils import CountHandler

from catalog.config import read_settings
from catalog.errors import CatalogError, contained
from catalog.sanitize import escaped_record
from catalog.site import build
from catalog.site.languages import Language, language
from catalog.site.live_reload import Inputs
from catalog.site.mkdocs_pages import NotExcluded, by_address, generated, linked_pages, render_archetypes
from catalog.site.nodes import of_node
from catalog.site.omitted import no_room
from catalog.site.postprocess import ASSETS, HOME_PAGE, Finished, finish_site, warn_of_placeholders, warn_replaced
from catalog.site.scripts import assets
from catalog.site.settings import SiteSettings, overrides, read_formats, read_row_viewer, read_search
from catalog.site.swap import Aside, is_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from jinja2 import Environment
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.livereload import LiveReloadServer
    from mkdocs.structure import StructureItem
    from mkdocs.structure.files import File, Files
    from mkdocs.structure.nav import Navigation
    from mkdocs.utils.templates import TemplateContext

    from catalog.store.graph import Graph

log = logging.getLogger("mkdocs.plugins.catalog")
log.addFilter(escaped_record)

_LAST: Final = -1000
"""After all other plugins, whatever their priority."""
_FIRST: Final = 1000
"""Before all other plugins."""
_SECTION_FILES: Final = {f"{section}/index.md": place for place, section in enumerate(build.IN_PLACE)}


class CatalogConfig(Config):  # type: ignore[no-untyped-call]
    """The block of ``mkdocs.yml``. What ``sources`` and ``deny`` hold is read by :mod:`catalog.config`."""

    store = options.Type(str, default=".catalog/catalog.sqlite")
    sources = options.Type(list, default=[])
    deny = options.Type(list, default=[])
    labelers = options.Type(list, default=[])
    labels = options.Type(dict, default={})
    contact = options.Optional(options.Type(str))
    previews = options.Type((bool, dict), default=False)
    appview = options.Optional(options.Type(dict))
    compare = options.Optional(options.Type(int))
    allow_addresses = options.Optional(options.Type((str, list)))
    crawl = options.Type(bool, default=True)
    search = options.Type((bool, dict), default=True)
    formats = options.Type(list, default=[])
    row_viewer = options.Type((bool, dict), default=True)


class CatalogPlugin(BasePlugin[CatalogConfig]):  # type: ignore[no-untyped-call]
    """Fills a MkDocs site with the pages of a catalog."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._inputs = Inputs()
        self._own: frozenset[str] = frozenset()
        self._serves = False
        self._swaps = False
        self._depth = 0
        self._aside: tuple[Aside, MkDocsConfig, str] | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._added: list[File] = []
        self._linked: list[File] = []
        self._filter = NotExcluded()
        self._theme: tuple[Environment, Files] | None = None
        self._nav: Navigation | None = None
        self._later: set[str] = set()
        self._finished: Finished | None = None

    def on_startup(self, *, command: Literal["build", "gh-deploy", "serve"], dirty: bool) -> None:
        """Defining this event keeps the plugin object alive between the rebuilds of ``mkdocs serve``."""
        self._serves = command == "serve"
        self._swaps = not self._serves and not dirty
        for name in ("mkdocs.structure.nav", "mkdocs.structure.pages"):
            logging.getLogger(name).addFilter(self._filter)

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        """Crawl, read the store, and add the catalog's style sheet and scripts."""
        if self._graph is None or self._depth == 0:
            try:
                settings = read_settings(dict(self.config), _folder(config))
                read_search(self.config.search)
                read_formats(self.config.formats)
                read_row_viewer(self.config.row_viewer)
                self._graph = self._inputs.graph(settings, crawls=bool(self.config.crawl))
            except CatalogError as error:
                raise PluginError(f"catalog: {error}") from error
        if f"{ASSETS}/catalog.css" not in config.extra_css:  # else a plugin builds again, for another language
            config.extra_css.insert(0, f"{ASSETS}/catalog.css")  # the owner's own come after it
            script = ExtraScriptValue(f"{ASSETS}/catalog.js")
            script.load_dict({"path": f"{ASSETS}/catalog.js", "type": "module"})
            config.extra_javascript.append(script)
        searches = any(name.split("/")[-1] == "search" for name in config.plugins)
        if self.config.search and searches and config.theme.name == "material":
            log.warning("the catalog has its own search: remove the plugin 'search', or set catalog's `search: false`")
        return config

    def on_serve(
        self, server: LiveReloadServer, /, *, config: MkDocsConfig, builder: Callable[..., None]
    ) -> LiveReloadServer:
        """Build again when manifests, templates, the store or inherited settings change; write pages on request."""
        del builder
        self._inputs.follow(server, config)
        app = server.get_app()
        lock = Lock()

        def with_pages(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
            with lock:
                if self._finished is not None:
                    self._finished.built.write_requested(path.removeprefix(server.mount_path).lstrip("/"))
            return cast("WSGIApplication", app)(environ, start_response)

        server.set_app(with_pages)
        return server

    @event_priority(_LAST)
    def on_pre_build(self, *, config: MkDocsConfig) -> None:
        """Redirect the build to a new folder beside the old site; nested builds of plugins use the same folder."""
        self._depth += 1
        if self._serves:
            self._finished = None  # its pages are about to be removed
        if not self._swaps or self._depth > 1 or is_aside(Path(config.site_dir)):
            return
        try:
            aside = Aside(Path(config.site_dir))
        except CatalogError as error:
            raise PluginError(f"catalog: {error}") from error
        self._aside = aside, config, config.site_dir
        config.site_dir = str(aside.folder)

    @event_priority(_FIRST)
    def _add_files(self, files: Files, *, config: MkDocsConfig) -> Files:
        """Add the sections' pages, the assets, a home page if there is none, and the linked pages of records.

        Other plugins take them for files of the owner: they exist on disk.
        """
        assert self._graph is not None  # noqa: S101 - on_config has read it
        self._folder = self._folder or TemporaryDirectory(prefix="catalog-pages-")
        folder = Path(self._folder.name)
        taken = by_address(files)
        self._added = []
        for path, text in build.section_sources(_language(config)):
            in_nav = config.nav is None and path.removesuffix("/index.md") not in build.ASIDE
            level = InclusionLevel.INCLUDED if in_nav else InclusionLevel.NOT_IN_NAV
            self._added.append(generated(config, folder, path, text.encode(), level))
        if "index.html" not in taken:
            home = HOME_PAGE.format(config.site_name).encode()
            self._added.append(generated(config, folder, "index.md", home, InclusionLevel.UNDEFINED))
        self._added += [
            generated(config, folder, f"{ASSETS}/{name}", content, InclusionLevel.UNDEFINED)
            for name, content in assets()
        ]
        self._linked = linked_pages(files, config, {of_node(node) for node in self._graph.nodes})
        for file in (*self._added, *self._linked):
            if file.dest_uri not in taken:
                files.append(file)
        return files

    @event_priority(_LAST)
    def _keep_files(self, files: Files, *, config: MkDocsConfig) -> Files:
        """Decide by address which page of the catalog an owner's page replaces; add again what a plugin has removed."""
        del config
        ours = {file.abs_src_path for file in self._added}  # an owner's file may have the same path in another folder
        taken = {address: file for address, file in by_address(files).items() if file.abs_src_path not in ours}
        own = set()
        for file in self._added:
            there = files.get_file_from_path(file.src_uri)
            if file.dest_uri in taken:
                if file.is_documentation_page():
                    own.add(file.src_uri.removesuffix("/index.md"))
                    theirs = taken[file.dest_uri]
                    text = theirs.content_string if theirs.src_uri.endswith(".md") else ""
                    warn_replaced(theirs.src_uri, text, f"the catalog's page {file.url}")
                if there is file:
                    files.remove(file)
            elif there is None:
                files.append(file)
        self._own = frozenset(own)
        self._filter.paths = frozenset(file.src_uri for file in self._linked)
        for file in self._linked:  # other plugins have seen them
            file.inclusion = InclusionLevel.EXCLUDED
        return files

    on_files = CombinedEvent(_add_files, _keep_files)

    @event_priority(_FIRST)
    def on_nav(self, nav: Navigation, *, config: MkDocsConfig, files: Files) -> Navigation:
        """In an automatic navigation make each section a link instead of a folder with one page.

        It runs before other plugins, whose order is kept.
        """
        del files
        if config.nav is None:
            nav.items = sorted(map(_unfolded, nav.items), key=_place)
        return nav

    def on_page_markdown(self, markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
        """Replace the mark of the home page by an element, because plugins may drop comments."""
        del page, config, files
        return markdown.replace(build.HOME_MARK, build.HOME_ELEMENT)

    def on_env(self, env: Environment, *, config: MkDocsConfig, files: Files) -> Environment:
        """Keep what renders the archetypes."""
        del config
        self._theme = env, files
        return env

    @event_priority(_LAST)
    def on_page_context(
        self, context: TemplateContext, *, page: Page, config: MkDocsConfig, nav: Navigation
    ) -> TemplateContext:
        """Keep the navigation, whichever plugin made it."""
        del page, config
        self._nav = nav
        return context

    @event_priority(_LAST)
    def on_post_page(self, output: str, *, page: Page, config: MkDocsConfig) -> str:
        """Leave out the catalog's pages when a plugin builds again, for another language: the first build has them."""
        del config
        if self._depth > 1 and any(page.file is file for file in self._added):
            return ""
        if self._depth > 1:
            self._later.add(page.file.dest_uri)
        return output

    def _finish(self, *, config: MkDocsConfig) -> None:
        """Stamp the pages and build the index; the builds of other languages come later and add only their pages."""
        if self._depth > 1:
            return
        assert self._graph is not None and self._theme is not None and self._nav is not None  # noqa: S101, PT018
        try:
            env, files = self._theme
            render_archetypes(config, env, files, self._nav)
            settings = read_settings(dict(self.config), _folder(config))
            site = self._site(config)
            self._finished = finish_site(
                self._graph, Path(config.site_dir), settings=settings, site=site, own=self._own, on_request=self._serves
            )
        except OSError as error:
            raise PluginError(f"catalog: {no_room(error, config.site_dir)}") from error
        except Exception as error:
            raise PluginError(f"catalog: {contained(error, where=config.site_dir)}") from error

    @event_priority(_LAST)
    def _swap(self, *, config: MkDocsConfig) -> None:
        """Replace the old site by the new one after all plugins have finished."""
        self._depth -= 1
        if self._depth == 0 and self._later and self._finished is not None:
            self._finished.add(self._later)
            self._later = set()
        if self._depth == 0 and self._finished is not None and not self._serves:
            warn_of_placeholders(Path(config.site_dir), frozenset(self._finished.built.addresses))
        if self._depth == 0 and self._aside is not None and not (config.strict and _warned()):
            try:
                self._aside[0].swap()
            except CatalogError as error:
                raise PluginError(f"catalog: {error}") from error
            self._leave()

    on_post_build = CombinedEvent(_finish, _swap)

    def on_build_error(self, *, error: Exception) -> None:
        """Discard the new site; the old one is unchanged."""
        del error
        self._depth = 0
        self._leave()

    def on_shutdown(self) -> None:
        """Remove the temporary folders."""
        self._inputs.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _leave(self) -> None:
        if self._aside is not None:
            aside, config, site_dir = self._aside
            self._aside = None
            config.site_dir = site_dir
            aside.close()

    def _site(self, config: MkDocsConfig) -> SiteSettings:
        searches, appview = read_search(self.config.search)
        return SiteSettings(
            name=config.site_name,
            description=config.site_description or "",
            url=config.site_url.rstrip("/") + "/" if config.site_url else None,
            base=_folder(config),
            search=searches,
            appview=appview,
            row_hosts=read_row_viewer(self.config.row_viewer),
            templates=overrides(config.theme.custom_dir),
            language=_language(config),
            directory_urls=config.use_directory_urls,
            formats=read_formats(self.config.formats),
        )


def _warned() -> bool:
    """Return whether MkDocs is about to fail a strict build."""
    return any(
        isinstance(handler, CountHandler) and handler.get_counts() for handler in logging.getLogger("mkdocs").handlers
    )


def _unfolded(item: StructureItem) -> StructureItem:
    if not isinstance(item, Section) or len(item.children) != 1:
        return item
    only = item.children[0]
    if not isinstance(only, Page) or only.file.src_uri not in _SECTION_FILES:
        return item
    only.parent = None
    return only


def _place(item: StructureItem) -> int:
    """Return the position in an automatic navigation: the home page, our sections in order, then all else."""
    if isinstance(item, Section) and item.children:
        item = item.children[0]
    if not isinstance(item, Page):
        return len(_SECTION_FILES) + 1
    return 0 if item.is_homepage else _SECTION_FILES.get(item.file.src_uri, len(_SECTION_FILES)) + 1


def _language(config: MkDocsConfig) -> Language:
    """Return the language of the theme: ``language`` of Material, ``locale`` of others."""
    return language(str(config.theme.get("language") or config.theme.get("locale") or "en"))


def _folder(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path or "mkdocs.yml").resolve().parent
