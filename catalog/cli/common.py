"""Options and helpers shared by several commands."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from catalog.cli.terminal import say

if TYPE_CHECKING:
    from catalog.atproto.identity import Resolver
    from catalog.network.http import Client

_PATIENCE: Final = 3700.0
"""Seconds. Servers limit writes by the hour, so a large publication waits for the next one."""

JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")

COMPARE = click.option(
    "--compare",
    type=click.IntRange(min=0),
    metavar="N",
    envvar="CATALOG_COMPARE",
    help="Compare N samples of each shard that is read with the schema. Default: CATALOG_COMPARE, else all.",
)


def check_names(name: str | None, schema: str | None) -> None:
    """Check the names of a dataset and of a sample class given as options."""
    if name is not None and not 0 < len(name.strip().encode()) <= 200:
        raise click.UsageError("--name must have 1 to 200 bytes")
    if schema is not None and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,89}", schema):
        raise click.UsageError("--schema must be a class name: letters, digits and _, at most 90")


def confirm(action: str) -> None:
    """Ask whether to proceed; raise ``UsageError`` if the session is not interactive, ``Abort`` for no."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"Not interactive: pass --yes to {action}.")
    if not click.confirm(f"{action.capitalize()}?", err=True):
        raise click.Abort


def write_file(path: Path, text: str, *, replace: bool = True, parents: bool = False) -> None:
    """Write a file atomically; without ``replace`` never overwrite another, with ``parents`` create its folder."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        if not replace:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            return
        try:
            part.write_text(text, encoding="utf-8", newline="\n")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise click.ClickException(f"{path} can't be written: {error.strerror or error}") from None


def say_drafted(manifest: Path, text: str) -> None:
    """Say what to do with a drafted manifest."""
    from catalog.publish.infer_manifest import NOWHERE

    say(f"wrote {manifest}; edit the TODOs, then run: catalog validate {manifest}")
    if NOWHERE in text:
        say("the shards have no address yet: pass --url-prefix URL, or --blobs to have them uploaded to your PDS")


@contextmanager
def network() -> Iterator[tuple[Client, Resolver]]:
    """Open the HTTP client and identity resolver with settings from the environment; long waits are reported."""
    from catalog.atproto.identity import Resolver
    from catalog.config import NetworkSettings
    from catalog.network.http import Client

    settings = NetworkSettings.from_environment()
    with Client(settings, patience=_PATIENCE, waiting=_report_wait) as client:
        yield client, Resolver(client, settings)


def _report_wait(host: str, seconds: float) -> None:
    left = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    say(f"{host}: rate limit reached; retrying in {left}")
