"""The example catalog and two unkind datasets, published to the real PDS, their shards behind HTTPS, their pages built.

The unkind ones are written by hand, by nothing of ours: hostile names and addresses, every type of field, arrays in the
compact form; and samples whose schema the catalog doesn't have.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import ssl
import sys
import tarfile
import threading
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import trustme
import yaml

from catalog.records import DATASET, SCHEMA
from catalog.shards.reader import read_shard
from catalog.shards.shard import Shard
from tests import forked
from tests.fakes import QuietServer
from tests.pagesnippets import page_programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import Account, Network

ROOT = Path(__file__).parent.parent
EXAMPLES = {
    dataset["name"]: tuple(shard["url"].rpartition("/")[2] for shard in dataset["shards"])
    for file in sorted((ROOT / "examples" / "manifests").glob("*.yaml"))
    for dataset in yaml.safe_load(file.read_text("utf-8")).get("datasets", ())
}
"""The name of each dataset of the example catalog, and its shards."""

NASTY = "\"'`); import os; os.abort() #\u202e */ ${process.exit(1)} \\"
UNKIND = "it's $(x) {0..1},;.tar"
"""The name of a shard: in an address it is escaped where a URL must be, and no further."""
_REF = "https://alt.science/schemas/atdata-"

UNKIND_FIELDS: dict[str, dict[str, Any]] = {
    'say "hi"': {"type": "string", "description": NASTY},
    "it's\nnew": {"type": "integer"},
    "class": {"type": "number"},
    "": {"type": "boolean"},
    "raw \\ bytes": {"type": "string", "format": "byte", "contentEncoding": "base64"},
    "words": {"type": "array", "items": {"type": "string"}},
    "compact": {"$ref": f"{_REF}ndarray-bytes/1.0.0#/$defs/ndarray", "dtype": "int16", "shape": [2, None]},
    "image": {"$ref": f"{_REF}ndarray-bytes/1.0.0#/$defs/ndarray"},
    "images": {"type": "array", "items": {"$ref": f"{_REF}ndarray-bytes/1.0.0#/$defs/ndarray"}},
    "maybe": {"$ref": f"{_REF}ndarray-bytes/1.0.0#/$defs/ndarray", "dtype": "float32"},
    "note": {"type": "string"},
    "odd": {"type": NASTY, "description": NASTY},
}
UNKIND_OPTIONAL = ("maybe", "note", "odd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A program on a page, as a visitor copies it. ``samples`` are those of the dataset, all of them, in order."""

    dataset: str
    label: str
    language: str
    code: str
    samples: tuple[dict[str, Any], ...]

    @property
    def stem(self) -> str:
        """A name for its file that no library has."""
        return re.sub(r"[^a-z]+", "_", f"{self.dataset} {self.label}".lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """All programs, and what a process needs to trust the server with the shards."""

    shown: tuple[Shown, ...]
    environment: dict[str, str]

    def of(self, label: str) -> tuple[Shown, ...]:
        """Those of one kind."""
        return tuple(one for one in self.shown if one.label == label)


def catalog_pages(network: Network, work: Path) -> Iterator[Pages]:
    """Publish, serve, crawl, build; the server runs until the generator ends."""
    served = work / "shards"
    served.mkdir()
    for names in EXAMPLES.values():
        for name in names:
            (served / name).write_bytes((ROOT / "examples" / "shards" / name).read_bytes())
    _write_tar(served / UNKIND, [_packed(sample) for sample in unkind_samples()])
    authority = work / "authority.pem"
    server = _https(served, authority)
    try:
        base = f"https://localhost:{server.server_port}"
        accounts = _published(network, work, base)
        yield Pages(
            shown=tuple(_shown(_built(work, accounts), _samples(served))),
            environment={
                **os.environ,
                **dict.fromkeys(
                    ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), str(authority)
                ),
                "CATALOG_CACHE": str(work / "cache"),
                "PYTHONPATH": str(ROOT),
                "HF_HUB_OFFLINE": "1",
                "HF_HOME": str(work / "huggingface"),
                "RAY_USAGE_STATS_ENABLED": "0",
            },
        )
    finally:
        server.shutdown()
        server.server_close()


def unkind_samples() -> list[dict[str, Any]]:
    """Four samples, as they should come out of every program: the optional fields are there in the first only."""
    return [
        {
            'say "hi"': f"{NASTY} {number}",
            "it's\nnew": 2**40 + number,
            "class": number / 3,
            "": number % 2 == 0,
            "raw \\ bytes": bytes([0x93, number]) + b"NUMPX",
            "words": ["a", NASTY][: number % 3],
            "compact": np.arange(2 * (number + 1), dtype=np.int16).reshape(2, -1),
            "image": np.full((2, 1, 2), number / 7, np.float64),
            "images": [np.arange(size + 1, dtype=np.uint8) for size in range(2)],
            "maybe": np.array([1.5, number], np.float32) if number == 0 else None,
            "note": "here" if number == 0 else None,
            "odd": {"any": ["thing", 1]} if number == 0 else None,
        }
        for number in range(4)
    ]


def plain(value: Any) -> Any:  # noqa: ANN401 - samples hold anything
    """A value as JSON has it: arrays with dtype and shape, bytes in hex, a field that is None as an absent one."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "shape": list(value.shape), "data": value.ravel().tolist()}
    if isinstance(value, np.generic):
        return value.item()
    return {"hex": value.hex()} if isinstance(value, bytes) else value


# --- the data ------------------------------------------------------------------------------------------------


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _packed(sample: Mapping[str, Any]) -> bytes:
    """As another client may have written it: absent fields left out, one array in the compact form, one field more."""
    array = sample["compact"]
    sizes = b"".join(size.to_bytes(8, "little") for size in array.shape)
    compact = b"\x03<i2" + bytes([array.ndim]) + sizes + array.tobytes()
    written = {name: value for name, value in sample.items() if value is not None}
    written |= {"compact": compact, "image": _npy(sample["image"]), "images": [_npy(one) for one in sample["images"]]}
    written |= {"maybe": _npy(sample["maybe"])} if sample["maybe"] is not None else {}
    packed: bytes = msgpack.packb({**written, "of no schema": 1})
    return packed


def _write_tar(path: Path, samples: list[bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        folder, link, other = tarfile.TarInfo("folder"), tarfile.TarInfo("link.msgpack"), tarfile.TarInfo("a/000.json")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(folder)
        for number, raw in enumerate(samples):
            member = tarfile.TarInfo(f"{'long/' * 40}{number:06d}.msgpack")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
        tar.addfile(link)
        tar.addfile(other)


def _samples(served: Path) -> dict[str, tuple[dict[str, Any], ...]]:
    """Return the samples of each dataset, read by our own reader and NumPy."""
    found: dict[str, tuple[dict[str, Any], ...]] = {
        name: tuple(_decoded(raw) for file in files for _, raw in read_shard(Shard(url=str(served / file))))
        for name, files in EXAMPLES.items()
    }
    return {**found, NASTY: tuple(unkind_samples()), "Unknown to the catalog": found["Handwritten digits"]}


def _decoded(raw: bytes | memoryview) -> dict[str, Any]:
    fields = msgpack.unpackb(raw)
    return {
        name: np.load(io.BytesIO(value)) if isinstance(value, bytes) and value.startswith(b"\x93NUMPY") else value
        for name, value in fields.items()
    }


# --- the pages -----------------------------------------------------------------------------------------------


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def _https(folder: Path, authority: Path) -> QuietServer:
    signer = trustme.CA()
    signer.cert_pem.write_to_path(str(authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signer.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    server = QuietServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def _published(network: Network, work: Path, base: str) -> list[Account]:
    """Publish the examples by ``catalog publish`` and the rest as records; the schema of the last one doesn't exist."""
    examples, unkind, stranger = (network.account(name) for name in ("examples", "unkind", "stranger"))
    (work / "manifests").mkdir()
    for file in (ROOT / "examples" / "manifests").glob("*.yaml"):
        text = file.read_text("utf-8").replace("https://data.example/shards", base)
        (work / "manifests" / file.name).write_text(text, "utf-8")
    secrets = {"CATALOG_HANDLE": examples.handle, "CATALOG_APP_PASSWORD": examples.password}
    command = [sys.executable, "-m", "catalog", "publish", "--yes", "manifests"]
    done = forked.run(command, cwd=work, env={**os.environ, **secrets}, timeout=120)
    assert done.returncode == 0, done.stderr
    address = f"{base}/it's%20$(x)%20{{0..1}},;.tar"
    # With a checksum: it says that the address is one file, in spite of its braces.
    digest = hashlib.sha256((work / "shards" / UNKIND).read_bytes()).hexdigest()
    _put(network, unkind, unkind, name=NASTY, fields=UNKIND_FIELDS, urls=[address], digest=digest)
    digits = {"image": UNKIND_FIELDS["image"], "label": {"type": "integer"}, "ink": {"type": "number"}}
    urls = [f"{base}/{file}" for file in EXAMPLES["Handwritten digits"]]
    _put(network, unkind, stranger, name="Unknown to the catalog", fields=digits, urls=urls)
    return [examples, unkind]


def _put(
    network: Network, account: Account, schemas: Account, *, name: str, fields: dict[str, dict[str, Any]],
    urls: list[str], digest: str | None = None,
) -> None:  # fmt: skip
    now = "2026-11-01T12:00:00.000Z"
    content = {
        "type": "object", "properties": fields, "propertyOrder": list(fields),
        "required": [field for field in fields if field not in UNKIND_OPTIONAL],
    }  # fmt: skip
    schema: dict[str, Any] = {
        "$type": SCHEMA, "name": name, "version": "1.0.0", "schemaType": "jsonSchema", "createdAt": now,
        "description": NASTY,
        "schema": {"$type": f"{SCHEMA}#jsonSchemaFormat", "draft": "draft-07", "content": content},
    }  # fmt: skip
    made = network.create_record(schemas, SCHEMA, schema)
    checksum = {"algorithm": "none" if digest is None else "sha256", "digest": digest or ""}
    shards = [{"url": url, "checksum": checksum} for url in urls]
    storage = {"$type": "science.alt.dataset.storageHttp", "shards": shards}
    dataset = {"$type": DATASET, "name": name, "schemaRef": made["uri"], "storage": storage, "createdAt": now}
    network.create_record(account, DATASET, dataset)


def _built(work: Path, accounts: list[Account]) -> list[Path]:
    """The pages of the datasets."""
    sources = "".join(f"        - repo: {account.did}\n" for account in accounts)
    (work / "mkdocs.yml").write_text(
        "site_name: Snippets\ntheme: {name: material, font: false}\nplugins:\n  - catalog:\n      store: s.sqlite\n"
        f"      search: false\n      sources:\n{sources}",
        encoding="utf-8",
    )
    (work / "docs").mkdir()
    (work / "docs" / "index.md").write_text("# Home\n", encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build"]
    built = forked.run(command, cwd=work, timeout=120)
    assert built.returncode == 0, built.stderr
    return sorted(work.glob("site/datasets/did-*/*/index.html"))


def _shown(pages: list[Path], samples: Mapping[str, tuple[dict[str, Any], ...]]) -> Iterator[Shown]:
    assert len(pages) == len(samples)
    for page in pages:
        name = json.loads((page.parent / "index.json").read_text("utf-8"))["record"]["name"]
        for label, language, code in page_programs(page):
            yield Shown(
                dataset="unkind" if name == NASTY else name,
                label=label,
                language=language,
                code=code,
                samples=samples[name],
            )
