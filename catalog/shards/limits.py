"""Limits on samples and shards, the same for reading and for writing: everything that is written can be read."""

from __future__ import annotations

from typing import Final

MAX_MEMBER: Final = 1 << 30
MAX_MEMBERS: Final = 10_000
MAX_NAME: Final = 1 << 20
MAX_LIST: Final = 1 << 20
MAX_ARRAY_DEPTH: Final = 16
MAX_ARRAY_HEADER: Final = 16_384
"""numpy's own limit is 10,000."""
