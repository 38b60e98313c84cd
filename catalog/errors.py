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
    ├── InternalError        an exception that nobody expected   (origin)
    ├── MissingExtra         an optional library isn't installed
    ├── PublishError         records couldn't be written
    └── BuildError           the site couldn't be built

    UnverifiedWarning        a record is taken without a proof: a warning

Each says *what* is wrong, *where*, and *what to do* (``hint``). Where a text holds several mistakes all of
them are reported at once, as a tuple of :class:`Fault`. ``docs/reference/errors.md`` is made of the docstrings below:
each has a *Cause* and a *Cure*.
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
    "PublishError",
    "RefusedAddress",
    "RefusedUrl",
    "RequestFailed",
    "ResponseTooLarge",
    "SessionError",
    "StoreBusy",
    "StoreError",
    "UnknownIdentity",
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

    Cause: something was wrong that we know about; what exactly says the class below it.

    Cure: read the message: it says what, where, and mostly what to do.
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
        """The same error, seen from outside: ``where`` is put before its own place."""
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

    Cause: a misspelt type or dtype, names that collide, or a schema record by somebody else that makes no sense.

    Cure: mend the type where the message points. A foreign record only its publisher can mend.
    """


class _Faulty(CatalogError):
    """An error that carries several faults; its text has one line for each."""

    def __init__(self, faults: tuple[Fault, ...], *, where: str | None = None) -> None:
        super().__init__("; ".join(f.message for f in faults) or "invalid", where=where)
        self.faults = faults

    def __str__(self) -> str:
        """One line per fault."""
        place = f"{escaped(self.where)}: " if self.where else ""
        return "\n".join(f"{place}{fault}" for fault in self.faults)


class InvalidRecord(_Faulty):
    """A record that breaks its lexicon; ``faults`` are paths inside the record.

    Cause: a record of somebody else's, or made in code, with a field missing, too long or of another type.

    Cure: change the fields that the paths name. Records of others are left out and listed on the status page.
    """


class InvalidManifest(_Faulty):
    """One or more manifests with mistakes; ``faults`` are ``file:line`` places.

    Cause: mistakes in YAML: unknown keys, names that nothing has, shards without checksums, a published version
    changed.

    Cure: go to each line that is named; ``catalog validate`` checks again without a network.
    """


class InvalidConfig(CatalogError):
    """A setting that is wrong.

    Cause: a key or value in the ``catalog`` block of ``mkdocs.yml``, on the command line or in a variable that can't
    be.

    Cure: compare with the reference of settings; the message names the key.
    """


class NetworkError(CatalogError):
    """Something on the network didn't answer as it should.

    Cause: a server is down or slow, or answers something else than the protocol says.

    Cure: try again later; if it stays, tell whoever runs the server. A crawl goes on without it by itself.
    """


class RequestFailed(NetworkError):
    """An HTTP error answer; ``status`` is 0 when none came, ``name`` the XRPC error name, ``message`` its text.

    Cause: a server said no (``status`` and ``name`` tell how), or didn't answer in time.

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

    Cause: a name that leads to this machine, to a private network or to another address that isn't public.

    Cure: for a server on this machine set ``CATALOG_ALLOW_LOOPBACK=1``, for one in a private network of your own name
    its address in ``allow_addresses`` or ``CATALOG_ALLOW_ADDRESSES``.
    """


class ResponseTooLarge(NetworkError):
    """An answer with more bytes than its cap.

    Cause: a file or answer that is far longer than its kind ever is, or a hostile server.

    Cure: nothing is wrong on your side; tell the server's owner, or leave this source out.
    """


class UnknownIdentity(NetworkError):
    """A DID or handle that doesn't resolve to an account; ``status`` is what its directory answered, 0 for no refusal.

    Cause: a misspelt handle, an account that is gone, or a handle and a DID that don't name each other.

    Cure: check the spelling, or use the DID. If the account is yours, set the handle's DNS record.
    """

    def __init__(self, what: str, *, status: int = 0, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status


class InvalidProof(NetworkError):
    """A CAR, tree, commit or frame that is broken, or doesn't prove what it should.

    Cause: a broken export, a server at fault, or somebody who changed what an account has signed.

    Cure: don't trust that copy: read the account from its own PDS. If that fails too, tell its owner.
    """


class SessionError(NetworkError):
    """Login was refused, or there are no credentials.

    Cause: a wrong or revoked app password, an account that is deactivated or taken down, or no password at all.

    Cure: make a new app password in the account's settings; give it by ``catalog login`` or ``CATALOG_APP_PASSWORD``.
    """


class StoreError(CatalogError):
    """The store can't be opened, is locked, or is not ours.

    Cause: a file that isn't a store, that a newer version wrote, or that can't be read or written.

    Cure: check ``store:`` and the file's rights. A broken store may be deleted: the next crawl makes a new one, which
    lacks only the history of records.
    """


class StoreBusy(StoreError):
    """Another crawl is at work on the store; reading it is fine meanwhile.

    Cause: a second ``catalog crawl``, ``build`` or ``appview`` at the same time on one store.

    Cure: wait until the other is done. Building with ``--no-crawl`` and searching work meanwhile.
    """


class DataError(CatalogError):
    """Samples and shards.

    Cause: an address that is no dataset, or shards whose form can't be read.

    Cure: check the address; the message names the shard and the sample.
    """


class InvalidArray(DataError):
    """Array bytes that can't be read, or not safely.

    Cause: bytes that are cut, of another form than the schema says, or an array that would run code when it is
    opened.

    Cure: write arrays in the form that the schema names; never as pickled objects.
    """


class InvalidSample(DataError):
    """A sample that doesn't fit its type.

    Cause: a field missing, or a value of another type, dtype or shape than the class says.

    Cure: compare the sample with its type; ``*`` or ``None`` stands for a length that varies.
    """


class InvalidShard(DataError):
    """A shard that is cut short, or is not a tar of samples.

    Cause: a download or a copy that stopped early, or a file that is no tar.

    Cure: fetch or write the shard again.
    """


class ChecksumMismatch(DataError):
    """A shard whose bytes are not the ones its record promises.

    Cause: the file at the address was changed or damaged after the record was published.

    Cure: fetch it again. If it stays, the publisher must publish the file's checksum anew, under a new version.
    """


class RefusedUrl(DataError):
    """A URL of a scheme that is never opened (``pipe:`` runs shell commands).

    Cause: ``pipe:``, ``file:`` and their like in a record, a host name that isn't one, or a bucket's name that can't
    be.

    Cure: put shards at https or s3 addresses; open files of your own by their paths.
    """


class LensError(CatalogError):
    """A lens that can't be made, found, loaded or used.

    Cause: functions without annotations, classes that aren't packable, no path between two types, or code that isn't
    at its commit.

    Cure: follow the message. To load somebody's code, name its repository and commit yourself.
    """


class InternalError(CatalogError):
    """An exception that this package does not raise on purpose; ``origin`` is the module and line that raised it.

    Cause: input of a kind that nobody thought of, an operating system at its limits, or a mistake of ours. The work on
    one account, record, file or page ended; the rest went on.

    Cure: report it with its whole line, as it is a defect of this package whatever caused it.
    """

    def __init__(self, what: str, *, origin: str = "", where: str | None = None) -> None:
        super().__init__(what, where=where, hint=f"a defect of this package, at {origin}; please report it")
        self.origin = origin


def contained(error: Exception, *, where: str | None = None) -> CatalogError:
    """Return any exception as one of ours, so that it can be reported and ends only the work on one unit.

    A :class:`CatalogError` stays what it is. Everything else, also ``MemoryError`` and ``RecursionError``, becomes an
    :class:`InternalError` that names the exception's class and the innermost line of this package that it came from.
    ``where`` is the unit's URI, file or host.
    """
    if isinstance(error, CatalogError):
        return error
    import traceback  # takes longer to load than all of this module

    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}catalog{os.sep}" in frame.filename] or frames
    origin = "an unknown line"
    if ours:
        origin = f"{ours[-1].filename.rpartition(f'{os.sep}catalog{os.sep}')[2]}:{ours[-1].lineno}"
    text = str(error)[:200]
    return InternalError(f"unexpected {type(error).__name__}{f': {text}' if text else ''}", origin=origin, where=where)


class MissingExtra(CatalogError):
    """An optional library that isn't installed; the hint says how to install it.

    Cause: a feature that only some need, used in an installation without it.

    Cure: ``pip install`` what the hint says, such as ``atdata-catalog[appview]``.
    """


def require_extra(extra: str, module: str, *, purpose: str) -> None:
    """Raise :class:`MissingExtra` if a module that an extra brings isn't installed."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MissingExtra(
            f"{purpose} needs {module}, which is not installed", hint=f"pip install 'atdata-catalog[{extra}]'"
        )


class PublishError(CatalogError):
    """Records that couldn't be written.

    Cause: a schema version that is published already, an account that somebody else changed meanwhile, or a server
    that refused.

    Cure: look at ``catalog plan`` again. A published schema never changes: what is new gets a new version.
    """


class BuildError(CatalogError):
    """A site that couldn't be built.

    Cause: a source that can't be read in a strict build, a theme without the places our pages need, or a renderer
    that failed.

    Cure: read the line above it; without ``--strict`` sources that fail are warnings.
    """


class UnverifiedWarning(UserWarning):
    """A record was read that its server didn't prove: a warning, given once for each server.

    Cause: the server doesn't offer ``com.atproto.sync.getRecord`` or refused it, or the account's DID document names no
    key. The record may be another than the account signed.

    Cure: compare the record with another source you trust, or ask the server's operator. To refuse such records:
    ``warnings.simplefilter("error", catalog.errors.UnverifiedWarning)``.
    """
