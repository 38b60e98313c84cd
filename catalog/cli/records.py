"""``catalog verify`` and ``withdraw``: published records, proven and taken back."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Final, Self

import click

from catalog.cli.common import JSON, say

if TYPE_CHECKING:
    from catalog.publish.checks import Check
    from catalog.publish.verifying import Verifier
    from catalog.syntax import AtUri

__all__ = ["verify"]

_TERMINAL_SECONDS: Final = 0.2
_LOG_SECONDS: Final = 15.0
_COLOURS: Final = {"passed": "green", "failed": "red", "unchecked": "yellow"}


@click.command()
@click.argument("uris", nargs=-1, required=True, metavar="URI…")
@click.option("--no-shards", is_flag=True, help="Leave the shards out.")
@click.option(
    "--shards", "most", type=click.IntRange(min=1), metavar="N", help="Read N shards of each dataset, picked at random."
)
@JSON
def verify(uris: tuple[str, ...], most: int | None, *, no_shards: bool, as_json: bool) -> None:
    """Prove records against their repository's signed commit, and shards against their checksums.

    URI is the at:// address of a schema, dataset, lens, label or verification. Each check is a line: ✓ it is right,
    ✗ it is wrong, – there is nothing to check it with. Shards are read from where they lie, never from a cache. The
    exit code is 1 when anything is wrong.

    Example: catalog verify at://alice.example.org/science.alt.dataset.entry/3jzfcijpj2z2a --shards 2
    """
    from catalog.config import NetworkSettings
    from catalog.errors import InvalidSyntax
    from catalog.network.http import Client
    from catalog.publish.shardchecks import Choice
    from catalog.publish.verifying import MEANING, Verifier, closing, record_uri

    if no_shards and most is not None:
        raise click.UsageError("--no-shards and --shards N exclude each other")
    try:
        asked = list(dict.fromkeys(record_uri(text) for text in uris))
    except InvalidSyntax as error:
        raise click.UsageError(str(error)) from None
    settings = NetworkSettings.from_environment()
    with Client(settings) as client, _Watch() as watch:
        verifier = Verifier(
            client=client, settings=settings, choice=Choice(most=0 if no_shards else most), watch=watch.see
        )
        found = {uri: _verified(verifier, uri, watch, quiet=as_json) for uri in asked}
    every = [check for checks in found.values() for check in checks]
    bad = any(check.state == "failed" for check in every)
    if as_json:
        answer = [{"uri": str(uri), "checks": [check.as_json() for check in found[uri]]} for uri in asked]
        click.echo(json.dumps({"ok": not bad, "closing": closing(every), "meaning": MEANING, "records": answer}))
    else:
        click.echo(closing(every))
        say(MEANING)
    sys.exit(1 if bad else 0)


def _verified(verifier: Verifier, uri: AtUri, watch: _Watch, *, quiet: bool) -> list[Check]:
    """The checks of one record, printed as they are made."""
    if not quiet:
        click.echo(uri)
    checks: list[Check] = []
    for check in verifier.verify(uri):
        checks.append(check)
        if not quiet:
            watch.clear()
            line = check.line()
            click.echo(f"  {click.style(line[0], fg=_COLOURS[check.state], bold=True)}{line[1:]}")
    return checks


class _Watch:
    """Says on standard error how far a shard is: one line that changes on a terminal, a line now and then in a log."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._told = time.monotonic()
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def see(self, name: str, size: int) -> None:
        """So many bytes of this shard are here."""
        now = time.monotonic()
        if now - self._told < (_TERMINAL_SECONDS if self._terminal else _LOG_SECONDS):
            return
        self._told = now
        text = f"shard {name}: {size:,} bytes"
        if self._terminal:
            width = max(20, shutil.get_terminal_size().columns - 1)
            sys.stderr.write(f"\r\x1b[K{text[:width]}")
            self._shown = True
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away that changes."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False
