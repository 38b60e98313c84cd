"""The ``catalog`` command.

Exit codes: 0 success, 1 failure, 2 invalid command line or missing extra. Errors are printed on standard error, one
line each, without a traceback. Commands import what they need when they run, so that ``catalog --help`` is fast.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from catalog.cli.account import login, logout
from catalog.cli.agents import mcp
from catalog.cli.appview import appview
from catalog.cli.data import load
from catalog.cli.imports import import_
from catalog.cli.init import init
from catalog.cli.manifest_tools import manifest
from catalog.cli.manifests import plan, publish, validate
from catalog.cli.records import verify, withdraw
from catalog.cli.schemas import codegen, compat
from catalog.cli.search import search
from catalog.cli.site import build, crawl, serve
from catalog.cli.stores import store
from catalog.cli.terminal import printed_warnings, say, show
from catalog.errors import MissingExtra, contained

__all__ = ["cli", "main"]


class _Catalog(click.Group):
    """Command group that prints Python warnings like messages."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        with printed_warnings():
            return super().invoke(ctx)


@click.group(cls=_Catalog, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="atdata-catalog", prog_name="catalog")
def cli() -> None:
    """Publish, find and load datasets on the AT Protocol, and host a catalog of them.

    Example: catalog build
    """


for _command in (
    init, crawl, build, serve, validate, plan, publish, codegen, compat, load, search, verify, withdraw, login, logout,
    manifest, import_, appview, store, mcp,
):  # fmt: skip
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command, and map errors to exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # print ? for characters that the console's encoding lacks
            stream.reconfigure(errors="replace")
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        say("Aborted.")
        code = 1
    except click.ClickException as error:
        show(error)
        code = error.exit_code
    except Exception as error:  # noqa: BLE001 - a CatalogError, or reported as an InternalError
        say(contained(error))
        code = 2 if isinstance(error, MissingExtra) else 1
    sys.exit(code if isinstance(code, int) else 0)
