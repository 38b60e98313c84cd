"""Who is who: handle → DID → PDS, and back.

::

    alice.example.org ──DNS or https──▶ did:plc:… ──DID document──▶ PDS
             ▲                                          │
             └────────── the same handle? ◀─alsoKnownAs─┘

A DID document's claim to a handle is worth nothing until the handle points back. Specifications:
https://atproto.com/specs/did and https://atproto.com/specs/handle
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import dns.exception
import dns.resolver

from catalog.errors import CatalogError, InvalidSyntax, NetworkError, UnknownIdentity
from catalog.network.guard import is_loopback_name
from catalog.syntax import AtIdentifier, Did, Handle

if TYPE_CHECKING:
    from catalog.config import NetworkSettings
    from catalog.datamodel import Json
    from catalog.network.http import Client

__all__ = ["Identity", "Resolver", "same_server"]

_PLC: Final = re.compile(r"did:plc:[a-z2-7]{24}")
_WEB: Final = re.compile(r"did:web:(?P<host>[A-Za-z0-9.-]{1,253})(?:%3A(?P<port>[0-9]{1,5}))?", re.IGNORECASE)
_NEVER: Final = frozenset({"alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"})
"""Top-level domains of handles that no lookup may find: https://atproto.com/specs/handle"""
_MAX_DOCUMENT: Final = 500_000
_DNS_SECONDS: Final = 5.0
_KNOWN_AS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An account: its DID, its server, and its handle when that points back to the DID."""

    did: Did
    handle: Handle | None
    pds: str


class Resolver:
    """Looks accounts up. Every lookup may raise a :class:`~catalog.errors.NetworkError`."""

    def __init__(self, client: Client, settings: NetworkSettings) -> None:
        self._client = client
        self._settings = settings

    def resolve(self, account: str) -> Identity:
        """The account of a DID or a handle.

        Raises :class:`UnknownIdentity` when it is neither, doesn't resolve, or has no PDS; a handle that its DID
        doesn't claim back is none of that account's.
        """
        try:
            asked = AtIdentifier.parse(account.removeprefix("@")).value
        except InvalidSyntax as error:
            raise UnknownIdentity(error.what, hint=error.hint) from None
        did = asked if isinstance(asked, Did) else self.did_of(asked)
        document = self._document(did)
        pds = self._pds(document, did)
        claimed = _claimed(document)
        if isinstance(asked, Handle):
            if claimed is None or claimed != asked.normalised:
                hint = "use the DID, or the new handle"
                raise UnknownIdentity(f"{did} doesn't call itself so", where=asked, hint=hint)
            return Identity(did=did, handle=claimed, pds=pds)
        return Identity(did=did, handle=self._confirmed(claimed, did), pds=pds)

    def did_of(self, handle: Handle) -> Did:
        """The DID that a handle points to. Raises :class:`UnknownIdentity`."""
        name = handle.normalised
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
        except (NetworkError, InvalidSyntax) as error:
            raise UnknownIdentity(f"{server} doesn't resolve it: {error.what}", where=handle) from None

    def _by_dns(self, handle: Handle) -> Did | None:
        """From the TXT record of ``_atproto.<handle>``; None when there is none, or DNS can't be asked."""
        try:
            answer = dns.resolver.resolve(f"_atproto.{handle}", "TXT", lifetime=_DNS_SECONDS, search=False)
        except (dns.exception.DNSException, OSError):
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
        try:
            answer = self._client.get(f"https://{handle}/.well-known/atproto-did", max_bytes=4096, seconds=15)
            return Did.parse(answer.body.decode("ascii", "replace").strip())
        except (CatalogError, ValueError) as error:
            reason = error.what if isinstance(error, CatalogError) else "not a host"
            hint = "it needs a DNS TXT record at _atproto, or a file /.well-known/atproto-did"
            raise UnknownIdentity(f"the handle points to no DID ({reason})", where=handle, hint=hint) from None

    def _document(self, did: Did) -> dict[str, Json]:
        try:
            document = self._client.get_json(self._document_url(did), max_bytes=_MAX_DOCUMENT)
        except NetworkError as error:
            raise UnknownIdentity(f"its DID document can't be read: {error}", where=did) from None
        if not isinstance(document, dict) or document.get("id") != str(did):
            raise UnknownIdentity("its DID document is somebody else's", where=did)
        return document

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

    def _pds(self, document: dict[str, Json], did: Did) -> str:
        services = document.get("service")
        for service in services if isinstance(services, list) else ():
            if _text(service, "id") in ("#atproto_pds", f"{did}#atproto_pds"):
                if _text(service, "type") != "AtprotoPersonalDataServer":
                    continue
                endpoint = _text(service, "serviceEndpoint").rstrip("/")
                if not _is_server(endpoint):
                    raise UnknownIdentity(f"its PDS is not the URL of a server: {endpoint[:100]!r}", where=did)
                return endpoint
        raise UnknownIdentity("its DID document names no PDS", where=did)

    def _confirmed(self, handle: Handle | None, did: Did) -> Handle | None:
        if handle is None:
            return None
        try:
            return handle if self.did_of(handle) == did else None
        except UnknownIdentity:
            return None


def _claimed(document: dict[str, Json]) -> Handle | None:
    """The first handle a DID document claims, in lower case."""
    names = document.get("alsoKnownAs")
    for name in names[:_KNOWN_AS] if isinstance(names, list) else ():
        if isinstance(name, str) and name.startswith("at://"):
            try:
                return Handle.parse(name.removeprefix("at://")).normalised
            except InvalidSyntax:
                return None
    return None


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    bare = not (parts.path or parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and bare


def same_server(one: str, other: str) -> bool:
    """Whether two addresses of servers mean the same one. All spellings of this machine count as one."""
    return _server(one) == _server(other)


def _server(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, "localhost" if is_loopback_name(host) else host, port


def _text(value: Json, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
