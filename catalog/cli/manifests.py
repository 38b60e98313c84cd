"""``catalog validate`` and ``publish``: from manifests to records."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from catalog.cli.common import JSON, say

__all__ = ["publish", "validate"]

MANIFESTS = click.argument("manifests", nargs=-1, required=True, metavar="MANIFEST…", type=click.Path(path_type=Path))


@click.command()
@MANIFESTS
@JSON
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


@click.command()
@MANIFESTS
@click.option(
    "--handle", metavar="HANDLE", help="The account to publish to (handle or DID); else CATALOG_HANDLE, else asked for."
)
@JSON
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
        report = run(found, session, progress=say)
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
