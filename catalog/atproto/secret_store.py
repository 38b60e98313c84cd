"""Secrets on this machine: the system's keyring, through the extra ``login``, and private files.

A keyring that keeps its secrets in files of its own is not used.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from catalog.config import config_folder

if TYPE_CHECKING:
    from pathlib import Path

_SERVICE: Final = "atdata-catalog"
_ACCOUNT: Final = "account"
"""The entry with the DIDs of ``catalog login``, that of the last login first."""
_IN_FILES: Final = ("keyrings.alt", "keyring.backends.null", "keyring.backends.fail")
_PART: Final = 1000
"""Characters of one entry: the credential manager of Windows takes 1280."""
_MAX_PARTS: Final = 40


def ring() -> Any | None:  # noqa: ANN401 — an optional library's
    """Return the system's keyring; None without one, or for a file-based one."""
    try:
        import keyring
    except ImportError:
        return None
    try:
        found = keyring.get_keyring()
    except Exception:  # noqa: BLE001 — a broken backend is none
        return None
    backends = getattr(found, "backends", [found])  # several, chained
    names = [type(backend).__module__ for backend in backends]
    return found if names and not any(name.startswith(_IN_FILES) for name in names) else None


def get(name: str) -> str | None:
    """Return a secret of the keyring; None without it."""
    keyring = ring()
    try:
        found = None if keyring is None else keyring.get_password(_SERVICE, name)
    except Exception:  # noqa: BLE001 — locked, and no terminal to unlock it
        return None
    return found if isinstance(found, str) and found else None


def put(name: str, secret: str) -> Exception | None:
    """Store a secret in the keyring. Return the exception of a keyring that refuses it."""
    keyring = ring()
    if keyring is None:
        return LookupError("no keyring")
    try:
        keyring.set_password(_SERVICE, name, secret)
    except Exception as error:  # noqa: BLE001 — backends raise what they like
        return error
    return None


def delete(name: str) -> bool:
    """Delete a secret of the keyring. Return whether there was one."""
    keyring = ring()
    try:
        if keyring is None or keyring.get_password(_SERVICE, name) is None:
            return False
        keyring.delete_password(_SERVICE, name)
    except Exception:  # noqa: BLE001
        return False
    return True


def get_long(name: str) -> str | None:
    """Return a secret that :func:`put_long` stored; None without it, or if a part is missing."""
    number, _, first = (get(name) or "").partition("\n")
    if not number.isdecimal() or not 0 < int(number) <= _MAX_PARTS:
        return None
    parts = [first, *(get(f"{name} {at}") for at in range(1, int(number)))]
    return None if None in parts else "".join(part or "" for part in parts)


def put_long(name: str, secret: str) -> bool:
    """Store a secret of any length in several entries. Return whether the keyring took all of them."""
    parts = [secret[at : at + _PART] for at in range(0, len(secret), _PART)]
    later = [put(f"{name} {at}", part) for at, part in enumerate(parts) if at]
    if any(later) or put(name, f"{len(parts)}\n{parts[0]}") is not None:
        delete_long(name)
        return False
    return True


def delete_long(name: str) -> bool:
    """Delete a secret that :func:`put_long` stored. Return whether there was one."""
    found = delete(name)
    for at in range(1, _MAX_PARTS):
        if not delete(f"{name} {at}"):
            break
    return found


def accounts() -> list[str]:
    """Return the DIDs that are logged in, the default one first."""
    text = get(_ACCOUNT)
    if text is None:
        with suppress(OSError, ValueError):
            text = _accounts_file().read_text(encoding="ascii")
    return [did for did in (text or "").split() if did.startswith("did:")]


def set_accounts(dids: list[str]) -> None:
    """Store the DIDs that are logged in, as far as that can be done."""
    text = " ".join(dict.fromkeys(dids))
    if not text:
        delete(_ACCOUNT)
        with suppress(OSError):
            _accounts_file().unlink(missing_ok=True)
    elif put(_ACCOUNT, text) is not None:
        with suppress(OSError):
            write_private(_accounts_file(), text)


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all. Raises ``OSError``."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(opened, "w", encoding="ascii") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _accounts_file() -> Path:
    return config_folder() / "accounts"
