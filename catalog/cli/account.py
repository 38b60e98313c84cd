"""``catalog login`` and ``logout``; account and session for the commands that write."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from catalog.cli.common import network
from catalog.cli.terminal import echo, say
from catalog.errors import NetworkError, require_extra

if TYPE_CHECKING:
    from catalog.atproto.identity import Resolver
    from catalog.atproto.loopback import Listener
    from catalog.atproto.oauth import AuthorizationServer
    from catalog.atproto.session import Session
    from catalog.network.http import Client

HANDLE = click.option(
    "--handle", metavar="HANDLE", help="The account, a handle or DID. Default: CATALOG_HANDLE, else a prompt."
)


@click.command()
@HANDLE
@click.option("--no-browser", is_flag=True, help="Print the address of the login page instead of opening it.")
@click.option("--app-password", is_flag=True, help="Log in by an app password, also where the server has OAuth.")
@click.option(
    "--client-metadata", metavar="URL", help="Print the document to publish at URL, for CATALOG_OAUTH_CLIENT, and exit."
)
@click.option("--list", "listed", is_flag=True, help="Print the accounts that are logged in, the default one first.")
def login(
    handle: str | None, *, no_browser: bool, app_password: bool, client_metadata: str | None, listed: bool
) -> None:
    """Log in to an account, for the commands that publish.

    If the account's server has OAuth, log in on its page in the browser, and allow the command to write records of
    datasets and to upload their files. Session and key are stored in the system keyring (extra 'login'), without one
    in a file that only you can read.

    A server without OAuth asks for an app password, which is stored in the keyring and never in a file. For two-factor
    authentication, enter the code at the prompt or set CATALOG_LOGIN_CODE. For automation set CATALOG_APP_PASSWORD.

    Example: catalog login --handle alice.example.org
    """
    from catalog.atproto.oauth import find_server

    if listed:
        _list_accounts()
        return
    if client_metadata is not None:
        _print_client_metadata(client_metadata)
        return
    account = account_of(handle)
    with network() as (client, resolver):
        server = None if app_password else find_server(client, resolver.resolve(account).pds)
        if server is None:
            _login_by_password(client, resolver, account)
        else:
            _login_by_browser(client, resolver, account, server, no_browser=no_browser)


def _login_by_password(client: Client, resolver: Resolver, account: str) -> None:
    from catalog.atproto.credentials import login_code, remember
    from catalog.atproto.session import Session

    require_extra("login", "keyring", purpose="the system keyring")
    password = ask_password()
    session = Session.login(client, resolver, account, password, code=login_code(), ask_code=code_asker())
    remember(session, password)
    say(f"{session.handle} is logged in at {session.pds}")


def _login_by_browser(
    client: Client, resolver: Resolver, account: str, server: AuthorizationServer, *, no_browser: bool
) -> None:
    from catalog.atproto.credentials import remember_oauth
    from catalog.atproto.loopback import Listener
    from catalog.atproto.oauth import CLIENT_PORTS, Login
    from catalog.publish.scope import PUBLISH_SCOPE

    published = os.environ.get("CATALOG_OAUTH_CLIENT") or None
    with Listener(CLIENT_PORTS if published else ()) as listener:
        pending = Login.begin(
            client, resolver, account, server,
            redirect_uri=listener.redirect_uri, scope=PUBLISH_SCOPE, client_id=published,
        )  # fmt: skip
        _show_page(pending.url, listener, no_browser=no_browser)
        tokens = pending.finish(listener.wait(pending.is_answer))
    identity = resolver.resolve(account)
    file = remember_oauth(client, identity, tokens)
    say(f"{identity.handle or identity.did} is logged in at {identity.pds}")
    if file is not None:
        say(f"there is no keyring; the session is in {file}, which only you can read (mode 0600)")


def _show_page(url: str, listener: Listener, *, no_browser: bool) -> None:
    """Open the login page in the browser, or print its address; then an address may be pasted in return."""
    import webbrowser  # only here: it takes 10 ms

    if not no_browser:
        say("opening the login page of your server in the browser; waiting for its answer")
        if webbrowser.open(url):
            return
        if not sys.stdin.isatty():
            raise click.UsageError("No browser: pass --no-browser to print the address, or set CATALOG_APP_PASSWORD.")
        say("no browser can be opened here")
    say(f"open this address in a browser:\n\n{url}\n")
    say("if the browser then shows a page at 127.0.0.1 that can't be reached, paste the address of that page here")

    def read() -> None:
        for line in sys.stdin:
            if not line.strip():
                continue
            if listener.paste(line.strip()):
                return
            say("that is not the address of this login's answer; it begins with http://127.0.0.1")

    threading.Thread(target=read, daemon=True).start()


def _print_client_metadata(url: str) -> None:
    from catalog.atproto import oauth
    from catalog.publish.scope import PUBLISH_SCOPE

    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.path.strip("/") or parts.path.endswith("/") or parts.query:
        raise click.UsageError("--client-metadata must be an https address with a path, such as https://…/client.json")
    echo(json.dumps(oauth.client_metadata(url, PUBLISH_SCOPE), indent=2))


def _list_accounts() -> None:
    from catalog.atproto.secret_store import accounts

    found = accounts()
    with network() as (_, resolver):
        for did in found:
            try:
                name = resolver.resolve(did).handle
            except NetworkError:
                name = None
            echo(f"{name}  {did}" if name else did)
    if not found:
        say("no account is logged in; run: catalog login --handle HANDLE")


@click.command()
@HANDLE
def logout(handle: str | None) -> None:
    """Remove the stored session or app password, and end the session at the server.

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
