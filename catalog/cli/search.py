"""``catalog search``: find datasets, schemas and lenses in a store, on a site, in an AppView or on a PDS."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

import click

from catalog.cli.common import JSON
from catalog.cli.terminal import echo, echo_json, say, styled
from catalog.formatting import byte_size, counted
from catalog.sanitize import escaped, one_line

if TYPE_CHECKING:
    from catalog.client import Finding, Results
    from catalog.client.results import SearchQuery
    from catalog.errors import Fault
    from catalog.records import Record

_CONFIG: Final = Path("mkdocs.yml")
PLACE_VARIABLE: Final = "CATALOG_SEARCH"
_NARROWEST: Final = 60
_KINDS: Final = ("dataset", "schema", "lens")


class _Place(TypedDict, total=False):
    """Arguments of :meth:`catalog.client.Client.search` for the place to search."""

    store: Path
    site: str


@click.command()
@click.argument("query", nargs=-1)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Only this kind. Repeatable.")
@click.option("--schema", metavar="SCHEMA", help="Only datasets of this schema: Name, Name@1.0.0 or an at:// URI.")
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG", help="Only records with this tag. Repeatable; all must match."
)
@click.option("--license", "licence", metavar="LICENCE", help="Only records with this licence.")
@click.option("--publisher", metavar="ACCOUNT", help="Only records of this account, a handle or DID.")
@click.option("--dtype", metavar="DTYPE", help="Only records with arrays of this dtype.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Maximum number of results.")
@click.option(
    "--in",
    "place",
    metavar="PLACE",
    help="store, a path to one, pds, or the URL of a site or AppView. [env: CATALOG_SEARCH]",
)
@JSON
def search(
    *,
    query: tuple[str, ...],
    kinds: tuple[str, ...],
    schema: str | None,
    tags: tuple[str, ...],
    licence: str | None,
    publisher: str | None,
    dtype: str | None,
    limit: int,
    place: str | None,
    as_json: bool,
) -> None:
    """Find datasets, schemas and lenses, best match first. Without QUERY, list the newest.

    Records with all words of QUERY come first; word* matches a prefix. The default PLACE is the crawled store of
    ./mkdocs.yml.
    `--publisher alice.example.org --in pds` searches the account's own server.

    Example: catalog search ocean audio --tag reef  # the store here

    catalog search ocean --in https://alice.example.org/datasets/  # a site

    catalog search ocean --in https://appview.example.org  # an AppView

    catalog search ocean --in pds --publisher alice.example.org  # an account
    """
    from catalog.client.filters import schema_name
    from catalog.client.results import SearchQuery

    faults: list[Fault] = []
    asked = SearchQuery(
        text=" ".join(query), kinds=kinds, tags=tags, license=licence, schema=schema_name(schema, "schema"),
        dtype=dtype, publisher=publisher, limit=limit,
    )  # fmt: skip
    found = _search(asked, place_of(place or os.environ.get(PLACE_VARIABLE) or None, publisher), faults)
    if as_json:
        echo_json(found.as_json())
    else:
        for line in _lines(found.findings):
            echo(line)
        if not found.findings:
            say("no results: try fewer or more general words" if query else "no results")
        elif found.total is not None and found.total > len(found):
            say(f"{found.total:,} results, the first {len(found)}")
    for note in found.notes:
        say(_line(note, 500))
    if faults:
        say(f"{len(faults)} invalid records were skipped; the first: {_line(str(faults[0]), 300)}")


def _search(query: SearchQuery, place: _Place, faults: list[Fault]) -> Results:
    if "store" in place:  # needs no network client, which takes longer to import than the search
        from catalog.client.search import search_store

        return search_store(place["store"], query, say)
    from catalog.client import Client
    from catalog.client.discovery import SearchPlace
    from catalog.client.search import find

    with Client() as client:
        where = SearchPlace(publisher=query.publisher, pds=None, store=None, appview=None, site=place.get("site"))
        return find(client.records, query, where, faults.append)


def place_of(text: str | None, publisher: str | None) -> _Place:
    """Return the place of ``--in``. Raises ``UsageError`` if none is named and there is no store here."""
    if text is not None and text.startswith(("https://", "http://")):
        return {"site": text}
    if text == "pds" or (text is None and publisher is not None and not _CONFIG.is_file()):
        if publisher is None:
            raise click.UsageError("--in pds requires --publisher HANDLE")
        return {}
    if text not in (None, "store"):
        return {"store": Path(text)}
    if not _CONFIG.is_file():
        hint = "name a place with --in or CATALOG_SEARCH: a site, an AppView, a store; or --publisher HANDLE --in pds"
        raise click.UsageError(f"no mkdocs.yml in this folder, so the store is unknown; {hint}")
    from catalog.config import load_settings

    return {"store": load_settings(_CONFIG).store}


def _lines(found: Sequence[Finding[Record]]) -> list[str]:
    """Return the lines of each result: kind and name; publisher, size, licence and tags; summary; URI."""
    width = max(_NARROWEST, shutil.get_terminal_size((100, 24)).columns)
    lines = []
    for one in found:
        name = one.name if one.version is None else f"{one.name} {one.version}"
        about = (one.publisher.shown, _size(one), one.license or "", ", ".join(one.tags[:6]))
        lines.append(f"{one.kind:<8}" + styled(_line(name, width - 8) or "(no name)", bold=True))
        lines.append("        " + _line(" · ".join(filter(None, about)), width - 8))
        if one.summary:
            lines.append("        " + _line(one.summary, width - 8))
        lines.append(f"        {escaped(str(one.uri))}")
    return lines


def _size(found: Finding[Record]) -> str:
    parts = [] if found.samples is None else [counted(found.samples, "sample")]
    return ", ".join(parts if found.bytes is None else [*parts, byte_size(found.bytes)])


def _line(text: str, width: int) -> str:
    return one_line(" ".join(text.split()), width)
