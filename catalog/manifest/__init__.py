"""Manifests: YAML files that declare the schemas, datasets, labels, lenses and verifications of an account.

::

    files ─▶ yaml_parser ─▶ mapping ─▶ reader ─▶ drafts ─▶ compile ─▶ records
             values with               │         │          └── checksums: of local shards
             their lines               │         └── names: across files
                                       └── fields, storage (shards, glob, blobs), metadata

*Set*: the manifests given together; names resolve across its files, and it may have a name itself. *Draft*: the typed
description of one record, with its file and line. *Draft record*: the record itself, for one account.

Reading uses no network, and opens no local shard before :meth:`ManifestSet.records`. It only lists folders for a ``*``,
and reads the sizes of blobs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import Fault, InvalidManifest
from catalog.manifest.blobs import LocalBlob
from catalog.manifest.compile import DEFAULT_SET, MARK, DraftKey, DraftRecord, ManifestSet, closed
from catalog.manifest.diagnostics import Report, place, shown
from catalog.manifest.drafts import (
    BucketDraft,
    DatasetDraft,
    Draft,
    LabelDraft,
    LensDraft,
    SchemaDraft,
    SchemaKey,
    ShardDraft,
    VerificationDraft,
)
from catalog.manifest.names import Names
from catalog.manifest.publishable import require_publishable
from catalog.manifest.reader import read_manifest
from catalog.manifest.yaml_parser import MAX_BYTES, compose
from catalog.shards.source import open_nonblocking
from catalog.syntax import Datetime, Did, Tid

__all__ = [
    "DEFAULT_SET",
    "MARK",
    "BucketDraft",
    "DatasetDraft",
    "Draft",
    "DraftKey",
    "DraftRecord",
    "LabelDraft",
    "LensDraft",
    "LocalBlob",
    "ManifestSet",
    "SchemaDraft",
    "SchemaKey",
    "ShardDraft",
    "VerificationDraft",
    "load",
    "load_schemas",
    "load_sound",
    "require_publishable",
]


def load(paths: Sequence[Path]) -> ManifestSet:
    """Read manifests as one set; of a directory every ``*.yaml`` and ``*.yml`` in it, at any depth.

    Raises :class:`InvalidManifest` with every mistake of every file, including those that a lexicon finds.
    """
    found, faults = _read(paths, all_there=True)
    return _checked(found.manifests(found.files), faults)


def load_sound(paths: Sequence[Path]) -> tuple[ManifestSet, tuple[Fault, ...]]:
    """Read manifests as :func:`load` does, but omit each file with a mistake; also return all mistakes.

    A reference to an omitted file is a mistake of the omitted file only. Labels and verifications that refer to it are
    omitted too, as they need their target.
    """
    found, faults = _read(paths, all_there=True)
    sound = [file for file in found.files if not file.faults()]
    broken = _lexicon_faults(found.manifests(sound))
    sound = [file for file in sound if not any(file.has(fault) for fault in broken)]
    manifests, missing = closed(found.manifests(sound))
    return manifests, tuple(dict.fromkeys((*faults, *broken, *missing)))


def load_schemas(paths: Sequence[Path]) -> tuple[SchemaDraft, ...]:
    """Return the schemas of manifests that may refer to other files.

    Raises :class:`InvalidManifest` as :func:`load` does, except for names that no file declares.
    """
    found, faults = _read(paths, all_there=False)
    every = found.manifests(found.files)
    return _checked(ManifestSet(files=every.files, schemas=every.schemas), faults).schemas


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One manifest: its drafts, its report, and the mistake at which reading stopped."""

    report: Report
    drafts: list[Draft]
    stopped: tuple[Fault, ...]

    def faults(self) -> tuple[Fault, ...]:
        return (*self.report.faults(), *self.stopped)

    def has(self, fault: Fault) -> bool:
        return fault.where.rpartition(":")[0] == place(self.report.file, 1).rpartition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """All files of a set."""

    files: list[_File]
    name: str | None

    def manifests(self, files: Sequence[_File]) -> ManifestSet:
        drafts = [draft for file in files for draft in file.drafts]
        return ManifestSet(
            files=tuple(file.report.file for file in files),
            name=DEFAULT_SET if self.name is None else self.name,
            schemas=tuple(draft for draft in drafts if isinstance(draft, SchemaDraft)),
            datasets=tuple(draft for draft in drafts if isinstance(draft, DatasetDraft)),
            labels=tuple(draft for draft in drafts if isinstance(draft, LabelDraft)),
            lenses=tuple(draft for draft in drafts if isinstance(draft, LensDraft)),
            verifications=tuple(draft for draft in drafts if isinstance(draft, VerificationDraft)),
            doubts=tuple(doubt for file in files for doubt in file.report.doubts()),
        )


def _read(paths: Sequence[Path], *, all_there: bool) -> tuple[_Files, list[Fault]]:
    """Return every file and every mistake; undeclared names are mistakes when ``all_there``."""
    names, files = Names(), []
    found, faults = _files(paths)
    for path in found:
        report = Report(path)
        drafts: list[Draft] = []
        stopped: tuple[Fault, ...] = ()
        try:
            drafts = read_manifest(compose(_bytes(path, report), report), report, names)
        except InvalidManifest as error:
            stopped = error.faults
        files.append(_File(report=report, drafts=drafts, stopped=stopped))
    if all_there and not faults and not any(file.stopped for file in files):
        names.check()  # an unreadable file may declare the missing names
    faults += [fault for file in files for fault in file.faults()]
    return _Files(files=files, name=names.set_name), faults


def _checked(found: ManifestSet, faults: list[Fault]) -> ManifestSet:
    every = (*faults, *_lexicon_faults(found))
    if every:
        raise InvalidManifest(tuple(dict.fromkeys(every)))
    return found


def _files(paths: Sequence[Path]) -> tuple[tuple[Path, ...], list[Fault]]:
    """Return the files, each once, and a fault for each path without one."""
    files: dict[Path, Path] = {}
    faults: list[Fault] = []
    for path in paths:
        try:
            inside = _inside(path) if path.is_dir() else [path]
            if not inside:
                faults.append(Fault(where=shown(str(path), 500), message="no *.yaml file in this directory"))
            elif not os.path.lexists(path):
                raise FileNotFoundError  # noqa: TRY301 - reported like other errors
            for file in inside:
                files.setdefault(_identity(file), file)
        except FileNotFoundError:
            faults.append(Fault(where=shown(str(path), 500), message="no such file or directory"))
        except (OSError, ValueError) as error:
            faults.append(Fault(where=shown(str(path), 500), message=f"can't be read: {_reason(error)}"))
    return tuple(files.values()), faults


def _inside(folder: Path) -> list[Path]:
    """Return the manifests of a folder, at any depth. Irregular files are reported when they are read."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix in (".yaml", ".yml")
        and not file.is_dir()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def _identity(file: Path) -> Path:
    """Return the resolved path, so that a file counts once; of a link to itself the plain path."""
    try:
        return file.resolve()
    except RuntimeError:
        return file.absolute()


def _bytes(file: Path, report: Report) -> bytes:
    """Return the bytes of a regular file within the size limit."""
    try:
        with open(file, "rb", opener=open_nonblocking) as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise report.stop(1, "can't be read: not a regular file")
            if status.st_size > MAX_BYTES:
                hint = "use a brace pattern, or several files"
                raise report.stop(1, f"the file has {status.st_size:,} bytes; the most is {MAX_BYTES:,}", hint)
            return opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise report.stop(1, f"can't be read: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _lexicon_faults(drafts: ManifestSet) -> tuple[Fault, ...]:
    """Return the lexicons' faults in the records of these drafts, built for a dummy account."""
    dummy = Did.parse("did:plc:" + "a" * 24)
    tid = Tid.parse("2" * 13)
    moment = Datetime.parse("2000-01-01T00:00:00.000Z")
    try:
        drafts.records(dummy, created_at=moment, new_tid=lambda: tid, hash_local=False)
    except InvalidManifest as error:
        return error.faults
    return ()
