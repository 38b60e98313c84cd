"""The identifiers of the AT Protocol: one class and one strict ``parse`` each.
https://atproto.com/specs/lexicon#string-formats

An **authority** is a DID or a handle. A **collection** is named by an NSID. A **record key** names a record in its
collection. An **AT-URI** is the three together. A **TID** is a time that is also a record key.

Every identifier is a ``str`` with nothing added. Only ``parse`` checks; calling the class (``Did(text)``) doesn't, and
is for text that was checked before.

- Parsing changes nothing: no trimming, no lower-casing. Handles compare by :attr:`Handle.normalised`.
- Nothing here looks anything up. A well-formed DID may not exist.
- A CID may be in any multibase, but only the base32 form, which atproto writes, can be taken apart.

All raise :class:`~catalog.errors.InvalidSyntax`.
"""

from __future__ import annotations

from catalog.syntax.atidentifier import AtIdentifier
from catalog.syntax.aturi import AtUri
from catalog.syntax.cid import DAG_CBOR, RAW, Cid
from catalog.syntax.did import Did
from catalog.syntax.handle import Handle
from catalog.syntax.instant import Datetime
from catalog.syntax.language import Language
from catalog.syntax.nsid import Nsid
from catalog.syntax.recordkey import RecordKey
from catalog.syntax.tid import Tid
from catalog.syntax.uri import Uri

__all__ = [
    "DAG_CBOR",
    "RAW",
    "AtIdentifier",
    "AtUri",
    "Cid",
    "Datetime",
    "Did",
    "Handle",
    "Language",
    "Nsid",
    "RecordKey",
    "Tid",
    "Uri",
]
