"""A schema's page: its fields, generated code, versions, the records that use it, and the lenses from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from catalog.codegen import MAX_FIELDS, generate
from catalog.lenses.paths import best_paths
from catalog.schema.identifiers import class_name, snake_case
from catalog.site import versions
from catalog.site.fieldrows import field_rows
from catalog.site.highlight import highlight
from catalog.site.markup import shown
from catalog.site.pages.network import address_of

if TYPE_CHECKING:
    from catalog.site.templates import Page, Templates
    from catalog.store.graph import LensNode, SchemaNode

_MOST_LISTED: Final = 12
_MOST_LENSES: Final = 50
_MOST_PATHS: Final = 50
_LONGEST_PATH: Final = 3
"""Lenses one after the other: each may lose something."""
_MOST_VERSIONS: Final = 20
_MOST_TEXT: Final = 50_000
"""Characters of a schema in another language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A language: as ``catalog codegen`` and as people call it, and the end of its file's name."""

    language: str
    label: str
    suffix: str

    @property
    def file(self) -> str:
        """Return the name of the file beside the page."""
        return f"code.{self.suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LensPath:
    """A path: its ``lenses`` in the order of their application, and the schema at its other ``end``."""

    end: SchemaNode
    lenses: tuple[LensNode, ...]

    @property
    def vouched(self) -> bool:
        """Return whether every lens of the path is verified."""
        return all(lens.vouched for lens in self.lenses)


CODE: Final = (
    Code(language="python", label="Python", suffix="py"),
    Code(language="pydantic", label="Pydantic", suffix="pydantic.py"),
    Code(language="typescript", label="TypeScript", suffix="ts"),
    Code(language="rust", label="Rust", suffix="rs"),
    Code(language="jsonschema", label="JSON Schema", suffix="schema.json"),
)


def schema_page(templates: Templates, node: SchemaNode) -> Page:
    """Return the page of one version of a schema."""
    sample_type = node.record.sample_type
    files = _code(node)
    before, others = versions.others(node)
    onward, more_onward = lens_paths(node)
    back, more_back = lens_paths(node, backwards=True)
    return templates.record_page(
        node,
        files=files,
        fields=field_rows(sample_type),
        foreign=sample_type.foreign,
        foreign_text=None if sample_type.foreign is None else _indented(sample_type.foreign.text),
        codes=CODE if files else (),
        code=highlight(str(files[0][1]), "python") if files else None,
        stem=snake_case(class_name(sample_type.name)) or "sample",
        newest=node.versions[0],
        listed=_listed(node),
        before=before,
        others=others,
        datasets=node.datasets[:_MOST_LISTED],
        dataset_total=len(node.datasets),
        lenses_from=node.lenses_from[:_MOST_LENSES],
        lenses_to=node.lenses_to[:_MOST_LENSES],
        # Paths of one lens are listed as lenses.
        onward=tuple(path for path in onward if len(path.lenses) > 1),
        back=tuple(path for path in back if len(path.lenses) > 1),
        more_onward=more_onward,
        more_back=more_back,
        network=address_of(node),
    )


def _code(node: SchemaNode) -> tuple[tuple[str, str], ...]:
    """Each language's file; none for a type of too many fields (it would be megabytes), or of unknown ones."""
    if node.record.sample_type.foreign is not None or len(node.record.sample_type.fields) > MAX_FIELDS:
        return ()
    uri = None if node.draft else str(node.uri)
    cid = None if node.draft else node.cid
    return tuple((code.file, generate(node.record.sample_type, code.language, uri=uri, cid=cid)) for code in CODE)


def _indented(text: str) -> Markup:
    found = shown(json.dumps(json.loads(text), ensure_ascii=False, indent=2), lines=True)
    return escape(found if len(found) <= _MOST_TEXT else f"{found[:_MOST_TEXT]}…")


def _listed(node: SchemaNode) -> tuple[SchemaNode, ...]:
    newest = node.versions[:_MOST_VERSIONS]
    return newest if node in newest else (*newest, node)


def lens_paths(
    schema: SchemaNode, *, backwards: bool = False, longest: int = _LONGEST_PATH, most: int = _MOST_PATHS
) -> tuple[tuple[LensPath, ...], bool]:
    """Return the best path to (``backwards``: from) each schema, and whether there are more than ``most``."""

    def leaving(here: SchemaNode) -> Iterator[tuple[LensNode, SchemaNode]]:
        for lens in here.back if backwards else here.onward:
            end = lens.source if backwards else lens.target
            if end is not None:
                yield lens, end

    found = best_paths(schema, leaving, lambda lens: (not lens.vouched, str(lens.uri)), longest=longest, most=most)
    paths = [LensPath(end=end, lenses=path[::-1] if backwards else path) for end, path in found.items() if path]
    return tuple(paths[:most]), len(paths) > most
