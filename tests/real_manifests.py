"""Real datasets as manifests: the descriptions of ``real-datasets.jsonl`` (``tests/data``), over a hundred.

Names, prose, citations, tags, units, addresses and checksums are the real ones. Two things are not: datasets without a
file of their own get two small tars that stand for it, as blobs, and the files are no shards. Only ``https`` is
published, so ``http`` and ``ftp`` addresses are written with it.

Run it to have the manifests: ``python tests/real_manifests.py FOLDER``.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgpack
import numpy as np
import yaml

__all__ = ["REAL", "real_datasets", "real_manifests", "write_manifests"]

REAL: Final = Path(__file__).parent / "data" / "real-datasets.jsonl"
SET: Final = "real-datasets"
FILES: Final = 8
PLAIN: Final = "Files"
"""The schema of datasets whose fields aren't known."""
BLOBS: Final = 2
"""Of a dataset without files."""
MAX_TAGS: Final = 30
MAX_PROSE: Final = 5000

_SCALARS: Final = {"text": "str", "int": "int", "float": "float", "bool": "bool", "bytes": "bytes"}
_DTYPES: Final = {"bool_": "bool"}
_BUCKET: Final = re.compile(r"https?://storage\.googleapis\.com/(?P<bucket>[^/]+)/(?P<key>.+)")
_LICENCES: Final = (
    (re.compile(r"creativecommons\.org/licenses/by/4\.0|CC BY 4\.0"), "CC-BY-4.0"),
    (re.compile(r"public\s+domain"), "CC0-1.0"),
)


def real_datasets() -> list[dict[str, Any]]:
    """The lines of the file."""
    with REAL.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def real_manifests(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Manifests as plain values; what stands in one may refer to a schema of another."""
    manifests: list[dict[str, Any]] = [{"set": SET, "schemas": [], "datasets": []} for _ in range(FILES)]
    plain = {
        "name": PLAIN,
        "version": "1.0.0",
        "description": "A file as it is.",
        "fields": {"data": {"type": "bytes", "description": "Its bytes."}},
    }
    manifests[0]["schemas"].append(plain)
    for index, row in enumerate(rows):
        place = manifests[index % FILES]
        if row["fields"]:
            manifests[(index + 3) % FILES]["schemas"].append(_schema(row))
        place["datasets"].append(_dataset(row))
    manifests[1]["lenses"] = [_lens(rows)]
    manifests[4]["labels"] = [{"name": "favourite", "dataset": rows[0]["name"], "description": "Ours."}]
    manifests[2]["verifications"] = [{"lens": "same-fields", "method": "codeReview"}]
    return manifests


def write_manifests(folder: Path, manifests: list[dict[str, Any]]) -> None:
    """A file each; the folder is one set. The files that become blobs are beside them."""
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    schemas = [schema for manifest in manifests for schema in manifest["schemas"]]
    fields = {f"{schema['name']}@{schema['version']}": schema["fields"] for schema in schemas}
    for dataset in (dataset for manifest in manifests for dataset in manifest["datasets"] if "blobs" in dataset):
        for number in range(BLOBS):
            path = folder / "blobs" / f"{dataset['name']}-{number:06d}.tar"
            if not path.exists():
                path.write_bytes(_tar(f"{dataset['name']} {number}", fields[dataset["schema"]]))
    for number, manifest in enumerate(manifests):
        text = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
        (folder / f"real-{number}.yaml").write_text(text, encoding="utf-8")


def _tar(text: str, fields: dict[str, Any]) -> bytes:
    """One sample of a schema, packed by nothing of ours; ``text`` is in a field that the schema doesn't have."""
    raw = msgpack.packb({"of the test": text * 100} | {name: _value(type_) for name, type_ in fields.items()})
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        member = tarfile.TarInfo("00000000.msgpack")
        member.size = len(raw)
        tar.addfile(member, io.BytesIO(raw))
    return whole.getvalue()


def _value(type_: Any) -> object:  # noqa: ANN401 - as in a manifest
    """A value of a type in its short form, of zeros."""
    text = type_["type"] if isinstance(type_, dict) else type_
    if text.startswith("list["):
        return []
    if not text.startswith("array["):
        return {"str": "", "int": 0, "float": 0.0, "bool": False, "bytes": b""}[text]
    dtype, *dims = text[6:-1].split(", ")
    out = io.BytesIO()
    np.save(out, np.zeros([1 if dim == "*" else int(dim) for dim in dims], dtype))
    return out.getvalue()


class _Dumper(yaml.SafeDumper):
    """Prose as people write it: a block, line by line."""


def _prose(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _prose)


def _schema(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": _type_name(row["name"]),
        "version": row["version"],
        "description": f"A sample of {row['name']}.",
        **({"tags": tags} if (tags := _tags(row)[:5]) else {}),
        "fields": {field["name"]: _type(field) for field in row["fields"]},
    }


def _type_name(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name)) + "Sample"


def _type(field: dict[str, Any]) -> str:
    if field["kind"] != "array" or field["dtype"] == "str_":
        kind = _SCALARS.get(field["kind"], "str")
        return f"list[{kind}]" if field.get("list") else kind
    dims = ["*" if dim is None else str(dim) for dim in field["shape"] or ()]
    return f"array[{', '.join([_DTYPES.get(field['dtype'], field['dtype']), *dims])}]"


def _dataset(row: dict[str, Any]) -> dict[str, Any]:
    schema = f"{_type_name(row['name'])}@{row['version']}" if row["fields"] else f"{PLAIN}@1.0.0"
    found: dict[str, Any] = {
        "name": row["name"],
        "schema": schema,
        "version": row["version"],
        "description": row["description"][:MAX_PROSE],
        "license": _licence(row["description"]),
        "tags": _tags(row),
        **_storage(row),
        "metadata": {"homepage": row["homepage"], "citation": row["citation"]},
    }
    found["metadata"] = {key: value for key, value in found["metadata"].items() if value}
    return {key: value for key, value in found.items() if value not in (None, [], {}, "")}


def _licence(prose: str) -> str | None:
    return next((name for pattern, name in _LICENCES if pattern.search(prose)), None)


def _tags(row: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["tags"]))[:MAX_TAGS]


def _storage(row: dict[str, Any]) -> dict[str, Any]:
    """Files of one bucket as what they are (it speaks S3, too); blobs where there are none."""
    if not row["files"]:
        return {"blobs": {"local": f"blobs/{row['name']}-{{000000..{BLOBS - 1:06d}}}.tar"}}
    places = [_BUCKET.fullmatch(file["url"]) for file in row["files"]]
    buckets = {None if place is None else place["bucket"] for place in places}
    if len(buckets) != 1 or None in buckets:
        return {"shards": _shards(row)}
    keys = [
        {"key": place["key"], "sha256": file["sha256"], "bytes": file["bytes"]}
        for place, file in zip(places, row["files"], strict=True)
        if place is not None
    ]
    return {"s3": {"bucket": buckets.pop(), "endpoint": "https://storage.googleapis.com", "keys": keys}}


def _shards(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"url": _https(file["url"], row["name"]), "sha256": file["sha256"], "bytes": file["bytes"]}
        for file in row["files"]
    ]


def _https(url: str, name: str) -> str:
    """The address with https, without somebody's password, and with nothing in it that has to be escaped."""
    _, colon, rest = url.partition("://")
    if not colon:
        return f"https://data.example/{quote(name)}/{quote(url)}"
    host, slash, path = rest.partition("/")
    return "https://" + host.rpartition("@")[2] + slash + quote(path, safe="/:?&=%~+,;@!$'()*-._#[]")


def _lens(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Between the first two schemas with the same fields, or the first with itself."""
    named = [row for row in rows if row["fields"]]
    pairs = ((one, two) for at, one in enumerate(named) for two in named[at + 1 :] if one["fields"] == two["fields"])
    source, target = next(pairs, (named[0], named[0]))
    code = {"repository": "https://git.data.example/lenses", "commit": "c" * 40, "path": "lenses/same.py:same"}
    return {
        "name": "same-fields",
        "source": f"{_type_name(source['name'])}@{source['version']}",
        "target": f"{_type_name(target['name'])}@{target['version']}",
        "description": "The same fields under another name.",
        "getter": code,
        "putter": dict(code),
    }


if __name__ == "__main__":
    write_manifests(Path(sys.argv[1]), real_manifests(real_datasets()))
