"""The ``catalog`` command: parse, call, print; nothing else.

Exit codes: 0 done, 1 failed, 2 misuse. A user's mistake gets one clear line per fault on standard error, never
a traceback. What a command needs is imported when it runs, so that ``catalog --help`` is instant.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from catalog.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.config import CatalogSettings

__all__ = ["cli", "main"]

_CONFIG = click.option(
    "-f",
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("mkdocs.yml"),
    show_default=True,
    help="The MkDocs configuration with the catalog's settings.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
_MANIFESTS = click.argument("manifests", nargs=-1, required=True, metavar="MANIFEST…", type=click.Path(path_type=Path))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="atdata-catalog", prog_name="catalog")
def cli() -> None:
    """A catalog for datasets on the AT Protocol: crawl, build a site, publish.

    Example: catalog build
    """


@cli.command()
@_CONFIG
@_JSON
def crawl(config_file: Path, *, as_json: bool) -> None:
    """Bring the store up to date with the sources.

    Example: catalog crawl
    """
    _crawl(_settings(config_file), as_json=as_json)


def _settings(config_file: Path) -> CatalogSettings:
    from catalog.config import load_settings

    return load_settings(config_file)


def _crawl(settings: CatalogSettings, *, as_json: bool) -> None:
    from catalog.crawl import crawl as run
    from catalog.store import Store

    with Store.open(settings.store) as store:
        report = run(settings, store, progress=_say)
    if as_json:
        click.echo(json.dumps(asdict(report), default=str))
    else:
        for line in report.lines():
            click.echo(line, err=True)
    if report.failed:
        sys.exit(1)


def _say(text: str) -> None:
    click.echo(text, err=True)


@cli.command()
@_CONFIG
@click.option("--no-crawl", is_flag=True, help="Build from the store as it is.")
@click.option("--strict", is_flag=True, help="Let MkDocs treat its warnings as errors.")
def build(config_file: Path, *, no_crawl: bool, strict: bool) -> None:
    """Crawl, then build the site with MkDocs.

    Example: catalog build --no-crawl
    """
    _mkdocs("build", config_file, no_crawl=no_crawl, extra=["--strict"] if strict else [])


@cli.command()
@_CONFIG
@click.option("--no-crawl", is_flag=True, help="Serve from the store as it is.")
@click.option("-a", "--address", default="127.0.0.1:8000", show_default=True, help="Where to listen.")
def serve(config_file: Path, address: str, *, no_crawl: bool) -> None:
    """Preview the site with live reload.

    Example: catalog serve -a 127.0.0.1:8080
    """
    _mkdocs("serve", config_file, no_crawl=no_crawl, extra=["--dev-addr", address])


def _mkdocs(command: str, config_file: Path, *, no_crawl: bool, extra: Sequence[str]) -> NoReturn:
    """Become MkDocs: the catalog is its plugin, these commands are conveniences."""
    _settings(config_file)  # a mistake in our block is told in our words, before MkDocs starts
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")
    if no_crawl:
        os.environ["CATALOG_NO_CRAWL"] = "1"
    arguments = [sys.executable, "-m", "mkdocs", command, "--config-file", str(config_file), *extra]
    sys.stdout.flush()
    os.execv(sys.executable, arguments)  # noqa: S606 — our own interpreter and arguments, no shell


@cli.command()
@_MANIFESTS
@_JSON
def validate(manifests: tuple[Path, ...], *, as_json: bool) -> None:
    """Check manifests, offline. Nothing is written anywhere.

    Example: catalog validate examples/manifests
    """
    from catalog.manifest import load

    found = load(manifests)
    summary = {
        "schemas": len(found.schemas),
        "datasets": len(found.datasets),
        "lenses": len(found.lenses),
        "verifications": len(found.verifications),
    }
    if as_json:
        click.echo(json.dumps({"ok": True, **summary}))
        return
    click.echo("valid: " + ", ".join(f"{number} {kind}" for kind, number in summary.items() if number))


@cli.command()
@_MANIFESTS
@click.option(
    "--handle", metavar="HANDLE", help="The account to publish to (handle or DID); else CATALOG_HANDLE, else asked for."
)
@_JSON
def publish(manifests: tuple[Path, ...], handle: str | None, *, as_json: bool) -> None:
    """Write the records of manifests to your own repository.

    The app password is read from CATALOG_APP_PASSWORD, else asked for; it is never an argument.

    Example: catalog publish --handle alice.example.org manifests/
    """
    from catalog.config import NetworkSettings
    from catalog.manifest import load
    from catalog.network.http import Client
    from catalog.network.identity import Resolver
    from catalog.network.session import Session
    from catalog.publish import publish as run

    found = load(manifests)  # every mistake is told before anybody is asked for a password
    account = handle or os.environ.get("CATALOG_HANDLE") or _ask("Handle or DID", hide=False)
    password = os.environ.get("CATALOG_APP_PASSWORD") or _ask("App password", hide=True)
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        session = Session.login(client, Resolver(client, settings), account, password)
        report = run(found, session, progress=_say)
    if as_json:
        click.echo(json.dumps(asdict(report), default=str))
        return
    for line in report.lines():
        click.echo(line)


def _ask(what: str, *, hide: bool) -> str:
    if not sys.stdin.isatty():
        variable = "CATALOG_APP_PASSWORD" if hide else "CATALOG_HANDLE"
        message = f"{what} is needed, and there is nobody to ask: set {variable}"
        raise click.UsageError(message)
    answer: str = click.prompt(what, hide_input=hide, err=True)
    return answer


def main() -> NoReturn:
    """Run the command; the one place where our errors become exit codes."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        code = 1
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except CatalogError as error:
        click.echo(str(error), err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
