"""Read the sections of a manifest into drafts; every mistake goes to the file's report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from catalog import records
from catalog.errors import CatalogError, InvalidSyntax
from catalog.manifest.diagnostics import Report, near, shown
from catalog.manifest.drafts import (
    DatasetDraft,
    LabelDraft,
    LensDraft,
    SchemaDraft,
    SchemaKey,
    SchemaRef,
    VerificationDraft,
)
from catalog.manifest.fields import read_fields
from catalog.manifest.mapping import Table, kind_of
from catalog.manifest.metadata import content_of, metadata_of
from catalog.manifest.shards import https_fault
from catalog.manifest.splits import SPLIT_KEYS, read_splits
from catalog.manifest.storage import read_storage
from catalog.manifest.yaml_parser import Node, lines_of
from catalog.records import CodeReference
from catalog.schema import SampleType
from catalog.shards.formats import FORMATS
from catalog.syntax import AtUri, Cid
from catalog.syntax.semver import SEMVER

if TYPE_CHECKING:
    from catalog.manifest.drafts import Draft
    from catalog.manifest.names import Names

SECTIONS: Final = ("schemas", "datasets", "labels", "lenses", "verifications")
METHODS: Final = ("codeReview", "formalProof", "signedHash", "automatedTest")

_SCHEMA_KEYS: Final = ("name", "version", "description", "license", "tags", "fields")
_DATASET_KEYS: Final = (
    "name", "schema", "version", "description", "license", "tags", "shards", "s3", "blobs", "format", "samples",
    "splits", "metadata", "content_metadata", "manifests",
)  # fmt: skip
_LABEL_KEYS: Final = ("name", "version", "description", "dataset")
_LENS_KEYS: Final = ("name", "source", "target", "description", "getter", "putter")
_CODE_KEYS: Final = ("repository", "commit", "path", "branch", "language")
_VERIFICATION_KEYS: Final = ("lens", "method", "lens_commit", "description")
KEYS: Final = {
    "manifest": ("set", *SECTIONS), "schema": _SCHEMA_KEYS, "dataset": _DATASET_KEYS, "label": _LABEL_KEYS,
    "lens": _LENS_KEYS, "code": _CODE_KEYS, "verification": _VERIFICATION_KEYS, "split": SPLIT_KEYS,
}  # fmt: skip
"""Known keys of each mapping."""

_SEMVER_HINT: Final = "MAJOR.MINOR.PATCH, such as 1.0.0: https://semver.org"
_NUMBERS: Final = re.compile(r"[vV]?([0-9]{1,9})(?:\.([0-9]{1,9}))?(?:\.([0-9]{1,9}))?")
COMMIT: Final = re.compile(r"[0-9a-f]{40}")


def read_manifest(root: Node, report: Report, names: Names) -> list[Draft]:
    """Return the drafts of one file. Declarations and references go to ``names``, to be resolved across all files."""
    top = Table(root, "a manifest", KEYS["manifest"], report)
    if top.readable and not top.entries:
        report.add(root.line, "the manifest is empty", "start with schemas:, datasets: or lenses:")
    _read_set(top, names)
    readers = (_read_schema, _read_dataset, _read_label, _read_lens, _read_verification)
    drafts: list[Draft] = []
    for section, read in zip(SECTIONS, readers, strict=True):
        for node in top.items(section):
            draft = read(node, report, names)
            if draft is not None:
                drafts.append(draft)
    return drafts


def _position(node: Node, report: Report) -> dict[str, Any]:
    """Return the fields that every draft has."""
    return {"file": report.file, "line": node.line, "lines": lines_of(node)}


def _read_set(top: Table, names: Names) -> None:
    name = top.text("set", 100)
    if name is None:
        return
    if not name or not name.isprintable() or name != name.strip():
        top.report.add(top.line_of("set"), f"{shown(name)!r} is no name for a set", "one line, no blanks around it")
    else:
        names.declare_set(name, top.line_of("set"), top.report)


def _read_schema(node: Node, report: Report, names: Names) -> SchemaDraft | None:
    before = len(report)
    table = Table(node, "a schema", _SCHEMA_KEYS, report)
    name = table.text("name", 100, required=True)
    version = _version(table, 100, required=True)
    names.declare_schema(name, version, table.line_of("name"), report)
    fields = read_fields(table, report)
    description, license_, tags = table.text("description", 5000), table.text("license", 200), table.tags()
    if name is None or version is None or len(report) > before:
        return None
    sample_type = SampleType(name=name, version=version, fields=fields, description=description)
    return SchemaDraft(**_position(node, report), sample_type=sample_type, license=license_, tags=tags)


def _version(table: Table, limit: int, *, required: bool = False) -> str | None:
    node = table.get("version", required=required)
    if node is None:
        return None
    if isinstance(node.value, int | float):  # 1.0: quotes alone would not be enough
        message = f"'version' must be text, not {kind_of(node)}"
        table.report.add(node.line, message, _semver_like(node.text) or _SEMVER_HINT)
        return None
    version = table.text("version", limit, required=required)
    fault = None if version is None else version_fault(version)
    if fault is None:
        return version
    table.report.add(node.line, *fault)
    return None


def version_fault(version: str) -> tuple[str, str] | None:
    """Return the message and hint for a text that is not a semantic version, ``None`` if it is one."""
    if SEMVER.fullmatch(version):
        return None
    return f"{shown(version)!r} is not a semantic version", _semver_like(version) or _SEMVER_HINT


def _semver_like(text: str) -> str | None:
    """Return a hint for ``v1``, ``1.0`` and the like."""
    match = _NUMBERS.fullmatch(text.strip())
    return None if match is None else f"did you mean '{'.'.join(str(int(part or 0)) for part in match.groups())}'?"


def _read_dataset(node: Node, report: Report, names: Names) -> DatasetDraft | None:
    before = len(report)
    table = Table(node, "a dataset", _DATASET_KEYS, report)
    name = table.text("name", 200, required=True)
    version = _version(table, 50)
    names.declare_dataset(name, version, table)
    schema = _schema_ref(table, "schema", names)
    stored = read_storage(table, report)
    description, license_ = table.text("description", 5000), table.text("license", 200)
    tags, samples = table.tags(), table.number("samples")
    sample_format = _sample_format(table)
    splits = read_splits(table.get("splits"), stored.shards, report)
    metadata = metadata_of(table.get("metadata"), report)
    content = content_of(table.get("content_metadata"), report)
    manifests = table.flag("manifests") is True
    if name is None or schema is None or len(report) > before:
        return None
    return DatasetDraft(
        **_position(node, report),
        name=name,
        schema=schema,
        shards=stored.shards,
        bucket=stored.bucket,
        as_blobs=stored.as_blobs,
        version=version,
        description=description,
        license=license_,
        tags=tags,
        samples=samples,
        sample_format=sample_format,
        splits=splits,
        metadata=metadata,
        content_metadata=content,
        manifests=manifests,
    )


def _sample_format(table: Table) -> str | None:
    """Return the format of the shards, ``None`` if it isn't stated: then it is recognised where they are read."""
    name = table.text("format", 100)
    if name is not None and name not in FORMATS:
        message = f"unknown format {shown(name)!r}"
        table.report.add(table.line_of("format"), message, f"the formats of shards are {', '.join(FORMATS)}")
    return name


def _schema_ref(table: Table, key: str, names: Names) -> SchemaRef | None:
    """Return ``Name@1.0.0`` of the set, or the at:// URI of a published schema."""
    text = table.text(key, 500, required=True)
    if text is None:
        return None
    if text.startswith("at:"):
        return _uri(text, records.SCHEMA, table, key)
    name, at, version = text.rpartition("@")
    if not at:
        hint = "write Name@1.0.0, or the at:// URI of a published one"
        table.report.add(table.line_of(key), f"the schema {shown(text)!r} has no version", hint)
        return None
    found = SchemaKey(name=name, version=version)
    names.refer_schema(found, table.line_of(key), table.report)
    return found


def _uri(text: str, collection: str, table: Table, key: str) -> AtUri | None:
    try:
        uri = AtUri.parse(text)
    except InvalidSyntax as error:
        table.report.add(table.line_of(key), shown(error.what, 300), error.hint)
        return None
    if uri.collection != collection or uri.rkey is None:
        hint = f"at://did:plc:…/{collection}/…"
        table.report.add(table.line_of(key), f"{shown(text)!r} is not the URI of a {collection} record", hint)
        return None
    return uri


def _read_label(node: Node, report: Report, names: Names) -> LabelDraft | None:
    before = len(report)
    table = Table(node, "a label", _LABEL_KEYS, report)
    name, version = table.text("name", 200, required=True), _version(table, 50)
    description, text = table.text("description", 5000), table.text("dataset", 500, required=True)
    if name is not None and (version is not None or "version" not in table.entries):
        names.declare_label(name, version, table.line_of("name"), report)
    dataset: str | AtUri | None = text
    if text is not None and text.startswith("at:"):
        dataset = _uri(text, records.DATASET, table, "dataset")
    elif text is not None:
        names.refer_dataset(text, table.line_of("dataset"), report)
    if name is None or dataset is None or len(report) > before:
        return None
    return LabelDraft(
        **_position(node, report),
        name=name,
        dataset=dataset,
        version=version,
        description=description,
    )


def _read_lens(node: Node, report: Report, names: Names) -> LensDraft | None:
    before = len(report)
    table = Table(node, "a lens", _LENS_KEYS, report)
    name = table.text("name", 100, required=True)
    names.declare_lens(name, table.line_of("name"), report)
    source, target = _schema_ref(table, "source", names), _schema_ref(table, "target", names)
    description = table.text("description", 1000)
    getter, putter = _read_code(table, "getter", report), _read_code(table, "putter", report)
    if name is None or source is None or target is None or getter is None or putter is None or len(report) > before:
        return None
    return LensDraft(
        **_position(node, report),
        name=name,
        source=source,
        target=target,
        getter=getter,
        putter=putter,
        description=description,
    )


def _read_code(lens: Table, key: str, report: Report) -> CodeReference | None:
    node = lens.get(key, required=True)
    if node is None:
        return None
    table = Table(node, f"a {key}", _CODE_KEYS, report)
    repository = table.text("repository", 500, required=True)
    commit = table.text("commit", 100, required=True)
    path = table.text("path", 500, required=True)
    for name, message, hint in code_faults(repository, commit, path):
        report.add(table.line_of(name), message, hint)
    branch, language = table.text("branch", 100), table.text("language", 50)
    if repository is None or commit is None or path is None:
        return None
    return CodeReference(repository=repository, commit=commit, path=path, branch=branch, language=language)


def code_faults(repository: str | None, commit: str | None, path: str | None) -> Iterator[tuple[str, str, str | None]]:
    """Yield the field, message and hint of each mistake in a code reference."""
    if repository is not None and (fault := https_fault(repository)) is not None:
        yield "repository", *fault
    if commit is not None and not COMMIT.fullmatch(commit):
        hint = "a branch or tag can move; use the output of `git rev-parse HEAD`"
        yield "commit", "'commit' must be 40 hexadecimal digits, lower case", hint
    if path is not None and not all(path.rpartition(":")[::2]):
        yield "path", f"{shown(path)!r} names no function", "lenses/digits.py:flatten"


def _read_verification(node: Node, report: Report, names: Names) -> VerificationDraft | None:
    before = len(report)
    table = Table(node, "a verification", _VERIFICATION_KEYS, report)
    text, method = table.text("lens", 500, required=True), table.text("method", 50, required=True)
    lens: str | AtUri | None = text
    if text is not None and text.startswith("at:"):
        lens = _uri(text, records.LENS, table, "lens")
        if "lens_commit" not in table.entries:
            report.add(node.line, "a published lens needs 'lens_commit'", "the CID of the record version you checked")
    elif text is not None:
        names.refer_lens(text, table.line_of("lens"), report)
    if method is not None and method not in METHODS:
        hint = near(method, METHODS) or f"known: {', '.join(METHODS)}"
        report.add(table.line_of("method"), f"unknown method {shown(method)!r}", hint)
    if text is not None and method is not None:
        names.declare_verification(text, method, node.line, report)
    commit, description = _cid(table, "lens_commit"), table.text("description", 1000)
    if lens is None or method is None or len(report) > before:
        return None
    return VerificationDraft(
        **_position(node, report),
        lens=lens,
        method=method,
        lens_commit=commit,
        description=description,
    )


def _cid(table: Table, key: str) -> Cid | None:
    text = table.text(key, 128)
    if text is None:
        return None
    try:
        return Cid.parse(text)
    except CatalogError as error:
        table.report.add(table.line_of(key), shown(error.what, 300), error.hint)
        return None
