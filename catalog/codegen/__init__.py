"""Code generation from a sample type: types in five languages, and snippets that load a dataset.

Names and texts are untrusted. Names become plain identifiers (the wire name is kept beside them), and texts are escaped
so that no raw line break, control or bidi character reaches the source. The output always parses and is deterministic.
"""

from __future__ import annotations

from catalog.codegen.generation import LANGUAGES, Source, generate, package
from catalog.codegen.python import python_class
from catalog.codegen.snippets import (
    INSTALL,
    MAX_FIELDS,
    MAX_URLS,
    Snippet,
    labels,
    load_snippets,
    plain_urls,
    shortest_snippet,
)
from catalog.codegen.snippets.lens import lens_snippet

__all__ = [
    "INSTALL",
    "LANGUAGES",
    "MAX_FIELDS",
    "MAX_URLS",
    "Snippet",
    "Source",
    "generate",
    "labels",
    "lens_snippet",
    "load_snippets",
    "package",
    "plain_urls",
    "python_class",
    "shortest_snippet",
]
