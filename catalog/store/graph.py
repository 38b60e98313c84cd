"""The catalog as a whole: the records of the store at one moment, with their references in both directions.

::

    LabelNode ──▶ DatasetNode ──▶ SchemaNode ◀══ LensNode ◀── VerificationNode
                                   │  ▲
                                   └──┘ versions: same publisher, same name, newest first

References to records that the store doesn't have are ``None``; the pages show them as an address.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from itertools import zip_longest
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypedDict, TypeVar

from catalog.atproto.car import no_garbage_collection
from catalog.errors import CatalogError
from catalog.records import Dataset, Label, Lens, LensVerification, Record, Schema, label_order, read_record
from catalog.store.facet_values import facets_of_record
from catalog.store.rows import Publisher
from catalog.syntax.semver import semver_key

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.records import Size
    from catalog.store import PastCrawl, Refused, Repo, Store, StoredLabel, StoredRecord, Version
    from catalog.syntax import AtUri


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class _Node:
    """A record with where it comes from. Compared by identity: the graph has one node a record."""

    uri: AtUri
    cid: str
    publisher: Publisher
    rkey: str
    created: datetime
    updated: datetime
    packed: bytes
    """The record's JSON, compressed: a hundred thousand of them as objects would take half a gigabyte."""
    draft: bool
    verified: bool
    moderation: tuple[StoredLabel, ...] = ()
    """Labels that say something of the record or its account: a warning, or just a badge."""
    history: tuple[Version, ...] = ()
    """All versions, newest first, the current one included; empty when it never changed."""
    bulk: int = 0
    """Characters of the record's JSON."""

    def __repr__(self) -> str:
        """Its address alone: through a node's neighbours all of the graph is reached, again and again."""
        return f"{type(self).__name__}({str(self.uri)!r})"

    @property
    def value(self) -> Json:
        return json.loads(zlib.decompress(self.packed))  # type: ignore[no-any-return]


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class LabelNode(_Node):
    """A name for a dataset."""

    record: Label


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class VerificationNode(_Node):
    """A verification of a lens."""

    record: LensVerification


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class SchemaNode(_Node):
    """A sample type with all that uses it. ``versions`` includes itself, newest first; ``previous`` is older."""

    record: Schema

    versions: tuple[SchemaNode, ...] = ()
    previous: SchemaNode | None = None
    datasets: list[DatasetNode] = field(default_factory=list)
    lenses_from: list[LensNode] = field(default_factory=list)
    lenses_to: list[LensNode] = field(default_factory=list)
    onward: tuple[LensNode, ...] = ()
    """Of the lenses from here one to each schema: a vouched one where there is one. Vouched ones first, then by URI."""
    back: tuple[LensNode, ...] = ()
    """The same for the lenses that lead here, one from each schema."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class DatasetNode(_Node):
    """A dataset, with the fields that lists and groups need. ``local`` are a draft's shard copies on this machine."""

    name: str = ""
    tags: tuple[str, ...] = ()
    license: str | None = None
    size: Size | None = None
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The values of its own record (:mod:`catalog.store.facet_values`)."""
    schema_ref: str = ""
    schema: SchemaNode | None = None
    labels: list[LabelNode] = field(default_factory=list)
    """Newest first."""
    local: tuple[Path, ...] = ()
    related: tuple[DatasetNode, ...] = ()
    has_manifests: bool = False
    """True if shard manifests are published with it, or may be beside the local copies of a draft."""

    @property
    def record(self) -> Dataset:
        """The record, cached unless it is large: a megabyte of empty lists takes 60 in memory."""
        return _dataset(self) if self.bulk <= _BULKY else _dataset.__wrapped__(self)

    def kinship(self, other: DatasetNode) -> str:
        """Return the reason why another dataset is related."""
        if self.schema is not None and other.schema is self.schema:
            return "same schema"
        if self.schema is not None and other.schema is not None:
            here = (lens.target for lens in self.schema.lenses_from), (lens.source for lens in self.schema.lenses_to)
            if any(schema is other.schema for side in here for schema in side):
                return "through a lens"
        shared = [tag for tag in self.tags if tag in other.tags]
        return "same tag" if len(shared) == 1 else f"{len(shared)} tags in common"


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class LensNode(_Node):
    """A lens between two schemas."""

    record: Lens

    source: SchemaNode | None = None
    target: SchemaNode | None = None
    verifications: list[VerificationNode] = field(default_factory=list)

    @property
    def vouched(self) -> bool:
        """True if a verification names the CID of its current record."""
        return any(found.record.lens_commit == self.cid for found in self.verifications)


Node: TypeAlias = DatasetNode | SchemaNode | LensNode

_BULKY = 200_000
"""Characters of JSON from which on a record isn't kept in memory."""
_RELATED = 6
_NEAR = 6
"""Neighbours to both sides in a list that are candidates: a schema or tag may have ten thousand datasets."""
_EVERYWHERE = 10
"""Weight of a shared tag that all datasets have, in thousandths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Everything that is to be shown, newest first (by the record's own date, then by URI)."""

    datasets: tuple[DatasetNode, ...]
    schemas: tuple[SchemaNode, ...]
    lenses: tuple[LensNode, ...]
    publishers: Mapping[str, Publisher]
    refused: tuple[Refused, ...]
    crawls: tuple[PastCrawl, ...] = ()
    """The crawls that it comes from, the newest first."""

    @classmethod
    def from_store(cls, store: Store) -> Graph:
        """Read the whole store. Records that can't be read any more are left out (the crawl reports them)."""
        repos = {str(repo.did): repo for repo in store.repos()}
        builder = _Builder(repos, store.histories(), store.labels())
        with no_garbage_collection():
            for stored in store.records():
                builder.add(stored)
            return builder.finish((*store.damaged, *store.refused()), tuple(store.crawls()))

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All of them: datasets, then schemas, then lenses."""
        return (*self.datasets, *self.schemas, *self.lenses)

    def without(self, uris: Collection[str]) -> Graph:
        """Return the graph as it would be if the store lacked these datasets, schemas and lenses."""
        builder = _Builder({}, {})
        for dataset in self.datasets:
            builder.labels += dataset.labels
            builder.datasets[str(dataset.uri)] = replace(dataset, schema=None, labels=[], related=())
        for schema in self.schemas:
            builder.schemas[str(schema.uri)] = replace(
                schema, versions=(), previous=None, datasets=[], lenses_from=[], lenses_to=[], onward=(), back=()
            )
        for lens in self.lenses:
            builder.verifications += lens.verifications
            builder.lenses[str(lens.uri)] = replace(lens, source=None, target=None, verifications=[])
        for uri in uris:
            for kind in (builder.datasets, builder.schemas, builder.lenses):
                kind.pop(uri, None)
        builder.labels.sort(key=lambda label: label.uri)
        builder.verifications.sort(key=lambda verification: verification.uri)
        left = (*builder.datasets.values(), *builder.schemas.values(), *builder.lenses.values())
        gone = {node.publisher.did for node in self.nodes if str(node.uri) in uris}
        gone -= {node.publisher.did for node in (*left, *builder.labels, *builder.verifications)}
        builder.publishers = {did: found for did, found in self.publishers.items() if did not in gone}
        return builder.finish(self.refused, self.crawls)

    def only(self, node: Node) -> Graph:
        """Return a graph of this node alone, with the schemas it leads to; the nodes stay as they are."""
        schemas: tuple[SchemaNode | None, ...]
        match node:
            case DatasetNode():
                schemas = (node.schema,)
            case LensNode():
                schemas = (node.source, node.target)
            case _:
                schemas = (node,)
        found = {str(schema.uri): schema for schema in schemas if schema is not None}
        nodes = (node, *found.values())
        return replace(
            self,
            datasets=(node,) if isinstance(node, DatasetNode) else (),
            schemas=tuple(found.values()),
            lenses=(node,) if isinstance(node, LensNode) else (),
            publishers={near.publisher.did: near.publisher for near in nodes},
        )


def changes(history: tuple[Version, ...]) -> tuple[tuple[Version, tuple[str, ...]], ...]:
    """Each version with the fields, of the outermost level, that differ from the version before it."""
    older = (*history[1:], None)
    return tuple((version, _differing(version, before)) for version, before in zip(history, older, strict=True))


def _differing(version: Version, before: Version | None) -> tuple[str, ...]:
    if before is None or not isinstance(version.value, dict) or not isinstance(before.value, dict):
        return ()
    new, old = version.value, before.value
    return tuple(sorted(key for key in {*new, *old} if new.get(key) != old.get(key)))


class _Facts(TypedDict):
    """The fields of every kind of node."""

    uri: AtUri
    cid: str
    publisher: Publisher
    rkey: str
    created: datetime
    updated: datetime
    packed: bytes
    draft: bool
    verified: bool
    history: tuple[Version, ...]
    moderation: tuple[StoredLabel, ...]
    bulk: int


class _Builder:
    def __init__(
        self,
        repos: Mapping[str, Repo],
        histories: Mapping[str, tuple[Version, ...]],
        moderation: Mapping[str, Sequence[StoredLabel]] | None = None,
    ) -> None:
        self.repos = repos
        self.histories = histories
        self.moderation = moderation or {}
        self.publishers: dict[str, Publisher] = {}
        self.values: dict[tuple[tuple[str, ...], ...], dict[str, tuple[str, ...]]] = {}
        self.datasets: dict[str, DatasetNode] = {}
        self.schemas: dict[str, SchemaNode] = {}
        self.lenses: dict[str, LensNode] = {}
        self.labels: list[LabelNode] = []
        self.verifications: list[VerificationNode] = []

    def add(self, stored: StoredRecord) -> None:
        try:
            record = read_record(stored.collection, stored.value, checked=True)
        except CatalogError:
            return
        common = self._common(stored, record)
        uri = str(stored.uri)
        match record:
            case Dataset():
                tags = tuple(map(sys.intern, record.tags))
                schema_ref = sys.intern(str(record.schema_ref))
                licence = None if record.license is None else sys.intern(record.license)
                self.datasets[uri] = DatasetNode(
                    name=record.name, tags=tags, license=licence, size=record.size, schema_ref=schema_ref,
                    local=stored.local, has_manifests=bool(record.manifests or stored.local),
                    facets=self._interned(facets_of_record(record)), **common,
                )  # fmt: skip
            case Schema():
                self.schemas[uri] = SchemaNode(record=record, **common)
            case Lens():
                self.lenses[uri] = LensNode(record=record, **common)
            case Label():
                self.labels.append(LabelNode(record=record, **common))
            case LensVerification():
                self.verifications.append(VerificationNode(record=record, **common))

    def _interned(self, values: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Return one object for equal values: most datasets share them."""
        return self.values.setdefault(tuple(values.values()), values)

    def _common(self, stored: StoredRecord, record: Record) -> _Facts:
        did = str(stored.did)
        publisher = self.publishers.get(did)
        if publisher is None:
            repo = self.repos.get(did)
            publisher = self.publishers[did] = Publisher(
                did=did,
                handle=None if repo is None else repo.handle,
                pds=None if repo is None else repo.pds,
                draft=stored.draft,
            )
        text = json.dumps(stored.value)
        return {
            "uri": stored.uri,
            "cid": str(stored.cid),
            "publisher": publisher,
            "rkey": str(stored.rkey),
            "created": record.created_at.moment,
            "updated": stored.updated,
            "packed": zlib.compress(text.encode(), 1),
            "bulk": len(text),
            "draft": stored.draft,
            "verified": stored.verified,
            "history": self.histories.get(stored.uri, ()),
            "moderation": self._moderation(stored),
        }

    def _moderation(self, stored: StoredRecord) -> tuple[StoredLabel, ...]:
        if not self.moderation:
            return ()
        found = (*self.moderation.get(str(stored.uri), ()), *self.moderation.get(str(stored.did), ()))
        return tuple(label for label in found if label.cid in {"", str(stored.cid)})

    def finish(self, refused: tuple[Refused, ...], crawls: tuple[PastCrawl, ...]) -> Graph:
        self._link()
        self._versions()
        self._related()
        return Graph(
            datasets=_newest_first(self.datasets.values()),
            schemas=_newest_first(self.schemas.values()),
            lenses=_newest_first(self.lenses.values()),
            publishers=self.publishers,
            refused=refused,
            crawls=crawls,
        )

    def _link(self) -> None:
        for dataset in _newest_first(self.datasets.values()):
            dataset.schema = self.schemas.get(dataset.schema_ref)
            if dataset.schema is not None:
                dataset.schema.datasets.append(dataset)
        for lens in _newest_first(self.lenses.values()):
            lens.source = self.schemas.get(str(lens.record.source))
            lens.target = self.schemas.get(str(lens.record.target))
            if lens.source is not None:
                lens.source.lenses_from.append(lens)
            if lens.target is not None:
                lens.target.lenses_to.append(lens)
        self._link_words()
        for schema in self.schemas.values():
            schema.onward = _best(schema.lenses_from, lambda lens: lens.target)
            schema.back = _best(schema.lenses_to, lambda lens: lens.source)

    def _link_words(self) -> None:
        """Link labels and verifications to the records they are about."""
        for label in self.labels:
            named = self.datasets.get(str(label.record.dataset))
            # A label is the publisher's own word: accounts can't label the datasets of others.
            if named is not None and named.publisher is label.publisher:
                named.labels.append(label)
        for dataset in self.datasets.values():
            dataset.labels.sort(key=_label_order, reverse=True)
        for verification in self.verifications:
            checked = self.lenses.get(str(verification.record.lens))
            if checked is not None:
                checked.verifications.append(verification)

    def _versions(self) -> None:
        families: defaultdict[tuple[str, str], list[SchemaNode]] = defaultdict(list)
        for schema in self.schemas.values():
            families[schema.publisher.did, schema.record.sample_type.name].append(schema)
        for family in families.values():
            family.sort(key=lambda s: (semver_key(s.record.sample_type.version), s.uri), reverse=True)
            versions = tuple(family)  # one for all of them: a tuple each takes memory with the square of their number
            for schema, previous in zip_longest(versions, versions[1:]):
                schema.versions, schema.previous = versions, previous

    def _related(self) -> None:
        ordered = _newest_first(self.datasets.values())
        by_tag: defaultdict[str, list[DatasetNode]] = defaultdict(list)
        by_schema: defaultdict[SchemaNode, list[DatasetNode]] = defaultdict(list)
        for dataset in ordered:
            for tag in dataset.tags:
                by_tag[tag].append(dataset)
            if dataset.schema is not None:
                by_schema[dataset.schema].append(dataset)
        # In whole thousandths: floats add up differently in another order.
        most = log(max(2, len(ordered)))
        rarity = {
            tag: max(_EVERYWHERE, round(1000 * log(len(ordered) / len(kin)) / most)) for tag, kin in by_tag.items()
        }
        # The position of a dataset in each of its lists: its neighbours are of about its age.
        places = {id(list_): {node: at for at, node in enumerate(list_)} for list_ in by_tag.values()}
        places |= {id(list_): {node: at for at, node in enumerate(list_)} for list_ in by_schema.values()}
        for dataset in ordered:
            scores: defaultdict[DatasetNode, int] = defaultdict(int)
            for weight, kin in _kin(dataset, by_tag, by_schema, rarity):
                at = places[id(kin)].get(dataset, 0)
                for other in kin[max(0, at - _NEAR) : at + _NEAR + 1]:
                    scores[other] += weight
            scores.pop(dataset, None)
            ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0].uri))
            dataset.related = tuple(node for node, _ in ranked[:_RELATED])


def _kin(
    dataset: DatasetNode,
    by_tag: Mapping[str, list[DatasetNode]],
    by_schema: Mapping[SchemaNode, list[DatasetNode]],
    rarity: Mapping[str, int],
) -> Iterator[tuple[int, list[DatasetNode]]]:
    """Return the lists of a dataset's relatives, each with its weight in thousandths.

    The same schema counts three, a schema one lens away two. A shared tag counts by its rarity (inverse document
    frequency): from nearly one for a rare tag to nearly nothing for a tag of all datasets.
    """
    schema = dataset.schema
    if schema is not None:
        yield 3000, by_schema[schema]
        for neighbour in (*(lens.target for lens in schema.lenses_from), *(lens.source for lens in schema.lenses_to)):
            if neighbour is not None and neighbour is not schema and neighbour in by_schema:
                yield 2000, by_schema[neighbour]
    for tag in dataset.tags:
        yield rarity[tag], by_tag[tag]


def _label_order(node: LabelNode) -> tuple[object, ...]:
    return label_order(str(node.record.created_at), node.record.version, str(node.uri))


def _best(lenses: list[LensNode], far: Callable[[LensNode], SchemaNode | None]) -> tuple[LensNode, ...]:
    found: dict[SchemaNode, LensNode] = {}
    for lens in sorted(lenses, key=lambda lens: (not lens.vouched, str(lens.uri))):
        end = far(lens)
        if end is not None:
            found.setdefault(end, lens)
    return tuple(found.values())


@lru_cache(maxsize=2048)
def _dataset(node: DatasetNode) -> Dataset:
    record = read_record(str(node.uri.collection), node.value, checked=True)
    assert isinstance(record, Dataset)  # noqa: S101 - it was one when the graph was built
    return record


N = TypeVar("N", DatasetNode, SchemaNode, LensNode)


def _newest_first(nodes: Iterable[N]) -> tuple[N, ...]:
    return tuple(sorted(sorted(nodes, key=lambda n: str(n.uri)), key=lambda n: n.created, reverse=True))
