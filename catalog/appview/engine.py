"""The search engine, or a word on how to install it."""

from __future__ import annotations

from catalog.errors import MissingExtra

try:
    import tantivy
except ImportError:
    hint = "pip install 'atdata-catalog[appview]'"
    raise MissingExtra("the AppView needs a search engine", where="tantivy", hint=hint) from None

__all__ = ["tantivy"]
