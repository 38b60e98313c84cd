"""``catalog verify`` and ``withdraw``: published records, proven and taken back."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import click

from catalog.cli.account import ask_password, code_asker
from catalog.cli.common import JSON, network
from catalog.cli.terminal import clear_line, echo, echo_json, say, styled, write_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.publish import Repository
    from catalog.publish.checks import Check
    from catalog.publish.delete import Reference
    from catalog.publish.verify import Verifier
    from catalog.syntax import AtUri

__all__ = ["verify", "withdraw"]

_TERMINAL_SECONDS: Final = 0.2
_LOG_SECONDS: Final = 15.0
_CONFIG: Final = Path("mkdocs.yml")
_MANIFESTS: Final = Path("manifests")
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
    from catalog.publish.verify import MEANING, Verifier, closing
    from catalog.publish.verify_shards import Choice

    if no_shards and most is not None:
        raise click.UsageError("--no-shards and --shards N exclude each other")
    asked = _records(uris)
    settings = NetworkSettings.from_environment()
    with network() as (client, _), _Watch() as watch:
        verifier = Verifier(
            client=client, settings=settings, choice=Choice(most=0 if no_shards else most), watch=watch.see
        )
        found = {uri: _verified(verifier, uri, watch, quiet=as_json) for uri in asked}
    every = [check for checks in found.values() for check in checks]
    bad = any(check.state == "failed" for check in every)
    if as_json:
        answer = [{"uri": str(uri), "checks": [check.as_json() for check in found[uri]]} for uri in asked]
        echo_json({"ok": not bad, "closing": closing(every), "meaning": MEANING, "records": answer})
    else:
        echo(closing(every))
        say(MEANING)
    sys.exit(1 if bad else 0)


def _verified(verifier: Verifier, uri: AtUri, watch: _Watch, *, quiet: bool) -> list[Check]:
    """The checks of one record, printed as they are made."""
    if not quiet:
        echo(uri)
    checks: list[Check] = []
    for check in verifier.verify(uri):
        checks.append(check)
        if not quiet:
            watch.clear()
            line = check.line()
            echo(f"  {styled(line[0], fg=_COLOURS[check.state], bold=True)}{line[1:]}")
    return checks


@click.command()
@click.argument("uris", nargs=-1, required=True, metavar="URI…")
@click.option("--with-references", is_flag=True, help="Delete your labels and verifications of these records, too.")
@click.option(
    "--handle", metavar="HANDLE", help="The account (handle or DID); else CATALOG_HANDLE, else that of the first URI."
)
@click.option(
    "--store",
    "store_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A crawled store that may know who else refers to them; else that of ./mkdocs.yml.",
)
@click.option("--yes", is_flag=True, help="Don't ask: for scripts.")
@JSON
def withdraw(
    uris: tuple[str, ...],
    handle: str | None,
    store_file: Path | None,
    *,
    with_references: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete records of your own, after showing what refers to them.

    URI is the at:// address of a schema, dataset, lens, label or verification. All of them go in one commit, or none.
    What other records say of them stays, and leads nowhere; --with-references takes your own labels and verifications
    along. The app password comes from CATALOG_APP_PASSWORD or from `catalog login`, else it is asked for.

    Example: catalog withdraw at://alice.example.org/science.alt.dataset.entry/3jzfcijpj2z2a --with-references
    """
    from catalog.atproto.credentials import known_account, open_session
    from catalog.publish import Repository, apply_plan
    from catalog.publish.delete import make_withdrawal

    asked = _records(uris)
    account = handle or known_account() or str(asked[0].authority)
    with network() as (client, resolver):
        who = resolver.resolve(account)
        repository = Repository(client=client, did=who.did, handle=str(who.handle or who.did), pds=who.pds)
        found = make_withdrawal(
            asked,
            repository,
            with_references=with_references,
            others=_others(store_file, asked, repository),
            manifests=_MANIFESTS if _MANIFESTS.is_dir() else None,
        )
        if not as_json:
            for line in found.lines():
                echo(line)
        if found.plan.writes:
            if not yes:
                _confirm()
            session = open_session(client, resolver, who.did, ask=ask_password, ask_code=code_asker())
            apply_plan(found.plan, session, progress=say)
    if as_json:
        echo_json({**found.as_json(), "deleted": len(found.plan.writes)})
    else:
        echo(f"{len(found.plan.writes)} deleted")


def _records(uris: Sequence[str]) -> list[AtUri]:
    from catalog.errors import InvalidSyntax
    from catalog.publish.verify import record_uri

    try:
        return list(dict.fromkeys(record_uri(text) for text in uris))
    except InvalidSyntax as error:
        raise click.UsageError(str(error)) from None


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("Not interactive: pass --yes to delete the records.")
    if not click.confirm("Delete this?", err=True):
        raise click.Abort


def _others(
    store_file: Path | None, uris: Sequence[AtUri], repository: Repository
) -> dict[str, tuple[Reference, ...]] | None:
    """Who else refers to them by a store; says what isn't known."""
    from catalog.config import load_settings
    from catalog.errors import CatalogError
    from catalog.publish.delete import others_in
    from catalog.store import Store

    path = store_file
    if path is None and _CONFIG.is_file():
        try:
            path = load_settings(_CONFIG).store
        except CatalogError as error:
            say(f"{error}")
    if path is None or not path.is_file():
        say("Who else refers to them is not known: there is no crawled store (--store)")
        return None
    with Store.open(path) as store:
        crawls = store.crawls()
        when = crawls[0].ended.strftime("on %Y-%m-%d at %H:%M UTC") if crawls else "never"
        say(f"Who else refers to them: as {path} has it, crawled {when}")
        return others_in(store, uris, repository)


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
        write_line(sys.stderr, text, passing=self._terminal)
        self._shown = self._terminal

    def clear(self) -> None:
        """Take the line away that changes."""
        if self._shown:
            clear_line(sys.stderr)
            self._shown = False
