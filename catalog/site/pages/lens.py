"""A lens's page: its two schemas side by side, usage, links to its code, verifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.codegen import lens_snippet
from catalog.site.code_links import code_url
from catalog.site.fieldrows import field_rows, paired
from catalog.site.pages.network import address_of

if TYPE_CHECKING:
    from catalog.codegen import Snippet
    from catalog.site.templates import Page, Templates
    from catalog.store.graph import DatasetNode, LensNode, SchemaNode
    from catalog.syntax import AtUri

_MOST_LISTED: Final = 6
_MOST_VERIFICATIONS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The source or target of a lens: its schema if the catalog has it, the required version, and its datasets."""

    word: str
    schema: SchemaNode | None
    uri: AtUri
    wanted: str | None

    @property
    def datasets(self) -> list[DatasetNode]:
        """The newest datasets."""
        return [] if self.schema is None else self.schema.datasets[:_MOST_LISTED]


def lens_page(templates: Templates, node: LensNode) -> Page:
    """Return the page of a lens."""
    lens, source, target = node.record, node.source, node.target
    known = source or target
    both = None
    if source is not None and target is not None:
        both = paired(source.record.sample_type, target.record.sample_type)
    return templates.record_page(
        node,
        sides=(
            Side(word="Source", schema=source, uri=lens.source, wanted=lens.source_version),
            Side(word="Target", schema=target, uri=lens.target, wanted=lens.target_version),
        ),
        pairs=() if both is None else both[0],
        pair_total=0 if both is None else both[1],
        fields=None if both is not None or known is None else field_rows(known.record.sample_type),
        snippet=_snippet(node),
        codes=[(word, code, code_url(code)) for word, code in (("Getter", lens.getter), ("Putter", lens.putter))],
        verifications=node.verifications[:_MOST_VERIFICATIONS],
        network=None if source is None or target is None else address_of(node),
    )


def _snippet(node: LensNode) -> Snippet | None:
    """Return the program that uses the lens; a draft has no address to load it from."""
    if node.draft:
        return None
    datasets = () if node.source is None else (found for found in node.source.datasets if not found.draft)
    first = next(iter(datasets), None)
    return lens_snippet(node.record, str(node.uri), None if first is None else (first.record.name, str(first.uri)))
