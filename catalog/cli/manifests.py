"""``catalog validate``, ``plan`` and ``publish``: from manifests to records."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catalog.cli.account import HANDLE, account_of, signed_in
from catalog.cli.common import JSON, network
from catalog.cli.terminal import echo, echo_json, say, styled
from catalog.errors import InvalidManifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.manifest import ManifestSet
    from catalog.publish import Plan, Repository

__all__ = ["plan", "publish", "validate"]

_ONE = {
    "schemas": "schema",
    "datasets": "dataset",
    "labels": "label",
    "lenses": "lens",
    "verifications": "verification",
}

MANIFESTS = click.argument("manifests", nargs=-1, required=True, metavar="MANIFEST…", type=click.Path(path_type=Path))
PRUNE = click.option(
    "--prune", is_flag=True, help="Delete what these manifests once published and don't declare any more."
)
READ_URLS = click.option(
    "--read-urls",
    is_flag=True,
    help="Read every shard that has no local copy once from its address, for its checksum, bytes and samples.",
)


@click.command()
@MANIFESTS
@READ_URLS
@JSON
def validate(manifests: tuple[Path, ...], *, read_urls: bool, as_json: bool) -> None:
    """Check manifests: offline and as they stand, or with --read-urls against the shards themselves.

    Example: catalog validate examples/manifests
    """
    from catalog.manifest import load_sound

    found, faults = load_sound(manifests)
    if read_urls and not faults:
        found = _measured(found, read_urls=True)
    advised = _advised(found)
    summary = {
        "schemas": len(found.schemas),
        "datasets": len(found.datasets),
        "labels": len(found.labels),
        "lenses": len(found.lenses),
        "verifications": len(found.verifications),
    }
    counted = [f"{number} {_ONE[kind] if number == 1 else kind}" for kind, number in summary.items() if number]
    if as_json and not faults:
        echo_json({"ok": True, **summary, "advice": advised})
    elif not faults:
        echo("valid: " + ", ".join(counted))
    if faults:
        if counted:
            say("without mistakes: " + ", ".join(counted))
        raise InvalidManifest(faults)


@click.command()
@MANIFESTS
@HANDLE
@PRUNE
@READ_URLS
@click.option("--markdown", is_flag=True, help="Print Markdown, for a comment under a pull request.")
@JSON
def plan(
    manifests: tuple[Path, ...],
    handle: str | None,
    *,
    prune: bool,
    read_urls: bool,
    markdown: bool,
    as_json: bool,
) -> None:
    """Show what publishing would do, record by record. Nothing is written, and no password is needed.

    Manifests with mistakes are left out, unless --prune or --json is given, and the exit code is 1.

    Example: catalog plan --handle alice.example.org manifests/
    """
    from catalog.manifest import load_sound, require_publishable
    from catalog.publish import as_markdown, make_plan

    if markdown and as_json:
        raise click.UsageError("--markdown or --json, not both")
    found, faults = load_sound(manifests)
    if faults and (prune or as_json or not found.files):
        raise InvalidManifest(faults)
    try:
        require_publishable(found)
        found = _measured(found, read_urls=read_urls)
    except InvalidManifest as error:
        raise InvalidManifest((*faults, *error.faults)) from None
    _advised(found)
    with _repository(account_of(handle)) as repository:
        planned = make_plan(found, repository, set_name=found.name, prune=prune, hash_local=False)
    if as_json:
        echo_json(planned.as_json())
    elif markdown:
        echo(as_markdown(planned), nl=False)
    else:
        _show(planned)
    if faults:  # the others are planned all the same; publishing waits for all
        raise InvalidManifest(faults)


@click.command()
@MANIFESTS
@HANDLE
@PRUNE
@READ_URLS
@click.option("--yes", is_flag=True, help="Don't ask: for scripts.")
@JSON
def publish(
    manifests: tuple[Path, ...], handle: str | None, *, prune: bool, read_urls: bool, yes: bool, as_json: bool
) -> None:
    """Write the records of manifests to your own repository, after showing the plan.

    The app password comes from CATALOG_APP_PASSWORD or from `catalog login`, else it is asked for; it is never an
    argument.

    Example: catalog publish --handle alice.example.org manifests/
    """
    from catalog.manifest import load, require_publishable
    from catalog.publish import PublishReport, apply_plan, make_plan

    found = load(manifests)
    require_publishable(found)
    found = _measured(found, read_urls=read_urls)  # every mistake is reported before a password is asked for
    _advised(found)
    with signed_in(handle) as session:
        planned = make_plan(found, session, set_name=found.name, prune=prune, hash_local=False)
        if planned.writes and not yes:
            _show(planned)
            _confirm()
        apply_plan(planned, session, progress=say)
    report = PublishReport.of(planned)
    if as_json:
        echo_json(asdict(report))
        return
    for line in report.lines():
        echo(line)


def _measured(found: ManifestSet, *, read_urls: bool) -> ManifestSet:
    """The set, with the checksums of its shards."""
    from catalog.config import NetworkSettings
    from catalog.publish.checksums import with_checksums

    return with_checksums(found, read_urls=read_urls, settings=NetworkSettings.from_environment(), progress=say)


def _advised(found: ManifestSet) -> tuple[str, ...]:
    """Tell what is better looked at before it is published."""
    from catalog.manifest.lint import warnings

    lines = warnings(found)
    for line in lines:
        say(line)
    return lines


def _show(planned: Plan) -> None:
    from catalog.publish import as_lines

    for line in as_lines(planned, lambda text, colour: styled(text, fg=colour)):
        echo(line)


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("Not interactive: pass --yes to publish.")
    if not click.confirm("Write this?", err=True):
        raise click.Abort


@contextmanager
def _repository(account: str) -> Iterator[Repository]:
    """An account's repository, for reading."""
    from catalog.publish import Repository

    with network() as (client, resolver):
        who = resolver.resolve(account)
        yield Repository(client=client, did=who.did, handle=str(who.handle or who.did), pds=who.pds)
