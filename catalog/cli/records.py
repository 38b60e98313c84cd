"""``catalog verify`` and ``withdraw``: verify and delete published records."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import click

from catalog.cli.account import ask_password, code_asker
from catalog.cli.common import COMPARE, JSON, confirm, network
from catalog.cli.terminal import clear_line, echo, echo_json, say, styled, write_line

if TYPE_CHECKING:
    from catalog.publish import Repository
    from catalog.publish.checks import Check
    from catalog.publish.delete import Reference
    from catalog.publish.verify import Verifier
    from catalog.syntax import AtUri

_TERMINAL_SECONDS: Final = 0.2
_LOG_SECONDS: Final = 15.0
_CONFIG: Final = Path("mkdocs.yml")
_MANIFESTS: Final = Path("manifests")
_COLOURS: Final = {"passed": "green", "failed": "red", "unchecked": "yellow"}


@click.command()
@click.argument("uris", nargs=-1, required=True, metavar="URI…")
@click.option("--no-shards", is_flag=True, help="Skip the shards.")
@click.option(
    "--shards", "most", type=click.IntRange(min=1), metavar="N", help="Check N random shards of each dataset."
)
@COMPARE
@JSON
def verify(uris: tuple[str, ...], most: int | None, *, no_shards: bool, compare: int | None, as_json: bool) -> None:
    """Verify records against the signed commit of their repository, and shards against their checksums.

    URI is the at:// URI of a schema, dataset, lens, label or verification. Each line is a check: ✓ passed, ✗ failed,
    – nothing to check against. Shards are downloaded, never read from a cache. The exit code is 1 if a check fails.

    Example: catalog verify at://alice.example.org/science.alt.dataset.entry/3jzfcijpj2z2a --shards 2
    """
    from catalog.config import NetworkSettings
    from catalog.publish.verify import MEANING, Verifier, closing
    from catalog.publish.verify_shards import Choice

    if no_shards and most is not None:
        raise click.UsageError("--no-shards and --shards N exclude each other")
    wanted = _records(uris)
    settings = NetworkSettings.from_environment()
    with network() as (client, _), _Watch() as watch:
        verifier = Verifier(
            client=client,
            settings=settings,
            choice=Choice(most=0 if no_shards else most),
            watch=watch.see,
            compare=compare,
        )
        found = {uri: _verified(verifier, uri, watch, quiet=as_json) for uri in wanted}
    every = [check for checks in found.values() for check in checks]
    bad = any(check.state == "failed" for check in every)
    if as_json:
        answer = [{"uri": str(uri), "checks": [check.as_json() for check in found[uri]]} for uri in wanted]
        echo_json({"ok": not bad, "closing": closing(every), "meaning": MEANING, "records": answer})
    else:
        echo(closing(every))
        say(MEANING)
    sys.exit(1 if bad else 0)


def _verified(verifier: Verifier, uri: AtUri, watch: _Watch, *, quiet: bool) -> list[Check]:
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
@click.option("--with-references", is_flag=True, help="Also delete your labels and verifications of these records.")
@click.option(
    "--handle",
    metavar="HANDLE",
    help="The account, a handle or DID. Default: CATALOG_HANDLE, else that of the first URI.",
)
@click.option(
    "--store",
    "store_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A crawled store to look up references by others. Default: the store of ./mkdocs.yml.",
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
    """Delete your records, after showing the references to them.

    URI is the at:// URI of a schema, dataset, lens, label or verification. All are deleted in one commit. References
    by other records remain and become dangling; --with-references also deletes your own labels and verifications. The
    app password comes from CATALOG_APP_PASSWORD, from `catalog login` or from a prompt.

    Example: catalog withdraw at://alice.example.org/science.alt.dataset.entry/3jzfcijpj2z2a --with-references
    """
    from catalog.atproto.credentials import known_account, open_session
    from catalog.publish import Repository, apply_plan
    from catalog.publish.delete import make_withdrawal

    wanted = _records(uris)
    account = handle or known_account() or str(wanted[0].authority)
    with network() as (client, resolver):
        who = resolver.resolve(account)
        repository = Repository(client=client, did=who.did, handle=str(who.handle or who.did), pds=who.pds)
        found = make_withdrawal(
            wanted,
            repository,
            with_references=with_references,
            others=_others(store_file, wanted, repository),
            manifests=_MANIFESTS if _MANIFESTS.is_dir() else None,
        )
        if not as_json:
            for line in found.lines():
                echo(line)
        if found.plan.writes:
            if not yes:
                confirm("delete")
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


def _others(
    store_file: Path | None, uris: Sequence[AtUri], repository: Repository
) -> dict[str, tuple[Reference, ...]] | None:
    """Return references by other accounts according to a store; print its age, or that there is none."""
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
        say("References by other accounts are unknown: no crawled store (--store)")
        return None
    with Store.open(path) as store:
        crawls = store.crawls()
        when = crawls[0].ended.strftime("on %Y-%m-%d at %H:%M UTC") if crawls else "never"
        say(f"References by other accounts: from {path}, crawled {when}")
        return others_in(store, uris, repository)


class _Watch:
    """Progress of a shard on standard error: one updated line on a terminal, occasional lines in a log."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown_at = time.monotonic()
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def see(self, name: str, size: int) -> None:
        """Report the number of bytes read of a shard."""
        now = time.monotonic()
        if now - self._shown_at < (_TERMINAL_SECONDS if self._terminal else _LOG_SECONDS):
            return
        self._shown_at = now
        text = f"shard {name}: {size:,} bytes"
        write_line(sys.stderr, text, passing=self._terminal)
        self._shown = self._terminal

    def clear(self) -> None:
        if self._shown:
            clear_line(sys.stderr)
            self._shown = False
