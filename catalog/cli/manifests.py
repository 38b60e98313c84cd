"""``catalog validate``, ``plan`` and ``publish``: manifests to records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catalog.cli.account import HANDLE, account_of, signed_in
from catalog.cli.common import COMPARE, JSON, confirm, network
from catalog.cli.terminal import echo, echo_json, say, styled
from catalog.errors import InvalidManifest

if TYPE_CHECKING:
    from catalog.errors import Fault
    from catalog.manifest import ManifestSet
    from catalog.publish import Plan, Repository
    from catalog.schema import SampleType
    from catalog.syntax import AtUri

_ONE = {
    "schemas": "schema",
    "datasets": "dataset",
    "labels": "label",
    "lenses": "lens",
    "verifications": "verification",
}

MANIFESTS = click.argument("manifests", nargs=-1, required=True, metavar="MANIFEST…", type=click.Path(path_type=Path))
PRUNE = click.option(
    "--prune", is_flag=True, help="Delete records that these manifests published earlier and no longer declare."
)
READ_URLS = click.option(
    "--read-urls",
    is_flag=True,
    help="Download each shard without a local copy to compute its checksum, size and number of samples.",
)


def _of_account(command: Callable[..., None]) -> Callable[..., None]:
    """Add the parameters that ``plan`` and ``publish`` have in common."""
    for parameter in (COMPARE, READ_URLS, PRUNE, HANDLE, MANIFESTS):
        command = parameter(command)
    return command


@click.command()
@MANIFESTS
@READ_URLS
@COMPARE
@JSON
def validate(manifests: tuple[Path, ...], *, read_urls: bool, compare: int | None, as_json: bool) -> None:
    """Check manifests and the local copies of their shards; with --read-urls also the other shards.

    Example: catalog validate examples/manifests
    """
    from catalog.manifest import load_sound

    found, faults = load_sound(manifests)
    compared, more = _compared(found, read_urls=read_urls and not faults, compare=compare)
    faults = (*faults, *more)
    advised = _advised(compared)
    summary = {kind: len(getattr(found, kind)) for kind in _ONE}
    counted = [f"{number} {_ONE[kind] if number == 1 else kind}" for kind, number in summary.items() if number]
    if as_json and not faults:
        echo_json({"ok": True, **summary, "advice": advised})
    elif not faults:
        echo("valid: " + ", ".join(counted))
    if faults:
        if counted:
            say("valid manifests: " + ", ".join(counted))
        raise InvalidManifest(faults)


@click.command()
@_of_account
@click.option("--markdown", is_flag=True, help="Print Markdown, for a comment on a pull request.")
@JSON
def plan(
    manifests: tuple[Path, ...],
    handle: str | None,
    *,
    prune: bool,
    read_urls: bool,
    compare: int | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Show what publishing would change, record by record. Needs no password.

    Manifests with mistakes are skipped unless --prune or --json is given; the exit code is then 1.

    Example: catalog plan --handle alice.example.org manifests/
    """
    from catalog.manifest import load_sound, require_publishable
    from catalog.publish import as_markdown, make_plan

    if markdown and as_json:
        raise click.UsageError("--markdown and --json exclude each other")
    found, faults = load_sound(manifests)
    if faults and (prune or as_json or not found.files):
        raise InvalidManifest(faults)
    try:
        require_publishable(found)
        found = _measured(found, read_urls=read_urls, compare=compare)
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
    if faults:  # the valid ones are planned; publishing requires all to be valid
        raise InvalidManifest(faults)


@click.command()
@_of_account
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@JSON
def publish(
    manifests: tuple[Path, ...],
    handle: str | None,
    *,
    prune: bool,
    read_urls: bool,
    compare: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Write the records of manifests to your repository, after showing the plan.

    The app password comes from CATALOG_APP_PASSWORD, from `catalog login` or from a prompt.

    Example: catalog publish --handle alice.example.org manifests/
    """
    from catalog.manifest import load, require_publishable
    from catalog.publish import PublishReport, apply_plan, make_plan

    found = load(manifests)
    require_publishable(found)
    found = _measured(found, read_urls=read_urls, compare=compare)  # report every mistake before asking for a password
    _advised(found)
    with signed_in(handle) as session:
        planned = make_plan(found, session, set_name=found.name, prune=prune, hash_local=False)
        if planned.writes and not yes:
            _show(planned)
            confirm("publish")
        apply_plan(planned, session, progress=say)
    report = PublishReport.of(planned)
    if as_json:
        echo_json(asdict(report))
        return
    for line in report.lines():
        echo(line)


def _measured(found: ManifestSet, *, read_urls: bool, compare: int | None, fetch_schemas: bool = True) -> ManifestSet:
    """Return the set with the checksums of its shards, whose samples were compared with their schema.

    Without ``fetch_schemas`` those of a schema that is named by URI are not compared.
    """
    from catalog.config import NetworkSettings
    from catalog.publish.checksums import with_checksums
    from catalog.publish.schemas import has_published_schemas, published_schemas

    published: dict[AtUri, SampleType] = {}
    if fetch_schemas and compare != 0 and has_published_schemas(found, read_urls=read_urls):
        with network() as (client, resolver):
            published = published_schemas(found, client, resolver, read_urls=read_urls, report=say)
    return with_checksums(
        found,
        read_urls=read_urls,
        settings=NetworkSettings.from_environment(),
        progress=say,
        compare=compare,
        published=published,
    )


def _compared(found: ManifestSet, *, read_urls: bool, compare: int | None) -> tuple[ManifestSet, tuple[Fault, ...]]:
    """Compare the shards that are here, and with ``read_urls`` those that are not; return the set and the faults."""
    from catalog.publish.checksums import local_copies

    try:
        if read_urls:
            return _measured(found, read_urls=True, compare=compare), ()
        _measured(local_copies(found), read_urls=False, compare=compare, fetch_schemas=False)
    except InvalidManifest as error:
        return found, error.faults
    return found, ()


def _advised(found: ManifestSet) -> tuple[str, ...]:
    from catalog.manifest.lint import warnings

    lines = warnings(found)
    for line in lines:
        say(line)
    return lines


def _show(planned: Plan) -> None:
    from catalog.publish import as_lines

    for line in as_lines(planned, lambda text, colour: styled(text, fg=colour)):
        echo(line)


@contextmanager
def _repository(account: str) -> Iterator[Repository]:
    from catalog.publish import Repository

    with network() as (client, resolver):
        who = resolver.resolve(account)
        yield Repository(client=client, did=who.did, handle=str(who.handle or who.did), pds=who.pds)
