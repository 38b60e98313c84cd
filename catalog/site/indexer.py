"""Pagefind, spoken to over its pipe: pages go in as text, in an order that the index keeps.

::

    us ──NewIndex, AddFile, AddFile, …, WriteFiles──► pagefind --service      (base64 of JSON, a comma after each)
       ◄────────────── one answer to each ──────────

Nothing is written but the index: no folder of pages, whose order would be the file system's. Because the order is
ours, page *i* of the index is the *i*-th that came in, and can bear its number as its name:

    catalog/text/fragment/3f9c1a-2s.pf_fragment        the index's own hash, and 100 in base 36

So a match tells which record it is, without a table beside the index: names by hash, seven digits each, don't
compress, and were more than half of what a browser fetched for its first search.

Tricky bits
-----------
- The numbers' files change with every record that is added; the hash before them keeps caches from mixing two builds.
- The list of pages lies in ``pagefind.*.pf_meta``: gzip over a signature and CBOR, an array whose second item is a
  list of name and number of words. It is rewritten only where decoding and encoding gives the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import threading
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import cbrrr

from catalog.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import BinaryIO, Self

    from catalog.datamodel import Json

__all__ = ["numbered", "write_index"]

_SIGNATURE: Final = b"pagefind_dcd"
_UNUSED: Final = ("pagefind-ui", "pagefind-modular", "pagefind-component", "pagefind-highlight")
"""Pagefind's own widgets are not ours; they would be a quarter of a small site."""
_HINT: Final = "`search: false` in the catalog's settings builds without it"
_OFTEN: Final = 20_000
"""Pages between two lines of progress."""


def write_index(
    pages: Iterable[tuple[str, str]], output: Path, *, progress: Callable[[str], None] = lambda _: None
) -> None:
    """Write the text index of ``pages``, pairs of address and HTML, into the folder ``output``.

    A match's ``id`` ends in ``-`` and the page's place in ``pages``, in base 36. Raises :class:`BuildError` with the
    indexer's own words, or when what it wrote isn't what this version of it writes.
    """
    with _Service() as service:
        # One language for all: Pagefind keeps an index for each it is told of, and searches only one.
        service.send({"type": "NewIndex", "config": {"force_language": "en"}})
        for number, (address, html) in enumerate(pages):
            if number and number % _OFTEN == 0:
                progress(f"{number:,} pages for the text index")
            service.send({"type": "AddFile", "index_id": 0, "url": f"/{address}", "file_contents": html})
        service.send({"type": "WriteFiles", "index_id": 0, "output_path": str(output)})
    for file in output.iterdir():
        if file.is_file() and file.name.startswith(_UNUSED):
            file.unlink()
    _number_pages(output)


class _Service:
    """The indexer as a process of its own. It works while we make the next page."""

    def __init__(self) -> None:
        from pagefind.service import get_executable

        program = get_executable()
        if program is None:
            raise BuildError("Pagefind's program isn't installed", hint="install pagefind[bin]")
        self._process = subprocess.Popen(  # noqa: S603
            [str(program), "--service"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._sent = 0
        self._answered = threading.Semaphore(0)
        self._errors: list[str] = []
        # Its answers must be taken while we talk, else both wait for the other to read.
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._process.kill()
            self._reader.join()
            self._process.communicate()
        if kind is None and self._errors:
            raise BuildError(f"the search index couldn't be built: {self._errors[0]}", hint=_HINT)

    def send(self, payload: Json) -> None:
        """Ask for something, without waiting for the answer."""
        self._sent += 1
        message = json.dumps({"message_id": self._sent, "payload": payload}).encode()
        try:
            cast("BinaryIO", self._process.stdin).write(b64encode(message) + b",")
        except OSError as error:
            words = self._errors[0] if self._errors else "the indexer went away"
            raise BuildError(f"the search index couldn't be built: {words}", hint=_HINT) from error

    def _finish(self) -> None:
        """Wait for all answers: whoever closes the pipe before doesn't get them."""
        with suppress(OSError):  # it is gone; the answers tell
            cast("BinaryIO", self._process.stdin).flush()
        for _ in range(self._sent):
            self._answered.acquire()

    def _read(self) -> None:
        rest = b""
        answered = 0
        output = cast("BinaryIO", self._process.stdout)
        while block := output.read1(1 << 16):  # type: ignore[attr-defined]
            *messages, rest = (rest + block).split(b",")
            for message in messages:
                answered += 1
                self._take(message)
        if answered < self._sent or rest:
            self._errors.append(rest[-300:].decode("utf-8", "replace").strip() or "the indexer ended early")
        self._answered.release(max(1, self._sent - answered + 1))  # nobody waits for what won't come

    def _take(self, message: bytes) -> None:
        try:
            payload = json.loads(b64decode(message))["payload"]
            if payload["type"] == "Error":
                self._errors.append(str(payload.get("message")))
        except (ValueError, KeyError, TypeError):
            self._errors.append(message[-300:].decode("utf-8", "replace"))
        self._answered.release()


def _number_pages(output: Path) -> None:
    for file in sorted(output.glob("pagefind.*.pf_meta")):
        packed = file.read_bytes()
        names, renumbered = numbered(packed)
        for old, new in names.items():
            source = output / "fragment" / f"{old}.pf_fragment"
            try:
                source.rename(source.with_name(f"{new}.pf_fragment"))
            except OSError as error:
                raise BuildError("the search index lacks a page", where=source.name, hint=_HINT) from error
        file.write_bytes(renumbered)


def numbered(packed: bytes) -> tuple[dict[str, str], bytes]:
    """The list of pages with numbers for names: old name → new name, and the file anew.

    Raises :class:`BuildError` when it isn't in the format of the Pagefind that we know.
    """
    try:
        raw = gzip.decompress(packed)
        value: Any = cbrrr.decode_dag_cbor(raw.removeprefix(_SIGNATURE))
        again = _SIGNATURE + cbrrr.encode_dag_cbor(value)
        pages = [(str(name), int(words)) for name, words in value[1]]
    except (OSError, EOFError, ValueError, TypeError, LookupError) as error:
        raise BuildError("the search index's list of pages can't be read", hint=_HINT) from error
    if again != raw or len({name for name, _ in pages}) != len(pages):
        raise BuildError("the search index's list of pages isn't as this version of Pagefind writes it", hint=_HINT)
    version = hashlib.sha256(raw).hexdigest()[:6]
    names = {name: f"{version}-{_base36(number)}" for number, (name, _) in enumerate(pages)}
    value[1] = [[names[name], words] for name, words in pages]
    return names, gzip.compress(_SIGNATURE + cbrrr.encode_dag_cbor(value), 9, mtime=0)


def _base36(number: int) -> str:
    digits = ""
    while number >= 36:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return "0123456789abcdefghijklmnopqrstuvwxyz"[number] + digits
