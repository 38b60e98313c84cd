"""``catalog load``: print samples of a dataset."""

from __future__ import annotations

from typing import Any

import click

from catalog.cli.common import JSON
from catalog.cli.terminal import echo, echo_json

__all__ = ["load"]


@click.command()
@click.argument("source", metavar="URI|SHARDS")
@click.option("--head", "count", default=3, show_default=True, type=click.IntRange(min=1), help="Number of samples.")
@click.option("--split", metavar="NAME", help="Only this split of the dataset, such as train.")
@JSON
def load(source: str, count: int, split: str | None, *, as_json: bool) -> None:
    """Print the first samples of a dataset.

    URI is the at:// URI of a dataset or label. SHARDS is the URL or file name of a shard, or a brace pattern such as
    data-{000000..000003}.tar.

    Example: catalog load "examples/shards/digits-{000000..000001}.tar" --head 2
    """
    from catalog.datasets.dataset import Dataset
    from catalog.samples.preview import as_json as sample_json
    from catalog.samples.preview import lines

    if source.startswith("at://"):
        dataset: Dataset[Any] = Dataset.from_atproto(source, split=split)
    elif split is None:
        dataset = Dataset(source)
    else:
        raise click.UsageError("--split is for the at:// URI of a dataset; name the shards of the split")
    for sample in dataset.head(count):
        if as_json:
            echo_json(sample_json(sample))
        else:
            for line in lines(sample):
                echo(line)
