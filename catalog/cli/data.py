"""``catalog load``: print samples of a dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from catalog.cli.common import JSON
from catalog.cli.terminal import echo, echo_json

if TYPE_CHECKING:
    from catalog.datasets.dataset import Dataset
    from catalog.shards.shard import Shard

_FORMATS: Final = ("msgpack", "webdataset", "parquet", "csv", "jsonl")


@click.command()
@click.argument("source", metavar="URI|SHARDS")
@click.option("--head", "count", default=3, show_default=True, type=click.IntRange(min=1), help="Number of samples.")
@click.option("--split", metavar="NAME", help="Only this split of the dataset, such as train.")
@click.option(
    "--format",
    "sample_format",
    type=click.Choice(_FORMATS),
    help="The format of SHARDS. Default: recognised by their first bytes, except for CSV, which must be named.",
)
@JSON
def load(source: str, count: int, split: str | None, sample_format: str | None, *, as_json: bool) -> None:
    """Print the first samples of a dataset.

    URI is the at:// URI of a dataset or label. SHARDS is the URL or file name of a shard, or a brace pattern such as
    data-{000000..000003}.tar. The cells of a CSV table are text: it has no types, and many texts look like one.

    Example: catalog load "examples/shards/digits-{000000..000001}.tar" --head 2
    """
    from catalog.datasets.dataset import Dataset
    from catalog.samples.preview import as_json as sample_json
    from catalog.samples.preview import lines

    if source.startswith("at://"):
        if sample_format is not None:
            raise click.UsageError("--format is for SHARDS; the record of a dataset states its format")
        dataset: Dataset[Any] = Dataset.from_atproto(source, split=split)
    elif split is None:
        dataset = _of_shards(Dataset(source).shards, sample_format)
    else:
        raise click.UsageError("--split is for the at:// URI of a dataset; name the shards of the split")
    for sample in dataset.head(count):
        if as_json:
            echo_json(sample_json(sample))
        else:
            for line in lines(sample):
                echo(line)


def _of_shards(shards: tuple[Shard, ...], sample_format: str | None) -> Dataset[Any]:
    """Return the dataset of shards. Raises :class:`InvalidShard` for CSV, unless that is named."""
    from catalog.datasets.dataset import Dataset
    from catalog.errors import InvalidShard
    from catalog.shards.formats import describe, format_of
    from catalog.shards.shard import display_url
    from catalog.shards.source import peek
    from catalog.shards.storage import open_shard

    if sample_format is not None:
        return Dataset([replace(shard, format=sample_format) for shard in shards])
    with open_shard(shards[0]) as source:
        head, _ = peek(source)
    found = format_of(head)
    if found is not None and found.name == "csv":
        hint = "--format csv prints its rows, all cells as text; a manifest gives its columns types"
        raise InvalidShard(f"this is {describe(head)}, not a shard", where=display_url(shards[0].url), hint=hint)
    return Dataset(list(shards))
