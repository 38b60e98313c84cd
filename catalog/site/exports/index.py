"""Index files at the site's root, for programs and for language models.

``catalog.json`` lists the addresses of all others, relative to the site's root.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from catalog import formatting
from catalog.site import addresses
from catalog.site.exports import common
from catalog.site.exports.feeds import has_feed
from catalog.site.exports.record_json import LARGEST
from catalog.site.nodes import kind_of, name_of, summary_of

if TYPE_CHECKING:
    from catalog.site.groups import Group, Groups
    from catalog.site.omitted import LeftOut
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import Graph, Node

_EACH: Final = 1000
_LIST_CHARACTERS: Final = 4_000_000
"""Characters of the records in a list."""
_FEW: Final = 20
_MOST_REFUSED: Final = 1000
_SECTIONS: Final = (*addresses.SECTIONS.values(), "publishers", "tags", "licences", "status")


def index_files(graph: Graph, groups: Groups, settings: SiteSettings) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the files: path from the site's root, and the function that returns the text."""
    nodes = graph.nodes
    parts = _parts(nodes)
    yield "catalog.json", partial(_catalog, graph, settings, len(parts))
    yield "llms.txt", partial(_llms, graph, settings)
    for kind, count in (("dataset", len(graph.datasets)), ("schema", len(graph.schemas)), ("lens", len(graph.lenses))):
        lists = [_list(number) for number, part in enumerate(parts, 1) if any(kind_of(node) == kind for node in part)]
        yield f"{addresses.SECTIONS[kind]}/index.json", partial(_kind, kind, count, lists)
    yield "publishers/index.json", partial(_publishers, graph, groups)
    yield "tags/index.json", partial(_groups, "tags", groups.tags)
    yield "licences/index.json", partial(_groups, "licences", groups.licences)
    for number, part in enumerate(parts, 1):
        yield f"catalog/records-{number}.json", partial(_records, part)


def robots(settings: SiteSettings) -> str:
    """Return ``robots.txt``: everything may be crawled; the sitemap lists the pages."""
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
        "records": [_list(number) for number in range(1, parts + 1)],
        "sections": {section: f"{section}/index.json" for section in _SECTIONS},
        "facets": "catalog/facets.json",
        "network": "catalog/network.json",
        "dcat": "catalog.ttl",
        "feed": "feed.xml" if has_feed(graph, settings) else None,
        "sitemap": None if settings.url is None else "sitemap.xml",
        "page": {"record": "index.json", "croissant": "croissant.json"},
    }
    return formatting.compact_json(held) + "\n"


def _list(number: int) -> str:
    return f"catalog/records-{number}.json"


def _parts(nodes: Sequence[Node]) -> list[list[Node]]:
    """Return the records of each list: up to a thousand, or as many as fit into a file."""
    parts: list[list[Node]] = []
    characters = 0
    for node in nodes:
        size = node.bulk if node.bulk <= LARGEST else 0
        if not parts or len(parts[-1]) == _EACH or characters + size > _LIST_CHARACTERS:
            parts.append([])
            characters = 0
        parts[-1].append(node)
        characters += size
    return parts


def _kind(kind: str, count: int, lists: Sequence[str]) -> str:
    """Return the number of the records of a kind, and the lists that have them."""
    return formatting.compact_json({"kind": kind, "count": count, "records": lists}) + "\n"


def _publishers(graph: Graph, groups: Groups) -> str:
    rows = [
        {"did": did, "handle": graph.publishers[did].handle, "records": len(group.nodes), "page": group.address}
        for did, group in groups.publishers.items()
    ]
    return formatting.compact_json({"publishers": rows}) + "\n"


def _groups(section: str, groups: Mapping[str, Group]) -> str:
    rows = [{"name": name, "records": len(group.nodes), "page": group.address} for name, group in groups.items()]
    return formatting.compact_json({section: rows}) + "\n"


def status_json(graph: Graph, left_out: Sequence[LeftOut]) -> str:
    """Return the last crawl, the rejected records, and the pages that failed."""
    last = graph.crawls[0] if graph.crawls else None
    refused = [{"uri": found.uri, "reason": found.reason} for found in graph.refused[:_MOST_REFUSED]]
    held = {
        "crawl": None if last is None else {"ended": formatting.moment(last.ended), **last.report},
        "refused": {"count": len(graph.refused), "records": refused},
        "left_out": {"count": len(left_out), "pages": [found.json() for found in left_out[:_MOST_REFUSED]]},
    }
    return formatting.compact_json(held) + "\n"


def _records(nodes: Sequence[Node]) -> str:
    return f"[{','.join(map(_record, nodes))}]\n"


def _record(node: Node) -> str:
    row = formatting.compact_json(
        {
            "uri": str(node.uri),
            "cid": node.cid,
            "kind": kind_of(node),
            "name": name_of(node),
            "page": _page(node),
            **({"draft": True} if node.draft else {}),
        }
    )
    if node.bulk > LARGEST:
        return row
    return f'{row[:-1]},"record":{zlib.decompress(node.packed).decode()}}}'  # it is JSON already


def _llms(graph: Graph, settings: SiteSettings) -> str:
    def link(address: str) -> str:
        return settings.absolute(address) or address

    sitemap = "" if settings.url is None else f"- [Sitemap]({link('sitemap.xml')})\n"
    datasets = "".join(
        f"- [{_plain(common.name(node))}]({link(_page(node))}index.json): {_plain(summary_of(node))}\n"
        for node in graph.datasets[:_FEW]
    )
    return f"""# {_plain(settings.name)}

> {_plain(settings.description) or "Datasets published on the AT Protocol."}

A catalog of {formatting.counted(len(graph.datasets), "dataset")}, {formatting.counted(len(graph.schemas), "schema")} \
(types of samples) and {formatting.counted(len(graph.lenses), "lens")} (transformations between schemas). Each is a \
record in its publisher's own repository, with a permanent at:// URI. Data lie in WebDataset shards; a sample is a \
msgpack map.

Every page has an `index.json` beside it with the record, its CID and whether it was proven against a signed commit; a \
dataset's page has a `croissant.json` too. In Python: `from catalog import Dataset; Dataset.from_atproto("at://…")`.

## Machine-readable

- [All records]({link("catalog.json")}): numbers, and lists of every record's URI, CID, name and page
- [Publishers]({link("publishers/index.json")}), [tags]({link("tags/index.json")}), \
[licences]({link("licences/index.json")}): each with its page
- [DCAT]({link("catalog.ttl")}): the catalog as RDF
{sitemap}
## Newest datasets

{datasets}"""


def _page(node: Node) -> str:
    return addresses.of_record(kind_of(node), node.publisher.did, node.rkey)


def _plain(text: str) -> str:
    """Return the text on one line, without Markdown links."""
    return " ".join(text.replace("[", "(").replace("]", ")").split())
