"""Records whose every text is hostile, in all ways that ever broke a page: they keep to their lexicons all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from catalog.atproto import datamodel
from catalog.records import DATASET, LABEL, LENS, SCHEMA, VERIFICATION

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json

PAYLOADS = {
    "script": "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>",
    "attribute": "\"'><svg onload=window.pwned=1><b x='",
    "url": "javascript:window.pwned=1",
    "jinja": "{{ 7*191 }}{% for x in y %}{# c #}${7*191}",
    "markdown": "[c](javascript:window.pwned=1) ![i](https://evil.example/i.png) <https://evil.example> `#` |a|b|",
    "python": "'''\"\"\"\\\n'); import os; os.abort() #\\N{BEL}",
    "bidi": "a\u202eb\u2066c\u200fd\u0007e\u2028f",
    "comment": "--></style></title></textarea></template><!--<![CDATA[",
    "shell": "@@TITLE@@ __CATALOG_BODY__ <!-- catalog:body --> \x00",
    "long": "W" * 5000,
}


def _visible_ascii(text: str) -> str:
    """Return the characters of a text that are allowed in a URI."""
    return "".join(char for char in text if "!" <= char <= "~")


def hostile_records(did: str, text: str) -> list[tuple[str, str, dict[str, Json]]]:
    """One record of each kind, with ``text`` in each field that takes text (cut to the lexicon's limit)."""
    now = "2026-11-01T12:00:00.000Z"

    def cut(limit: int) -> str:
        return text.encode()[:limit].decode("utf-8", "ignore")

    tags: list[Json] = [cut(150)]
    ndarray: dict[str, Json] = {
        "$ref": "x/ndarray",
        "dtype": cut(60),
        "dimensionNames": [text, text],
        "shape": [1, None],
    }
    properties: dict[str, Json] = {
        text: {"type": "integer", "description": text, "title": text},
        text + "a": {**ndarray, "description": text},
        "class": {"type": "array", "items": {"type": text}},
        "from catalog import": {"$ref": text},
    }
    schema_uri = f"at://{did}/{SCHEMA}/hostile"
    code: dict[str, Json] = {
        "repository": cut(500), "commit": cut(40), "path": cut(500), "branch": cut(100), "language": cut(50),
    }  # fmt: skip
    metadata = {text: text, "homepage": text, "citation": text, "creators": [text, {text: [text]}]}
    url = "javascript:" + _visible_ascii(cut(1500))
    checksum: dict[str, Json] = {"algorithm": cut(20), "digest": cut(128)}
    shard: Json = {"url": url, "checksum": checksum}
    schema: dict[str, Json] = {
        "name": cut(100), "version": "1.0.0", "schemaType": cut(50), "description": cut(5000), "createdAt": now,
        "schema": {"$type": SCHEMA + "#jsonSchemaFormat", "draft": "draft-07", "content": {"properties": properties}},
        "metadata": {"license": cut(200), "tags": tags},
    }  # fmt: skip
    dataset: dict[str, Json] = {
        "name": cut(200), "schemaRef": schema_uri, "description": cut(5000), "license": cut(200), "tags": tags,
        "storage": {
            "$type": "science.alt.dataset.storageHttp", "shards": [shard],
        },
        "metadata": datamodel.bytes_json(msgpack.packb(metadata)), "contentMetadata": {text: text}, "createdAt": now,
    }  # fmt: skip
    lens: dict[str, Json] = {
        "name": cut(100), "description": cut(1000), "sourceSchema": schema_uri, "targetSchema": schema_uri,
        "getterCode": code, "putterCode": code, "language": cut(50), "createdAt": now,
        "sourceSchemaVersion": cut(100), "targetSchemaVersion": cut(100),
    }  # fmt: skip
    reachable: Json = {"url": "https://data.example/" + _visible_ascii(cut(1500)), "checksum": checksum}
    storage: Json = {"$type": "science.alt.dataset.storageHttp", "shards": [reachable]}
    label: dict[str, Json] = {
        "name": cut(200), "datasetUri": f"at://{did}/{DATASET}/3kaaaaaaaaaa2", "version": cut(50),
        "description": cut(5000), "createdAt": now,
    }  # fmt: skip
    verification: dict[str, Json] = {
        "lens": f"at://{did}/{LENS}/3kaaaaaaaaaa3", "lensCommit": str(datamodel.record_cid({})),
        "verificationMethod": cut(50), "description": cut(1000), "createdAt": now,
    }  # fmt: skip
    return [
        (SCHEMA, "hostile", schema),
        (DATASET, "3kaaaaaaaaaa2", dataset),
        (DATASET, "3kaaaaaaaaaa6", {**dataset, "storage": storage}),
        (LENS, "3kaaaaaaaaaa3", lens),
        (LABEL, "3kaaaaaaaaaa4", label),
        (VERIFICATION, "3kaaaaaaaaaa5", verification),
    ]
