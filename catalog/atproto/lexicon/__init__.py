"""Lexicons: the schemas of records and of answers to queries, and validation against them.

*Terminology.* A **lexicon** is a JSON document named by an NSID. Its **definitions** have names: ``main``, written
as the NSID alone, and others, written ``nsid#name``. A **ref** points at a definition. A **union** takes an object
of one of several definitions, identified by its ``$type``; an **open** union (the default) also accepts unknown types.
A **token** is a definition without content: a name with a meaning.

*Tricky bits.*

- Unknown fields are allowed everywhere, so that records can be extended.
- Lengths of strings are UTF-8 bytes, and separately grapheme clusters: what people call characters.
- ``const: false`` and ``maximum: 0`` are constraints like any other.
- Validation is strict. :mod:`catalog.records` repairs the known mistakes of existing clients before it validates.

Specification: https://atproto.com/specs/lexicon
"""

from __future__ import annotations

from catalog.atproto.lexicon.lexicons import Lexicons, lexicon_documents
from catalog.atproto.lexicon.query import Parameter, Query, Value
from catalog.atproto.lexicon.report import MAX_FAULTS

__all__ = ["MAX_FAULTS", "Lexicons", "Parameter", "Query", "Value", "lexicon_documents"]
