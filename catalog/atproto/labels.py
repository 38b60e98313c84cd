"""Moderation labels: statements of a labeler about records and accounts. https://atproto.com/specs/label

A label is signed over its DAG-CBOR without ``sig`` and ``$type``, by the key ``#atproto_label`` of the labeler's DID
document. Labels are queried at the service ``#atproto_labeler`` of the same document.

They have nothing to do with ``science.alt.dataset.label``, a name for a version of a dataset.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from catalog.atproto.datamodel import bytes_of, encode
from catalog.errors import CatalogError, InvalidProof, RequestFailed
from catalog.syntax import AtUri, Cid, Did
from catalog.syntax.instant import Datetime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from catalog.atproto.datamodel import Json
    from catalog.atproto.identity import Labeler
    from catalog.network.http import Client

QUERY: Final = "com.atproto.label.queryLabels"
MAX_VALUE: Final = 128
"""Bytes of a label's value."""
MAX_SELF_LABELS: Final = 10
"""Self-labels of a record."""
_PAGE: Final = 250
_MOST_PAGES: Final = 400
_MAX_BYTES: Final = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModerationLabel:
    """A label: ``source`` says ``value`` of ``subject``, the URI of a record or the DID of an account.

    With ``cid`` it is about that version of the record only.
    """

    source: str
    subject: str
    value: str
    cid: str = ""


@dataclass(slots=True, kw_only=True)
class LabelAnswer:
    """The labels of a labeler, and the number of those that were left out because they aren't valid."""

    labels: list[ModerationLabel]
    invalid: int = 0


def query_labels(client: Client, labeler: Labeler, patterns: Sequence[str], *, now: datetime) -> LabelAnswer:
    """Return the labels of a labeler in force for the subjects that match one of the patterns.

    A pattern is a DID, the URI of a record, or the beginning of one with ``*`` at its end. Raises
    :class:`~catalog.errors.NetworkError`, and :class:`RequestFailed` for an answer without an end.
    """
    found: dict[tuple[str, str, str], tuple[str, bool]] = {}
    invalid = 0
    for item in _pages(client, labeler, patterns):
        try:
            label, created, negated = read_label(item, labeler, now=now)
        except CatalogError:
            invalid += 1
            continue
        key = (label.subject, label.value, label.cid)
        if created >= found.get(key, ("", False))[0]:  # the latest statement counts
            found[key] = (created, negated)
    labels = [
        ModerationLabel(source=str(labeler.did), subject=subject, value=value, cid=cid)
        for (subject, value, cid), (_, negated) in sorted(found.items())
        if not negated
    ]
    return LabelAnswer(labels=labels, invalid=invalid)


def _pages(client: Client, labeler: Labeler, patterns: Sequence[str]) -> Iterator[Json]:
    url = f"{labeler.endpoint}/xrpc/{QUERY}"
    fields = [*(("uriPatterns", pattern) for pattern in patterns), ("sources", str(labeler.did)), ("limit", str(_PAGE))]
    cursor = ""
    for _ in range(_MOST_PAGES):
        answer = client.get_json(
            f"{url}?{urlencode([*fields, *([('cursor', cursor)] if cursor else [])])}", max_bytes=_MAX_BYTES
        )
        items = answer.get("labels") if isinstance(answer, dict) else None
        if not isinstance(answer, dict) or not isinstance(items, list):
            raise RequestFailed("an answer without labels", where=url)
        yield from items
        following = answer.get("cursor")
        if not isinstance(following, str) or not following or following == cursor or not items:
            return
        cursor = following
    raise RequestFailed(f"more than {_MOST_PAGES} pages of labels", where=url)


def read_label(item: Json, labeler: Labeler, *, now: datetime) -> tuple[ModerationLabel, str, bool]:
    """Return a label, its time, and whether it takes an earlier one back; an expired one does.

    Raises :class:`InvalidProof` if the labeler didn't sign it, and a :class:`CatalogError` if it isn't a label.
    """
    if not isinstance(item, dict) or item.get("src") != str(labeler.did):
        raise InvalidProof("not a label of this labeler")
    subject, value, created = item.get("uri"), item.get("val"), item.get("cts")
    if not isinstance(subject, str) or not isinstance(value, str) or not isinstance(created, str):
        raise InvalidProof("a label without subject, value or time")
    if not value or len(value.encode()) > MAX_VALUE:
        raise InvalidProof("a label whose value is empty or too long")
    if not subject.startswith("did:"):
        AtUri.parse(subject)
    else:
        Did.parse(subject)
    cid = item.get("cid")
    unsigned = {name: field for name, field in item.items() if name not in {"sig", "$type"}}
    if not labeler.key.verifies(bytes_of(item.get("sig")), encode(unsigned)):
        raise InvalidProof("a label with a wrong signature")
    expires = item.get("exp")
    over = isinstance(expires, str) and Datetime.parse(expires).moment <= now
    label = ModerationLabel(
        source=str(labeler.did), subject=subject, value=value, cid="" if cid is None else str(Cid.parse(str(cid)))
    )
    return label, Datetime.parse(created).moment.astimezone(UTC).isoformat(), item.get("neg") is True or over


def self_labels(record: Any) -> list[str]:  # noqa: ANN401 - any record
    """Return the labels that a record gives itself (``com.atproto.label.defs#selfLabels``)."""
    values = record.get("labels") if isinstance(record, dict) else None
    items = values.get("values") if isinstance(values, dict) else None
    found = [item.get("val") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return [one for one in found if isinstance(one, str) and 0 < len(one.encode()) <= MAX_VALUE][:MAX_SELF_LABELS]
