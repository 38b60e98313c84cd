"""``catalog crawl``, ``build`` and ``serve``: from the sources to the site."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NoReturn

import click

from catalog.cli.common import JSON

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from catalog.config import CatalogSettings

__all__ = ["build", "crawl", "serve"]

CONFIG = click.option(
    "-f",
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("mkdocs.yml"),
    show_default=True,
    help="The MkDocs configuration with the catalog's settings.",
)


@click.command()
@CONFIG
@click.option("--follow", is_flag=True, help="Stay on the streams, and look at the other sources again and again.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.01),
    default=15.0,
    show_default=True,
    metavar="MINUTES",
    help="With --follow: how often the sources that are no streams are looked at.",
)
@JSON
def crawl(config_file: Path, *, follow: bool, every: float, as_json: bool) -> None:
    """Bring the store up to date with the sources.

    Example: catalog crawl --follow --every 30
    """
    from catalog.cli.progress import Progress
    from catalog.crawl import crawl as run
    from catalog.crawl import follow as run_on
    from catalog.store import Store

    settings = _settings(config_file)
    with Store.open(settings.store) as store, Progress() as progress:
        if follow:
            with _stoppable() as stop:
                say, watch = progress.say, progress.watch
                report = run_on(settings, store, stop=stop, every=every * 60, progress=say, watch=watch)
        else:
            report = run(settings, store, progress=progress.say, watch=progress.watch)
    if as_json:
        click.echo(json.dumps(report.json()))
    else:
        for line in report.lines():
            click.echo(line, err=True)
    if report.failed:
        sys.exit(1)


@contextmanager
def _stoppable() -> Iterator[Event]:
    """An event that Ctrl-C and a polite kill set, so that a crawl ends with its cursor stored."""
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _settings(config_file: Path) -> CatalogSettings:
    from catalog.config import load_settings

    return load_settings(config_file)


@click.command()
@CONFIG
@click.option("--no-crawl", is_flag=True, help="Build from the store as it is.")
@click.option("--strict", is_flag=True, help="Let MkDocs treat its warnings as errors.")
@click.option("--zensical", is_flag=True, help="Let Zensical render in MkDocs's place.")
def build(config_file: Path, *, no_crawl: bool, strict: bool, zensical: bool) -> None:
    """Crawl, then build the site with MkDocs.

    Example: catalog build --no-crawl
    """
    if zensical:
        _zensical(config_file, no_crawl=no_crawl, strict=strict)
        return
    _mkdocs("build", config_file, no_crawl=no_crawl, extra=["--strict"] if strict else [])


@click.command()
@CONFIG
@click.option("--no-crawl", is_flag=True, help="Serve from the store as it is.")
@click.option("-a", "--address", default="127.0.0.1:8000", show_default=True, help="Where to listen.")
def serve(config_file: Path, address: str, *, no_crawl: bool) -> None:
    """Preview the site with live reload.

    Example: catalog serve -a 127.0.0.1:8080
    """
    _mkdocs("serve", config_file, no_crawl=no_crawl, extra=["--dev-addr", address])


def _zensical(config_file: Path, *, no_crawl: bool, strict: bool) -> None:
    from catalog.site.zensical import build_with_zensical

    if strict:
        raise click.UsageError("--strict is MkDocs's; Zensical has none that fits")
    if no_crawl:
        os.environ["CATALOG_NO_CRAWL"] = "1"
    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s -  %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    click.echo(f"built {build_with_zensical(config_file)}", err=True)


def _mkdocs(command: str, config_file: Path, *, no_crawl: bool, extra: Sequence[str]) -> NoReturn:
    """Become MkDocs: the catalog is its plugin, these commands are conveniences."""
    _settings(config_file)  # a mistake in our block is told in our words, before MkDocs starts
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")
    if no_crawl:
        os.environ["CATALOG_NO_CRAWL"] = "1"
    arguments = [sys.executable, "-m", "mkdocs", command, "--config-file", str(config_file), *extra]
    sys.stdout.flush()
    os.execv(sys.executable, arguments)  # noqa: S606 — our own interpreter and arguments, no shell
