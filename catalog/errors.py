"""The exceptions of this package.

::

    CatalogError
    ├── InvalidSyntax        an identifier breaks its grammar (DID, handle, AT-URI, …)
    ├── InvalidData          a value is outside the atproto data model
    ├── InvalidSchema        a sample type or a schema record's body can't be read
    ├── InvalidRecord        a record breaks its lexicon          (faults: path, message)
    ├── InvalidManifest      a manifest has mistakes              (faults: file, line, message)
    ├── InvalidConfig        a setting of ``mkdocs.yml`` or the environment is wrong
    ├── NetworkError         a server didn't answer, or not by the protocol
    │   ├── RequestFailed    an HTTP or XRPC error answer         (status, name)
    │   ├── RefusedAddress   the address guard refused a host
    │   ├── ResponseTooLarge more bytes than the limit
    │   ├── UnknownIdentity  a DID or handle doesn't resolve
    │   ├── InvalidProof     blocks that don't prove the requested record
    │   └── SessionError     login refused, or no credentials
    ├── StoreError           the store can't be opened, or is not ours
    │   └── StoreBusy        another crawl is writing to it
    ├── DataError            samples and shards
    │   ├── InvalidArray     array bytes can't be read safely
    │   ├── InvalidSample    a sample doesn't fit its type
    │   ├── InvalidShard     a shard is truncated, or is not a tar
    │   │   └── NoShards     no file has such a name, or a folder has no shards
    │   ├── ChecksumMismatch a shard's bytes don't match its record
    │   ├── RefusedUrl       a URL of a scheme we don't open
    │   ├── UnknownKey       no sample has such a key
    │   └── UnknownSplit     a dataset has no split of this name
    ├── LensError            a lens can't be made, found or loaded
    ├── InternalError        an unexpected exception             (origin)
    ├── MissingExtra         an optional library isn't installed
    ├── PublishError         records couldn't be written
    └── BuildError           the site couldn't be built

    TruncatedWarning         a shard may be cut between two samples: a warning
    UnverifiedWarning        a record is used without a proof: a warning
    SkippedWarning           a damaged sample or shard was skipped: a warning

Each says *what* is wrong, *where*, and *what to do* (``hint``). Several mistakes in one text are all reported, as a
tuple of :class:`Fault`. ``docs/reference/errors.md`` is generated from the docstrings below: each has a *Cause* and a
*Cure*.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from catalog.sanitize import escaped

__all__ = [
    "BuildError",
    "CatalogError",
    "ChecksumMismatch",
    "DataError",
    "Fault",
    "InternalError",
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
    "NoShards",
    "PublishError",
    "RefusedAddress",
    "RefusedUrl",
    "RequestFailed",
    "ResponseTooLarge",
    "SessionError",
    "SkippedWarning",
    "StoreBusy",
    "StoreError",
    "TruncatedWarning",
    "UnknownIdentity",
    "UnknownKey",
    "UnknownSplit",
    "UnverifiedWarning",
    "contained",
    "require_extra",
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
        """One line: ``where: message (hint)``; unprintable characters are escaped."""
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.hint})" if self.hint else ""
        return escaped(f"{place}{self.message}{advice}")


class CatalogError(Exception):
    """The base of all our errors; catch it to catch them all.

    Cause: one of the errors of the subclasses.

    Cure: read the message: it says what is wrong, where, and usually what to do.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """One line: ``where: what (hint)``; unprintable characters are escaped.

        A few of our own messages list something in several lines.
        """
        place = f"{escaped(self.where)}: " if self.where else ""
        advice = f" ({escaped(self.hint)})" if self.hint else ""
        return f"{place}{escaped(self.what, lines=True)}{advice}"

    def within(self, where: str) -> CatalogError:
        """Put ``where`` before the error's own place, and return the error."""
        if self.where is None:
            self.where = where
        else:
            joint = "" if self.where.startswith("[") else "."
            self.where = f"{where}{joint}{self.where}"
        return self


class InvalidSyntax(CatalogError):
    """An identifier that breaks its grammar.

    Cause: a mistyped or shortened address: a handle without a dot, an ``at://`` URI without its parts.

    Cure: copy the whole address from the page of the record.
    """


class InvalidData(CatalogError):
    """A value that the atproto data model doesn't have (a float, a broken ``$link``, …).

    Cause: a record with a float, or with bytes or links in a form that atproto doesn't have.

    Cure: write numbers with a fraction as text, or put them into ``metadata``, which may hold any.
    """


class InvalidSchema(CatalogError):
    """A sample type, or the body of a schema record, that can't be read.

    Cause: a misspelt type or dtype, names that collide, or a malformed schema record of another publisher.

    Cure: correct the type at the place in the message. A foreign record can only be corrected by its publisher.
    """


class _Faulty(CatalogError):
    """An error that carries several faults; its text has one line for each."""

    def __init__(self, faults: tuple[Fault, ...], *, where: str | None = None) -> None:
        super().__init__("; ".join(f.message for f in faults) or "invalid", where=where)
        self.faults = faults

    def __str__(self) -> str:
        place = f"{escaped(self.where)}: " if self.where else ""
        return "\n".join(f"{place}{fault}" for fault in self.faults)


class InvalidRecord(_Faulty):
    """A record that breaks its lexicon; ``faults`` are paths inside the record.

    Cause: a record of another publisher, or made in code, with a field missing, too long or of another type.

    Cure: change the fields at the given paths. Invalid records of others are skipped and listed on the status page.
    """


class InvalidManifest(_Faulty):
    """One or more manifests with mistakes; ``faults`` are ``file:line`` places.

    Cause: mistakes in YAML: unknown keys, undefined names, shards without checksums, a changed published version.

    Cure: correct each line in the message; ``catalog validate`` checks again without a network.
    """


class InvalidConfig(CatalogError):
    """A setting that is wrong.

    Cause: an invalid key or value in ``mkdocs.yml``, on the command line or in the environment.

    Cure: compare with the reference of settings; the message names the key.
    """


class NetworkError(CatalogError):
    """A server that didn't answer, or not by the protocol.

    Cause: a server is down or slow, or doesn't follow the protocol.

    Cure: try again later; if it persists, contact the server's operator. A crawl continues without the server.
    """


class RequestFailed(NetworkError):
    """An HTTP error answer; ``status`` is 0 if there was no answer, ``name`` the XRPC error name, ``message`` its text.

    Cause: a server refused the request (see ``status`` and ``name``), or didn't answer in time.

    Cure: for 404 check the address; for 429 wait as long as the message says; for 5xx try again later.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int = 0,
        name: str = "",
        message: str = "",
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status
        self.name = name
        self.message = message


class RefusedAddress(NetworkError):
    """The address guard refused a host: not a public address.

    Cause: a name that resolves to this machine, to a private network or to another address that isn't public.

    Cure: for a server on this machine set ``CATALOG_ALLOW_LOOPBACK=1``; for one in a private network add its address to
    ``allow_addresses`` or ``CATALOG_ALLOW_ADDRESSES``.
    """


class ResponseTooLarge(NetworkError):
    """An answer with more bytes than its limit.

    Cause: an unusually large file or answer, or a hostile server.

    Cure: contact the server's operator, or remove this source.
    """


class UnknownIdentity(NetworkError):
    """A DID or handle that doesn't resolve to an account; ``status`` is that of its directory's refusal, or 0.

    Cause: a misspelt handle, a deleted account, or a handle and a DID that don't refer to each other.

    Cure: check the spelling, or use the DID. If the account is yours, set the handle's DNS record.
    """

    def __init__(self, what: str, *, status: int = 0, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status


class InvalidProof(NetworkError):
    """A CAR, tree, commit or frame that is malformed, or doesn't prove the requested record.

    Cause: a broken export, a faulty server, or manipulated data.

    Cure: don't trust that copy: read the account from its own PDS. If that fails too, contact its owner.
    """


class SessionError(NetworkError):
    """Login was refused, or there are no credentials.

    Cause: a login that was denied or took too long, a session that has ended, a wrong or revoked app password, an
    account that is deactivated or taken down, or no login.

    Cure: run ``catalog login`` again; for automation create an app password in the account's settings, and set
    ``CATALOG_APP_PASSWORD``.
    """


class StoreError(CatalogError):
    """The store can't be opened, is locked, or is not ours.

    Cause: a file that isn't a store, was written by a newer version, or can't be read or written.

    Cure: check ``store:`` and the file's permissions. A broken store can be deleted: the next crawl creates a new one,
    without the history of records.
    """


class StoreBusy(StoreError):
    """Another crawl is writing to the store; it can still be read.

    Cause: a second ``catalog crawl``, ``build`` or ``appview`` at the same time on one store.

    Cure: wait until the other one is done. ``catalog build --no-crawl`` and searching work meanwhile.
    """


class DataError(CatalogError):
    """An error in samples or shards.

    Cause: an address that isn't a dataset, or shards in an unreadable format.

    Cure: check the address; the message names the shard and the sample.
    """


class InvalidArray(DataError):
    """Array bytes that can't be read safely.

    Cause: truncated bytes, another format than in the schema, or an array that would run code when opened.

    Cure: write arrays in the format of the schema; never as pickled objects.
    """


class InvalidSample(DataError):
    """A sample that doesn't fit its type.

    Cause: a field missing, or a value of another type, dtype or shape than in the class.

    Cure: compare the sample with its type; ``*`` or ``None`` means a variable length.
    """


class InvalidShard(DataError):
    """A shard that is truncated, or is not a tar of samples.

    Cause: an interrupted download or copy, or a file that isn't a tar.

    Cure: fetch or write the shard again.
    """


class NoShards(InvalidShard, FileNotFoundError):
    """A path, pattern or folder without shards.

    Cause: a mistyped path, or a folder of other files.

    Cure: check the path; ``catalog import`` makes shards of images, HDF5, Zarr and NumPy files.
    """


class ChecksumMismatch(DataError):
    """A shard whose bytes don't match the checksum of its record.

    Cause: the file at the address was changed or damaged after the record was published.

    Cure: fetch it again. If it persists, the publisher must publish the new checksum, under a new version.
    """


class RefusedUrl(DataError):
    """A URL of a scheme that is never opened (``pipe:`` runs shell commands).

    Cause: a scheme such as ``pipe:`` or ``file:`` in a record, an invalid host name, or an invalid bucket name.

    Cure: put shards at https or s3 addresses; open local files by their paths.
    """


class UnknownKey(DataError, KeyError):
    """A key that no sample has.

    Cause: a mistyped key, or another dataset or split.

    Cure: look at ``sample.__key__`` of some samples.
    """


class UnknownSplit(DataError, ValueError):
    """The name of a split that a dataset doesn't have.

    Cause: a mistyped name, or files whose names have no split.

    Cure: use one of the splits that the message lists, or omit the split.
    """


class LensError(CatalogError):
    """A lens that can't be created, found, loaded or used.

    Cause: functions without annotations, classes that aren't packable, no path between two types, or code missing at
    its commit.

    Cure: follow the message. To load code of another publisher, pass its repository and commit explicitly.
    """


class InternalError(CatalogError):
    """An unexpected exception; ``origin`` is the module and line that raised it.

    Cause: unexpected input, an operating system at its limits, or a defect of this package. The work on one account,
    record, file or page ended; the rest continued.

    Cure: report it with its whole line: whatever the cause, it is a defect of this package.
    """

    def __init__(self, what: str, *, origin: str = "", where: str | None = None) -> None:
        super().__init__(what, where=where, hint=f"a defect of this package, at {origin}; please report it")
        self.origin = origin


def contained(error: Exception, *, where: str | None = None) -> CatalogError:
    """Convert any exception to a :class:`CatalogError`, so that it is reported and ends only the work on one unit.

    A :class:`CatalogError` is returned unchanged. Any other, also ``MemoryError`` and ``RecursionError``, becomes an
    :class:`InternalError` with the exception's class and the innermost line of this package in its traceback.
    ``where`` is the unit's URI, file or host.
    """
    if isinstance(error, CatalogError):
        return error
    import traceback  # slow to import

    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}catalog{os.sep}" in frame.filename] or frames
    origin = "an unknown line"
    if ours:
        origin = f"{ours[-1].filename.rpartition(f'{os.sep}catalog{os.sep}')[2]}:{ours[-1].lineno}"
    text = str(error)[:200]
    return InternalError(f"unexpected {type(error).__name__}{f': {text}' if text else ''}", origin=origin, where=where)


class MissingExtra(CatalogError):
    """An optional library that isn't installed; the hint says how to install it.

    Cause: an optional feature, used in an installation without its extra.

    Cure: run the ``pip install`` line of the hint, such as ``pip install 'atdata-catalog[appview]'``.
    """


def require_extra(extra: str, module: str, *, purpose: str, where: str | None = None) -> None:
    """Raise :class:`MissingExtra` if a module of an extra (or of several, ``site,zensical``) isn't installed."""
    _require(module, f"'atdata-catalog[{extra}]'", purpose, where)


def require_package(package: str, module: str, *, purpose: str) -> None:
    """Raise :class:`MissingExtra` if a package that is no extra of this one isn't installed."""
    _require(module, package, purpose, None)


def _require(module: str, package: str, purpose: str, where: str | None) -> None:
    from importlib.util import find_spec

    try:
        installed = find_spec(module) is not None
    except ModuleNotFoundError:  # the parent of a submodule is missing
        installed = False
    if not installed:
        what = f"{module} is not installed, but required for {purpose}"
        raise MissingExtra(what, where=where, hint=f"pip install {package}")


class PublishError(CatalogError):
    """Records that couldn't be written.

    Cause: a schema version that is already published, an account that changed since the plan, or a refused request.

    Cure: run ``catalog plan`` again. A published schema never changes: changes need a new version.
    """


class BuildError(CatalogError):
    """A site that couldn't be built.

    Cause: an unreadable source in a strict build, a theme without the blocks our pages need, or a failed renderer.

    Cure: read the line above it; without ``--strict`` failing sources are warnings.
    """


class TruncatedWarning(UserWarning):
    """A shard without a checksum ends between two samples, without the end mark of a tar.

    Cause: a program that writes no end mark, or a download or copy that stopped early.

    Cure: compare the number of samples or the file size with its source. With a checksum there is no such doubt.
    """


class SkippedWarning(UserWarning):
    """A damaged sample, or the rest of a shard that can't be read, was skipped: a warning, given for each.

    Cause: the program asked for it with ``Dataset.on_error("skip")``.

    Cure: repair or report the sample that the message names.
    """


class UnverifiedWarning(UserWarning):
    """A record was read without a proof: a warning, given once for each server.

    Cause: the server doesn't offer ``com.atproto.sync.getRecord`` or refused it, or the account's DID document names no
    key. The record may differ from the one that the account signed.

    Cure: compare the record with another trusted source, or ask the server's operator. To refuse such records:
    ``warnings.simplefilter("error", catalog.errors.UnverifiedWarning)``.
    """
