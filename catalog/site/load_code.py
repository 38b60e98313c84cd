"""Programs that load a dataset with seven tools; the page contains one of them.

The programs for two datasets of a schema differ only in the dataset's name, address and list of shards. So a page
contains the shortest program, and the others are in one ``load.txt`` beside the schema's page, with placeholders that a
script replaces when the reader selects a tab. In each page, highlighted, they would be five sixths of its size. A page
contains them, not highlighted, if a script can't fill in the placeholders: those of drafts, of formats other than
msgpack, and of shards in buckets, blobs and patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from catalog.codegen import MAX_FIELDS, labels, load_snippets
from catalog.records import HttpStorage
from catalog.shards.locations import expanded
from catalog.site import addresses
from catalog.site.markup import shown

if TYPE_CHECKING:
    from catalog.codegen import Snippet
    from catalog.schema import SampleType
    from catalog.store.graph import DatasetNode, SchemaNode

FILE: Final = "load.txt"
NOWHERE: Final = "catalog/"
"""The folder of the programs without a schema."""

# The dataset that doesn't exist: load.js knows these words. The address is as long as most are, so that the lines that
# hold it are laid out as for a real one.
NAME: Final = "The dataset"
URI: Final = "at://did:plc:exampleexampleexample234/science.alt.dataset.entry/3exampleexamp"
SHARD: Final = "https://shards.example/dataset-000000.tar"


def folder_of(node: DatasetNode) -> str:
    """Return the folder of the programs for a dataset without its own, relative to the site's root."""
    return _shared(node.schema)


def own_programs(node: DatasetNode) -> bool:
    """Return whether the page of a dataset contains its programs."""
    storage = node.record.storage
    listed = isinstance(storage, HttpStorage) and expanded(storage, strict=False) is storage
    return node.draft or not listed or node.record.sample_format != "msgpack"


def program_file(schema: SchemaNode | None) -> tuple[str, str] | None:
    """Return folder and text of a schema's programs; None if it has too many fields, or they are not known."""
    if schema is not None and _shared(schema) == NOWHERE:
        return None
    return _shared(schema), _text(None if schema is None else schema.record.sample_type)


def ways(node: DatasetNode) -> tuple[str, ...]:
    """Return the labels of the programs beside the schema's page that this dataset supports."""
    storage = node.record.storage
    on_web = isinstance(storage, HttpStorage) and any(
        shard.url.startswith(("http://", "https://")) for shard in storage.shards
    )
    return labels(typed=_shared(node.schema) != NOWHERE, on_web=on_web)[1:]


def programs_text(snippets: Sequence[Snippet]) -> str:
    """Return all programs but the first, each below a line with its label and the packages to install."""
    return "\n\n".join(f"=== {s.label}: {s.install}\n\n{shown(s.code, lines=True)}" for s in snippets[1:])


def _text(sample_type: SampleType | None) -> str:
    return programs_text(load_snippets(NAME, URI, sample_type, [SHARD]))


def _shared(schema: SchemaNode | None) -> str:
    if schema is None or schema.record.sample_type.foreign or len(schema.record.sample_type.fields) > MAX_FIELDS:
        return NOWHERE
    return addresses.of_record("schema", schema.publisher.did, schema.rkey)
