"""Identity resolution: handle → DID → PDS, and back. https://atproto.com/specs/did and https://atproto.com/specs/handle

- A DID document's claim to a handle is valid only if the handle resolves to the DID.
- The signing key is the first usable one named ``#atproto``; documents have other and older keys, too.
- Results are cached for an hour. When a signature fails, resolve again (``fresh``), as the key may have changed.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import dns.exception
import dns.resolver
import httpx

from catalog.atproto.keys import Curve, PublicKey
from catalog.errors import CatalogError, InvalidSyntax, RequestFailed, UnknownIdentity
from catalog.network.rate_limit import Budget
from catalog.network.ssrf import is_loopback_name
from catalog.syntax import AtIdentifier, Did, Handle

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.config import NetworkSettings
    from catalog.network.http import Client

LIFETIME: Final = 3600.0
"""Seconds that an answer is good for."""
NEGATIVE_LIFETIME: Final = 60.0
"""Seconds that an account counts as unknown, once it was not found or its directory did not answer."""

_PLC: Final = re.compile(r"did:plc:[a-z2-7]{24}")
_WEB: Final = re.compile(r"did:web:(?P<host>[A-Za-z0-9.-]{1,253})(?:%3A(?P<port>[0-9]{1,5}))?", re.IGNORECASE)
_NEVER: Final = frozenset({"alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"})
"""Top-level domains of handles that no lookup may find: https://atproto.com/specs/handle"""
_MAX_DOCUMENT: Final = 500_000
_DNS_SECONDS: Final = 5.0
_HANDLE_SECONDS: Final = 15.0
"""Limit on all requests to a handle's own host, retries and pauses included."""
_KNOWN_AS: Final = 20
_METHODS: Final = 50
"""Verification methods and services of a document that are looked at."""
_KEPT: Final = 50_000
"""Answers a cache holds, each of about 1 kB."""
_CURVES: Final = {
    "EcdsaSecp256k1VerificationKey2019": Curve.K256,
    "EcdsaSecp256r1VerificationKey2019": Curve.P256,
}
"""The older types of verification methods; a directory may still write them."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An account: its DID, its server, its handle if that resolves back, and the key that signs its commits."""

    did: Did
    handle: Handle | None
    pds: str
    key: PublicKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Labeler:
    """A labeler: its DID, the address of its service, and the key that signs its labels."""

    did: Did
    endpoint: str
    key: PublicKey


class _Document(NamedTuple):
    """The content of a DID document: the account, without a confirmed handle, and the handle that it claims."""

    identity: Identity
    claimed: Handle | None


class Resolver:
    """Resolves accounts, and caches them for ``lifetime`` seconds. Threads that need the same one share a request."""

    def __init__(
        self,
        client: Client,
        settings: NetworkSettings,
        *,
        lifetime: float = LIFETIME,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._settings = settings
        self._documents: _Cache[Did, _Document] = _Cache(self._document, lifetime, clock)
        self._handles: _Cache[Handle, Did] = _Cache(self._pointed_to, lifetime, clock)

    def resolve(self, account: str, *, fresh: bool = False) -> Identity:
        """Return the account of a DID or a handle; ``fresh`` bypasses the cache.

        Raises :class:`UnknownIdentity` if it doesn't resolve or has no PDS, and for a handle that its DID doesn't
        claim.
        """
        try:
            asked = AtIdentifier.parse(account.removeprefix("@")).value
        except InvalidSyntax as error:
            raise UnknownIdentity(error.what, hint=error.hint) from None
        did = asked if isinstance(asked, Did) else self.did_of(asked, fresh=fresh)
        identity, claimed = self._documents.get(did, fresh=fresh)
        if isinstance(asked, Handle):
            if claimed is None or claimed != asked.normalised:
                hint = "use the DID, or the new handle"
                raise UnknownIdentity(f"{did} doesn't call itself so", where=asked, hint=hint)
            return replace(identity, handle=claimed)
        return replace(identity, handle=self._confirmed(claimed, did, fresh=fresh))

    def claim(self, did: Did) -> Handle | None:
        """The handle that an account's document claims; it is not confirmed. Raises :class:`UnknownIdentity`."""
        return self._documents.get(did, fresh=False).claimed

    def labeler(self, did: Did) -> Labeler:
        """Return the labeler of a DID; nothing is cached. Raises :class:`UnknownIdentity` if the DID is none."""
        return labeler_of(self._read(did), did)

    def did_of(self, handle: Handle, *, fresh: bool = False) -> Did:
        """The DID that a handle points to. Raises :class:`UnknownIdentity`."""
        return self._handles.get(handle.normalised, fresh=fresh)

    def _pointed_to(self, name: Handle) -> Did:
        server = self._settings.handle_resolver
        if server is not None:
            return self._asked(server, name)
        if name.rpartition(".")[2] in _NEVER:
            raise UnknownIdentity("handles of this top-level domain don't exist on the network", where=name)
        return self._by_dns(name) or self._by_https(name)

    def _asked(self, server: str, handle: Handle) -> Did:
        url = f"{server}/xrpc/com.atproto.identity.resolveHandle"
        try:
            answer = self._client.get_json(url, params={"handle": handle}, max_bytes=_MAX_DOCUMENT)
            return Did.parse(_text(answer, "did"))
        except CatalogError as error:
            raise UnknownIdentity(f"{server} doesn't resolve it: {error.what}", where=handle) from None

    def _by_dns(self, handle: Handle) -> Did | None:
        """Return the DID in the TXT record of ``_atproto.<handle>``; None without one, or without DNS."""
        try:
            answer = dns.resolver.resolve(f"_atproto.{handle}", "TXT", lifetime=_DNS_SECONDS, search=False)
        except (dns.exception.DNSException, OSError, ValueError):
            return None
        texts = [b"".join(record.strings).decode("ascii", "replace") for record in answer]
        found = {text.removeprefix("did=").strip() for text in texts if text.startswith("did=")}
        if len(found) > 1:
            raise UnknownIdentity("its DNS names several DIDs", where=handle)
        try:
            return Did.parse(found.pop()) if found else None
        except InvalidSyntax as error:
            raise UnknownIdentity(f"its DNS record is broken: {error.what}", where=handle) from None

    def _by_https(self, handle: Handle) -> Did:
        budget = Budget(time.monotonic() + _HANDLE_SECONDS, handle)
        try:
            with self._client.within(budget):
                answer = self._client.get(f"https://{handle}/.well-known/atproto-did", max_bytes=4096)
            return Did.parse(answer.body.decode("ascii", "replace").strip())
        except (CatalogError, ValueError) as error:
            reason = error.what if isinstance(error, CatalogError) else "not a host"
            hint = "it needs a DNS TXT record at _atproto, or a file /.well-known/atproto-did"
            raise UnknownIdentity(f"the handle points to no DID ({reason})", where=handle, hint=hint) from None

    def _document(self, did: Did) -> _Document:
        document = self._read(did)
        return _Document(identity_of(document, did), _claimed(document))

    def _read(self, did: Did) -> Json:
        url = self._document_url(did)
        try:
            return self._client.get_json(url, max_bytes=_MAX_DOCUMENT)
        except CatalogError as error:
            what = f"its DID document can't be read: {error}"
            raise UnknownIdentity(what, status=_refused(error), where=did) from None

    def _document_url(self, did: Did) -> str:
        if _PLC.fullmatch(did):
            return f"{self._settings.plc_url}/{did}"
        web = _WEB.fullmatch(did)
        if web is not None:
            host = web["host"].lower()
            port = "" if web["port"] is None else f":{web['port']}"
            scheme = "http" if self._settings.allow_loopback and is_loopback_name(host) else "https"
            return f"{scheme}://{unquote(host)}{port}/.well-known/did.json"
        raise UnknownIdentity("not a DID that can be looked up", where=did, hint="did:plc:… or did:web:host")

    def _confirmed(self, handle: Handle | None, did: Did, *, fresh: bool) -> Handle | None:
        if handle is None:
            return None
        try:
            return handle if self.did_of(handle, fresh=fresh) == did else None
        except UnknownIdentity:
            return None


def _refused(error: CatalogError) -> int:
    """Return the status of a refusal that is the directory's own: a proxy's page in its place says nothing of a DID."""
    return error.status if isinstance(error, RequestFailed) and (error.name or error.message) else 0


class _Refusal(NamedTuple):
    """An :class:`UnknownIdentity` to be raised again: errors themselves change as they are raised."""

    what: str
    where: str | None
    hint: str | None
    status: int

    def error(self) -> UnknownIdentity:
        return UnknownIdentity(self.what, status=self.status, where=self.where, hint=self.hint)


@dataclass(slots=True, kw_only=True)
class _Entry(Generic[V]):
    """A cached answer; its lock is held during the request."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    found: V | _Refusal | None = None
    expires: float = 0.0
    began: int = -1


class _Cache(Generic[K, V]):
    """A cache of answers, also negative ones. One thread at a time requests a key.

    Calls and requests share a sequence of numbers: a fresh answer is one whose request is newer than the call, as an
    answer on its way may be older than the reason to ask.
    """

    def __init__(self, ask: Callable[[K], V], lifetime: float, clock: Callable[[], float]) -> None:
        self._ask, self._lifetime, self._clock = ask, lifetime, clock
        self._lock = threading.Lock()
        self._entries: dict[K, _Entry[V]] = {}
        self._number = 0

    def get(self, key: K, *, fresh: bool) -> V:
        with self._lock:
            called = self._next()
            entry = self._entries.setdefault(key, _Entry())
            while len(self._entries) > _KEPT:
                del self._entries[next(iter(self._entries))]
        with entry.lock:
            found = entry.found
            if found is None or self._clock() >= entry.expires or (fresh and entry.began < called):
                found = self._again(key, entry)
        if isinstance(found, _Refusal):
            raise found.error()
        return found

    def _again(self, key: K, entry: _Entry[V]) -> V | _Refusal:
        """Ask. Any other error than "unknown" leaves the entry as it was."""
        with self._lock:
            began = self._next()
        found: V | _Refusal
        try:
            found, lifetime = self._ask(key), self._lifetime
        except UnknownIdentity as error:
            found, lifetime = (
                _Refusal(error.what, error.where, error.hint, error.status),
                min(NEGATIVE_LIFETIME, self._lifetime),
            )
        entry.found, entry.began, entry.expires = found, began, self._clock() + lifetime
        return found

    def _next(self) -> int:
        self._number += 1
        return self._number


def identity_of(document: Json, did: Did) -> Identity:
    """Return the account of a DID document, without any request.

    Its handle is None, as the claimed one is not confirmed. Raises :class:`UnknownIdentity` for a document of another
    DID or without a PDS.
    """
    if not isinstance(document, dict) or document.get("id") != str(did):
        raise UnknownIdentity("its DID document is for another DID", where=did)
    return Identity(did=did, handle=None, pds=_pds(document, did), key=_key(document, did))


def labeler_of(document: Json, did: Did) -> Labeler:
    """Return the labeler of a DID document. Raises :class:`UnknownIdentity` if it has no labeler's service or key."""
    if not isinstance(document, dict) or document.get("id") != str(did):
        raise UnknownIdentity("its DID document is for another DID", where=did)
    key = _key(document, did, "#atproto_label")
    if key is None:
        raise UnknownIdentity("its DID document has no key #atproto_label", where=did, hint="it is not a labeler")
    return Labeler(did=did, endpoint=_service(document, did, "#atproto_labeler", "AtprotoLabeler"), key=key)


def _pds(document: Json, did: Did) -> str:
    return _service(document, did, "#atproto_pds", "AtprotoPersonalDataServer")


def _service(document: Json, did: Did, name: str, kind: str) -> str:
    """Return the URL of the service with this name and type."""
    what = "PDS" if name == "#atproto_pds" else "labeler"
    for service in _entries(document, "service", _METHODS):
        if _text(service, "id") in (name, f"{did}{name}"):
            if _text(service, "type") != kind:
                continue
            endpoint = _text(service, "serviceEndpoint").rstrip("/")
            if not _is_server(endpoint):
                raise UnknownIdentity(f"its {what} is not the URL of a server: {endpoint[:100]!r}", where=did)
            return endpoint
    raise UnknownIdentity(f"its DID document names no {what}", where=did)


def _key(document: Json, did: Did, name: str = "#atproto") -> PublicKey | None:
    """The first key that can be used, has the name, and is the account's own."""
    for method in _entries(document, "verificationMethod", _METHODS):
        named = _text(method, "id") in (name, f"{did}{name}")
        if not named or _text(method, "controller") != did:
            continue
        kind, text = _text(method, "type"), _text(method, "publicKeyMultibase")
        try:
            if kind == "Multikey":
                return PublicKey.parse(text)
            if kind in _CURVES:
                return PublicKey.parse_bare(text, _CURVES[kind])
        except InvalidSyntax:
            continue
    return None


def _claimed(document: Json) -> Handle | None:
    """The first handle a DID document claims, in lower case."""
    for name in _entries(document, "alsoKnownAs", _KNOWN_AS):
        if isinstance(name, str) and name.startswith("at://"):
            try:
                return Handle.parse(name.removeprefix("at://")).normalised
            except InvalidSyntax:
                return None
    return None


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port, httpx.URL(url).host
    except (ValueError, httpx.InvalidURL):
        return False
    bare = not (parts.path or parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and bare


def same_server(one: str, other: str) -> bool:
    """Return whether two addresses of servers mean the same one. All spellings of loopback are equal."""
    return _server(one) == _server(other)


def _server(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, "localhost" if is_loopback_name(host) else host, port


def _entries(document: Json, name: str, most: int) -> list[Json]:
    found = document.get(name) if isinstance(document, dict) else None
    return found[:most] if isinstance(found, list) else []


def _text(value: Json, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
