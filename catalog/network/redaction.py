r"""Redaction: detect passwords and tokens of this process in texts of servers, so that no message repeats one.

A server may repeat a received secret verbatim, cut, encoded, spread over two fields or with other characters between.
So a text is decoded up to twice (``%2D``, ``&#45;``, ``\u002d``), reduced to its letters and digits, and compared with
each secret, its base64 (at each of the three offsets) and its hexadecimal form, by fragments: most of a short secret,
any sixteen characters of a long one. A text that repeats a secret is dropped as a whole.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final, NoReturn
from urllib.parse import unquote_plus

from catalog.errors import CatalogError, RequestFailed

DROPPED: Final = "its message is not shown, as it repeats a password or token"
"""The replacement for a text that repeats a secret."""
_WORD: Final = 8
"""Secrets with fewer letters and digits are only matched as a whole word: parts of them occur in any text."""
_FRAGMENT: Final = 16
_SHARE: Final = 0.6
"""The part of a short secret that counts as a fragment of it."""
_NAME_FRAGMENT: Final = 6
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")


class Secrets:
    """The secrets of one client; for many threads. No ``repr`` and no pickle holds one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._words: set[str] = set()
        self._fragments: dict[int, set[str]] = {}
        self._small: set[str] = set()
        self._known: set[str] = set()

    def __repr__(self) -> str:
        """Without the secrets."""
        return "Secrets()"

    def __reduce__(self) -> NoReturn:
        """Secrets are in no pickle."""
        raise TypeError("secrets are not pickled")

    def add(self, secret: str) -> None:
        """Look for this text from now on; an empty one is ignored."""
        if not secret or secret in self._known:
            return
        self._known.add(secret)
        forms = [form for form in map(_reduced, _forms(secret)) if len(form) >= _WORD]
        with self._lock:
            if len(_reduced(secret)) < _WORD:
                self._words.add(secret)
                forms = []
            for form in forms:
                size = min(_FRAGMENT, max(_WORD, int(len(form) * _SHARE + 0.999)))
                self._fragments.setdefault(size, set()).update(_windows(form, size))
                self._small.update(_windows(form, _NAME_FRAGMENT))

    def repeated_in(self, text: str) -> bool:
        """Return whether the text repeats a secret, or most of one, in any form."""
        with self._lock:
            if not self._fragments and not self._words:
                return False
            for decoded in _decoded(text):
                if any(_has_word(decoded, word) for word in self._words):
                    return True
                reduced = _reduced(decoded)
                for size, fragments in self._fragments.items():
                    if not fragments.isdisjoint(_windows(reduced, size)):
                        return True
        return False

    def cleaned(self, name: str, message: str) -> tuple[str, str]:
        """Return an error's name and message as a server gave them, without any that repeats a secret."""
        if not (name or message) or not self.repeated_in(f"{name} {message}"):
            return name, message
        alone = self.repeated_in(message)  # else its parts are spread over both
        with self._lock:
            small = not self._small.isdisjoint(_windows(_reduced(name), _NAME_FRAGMENT))
        return ("" if small or not alone or self.repeated_in(name) else name), DROPPED

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Errors that are raised within hold no text of a server that repeats a secret."""
        try:
            yield
        except CatalogError as error:
            texts = {"what": error.what, "where": error.where or "", "hint": error.hint or ""}
            if isinstance(error, RequestFailed):
                texts["name"] = error.name
            repeated = [field for field, text in texts.items() if self.repeated_in(text)]
            for field in repeated:
                setattr(error, field, {"what": f"a server's answer was refused; {DROPPED}", "name": ""}.get(field))
            if repeated:
                error.args = (error.what,)
                error.__context__ = error.__cause__ = None
            raise


def _forms(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogateescape")
    yield secret
    yield raw.hex()
    for offset, skipped in ((0, 0), (1, 2), (2, 3)):  # of the first characters, the bytes before have a part
        whole = (offset + len(raw)) * 8 // 6  # of the last one, the bytes behind
        yield base64.b64encode(bytes(offset) + raw).decode()[skipped:whole]


def _decoded(text: str) -> Iterator[str]:
    yield text
    for _ in range(2):
        again = html.unescape(unquote_plus(text))
        again = _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), again)
        if again == text:
            return
        yield again
        text = again


def _reduced(text: str) -> str:
    return "".join(char for char in text if char.isalnum()).casefold()


def _windows(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(len(text) - size + 1))


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None
