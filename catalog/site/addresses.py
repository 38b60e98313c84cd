"""Page addresses: permanent, and safe as file names on every system.

::

    datasets/did-plc-abc/3kabc/     schemas/did-plc-abc/digitsample-1.0.0~5f0c…/     publishers/did-plc-abc/
    tags/vision/                      licences/cc-by-4.0/

They are built from the DID and the record key, because handles change. What can't stand as it is becomes a slug
with a hash; the ``~`` before the hash never occurs in a plain name, so the two never meet.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

from catalog.records.licences import spdx_id

__all__ = ["HIDDEN_FOLDER", "SECTIONS", "of_licence", "of_publisher", "of_record", "of_tag", "safe", "safe_did"]

SECTIONS: Final = {"dataset": "datasets", "schema": "schemas", "lens": "lenses"}
"""Kind of record → the folder its pages live in."""

HIDDEN_FOLDER: Final = "catalog-shell"
"""The folder of a section's archetypes while the site is built."""
_TAKEN: Final = frozenset({"index.html", "index.json", HIDDEN_FOLDER})
"""Names that the folder of a section has itself. ``page`` isn't one: below it there are only numbers."""

LONGEST: Final = 80
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}(?<!\.)")
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
"""Names that Windows keeps for devices, also with an extension."""
_DIGITS: Final = 16
"""64 bits of hash: finding somebody else's address again must not be cheap."""


def safe(text: str, *, taken: frozenset[str] = frozenset()) -> str:
    """``text`` as one path segment: itself where it is plain, else a slug, ``~`` and 16 hex digits of SHA-256.

    Two texts never share a segment, also where file names ignore case. At most 80 characters. A text that is one of
    ``taken``, names that the folder has already, gets a hash too.
    """
    if _PLAIN.fullmatch(text) and not _RESERVED.fullmatch(text) and text not in taken:
        return text
    slug = re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")[: LONGEST - _DIGITS - 1]
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{slug or 'x'}~{digest}"


@lru_cache(maxsize=4096)
def safe_did(did: str) -> str:
    """A DID as one path segment: ``did:plc:abc`` → ``did-plc-abc``.

    A method holds no ``-``, so the two colons can be told back; an identifier with more of them gets a hash.
    """
    match = re.fullmatch(r"did:([a-z]+):([^:]+)", did)
    plain = f"did-{match[1]}-{match[2]}" if match else did
    return plain if match and safe(plain) == plain else safe(did)


def of_record(kind: str, did: str, rkey: str) -> str:
    """The address of a record's page, relative to the site's root, with its closing slash."""
    return f"{SECTIONS[kind]}/{safe_did(did)}/{safe(rkey)}/"


def of_publisher(did: str) -> str:
    """The address of an account's page."""
    return f"publishers/{safe_did(did)}/"


def of_tag(tag: str) -> str:
    """The address of the page of what bears a tag."""
    return f"tags/{safe(tag, taken=_TAKEN)}/"


def of_licence(name: str) -> str:
    """The address of the page of what is under a licence."""
    return f"licences/{safe(name.lower() if spdx_id(name) == name else name, taken=_TAKEN)}/"
