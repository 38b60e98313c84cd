"""Checks before publishing: placeholders, URLs that expire or contain a secret, files outside the repository.

``validate`` reports the faults as warnings, as a manifest is valid while it is being written; plan and publish refuse
them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from catalog.errors import Fault, InvalidManifest
from catalog.manifest.diagnostics import place, shown

if TYPE_CHECKING:
    from catalog.manifest.compile import ManifestSet
    from catalog.manifest.drafts import DatasetDraft, Draft, LensDraft

_RESERVED: Final = re.compile(r"(.*\.)?(example\.(com|net|org)|invalid|test)\.?", re.IGNORECASE)
"""Reserved hosts: https://www.rfc-editor.org/rfc/rfc6761."""
_OURS: Final = frozenset({"change-me.example", "git.example"})
"""Hosts in the manifests that ``catalog init`` and ``from-shards`` write."""
_BUCKETS: Final = frozenset({"my-bucket", "your-bucket", "example-bucket", "bucket-name", "amzn-s3-demo-bucket"})
_COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
_TEXTS: Final = frozenset({
    "what it is, how it was made, what it is good for. markdown",
    "one measurement of a sensor",
    "what the sensor heard in one second",
    "the same measurement, on another scale",
    "a. author",
    "a description",
    "a dataset",
    "a short description",
    "add a description",
    "description",
    "description goes here",
    "dataset description",
    "my dataset",
    "your dataset",
    "your description",
    "your description here",
    "author name",
    "your name",
    "…",
    "...",
    "xxx",
    "tbd",
    "todo",
    "fixme",
    "changeme",
    "change me",
    "placeholder",
    "untitled",
})  # fmt: skip
"""Texts of the starter manifest and common templates; in lower case, without a final full stop."""
_BEGINNINGS: Final = re.compile(r"(todo|fixme|tbd|xxx)\b\s*[:.…-]|lorem ipsum\b|<[a-z][a-z _-]*>$", re.IGNORECASE)
_NAME: Final = re.compile(
    r"(my|your|new|example)[-_ ]?(first[-_ ]?)?(data[-_ ]?set|schema|lens|data)([-_ ]?name)?"
    r"|(dataset|schema|lens)[-_ ]?name|placeholder|untitled|todo|fixme|changeme|change[-_ ]me|tbd",
    re.IGNORECASE,
)

_SIGNED: Final = re.compile(
    r"x-[a-z]{2,8}-signature|q-signature|sig|signature|hmac|hdnts|hdnea|__token__", re.IGNORECASE
)
_SECRET: Final = re.compile(
    r"(access|auth|api|private|security|session|bearer|id|refresh|x-[a-z]+-security)?[-_]?"
    r"(token|secret|password|passwd|pwd|apikey|api[-_]key|jwt|credential|credentials)"
    r"|code|auth|key|sid|x-[a-z]+-credential|awsaccesskeyid|googleaccessid|subscription[-_]key|key-pair-id",
    re.IGNORECASE,
)
_MAY_BE_PLAIN: Final = frozenset({"code", "auth", "key", "sid", "token"})
_ENDS: Final = re.compile(r"(x-[a-z]{2,8}-)?expires|expiry|expire|exp|se|expiration|q-sign-time", re.IGNORECASE)
_RANDOM: Final = re.compile(r"[A-Za-z0-9+/=_.~-]{16,}")
_LONG: Final = timedelta(days=365)
"""A signature that is valid for longer is doubtful, but not refused."""
_ROOTS: Final = (".git", "mkdocs.yml", "pyproject.toml")
"""Files that mark the folder of a repository."""


def require_publishable(found: ManifestSet) -> None:
    """Raise :class:`InvalidManifest`, with every fault, for a set that must not be published."""
    faults = unpublishable(found)
    if faults:
        raise InvalidManifest(faults)


def unpublishable(found: ManifestSet) -> tuple[Fault, ...]:
    """Return the faults to correct before publishing; one for each kind in each dataset, with its first line."""
    return tuple(dict.fromkeys(_refused(found)))


def doubtful(found: ManifestSet) -> tuple[Fault, ...]:
    """Return the warnings about possible mistakes."""
    return tuple(dict.fromkeys(_doubted(found)))


def _refused(found: ManifestSet) -> Iterator[Fault]:
    for schema in found.schemas:
        kind = f"schema {shown(schema.sample_type.name)!r}"
        yield from _texts(schema, kind, schema.sample_type.name, schema.sample_type.description)
        for field in schema.sample_type.fields:
            if field.description is not None and _is_boilerplate(field.description):
                message = f"field {shown(field.name)!r} of {kind} has the description of a template"
                yield _fault(schema, f"fields.{field.name}", message, "say what it holds, or leave it out")
    for dataset in found.datasets:
        kind = f"dataset {shown(dataset.name)!r}"
        yield from _texts(dataset, kind, dataset.name, dataset.description)
        yield from _metadata(dataset)
        yield from _addresses(dataset, refused=True)
        if found.files and dataset.as_blobs:
            message = "is outside the repository of the manifest, and its bytes would be public"
            yield from _outside(dataset, message, "move it into the repository; a link that leads out is outside, too")
    for lens in found.lenses:
        yield from _texts(lens, f"lens {shown(lens.name)!r}", lens.name, lens.description)
        yield from _code(lens)


def _doubted(found: ManifestSet) -> Iterator[Fault]:
    for dataset in found.datasets:
        yield from _addresses(dataset, refused=False)
        if found.files and not dataset.as_blobs:
            message = "is outside the repository of the manifest; its checksum and size become public"
            yield from _outside(dataset, message, "is it the file that you mean?")


def _texts(draft: Draft, kind: str, name: str, description: str | None) -> Iterator[Fault]:
    if _NAME.fullmatch(name):
        hint = "give it a name that tells it from other people's"
        yield _fault(draft, "name", f"{kind} has the name of a template", hint)
    if description is not None and _is_boilerplate(description):
        hint = "say what is in it, or leave the description out"
        yield _fault(draft, "description", f"{kind} has the description of a template, {_line(description)!r}", hint)


def _metadata(draft: DatasetDraft) -> Iterator[Fault]:
    for key, value in draft.metadata.items():
        for text in _strings(value):
            parts = _split(text)
            if _is_boilerplate(text) or (parts is not None and _is_reserved(parts)):
                message = f"dataset {shown(draft.name)!r} has a placeholder in its metadata: {_line(text)!r}"
                yield _fault(draft, f"metadata.{key}", message, f"change or remove {shown(key)!r}")


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, str):
                yield item


def _line(text: str) -> str:
    return shown(" ".join(text.split()))


def _is_boilerplate(text: str) -> bool:
    plain = " ".join(text.split()).casefold()
    return plain.rstrip(".") in _TEXTS or plain in _TEXTS or _BEGINNINGS.match(plain) is not None


def _code(draft: LensDraft) -> Iterator[Fault]:
    for side, code in (("getter", draft.getter), ("putter", draft.putter)):
        parts = _split(code.repository)
        if code.commit == _COMMIT and parts is not None and _is_reserved(parts):
            message = f"lens {shown(draft.name)!r} has the code of a template"
            yield _fault(draft, f"{side}.repository", message, "name your repository and commit")


def _addresses(draft: DatasetDraft, *, refused: bool) -> Iterator[Fault]:
    """Return the faults of shard URLs, those that are ``refused`` or the others; each kind once."""
    if draft.bucket is not None and refused:
        yield from _bucket(draft)
    if draft.bucket is not None or draft.as_blobs:
        return
    first: dict[tuple[str, str], int] = {}
    counts: Counter[tuple[str, str]] = Counter()
    hosts: dict[str, bool] = {}
    for shard in draft.shards:
        parts = _split(shard.url)
        if parts is None:
            continue
        if parts.netloc not in hosts:
            hosts[parts.netloc] = _is_reserved(parts)
        for kind in _kinds(parts, refused=refused, reserved=hosts[parts.netloc]):
            first.setdefault(kind, shard.line)
            counts[kind] += 1
    for (message, hint), line in first.items():
        number = counts[message, hint]
        which = "a shard" if number == 1 else f"each of {number:,} shards"
        yield Fault(where=place(draft.file, line), message=f"{which} {message}", hint=hint)


def _kinds(parts: SplitResult, *, refused: bool, reserved: bool) -> Iterator[tuple[str, str]]:
    if refused and reserved:
        yield f"is at a placeholder, {shown(parts.netloc)}", "put in the address that readers can open"
    found = _query(parts) if parts.query else None
    if found is not None and found[0] is refused:
        yield found[1], found[2]


def _bucket(draft: DatasetDraft) -> Iterator[Fault]:
    bucket = draft.bucket
    if bucket is None:
        return
    endpoint = None if bucket.endpoint is None else _split(bucket.endpoint)
    if bucket.name in _BUCKETS or (endpoint is not None and _is_reserved(endpoint)):
        message = f"the shards of dataset {shown(draft.name)!r} are in a placeholder, {shown(bucket.name)!r}"
        yield _fault(draft, "s3.bucket", message, "name the bucket that readers can open")


def _query(parts: SplitResult) -> tuple[bool, str, str] | None:
    """Check the query of a URL. Return whether it is refused, the message and the hint; ``None`` if it is fine."""
    pairs = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=200) if parts.query.count("&") < 200 else []
    names = {name.lower() for name, value in pairs if value}
    signature = next((name for name, value in pairs if value and _SIGNED.fullmatch(name)), None)
    ends = next((name for name, value in pairs if value and _ENDS.fullmatch(name)), None)
    secret = next((name for name, value in pairs if _is_secret(name, value)), None)
    public = "is public with the record"
    if signature is not None or (ends is not None and secret is not None):
        marks = ", ".join(shown(name, 30) for name in (signature, ends, secret) if name is not None)
        message = f"has a presigned address ({marks}), which ends and {public}"
        hint = "make the file public and use its address without a query, or name the bucket (s3:)"
        return not _lasts(pairs), message, hint
    if secret is not None:
        hint = "whoever reads the record has it; use an address that needs none"
        return False, f"has an address with a token or key in it ({shown(secret, 30)}), which {public}", hint
    if ends is not None and names & {"expires", "expiry", "exp"}:
        hint = "use an address that stays"
        return False, f"has an address that seems to end ({shown(ends, 30)})", hint
    return None


def _is_secret(name: str, value: str) -> bool:
    if not _SECRET.fullmatch(name) or not value:
        return False
    return name.lower() not in _MAY_BE_PLAIN or _RANDOM.fullmatch(value) is not None


def _lasts(pairs: list[tuple[str, str]]) -> bool:
    """Return whether a signed URL is valid for more than a year."""
    found = {name.lower(): value for name, value in pairs}
    soon = datetime.now(UTC) + _LONG
    text = found.get("se") or found.get("expires") or ""
    try:
        ends = datetime.fromtimestamp(int(text), UTC) if text.isascii() and text.isdigit() else None
        ends = datetime.fromisoformat(text) if ends is None else ends
    except (ValueError, OverflowError, OSError):
        return False
    return (ends if ends.tzinfo is not None else ends.replace(tzinfo=UTC)) > soon


def _split(text: str) -> SplitResult | None:
    """Return the parts of an http(s) URL; ``None`` for any other text."""
    if not text.lower().startswith(("https://", "http://")):
        return None
    try:
        return urlsplit(text)
    except ValueError:
        return None


def _is_reserved(parts: SplitResult) -> bool:
    host = (parts.hostname or "").lower()
    return host in _OURS or _RESERVED.fullmatch(host) is not None


def _outside(draft: DatasetDraft, message: str, hint: str) -> Iterator[Fault]:
    """Return the first local file of a dataset that is outside its manifest's repository."""
    root: Path | None = None
    for shard in draft.shards:
        if shard.local is None:
            continue
        if root is None:
            root = repository_root(draft.file.resolve().parent)
        try:
            inside = shard.local.resolve().is_relative_to(root)
        except (OSError, RuntimeError, ValueError):  # a loop of links: reported when it is read
            continue
        if not inside:
            text = f"{shown(str(shard.local), 200)!r} {message}"
            yield Fault(where=place(draft.file, shard.line), message=text, hint=hint)
            return


def repository_root(folder: Path) -> Path:
    """Return the repository of a manifest's folder; else the working directory that contains it, else the folder."""
    folder = folder.resolve()
    for above in (folder, *folder.parents):
        if any((above / name).exists() for name in _ROOTS):
            return above
    here = Path.cwd()
    return here if folder.is_relative_to(here) else folder


def _fault(draft: Draft, path: str, message: str, hint: str) -> Fault:
    return Fault(where=place(draft.file, draft.lines.get(path, draft.line)), message=message, hint=hint)
