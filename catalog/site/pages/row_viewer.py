"""The settings of a dataset's row viewer: a script that reads samples from the shards, see ``assets/rows.js``."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from catalog.errors import CatalogError
from catalog.records import BlobStorage, ExternalStorage, HttpStorage, S3Storage
from catalog.shards.locations import expanded, shards_of_storage
from catalog.site.row_index import FORMATS

if TYPE_CHECKING:
    from collections.abc import Collection

    from catalog.store.graph import DatasetNode

_COMPRESSED: Final = (".gz", ".tgz", ".bz2", ".xz", ".zst")
"""Ends of the names of files of which no part can be read by itself."""
_MAX_SHARDS: Final = 10_000
_MAX_HOSTS: Final = 20


def row_viewer(node: DatasetNode, hosts: Collection[str] | None, *, index: str | None = None) -> str | None:
    """Return the settings as JSON; ``None`` if no browser can read the shards, or if ``hosts`` is ``None``.

    ``index`` is the folder of the row index beside the page.
    ``hosts`` are those that a page may request without being asked, ``*`` for all.
    """
    record = node.record
    if hosts is None or (record.sample_format or "msgpack") not in FORMATS:
        return None
    try:
        urls = _urls(node)
        found = list(dict.fromkeys(urlsplit(url).netloc for url in urls))
    except (CatalogError, ValueError):
        return None
    if not urls or not all(found) or len(found) > _MAX_HOSTS:
        return None
    if any(urlsplit(url).path.lower().endswith(_COMPRESSED) or "@" in urlsplit(url).netloc for url in urls):
        return None
    settings: dict[str, Any] = {
        "format": record.sample_format or "msgpack",
        "hosts": found,
        "allowed": "*" in hosts or all(host in hosts for host in found),
        "total": record.size.samples if record.size is not None else None,
        "index": index,
        "pds": node.publisher.pds if isinstance(record.storage, BlobStorage) else None,
    }
    if isinstance(record.storage, HttpStorage | ExternalStorage):
        listed = record.storage.shards if isinstance(record.storage, HttpStorage) else record.storage.urls
        if len(urls) != len(listed):  # the record lists a pattern
            settings["shards"] = urls
    return json.dumps(settings, separators=(",", ":"))


def _urls(node: DatasetNode) -> list[str]:
    """Return the addresses of the shards for a browser; empty if one of them has none."""
    storage, pds = node.record.storage, node.publisher.pds
    if isinstance(storage, S3Storage):
        endpoint = storage.endpoint or f"https://s3.{storage.region or 'us-east-1'}.amazonaws.com"
        listed = expanded(storage, strict=False) is storage  # else the script doesn't know the keys
        return [endpoint.rstrip("/")] if storage.shards and listed else []
    if isinstance(storage, BlobStorage) and pds is None:
        return []
    shards = islice(shards_of_storage(storage, node.publisher.did, pds or ""), _MAX_SHARDS + 1)
    urls = [shard.url for shard in shards]
    if len(urls) > _MAX_SHARDS or not all(url.startswith(("https://", "http://")) for url in urls):
        return []
    return urls
