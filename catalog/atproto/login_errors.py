"""The reason of a refused login: app passwords, a second factor, or OAuth only.

Servers differ in status and error name for the same refusal. Requests without a login therefore find out if the
server supports app passwords (``listAppPasswords``) and OAuth.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from catalog.errors import NetworkError, RequestFailed, SessionError

if TYPE_CHECKING:
    from catalog.network.http import Client

CODE: Final = "CATALOG_LOGIN_CODE"
"""The variable that has the code of a second factor."""
_LOGIN_NEEDED: Final = ("AuthMissing", "AuthRequired", "AuthenticationRequired", "InvalidToken")
_BUSY: Final = 429
_MISSING: Final = (404, 405, 501)
_UNKNOWN_METHODS: Final = (
    "MethodNotImplemented", "XRPCNotSupported", "UnknownMethod", "MethodNotFound", "NotImplemented",
)  # fmt: skip
_FACTOR: Final = (
    "authfactortokenrequired",
    "authfactorrequired",
    "secondfactorrequired",
    "mfarequired",
    "totprequired",
)
_WRONG_CODES: Final = ("InvalidCode", "InvalidToken", "ExpiredToken", "ExpiredCode", "InvalidAuthFactorToken")
WHY: Final = {
    "AccountTakedown": "the account was taken down by its server",
    "AccountTakendown": "the account was taken down by its server",
    "AccountDeactivated": "the account is deactivated; its owner can take it up again",
    "LegacyLoginBlocked": "the account takes no login by its main password and a code",
}
"""XRPC error of a login → what to do."""


def wants_code(error: RequestFailed) -> bool:
    """Return whether the server requests the code of a second factor, by any status and name."""
    if not 400 <= error.status < 500:
        return False
    text = f"{error.name} {error.what}".lower().replace(" ", "")
    return any(name in text for name in _FACTOR)


def is_wrong_code(error: RequestFailed) -> bool:
    """Return whether the answer to a login with a code means that the code is wrong or too old."""
    return 400 <= error.status < 500 and error.name in _WRONG_CODES


def no_login(client: Client, failed: RequestFailed, account: str, pds: str, *, code: str | None) -> NetworkError:
    """Return the error for a login that the server refused: what it answered, and what to do."""
    if not failed.status:  # nothing was answered: these are our own words
        return failed
    if failed.status == _BUSY:
        pause = client.host(f"{pds}/xrpc/com.atproto.server.createSession", "POST").pause
        hint = f"wait {math.ceil(pause / 60)} min; `catalog login` keeps a session, so that runs don't log in anew"
        return SessionError("too many logins in a short time", where=account, hint=hint)
    if _is_missing(failed):
        return _no_passwords(client, failed, pds)
    if wants_code(failed) or (code and is_wrong_code(failed)):
        return _code_wanted(client, failed, account, pds, code=code)
    if 400 <= failed.status < 500 or failed.name in WHY:
        return SessionError(f"the login was refused ({failed.what})", where=account, hint=_hint(client, failed, pds))
    message = f"the login failed ({failed.what})"
    return RequestFailed(message, status=failed.status, name=failed.name, where=failed.where)


def _is_missing(error: RequestFailed) -> bool:
    """Return whether a server doesn't have the requested method."""
    return error.name in _UNKNOWN_METHODS or (error.status in _MISSING and error.name in ("", "NotFound"))


def _hint(client: Client, failed: RequestFailed, pds: str) -> str:
    known = WHY.get(failed.name)
    has = has_app_passwords(client, pds)
    if failed.name == "LegacyLoginBlocked":
        other = "this server has no app passwords either" if has is False else "use an app password"
        return f"{known}: {other}"
    if known is not None:
        return known
    if has is False:
        return "this server has no app passwords: use the account's main password"
    return "is it an app password of this account?"


def _code_wanted(client: Client, failed: RequestFailed, account: str, pds: str, *, code: str | None) -> SessionError:
    has = has_app_passwords(client, pds)
    ways = [f"the code that the server sent (often by e-mail) on a terminal, or in {CODE}"]
    if has is False:
        ways.append("the server has no app passwords that would need none")
    elif has:
        ways.append("an app password of the account needs no code")
    what = "the code of the second factor was refused" if code else "the server asks for a second factor, a code"
    return SessionError(f"{what} ({failed.what})", where=account, hint=f"give {'; '.join(ways)}")


def _no_passwords(client: Client, failed: RequestFailed, pds: str) -> SessionError:
    if _has_oauth(client, pds):
        message = f"the server takes no passwords, it has OAuth alone ({failed.what})"
        return SessionError(message, where=pds, hint="log in by browser: catalog login")
    message = f"the server has no login by password ({failed.what})"
    return SessionError(message, where=pds, hint="is the account's server a PDS, and does it run?")


def has_app_passwords(client: Client, pds: str) -> bool | None:
    """Return whether a server has app passwords; None if unknown."""
    try:
        found = client.get_json(f"{pds}/xrpc/com.atproto.server.listAppPasswords")
    except RequestFailed as error:
        if _is_missing(error):
            return False
        return True if error.status == 401 or error.name in _LOGIN_NEEDED else None
    except NetworkError:
        return None
    return True if isinstance(found, dict) and isinstance(found.get("passwords"), list) else None


def _has_oauth(client: Client, pds: str) -> bool:
    try:
        found = client.get_json(f"{pds}/.well-known/oauth-protected-resource")
    except NetworkError:
        return False
    return isinstance(found, dict) and bool(found.get("authorization_servers"))
