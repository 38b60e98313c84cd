"""What several commands share: an option, and how they talk."""

from __future__ import annotations

import click

__all__ = ["JSON", "say"]

JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")


def say(text: str) -> None:
    """Say something to the person at the terminal; standard output is for results."""
    click.echo(text, err=True)
