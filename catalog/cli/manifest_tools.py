"""``catalog manifest``: help with writing manifests."""

from __future__ import annotations

import click

__all__ = ["manifest"]


@click.group()
def manifest() -> None:
    """Help with writing manifests.

    Example: catalog manifest schema > manifests/manifest.schema.json
    """


@manifest.command()
def schema() -> None:
    """Print the JSON Schema of manifests, by which editors complete and check them.

    Example: catalog manifest schema > manifests/manifest.schema.json
    """
    from catalog.manifest.first import manifest_schema

    click.echo(manifest_schema(), nl=False)
