"""Programs of an atdata user, run with atdata's own Python (`make .venv-atdata/.installed`): publish, read, or search.

Reads a line of JSON from standard input, and prints one: what was published, read or found.
"""
# mypy: ignore-errors
# atdata is in another environment, and ships no types.

from __future__ import annotations

import hashlib
import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import atdata
import httpx
import numpy as np
from atdata import atmosphere
from atdata.atmosphere._lexicon_types import ShardChecksum
from numpy.typing import NDArray  # noqa: TC002 - annotations are read at run time

logging.disable()


@atdata.packable
class Plate:
    """A sample of every type that atdata has, with an optional array."""

    image: NDArray
    label: str
    score: float
    count: int
    fresh: bool
    raw: bytes
    tags: list[str]
    overlay: NDArray | None  # the longest name: atdata cannot read an optional field before others


@atdata.packable
class Label:
    """The label alone."""

    label: str


@atdata.lens
def label_of(plate: Plate) -> Label:
    """Return the label."""
    return Label(label=plate.label)


def plate(number: int) -> Plate:
    mask = np.arange(4, dtype=np.uint8) if number % 2 else None
    pixels = np.full((2, 3), number, np.float32)
    return Plate(pixels, f"plate {number}", number / 4, number, number % 3 == 0, bytes([number]), ["a"] * number, mask)


def publish(pds: str, did: str, handle: str, password: str, folder: str, url: str) -> dict[str, Any]:
    """Publish a schema, a dataset at a web server, one in blobs, a label and a lens."""
    client = atmosphere.Atmosphere(base_url=f"{pds}/xrpc")
    client._client.login(handle, password, fetch_bsky_profile=False)  # the test's PDS has no app view to ask
    client._session = {"did": did, "handle": handle}
    shards = Path(folder)
    written = atdata.write_samples((plate(number) for number in range(10)), shards / "plates.tar", maxcount=4)
    files = [Path(shard) for shard in written.list_shards()]
    schemas = atmosphere.SchemaPublisher(client)
    schema, small = str(schemas.publish(Plate, description="Plates.")), str(schemas.publish(Label))
    datasets = atmosphere.DatasetPublisher(client)
    sums = [ShardChecksum(algorithm="sha256", digest=hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    options = {"description": "As atdata writes it.", "tags": ["plates"], "license": "MIT", "metadata": {"a": 5}}
    urls = [url + file.name for file in files]
    found = {
        "schema": schema,
        "checked": str(datasets.publish_with_urls(urls, schema, name="checked", checksums=sums, **options)),
        "bare": str(datasets.publish_with_urls(urls, schema, name="bare")),
        "blobs": str(datasets.publish_with_blobs([file.read_bytes() for file in files], schema, name="blobs")),
    }
    found["label"] = str(atmosphere.LabelPublisher(client).publish("plates", found["blobs"], version="1.0.0"))
    found["lens"] = str(
        atmosphere.LensPublisher(client).publish_from_lens(
            label_of, name="label_of", source_schema_uri=schema, target_schema_uri=small,
            code_repository="https://git.example/lenses", code_commit="a" * 40,
        )
    )  # fmt: skip
    return found


def read(pds: str, did: str, datasets: list[str], label: str, lens: str) -> dict[str, Any]:
    """Read every record and every sample."""
    client = atmosphere.Atmosphere(base_url=f"{pds}/xrpc")
    atmosphere._pds_endpoint_cache[did] = pds  # its directory is the public one; the test's is on this machine
    found: dict[str, Any] = {"samples": {}, "label": atmosphere.LabelLoader(client).get(label)["name"]}
    found["lens"] = atmosphere.LensLoader(client).get(lens)["name"]
    loader = atmosphere.DatasetLoader(client)
    for uri in datasets:
        if loader.get_storage_type(uri) == "blobs":  # load_dataset fails for each of them
            made = atdata._schema_to_type(atmosphere.SchemaLoader(client).get(loader.get(uri)["schemaRef"]))
            dataset = loader.to_dataset(uri, made)
        else:
            dataset = atdata.load_dataset(uri, split="train", atmosphere=client)
        found["samples"][uri] = [shown(sample) for sample in dataset.ordered()]
        found.setdefault("entries", []).append(loader.get_typed(uri).name)
    found["typed"] = [shown(one) for one in atdata.load_dataset(datasets[0], Plate, split="train", atmosphere=client)]
    return found


def appview(url: str, did: str, handle: str, uris: dict[str, str]) -> dict[str, Any]:
    """Call each method of atdata's client that asks an AppView; a warning (it falls back to the server) is an error."""
    client = atmosphere.Atmosphere(appview=url)
    atdata.configure_logging(_Strict())
    loader, labels = atmosphere.DatasetLoader(client), atmosphere.LabelLoader(client)
    schemas, lenses = atmosphere.SchemaLoader(client), atmosphere.LensLoader(client)
    backend = atdata.AppViewSearchBackend(client)
    found: dict[str, Any] = {
        "get": loader.get(uris["entry"])["name"],
        "get_typed": loader.get_typed(uris["entry"]).name,
        "storage": loader.get_storage_type(uris["entry"]),
        "urls": loader.get_urls(uris["entry"]),
        "blob_urls": loader.get_blob_urls(uris["blobs"]),
        "metadata": loader.get_metadata(uris["entry"]),
        "list_all": [one["name"] for one in loader.list_all(repo=did)],
        "list_two": [one["name"] for one in loader.list_all(limit=2)],
        "label": labels.resolve(handle, "tides"),
        "old_label": labels.resolve(did, "tides", "1.0.0"),
        "schemas": [one["name"] for one in schemas.list_all(repo=handle)],
        "schema": schemas.resolve(handle, "Digit")["version"],
        "schema_version": schemas.resolve(did, "Digit", "1.0.0")["version"],
        "lenses": [one["name"] for one in lenses.list_all(repo=did)],
        "from_schema": [one["name"] for one in lenses.find_by_schemas(uris["schema"])],
        "from_to": [one["name"] for one in lenses.find_by_schemas(uris["schema"], uris["other"])],
        "search_datasets": [one["name"] for one in client.search_datasets("tides", tags=["ocean"], repo=did)],
        "search_schema": [one["name"] for one in client.search_datasets("", schema_ref=uris["schema"])],
        "search_lenses": [one["name"] for one in client.search_lenses(source_schema=uris["schema"])],
        "search_lenses_all": [one["name"] for one in client.search_lenses(limit=1000)],
        "service": client.describe_service(),
        "entries": [one["name"] for one in client.get_entries([uris["blobs"], uris["gone"], uris["entry"]])],
        "stats": client.get_entry_stats(uris["entry"], "month"),
        "backend": [one.name for one in backend.search("tides").items],
        "health": backend.health_check(),
    }
    for name, call in {
        "gone": lambda: client.xrpc_query("science.alt.dataset.getEntry", {"uri": uris["gone"]}),
        "publish": lambda: httpx.post(f"{url}/xrpc/science.alt.dataset.publishSchema", json={}).raise_for_status(),
    }.items():
        try:
            call()
        except httpx.HTTPStatusError as error:
            found[name] = error.response.json()
    return found


class _Strict:
    """A logger for which a warning is an error."""

    def debug(self, *_: object, **__: object) -> None: ...

    info = debug

    def warning(self, message: str, *_: object, **__: object) -> None:
        raise AssertionError(message) from sys.exc_info()[1]

    error = warning


def shown(sample: Any) -> dict[str, Any]:  # noqa: ANN401 - of a class made from a schema record
    values = {name: getattr(sample, name) for name in sample.__dataclass_fields__}
    return {name: plain(value) for name, value in values.items()}


def plain(value: Any) -> Any:  # noqa: ANN401 - samples hold anything
    if isinstance(value, bytes) and value.startswith(b"\x93NUMPY"):  # it leaves an optional array as it is stored
        value = np.load(io.BytesIO(value))
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    return list(value) if isinstance(value, bytes) else value


if __name__ == "__main__":
    wanted = json.loads(sys.stdin.readline())
    sys.stdout.write(
        json.dumps({"publish": publish, "read": read, "appview": appview}[wanted.pop("do")](**wanted)) + "\n"
    )
