"""Write the files of the site from a graph and rendered archetypes, independent of MkDocs.

- A record whose page fails is omitted from the whole site: the pages are rendered again from a graph without it, so
  that no list or link points to it. If a page of many records fails because of one of them, that one is omitted. Any
  other page that fails is replaced by a notice.
- The status page lists what was omitted, so it is written last (:meth:`Built.write_status`).
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from catalog.errors import BuildError
from catalog.site import addresses, facets
from catalog.site import load_code as load
from catalog.site.bisect import probe
from catalog.site.exports import jsonld
from catalog.site.exports.dcat import dcat_files
from catalog.site.exports.feeds import FEED, MOST_OF_ALL, feed, has_feed, newest
from catalog.site.exports.index import index_files, robots, status_json
from catalog.site.exports.meta_tags import ATOM, JSON, alternate
from catalog.site.exports.redirects import HOST_FILE, redirect_files, with_script
from catalog.site.languages import ENGLISH
from catalog.site.minify import ASSETS, root_of, tidy
from catalog.site.nodes import kind_of, of_node
from catalog.site.omitted import Job, LeftOut, killed, tried
from catalog.site.pages.dataset import dataset_page
from catalog.site.pages.lens import lens_page
from catalog.site.pages.listings import (
    GROUPS,
    GROUPS_PER_PAGE,
    group_listing,
    group_page,
    groups_of,
    listing,
    page_count,
    publisher_page,
    section_body,
)
from catalog.site.pages.network import LENSES_PER_PAGE, network_json, network_page, network_places
from catalog.site.pages.schema import schema_page
from catalog.site.parallel import in_parallel, tenths
from catalog.site.search import BOX_MARK, with_box
from catalog.site.shell import Shell, archetype, has_place, section_source, wrapped
from catalog.site.templates import Page, Templates
from catalog.site.theme_fixes import explain_404, fix_theme
from catalog.site.themes import is_material, style_sheet, with_assets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from catalog.site.groups import Group
    from catalog.site.languages import Language
    from catalog.site.previews import Previews
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import Graph, Node, SchemaNode

HOME_MARK: Final = "<!-- catalog:home -->"
"""The mark in a page that is replaced by the newest records."""
HOME_ELEMENT: Final = "<div data-catalog-home></div>"
"""The same mark for generators and plugins that drop comments."""
HOME: Final = re.compile(rf"{re.escape(HOME_MARK)}|{HOME_ELEMENT}|<div data-catalog-home=(?:\"\")?></div>")


_TO_FOLDER: Final = re.compile(
    r"""\b(?:href|action)=["']?(?:\.\./)*(?:browse|datasets|schemas|lenses|network|publishers|tags|licences|status|words|@)"""
    r"""(?:[^"'?#\s>:]*/)(?=["'?#\s>])"""
)
"""The start of a link to a page of the catalog by its folder."""
_ROUNDS: Final = 4
"""Maximum number of times that the pages are rendered again without failing records."""
_LEFT_OUT: Final = (
    '<article class="cat-page"><header class="cat-head"><h1 id="top">Page not built</h1></header>'
    '<p>This page could not be built. The <a href="{status}">status page</a> gives the reason.</p></article>'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archetype:
    """A page at the depth of those stamped from it; removed when the site is complete."""

    address: str

    @property
    def source(self) -> str:
        """The path of its Markdown file; the address is the same with and without directory URLs."""
        return f"{self.address}index.md"


ARCHETYPES: Final = tuple(
    Archetype(address=f"{section}/{folder}")
    for section in (*addresses.SECTIONS.values(), *GROUPS, "network")
    for folder in (f"{addresses.HIDDEN_FOLDER}/", f"{addresses.HIDDEN_FOLDER}/page/")
)
"""One for each section and depth of its pages, because links are relative."""

IN_PLACE: Final = {
    "browse": ("Browse", "Filter and sort everything in this catalog."),
    "datasets": ("Datasets", "All datasets of this catalog, newest first."),
    "schemas": ("Schemas", "The sample types that datasets of this catalog use."),
    "lenses": ("Lenses", "Transformations between schemas."),
    "network": ("Lens network", "Schemas and the lenses between them, as a graph and as a list."),
    "publishers": ("Publishers", "Accounts that publish in this catalog."),
    "tags": ("Tags", "Tags of the records in this catalog."),
    "licences": ("Licences", "Licences of the records in this catalog."),
    "status": ("Status", "Sources of this catalog, the last crawl, and rejected records."),
    "words": ("Glossary", "Definitions of the terms on the pages of this catalog."),
}
"""Section → title and description of its page."""
ASIDE: Final = ("network", "tags", "licences", "status", "words")
"""Sections that an automatic navigation leaves out: other pages link to them."""


def section_sources(language: Language = ENGLISH) -> Iterator[tuple[str, str]]:
    """Yield path and Markdown source of the page of each section."""
    for section, (title, description) in IN_PLACE.items():
        yield f"{section}/index.md", section_source(language.text(title), language.text(description))


def archetype_sources() -> Iterator[tuple[str, str]]:
    """Yield path and Markdown source of each archetype."""
    return ((shape.source, archetype()) for shape in ARCHETYPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """The pages that the theme rendered, read before they are overwritten, and the list of all files."""

    site_dir: Path
    shells: Mapping[tuple[str, int], Shell]
    sections: Mapping[str, Shell]
    homes: Mapping[str, str]
    """Address → HTML of the pages that show the newest records, and of the home page."""
    files: frozenset[str]
    directory_urls: bool

    @classmethod
    def read(cls, site_dir: Path, own: frozenset[str], *, directory_urls: bool) -> _Frame:
        """Read a rendered site. Raises :class:`BuildError` if the theme lost a page or a token."""
        return cls(
            site_dir=site_dir,
            shells={_place(shape.address): _shell(site_dir, shape) for shape in ARCHETYPES},
            sections={
                section: Shell.cut(_rendered(site_dir, f"{section}/")) for section in IN_PLACE if section not in own
            },
            homes=dict(_homes(site_dir)),
            files=frozenset(_all_files(site_dir)),
            directory_urls=directory_urls,
        )

    def has(self, name: str) -> bool:
        """Return whether the site's owner or another plugin has written a file."""
        return f"{self.site_dir}/{name}" in self.files

    def restore(self) -> None:
        """Remove all files that the build has added."""
        for file in _all_files(self.site_dir):
            if file not in self.files:
                os.unlink(file)  # noqa: PTH108 - there may be a million
        for folder, _, _ in os.walk(self.site_dir, topdown=False):
            with suppress(OSError):  # what isn't empty stays
                os.rmdir(folder)  # noqa: PTH106


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A finished build: the sorted addresses of the stamped pages, the graph of their records, and what was omitted."""

    addresses: tuple[str, ...]
    graph: Graph
    left_out: tuple[LeftOut, ...]
    replaced: tuple[str, ...]
    """Addresses and names of the catalog's pages and exports that the site's owner has written instead."""
    has_box: bool
    """True if the catalog's pages have the search box."""
    requested: dict[str, Job[str | None]]
    """Address → job of each page that is written on request."""
    _templates: Templates
    _frame: _Frame

    def write_requested(self, path: str) -> None:
        """Write the page to which a path in the site belongs, if it is not yet written."""
        for address in (f"{path.rpartition('/')[0]}/", f"{path}/"):
            job = self.requested.pop(address, None)
            if job is None:
                continue
            found = tried(job)
            if isinstance(found, LeftOut):
                _put_words(self._frame.site_dir, self._frame, job)

    def write_status(self, site_dir: Path, more: Iterable[LeftOut] = ()) -> tuple[LeftOut, ...]:
        """Write the status page with everything that was omitted; return the list."""
        left_out = (*self.left_out, *more)
        jobs: list[Job[None]] = [
            Job(kind="export", place="status/index.json", make=partial(self._status_json, site_dir, left_out))
        ]
        if "status" in self._frame.sections:
            jobs.append(Job(kind="page", place="status/", make=partial(self._status_page, site_dir, left_out)))
        for job in jobs:
            found = tried(job)
            if isinstance(found, LeftOut):
                _put_words(site_dir, self._frame, job)
                left_out = (*left_out, found)
        return left_out

    def _status_json(self, site_dir: Path, left_out: tuple[LeftOut, ...]) -> None:
        _export(site_dir, "status/index.json", partial(status_json, self.graph, left_out))

    def _status_page(self, site_dir: Path, left_out: tuple[LeftOut, ...]) -> None:
        body = section_body(self._templates, "status", "status/", left_out=left_out)
        html = self._frame.sections["status"].stamp(body=body)
        _write(site_dir / "status" / "index.html", html if self._frame.directory_urls else named_files(html))


def build_pages(
    graph: Graph,
    site_dir: Path,
    *,
    settings: SiteSettings,
    own: frozenset[str] = frozenset(),
    previews: Previews | None = None,
    on_request: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Built:
    """Write every page of the catalog into ``site_dir``, which contains the rendered archetypes; remove those.

    ``own`` are sections whose page the site's owner wrote; they are kept. A long build reports to ``progress``. Pages
    that fail are omitted; the caller writes the status page. With ``on_request`` the pages of records and groups are
    written only by :meth:`Built.write_requested`. Raises :class:`BuildError` if the theme lost a token, if
    all pages of a kind fail, or if the disk is full.
    """
    has_box = _make_ready(site_dir, settings)
    frame = _Frame.read(site_dir, own, directory_urls=settings.directory_urls)
    left_out: list[LeftOut] = []
    for last in (*[False] * _ROUNDS, True):
        templates = Templates(graph, settings, previews)
        pages = list(_page_jobs(templates, frame))
        jobs = [*_jobs(templates, frame, site_dir), *(() if on_request else pages)]
        done = tenths(len(jobs), "files stamped", progress)
        written = in_parallel(tried, jobs, done=done, lost=killed)
        failed = [(job, found) for job, found in zip(jobs, written, strict=True) if isinstance(found, LeftOut)]
        guilty = _guilty(templates, failed)
        if last or not guilty:
            break
        left_out += guilty.values()
        graph = graph.without(guilty)
        frame.restore()
        progress(f"{len(guilty):,} records can't be rendered; rendering the pages again without them")
    left_out += [found for _, found in failed]
    for job, _ in failed:
        _put_words(site_dir, frame, job)
    for shape in ARCHETYPES:
        shutil.rmtree(site_dir / shape.address, ignore_errors=True)
    return Built(
        addresses=tuple(sorted(page.place for page in pages))
        if on_request
        else tuple(sorted(found for found in written if isinstance(found, str))),
        requested={page.place: page for page in pages} if on_request else {},
        graph=graph,
        left_out=tuple(left_out),
        has_box=has_box,
        replaced=tuple(name for name in dict.fromkeys(_stamped_names(jobs)) if frame.has(name)),
        _templates=templates,
        _frame=frame,
    )


def _jobs(templates: Templates, frame: _Frame, site_dir: Path) -> Iterator[Job[str | None]]:
    """Yield the jobs for all files and for the sections' pages except the status page, the longest first."""
    graph = templates.graph
    every = graph.nodes
    yield Job(kind="index of the browse page", place="catalog/facets.json", make=partial(_facets, site_dir, graph),
              members=every)  # fmt: skip
    yield Job(kind="lens network", place="catalog/network.json", make=partial(_network, site_dir, graph), members=every)
    for address in frame.homes:
        yield Job(kind="page", place=address, make=partial(_home, site_dir, frame, templates, address), members=every)
    for section in frame.sections:
        if section != "status":
            make = partial(_fill, site_dir, frame, templates, section)
            yield Job(kind="page", place=f"{section}/", make=make, members=every)
    yield Job(kind="programs", place="catalog/", make=partial(_programs, site_dir, None))
    for schema in graph.schemas:
        yield Job(kind="schema", place=of_node(schema), make=partial(_programs, site_dir, schema), node=schema)
    for name, text in _exports(templates):
        yield Job(kind="export", place=name, make=partial(_export, site_dir, name, text), members=every)


def _page_jobs(templates: Templates, frame: _Frame) -> Iterator[Job[str | None]]:
    """Yield the jobs for the pages of records and groups, and for the further pages of lists."""
    for page in (*_of_records(templates), *_of_groups(templates), *_lists(templates)):
        stamp = partial(_stamp, frame, page.make)
        yield Job(kind=page.kind, place=page.place, make=stamp, node=page.node, members=page.members)


def _guilty(templates: Templates, failed: Sequence[tuple[Job[str | None], LeftOut]]) -> dict[str, LeftOut]:
    """Return the records to omit by URI: those whose page failed, and those that made a page of many records fail.

    Raises :class:`BuildError` if all records of a kind fail, as with a bug or a broken installation.
    """
    guilty = {str(job.node.uri): found for job, found in failed if job.node is not None}
    suspects = {str(node.uri): node for job, _ in failed if job.node is None for node in job.members}
    jobs = [
        Job(kind=kind_of(node), place=of_node(node), make=partial(probe, templates, node), node=node)
        for uri, node in suspects.items()
        if uri not in guilty
    ]
    for found in in_parallel(tried, jobs, lost=killed):
        if isinstance(found, LeftOut) and found.uri is not None:
            guilty[found.uri] = found
    for kind, nodes in _kinds(templates.graph):
        if len(nodes) > 1 and all(str(node.uri) in guilty for node in nodes):
            first = guilty[str(nodes[0].uri)]
            raise BuildError(f"every {kind} page failed; the first: {first.error}", where=first.place)
    return guilty


def _put_words(site_dir: Path, frame: _Frame, job: Job[str | None] | Job[None]) -> None:
    """Write a notice in place of a page that failed, so that links to it work."""
    section = job.place.partition("/")[0]
    if job.node is not None or not job.place.endswith("/"):
        return
    way = "../" * job.place.count("/")
    body = _LEFT_OUT.format(status=f"{way}status/")
    with suppress(OSError, KeyError):
        if job.place == f"{section}/":
            html = frame.sections[section].stamp(body=body)
        else:
            html = frame.shells[_place(job.place)].stamp(
                body=body, title="Page not built", description="This page could not be built", address=job.place
            )
        _write(site_dir / job.place / "index.html", html)


def _make_ready(site_dir: Path, settings: SiteSettings) -> bool:
    """Prepare the rendered pages for stamping; return whether those of the catalog have the search box."""
    scripts: dict[str, str] = {}
    boxes: list[bool] = []
    plain = False
    for file in sorted(site_dir.rglob("*.html")):
        html = file.read_text(encoding="utf-8")
        of_catalog = has_place(html)
        if of_catalog or HOME.search(html) is not None:
            html = with_assets(html, "../" * (len(file.relative_to(site_dir).parts) - 1))
            if not is_material(html):
                plain = True
                html = HOME.sub(lambda mark: f'<div class="md-typeset cat-plain">{mark[0]}</div>', wrapped(html))
        html = ready(html, scripts, settings.language if settings.search else None)
        if not settings.directory_urls:
            html = named_files(html)
        if file == site_dir / "404.html":
            html = with_script(html, root_of(html) or "/")
        if of_catalog:
            boxes.append(BOX_MARK in html)
        file.write_text(html, encoding="utf-8")
    for name, source in scripts.items():
        _write(site_dir / ASSETS / name, source)
    if plain:
        sheet = site_dir / ASSETS / "catalog.css"
        sheet.write_text(style_sheet(sheet.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
    return all(boxes)


def ready(html: str, scripts: dict[str, str], searches: Language | None) -> str:
    """Return a rendered page with the search box, in the language ``searches``, and the fixes of the theme, minified.

    Inline scripts are added to ``scripts``: file name → source. A page without the catalog's style sheet is unchanged.
    """
    root = root_of(html)
    if root is None:
        return html
    return tidy(
        explain_404(fix_theme(html if searches is None else with_box(html, root, searches)), root), root, scripts
    )


def _homes(site_dir: Path) -> Iterator[tuple[str, str]]:
    """Yield address and HTML of the pages that show the newest records, and of the home page."""
    for file in sorted(site_dir.rglob("index.html")):
        html = file.read_text(encoding="utf-8")
        address = "" if file.parent == site_dir else file.parent.relative_to(site_dir).as_posix() + "/"
        if not address or HOME.search(html) is not None:
            yield address, html


def _home(site_dir: Path, frame: _Frame, templates: Templates, address: str) -> None:
    """Insert the newest records at the mark of a page, and the metadata into the home page."""
    graph, settings, html = templates.graph, templates.settings, frame.homes[address]
    asks = HOME.search(html)
    if asks is not None:
        html = html[: asks.start()] + section_body(templates, "home", address) + html[asks.end() :]
    if not address:
        held = jsonld.script(jsonld.catalog_jsonld(graph, settings)) + alternate(JSON, "catalog.json")
        held += alternate(ATOM, FEED, settings.name) if has_feed(graph, settings) else ""
        html = html.replace("</head>", f"{held}</head>", 1)
    html = html if settings.directory_urls else named_files(html)
    (site_dir / address / "index.html").write_text(html, encoding="utf-8")


def _programs(site_dir: Path, schema: SchemaNode | None) -> None:
    """Write the programs that load datasets of a schema."""
    found = load.program_file(schema)
    if found is not None:
        _write(site_dir / found[0] / load.FILE, found[1])


def _exports(templates: Templates) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the files that don't belong to a page: path and function that returns the text."""
    graph, settings = templates.graph, templates.settings
    yield from index_files(graph, templates.groups, settings)
    yield "robots.txt", partial(robots, settings)
    yield from dcat_files(graph, settings)
    if has_feed(graph, settings):
        yield FEED, lambda: feed(settings.name, "", newest(graph.nodes, MOST_OF_ALL), settings)
    for name, make in redirect_files(graph, settings):
        named = name.endswith(".html") and not settings.directory_urls
        yield name, partial(lambda make: named_files(make()), make) if named else make


def _export(site_dir: Path, name: str, make: Callable[[], str]) -> None:
    """Write a file unless the site's owner has one of that name."""
    if not (site_dir / name).exists():
        _write(site_dir / name, make())


def _facets(site_dir: Path, graph: Graph) -> None:
    for name, text in facets.files(graph):
        _write(site_dir / name, text)


def _network(site_dir: Path, graph: Graph) -> None:
    _write(site_dir / "catalog" / "network.json", network_json(graph))


_UNNAMED: Final = {"robots.txt", HOST_FILE}
"""Files of ours that the owner may replace without a warning."""


def _stamped_names(jobs: Iterable[Job[str | None]]) -> Iterator[str]:
    """Yield the file names of the pages and exports that the owner's files replace, but those without a warning."""
    sections = {f"{section}/" for section in IN_PLACE}
    for job in jobs:
        if job.kind == "export" and job.place not in _UNNAMED:
            yield job.place
        elif job.place.endswith("/") and job.place not in sections and job.kind not in {"page", "programs"}:
            yield f"{job.place}index.html"


def _stamp(frame: _Frame, make: Callable[[], Page]) -> str:
    page = make()
    html = frame.shells[_place(page.address)].stamp(
        body=page.body, title=page.title, description=page.description, address=page.address, head=page.head
    )
    if not frame.directory_urls:
        html = named_files(html)
    folder = f"{frame.site_dir}/{page.address}"
    try:
        os.mkdir(folder)  # noqa: PTH102 - pathlib costs as much as writing the page
    except FileExistsError:
        pass
    except FileNotFoundError:  # the account's first page
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    for name, text in (("index.html", html), *page.files):
        if not frame.has(page.address + name):
            _put(folder + name, text)
    return page.address


def named_files(html: str) -> str:
    """Return a page whose links to pages of the catalog end in ``index.html``, for sites without directory URLs."""
    return _TO_FOLDER.sub(r"\g<0>index.html", html)


def _place(address: str) -> tuple[str, int]:
    """Return the key of the shell for a page: its section and its depth."""
    return address.partition("/")[0], address.count("/")


def _put(file: str, text: str | bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    with open(descriptor, "wb", buffering=0) as out:  # noqa: PTH123 - a descriptor, not a path
        out.write(text if isinstance(text, bytes) else text.encode("utf-8"))


def _of_records(templates: Templates) -> Iterator[Job[Page]]:
    graph = templates.graph
    for dataset in graph.datasets:
        yield _of_record(dataset, partial(dataset_page, templates, dataset))
    for schema in graph.schemas:
        yield _of_record(schema, partial(schema_page, templates, schema))
    for lens in graph.lenses:
        yield _of_record(lens, partial(lens_page, templates, lens))


def _of_record(node: Node, make: Callable[[], Page]) -> Job[Page]:
    return Job(kind=kind_of(node), place=of_node(node), make=make, node=node)


def _of_groups(templates: Templates) -> Iterator[Job[Page]]:
    """Yield the jobs for the pages of publishers, tags and licences."""
    graph, groups = templates.graph, templates.groups
    for did, group in groups.publishers.items():
        yield _of_group("publishers", group, partial(publisher_page, templates, graph.publishers[did], group))
    for section, found in (("tags", groups.tags), ("licences", groups.licences)):
        for group in found.values():
            yield _of_group(section, group, partial(group_page, templates, section, group))


def _lists(templates: Templates) -> Iterator[Job[Page]]:
    """Yield the jobs for the second and later pages of lists."""
    graph = templates.graph
    for kind, listed in _kinds(graph):
        for number in range(2, page_count(listed) + 1):
            yield _numbered(addresses.SECTIONS[kind], number, partial(listing, templates, kind, listed, number), listed)
    for section in GROUPS:
        for number in range(2, page_count(groups_of(templates, section), GROUPS_PER_PAGE) + 1):
            yield _numbered(section, number, partial(group_listing, templates, section, number))
    lenses = network_places(graph)
    for number in range(2, page_count(lenses, LENSES_PER_PAGE) + 1):
        yield _numbered("network", number, partial(network_page, templates, lenses, number), lenses)


def _of_group(section: str, group: Group, make: Callable[[], Page]) -> Job[Page]:
    return Job(kind=GROUPS[section], place=group.address, make=make, members=group.nodes)


def _numbered(section: str, number: int, make: Callable[[], Page], members: Sequence[Node] = ()) -> Job[Page]:
    return Job(kind="list", place=f"{section}/page/{number}/", make=make, members=members)


def _kinds(graph: Graph) -> tuple[tuple[str, tuple[Node, ...]], ...]:
    return ("dataset", graph.datasets), ("schema", graph.schemas), ("lens", graph.lenses)


def _section_body(templates: Templates, section: str) -> str:
    for kind, nodes in _kinds(templates.graph):
        if addresses.SECTIONS[kind] == section:
            return listing(templates, kind, nodes, 1).body
    if section in GROUPS:
        return group_listing(templates, section, 1).body
    if section == "network":
        return network_page(templates, network_places(templates.graph), 1).body
    return section_body(templates, section, f"{section}/")


def _shell(site_dir: Path, shape: Archetype) -> Shell:
    return Shell.cut(_rendered(site_dir, shape.address), address=shape.address)


def _fill(site_dir: Path, frame: _Frame, templates: Templates, section: str) -> None:
    body = _section_body(templates, section)
    html = frame.sections[section].stamp(body=body)
    _write(site_dir / section / "index.html", html if frame.directory_urls else named_files(html))


def _all_files(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        for name in names:
            yield f"{place}/{name}"


def _rendered(site_dir: Path, address: str) -> str:
    file = site_dir / address / "index.html"
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise BuildError(
            "the theme did not render the page of the catalog",
            where=str(file),
            hint="check that no other plugin removes the page",
        ) from error


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.write(text)
