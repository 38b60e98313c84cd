"""Facets: how many of the records found have which tag, licence, publisher and so on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from catalog.appview.serializers import field_of
from catalog.records import SCHEMA
from catalog.store.facet_values import DERIVED

if TYPE_CHECKING:
    from catalog.store.reader import Reader

FACETS: Final = ("kind", *DERIVED, "tag", "licence", "publisher", "schema", "dtype", "state", "year", "size")
SIZES: Final = (0, 10**6, 10**7, 10**8, 10**9, 10**10, 10**11, 10**12)
"""The start of each size bucket, in bytes; the last one is open."""
MOST_VALUES: Final = 20
_MOST_COST: Final = 2_000_000
"""Of schemas that are read for their names; values beyond it have no label."""
_FIELDS: Final = {"publisher": "did"}


def facet_request(names: Sequence[str]) -> dict[str, Any]:
    """Return the engine's aggregation request."""
    wanted: dict[str, Any] = {}
    for name in names:
        if name == "size":
            ends = [*SIZES[1:], None]
            ranges = [
                {"from": start, **({} if end is None else {"to": end})} for start, end in zip(SIZES, ends, strict=True)
            ]
            wanted[name] = {"range": {"field": "size", "ranges": ranges}}
        else:
            wanted[name] = {"terms": {"field": _FIELDS.get(name, name), "size": MOST_VALUES}}
    return wanted


def facets_of(found: dict[str, Any], names: Sequence[str], reader: Reader) -> list[dict[str, Any]]:
    """Return the facets of an answer, in the requested order."""
    return [_facet(name, found[name], reader) for name in names]


def _facet(name: str, found: dict[str, Any], reader: Reader) -> dict[str, Any]:
    if name == "size":
        return {"name": name, "values": _sizes(found["buckets"]), "others": 0}
    values: list[dict[str, Any]] = [
        {"value": str(bucket["key"]), "count": int(bucket["doc_count"])} for bucket in found["buckets"]
    ]
    labels = _labels(name, [value["value"] for value in values], reader)
    for value in values:
        label = labels.get(value["value"])
        if label is not None:
            value["label"] = label
    if name == "year":
        values.sort(key=lambda value: value["value"], reverse=True)
    return {"name": name, "values": values, "others": int(found.get("sum_other_doc_count") or 0)}


def _sizes(buckets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # A range that begins with the lowest number there is comes back without "from".
    counts = {int(bucket.get("from", 0)): int(bucket["doc_count"]) for bucket in buckets}
    return [
        {"value": str(start), "count": counts[start], "label": label}
        for start, label in zip(SIZES, _SIZE_LABELS, strict=True)
        if counts.get(start)
    ]


def _labels(name: str, values: list[str], reader: Reader) -> dict[str, str]:
    if name == "publisher":
        return reader.handles(values)
    if name == "schema":
        schemas = {
            uri: one for uri, one in reader.brief(values, most=_MOST_COST).shown.items() if one.collection == SCHEMA
        }
        return {uri: f"{field_of(one, 'name')} {field_of(one, 'version')}" for uri, one in schemas.items()}
    return {}


_SIZE_LABELS: Final = (
    "under 1 MB", "1 to 10 MB", "10 to 100 MB", "100 MB to 1 GB", "1 to 10 GB", "10 to 100 GB", "100 GB to 1 TB",
    "1 TB and more",
)  # fmt: skip
