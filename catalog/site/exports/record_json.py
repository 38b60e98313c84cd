"""``index.json`` beside every page: the original record, its CID, and the data that the page adds.

``view`` holds data from other records: the publisher, the schema, labels, neighbours. Addresses of pages are relative
to the site's root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from catalog import formatting
from catalog.site import addresses
from catalog.site.nodes import kind_of, name_of
from catalog.store.graph import DatasetNode, LensNode, SchemaNode

if TYPE_CHECKING:
    from catalog.site.groups import Group
    from catalog.store.graph import Node
    from catalog.store.rows import Publisher

_MOST: Final = 1000
_MOST_VERSIONS: Final = 100
LARGEST: Final = 2_500_000
"""Maximum characters of a record's JSON: more than ten thousand shards need."""


def record_json(node: Node) -> str:
    """Return the file beside a record's page."""
    view: dict[str, object] = {
        "kind": kind_of(node),
        "page": addresses.of_record(kind_of(node), node.publisher.did, node.rkey),
        "publisher": _publisher(node.publisher),
        **({"draft": True} if node.draft else {"updated": formatting.moment(node.updated)}),
    }
    match node:
        case DatasetNode():
            view["schema"] = None if node.schema is None else reference(node.schema)
            if node.labels:
                view["labels"] = [
                    {"name": label.record.name, "version": label.record.version} for label in node.labels[:_MOST]
                ]
        case SchemaNode():
            view["versions"] = [reference(other) for other in node.versions[:_MOST_VERSIONS]]
            view["datasets"] = len(node.datasets)
        case LensNode():
            view["source"] = None if node.source is None else reference(node.source)
            view["target"] = None if node.target is None else reference(node.target)
            view["verifications"] = [
                {"uri": str(found.uri), "method": found.record.method} for found in node.verifications[:_MOST]
            ]
    whole: dict[str, object] = {"uri": str(node.uri), "cid": node.cid, "verified": node.verified, "view": view}
    if node.bulk <= LARGEST:
        whole["record"] = node.value
    else:
        whole |= {"record": None, "left_out": {"characters": node.bulk, "at": _at_server(node)}}
    return formatting.compact_json(whole) + "\n"


def _at_server(node: Node) -> str | None:
    if node.publisher.pds is None or node.draft:
        return None
    asked = urlencode({"repo": node.publisher.did, "collection": node.uri.collection, "rkey": node.rkey})
    return f"{node.publisher.pds}/xrpc/com.atproto.repo.getRecord?{asked}"


def group_json(kind: str, group: Group, publisher: Publisher | None = None) -> str:
    """Return the file beside the page of an account, a tag or a licence: the newest records of each kind."""
    held: dict[str, object] = {kind: group.name if publisher is None else _publisher(publisher)}
    held |= {"page": group.address, "records": len(group.nodes)}
    for section in addresses.SECTIONS:
        held[addresses.SECTIONS[section]] = [reference(node) for node in group.nodes if kind_of(node) == section][
            :_MOST
        ]
    return formatting.compact_json(held) + "\n"


def reference(node: Node) -> dict[str, str]:
    """Return a reference to another record: its URI, name and page."""
    held = {
        "uri": str(node.uri),
        "name": name_of(node),
        "page": addresses.of_record(kind_of(node), node.publisher.did, node.rkey),
    }
    return held | {"version": node.record.sample_type.version} if isinstance(node, SchemaNode) else held


def _publisher(publisher: Publisher) -> dict[str, str]:
    return {"did": publisher.did} | ({} if publisher.handle is None else {"handle": publisher.handle})
