"""How to load a dataset, in seven ways, on a page that holds one of them.

A program is the same for all datasets of a schema but for one part: the address that is opened, or the list of the
shards. So a dataset's page holds the shortest program and those parts; the others lie beside the schema's page, once,
and a script puts the two together when somebody chooses a tab. Written out, they would be five sixths of a page.

::

    schemas/…/load.json    {"parts": [html, …], "programs": [{"label", "language", "install", "parts", "listing"}, …]}
    schemas/…/load.txt     the same to read without scripts, with a shard that doesn't exist
    datasets/…/index.html  {"ways": [label, …], "about": [line, …], "urls": [url, …], "own": {label: code}}
    catalog/load.json      for datasets whose schema isn't known, or has too many fields to be written out

A program's ``parts`` are numbers of texts, null where the dataset's own belongs: three programs share most of theirs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from catalog.codegen import MAX_FIELDS, MAX_URLS, about, load_snippets, plain_urls
from catalog.site import addresses
from catalog.site.highlight import highlight
from catalog.site.markup import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.codegen import Snippet
    from catalog.graph import SchemaNode
    from catalog.sampletype import SampleType

__all__ = ["FILES", "FOLDER", "folder_of", "own_parts", "program_files"]

FILES: Final = ("load.json", "load.txt")
FOLDER: Final = "catalog/"
"""Where the programs without a schema lie."""

_URI: Final = "at://did:web:publisher.example/science.alt.dataset.entry/record"
_URL: Final = "https://publisher.example/shard-000000.tar"


def folder_of(schema: SchemaNode | None) -> str:
    """The folder of the programs for a dataset of this schema, from the site's root."""
    if schema is None or len(schema.record.sample_type.fields) > MAX_FIELDS:
        return FOLDER
    return addresses.of_record("schema", schema.publisher.did, schema.rkey)


def program_files(sample_type: SampleType | None) -> tuple[tuple[str, str], ...]:
    """``load.json`` and ``load.txt`` for the datasets of a schema; none for one of too many fields."""
    if sample_type is not None and len(sample_type.fields) > MAX_FIELDS:
        return ()
    _, *snippets = load_snippets("The dataset", _URI, sample_type, [_URL])
    texts: dict[str, int] = {}
    programs = [_program(snippet, texts) for snippet in snippets]
    held = json.dumps({"parts": list(texts), "programs": programs}, separators=(",", ":"), ensure_ascii=False)
    text = "\n\n".join(f"=== {s.label}: {s.install}\n\n{shown(s.code, lines=True)}" for s in snippets)
    return (("load.json", held), ("load.txt", text))


def _program(snippet: Snippet, texts: dict[str, int]) -> dict[str, object]:
    parts = [
        None if number == snippet.own else texts.setdefault(str(highlight(part, snippet.language)), len(texts))
        for number, part in enumerate(snippet.parts)
    ]
    listing = snippet.listing
    return {
        "label": snippet.label,
        "language": snippet.language,
        "install": snippet.install,
        "parts": parts,
        **({} if listing is None else {"listing": [listing.mark, listing.opening, listing.indent, listing.closing]}),
    }


def own_parts(snippets: Sequence[Snippet], name: str, urls: Sequence[str]) -> str:
    """What a dataset's page holds of all its ``snippets`` but the first: JSON, fit to stand in a ``<script>``."""
    web = plain_urls(urls)
    own = {s.label: shown(s.parts[s.own], lines=True) for s in snippets[1:] if s.listing is None}
    held: dict[str, object] = {"ways": [s.label for s in snippets[1:]], "own": own}
    if web:
        held |= {"about": [shown(line) for line in about(name, None, len(web))], "urls": web[:MAX_URLS]}
    if snippets[0].install.endswith('s3]"'):  # the schema's programs can't know of it
        held["install"] = {s.label: s.install for s in snippets[1:] if s.listing is None}
    return json.dumps(held, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
