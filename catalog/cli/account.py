"""``catalog login`` and ``logout``; account and session for the commands that write."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from catalog.cli.common import network
from catalog.cli.terminal import say
from catalog.errors import require_extra

if TYPE_CHECKING:
    from catalog.atproto.session import Session

HANDLE = click.option(
    "--handle", metavar="HANDLE", help="The account, a handle or DID. Default: CATALOG_HANDLE, else a prompt."
)


@click.command()
@HANDLE
def login(handle: str | None) -> None:
    """Store an app password in the system keyring.

    Requires the extra 'keyring'. Without a keyring, for example on a server, set CATALOG_APP_PASSWORD instead. The
    password is never written to a file. For two-factor authentication, enter the code at the prompt or set
    CATALOG_LOGIN_CODE.

    Example: catalog login --handle alice.example.org
    """
    from catalog.atproto.credentials import login_code, remember
    from catalog.atproto.session import Session

    require_extra("keyring", "keyring", purpose="the system keyring")
    account = account_of(handle)
    with network() as (client, resolver):
        password = ask_password()
        session = Session.login(client, resolver, account, password, code=login_code(), ask_code=code_asker())
        remember(session, password)
        say(f"{session.handle} is logged in at {session.pds}")


@click.command()
@HANDLE
def logout(handle: str | None) -> None:
    """Remove the stored app password, and end the session.

    Example: catalog logout --handle alice.example.org
    """
    from catalog.atproto.credentials import forget

    account = account_of(handle)
    with network() as (client, resolver):
        who = resolver.resolve(account)
        found = forget(client, resolver, who.did)
        say(f"{who.handle or who.did} is logged out" if found else f"{who.handle or who.did} is not logged in")


@contextmanager
def signed_in(handle: str | None) -> Iterator[Session]:
    """Open a session of the account that writes; the password comes from environment, keyring or prompt."""
    from catalog.atproto.credentials import open_session

    account = account_of(handle)
    with network() as (client, resolver):
        yield open_session(client, resolver, account, ask=ask_password, ask_code=code_asker())


def account_of(handle: str | None) -> str:
    """Return the account from the option or the environment, else from a prompt."""
    from catalog.atproto.credentials import known_account

    return handle or known_account() or _ask("Handle or DID", "give --handle or set CATALOG_HANDLE", hide=False)


def ask_password() -> str:
    """Prompt for an app password."""
    return _ask("App password", "set CATALOG_APP_PASSWORD", hide=True)


def code_asker() -> Callable[[], str] | None:
    """Return a prompt for the two-factor code, or None if the session is not interactive."""
    return partial(_ask, "Two-factor code", "", hide=False) if sys.stdin.isatty() else None


def _ask(what: str, hint: str, *, hide: bool) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what} required, and the session is not interactive: {hint}")
    answer: str = click.prompt(what, hide_input=hide, err=True)
    return answer
