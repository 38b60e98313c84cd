"""From a sample type to source text: classes, and snippets that load a dataset.

All names and texts are somebody else's. Names become plain identifiers (the wire name is kept beside them), texts are
escaped so that no line break, control or bidi character reaches the source as itself. What comes out always parses,
and the same input gives the same text.
"""

from __future__ import annotations

from catalog.codegen.python import python_class
from catalog.codegen.snippets import INSTALL, Snippet, load_snippets

__all__ = ["INSTALL", "Snippet", "load_snippets", "python_class"]
