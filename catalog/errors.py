"""Every error this package raises on purpose.

::

    CatalogError
    ├── InvalidSyntax        an identifier breaks its grammar (DID, handle, AT-URI, …)
    ├── InvalidData          a value is outside the atproto data model
    ├── InvalidSchema        a sample type or a schema record's body can't be read
    ├── InvalidRecord        a record breaks its lexicon          (faults: path, message)
    ├── InvalidManifest      a manifest has mistakes              (faults: file, line, message)
    ├── InvalidConfig        a setting of ``mkdocs.yml`` or the environment is wrong
    ├── NetworkError         something out there didn't answer as it should
    │   ├── RequestFailed    an HTTP or XRPC error answer         (status, name)
    │   ├── RefusedAddress   the address guard said no
    │   ├── ResponseTooLarge more bytes than the cap
    │   ├── UnknownIdentity  a DID or handle doesn't resolve
    │   ├── InvalidProof     blocks that don't prove what they should
    │   └── SessionError     login refused, or no credentials
    ├── StoreError           the store can't be opened, or is not ours
    │   └── StoreBusy        another crawl is at work on it
    ├── DataError            samples and shards
    │   ├── InvalidArray     array bytes can't be read safely
    │   ├── InvalidSample    a sample doesn't fit its type
    │   ├── InvalidShard     a shard is cut, or is not a tar
    │   ├── ChecksumMismatch a shard's bytes are not the ones promised
    │   └── RefusedUrl       a URL of a scheme we don't open
    ├── LensError            a lens can't be made, found or loaded
    ├── MissingExtra         an optional library isn't installed
    ├── PublishError         records couldn't be written
    └── BuildError           the site couldn't be built

Each says *what* is wrong, *where*, and *what to do* (``hint``). Where a text holds several mistakes all of
them are reported at once, as a tuple of :class:`Fault`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BuildError",
    "CatalogError",
    "ChecksumMismatch",
    "DataError",
    "Fault",
    "InvalidArray",
    "InvalidConfig",
    "InvalidData",
    "InvalidManifest",
    "InvalidProof",
    "InvalidRecord",
    "InvalidSample",
    "InvalidSchema",
    "InvalidShard",
    "InvalidSyntax",
    "LensError",
    "MissingExtra",
    "NetworkError",
    "PublishError",
    "RefusedAddress",
    "RefusedUrl",
    "RequestFailed",
    "ResponseTooLarge",
    "SessionError",
    "StoreBusy",
    "StoreError",
    "UnknownIdentity",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One mistake: where it is and what is wrong.

    ``where`` is a path in a record (``storage.shards[2].url``) or a place in a file (``digits.yaml:12``);
    empty when the whole value is meant.
    """

    where: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        """One line: ``where: message (hint)``."""
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.message}{advice}"


class CatalogError(Exception):
    """The base of all our errors; catch it to catch them all."""

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """One line: ``where: what (hint)``."""
        return str(Fault(where=self.where or "", message=self.what, hint=self.hint))

    def within(self, where: str) -> CatalogError:
        """The same error, seen from outside: ``where`` is put before its own place."""
        if self.where is None:
            self.where = where
        else:
            joint = "" if self.where.startswith("[") else "."
            self.where = f"{where}{joint}{self.where}"
        return self


class InvalidSyntax(CatalogError):
    """An identifier that breaks its grammar."""


class InvalidData(CatalogError):
    """A value that the atproto data model doesn't have (a float, a broken ``$link``, …)."""


class InvalidSchema(CatalogError):
    """A sample type, or the body of a schema record, that can't be read."""


class _Faulty(CatalogError):
    """An error that carries several faults; its text has one line for each."""

    def __init__(self, faults: tuple[Fault, ...], *, where: str | None = None) -> None:
        super().__init__("; ".join(f.message for f in faults) or "invalid", where=where)
        self.faults = faults

    def __str__(self) -> str:
        """One line per fault."""
        place = f"{self.where}: " if self.where else ""
        return "\n".join(f"{place}{fault}" for fault in self.faults)


class InvalidRecord(_Faulty):
    """A record that breaks its lexicon; ``faults`` are paths inside the record."""


class InvalidManifest(_Faulty):
    """One or more manifests with mistakes; ``faults`` are ``file:line`` places."""


class InvalidConfig(CatalogError):
    """A setting that is wrong."""


class NetworkError(CatalogError):
    """Something on the network didn't answer as it should."""


class RequestFailed(NetworkError):
    """An HTTP error answer; ``status`` is 0 when none came, ``name`` the XRPC error name."""

    def __init__(
        self, what: str, *, status: int = 0, name: str = "", where: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status
        self.name = name


class RefusedAddress(NetworkError):
    """The address guard refused a host: not a public address."""


class ResponseTooLarge(NetworkError):
    """An answer with more bytes than its cap."""


class UnknownIdentity(NetworkError):
    """A DID or handle that doesn't resolve to an account."""


class InvalidProof(NetworkError):
    """A CAR, tree, commit or frame that is broken, or doesn't prove what it should."""


class SessionError(NetworkError):
    """Login was refused, or there are no credentials."""


class StoreError(CatalogError):
    """The store can't be opened, is locked, or is not ours."""


class StoreBusy(StoreError):
    """Another crawl is at work on the store; reading it is fine meanwhile."""


class DataError(CatalogError):
    """Samples and shards."""


class InvalidArray(DataError):
    """Array bytes that can't be read, or not safely."""


class InvalidSample(DataError):
    """A sample that doesn't fit its type."""


class InvalidShard(DataError):
    """A shard that is cut short, or is not a tar of samples."""


class ChecksumMismatch(DataError):
    """A shard whose bytes are not the ones its record promises."""


class RefusedUrl(DataError):
    """A URL of a scheme that is never opened (``pipe:`` runs shell commands)."""


class LensError(CatalogError):
    """A lens that can't be made, found, loaded or used."""


class MissingExtra(CatalogError):
    """An optional library that isn't installed; the hint says how to install it."""


class PublishError(CatalogError):
    """Records that couldn't be written."""


class BuildError(CatalogError):
    """A site that couldn't be built."""
