"""Lines of a text table: UTF-8, gzip decompressed, bounded in length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from catalog.errors import InvalidShard
from catalog.shards.magic import HEAD, decompressed
from catalog.shards.source import peek
from catalog.shards.tar import Inflated

if TYPE_CHECKING:
    from catalog.shards.source import Source

MAX_LINE: Final = 1 << 26
"""Bytes of one line."""

KEY_DIGITS: Final = 9
"""The key of a row is its number in the file, from 0, with so many digits at least."""

_BLOCK: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_BOM: Final = b"\xef\xbb\xbf"
_CONVERT: Final = "convert it: iconv -f {} -t UTF-8 OLD > NEW"


class Lines:
    """The lines of a text file, each with its line break; iterated once.

    ``number`` is that of the last line, from 1, and ``end`` the offset after it; ``held`` are the bytes since
    :meth:`release`: those of one row, which a quoted line break spreads over several lines. Raises
    :class:`InvalidShard` for more than ``most`` of them.
    """

    def __init__(self, source: Source, where: str, most: int) -> None:
        self.number = self.held = self.end = 0
        self.head, source = peek(source)
        self._where, self._most = where, min(most, MAX_LINE)
        self._source = Inflated(source, memoryview(b""), where) if self.head.startswith(_GZIP) else source
        self.head = decompressed(self.head)

    def __iter__(self) -> Iterator[str]:
        if self.head.startswith(_UTF16):
            raise InvalidShard("the text is UTF-16, not UTF-8", where=self._where, hint=_CONVERT.format("UTF-16"))
        buffer = bytearray(_BLOCK)
        rest, first = b"", True
        while count := self._source.readinto(memoryview(buffer)):
            block = rest + buffer[:count]
            if first and len(block) < len(_BOM):
                rest = block
                continue
            if first and block.startswith(_BOM):
                self.end = len(_BOM)
            pieces = (block.removeprefix(_BOM) if first else block).split(b"\n")
            first = False
            rest = pieces.pop()
            for piece in pieces:
                yield self._line(piece) + "\n"
            if len(rest) > self._most:
                self._line(rest)
        if rest:
            yield self._line(rest.removeprefix(_BOM) if first else rest)

    def release(self) -> None:
        """Begin the next row."""
        self.held = 0

    def place(self) -> str:
        """Return the file and the number of the last line, for messages."""
        return f"{self._where}, line {self.number}"

    def _line(self, raw: bytes) -> str:
        self.number += 1
        self.held += len(raw)
        self.end += len(raw) + 1
        if self.held > self._most:
            hint = "is a quote missing?" if self.held > len(raw) else None
            raise InvalidShard(f"a row of more than {self._most:,} bytes", where=self.place(), hint=hint)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            what = f"byte {error.start + 1} is not UTF-8"
            raise InvalidShard(what, where=self.place(), hint=_CONVERT.format("WINDOWS-1252")) from None


def head_lines(head: bytes) -> list[str]:
    """Return the complete lines in the first bytes of a text file; of other encodings as well as they can be read."""
    if head.startswith(_UTF16):
        text = head.decode("utf-16", "replace")
    else:
        text = head.removeprefix(_BOM).decode("utf-8", "replace")
    lines = [f"{line}\n" for line in text.split("\n") if line.strip()]
    if len(head) >= HEAD and len(lines) > 1:
        lines.pop()
    return lines


def is_text(head: bytes) -> bool:
    """Return whether the first bytes of a file are text: no control characters but white space."""
    if head.startswith(_UTF16):
        return True
    return bool(head) and not any(byte < 32 and byte not in b"\t\r\n\f" for byte in head[:4096])
