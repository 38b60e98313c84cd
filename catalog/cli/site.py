"""``catalog crawl``, ``build`` and ``serve``: sources to site."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from catalog.cli.common import JSON
from catalog.cli.terminal import echo_json, say
from catalog.errors import StoreError, require_extra
from catalog.sanitize import escaped_record

if TYPE_CHECKING:
    from catalog.config import CatalogSettings
    from catalog.site.build_fingerprint import Fingerprint

_CONFIGS = (Path("mkdocs.yml"), Path("mkdocs.yaml"), Path("properdocs.yml"), Path("properdocs.yaml"))

CONFIG = click.option(
    "-f",
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=lambda: next(filter(Path.is_file, _CONFIGS), _CONFIGS[0]),
    show_default="mkdocs.yml, or properdocs.yml",
    help="MkDocs configuration file with the settings of the catalog.",
)


@click.command()
@CONFIG
@click.option(
    "--follow", is_flag=True, help="Follow event streams until stopped, and crawl the other sources repeatedly."
)
@click.option(
    "--every",
    type=click.FloatRange(min=0.01),
    default=15.0,
    show_default=True,
    metavar="MINUTES",
    help="With --follow: interval between crawls of sources without an event stream.",
)
@JSON
def crawl(config_file: Path, *, follow: bool, every: float, as_json: bool) -> None:
    """Update the store from the sources.

    The exit code is 1 if a source couldn't be read, or if an unexpected error occurred with an account or record.
    All other records are stored.

    Example: catalog crawl --follow --every 30
    """
    from catalog.cli.progress import Progress
    from catalog.crawl import crawl as run
    from catalog.crawl import follow as run_on
    from catalog.store import Store
    from catalog.store.search_index import SearchIndex

    settings = _settings(config_file)
    with Store.open(settings.store) as store, Progress() as progress:
        if follow:
            with _stoppable() as stop:
                seen = progress.watch
                report = run_on(settings, store, stop=stop, every=every * 60, progress=progress.say, watch=seen)
        else:
            report = run(settings, store, progress=progress.say, watch=progress.watch)
            with suppress(StoreError):  # the next search makes the index, or says why it can't
                if SearchIndex.is_quick(settings.store):
                    SearchIndex.open(settings.store, progress.say).close()
    if as_json:
        echo_json(report.json())
    else:
        for line in report.lines():
            say(line)
    if report.failed or report.defects:
        sys.exit(1)


@contextmanager
def _stoppable() -> Iterator[Event]:
    """Yield an event that SIGINT and SIGTERM set, so that a crawl ends with its cursor stored."""
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
@click.option("--no-crawl", is_flag=True, help="Build from the store without crawling.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors, including sources that can't be read.")
@click.option("--zensical", is_flag=True, help="Render with Zensical instead of MkDocs.")
@click.option("--force", is_flag=True, help="Build even if nothing changed.")
@click.option(
    "--if-changed-since",
    "since",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Build only if the fingerprint differs from FILE, a copy of a site's catalog/fingerprint.txt.",
)
def build(config_file: Path, *, no_crawl: bool, strict: bool, zensical: bool, force: bool, since: Path | None) -> None:
    """Crawl the sources, then build the site with MkDocs. Without changes since the last build, do nothing.

    With --if-changed-since, $GITHUB_OUTPUT receives “built” (true if site/ should be deployed) and “fingerprint” (to
    store in FILE after the deployment).

    Example: catalog build --no-crawl
    """
    from catalog.site.build_fingerprint import MARK, Fingerprint, site_folder, take_fingerprint
    from catalog.store import refuse_empty

    require_extra("site", "comrak" if zensical else "mkdocs", purpose="building a site")
    if zensical and strict:
        raise click.UsageError("--strict and --zensical exclude each other")
    settings = _settings(config_file)  # report mistakes in the settings before MkDocs starts
    if no_crawl:
        refuse_empty(settings.store)
    else:
        _crawl_for(config_file, settings, strict=strict)
    way = [word for word, wanted in (("zensical", zensical), ("strict", strict)) if wanted]
    now = take_fingerprint(config_file, settings, options=way)
    deployed = None if since is None else Fingerprint.read(since)
    site = site_folder(config_file)
    before = Fingerprint.read(site / MARK)
    made = str(now)
    if now == deployed and not force:
        say(f"no changes since {since}; nothing to build")
    elif now == before and not force:
        say(f"no changes since the last build; {site.name}/ is up to date")
    else:
        if before is not None and now != before:
            say(f"changed since the last build: {', '.join(now.changed(before))}")
        if not _build_aside(config_file, site, now, zensical=zensical, strict=strict):
            made = ""
    if since is not None:
        _write_github_output(built=now != deployed or force, fingerprint=made)


def _build_aside(config_file: Path, site: Path, now: Fingerprint, *, zensical: bool, strict: bool) -> bool:
    """Build the site in a temporary folder, then replace the old one; return whether it is complete.

    An incomplete site has no fingerprint, so that the next build retries. Raises :class:`BuildError`, also for errors
    of the renderer; the old site then stays unchanged.
    """
    from catalog.errors import BuildError, contained
    from catalog.site.omitted import anything_left_out, no_room
    from catalog.site.swap import built_aside

    hint = f"the site in {site.name}/ is unchanged"
    with built_aside(site) as aside:
        if not aside.at_once:
            say(f"{site} can't be renamed (a mount point?): replacing its files one by one")
        try:
            _build(config_file, aside.folder, zensical=zensical, strict=strict)
        except (click.ClickException, click.Abort, BuildError):
            raise
        except OSError as error:
            raise no_room(error, str(site)) from error
        except Exception as error:
            raise BuildError(str(contained(error)), where=str(config_file), hint=hint) from error
        whole = not anything_left_out(aside.folder)
        if whole:
            now.write(aside.folder)
    say(f"built {site}")
    return whole


def _crawl_for(config_file: Path, settings: CatalogSettings, *, strict: bool) -> None:
    """Update the store before a build, unless disabled by the settings."""
    from catalog.cli.progress import Progress
    from catalog.config import catalog_block, load_config
    from catalog.crawl import crawl as run
    from catalog.errors import BuildError, StoreBusy
    from catalog.store import Store

    config = load_config(config_file)
    wanted = bool((catalog_block(config) or {}).get("crawl", True))
    if not wanted or os.environ.get("CATALOG_NO_CRAWL", "") not in {"", "0"}:
        return
    if not settings.sources:
        say(f"{config_file}: no sources (sources: under catalog:); the site shows the records in the store")
    with Store.open(settings.store) as store, Progress() as progress:
        try:
            report = run(settings, store, progress=progress.say, watch=progress.watch)
        except StoreBusy as error:  # the stored records are consistent
            progress.say(f"{error.what}; building from the stored records")
            return
        for line in report.lines():
            progress.say(line)
        nothing = next(store.records(), None) is None
    if report.failed:
        if nothing:  # without a store, an empty site would replace a full one
            hint = "see the errors above; --no-crawl builds an empty site"
            raise BuildError("the catalog's sources could not all be read, and its store is empty", hint=hint)
        if strict or config.get("strict") is True:
            raise BuildError("the catalog's sources could not all be read", hint="without --strict this is a warning")
        say("the catalog's sources could not all be read; showing the records in the store")


def _build(config_file: Path, target: Path, *, zensical: bool, strict: bool) -> None:
    os.environ["CATALOG_NO_CRAWL"] = "1"
    if zensical:
        _zensical(config_file, target)
        return
    from mkdocs.__main__ import cli as mkdocs

    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")
    arguments = ["build", "--config-file", str(config_file), "--site-dir", str(target)]
    mkdocs.main([*arguments, *(["--strict"] if strict else [])], prog_name="mkdocs", standalone_mode=False)


def _write_github_output(*, built: bool, fingerprint: str) -> None:
    """Write the outputs of a GitHub Actions step, if this is one."""
    place = os.environ.get("GITHUB_OUTPUT")
    if place:
        with Path(place).open("a", encoding="utf-8") as out:
            out.write(f"built={'true' if built else 'false'}\nfingerprint={fingerprint}\n")


@click.command()
@CONFIG
@click.option("--no-crawl", is_flag=True, help="Serve from the store without crawling.")
@click.option("-a", "--address", default="127.0.0.1:8000", show_default=True, help="Address and port to listen on.")
def serve(config_file: Path, address: str, *, no_crawl: bool) -> None:
    """Preview the site with live reload.

    Example: catalog serve -a 127.0.0.1:8080
    """
    require_extra("site", "mkdocs", purpose="serving a site")
    _settings(config_file)  # report mistakes in the settings before MkDocs starts
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")
    if no_crawl:
        os.environ["CATALOG_NO_CRAWL"] = "1"
    arguments = [sys.executable, "-m", "mkdocs", "serve", "--config-file", str(config_file), "--dev-addr", address]
    sys.stdout.flush()
    os.execv(sys.executable, arguments)  # noqa: S606 — our own interpreter and arguments, no shell


def _zensical(config_file: Path, target: Path) -> None:
    from catalog.site.zensical import build_with_zensical

    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s -  %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(escaped_record)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    build_with_zensical(config_file, target)
