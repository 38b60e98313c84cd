"""``catalog appview``: serve the live API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from catalog.cli.site import CONFIG

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["appview"]


@click.command()
@CONFIG
@click.option("-a", "--address", default="127.0.0.1:8080", show_default=True, help="Where to listen.")
@click.option("--no-follow", is_flag=True, help="Only answer; another process follows the sources.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many processes answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Log in JSON, an object a line.")
def appview(config_file: Path, address: str, *, no_follow: bool, workers: int, as_json: bool) -> None:
    """Serve search and queries by HTTP, live: the sources are followed meanwhile.

    Example: catalog appview -a 127.0.0.1:8080 --workers 2
    """
    from catalog.appview.serving import listen, serve
    from catalog.config import load_settings

    settings = load_settings(config_file)
    with listen(address) as sock:
        serve(config_file, settings, sock, follows=not no_follow, workers=workers, as_json=as_json)
