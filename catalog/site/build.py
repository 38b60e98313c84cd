"""From a graph and rendered archetypes to the files of the site. Knows nothing of MkDocs.

::

    datasets/index.html            in place: the theme's page, its body filled in
    datasets/page/2/index.html     stamped on the shell of its section and depth
    datasets/<did>/<rkey>/         index.html stamped, what lies beside it
    publishers/<did>/, tags/<tag>/, licences/<id>/
    browse/ publishers/ tags/ …    in place
    catalog/facets.json, columns/, rows/, orders/   what the browse page reads
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from catalog.errors import BuildError
from catalog.site import addresses, facets, load
from catalog.site.exports import jsonld
from catalog.site.exports.dcat import dcat_files
from catalog.site.exports.feeds import FEED, MOST_OF_ALL, feed, newest
from catalog.site.exports.heads import ATOM, JSON, alternate
from catalog.site.exports.index import index_files, robots
from catalog.site.exports.redirects import redirect_page, redirects
from catalog.site.mended import mended, with_ways_on
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
)
from catalog.site.pages.network import LENSES_PER_PAGE, network_json, network_page, network_places
from catalog.site.pages.schema import schema_page
from catalog.site.pages.sections import section_body
from catalog.site.parallel import in_parallel, tenths
from catalog.site.search import with_box
from catalog.site.shell import Shell, archetype
from catalog.site.templates import Page, Templates
from catalog.site.tidy import ASSETS, root_of, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from catalog.graph import Graph, Node, SchemaNode
    from catalog.site.previews import Previews
    from catalog.site.settings import SiteSettings

__all__ = [
    "ARCHETYPES",
    "ASIDE",
    "HOME",
    "HOME_ELEMENT",
    "HOME_MARK",
    "IN_PLACE",
    "Archetype",
    "build_pages",
    "ready",
    "sources",
]

Job = Callable[[], str | None]
"""Writes one file; the address of the page where it is a stamped one."""

HOME_MARK: Final = "<!-- catalog:home -->"
"""Stands in a page where what is new in the catalog is to be shown."""
HOME_ELEMENT: Final = "<div data-catalog-home></div>"
"""The mark as it survives generators and plugins that drop comments."""
HOME: Final = re.compile(rf"{re.escape(HOME_MARK)}|{HOME_ELEMENT}|<div data-catalog-home=(?:\"\")?></div>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Archetype:
    """A page that lies as deep as those stamped from it, and is gone when the site is built."""

    address: str

    @property
    def source(self) -> str:
        """Its Markdown file."""
        return self.address.rstrip("/") + ".md"


ARCHETYPES: Final = tuple(
    Archetype(address=f"{section}/{folder}")
    for section in (*addresses.SECTIONS.values(), *GROUPS, "network")
    for folder in (f"{addresses.HIDDEN_FOLDER}/", f"{addresses.HIDDEN_FOLDER}/page/")
)
"""In each section one for each depth that pages lie at: links are relative."""

IN_PLACE: Final = {
    "browse": ("Browse", "Filter and sort everything in this catalog."),
    "datasets": ("Datasets", "All datasets of this catalog, newest first."),
    "schemas": ("Schemas", "The sample types that datasets of this catalog use."),
    "lenses": ("Lenses", "Transformations between schemas."),
    "network": ("Lens network", "Which schemas lenses connect, to be walked by mouse and keyboard."),
    "publishers": ("Publishers", "Who publishes in this catalog."),
    "tags": ("Tags", "What the records of this catalog are about."),
    "licences": ("Licences", "What may be done with the datasets of this catalog."),
    "status": ("Status", "What this catalog was built from, and what it left out."),
    "words": ("Words", "What the words on the pages of this catalog mean."),
}
"""Section → title and description of its page."""
ASIDE: Final = ("status", "words")
"""Sections that other pages lead to: a navigation that nobody wrote does without them."""


def sources() -> Iterator[tuple[str, str, bool]]:
    """The Markdown sources to be rendered by the theme: path, text, and whether it may stand in the navigation."""
    for shape in ARCHETYPES:
        yield shape.source, archetype(), False
    for section, (title, description) in IN_PLACE.items():
        yield f"{section}/index.md", archetype().replace(*_title(title)).replace(*_description(description)), True


def _title(title: str) -> tuple[str, str]:
    return "title: CatalogShellTitleToken", f"title: {title}"


def _description(description: str) -> tuple[str, str]:
    return "description: CatalogShellDescriptionToken", f"description: {description}"


def build_pages(
    graph: Graph,
    site_dir: Path,
    *,
    settings: SiteSettings,
    own: frozenset[str] = frozenset(),
    previews: Previews | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[str, ...]:
    """Write every page of the catalog into ``site_dir``, where the archetypes lie rendered; remove these.

    ``own`` are sections whose page the site's owner wrote; they stay. ``progress`` gets a line now and
    then in a long build. Returns the addresses of the stamped pages, sorted. Raises :class:`BuildError` when the theme
    lost a token.
    """
    _make_ready(site_dir, searches=settings.search)
    templates = Templates(graph, settings, previews)
    _home(site_dir, templates)
    shells = {_place(shape.address): _shell(site_dir, shape) for shape in ARCHETYPES}
    jobs: list[Job] = [partial(_facets, site_dir, graph)]  # the longest first
    jobs.append(partial(_network, site_dir, graph))
    jobs += [partial(_fill, site_dir, templates, section) for section in IN_PLACE if section not in own]
    jobs += [partial(_programs, site_dir, None), *(partial(_programs, site_dir, schema) for schema in graph.schemas)]
    jobs += [partial(_export, site_dir, name, make) for name, make in _exports(templates)]
    jobs += [partial(_stamp, site_dir, shells, make) for make in _stamped(templates)]
    written = in_parallel(lambda job: job(), jobs, done=tenths(len(jobs), "files stamped", progress))
    for shape in ARCHETYPES:
        shutil.rmtree(site_dir / shape.address, ignore_errors=True)
    return tuple(sorted(address for address in written if address is not None))


def _make_ready(site_dir: Path, *, searches: bool) -> None:
    scripts: dict[str, str] = {}
    for file in sorted(site_dir.rglob("*.html")):
        file.write_text(ready(file.read_text(encoding="utf-8"), scripts, searches=searches), encoding="utf-8")
    for name, source in scripts.items():
        _write(site_dir / ASSETS / name, source)


def ready(html: str, scripts: dict[str, str], *, searches: bool) -> str:
    """A page as the theme rendered it, with its search box, mended, and without what it needn't carry.

    ``scripts`` takes the inline ones: file name → source. A page that doesn't have the catalog's style stays as it is.
    """
    root = root_of(html)
    if root is None:
        return html
    return tidy(with_ways_on(mended(with_box(html, root) if searches else html), root), root, scripts)


def _home(site_dir: Path, templates: Templates) -> None:
    """What is new in the catalog where a page asks for it, and what programs look for in the home page."""
    graph, settings = templates.graph, templates.settings
    held = jsonld.script(jsonld.catalog_jsonld(graph, settings)) + alternate(JSON, "catalog.json")
    held += "" if settings.url is None else alternate(ATOM, FEED, settings.name)
    for file in sorted(site_dir.rglob("index.html")):
        html = file.read_text(encoding="utf-8")
        address = "" if file.parent == site_dir else file.parent.relative_to(site_dir).as_posix() + "/"
        asks = HOME.search(html)
        if asks is not None:
            html = html[: asks.start()] + section_body(templates, "home", address) + html[asks.end() :]
        if not address:
            html = html.replace("</head>", f"{held}</head>", 1)
        if asks is not None or not address:
            file.write_text(html, encoding="utf-8")


def _programs(site_dir: Path, schema: SchemaNode | None) -> None:
    """The programs that load datasets of a schema."""
    found = load.program_file(schema)
    if found is not None:
        _write(site_dir / found[0] / load.FILE, found[1])


def _exports(templates: Templates) -> Iterator[tuple[str, Callable[[], str]]]:
    """What lies at the root and beside no page: paths, and what makes each file."""
    graph, settings = templates.graph, templates.settings
    yield from index_files(graph, templates.groups, settings)
    yield "robots.txt", partial(robots, settings)
    yield from dcat_files(graph, settings)
    if settings.url is not None:
        yield FEED, lambda: feed(settings.name, "", newest(graph.nodes, MOST_OF_ALL), settings)
    for address, target in redirects(graph):
        yield f"{address}index.html", partial(redirect_page, target, settings)


def _export(site_dir: Path, name: str, make: Callable[[], str]) -> None:
    """Write it, unless the site's owner has such a file."""
    if not (site_dir / name).exists():
        _write(site_dir / name, make())


def _facets(site_dir: Path, graph: Graph) -> None:
    for name, text in facets.files(graph):
        _write(site_dir / name, text)


def _network(site_dir: Path, graph: Graph) -> None:
    _write(site_dir / "catalog" / "network.json", network_json(graph))


def _stamp(site_dir: Path, shells: Mapping[tuple[str, int], Shell], make: Callable[[], Page]) -> str:
    page = make()
    html = shells[_place(page.address)].stamp(
        body=page.body, title=page.title, description=page.description, address=page.address, head=page.head
    )
    folder = f"{site_dir}/{page.address}"
    try:
        os.mkdir(folder)  # noqa: PTH102 - pathlib costs as much as writing the page
    except FileExistsError:
        pass
    except FileNotFoundError:  # the account's first page
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    _put(f"{folder}index.html", html)
    for name, text in page.files:
        _put(folder + name, text)
    return page.address


def _place(address: str) -> tuple[str, int]:
    """What decides which shell a page is stamped on: its section and its depth."""
    return address.partition("/")[0], address.count("/")


def _put(file: str, text: str | bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    with open(descriptor, "wb", buffering=0) as out:  # noqa: PTH123 - a descriptor, not a path
        out.write(text if isinstance(text, bytes) else text.encode("utf-8"))


def _stamped(templates: Templates) -> Iterator[Callable[[], Page]]:
    """What makes each of the pages that are stamped."""
    graph, groups = templates.graph, templates.groups
    yield from (partial(dataset_page, templates, dataset) for dataset in graph.datasets)
    yield from (partial(schema_page, templates, schema) for schema in graph.schemas)
    yield from (partial(lens_page, templates, lens) for lens in graph.lenses)
    for did, group in groups.publishers.items():
        yield partial(publisher_page, templates, graph.publishers[did], group)
    yield from (partial(group_page, templates, "tags", group) for group in groups.tags.values())
    yield from (partial(group_page, templates, "licences", group) for group in groups.licences.values())
    for kind, found in _kinds(graph):
        for number in range(2, page_count(found) + 1):
            yield partial(listing, templates, kind, found, number)
    for section in GROUPS:
        for number in range(2, page_count(groups_of(templates, section), GROUPS_PER_PAGE) + 1):
            yield partial(group_listing, templates, section, number)
    lenses = network_places(graph)
    for number in range(2, page_count(lenses, LENSES_PER_PAGE) + 1):
        yield partial(network_page, templates, lenses, number)


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


def _fill(site_dir: Path, templates: Templates, section: str) -> None:
    address, body = f"{section}/", _section_body(templates, section)
    _write(site_dir / address / "index.html", Shell.cut(_rendered(site_dir, address)).stamp(body=body))


def _rendered(site_dir: Path, address: str) -> str:
    file = site_dir / address / "index.html"
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise BuildError(
            "the theme didn't render the catalog's page",
            where=str(file),
            hint="directory URLs are needed (use_directory_urls: true), and no other plugin may drop the page",
        ) from error


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.write(text)
