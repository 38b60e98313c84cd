"""``catalog import``: make shards and a manifest from image folders, HDF5, Zarr and NumPy files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from catalog.cli.common import check_names, say_drafted, write_file
from catalog.cli.terminal import echo, say
from catalog.formatting import counted

if TYPE_CHECKING:
    from catalog.publish.imports import ImportPlan

_SIZE = re.compile(r"([0-9]+)\s*([kMG]?)B?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


class _Size(click.ParamType[int]):
    """A number of bytes: ``250000000`` or ``250MB``."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(value.strip())
        size = 0 if match is None else int(match[1]) * _FACTORS[match[2].lower()]
        if not 0 < size < 2**63:
            self.fail(f"{value[:40]!r} is not a size: write it like 250MB", param, ctx)
        return size


@click.command("import")
@click.argument("source", metavar="PATH", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the shards and the manifest. Required unless --dry-run.",
)
@click.option("--name", metavar="NAME", help="Name of the dataset. Default: that of PATH.")
@click.option("--schema", metavar="NAME", help="Name of the sample class.")
@click.option("--url-prefix", metavar="URL", help="Location of the published shards: https://host/folder.")
@click.option("--blobs", is_flag=True, help="Without a web server: catalog publish uploads the shards to your PDS.")
@click.option("--per-shard", metavar="N", type=click.IntRange(min=1), help="Maximum number of samples of a shard.")
@click.option("--shard-bytes", metavar="SIZE", type=_Size(), help="Size of a shard. Default: 100MB, with --blobs 50MB.")
@click.option("--field", "fields", multiple=True, metavar="NAME", help="Import only this array. Repeatable.")
@click.option(
    "--sample", type=click.Choice(["row", "file"]), help="A sample of NumPy files. Default: by the names of the files."
)
@click.option("--dry-run", is_flag=True, help="Show the fields, splits and shards, and write nothing.")
@click.option("--force", is_flag=True, help="Overwrite what is in FOLDER.")
def import_(
    *,
    source: Path,
    output: Path | None,
    name: str | None,
    schema: str | None,
    url_prefix: str | None,
    blobs: bool,
    per_shard: int | None,
    shard_bytes: int | None,
    fields: tuple[str, ...],
    sample: Literal["row", "file"] | None,
    dry_run: bool,
    force: bool,
) -> None:
    """Make shards and a manifest from files that aren't tables or shards.

    PATH is a folder of images (with classes by folder, or metadata.csv), an HDF5 file, a Zarr folder, an .npz file, or
    a folder of .npy or .npz files. An import that was interrupted is continued by the same command. CSV, Parquet and
    tars need no import: see catalog manifest from-shards.

    Example: catalog import photos -o shards
    """
    from catalog.manifest.blobs import MAX_BLOB
    from catalog.publish.imports import BLOB_BYTES, SHARD_BYTES, draft_manifest, open_source, plan_import, run_import

    if output is None and not dry_run:
        raise click.UsageError("Missing option '-o': the folder for the shards, or --dry-run")
    check_names(name, schema)
    if blobs and url_prefix is not None:
        raise click.UsageError("--blobs and --url-prefix exclude each other")
    if blobs and shard_bytes is not None and shard_bytes > MAX_BLOB:
        raise click.UsageError(f"--shard-bytes is at most {MAX_BLOB} with --blobs, the size of a blob")
    found = open_source(source, sample=sample, only=fields)
    size = shard_bytes or (BLOB_BYTES if blobs else SHARD_BYTES)
    plan = plan_import(found, name=name, per_shard=per_shard, shard_bytes=size)
    if output is None or dry_run:
        _show_plan(plan)
        return
    for note in found.notes:
        say(f"note: {note}")
    imported = run_import(plan, output, force=force, progress=say)
    manifest = output / plan.manifest
    if os.path.lexists(manifest) and not force:
        say(f"kept {manifest}, which already exists; --force drafts it again")
        return
    text = draft_manifest(plan, imported, output, url_prefix=url_prefix, schema=schema, as_blobs=blobs)
    write_file(manifest, text, replace=force)
    say_drafted(manifest, text)


def _show_plan(plan: ImportPlan) -> None:
    from catalog.schema import type_text

    source = plan.source
    echo(f"{source.name}: {source.kind}, {plan.samples:,} samples, {source.format} shards")
    width = max(len(field.name) for field in source.fields)
    for field in source.fields:
        echo(f"  {field.name:{width}}  {type_text(field.type)}{'?' if field.optional else ''}")
    for left_out in source.left_out:
        echo(f"  {left_out.name:{width}}  left out of the schema: {left_out.why}")
    for split in source.splits:
        shards = [shard.name for shard in plan.shards if shard.split == split.name]
        listed = shards[0] if len(shards) == 1 else f"{shards[0]} … {shards[-1]}"
        echo(
            f"{split.name or 'all'}: {split.stop - split.start:,} samples in {counted(len(shards), 'shard')}, {listed}"
        )
    for note in source.notes:
        echo(f"note: {note}")
