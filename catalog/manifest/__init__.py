"""Manifests: YAML that says which schemas, datasets, labels, lenses and verifications an account publishes.

::

    files ─▶ document ─▶ table ─▶ read ─▶ drafts ─▶ build ─▶ records
             values with          │       │          └── digests, measures: what local shards are
             their lines          │       └── names: across files
                                  └── fields, storage (shards, files, blobs), metadata: its parts

Every mistake on the way goes to the file's report (faults), and ``lines`` leads from a record's place back to its line.
``first`` and ``manifest.schema.json`` are for those who write manifests.

Terminology
-----------
*Set*: the manifests given together; names resolve across its files, and it may have a name itself. *Draft*: what a
manifest says about one record, typed, knowing its file and line. *Draft record*: the record itself, for one account.

Reading is offline: no network, and no local shard is opened before :meth:`ManifestSet.records`. Only names are looked
up: for a ``*``, and for how large a blob will be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import Fault, InvalidManifest
from catalog.manifest.blobs import LocalBlob
from catalog.manifest.build import DEFAULT_SET, MARK, DraftKey, DraftRecord, ManifestSet
from catalog.manifest.document import MAX_BYTES, compose
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
from catalog.manifest.faults import Report, shown
from catalog.manifest.names import Names
from catalog.manifest.read import read_manifest
from catalog.syntax import Datetime, Did, Tid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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
]


def load(paths: Sequence[Path]) -> ManifestSet:
    """Read manifests as one set; of a directory every ``*.yaml`` and ``*.yml`` in it, at any depth.

    Raises :class:`InvalidManifest` with every mistake of every file, among them those that only a lexicon knows.
    """
    return _checked(*_read(paths, all_there=True))


def load_schemas(paths: Sequence[Path]) -> tuple[SchemaDraft, ...]:
    """The schemas of some manifests, for those who need nothing else: what they refer to may be in other files.

    Raises :class:`InvalidManifest` as :func:`load` does, but for names that no file declares.
    """
    found, faults = _read(paths, all_there=False)
    return _checked(ManifestSet(files=found.files, schemas=found.schemas), faults).schemas


def _read(paths: Sequence[Path], *, all_there: bool) -> tuple[ManifestSet, list[Fault]]:
    """What manifests say, and their mistakes; names that no file declares are mistakes when ``all_there``."""
    reports: list[Report] = []
    drafts: list[Draft] = []
    names = Names()
    stopped: dict[Path, tuple[Fault, ...]] = {}
    files, faults = _files(paths)
    for file in files:
        report = Report(file)
        reports.append(report)
        try:
            drafts += read_manifest(compose(_bytes(file, report), report), report, names)
        except InvalidManifest as error:
            stopped[file] = error.faults
    if all_there and not stopped and not faults:  # a file that can't be read may hold names that seem to be missing
        names.check()
    faults += [fault for report in reports for fault in (*report.faults(), *stopped.get(report.file, ()))]
    return _set(files, drafts, names.set_name), faults


def _checked(found: ManifestSet, faults: list[Fault]) -> ManifestSet:
    every = (*faults, *_lexicon_faults(found))
    if every:
        raise InvalidManifest(tuple(dict.fromkeys(every)))
    return found


def _files(paths: Sequence[Path]) -> tuple[tuple[Path, ...], list[Fault]]:
    """The files meant, each once, and a fault for each path that leads to none."""
    files: dict[Path, Path] = {}
    faults: list[Fault] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                file
                for file in path.rglob("*")
                if file.suffix in (".yaml", ".yml")
                and file.is_file()
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
            )
            if not inside:
                faults.append(Fault(where=shown(str(path), 500), message="no *.yaml file in this directory"))
        elif path.exists():
            inside = [path]
        else:
            faults.append(Fault(where=shown(str(path), 500), message="there is no such file or directory"))
            inside = []
        for file in inside:
            files.setdefault(file.resolve(), file)
    return tuple(files.values()), faults


def _bytes(file: Path, report: Report) -> bytes:
    """The bytes of a file, at most one more than a manifest may have."""
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise report.stop(1, f"can't be read: {reason}") from None


def _set(files: tuple[Path, ...], drafts: list[Draft], name: str | None) -> ManifestSet:
    return ManifestSet(
        files=files,
        name=DEFAULT_SET if name is None else name,
        schemas=tuple(draft for draft in drafts if isinstance(draft, SchemaDraft)),
        datasets=tuple(draft for draft in drafts if isinstance(draft, DatasetDraft)),
        labels=tuple(draft for draft in drafts if isinstance(draft, LabelDraft)),
        lenses=tuple(draft for draft in drafts if isinstance(draft, LensDraft)),
        verifications=tuple(draft for draft in drafts if isinstance(draft, VerificationDraft)),
    )


def _lexicon_faults(drafts: ManifestSet) -> tuple[Fault, ...]:
    """What the lexicons say about the records these drafts become, in an account that stands for any."""
    nobody = Did.parse("did:plc:" + "a" * 24)
    tid = Tid.parse("2" * 13)
    moment = Datetime.parse("2000-01-01T00:00:00.000Z")
    try:
        drafts.records(nobody, created_at=moment, new_tid=lambda: tid, hash_local=False)
    except InvalidManifest as error:
        return error.faults
    return ()
