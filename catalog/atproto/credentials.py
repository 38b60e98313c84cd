"""Credentials for a login: the first that is found of CATALOG_SESSION (a session string), CATALOG_APP_PASSWORD, the
keyring (refresh token, then password), and a prompt.

The keyring is the operating system's, through the extra ``keyring``; a machine without one is no error. Only
:func:`remember` writes to it, and sessions that come from it, as their refresh token changes with each use. Secrets are
never written to files, so file-based backends are not used.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from catalog.atproto.login_errors import CODE
from catalog.atproto.session import Session
from catalog.errors import SessionError

if TYPE_CHECKING:
    from catalog.atproto.identity import Resolver
    from catalog.network.http import Client
    from catalog.syntax import Did

_SERVICE: Final = "atdata-catalog"
_ACCOUNT: Final = "account"
"""The entry that names the account of the last ``catalog login``."""
_IN_FILES: Final = ("keyrings.alt", "keyring.backends.null", "keyring.backends.fail")
_HINT: Final = (
    "set CATALOG_APP_PASSWORD to an app password of the account, or run `catalog login` where there is a keyring"
)


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
    session = None if account is None else _of_keyring(client, resolver, account, login)
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
    return parts[1] if len(parts) > 1 and parts[1].startswith("did:") else _get(_ACCOUNT)


def remember(session: Session, password: str) -> None:
    """Store an app password and the session in the keyring. Raises :class:`SessionError` without a keyring."""
    ring = _ring()
    if ring is None:
        hint = "set CATALOG_APP_PASSWORD instead, where it is needed"
        raise SessionError("there is no keyring on this machine that keeps secrets safe", hint=hint)
    try:
        ring.set_password(_SERVICE, str(session.did), password)
        ring.set_password(_SERVICE, _ACCOUNT, str(session.did))
    except Exception as error:  # noqa: BLE001 — backends raise what they like
        raise SessionError(f"the keyring takes nothing: {type(error).__name__}") from None
    _put(_token_of(session.did), session.refresh_token)


def forget(client: Client, resolver: Resolver, did: Did) -> bool:
    """Remove an account from the keyring and end its session there. Return whether it had an entry."""
    token = _get(_token_of(did))
    if token is not None:
        with suppress(SessionError):  # it has ended already
            Session.resume(client, resolver, did, token).close()
    found = [_delete(name) for name in (str(did), _token_of(did))]
    if _get(_ACCOUNT) == str(did):
        _delete(_ACCOUNT)
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


def _of_keyring(
    client: Client, resolver: Resolver, account: str, login: Callable[[str, str], Session]
) -> Session | None:
    """Resume by the refresh token, else log in by the password; None if the keyring has neither."""
    if _ring() is None:
        return None
    did = resolver.resolve(account).did
    token, password = _get(_token_of(did)), _get(str(did))
    session = None
    if token is not None:
        try:
            session = Session.resume(client, resolver, did, token)
        except SessionError:
            _delete(_token_of(did))  # ended, or taken back
    if session is None and password is not None:
        session = login(did, password)
    if session is not None:
        _put(_token_of(did), session.refresh_token)
        session.renewed = lambda fresh: _put(_token_of(did), fresh)
    return session


def _token_of(did: Did) -> str:
    return f"{did} session"


def _ring() -> Any | None:  # noqa: ANN401 — an optional library's
    """Return the system's keyring; None without one, or for a file-based one."""
    try:
        import keyring
    except ImportError:
        return None
    try:
        ring = keyring.get_keyring()
    except Exception:  # noqa: BLE001 — a broken backend is none
        return None
    backends = getattr(ring, "backends", [ring])  # several, chained
    names = [type(backend).__module__ for backend in backends]
    return ring if names and not any(name.startswith(_IN_FILES) for name in names) else None


def _get(name: str) -> str | None:
    ring = _ring()
    try:
        found = None if ring is None else ring.get_password(_SERVICE, name)
    except Exception:  # noqa: BLE001 — locked, and no terminal to unlock it
        return None
    return found if isinstance(found, str) and found else None


def _put(name: str, secret: str) -> None:
    """Keep a secret, if that can be done: a session that isn't kept costs one login."""
    ring = _ring()
    if ring is None:
        return
    try:
        ring.set_password(_SERVICE, name, secret)
    except Exception:  # noqa: BLE001
        return


def _delete(name: str) -> bool:
    ring = _ring()
    try:
        if ring is None or ring.get_password(_SERVICE, name) is None:
            return False
        ring.delete_password(_SERVICE, name)
    except Exception:  # noqa: BLE001
        return False
    return True
