"""The client of atdata itself asks our AppView: each of its methods gets a right answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from catalog.atproto.lexicon import Lexicons
from catalog.records import DATASET, LABEL, LENS, SCHEMA
from tests import sitecatalog
from tests.appviewservices import listening
from tests.appviewstores import ALICE, BOB, World, at, dataset, uri
from tests.atdata_process import peer

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json

CID = "bafkreiabencwpcnlzxxqci2fm6e2xtppaerukz4jvpg66ajdivtytk6n54"
CODE: Json = {"repository": "https://git.example/lenses", "commit": "a" * 40, "path": "lenses.py:flatten"}
URIS = {
    "entry": f"{DATASET}/3kentry", "blobs": f"{DATASET}/3kblobs", "gone": f"{DATASET}/3kgone",
    "schema": f"{SCHEMA}/Digit:1.10.0", "other": f"{SCHEMA}/Flat:1.0.0",
}  # fmt: skip


def _label(version: str, path: str, seconds: int) -> dict[str, Json]:
    named = {"name": "tides", "version": version, "datasetUri": str(uri(path))}
    return {"$type": LABEL, **named, "createdAt": at(seconds)}


def _records() -> dict[str, dict[str, Json]]:
    blob: Json = {"$type": "blob", "ref": {"$link": CID}, "mimeType": "application/x-tar", "size": 7}
    storage: Json = {"$type": "science.alt.dataset.storageBlobs", "blobs": [{"blob": blob}]}
    schema, other = str(uri(URIS["schema"])), str(uri(URIS["other"]))
    lens: dict[str, Json] = {
        "$type": LENS, "name": "flatten", "sourceSchema": schema, "targetSchema": other, "getterCode": CODE,
        "putterCode": CODE, "createdAt": at(3),
    }  # fmt: skip
    return {
        f"{SCHEMA}/Digit:1.9.0": {**sitecatalog.schema("Digit", "1.9.0"), "createdAt": at(0)},
        f"{SCHEMA}/Digit:1.0.0": {**sitecatalog.schema("Digit", "1.0.0"), "createdAt": at(0)},
        URIS["schema"]: {**sitecatalog.schema("Digit", "1.10.0"), "createdAt": at(1)},
        URIS["other"]: {**sitecatalog.schema("Flat"), "createdAt": at(2)},
        URIS["entry"]: dataset("tides", 5, tags=["ocean"], schemaRef=schema, metadata={"custom": {"a": 5}}),
        URIS["blobs"]: dataset("in blobs", 4, storage=storage),
        f"{LENS}/3klens": lens,
        f"{LABEL}/3kold": _label("1.0.0", URIS["blobs"], 6),
        f"{LABEL}/3knew": _label("0.9.0", URIS["entry"], 7),
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("atdata-client")
    world = World(folder)
    world.put(_records())
    world.put({f"{DATASET}/3kbob": dataset("of another account", 9)}, BOB)
    world.catch_up()
    uris = {name: str(uri(path)) for name, path in URIS.items()}
    with listening(world.path, folder / "counts") as url:
        answers = peer("appview", url=url, did=ALICE, handle="alice.example.org", uris=uris)
    world.close()
    return answers


EXPECTED: dict[str, Any] = {
    "get": "tides",
    "get_typed": "tides",
    "storage": "http",
    "blob_urls": [f"https://pds.example/xrpc/com.atproto.sync.getBlob?did={ALICE}&cid={CID}"],
    "metadata": {"a": 5},
    "list_all": ["tides", "in blobs"],
    "list_two": ["of another account", "tides"],
    "label": str(uri(URIS["entry"])),
    "old_label": str(uri(URIS["blobs"])),
    "schemas": ["Flat", "Digit", "Digit", "Digit"],
    "schema": "1.10.0",
    "schema_version": "1.0.0",
    "lenses": ["flatten"],
    "from_schema": ["flatten"],
    "from_to": ["flatten"],
    "search_datasets": ["tides"],
    "search_schema": ["tides"],
    "search_lenses": ["flatten"],
    "search_lenses_all": ["flatten"],
    "entries": ["in blobs", "tides"],
    "backend": ["tides"],
    "health": True,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_method_of_the_client_gets_its_answer(found: dict[str, Any], name: str) -> None:
    assert found[name] == EXPECTED[name]


def test_the_client_learns_what_the_service_has_and_how_often_it_showed_a_dataset(found: dict[str, Any]) -> None:
    service = found["service"]
    assert Lexicons.load().validate_answer("science.alt.dataset.describeService", service) == ()
    assert (service["recordCount"][DATASET], service["recordCount"][SCHEMA]) == (3, 4)
    assert service["analytics"]["activePublishers"] >= 0
    stats = found["stats"]
    assert stats["period"] == "month"
    assert stats["views"] >= 3, "get, get_typed, … and get_entries"
    assert stats["searchAppearances"] == 2
    assert found["urls"], "those of the record"


def test_what_is_not_there_or_not_offered_is_an_xrpc_error(found: dict[str, Any]) -> None:
    assert found["gone"]["error"] == "NotFound"
    assert found["publish"]["error"] == "MethodNotImplemented"
    assert "server" in found["publish"]["message"]
