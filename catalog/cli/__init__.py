"""The ``catalog`` command: parse, call, print; nothing else.

Exit codes: 0 done, 1 failed, 2 wrong usage or a missing extra. A user's mistake gets one clear line per fault on
standard error, never a traceback. What a command needs is imported when it runs, so that ``catalog --help`` is instant.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from catalog.cli.account import login, logout
from catalog.cli.appview import appview
from catalog.cli.data import load
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
    """The command, whose warnings are printed as its messages are."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        with printed_warnings():
            return super().invoke(ctx)


@click.group(cls=_Catalog, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="atdata-catalog", prog_name="catalog")
def cli() -> None:
    """A catalog for datasets on the AT Protocol: crawl, build a site, publish, load.

    Example: catalog build
    """


for _command in (
    init, crawl, build, serve, validate, plan, publish, codegen, compat, load, search, verify, withdraw, login, logout,
    manifest, appview, store,
):  # fmt: skip
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command; the one place where our errors become exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a console of another encoding shows a ? for ✓, and goes on
            stream.reconfigure(errors="replace")
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        say("stopped")
        code = 1
    except click.ClickException as error:
        show(error)
        code = error.exit_code
    except Exception as error:  # noqa: BLE001 - one of ours, or reported as a defect of ours
        say(contained(error))
        code = 2 if isinstance(error, MissingExtra) else 1
    sys.exit(code if isinstance(code, int) else 0)
