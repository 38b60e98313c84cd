"""Page addresses: permanent, and safe as file names on every system.

They are built from the DID and the record key, because handles change. A name that isn't safe becomes a slug with a
hash (``schemas/did-plc-abc/digitsample-1.0.0~5f0c…/``). No plain name contains ``~``, so the two never collide.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

from catalog.records.licences import spdx_id

SECTIONS: Final = {"dataset": "datasets", "schema": "schemas", "lens": "lenses"}
"""Kind of record → the folder of its pages."""

HIDDEN_FOLDER: Final = "catalog-shell"
"""The folder of a section's archetypes while the site is built."""
_TAKEN: Final = frozenset({"index.html", "index.json", HIDDEN_FOLDER})
"""Reserved names in the folder of a section. ``page`` isn't one: it contains only numbers."""

LONGEST: Final = 80
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}(?<!\.)")
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
"""Device names of Windows, with or without an extension."""
_DIGITS: Final = 16
"""64 bits: a collision with another record's address must not be cheap to find."""


def safe(text: str, *, taken: frozenset[str] = frozenset()) -> str:
    """Return the text as one path segment: unchanged if it is plain, else a slug, ``~`` and 16 hex digits of SHA-256.

    Two texts never share a segment, also on file systems that ignore case. At most 80 characters. A text that is in
    ``taken``, the reserved names of the folder, gets a hash too.
    """
    if _PLAIN.fullmatch(text) and not _RESERVED.fullmatch(text) and text not in taken:
        return text
    slug = re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")[: LONGEST - _DIGITS - 1]
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{slug or 'x'}~{digest}"


@lru_cache(maxsize=4096)
def safe_did(did: str) -> str:
    """Return a DID as one path segment: ``did:plc:abc`` → ``did-plc-abc``.

    A method contains no ``-``, so the conversion is reversible; an identifier with more colons gets a hash.
    """
    match = re.fullmatch(r"did:([a-z]+):([^:]+)", did)
    plain = f"did-{match[1]}-{match[2]}" if match else did
    return plain if match and safe(plain) == plain else safe(did)


def of_source(path: str) -> str:
    """Return the address of the page of a Markdown file: ``tags/`` for ``tags.md`` and ``tags/README.md``.

    Other files have their own path as address.
    """
    folder, _, name = path.rpartition("/")
    if not name.endswith((".md", ".markdown")):
        return path
    stem = name.rpartition(".")[0]
    parts = [part for part in (folder, "" if stem in {"index", "README"} else stem) if part]
    return "".join(f"{part}/" for part in parts)


def of_record(kind: str, did: str, rkey: str) -> str:
    """Return the address of a record's page, relative to the site's root, with a trailing slash."""
    return f"{SECTIONS[kind]}/{safe_did(did)}/{safe(rkey)}/"


def of_publisher(did: str) -> str:
    """Return the address of an account's page."""
    return f"publishers/{safe_did(did)}/"


def of_tag(tag: str) -> str:
    """Return the address of a tag's page."""
    return f"tags/{safe(tag, taken=_TAKEN)}/"


def of_licence(name: str) -> str:
    """Return the address of a licence's page."""
    return f"licences/{safe(name.lower() if spdx_id(name) == name else name, taken=_TAKEN)}/"
