"""Lexicons: what a record, or an answer to a query, must look like, and what is wrong with one that doesn't.

*Terminology.* A **lexicon** is a JSON document named by an NSID. Its **definitions** have names: ``main``, written
as the NSID alone, and others, written ``nsid#name``. A **ref** points at a definition. A **union** takes an object
of one of several definitions, told by its ``$type``; an **open** union (the default) also takes types it doesn't
know. A **token** is a definition without content: a word with a meaning.

*Tricky bits.*

- Unknown fields are allowed everywhere; that is how records grow.
- Lengths of strings are UTF-8 bytes, and separately grapheme clusters: what people call characters.
- ``const: false`` and ``maximum: 0`` are constraints like any other.
- Validating is strict. Forgiving what existing clients get wrong is the business of ``records``, which repairs a
  value before it is validated.

Specification: https://atproto.com/specs/lexicon
"""

from __future__ import annotations

from catalog.atproto.lexicon.lexicons import Lexicons, lexicon_documents
from catalog.atproto.lexicon.query import Parameter, Query, Value
from catalog.atproto.lexicon.report import MAX_FAULTS

__all__ = ["MAX_FAULTS", "Lexicons", "Parameter", "Query", "Value", "lexicon_documents"]
