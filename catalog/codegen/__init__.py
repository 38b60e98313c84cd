"""From a sample type to source text: types in five languages, and snippets that load a dataset.

::

    sample type ──▶ python.py  pydantic.py  typescript.py  rust.py  jsonschema.py     views: safe source fragments
                                   │
                    templates.py ◀─╯ site_templates/codegen/*.jinja, or a user's      ──▶ text
    generation.py   one file by itself (generate), or many as a package (package)
    layout.py       brackets on one line or several · text.py  literals and comments

All names and texts are somebody else's. Names become plain identifiers (the wire name is kept beside them), texts are
escaped so that no line break, control or bidi character reaches the source as itself. What comes out always parses,
and the same input gives the same text.
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
