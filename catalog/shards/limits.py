"""Limits on samples and shards, the same for reading and for writing.

::

    MAX_MEMBER        bytes of one sample, and of one member of a tar
    MAX_MEMBERS       members of one sample in a WebDataset
    MAX_NAME          bytes of the extended headers that hold a member's name
    MAX_LIST          items of one list in msgpack, which allocates as many as a header states
    MAX_ARRAY_DEPTH   lists and maps around an array
    MAX_ARRAY_HEADER  bytes of the header of an array: a structured dtype has about 25 for each field

Readers refuse more than this because a file may state any number. ``write_shards`` refuses it too, so that everything
that it writes can be read.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_ARRAY_DEPTH", "MAX_ARRAY_HEADER", "MAX_LIST", "MAX_MEMBER", "MAX_MEMBERS", "MAX_NAME"]

MAX_MEMBER: Final = 1 << 30
MAX_MEMBERS: Final = 10_000
MAX_NAME: Final = 1 << 20
MAX_LIST: Final = 1 << 20
MAX_ARRAY_DEPTH: Final = 16
MAX_ARRAY_HEADER: Final = 16_384
"""numpy's own limit is 10,000."""
