"""Lexicons: the schemas of records and of responses to queries, and validation against them.

A **lexicon** is a JSON document named by an NSID. Its **definitions** are named ``main`` (written as the NSID alone) or
otherwise (``nsid#name``). A **ref** points at a definition. A **union** takes an object of one of several definitions,
identified by its ``$type``; an **open** union (the default) also accepts unknown types. A **token** is a definition
without content: a name with a meaning.

Unknown fields are allowed everywhere. Lengths of strings are UTF-8 bytes, and separately grapheme clusters. Validation
is strict; :mod:`catalog.records` corrects the known deviations of existing clients first.

Specification: https://atproto.com/specs/lexicon
"""

from __future__ import annotations

from catalog.atproto.lexicon.lexicons import Lexicons, lexicon_documents
from catalog.atproto.lexicon.query import Parameter, Query, Value
from catalog.atproto.lexicon.report import MAX_FAULTS

__all__ = ["MAX_FAULTS", "Lexicons", "Parameter", "Query", "Value", "lexicon_documents"]
