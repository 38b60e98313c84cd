"""``catalog appview``: the live API."""

from __future__ import annotations

from pathlib import Path

import click

from catalog.cli.site import CONFIG


@click.command()
@CONFIG
@click.option("-a", "--address", default="127.0.0.1:8080", show_default=True, help="Address and port to listen on.")
@click.option("--no-follow", is_flag=True, help="Don't follow the sources; another process updates the store.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Number of server processes.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the log as JSON, one object a line.")
def appview(config_file: Path, address: str, *, no_follow: bool, workers: int, as_json: bool) -> None:
    """Serve search and XRPC queries over HTTP, and follow the sources.

    Example: catalog appview -a 127.0.0.1:8080 --workers 2
    """
    from catalog.appview.serving import listen, serve
    from catalog.config import load_settings

    settings = load_settings(config_file)
    with listen(address) as sock:
        serve(config_file, settings, sock, follows=not no_follow, workers=workers, as_json=as_json)
