"""Describe a file by its first bytes, for messages about files that are not what a record says."""

from __future__ import annotations

import re
import zlib
from typing import Final

HEAD: Final = 1 << 16
"""First bytes of a file from which its format is recognised."""

A_TAR: Final = "a tar"
UNKNOWN: Final = "a file of an unknown format"

_BLOCK: Final = 512
GZIP: Final = b"\x1f\x8b"
_TEXT_LINES: Final = 5
_SEPARATORS: Final = {",": "a CSV table", ";": "a CSV table with semicolons", "\t": "a table with tabs (TSV)"}

_MAGIC: Final = (
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"PK\x03\x04", "a zip file"),
    (b"PAR1", "a Parquet file"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF-", "a PDF document"),
    (b"CDF\x01", "a NetCDF file"),
    (b"CDF\x02", "a NetCDF file"),
    (b"CDF\x05", "a NetCDF file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"version https://git-lfs", "a Git LFS pointer (git lfs pull fetches the file)"),
)
_MARKUP: Final = (
    (re.compile(rb"<!doctype html|<html|<head|<body", re.IGNORECASE), "a web page (HTML)"),
    (re.compile(rb"<\?xml|<error", re.IGNORECASE), "XML, maybe an error message"),
    (re.compile(rb"<!"), "a web page (HTML)"),
)


def decompressed(head: bytes) -> bytes:
    """Return the first bytes of a file, decompressed if it is gzip; at most ``HEAD`` of them."""
    if not head.startswith(GZIP):
        return head[:HEAD]
    try:
        return zlib.decompressobj(31).decompress(head, HEAD)
    except zlib.error:
        return head[:HEAD]


def is_tar(head: bytes) -> bool:
    """Return whether bytes begin with a tar header, by its checksum, or with the end mark of an empty tar."""
    if len(head) < _BLOCK:
        return False
    header = head[:_BLOCK]
    if not any(header):
        return True
    digits = header[148:156].strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        return False
    return sum(header[:148]) + 8 * 32 + sum(header[156:]) == int(digits, 8)


def describe(head: bytes) -> str:
    """Return what the file with these first bytes is, as a noun phrase: ``a web page (HTML)``, ``a Parquet file``."""
    if not head:
        return "an empty file"
    plain = decompressed(head)
    gzipped = "gzip of " if plain is not head and head.startswith(GZIP) and not plain.startswith(GZIP) else ""
    return gzipped + _described(plain)


def _described(head: bytes) -> str:
    if is_tar(head) or head[257:262] == b"ustar":
        return A_TAR
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return what
    for pattern, what in _MARKUP:
        if pattern.match(head.lstrip(b"\xef\xbb\xbf \t\r\n")):
            return what
    return _described_text(head)


def _described_text(head: bytes) -> str:
    text = _text(head)
    if text is None:
        return UNKNOWN
    lines = [line.strip() for line in text.splitlines() if line.strip()][:_TEXT_LINES]
    if not lines or lines[0].startswith(("{", "[")):
        several = len(lines) > 1 and all(line.startswith("{") and line.endswith("}") for line in lines[:-1])
        return "an empty text file" if not lines else "JSON lines" if several else "JSON text"
    for separator, what in _SEPARATORS.items():
        counts = {line.count(separator) for line in lines[:-1] or lines}
        if len(counts) == 1 and counts != {0}:
            return what
    return "a text file"


def _text(head: bytes) -> str | None:
    """Return the first bytes as text, without a character that is cut at the end; ``None`` if they are no text."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return None
        text = head[: error.start].decode("utf-8-sig")
    return None if any(ord(char) < 32 and char not in "\t\r\n\f" for char in text) else text
