"""From a graph and rendered archetypes to the files of the site. Knows nothing of MkDocs.

::

    datasets/index.html            in place: the theme's page, its body filled in
    datasets/page/2/index.html     stamped on the listing's shell
    datasets/<did>/<rkey>/         index.html stamped on the record's shell, what lies beside it
    publishers/<did>/index.html    stamped on the publisher's shell
    browse/ publishers/ status/    in place
    catalog/facets.json            the browse page's columns
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from catalog.errors import BuildError
from catalog.site import addresses, facets, load
from catalog.site.mended import mended
from catalog.site.pages.dataset import dataset_page
from catalog.site.pages.lens import lens_page
from catalog.site.pages.listings import listing, page_count, publisher_page
from catalog.site.pages.schema import schema_page
from catalog.site.pages.sections import section_body
from catalog.site.parallel import in_parallel
from catalog.site.search import with_box
from catalog.site.shell import Shell, archetype
from catalog.site.templates import Page, Templates
from catalog.site.tidy import ASSETS, root_of, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalog.graph import Graph, Node, SchemaNode
    from catalog.site.previews import Previews
    from catalog.site.settings import SiteSettings

__all__ = ["ARCHETYPES", "HIDDEN_FOLDER", "IN_PLACE", "Archetype", "build_pages", "sources"]

Job = Callable[[], str | None]
"""Writes one file; the address of the page where it is a stamped one."""

HIDDEN_FOLDER: Final = "catalog-shell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archetype:
    """A page that lies as deep as those stamped from it, and is gone when the site is built."""

    address: str

    @property
    def source(self) -> str:
        """Its Markdown file."""
        return self.address.rstrip("/") + ".md"


ARCHETYPES: Final = {
    "dataset": Archetype(address=f"datasets/{HIDDEN_FOLDER}/dataset/"),
    "schema": Archetype(address=f"schemas/{HIDDEN_FOLDER}/schema/"),
    "lens": Archetype(address=f"lenses/{HIDDEN_FOLDER}/lens/"),
    "listing": Archetype(address=f"datasets/{HIDDEN_FOLDER}/listing/"),
    "publisher": Archetype(address=f"publishers/{HIDDEN_FOLDER}/"),
}

IN_PLACE: Final = {
    "browse": ("Browse", "Filter and sort everything in this catalog."),
    "datasets": ("Datasets", "All datasets of this catalog, newest first."),
    "schemas": ("Schemas", "The sample types that datasets of this catalog use."),
    "lenses": ("Lenses", "Transformations between schemas."),
    "publishers": ("Publishers", "Who publishes in this catalog."),
    "status": ("Status", "What this catalog was built from, and what it left out."),
}
"""Section → title and description of its page."""


def sources() -> Iterator[tuple[str, str, bool]]:
    """The Markdown sources to be rendered by the theme: path, text, and whether it may stand in the navigation."""
    for shape in ARCHETYPES.values():
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
) -> tuple[str, ...]:
    """Write every page of the catalog into ``site_dir``, where the archetypes lie rendered; remove these.

    ``own`` are sections whose page the site's owner wrote; they stay. Returns the addresses of the stamped
    pages, sorted. Raises :class:`BuildError` when the theme lost a token.
    """
    _make_ready(site_dir, searches=settings.search)
    shells = {kind: _shell(site_dir, shape) for kind, shape in ARCHETYPES.items()}
    templates = Templates(graph, settings, previews)
    jobs: list[Job] = [partial(_facets, site_dir, graph)]  # the longest first
    jobs += [partial(_fill, site_dir, templates, section) for section in IN_PLACE if section not in own]
    jobs += [partial(_programs, site_dir, None), *(partial(_programs, site_dir, schema) for schema in graph.schemas)]
    jobs += [partial(_stamp, site_dir, shells[kind], make) for kind, make in _stamped(templates)]
    written = in_parallel(lambda job: job(), jobs)
    for shape in ARCHETYPES.values():
        shutil.rmtree(site_dir / shape.address, ignore_errors=True)
        hidden = (site_dir / shape.address).parent
        if hidden.name == HIDDEN_FOLDER and hidden.is_dir() and not any(hidden.iterdir()):
            hidden.rmdir()
    return tuple(sorted(address for address in written if address is not None))


def _make_ready(site_dir: Path, *, searches: bool) -> None:
    """Give every rendered page its search box, and take out what it needn't carry."""
    scripts: dict[str, str] = {}
    for file in sorted(site_dir.rglob("*.html")):
        html = file.read_text(encoding="utf-8")
        root = root_of(html)
        if root is not None:
            html = mended(with_box(html, root) if searches else html)
            file.write_text(tidy(html, root, scripts), encoding="utf-8")
    for name, source in scripts.items():
        _write(site_dir / ASSETS / name, source)


def _programs(site_dir: Path, schema: SchemaNode | None) -> None:
    """The programs that load datasets of a schema."""
    folder = site_dir / load.folder_of(schema)
    for name, text in load.program_files(None if schema is None else schema.record.sample_type):
        _write(folder / name, text)


def _facets(site_dir: Path, graph: Graph) -> None:
    _write(site_dir / "catalog" / "facets.json", facets.dump(facets.columns(graph)))


def _stamp(site_dir: Path, shell: Shell, make: Callable[[], Page]) -> str:
    page = make()
    html = shell.stamp(
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


def _put(file: str, text: str | bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    with open(descriptor, "wb", buffering=0) as out:  # noqa: PTH123 - a descriptor, not a path
        out.write(text if isinstance(text, bytes) else text.encode("utf-8"))


def _stamped(templates: Templates) -> Iterator[tuple[str, Callable[[], Page]]]:
    """The kind of shell, and what makes the page."""
    graph = templates.graph
    for dataset in graph.datasets:
        yield "dataset", partial(dataset_page, templates, dataset)
    for schema in graph.schemas:
        yield "schema", partial(schema_page, templates, schema)
    for lens in graph.lenses:
        yield "lens", partial(lens_page, templates, lens)
    by_publisher: defaultdict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        by_publisher[node.publisher.did].append(node)
    for did, nodes in by_publisher.items():
        yield "publisher", partial(publisher_page, templates, graph.publishers[did], nodes)
    for kind, found in _kinds(graph):
        for number in range(2, page_count(found) + 1):
            yield "listing", partial(listing, templates, kind, found, number)


def _kinds(graph: Graph) -> tuple[tuple[str, tuple[Node, ...]], ...]:
    return ("dataset", graph.datasets), ("schema", graph.schemas), ("lens", graph.lenses)


def _section_body(templates: Templates, section: str) -> str:
    for kind, nodes in _kinds(templates.graph):
        if addresses.SECTIONS[kind] == section:
            return listing(templates, kind, nodes, 1).body
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
