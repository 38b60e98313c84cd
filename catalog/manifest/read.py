"""The four sections of a manifest, read into drafts; every mistake on the way goes to the file's report."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, get_args

from catalog import records
from catalog.errors import CatalogError, InvalidSchema, InvalidSyntax
from catalog.manifest.document import Node, lines_of
from catalog.manifest.drafts import DatasetDraft, LensDraft, SchemaDraft, SchemaKey, SchemaRef, VerificationDraft
from catalog.manifest.faults import Report, near, shown
from catalog.manifest.metadata import content_of, metadata_of
from catalog.manifest.shards import https_fault, read_shards
from catalog.manifest.table import Table, kind_of
from catalog.records import CodeReference
from catalog.sampletype import MAX_FIELDS, Array, ArrayFormat, Field, FieldType, SampleType, parse_type
from catalog.syntax import AtUri, Cid
from catalog.syntax.semver import SEMVER

if TYPE_CHECKING:
    from catalog.manifest.drafts import Draft
    from catalog.manifest.names import Names

__all__ = ["COMMIT", "METHODS", "SECTIONS", "read_manifest"]

SECTIONS: Final = ("schemas", "datasets", "lenses", "verifications")
METHODS: Final = ("codeReview", "formalProof", "signedHash", "automatedTest")

_SCHEMA_KEYS: Final = ("name", "version", "description", "license", "tags", "fields")
_FIELD_KEYS: Final = ("type", "description", "dimensions", "format", "optional")
_DATASET_KEYS: Final = (
    "name", "schema", "version", "description", "license", "tags", "shards", "s3", "blobs", "samples", "metadata",
    "content_metadata",
)  # fmt: skip
_LENS_KEYS: Final = ("name", "source", "target", "description", "getter", "putter")
_CODE_KEYS: Final = ("repository", "commit", "path", "branch", "language")
_VERIFICATION_KEYS: Final = ("lens", "method", "lens_commit", "description")

COMMIT: Final = re.compile(r"[0-9a-f]{40}")


def read_manifest(root: Node, report: Report, names: Names) -> list[Draft]:
    """The drafts of one file. What it declares and refers to is noted in ``names``, to be resolved over all files."""
    top = Table(root, "a manifest", SECTIONS, report)
    if top.readable and not top.entries:
        report.add(root.line, "the manifest is empty", "start with schemas:, datasets: or lenses:")
    readers = (_read_schema, _read_dataset, _read_lens, _read_verification)
    drafts: list[Draft] = []
    for section, read in zip(SECTIONS, readers, strict=True):
        for node in top.items(section):
            draft = read(node, report, names)
            if draft is not None:
                drafts.append(draft)
    return drafts


# --- schemas -------------------------------------------------------------------------------------------------


def _read_schema(node: Node, report: Report, names: Names) -> SchemaDraft | None:
    before = len(report)
    table = Table(node, "a schema", _SCHEMA_KEYS, report)
    name = table.text("name", 100, required=True)
    version = _version(table, 100, required=True)
    names.declare_schema(name, version, table.line_of("name"), report)
    fields = _read_fields(table, report)
    description, license_, tags = table.text("description", 5000), table.text("license", 200), table.tags()
    if name is None or version is None or len(report) > before:
        return None
    sample_type = SampleType(name=name, version=version, fields=fields, description=description)
    return SchemaDraft(
        file=report.file, line=node.line, lines=lines_of(node), sample_type=sample_type, license=license_, tags=tags
    )


def _version(table: Table, limit: int, *, required: bool = False) -> str | None:
    version = table.text("version", limit, required=required)
    if version is None or SEMVER.fullmatch(version):
        return version
    hint = "MAJOR.MINOR.PATCH, such as 1.0.0: https://semver.org"
    table.report.add(table.line_of("version"), f"{shown(version)!r} is not a semantic version", hint)
    return None


def _read_fields(table: Table, report: Report) -> tuple[Field, ...]:
    node = table.get("fields", required=True)
    if node is None:
        return ()
    if not isinstance(node.value, dict):
        report.add(node.line, f"'fields' must be a map, not {kind_of(node)}", "name: type, one a line")
        return ()
    if not 0 < len(node.value) <= MAX_FIELDS:
        report.add(node.line, f"{len(node.value)} fields; a schema has 1 to {MAX_FIELDS:,}")
        return ()
    return tuple(field for name, item in node.value.items() if (field := _read_field(name, item, report)) is not None)


def _read_field(name: str, node: Node, report: Report) -> Field | None:
    if not name.strip():
        report.add(node.line, "a field without a name")
    if isinstance(node.value, str):
        parsed = _read_type(node.value, node.line, report)
        return None if parsed is None else Field(name=name, type=parsed[0], optional=parsed[1])
    if not isinstance(node.value, dict):
        report.add(node.line, f"field {shown(name)!r} must have a type, not {kind_of(node)}", "name: type, one a line")
        return None
    table = Table(node, f"field {shown(name)!r}", _FIELD_KEYS, report)
    text, description = table.text("type", 1000, required=True), table.text("description", 5000)
    flag = table.flag("optional")
    dimensions = table.texts("dimensions", most=64, limit=200)
    parsed = None if text is None else _read_type(text, table.line_of("type"), report)
    if parsed is None:
        return None
    type_, marked = parsed
    if dimensions:
        type_ = _with_dimensions(type_, dimensions, table)
    if "format" in table.entries:
        type_ = _with_format(type_, table)
    return Field(name=name, type=type_, optional=marked or flag is True, description=description)


def _read_type(text: str, line: int, report: Report) -> tuple[FieldType, bool] | None:
    try:
        return parse_type(text)
    except InvalidSchema as error:
        report.add(line, shown(error.what, 200), error.hint)
        return None


def _with_dimensions(type_: FieldType, names: tuple[str, ...], table: Table) -> FieldType:
    line = table.line_of("dimensions")
    if not isinstance(type_, Array):
        table.report.add(line, "'dimensions' are for arrays only")
        return type_
    count = len(type_.shape or ())
    if count != len(names):
        message = f"{len(names)} dimension names for a shape of {count}"
        table.report.add(line, message, "array[dtype, *, *] has two dimensions of any length")
    return Array(dtype=type_.dtype, shape=type_.shape, dimensions=names, format=type_.format)


def _with_format(type_: FieldType, table: Table) -> FieldType:
    """An array whose bytes are written in another way than as ``.npy``."""
    text, known = table.text("format", 50), get_args(ArrayFormat)
    found = next((format_ for format_ in known if format_ == text), None)
    if text is not None and found is None:
        hint = near(text, known) or f"known: {', '.join(known)}"
        table.report.add(table.line_of("format"), f"unknown format {shown(text)!r}", hint)
    elif not isinstance(type_, Array):
        table.report.add(table.line_of("format"), "'format' is for arrays only")
    elif found is not None:
        return replace(type_, format=found)
    return type_


# --- datasets ------------------------------------------------------------------------------------------------


def _read_dataset(node: Node, report: Report, names: Names) -> DatasetDraft | None:
    before = len(report)
    table = Table(node, "a dataset", _DATASET_KEYS, report)
    name = table.text("name", 200, required=True)
    if name is not None:
        names.declare_dataset(name, table.line_of("name"), report)
    schema = _schema_ref(table, "schema", names)
    later = [key for key in ("s3", "blobs") if key in table.entries]
    for key in later:
        report.add(table.line_of(key), f"{key!r} is not supported yet", "list https shards")
    shards = read_shards(table.items("shards", required=not later), report)
    version = _version(table, 50)
    description, license_ = table.text("description", 5000), table.text("license", 200)
    tags, samples = table.tags(), table.number("samples")
    metadata = metadata_of(table.get("metadata"), report)
    content = content_of(table.get("content_metadata"), report)
    if name is None or schema is None or len(report) > before:
        return None
    return DatasetDraft(
        file=report.file,
        line=node.line,
        lines=lines_of(node),
        name=name,
        schema=schema,
        shards=shards,
        version=version,
        description=description,
        license=license_,
        tags=tags,
        samples=samples,
        metadata=metadata,
        content_metadata=content,
    )


def _schema_ref(table: Table, key: str, names: Names) -> SchemaRef | None:
    """``Name@1.0.0`` of the set, or the at:// URI of a published schema."""
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
        message = f"{shown(text)!r} is not an at:// URI: {shown(error.what, 200)}"
        table.report.add(table.line_of(key), message, error.hint)
        return None
    if uri.collection != collection or uri.rkey is None:
        hint = f"at://did:plc:…/{collection}/…"
        table.report.add(table.line_of(key), f"{shown(text)!r} is not the URI of a {collection} record", hint)
        return None
    return uri


# --- lenses and verifications --------------------------------------------------------------------------------


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
        file=report.file,
        line=node.line,
        lines=lines_of(node),
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
    if repository is not None and (fault := https_fault(repository)) is not None:
        report.add(table.line_of("repository"), *fault)
    if commit is not None and not COMMIT.fullmatch(commit):
        hint = "a branch or tag can move; take what `git rev-parse HEAD` prints"
        report.add(table.line_of("commit"), "'commit' must be 40 hexadecimal digits, lower case", hint)
    if path is not None and not all(path.rpartition(":")[::2]):
        report.add(table.line_of("path"), f"{shown(path)!r} names no function", "lenses/digits.py:flatten")
    branch, language = table.text("branch", 100), table.text("language", 50)
    if repository is None or commit is None or path is None:
        return None
    return CodeReference(repository=repository, commit=commit, path=path, branch=branch, language=language)


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
        file=report.file,
        line=node.line,
        lines=lines_of(node),
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
        table.report.add(table.line_of(key), f"{shown(text)!r} is not a CID: {shown(error.what, 200)}", error.hint)
        return None
