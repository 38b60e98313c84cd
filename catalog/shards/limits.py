"""Limits on samples and shards, the same for reading and for writing.

::

    MAX_MEMBER        bytes of one sample, and of one member of a tar
    MAX_MEMBERS       members of one sample in a WebDataset
    MAX_NAME          bytes of the extended headers that hold a member's name

Readers refuse more than this because a file may state any number. ``write_shards`` refuses it too, so that everything
that it writes can be read.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_MEMBER", "MAX_MEMBERS", "MAX_NAME"]

MAX_MEMBER: Final = 1 << 30
MAX_MEMBERS: Final = 10_000
MAX_NAME: Final = 1 << 20
