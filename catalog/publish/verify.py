"""Verify records: from the handle, by signed proofs, to the bytes of the shards.

*Verified* means: the account's own key signed a commit that contains exactly this record; the record is valid by its
lexicon; its references exist; each shard that was read has the checksum in the record. It doesn't mean that the data
matches its description, that the commit is the latest (a server may withhold one), or that a lens is correct.

- A server without proofs is reported as such. A wrong proof is a failure, and its record is not checked further.
- An account's key may have changed: before a signature counts as wrong, the account is looked up again.
- A record may change between two requests: before two responses count as different, both are requested again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from catalog.atproto.identity import Resolver
from catalog.atproto.lexicon import Lexicons
from catalog.atproto.proof import Part, Reader
from catalog.atproto.repo import checked, get_record
from catalog.errors import CatalogError, InvalidData, InvalidProof, InvalidRecord, InvalidSyntax
from catalog.publish.checks import Check, State, failed, passed, unchecked
from catalog.publish.verify_shards import Choice, check_shards
from catalog.records import (
    COLLECTIONS,
    DATASET,
    LENS,
    SCHEMA,
    Dataset,
    Label,
    Lens,
    LensVerification,
    Schema,
    read_record,
)
from catalog.records.fetch import Published, proof_of
from catalog.syntax import AtUri
from catalog.syntax.semver import SEMVER

if TYPE_CHECKING:
    from catalog.atproto.identity import Identity
    from catalog.atproto.proof import Reading
    from catalog.atproto.repo import CheckedRecord
    from catalog.config import NetworkSettings
    from catalog.network.http import Client
    from catalog.records import Record
    from catalog.schema import SampleType

MEANING: Final = """\
Verified means: the account's own key signed a commit that contains exactly this record, the record is valid by its
lexicon, its references exist, and each shard that was read has the checksum in the record. It doesn't mean that the
server has no newer commit, that the data matches its description, or that the code of a lens is correct."""
_RECORD: Final = "com.atproto.sync.getRecord"


def record_uri(text: str) -> AtUri:
    """Return the URI of one of our records. Raises :class:`InvalidSyntax` for anything else."""
    uri = AtUri.parse(text)
    if uri.collection is None or uri.rkey is None:
        raise InvalidSyntax("not the address of a record", where=uri[:200], hint="at://account/collection/key")
    if uri.collection not in COLLECTIONS:
        raise InvalidSyntax(
            f"{str(uri.collection)[:100]} is not one of the dataset collections",
            where=uri[:200],
            hint=f"they are {', '.join(COLLECTIONS)}",
        )
    return uri


def closing(checks: Sequence[Check]) -> str:
    """Return one line with the verdict. Without a proof it isn't "verified", even if nothing failed."""
    count = {state: sum(check.state is state for check in checks) for state in State}
    proven = any(check.what == "proof" for check in checks) and all(
        check.state is State.PASSED for check in checks if check.what == "proof"
    )
    if count[State.FAILED]:
        verdict = "not verified"
    else:
        verdict = "verified" if proven else "nothing is wrong, but not everything is proven"
    parts = [f"{count[State.PASSED]} passed"]
    parts += [f"{count[State.FAILED]} failed"] if count[State.FAILED] else []
    parts += [f"{count[State.UNCHECKED]} not checkable or not looked at"] if count[State.UNCHECKED] else []
    return f"{verdict}: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Result of fetching a record: the check of its proof, and the record unless that failed."""

    check: Check
    record: CheckedRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Referred:
    """A referenced record; ``record`` is ``None`` if it may be of any collection."""

    did: str
    cid: str
    proven: bool
    record: Record | None


@dataclass(slots=True, kw_only=True)
class Verifier:
    """Verifies records one after the other; accounts are looked up once.

    ``choice`` selects the shards of a dataset to read, and ``compare`` is the number of samples of each to compare with
    the schema, by default all. ``watch`` is called with the current shard and the number of bytes read.
    """

    client: Client
    settings: NetworkSettings
    choice: Choice = field(default_factory=Choice)
    watch: Callable[[str, int], object] = lambda _name, _bytes: None
    compare: int | None = None
    _resolver: Resolver = field(init=False)
    _readers: dict[str, Reader] = field(init=False, default_factory=dict)
    _schemas: dict[AtUri, Schema] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._resolver = Resolver(self.client, self.settings)

    def verify(self, uri: AtUri) -> Iterator[Check]:
        """Yield every check of a record as it is made. Errors become failed checks."""
        try:
            identity = self._resolver.resolve(str(uri.authority))
        except CatalogError as error:
            yield failed("identity", str(error))
            yield unchecked("record", "not checked: the account is unknown")
            return
        yield _identity_check(identity)
        fetched = self._fetch(identity, uri)
        yield fetched.check
        if fetched.record is None:
            yield unchecked("record", "its content, references and shards were not looked at")
            return
        if fetched.check.state is State.PASSED:
            yield self._same_answer(identity, uri, fetched.record)
        record = yield from _lexicon_checks(fetched.record)
        if record is None:
            yield unchecked("record", "its references and shards were not looked at")
            return
        yield from self._references(record, fetched.record.uri)
        if isinstance(record, Dataset):
            found = Published(
                record=record,
                uri=fetched.record.uri,
                cid=fetched.record.cid,
                account=identity,
                proven=fetched.check.state is State.PASSED,
            )
            wanted = self._sample_type(record)
            yield from check_shards(
                found, self.client, choice=self.choice, watch=self.watch, wanted=wanted, most=self.compare
            )

    def _fetch(self, identity: Identity, uri: AtUri) -> _Fetched:
        """Return the record with the check of its proof, or without proof if the server offers none."""
        collection, rkey = str(uri.collection), str(uri.rkey)
        try:
            reading = None if identity.key is None else self._proven(identity, f"{collection}/{rkey}")
        except InvalidProof as error:
            return _Fetched(failed("proof", f"the proof is wrong: {error}"), None)
        except CatalogError as error:
            return _Fetched(failed("proof", f"not fetched: {error}"), None)
        if reading is None:
            return self._unproven(identity, uri)
        if reading.unread:
            return _Fetched(failed("proof", f"not a record: {next(iter(reading.unread)).reason}"), None)
        if not reading.records or reading.commit is None:
            return _Fetched(failed("proof", "there is no such record; the signed commit proves it"), None)
        record, commit = reading.records[0], reading.commit
        when = datetime.fromtimestamp(commit.rev.microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        text = f"{record.cid} is in the commit of {when} ({commit.rev}) that the key of {identity.did} signed"
        return _Fetched(passed("proof", text), record)

    def _proven(self, identity: Identity, path: str) -> Reading | None:
        """Return the proof of a record, or of its absence. Raises :class:`InvalidProof` if it is wrong."""
        reader = self._readers.setdefault(path.partition("/")[0], Reader(self.client, Part((path.partition("/")[0],))))
        return proof_of(reader, self._resolver, identity, path)

    def _unproven(self, identity: Identity, uri: AtUri) -> _Fetched:
        """Return the record from the server, without proof."""
        try:
            record = self._answered(identity, uri)
        except CatalogError as error:
            return _Fetched(failed("record", f"not fetched: {error}"), None)
        if identity.key is None:
            why = "the account's DID document names no key that could have signed it"
        else:
            why = f"{identity.pds} offers no proofs ({_RECORD})"
        return _Fetched(unchecked("proof", f"{why}; {record.cid} is on the server's word only"), record)

    def _answered(self, identity: Identity, uri: AtUri) -> CheckedRecord:
        collection = str(uri.collection)
        listed = get_record(self.client, identity.pds, identity.did, collection, str(uri.rkey))
        return checked(listed, identity.did, collection)

    def _same_answer(self, identity: Identity, uri: AtUri, proven: CheckedRecord) -> Check:
        """Check that ``getRecord`` returns the proven record."""
        try:
            answered = self._answered(identity, uri)
            if answered.cid != proven.cid:
                again = self._fetch(identity, uri).record
                answered = self._answered(identity, uri)
                proven = again or proven
        except CatalogError as error:
            return failed("answer", f"the server proves the record, but getRecord says: {error}")
        if answered.cid != proven.cid:
            return failed("answer", f"getRecord returns another record than the proven one: {answered.cid}")
        return passed("answer", "getRecord returns the same record")

    def _references(self, record: Record, uri: AtUri) -> Iterator[Check]:
        match record:
            case Dataset():
                yield self._reference("schema", record.schema_ref, SCHEMA)
                if record.metadata_schema_ref is not None:
                    yield self._reference("metadata", record.metadata_schema_ref, None)
            case Lens():
                yield self._reference("source", record.source, SCHEMA, partial(_of_version, record.source_version))
                yield self._reference("target", record.target, SCHEMA, partial(_of_version, record.target_version))
                yield unchecked("code", "the code that the lens points to was not fetched, and not run")
            case Label():
                yield self._reference("dataset", record.dataset, DATASET, partial(_of_account, str(uri.authority)))
            case LensVerification():
                yield self._reference("lens", record.lens, LENS, partial(_as_it_was, record.lens_commit))

    def _reference(
        self, what: str, target: AtUri, kind: str | None, faults: Callable[[_Referred], str | None] = lambda _: None
    ) -> Check:
        """Check that a referenced record exists and matches the reference (``faults``)."""
        try:
            found = self._referred(target, kind)
            fault = faults(found)
        except InvalidRecord as error:
            fault = f"breaks its lexicon: {error.faults[0]}"
        except CatalogError as error:
            fault = str(error)
        if fault is not None:
            return failed(what, f"{target}: {fault}")
        how = "" if found.proven else ", on its server's word only"
        return passed(what, f"{target}: {_called(found.record)}{found.cid}{how}")

    def _sample_type(self, record: Dataset) -> SampleType | None:
        """Return the schema of a dataset; ``None`` if it can't be read, which is a check of its own, or is foreign."""
        schema = self._schemas.get(record.schema_ref)
        return None if schema is None or schema.sample_type.foreign is not None else schema.sample_type

    def _referred(self, target: AtUri, kind: str | None) -> _Referred:
        if target.rkey is None:
            raise InvalidData("not the address of a record")
        if kind is not None and target.collection != kind:
            raise InvalidData(f"not in {kind}")
        identity = self._resolver.resolve(str(target.authority))
        fetched = self._fetch(identity, target)
        if fetched.record is None:
            raise InvalidData(fetched.check.text)
        record = None if kind is None else read_record(kind, fetched.record.value)
        if isinstance(record, Schema):
            self._schemas[target] = record
        return _Referred(
            did=str(identity.did),
            cid=str(fetched.record.cid),
            proven=fetched.check.state is State.PASSED,
            record=record,
        )


def _identity_check(identity: Identity) -> Check:
    if identity.handle is None:
        text = f"{identity.did} has no handle that points back to it; its server is {identity.pds}"
        return unchecked("identity", text)
    return passed("identity", f"{identity.handle} is {identity.did}, both say so; its server is {identity.pds}")


def _lexicon_checks(found: CheckedRecord) -> Generator[Check, None, Record | None]:
    """Yield a check for each fault, or one passed check; return the record."""
    collection = str(found.uri.collection)
    try:
        record = read_record(collection, found.value)
    except InvalidRecord as error:
        for fault in error.faults:
            yield failed("lexicon", str(fault))
        return None
    except CatalogError as error:
        yield failed("lexicon", str(error))
        return None
    forgiven = Lexicons.load().validate(collection, found.value)
    if forgiven:
        yield passed("lexicon", f"{collection}, but for what readers forgive: {'; '.join(map(str, forgiven))}")
    else:
        yield passed("lexicon", f"{collection}: {_called(record).rstrip(', ')}")
    return record


def _called(record: Record | None) -> str:
    """Return the name in a record, followed by a comma."""
    match record:
        case None:
            return ""
        case Schema(sample_type=sample_type):
            return f"{sample_type.name}@{sample_type.version}, "
        case Label(name=name, version=version) if version is not None:
            return f"{name}@{version}, "
        case LensVerification(method=method):
            return f"{method}, "
        case _:
            return f"{record.name}, "


def _of_version(wanted: str | None, found: _Referred) -> str | None:
    """Return why a schema isn't of the version that a lens names; ranges are not checked."""
    if wanted is None or not isinstance(found.record, Schema) or not SEMVER.fullmatch(wanted):
        return None
    version = found.record.sample_type.version
    return None if version == wanted else f"is version {version}, the lens says {wanted}"


def _of_account(did: str, found: _Referred) -> str | None:
    """Return why a label doesn't count: only labels for the account's own datasets do."""
    return None if found.did == did else "of another account; a label counts only for its own account's datasets"


def _as_it_was(cid: str, found: _Referred) -> str | None:
    """Return why a verification isn't of the current version of the lens."""
    return None if found.cid == cid else f"is {found.cid} now, the verification is of {cid[:128]}"
