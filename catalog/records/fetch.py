"""Fetch records from their accounts' PDS, and verify their proofs.

Each record is verified against the account's signed commit (``sync.getRecord``). If a server offers no proof, the
record is accepted with an :class:`UnverifiedWarning`; a proof that contradicts the record is an error.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from catalog.errors import (
    CatalogError,
    DataError,
    InvalidData,
    InvalidProof,
    RequestFailed,
    ResponseTooLarge,
    UnverifiedWarning,
)
from catalog.records import (
    COLLECTIONS,
    DATASET,
    LABEL,
    LENS,
    SCHEMA,
    Label,
    Lens,
    Schema,
    read_record,
)
from catalog.records import Dataset as DatasetRecord
from catalog.sanitize import one_line
from catalog.syntax import AtUri

if TYPE_CHECKING:
    from catalog.atproto.identity import Identity, Resolver
    from catalog.atproto.proof import Reader as ProofReader
    from catalog.atproto.proof import Reading, Unread
    from catalog.atproto.repo import CheckedRecord
    from catalog.config import NetworkSettings
    from catalog.network.http import Client
    from catalog.records import Record
    from catalog.syntax import Cid

R = TypeVar("R")

_REMEMBERED: Final = 10_000
"""Maximum accounts in the cache, which is cleared when full."""

_ABSENT: Final = "RecordNotFound"
_MAX_REASON: Final = 300

_MAX_LABELS: Final = 1
"""A label refers to a dataset, never to another label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Generic[R]):
    """A published record. ``uri`` names the account by its DID; ``cid`` is computed from the record.

    ``proven`` is True if the account's signed commit contains it, False if only the server vouches for it.
    """

    record: R
    uri: AtUri
    cid: Cid
    account: Identity
    proven: bool = False


class Reader:
    """A reader of records from their accounts' PDS that verifies their proofs and caches accounts.

    Warns with :class:`UnverifiedWarning` once per server that offers no proof.

    Every method takes an ``at://`` URI, whose authority may be a handle, and raises
    :class:`~catalog.errors.InvalidSyntax`, a :class:`~catalog.errors.NetworkError`,
    :class:`~catalog.errors.InvalidRecord`, or :class:`DataError` for the URI of something else.
    """

    def __init__(self, client: Client, settings: NetworkSettings) -> None:
        from catalog.atproto.identity import Resolver

        self.http = client
        self.settings = settings
        self._resolver = Resolver(client, settings)
        self._accounts: dict[str, Identity] = {}
        self._unproven: set[str] = set()

    def account(self, text: str) -> Identity:
        """Return the account of a handle or DID. Raises :class:`~catalog.errors.UnknownIdentity`."""
        known = self._accounts.get(text)
        if known is None:
            if len(self._accounts) >= _REMEMBERED:
                self._accounts.clear()
            known = self._accounts[text] = self._resolver.resolve(text)
        return known

    def record(self, uri: AtUri | str) -> Published[Record]:
        """Return a record of any of the five kinds, verified if its server offers a proof, and valid by its lexicon.

        Raises :class:`RequestFailed` with the name ``RecordNotFound`` if there is none, and :class:`InvalidProof` for
        a wrong proof.
        """
        asked = AtUri.parse(str(uri))
        if asked.collection is None or asked.rkey is None:
            raise DataError("not the URI of a record", where=str(uri), hint="at://…/collection/key")
        identity = self.account(str(asked.authority))
        try:
            found, proven = self._found(identity, asked)
            record = read_record(asked.collection, found.value)
        except CatalogError as error:
            if isinstance(error, RequestFailed) and error.name == _ABSENT:
                what, hint = f"{identity.pds} has no such record", "it was deleted, or the URI is misspelt"
                raise RequestFailed(what, status=error.status, name=error.name, where=str(uri), hint=hint) from None
            if error.where is None:
                error.within(str(uri))
            raise
        return Published(record=record, uri=found.uri, cid=found.cid, account=identity, proven=proven)

    def _found(self, identity: Identity, uri: AtUri) -> tuple[CheckedRecord, bool]:
        """Return the record, and True if the account's signed commit contains it.

        Warn if its server offers no proof.
        """
        path, why = f"{uri.collection}/{uri.rkey}", "its DID document names no key that signs commits"
        if uri.collection not in COLLECTIONS:
            return self._answered(identity, uri), False  # read_record rejects it
        if identity.key is not None:
            try:
                reading = proof_of(self._prover, self._resolver, identity, path, by_cid=True)
            except (RequestFailed, ResponseTooLarge) as error:
                reading, why = None, one_line(str(error), _MAX_REASON)
            else:
                why = f"{identity.pds} offers no proof of it (com.atproto.sync.getRecord)"
            if reading is not None:
                if reading.records:
                    return reading.records[0], True
                if not reading.unread:
                    raise RequestFailed("the signed commit has no such record", status=404, name=_ABSENT)
                return self._without_block(identity, uri, next(iter(reading.unread))), True
        found = self._answered(identity, uri)
        self._warn(identity, uri, why)
        return found, False

    def _without_block(self, identity: Identity, uri: AtUri, unread: Unread) -> CheckedRecord:
        """Fetch the record of a proof that has its CID but not its block."""
        if unread.lost is None:
            raise InvalidData(f"the account signed an invalid record: {unread.reason}")
        found = self._answered(identity, uri)
        if found.cid != unread.lost:
            raise InvalidProof(f"{identity.pds} returned {found.cid}, but the account signed {unread.lost}")
        return found

    @cached_property
    def _prover(self) -> ProofReader:
        from catalog.atproto.proof import Part, Reader

        return Reader(self.http, Part(tuple(COLLECTIONS)))

    def _answered(self, identity: Identity, uri: AtUri) -> CheckedRecord:
        """Return the record without a proof, checked against the URI and the CID of the response."""
        from catalog.atproto.repo import checked, get_record

        collection, rkey = str(uri.collection), str(uri.rkey)
        return checked(get_record(self.http, identity.pds, identity.did, collection, rkey), identity.did, collection)

    def _warn(self, identity: Identity, uri: AtUri, why: str) -> None:
        if identity.pds in self._unproven:
            return
        self._unproven.add(identity.pds)
        what = f"unverified: {uri} and other records of {identity.pds} have no proof that their account signed them"
        warnings.warn(UnverifiedWarning(f"{what} ({why})"), stacklevel=_outside())

    def dataset(self, uri: AtUri | str) -> Published[DatasetRecord]:
        """Return a dataset. A label is resolved to its dataset."""
        asked = AtUri.parse(str(uri))
        for _ in range(_MAX_LABELS + 1):
            if asked.collection not in (DATASET, LABEL):
                raise DataError("not the URI of a dataset", where=str(uri), hint=f"at://…/{DATASET}/…")
            found: Published[Any] = self.record(asked)
            if not isinstance(found.record, Label):
                return found
            asked = found.record.dataset
        raise DataError("the label refers to another label", where=str(uri))

    def schema(self, uri: AtUri | str) -> Published[Schema]:
        """Return a schema."""
        return self._one(uri, SCHEMA, "a schema")

    def lens(self, uri: AtUri | str) -> Published[Lens]:
        """Return a lens."""
        return self._one(uri, LENS, "a lens")

    def _one(self, uri: AtUri | str, collection: str, what: str) -> Published[Any]:
        asked = AtUri.parse(str(uri))
        if asked.collection != collection:
            raise DataError(f"not the URI of {what}", where=str(uri), hint=f"at://…/{collection}/…")
        return self.record(asked)


def proof_of(
    reader: ProofReader, resolver: Resolver, identity: Identity, path: str, *, by_cid: bool = False
) -> Reading | None:
    """Return the proof of a record, or of its absence; None if the server offers none.

    A proof may fail because the account's key has just changed, so the account is looked up again before it counts.
    Raises :class:`InvalidProof`, or another ``NetworkError``.
    """
    from catalog.atproto.proof import Account

    try:
        account = Account(did=identity.did, pds=identity.pds, key=identity.key, known={})
        return reader.prove(account, path, by_cid=by_cid)
    except InvalidProof:
        now = resolver.resolve(str(identity.did), fresh=True)
        if (now.key, now.pds) == (identity.key, identity.pds) or now.key is None:
            raise
    return reader.prove(Account(did=now.did, pds=now.pds, key=now.key, known={}), path, by_cid=by_cid)


def _outside() -> int:
    """Return the ``stacklevel`` of the first caller outside this package, for a warning given by our caller."""
    frame, level = sys._getframe(1), 1  # noqa: SLF001 - as warnings itself does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "catalog":
        frame, level = frame.f_back, level + 1
    return level
