"""``catalog store``: inspect, check and copy the store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catalog.cli.common import JSON
from catalog.cli.site import CONFIG
from catalog.cli.terminal import echo, echo_json, say
from catalog.errors import StoreError
from catalog.formatting import byte_size, counted

if TYPE_CHECKING:
    from catalog.store.summary import StoreSummary


@click.group()
def store() -> None:
    """Inspect, check and copy the store, the database of crawled records.

    Example: catalog store info
    """


@store.command()
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("dest", type=click.Path(path_type=Path, dir_okay=False))
def copy(source: Path, dest: Path) -> None:
    """Copy the store SOURCE to DEST, even while both are in use.

    DEST changes in one transaction. A file that isn't a store is never overwritten. An AppView that serves DEST updates
    its index incrementally.

    Example: catalog store copy .catalog/catalog.sqlite /backup/catalog.sqlite
    """
    from catalog.store.replicate import copy_store
    from catalog.store.summary import summary

    copy_store(source, dest)
    found = summary(dest)
    say(f"copied {counted(sum(found.records.values()), 'record')}, {byte_size(found.bytes)}, to {dest}")


@store.command()
@click.argument("path", required=False, type=click.Path(path_type=Path, dir_okay=False))
@CONFIG
@JSON
def info(path: Path | None, config_file: Path, *, as_json: bool) -> None:
    """Show the version, records and sources of a store, and the time of the last crawl.

    The default PATH is the store of the MkDocs configuration.

    Example: catalog store info .catalog/catalog.sqlite
    """
    from catalog.config import load_settings
    from catalog.store.summary import summary

    path = load_settings(config_file).store if path is None else path
    found = summary(path)
    if as_json:
        crawled = None if found.crawled is None else found.crawled.isoformat()
        echo_json({"path": str(path), **asdict(found), "crawled": crawled})
        return
    for name, text in _lines(path, found):
        echo(f"{name:<10}{text}")


@store.command()
@click.argument("path", required=False, type=click.Path(path_type=Path, dir_okay=False))
@CONFIG
def check(path: Path | None, config_file: Path) -> None:
    """Check the integrity of a store. The exit code is 1 if it is damaged; a missing store is not an error.

    The default PATH is the store of the MkDocs configuration.

    Example: catalog store check .catalog/catalog.sqlite
    """
    from catalog.config import load_settings
    from catalog.store import DAMAGED, Store, refuse_empty

    path = load_settings(config_file).store if path is None else path
    if not path.exists():
        say(f"{path}: no store yet")
        return
    refuse_empty(path)
    with Store.open(path) as opened:
        opened.check()
        count = sum(1 for _ in opened.records())
        if opened.damaged:
            raise StoreError(f"the rows of {len(opened.damaged):,} records are damaged", where=str(path), hint=DAMAGED)
    say(f"{path}: ok, {count:,} visible records")


def _lines(path: Path, found: StoreSummary) -> list[tuple[str, str]]:
    lines = [
        ("store", str(path)),
        ("version", str(found.version)),
        ("identity", f"{found.identity}, change {found.changes:,}"),
        ("size", byte_size(found.bytes)),
        ("accounts", f"{found.accounts:,}"),
    ]
    total = sum(found.records.values())
    lines.append(("records", f"{total:,}, and {found.refused:,} refused"))
    lines += [("", f"{number:>9,}  {collection}") for collection, number in found.records.items()]
    lines += [("source" if not index else "", source) for index, source in enumerate(found.sources)]
    if found.denied:
        lines.append(("denied", f"{found.denied:,} accounts"))
    crawled = "never" if found.crawled is None else found.crawled.strftime("%Y-%m-%d %H:%M:%S UTC")
    return [*lines, ("crawled", crawled)]
