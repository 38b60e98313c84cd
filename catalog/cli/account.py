"""``catalog login`` and ``logout``, and what the commands that write share: whose account it is, and the way in."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from catalog.cli.common import network
from catalog.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalog.atproto.session import Session

__all__ = ["account_of", "ask_password", "code_asker", "login", "logout", "signed_in"]

HANDLE = click.option(
    "--handle", metavar="HANDLE", help="The account (handle or DID); else CATALOG_HANDLE, else asked for."
)


@click.command()
@HANDLE
def login(handle: str | None) -> None:
    """Keep an app password in this system's keyring, so that publishing asks for none.

    Where there is no keyring (in a script, on a server), set CATALOG_APP_PASSWORD instead. It needs the extra
    'keyring'. The password is never written to a file. A server that asks for a second factor is given the code that
    you type, or that of CATALOG_LOGIN_CODE.

    Example: catalog login --handle alice.example.org
    """
    from catalog.atproto.credentials import login_code, remember, require_keyring
    from catalog.atproto.session import Session

    require_keyring()
    account = account_of(handle)
    with network() as (client, resolver):
        password = ask_password()
        session = Session.login(client, resolver, account, password, code=login_code(), ask_code=code_asker())
        remember(session, password)
        say(f"{session.handle} is logged in at {session.pds}")


@click.command()
@HANDLE
def logout(handle: str | None) -> None:
    """Forget what `catalog login` kept, and end its session at the server.

    Example: catalog logout --handle alice.example.org
    """
    from catalog.atproto.credentials import forget

    account = account_of(handle)
    with network() as (client, resolver):
        who = resolver.resolve(account)
        found = forget(client, resolver, who.did)
        say(f"{who.handle or who.did} is logged out" if found else f"nothing was kept of {who.handle or who.did}")


@contextmanager
def signed_in(handle: str | None) -> Iterator[Session]:
    """A session of the account that writes: from the environment, the keyring, or by asking."""
    from catalog.atproto.credentials import open_session

    account = account_of(handle)
    with network() as (client, resolver):
        yield open_session(client, resolver, account, ask=ask_password, ask_code=code_asker())


def account_of(handle: str | None) -> str:
    """The account that is meant; asked for when nothing says it."""
    from catalog.atproto.credentials import known_account

    return handle or known_account() or _ask("Handle or DID", "give --handle or set CATALOG_HANDLE", hide=False)


def ask_password() -> str:
    """An app password, typed unseen."""
    return _ask("App password", "set CATALOG_APP_PASSWORD", hide=True)


def code_asker() -> Callable[[], str] | None:
    """What asks for the code of a second factor; None where no terminal is there to ask at."""
    return partial(_ask, "Code of the second factor", "", hide=False) if sys.stdin.isatty() else None


def _ask(what: str, instead: str, *, hide: bool) -> str:
    if not sys.stdin.isatty():
        message = f"{what} is needed, and there is nobody to ask: {instead}"
        raise click.UsageError(message)
    answer: str = click.prompt(what, hide_input=hide, err=True)
    return answer
