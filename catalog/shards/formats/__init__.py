"""Formats of shards, one module each, recognised by the first bytes of a file.

::

    format       the interface
    msgpack      a tar with one msgpack map a sample, KEY.msgpack
    webdataset   a tar with a member a field, KEY.jpg KEY.cls          members   the rule for both: key and field
    parquet      a table, a row a sample ─ arrow_columns: columns to Python values
    csv, jsonl   text tables ─ text: bounded lines; json_values: strict JSON
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from catalog.errors import InvalidShard
from catalog.shards.formats.csv import CSV
from catalog.shards.formats.format import Format, Raw, Stated
from catalog.shards.formats.jsonl import JSONL
from catalog.shards.formats.msgpack import MSGPACK
from catalog.shards.formats.parquet import PARQUET
from catalog.shards.formats.webdataset import WEBDATASET
from catalog.shards.magic import decompressed, describe
from catalog.shards.source import peek

if TYPE_CHECKING:
    from catalog.shards.source import Source

__all__ = ["FORMATS", "Format", "Raw", "Stated", "describe", "format_of", "opened"]

_ALL: Final = (MSGPACK, WEBDATASET, PARQUET, JSONL, CSV)
FORMATS: Final[Mapping[str, Format]] = MappingProxyType({one.name: one for one in _ALL})
"""The known formats by name."""


def format_of(head: bytes) -> Format | None:
    """Return the format of a file by its first bytes (:data:`~catalog.shards.magic.HEAD` of them), never by its name.

    gzip is decompressed first. ``None`` if no format recognises it; :func:`describe` then says what it is.
    """
    plain = decompressed(head)
    return next((one for one in FORMATS.values() if one.recognises(plain)), None)


def opened(source: Source, stated: str | None, where: str) -> tuple[Format, Source]:
    """Return the format of a shard and the source to read it from.

    ``stated`` is the format that its record or manifest names; without one it is recognised. Raises
    :class:`InvalidShard` for an unknown name; a file that no format recognises is read as ``msgpack``, which says what
    it is.
    """
    if stated is None:
        head, source = peek(source)
        return format_of(head) or MSGPACK, source
    found = FORMATS.get(stated)
    if found is None:
        hint = f"this version reads {', '.join(FORMATS)}; a newer one may read it"
        raise InvalidShard(f"the format {stated[:60]!a} is not known", where=where, hint=hint)
    return found, source
