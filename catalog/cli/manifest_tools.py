"""``catalog manifest``: help with writing manifests."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from catalog.cli.init import manifest_init
from catalog.cli.terminal import echo, say

__all__ = ["manifest"]

_SCHEMA = "manifest.schema.json"
"""Where ``catalog init`` puts it."""
_CLASS = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,89}")
_MAX_AXIS = 200


@click.group()
def manifest() -> None:
    """Help with writing manifests.

    Example: catalog manifest init manifests/digits.yaml
    """


manifest.add_command(manifest_init)


@manifest.command()
def schema() -> None:
    """Print the JSON Schema of manifests, by which editors complete and check them.

    Example: catalog manifest schema > manifests/manifest.schema.json
    """
    from catalog.manifest.starter import manifest_schema

    echo(manifest_schema(), nl=False)


@manifest.command("from-shards")
@click.argument("shards", nargs=-1, required=True, metavar="SHARD…")
@click.option(
    "--url-prefix", metavar="URL", help="Where the files will be: https://host/folder, or s3://bucket/folder."
)
@click.option("--name", metavar="NAME", help="The dataset's name; else it is taken from the first shard's.")
@click.option("--schema", metavar="NAME", help="The name of the samples' class, which shards don't hold.")
@click.option(
    "--dims",
    multiple=True,
    metavar="FIELD=Y,X",
    help="What the axes of an array are, which shards don't hold either; may be given again.",
)
@click.option("--endpoint", metavar="URL", help="The store of an s3:// bucket; else the environment's, or AWS.")
@click.option("--region", metavar="REGION", help="The bucket's region.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write there, not to standard output.",
)
@click.option(
    "--samples-per-shard",
    metavar="N",
    type=click.IntRange(min=1),
    help="Look at the first N samples of each shard only; else at all of them.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def from_shards(
    *,
    shards: tuple[str, ...],
    url_prefix: str | None,
    name: str | None,
    schema: str | None,
    dims: tuple[str, ...],
    endpoint: str | None,
    region: str | None,
    output: Path | None,
    samples_per_shard: int | None,
    force: bool,
) -> None:
    """Look into shards, and draft the manifest of their schema and dataset.

    A SHARD is a file, a pattern of files (data-{000000..000009}.tar, data-*.tar), an https address, or an object in a
    bucket (s3://bucket/digits-{000000..000009}.tar).

    Example: catalog manifest from-shards 'data/digits-*.tar' -o digits.yaml
    """
    from catalog.config import NetworkSettings
    from catalog.publish.infer_manifest import sketch
    from catalog.publish.manifest_yaml import as_yaml

    if output is not None and not force and os.path.lexists(output):
        raise click.ClickException(f"{output} is there already: give another name, or --force to write over it")
    if name is not None and not 0 < len(name.strip().encode()) <= 200:
        raise click.UsageError("--name has 1 to 200 bytes")
    if schema is not None and not _CLASS.fullmatch(schema):
        raise click.UsageError("--schema is the name of a class: letters, digits and _, at most 90")
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
        progress=say,
    )
    text = as_yaml(found, Path() if output is None else output.parent)
    if output is None:
        echo(text, nl=False)
        return
    if (output.parent / _SCHEMA).is_file():
        text = f"# yaml-language-server: $schema={_SCHEMA}\n{text}"
    _write(output, text, force=force)
    say(f"wrote {output}; look for TODO in it, then: catalog validate {output}")


def _axes(text: str) -> tuple[str, tuple[str, ...]]:
    """``image=y,x``: a field, and the names of its axes."""
    field, equals, names = text.rpartition("=")
    axes = tuple(name.strip() for name in names.split(","))
    if not equals or not field or not all(0 < len(name) <= _MAX_AXIS and name.isprintable() for name in axes):
        raise click.UsageError(f"{text[:80]!r} doesn't name axes: --dims FIELD=Y,X, for example --dims image=y,x")
    return field, axes


def _write(output: Path, text: str, *, force: bool) -> None:
    """Write a file whole or not at all; without ``force`` never over another."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        if not force:
            with output.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            return
        part = output.with_name(f".{output.name}.{os.getpid()}.part")
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(output)
    except OSError as error:
        raise click.ClickException(f"{output} can't be written: {error.strerror or error}") from None
