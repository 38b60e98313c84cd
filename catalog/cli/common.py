"""What several commands share: an option, and how they talk."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from catalog.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.atproto.identity import Resolver
    from catalog.network.http import Client

__all__ = ["JSON", "network"]

_PATIENCE: Final = 3700.0
"""Seconds: servers count what an account writes by the hour, and who publishes much has to wait for the next."""

JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")


@contextmanager
def network() -> Iterator[tuple[Client, Resolver]]:
    """The way out, by the environment's settings. A long wait, where a host takes no more for now, is told."""
    from catalog.atproto.identity import Resolver
    from catalog.config import NetworkSettings
    from catalog.network.http import Client

    settings = NetworkSettings.from_environment()
    with Client(settings, patience=_PATIENCE, waiting=_told) as client:
        yield client, Resolver(client, settings)


def _told(host: str, seconds: float) -> None:
    left = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    say(f"{host} takes no more for {left}; going on then")
