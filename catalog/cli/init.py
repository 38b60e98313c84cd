"""``catalog init`` and ``catalog manifest init``: create a repository, or only a manifest."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from catalog.cli.common import JSON
from catalog.cli.terminal import echo_json, say

if TYPE_CHECKING:
    from catalog.cli.scaffold import Written

_KEEP = click.option("--keep", is_flag=True, help="Keep existing files, and write the others.")
_FORCE = click.option("--force", is_flag=True, help="Overwrite existing files.")


@click.command()
@click.argument("folder", default=".", metavar="[DIR]")
@click.argument("file", required=False, metavar="", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", default="Dataset catalog", show_default=True, help="Name of the site.")
@click.option("--handle", metavar="HANDLE", help="The account that publishes, a handle or DID.")
@click.option("--published", is_flag=True, help="Show what HANDLE has published; write no example manifest.")
@click.option("--site-url", metavar="URL", help="URL of the site: https://alice.github.io/datasets/")
@_KEEP
@_FORCE
@JSON
def init(
    folder: str,
    file: Path | None,
    name: str,
    handle: str | None,
    site_url: str | None,
    *,
    published: bool,
    keep: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Create a repository for a catalog: settings, pages, an example manifest, GitHub workflows.

    Existing files are not overwritten. To create only a manifest, use catalog manifest init.

    Example: catalog init my-datasets --name "My datasets" --handle alice.example.org
    """
    from catalog.cli.scaffold import Scaffold, installed_requirement, write_files
    from catalog.manifest.starter import first_manifest, manifest_schema

    if folder == "manifest":  # the former spelling
        say("deprecated: use `catalog manifest init`; for a folder of that name use `catalog init ./manifest`")
        _manifest(file, force=force, keep=keep, as_json=as_json)
        return
    _not_both(keep=keep, force=force)
    if file is not None:
        raise click.UsageError(f"Got unexpected extra argument ({file})")
    if published and handle is None:
        raise click.UsageError("--published needs --handle, the account whose records are shown")
    requirement = installed_requirement()
    scaffold = Scaffold(
        name=name,
        requirement=requirement.lines,
        manifest=first_manifest(),
        schema=manifest_schema(),
        handle=None if handle is None else _account(handle),
        site_url=None if site_url is None else _address(site_url),
        published=published,
    )
    place = Path(folder)
    _tell(place, write_files(place, scaffold.files(), force=force, keep=keep), as_json=as_json)
    if not as_json:
        say("Next:")
        if place.resolve() != Path.cwd():
            say(f"  cd {shlex.quote(folder)}")
        say("  catalog serve                # preview the site")
        if published:
            say("README.md describes how to deploy with GitHub.")
        else:
            say("  catalog validate manifests   # check the manifests; manifests/first.yaml is an example")
            say("README.md describes how to publish and how to deploy with GitHub.")
        if requirement.is_local:
            wheels = place / "wheels"
            say(f"atdata-catalog is installed from local files: copy its wheel into {wheels} (see requirements.txt)")


@click.command("init")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@_KEEP
@_FORCE
@JSON
def manifest_init(file: Path | None, *, keep: bool, force: bool, as_json: bool) -> None:
    """Write a commented example manifest to FILE (default: manifest.yaml), and its JSON Schema for editors.

    Example: catalog manifest init manifests/digits.yaml
    """
    _manifest(file, force=force, keep=keep, as_json=as_json)


def _manifest(file: Path | None, *, force: bool, keep: bool, as_json: bool) -> None:
    from catalog.cli.scaffold import SCHEMA, write_files
    from catalog.manifest.starter import first_manifest, manifest_schema

    _not_both(keep=keep, force=force)
    place = file or Path("manifest.yaml")
    files = {place.name: first_manifest(), Path(SCHEMA).name: manifest_schema()}
    _tell(place.parent, write_files(place.parent, files, force=force, keep=keep), as_json=as_json)
    if not as_json:
        say("Next: describe your own data, then:")
        say(f"  catalog validate {shlex.quote(str(place))}")


def _not_both(*, keep: bool, force: bool) -> None:
    if keep and force:
        raise click.UsageError("--keep and --force exclude each other")


def _account(text: str) -> str:
    from catalog.errors import InvalidSyntax
    from catalog.syntax import AtIdentifier

    try:
        return str(AtIdentifier.parse(text.removeprefix("@")))
    except InvalidSyntax as error:
        raise click.BadParameter(error.what, param_hint="--handle") from None


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("https", "http") and bool(parts.hostname) and not parts.query and not parts.fragment
    except ValueError:
        fine = False
    if not fine or not text.isprintable() or " " in text:
        message = f"{text!r} is not a site URL such as https://alice.github.io/datasets/"
        raise click.BadParameter(message, param_hint="--site-url")
    return text.rstrip("/") + "/"


def _tell(folder: Path, written: Written, *, as_json: bool) -> None:
    if as_json:
        echo_json({"folder": str(folder), **asdict(written)})
        return
    for word, paths in (("wrote", written.new), ("replaced", written.replaced), ("kept", written.kept)):
        for path in paths:
            say(f"{word} {folder / path}")
    if not written.new and not written.replaced:
        say("everything was there already")
