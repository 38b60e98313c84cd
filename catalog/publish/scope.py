"""The permissions that a login for publishing asks for: the records of our collections and their blobs, no more."""

from __future__ import annotations

from typing import Final

from catalog.manifest.blobs import MEDIA_TYPES
from catalog.records import COLLECTIONS

PUBLISH_SCOPE: Final = " ".join(
    ("atproto", *(f"repo:{name}" for name in COLLECTIONS), *(f"blob:{name}" for name in MEDIA_TYPES))
)
"""As OAuth has it: https://atproto.com/specs/permission"""
