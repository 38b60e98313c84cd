"""The permissions that a login for publishing asks for: the records of our collections and their blobs, no more."""

from __future__ import annotations

from typing import Final

from catalog.manifest.blobs import TAR
from catalog.records import COLLECTIONS

PUBLISH_SCOPE: Final = " ".join(("atproto", *(f"repo:{name}" for name in COLLECTIONS), f"blob:{TAR}"))
"""As OAuth has it: https://atproto.com/specs/permission"""
