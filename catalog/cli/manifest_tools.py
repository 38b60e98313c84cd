"""``catalog manifest``: tools for writing manifests."""

from __future__ import annotations

import os
from pathlib import Path

import click

from catalog.cli.common import check_names, say_drafted, write_file
from catalog.cli.init import manifest_init
from catalog.cli.terminal import echo, say

_SCHEMA = "manifest.schema.json"
"""The file name that ``catalog init`` uses."""
_MAX_AXIS = 200


@click.group()
def manifest() -> None:
    """Write manifests.

    Example: catalog manifest init manifests/digits.yaml
    """


manifest.add_command(manifest_init)


@manifest.command()
def schema() -> None:
    """Print the JSON Schema of manifests, for completion and validation in editors.

    Example: catalog manifest schema > manifests/manifest.schema.json
    """
    from catalog.manifest.starter import manifest_schema

    echo(manifest_schema(), nl=False)


@manifest.command("from-shards")
@click.argument("shards", nargs=-1, required=True, metavar="SHARD…")
@click.option(
    "--url-prefix", metavar="URL", help="Location of the published files: https://host/folder or s3://bucket/folder."
)
@click.option("--blobs", is_flag=True, help="Without a web server: catalog publish uploads the files to your PDS.")
@click.option("--name", metavar="NAME", help="Name of the dataset. Default: from the name of the first shard.")
@click.option("--schema", metavar="NAME", help="Name of the sample class; shards don't contain it.")
@click.option(
    "--dims",
    multiple=True,
    metavar="FIELD=Y,X",
    help="Names of the axes of an array field; shards don't contain them. Repeatable.",
)
@click.option("--endpoint", metavar="URL", help="Endpoint of an s3:// bucket. Default: the environment, else AWS.")
@click.option("--region", metavar="REGION", help="Region of the bucket.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to FILE instead of standard output.",
)
@click.option(
    "--samples-per-shard",
    metavar="N",
    type=click.IntRange(min=1),
    help="Read only the first N samples of each shard. Default: all.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def from_shards(
    *,
    shards: tuple[str, ...],
    url_prefix: str | None,
    blobs: bool,
    name: str | None,
    schema: str | None,
    dims: tuple[str, ...],
    endpoint: str | None,
    region: str | None,
    output: Path | None,
    samples_per_shard: int | None,
    force: bool,
) -> None:
    """Draft a manifest from shards: their schema and dataset.

    SHARD is a file, a folder, a pattern (data-{000000..000009}.tar, data-*.tar), an https URL, or an object in a bucket
    (s3://bucket/digits-{000000..000009}.tar). Tars, Parquet, CSV and JSON Lines are recognised by their content.

    Example: catalog manifest from-shards 'data/digits-*.tar' -o digits.yaml
    """
    from catalog.config import NetworkSettings
    from catalog.publish.infer_manifest import sketch
    from catalog.publish.manifest_yaml import as_yaml

    if output is not None and not force and os.path.lexists(output):
        raise click.ClickException(f"{output} already exists: choose another name, or pass --force to overwrite it")
    check_names(name, schema)
    if blobs and url_prefix is not None:
        raise click.UsageError("--blobs and --url-prefix exclude each other")
    found = sketch(
        shards,
        settings=NetworkSettings.from_environment(),
        url_prefix=url_prefix,
        name=name,
        schema=schema,
        dimensions=dict(map(_axes, dims)),
        endpoint=endpoint,
        region=region,
        samples_per_shard=samples_per_shard,
        as_blobs=blobs,
        progress=say,
    )
    text = as_yaml(found, Path() if output is None else output.parent)
    if output is None:
        echo(text, nl=False)
        return
    if (output.parent / _SCHEMA).is_file():
        text = f"# yaml-language-server: $schema={_SCHEMA}\n{text}"
    write_file(output, text, replace=force, parents=True)
    say_drafted(output, text)


def _axes(text: str) -> tuple[str, tuple[str, ...]]:
    """Parse ``image=y,x``: a field, and the names of its axes."""
    field, equals, names = text.rpartition("=")
    axes = tuple(name.strip() for name in names.split(","))
    if not equals or not field or not all(0 < len(name) <= _MAX_AXIS and name.isprintable() for name in axes):
        raise click.UsageError(f"{text[:80]!r} is not FIELD=AXES, such as --dims image=y,x")
    return field, axes
