"""How to load a dataset, in seven ways, on a page that holds one of them.

A program is the same for all datasets of a schema but for the dataset's name, its address and the list of its shards.
So a page holds the shortest program; the others lie as one text beside the schema's page, about a dataset that doesn't
exist, and a script puts this dataset's words in when somebody chooses a tab. Written out, with their colours, they
would be five sixths of a page.

::

    schemas/…/load.txt     === Typed Python: pip install atdata-catalog
                           …
                           # The dataset
                           dataset = Dataset.from_atproto("at://did:plc:example…")
    catalog/load.txt       for datasets whose schema isn't known, or has too many fields to be written out
    datasets/…/load.txt    where a script couldn't put the words in: drafts, and shards in buckets, blobs and patterns
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalog.codegen import MAX_FIELDS, labels, load_snippets
from catalog.records import HttpStorage
from catalog.site import addresses
from catalog.site.markup import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.codegen import Snippet
    from catalog.schema import SampleType
    from catalog.store.graph import DatasetNode, SchemaNode

__all__ = ["FILE", "NAME", "SHARD", "URI", "folder_of", "own_file", "program_file", "programs_text", "ways"]

FILE: Final = "load.txt"
NOWHERE: Final = "catalog/"
"""Where the programs without a schema lie."""

# The dataset that doesn't exist: load.js knows these words. The address is as long as most are, so that the lines that
# hold it are laid out as for a real one.
NAME: Final = "The dataset"
URI: Final = "at://did:plc:exampleexampleexample234/science.alt.dataset.entry/3exampleexamp"
SHARD: Final = "https://shards.example/dataset-000000.tar"


def folder_of(node: DatasetNode) -> str:
    """The folder of the programs for a dataset, from the site's root."""
    if own_file(node):
        return addresses.of_record("dataset", node.publisher.did, node.rkey)
    return _shared(node.schema)


def own_file(node: DatasetNode) -> bool:
    """Whether a dataset's programs are written out beside its own page."""
    return node.draft or not isinstance(node.record.storage, HttpStorage)


def program_file(schema: SchemaNode | None) -> tuple[str, str] | None:
    """The folder and the text of the programs for the datasets of a schema; none for one of too many fields."""
    if schema is not None and _shared(schema) == NOWHERE:
        return None
    return _shared(schema), _text(None if schema is None else schema.record.sample_type)


def ways(node: DatasetNode) -> tuple[str, ...]:
    """What the programs are called that lie beside the schema's page, as far as this dataset has what they need."""
    storage = node.record.storage
    on_web = isinstance(storage, HttpStorage) and any(
        shard.url.startswith(("http://", "https://")) for shard in storage.shards
    )
    return labels(typed=_shared(node.schema) != NOWHERE, on_web=on_web)[1:]


def programs_text(snippets: Sequence[Snippet]) -> str:
    """All but the first, each under a line that says what it is and what to install."""
    return "\n\n".join(f"=== {s.label}: {s.install}\n\n{shown(s.code, lines=True)}" for s in snippets[1:])


def _text(sample_type: SampleType | None) -> str:
    return programs_text(load_snippets(NAME, URI, sample_type, [SHARD]))


def _shared(schema: SchemaNode | None) -> str:
    if schema is None or len(schema.record.sample_type.fields) > MAX_FIELDS:
        return NOWHERE
    return addresses.of_record("schema", schema.publisher.did, schema.rkey)
