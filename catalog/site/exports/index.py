"""At the site's root: what is here, for programs and for language models.

::

    catalog.json              numbers, and where everything else is
    catalog/records-1.json …  all records, a thousand each: URI, CID, kind, name, page
    llms.txt                  the same in words (https://llmstxt.org/)
    robots.txt                where the sitemap is, unless the owner wrote one
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from catalog.site import addresses, figures
from catalog.site.exports.words import compact
from catalog.site.nodes import kind_of, name_of, summary_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from catalog.graph import Graph, Node
    from catalog.site.settings import SiteSettings

__all__ = ["index_files", "robots"]

_EACH: Final = 1000
_FEW: Final = 20


def index_files(graph: Graph, settings: SiteSettings) -> Iterator[tuple[str, Callable[[], str]]]:
    """Paths from the site's root, and what makes each file."""
    nodes = graph.nodes
    parts = [nodes[start : start + _EACH] for start in range(0, len(nodes), _EACH)]
    yield "catalog.json", partial(_catalog, graph, settings, len(parts))
    yield "llms.txt", partial(_llms, graph, settings)
    for number, part in enumerate(parts, 1):
        yield f"catalog/records-{number}.json", partial(_records, part)


def robots(settings: SiteSettings) -> str:
    """Everybody may read everything, and the sitemap says what there is."""
    sitemap = settings.absolute("sitemap.xml")
    return "User-agent: *\nAllow: /\n" + ("" if sitemap is None else f"Sitemap: {sitemap}\n")


def _catalog(graph: Graph, settings: SiteSettings, parts: int) -> str:
    held = {
        "name": settings.name,
        "description": settings.description,
        "url": settings.url,
        "counts": {
            "datasets": len(graph.datasets),
            "schemas": len(graph.schemas),
            "lenses": len(graph.lenses),
            "publishers": len(graph.publishers),
        },
        "records": [f"catalog/records-{number}.json" for number in range(1, parts + 1)],
        "dcat": "catalog.ttl",
        "feed": None if settings.url is None else "feed.xml",
        "page": {"record": "index.json", "croissant": "croissant.json"},
    }
    return compact(held) + "\n"


def _records(nodes: Sequence[Node]) -> str:
    rows = [
        {
            "uri": str(node.uri),
            "cid": node.cid,
            "kind": kind_of(node),
            "name": name_of(node),
            "page": addresses.of_record(kind_of(node), node.publisher.did, node.rkey),
        }
        for node in nodes
    ]
    return compact(rows) + "\n"


def _llms(graph: Graph, settings: SiteSettings) -> str:
    def link(address: str) -> str:
        return settings.absolute(address) or f"/{address}"

    datasets = "".join(
        f"- [{_plain(name_of(node))}]({link(addresses.of_record('dataset', node.publisher.did, node.rkey))}index.json)"
        f": {_plain(summary_of(node))}\n"
        for node in graph.datasets[:_FEW]
    )
    return f"""# {_plain(settings.name)}

> {_plain(settings.description) or "Datasets published on the AT Protocol."}

A catalog of {figures.counted(len(graph.datasets), "dataset")}, {figures.counted(len(graph.schemas), "schema")} \
(types of samples) and {figures.counted(len(graph.lenses), "lens")} (transformations between schemas). Each is a \
record in its publisher's own repository, with a permanent at:// URI. Data lie in WebDataset shards; a sample is a \
msgpack map.

Every page has an `index.json` beside it with the record, its CID and whether it was proven against a signed commit; a \
dataset's page has a `croissant.json` too. In Python: `from catalog import Dataset; Dataset.from_atproto("at://…")`.

## Machine-readable

- [All records]({link("catalog.json")}): numbers, and lists of every record's URI, CID, name and page
- [DCAT]({link("catalog.ttl")}): the catalog as RDF
- [Sitemap]({link("sitemap.xml")})

## Newest datasets

{datasets}"""


def _plain(text: str) -> str:
    """On one line, without what Markdown would take for a link."""
    return " ".join(text.replace("[", "(").replace("]", ")").split())
