"""``catalog mcp``: the catalog as tools for agents."""

from __future__ import annotations

import os

import click

from catalog.cli.search import PLACE_VARIABLE, place_of


@click.command()
@click.option(
    "--in",
    "place",
    metavar="PLACE",
    help="store, a path to one, pds, or the URL of a site or AppView. [env: CATALOG_SEARCH]",
)
def mcp(place: str | None) -> None:
    """Serve the catalog to agents over the Model Context Protocol, on standard input and output.

    Requires the extra 'mcp'. The tools search, describe, show rows, write loading code and check provenance. They
    only read, their answers are bounded, and text of strangers is marked as such.

    Example: catalog mcp --in https://alice.example.org/datasets/
    """
    from catalog.client import Client
    from catalog.client.mcp_server import make_server

    named = place or os.environ.get(PLACE_VARIABLE) or None
    where = {} if named == "pds" else place_of(named, None)
    with Client() as client:
        make_server(client, store=where.get("store"), site=where.get("site")).run()
