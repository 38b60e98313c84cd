"""Credentials for a login: the first that is found of CATALOG_SESSION (a session string), CATALOG_APP_PASSWORD, the
the session of ``catalog login`` (by OAuth; else refresh token, then password), and a prompt.

Sessions and passwords are in the operating system's keyring, through the extra ``login``. Without one a session by
OAuth is in a file that only its owner can read; passwords are never written to files. Only :func:`remember`,
:func:`remember_oauth` and sessions from there write to it, as a refresh token changes with each use.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from catalog.atproto.login_errors import CODE
from catalog.atproto.oauth import revoke
from catalog.atproto.oauth_session import OAuthSession, SessionStore
from catalog.atproto.secret_store import accounts, delete, get, put, ring, set_accounts
from catalog.atproto.session import Session
from catalog.config import config_folder
from catalog.errors import SessionError

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.atproto.identity import Identity, Resolver
    from catalog.atproto.oauth import Tokens
    from catalog.network.http import Client
    from catalog.syntax import Did

_HINT: Final = "set CATALOG_APP_PASSWORD to an app password of the account, or run `catalog login`"


def open_session(
    client: Client,
    resolver: Resolver,
    account: str | None,
    *,
    password: str | None = None,
    ask: Callable[[], str] | None = None,
    ask_code: Callable[[], str] | None = None,
) -> Session:
    """Open a session of an account (a handle or DID; by default that of the environment or the keyring).

    ``ask`` is called for an app password if there is no other credential, ``ask_code`` for a second-factor code if the
    server requests one and CATALOG_LOGIN_CODE is unset. Raises :class:`SessionError` for missing or refused
    credentials, :class:`UnknownIdentity`, or another ``NetworkError``.
    """

    def login(account: str, password: str) -> Session:
        return Session.login(client, resolver, account, password, code=login_code(), ask_code=ask_code)

    if password is not None:
        return login(_named(account), password)
    text = os.environ.get("CATALOG_SESSION")
    if text:
        return _of_string(client, resolver, account, text)
    account = account or known_account()
    password = os.environ.get("CATALOG_APP_PASSWORD")
    if password:
        return login(_named(account), password)
    session = None if account is None else _of_store(client, resolver, account, login)
    if session is not None:
        return session
    if ask is None:
        raise SessionError("there is no password", where=account, hint=_HINT)
    return login(_named(account), ask())


def login_code() -> str | None:
    """Return the second-factor code in the environment."""
    return os.environ.get(CODE) or None


def known_account() -> str | None:
    """Return the default account: CATALOG_HANDLE, that of CATALOG_SESSION, or the keyring's."""
    named = os.environ.get("CATALOG_HANDLE")
    if named:
        return named
    parts = os.environ.get("CATALOG_SESSION", "").split(":::")
    if len(parts) > 1 and parts[1].startswith("did:"):
        return parts[1]
    return next(iter(accounts()), None)


def remember(session: Session, password: str) -> None:
    """Store an app password and the session in the keyring. Raises :class:`SessionError` without a keyring."""
    if ring() is None:
        hint = "set CATALOG_APP_PASSWORD instead, where it is needed"
        raise SessionError("there is no keyring on this machine that keeps secrets safe", hint=hint)
    refused = put(str(session.did), password)
    if refused is not None:
        raise SessionError(f"the keyring takes nothing: {type(refused).__name__}")
    put(_token_of(session.did), session.refresh_token)
    SessionStore(session.did).delete()
    set_accounts([str(session.did), *accounts()])


def remember_oauth(client: Client, identity: Identity, tokens: Tokens) -> Path | None:
    """Store a new session by OAuth; it replaces what was stored for the account. Return the file, if it is in one."""
    store = SessionStore(identity.did)
    with store.locked():
        before = store.load()
        file = store.save(tokens)
    if before is not None:
        revoke(client, before)
    for name in (str(identity.did), _token_of(identity.did)):
        delete(name)
    set_accounts([str(identity.did), *accounts()])
    return file


def forget(client: Client, resolver: Resolver, did: Did) -> bool:
    """Delete the credentials of an account, and end its sessions. Return whether there were any."""
    store = SessionStore(did)
    with store.locked():
        tokens = store.load()
        stored = store.delete()
    if tokens is not None:
        revoke(client, tokens)
    token = get(_token_of(did))
    if token is not None:
        with suppress(SessionError):  # it has ended already
            Session.resume(client, resolver, did, token).close()
    found = [stored, *(delete(name) for name in (str(did), _token_of(did)))]
    set_accounts([other for other in accounts() if other != str(did)])
    return any(found)


def _named(account: str | None) -> str:
    if account is None:
        raise SessionError("no account is named", hint="give --handle, or set CATALOG_HANDLE")
    return account


def _of_string(client: Client, resolver: Resolver, account: str | None, text: str) -> Session:
    try:
        session = Session.of_string(client, resolver, text)
    except SessionError as error:
        raise SessionError(error.what, where="CATALOG_SESSION", hint=error.hint) from None
    if account is not None and resolver.resolve(account).did != session.did:
        message = f"CATALOG_SESSION is a session of {session.did}, not of this account"
        raise SessionError(message, where=account, hint="unset one of them")
    return session


def _of_store(client: Client, resolver: Resolver, account: str, login: Callable[[str, str], Session]) -> Session | None:
    """Return the stored session, else resume by the refresh token, else log in by the password; None without any."""
    if ring() is None and not config_folder().is_dir():
        return None
    identity = resolver.resolve(account)
    did = identity.did
    store = SessionStore(did)
    tokens = store.load()
    if tokens is not None:
        return OAuthSession(client, identity, tokens, store)
    token, password = get(_token_of(did)), get(str(did))
    session = None
    if token is not None:
        try:
            session = Session.resume(client, resolver, did, token)
        except SessionError:
            delete(_token_of(did))  # ended, or taken back
    if session is None and password is not None:
        session = login(did, password)
    if session is not None:
        put(_token_of(did), session.refresh_token)
        session.renewed = lambda fresh: put(_token_of(did), fresh)
    return session


def _token_of(did: Did) -> str:
    return f"{did} session"
