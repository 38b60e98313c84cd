"""``catalog verify``: real records are proven, and every kind of lie is found."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import httpx
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto.repo import CheckedRecord
from catalog.cli.records import _Watch
from catalog.config import NetworkSettings
from catalog.errors import InvalidSyntax
from catalog.network.http import Client
from catalog.publish.checks import Check, State, failed
from catalog.publish.verify import Verifier, _lexicon_checks, closing, record_uri
from catalog.publish.verify_shards import Choice
from catalog.records import COLLECTIONS, DATASET, LABEL, LENS, SCHEMA, VERIFICATION
from catalog.syntax import AtUri, Cid
from tests import forked
from tests.fakes import Asked, Fake, answer, fake_server, forward
from tests.repos import SigningKey, build_repo
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.conftest import Account, Network

pytestmark = pytest.mark.publishing

TIME = "2026-01-02T03:04:05.000Z"
FIRST = tar_of(*((f"{number:03d}.msgpack", msgpack.packb({"x": 0.5, "pad": b"one" * 20_000})) for number in range(50)))
SECOND = tar_of(("0.msgpack", msgpack.packb({"x": 1})))
NOWHERE = "did:plc:" + "a" * 24
_KEYS = (
    "$type", "$bytes", "$link", "name", "version", "schema", "schemaRef", "storage", "shards", "blobs", "url",
    "checksum", "algorithm", "digest", "urls", "datasetUri", "lens", "lensCommit", "metadata", "content", "size",
)  # fmt: skip
RECORD, ANSWER = "com.atproto.sync.getRecord", "com.atproto.repo.getRecord"


def sha256(raw: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "digest": hashlib.sha256(raw).hexdigest()}


@dataclass(slots=True, kw_only=True)
class Published:
    """An account of the real PDS with a record of each kind; its shards lie on ``files``, its PDS is behind ``pds``."""

    network: Network
    account: Account
    pds: Fake
    settings: NetworkSettings
    files: str
    folder: Path
    uris: dict[str, str]

    def put(self, collection: str, rkey: str, **value: object) -> str:
        written = self.network.put_record(
            self.account, collection, rkey, {"$type": collection, "createdAt": TIME, **value}
        )
        self.uris[collection] = written["uri"]
        return str(written["cid"])

    def dataset(self, shards: list[dict[str, object]], **more: object) -> None:
        storage: dict[str, object] = {"$type": "science.alt.dataset.storageHttp", "shards": shards}
        self.store(storage, **more)

    def store(self, storage: dict[str, object], **more: object) -> None:
        self.put(DATASET, "3kaaaaaaaaaa2", name="points", schemaRef=self.uris[SCHEMA], storage=storage, **more)

    def checks(self, collection: str = DATASET, choice: Choice | None = None) -> list[Check]:
        with Client(self.settings) as client:
            verifier = Verifier(client=client, settings=self.settings, choice=choice or Choice())
            return list(verifier.verify(record_uri(self.uris[collection])))

    def only_fault(self, collection: str = DATASET) -> Check:
        """The one check that fails."""
        wrong = [check for check in self.checks(collection) if check.state is State.FAILED]
        assert len(wrong) == 1, wrong
        return wrong[0]

    def garbles(self, method: str, change: Callable[[Asked, bytes], bytes]) -> None:
        """The response of the PDS to a method is changed in transit."""

        def route(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
            status, kind, body = forward(handler, self.network.pds_url)
            answer(handler, change(asked, body), status, Content_Type=kind)

        self.pds.routes[f"/xrpc/{method}"] = route


@pytest.fixture
def published(network: Network, serve: Callable[[Path], str], tmp_path: Path) -> Iterator[Published]:
    account = network.account("verified")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.tar").write_bytes(FIRST)
    (folder / "b.tar").write_bytes(SECOND)
    with (
        fake_server({}, upstream=network.pds_url) as pds,
        fake_server({}, upstream=network.plc_url) as plc,
    ):
        document = httpx.get(f"{network.plc_url}/{account.did}", timeout=60).json()
        document["service"][0]["serviceEndpoint"] = pds.url
        plc.routes[f"/{account.did}"] = lambda handler, _: answer(handler, document)
        settings = replace(NetworkSettings.from_environment(), plc_url=plc.url)
        made = Published(
            network=network, account=account, pds=pds, settings=settings, files=serve(folder), folder=folder, uris={}
        )
        body = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
        schema = {"$type": f"{SCHEMA}#jsonSchemaFormat", "draft": "draft-07", "content": body, **body}
        made.put(SCHEMA, "Point:1.0.0", name="Point", version="1.0.0", schemaType="jsonSchema", schema=schema)
        made.dataset([
            {"url": f"{made.files}a.tar", "checksum": sha256(FIRST)},
            {"url": f"{made.files}b.tar", "checksum": sha256(SECOND)},
        ], size={"shards": 2, "bytes": len(FIRST) + len(SECOND)})  # fmt: skip
        made.put(LABEL, "3kaaaaaaaaaa3", name="points", version="1.0.0", datasetUri=made.uris[DATASET])
        code = {"repository": "https://git.example", "commit": "c" * 40, "path": "a.py:f"}
        ends = {"sourceSchema": made.uris[SCHEMA], "targetSchema": made.uris[SCHEMA], "sourceSchemaVersion": "1.0.0"}
        lens = made.put(LENS, "3kaaaaaaaaaa4", name="same", **ends, getterCode=code, putterCode=code)
        words = {"lens": made.uris[LENS], "lensCommit": lens, "verificationMethod": "codeReview"}
        made.put(VERIFICATION, "3kaaaaaaaaaa5", **words)
        yield made


def test_a_record_of_each_kind_is_verified(published: Published) -> None:
    """From the handle to the last shard, without a fault."""
    seen = {collection: published.checks(collection) for collection in COLLECTIONS}
    for collection, checks in seen.items():
        assert not [check for check in checks if check.state is State.FAILED], checks
        assert [check.what for check in checks[:4]] == ["identity", "proof", "answer", "lexicon"]
        assert closing(checks).startswith("verified: "), collection
    assert [check.what for check in seen[DATASET]][4:] == ["schema", "shard", "shard", "size"]
    assert f"{len(FIRST):,} bytes" in seen[DATASET][5].text
    assert [check.what for check in seen[LENS]][4:] == ["source", "target", "code"]
    assert [check.what for check in seen[VERIFICATION]][4:] == ["lens"]


def test_a_handle_names_the_account_as_well(published: Published) -> None:
    """And a handle that points elsewhere verifies nothing."""
    published.uris[LABEL] = published.uris[LABEL].replace(published.account.did, published.account.handle)
    assert published.checks(LABEL)[0].text.startswith(f"{published.account.handle} is {published.account.did}")
    published.uris[LABEL] = published.uris[LABEL].replace(published.account.handle, "nobody-there.test")
    (wrong, rest) = published.checks(LABEL)
    assert (wrong.what, wrong.state, rest.state) == ("identity", State.FAILED, State.UNCHECKED)


def test_a_record_changed_on_its_way_is_found(published: Published) -> None:
    """In the proof: one byte of the record's block."""
    published.garbles(RECORD, lambda asked, raw: raw.replace(b"points", b"pointz") if asked else raw)
    assert "the proof is wrong" in published.only_fault().text


def test_a_server_that_tells_others_something_else_is_found(published: Published) -> None:
    """The proof is right, but what everybody reads isn't what is proven."""

    def change(asked: Asked, raw: bytes) -> bytes:
        if asked.query["collection"] != DATASET:
            return raw
        body = json.loads(raw)
        body["value"]["name"] = "other points"
        return json.dumps(body).encode()

    published.garbles(ANSWER, change)
    assert published.only_fault().what == "answer"


def test_a_record_that_changes_between_two_questions_is_no_lie(published: Published) -> None:
    """It was proven, then written anew, then asked for without a proof: both are asked for again."""
    changed: list[str] = []

    def change(asked: Asked, raw: bytes) -> bytes:
        if asked.query["collection"] != LABEL:
            return raw
        if not changed:
            changed.append(published.put(LABEL, "3kaaaaaaaaaa3", name="new", datasetUri=published.uris[DATASET]))
        query = {"repo": published.account.did, "collection": LABEL, "rkey": "3kaaaaaaaaaa3"}
        return httpx.get(f"{published.network.pds_url}/xrpc/{ANSWER}", params=query, timeout=60).content

    published.garbles(ANSWER, change)
    checks = published.checks(LABEL)
    assert not [check for check in checks if check.state is State.FAILED]
    assert changed


def test_the_proof_of_another_record_proves_nothing(published: Published) -> None:
    """A true proof of the label, where the dataset was asked for."""

    def swap(asked: Asked, raw: bytes) -> bytes:
        if asked.query["collection"] != DATASET:
            return raw
        query = {"did": published.account.did, "collection": LABEL, "rkey": "3kaaaaaaaaaa3"}
        return httpx.get(f"{published.network.pds_url}/xrpc/{RECORD}", params=query, timeout=60).content

    published.garbles(RECORD, swap)
    fault = published.only_fault()
    assert fault.what == "proof"


@pytest.mark.parametrize("p256", [False, True])
def test_a_commit_of_another_key_is_no_proof(published: Published, *, p256: bool) -> None:
    """A whole repository with the right names, signed by somebody else."""
    value = published.network.get_record(published.account.did, DATASET, "3kaaaaaaaaaa2")["value"]
    forged = build_repo({f"{DATASET}/3kaaaaaaaaaa2": value}, did=published.account.did, key=SigningKey(p256=p256))
    published.garbles(RECORD, lambda _asked, _raw: forged)
    assert "not signed by the account's key" in published.only_fault().text


def test_a_new_key_is_looked_up_before_a_signature_counts_as_wrong(published: Published) -> None:
    """The account moved its key between two questions; the first answer was the old one's."""
    document = httpx.get(f"{published.network.plc_url}/{published.account.did}", timeout=60).json()
    document["service"][0]["serviceEndpoint"] = published.pds.url
    old = json.loads(json.dumps(document))
    old["verificationMethod"][0] |= {"type": "Multikey", "publicKeyMultibase": SigningKey().multibase}
    answers = [old, document]
    with fake_server({}, upstream=published.network.plc_url) as plc:
        plc.routes[f"/{published.account.did}"] = lambda handler, _: answer(
            handler, answers.pop(0) if len(answers) > 1 else answers[0]
        )
        published.settings = replace(published.settings, plc_url=plc.url)
        assert closing(published.checks()).startswith("verified")


def test_a_record_that_is_not_there_is_proven_not_to_be(published: Published) -> None:
    """Deleted, or never written."""
    published.network.delete_record(published.account, LABEL, "3kaaaaaaaaaa3")
    fault = published.only_fault(LABEL)
    assert (fault.what, "no such record" in fault.text) == ("proof", True)


@pytest.mark.parametrize("status", [404, 501])
def test_a_server_without_proofs_is_told_as_that(published: Published, status: int) -> None:
    """Nothing fails, and nothing is called verified; shards are still checked against what the server says."""
    published.pds.routes[f"/xrpc/{RECORD}"] = lambda handler, _: answer(
        handler, {"error": "MethodNotImplemented"}, status
    )
    checks = published.checks()
    assert not [check for check in checks if check.state is State.FAILED]
    proof = next(check for check in checks if check.what == "proof")
    assert (proof.state, "offers no proofs" in proof.text) == (State.UNCHECKED, True)
    assert sum(check.what == "shard" for check in checks) == 2
    assert closing(checks).startswith("nothing is wrong, but not everything is proven")


def test_an_account_without_a_key_can_prove_nothing(published: Published) -> None:
    """As little as a server without proofs."""
    document = httpx.get(f"{published.network.plc_url}/{published.account.did}", timeout=60).json()
    document["service"][0]["serviceEndpoint"] = published.pds.url
    document["verificationMethod"] = []
    with fake_server({}, upstream=published.network.plc_url) as plc:
        plc.routes[f"/{published.account.did}"] = lambda handler, _: answer(handler, document)
        published.settings = replace(published.settings, plc_url=plc.url)
        checks = published.checks()
    assert [check.what for check in checks if check.state is State.UNCHECKED] == ["proof"]
    assert "names no key" in checks[1].text


# --- references ----------------------------------------------------------------------------------------------


def test_a_missing_schema_is_found(published: Published) -> None:
    """By the proof that it isn't there."""
    published.network.delete_record(published.account, SCHEMA, "Point:1.0.0")
    fault = published.only_fault()
    assert (fault.what, "no such record" in fault.text) == ("schema", True)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        (f"at://{NOWHERE}/{SCHEMA}/a", "its DID document can't be read"),
        (f"at://{NOWHERE}", "not the address of a record"),
        (f"at://{NOWHERE}/{LENS}/3kaaaaaaaaaa4", f"not in {SCHEMA}"),
    ],
)
def test_a_reference_that_leads_nowhere_is_found(published: Published, reference: str, told: str) -> None:
    """Whatever is wrong with it."""
    published.uris[SCHEMA] = reference
    published.dataset([{"url": f"{published.files}b.tar", "checksum": sha256(SECOND)}])
    fault = next(check for check in published.checks() if check.what == "schema")
    assert fault.state is State.FAILED
    assert told in fault.text


def test_a_verification_of_an_older_lens_is_found(published: Published) -> None:
    """The lens was changed since, so nobody vouches for it as it is."""
    code = {"repository": "https://git.example", "commit": "d" * 40, "path": "a.py:f"}
    ends = {"sourceSchema": published.uris[SCHEMA], "targetSchema": published.uris[SCHEMA]}
    now = published.put(LENS, "3kaaaaaaaaaa4", name="same", **ends, getterCode=code, putterCode=code)
    assert f"is {now} now" in published.only_fault(VERIFICATION).text


def test_a_lens_between_other_versions_is_found(published: Published) -> None:
    """An exact version must be the schema's own; a range isn't judged."""
    code = {"repository": "https://git.example", "commit": "d" * 40, "path": "a.py:f"}
    ends = {"sourceSchema": published.uris[SCHEMA], "targetSchema": published.uris[SCHEMA]}
    versions = {"sourceSchemaVersion": "2.0.0", "targetSchemaVersion": ">=1.0.0"}
    published.put(LENS, "3kaaaaaaaaaa4", name="same", **ends, **versions, getterCode=code, putterCode=code)
    assert published.only_fault(LENS).text.endswith("is version 1.0.0, the lens says 2.0.0")


def test_a_label_for_somebody_elses_dataset_is_found(published: Published, network: Network) -> None:
    """Catalogs don't show it."""
    other = network.account("other")
    value = network.get_record(published.account.did, DATASET, "3kaaaaaaaaaa2")["value"]
    theirs = network.create_record(other, DATASET, value)["uri"]
    published.put(LABEL, "3kaaaaaaaaaa3", name="mine", datasetUri=theirs)
    assert "another account" in published.only_fault(LABEL).text


def test_a_record_that_breaks_its_lexicon_is_told_fault_by_fault(published: Published) -> None:
    """It is proven all the same: the account did sign it."""
    published.put(LABEL, "3kaaaaaaaaaa3", name=5, datasetUri="nowhere")
    checks = published.checks(LABEL)
    assert checks[1].state is State.PASSED
    assert [check.what for check in checks if check.state is State.FAILED] == ["lexicon", "lexicon"]


# --- shards --------------------------------------------------------------------------------------------------


def test_a_flipped_byte_of_a_shard_is_found(published: Published) -> None:
    """The other shard is right, and said to be."""
    raw = bytearray(FIRST)
    raw[len(raw) // 2] ^= 1
    (published.folder / "a.tar").write_bytes(raw)
    fault = published.only_fault()
    assert "1 of 2" in fault.text
    assert hashlib.sha256(raw).hexdigest() in fault.text


def test_samples_that_do_not_fit_the_schema_are_found(published: Published) -> None:
    """The checksum is right, and is said to be."""
    raw = tar_of(("0.msgpack", msgpack.packb({"x": 1.5})), ("1.msgpack", msgpack.packb({"x": "text"})))
    (published.folder / "c.tar").write_bytes(raw)
    published.dataset([{"url": f"{published.files}c.tar", "checksum": sha256(raw)}])
    shard, samples = (check for check in published.checks() if check.what in ("shard", "samples"))
    assert (shard.state, samples.state) == (State.PASSED, State.FAILED)
    assert all(word in samples.text for word in ("c.tar", "1 of 2", "Point@1.0.0", "sample 1", "'x'", "float", "str"))


def test_a_web_page_in_place_of_a_shard_is_named(published: Published) -> None:
    """With a checksum and without."""
    (published.folder / "a.tar").write_bytes(b"<!DOCTYPE html><html><body>Sign in</body></html>")
    for shard in ({"checksum": sha256(FIRST)}, {}):
        published.dataset([{"url": f"{published.files}a.tar", **shard}])
        assert "web page" in published.only_fault().text


def test_the_cache_is_never_asked(published: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A right copy on this machine doesn't hide that the publisher's is damaged; none is left there either."""
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    kept = tmp_path / "cache" / "shards" / f"sha256-{hashlib.sha256(SECOND).hexdigest()}.tar"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(SECOND)
    (published.folder / "b.tar").write_bytes(SECOND[::-1])
    assert "2 of 2" in published.only_fault().text
    assert list(kept.parent.iterdir()) == [kept]


def test_a_shard_that_is_gone_is_found(published: Published) -> None:
    """With its checksum or without."""
    (published.folder / "b.tar").unlink()
    assert "HTTP 404" in published.only_fault().text
    published.dataset([{"url": f"{published.files}b.tar", "checksum": {"algorithm": "none", "digest": ""}}])
    assert "HTTP 404" in published.only_fault().text


def test_a_download_that_breaks_off_is_no_fault(published: Published) -> None:
    """It begins anew where the server doesn't say which version it sends; then all of it is hashed, once."""

    def break_off(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(FIRST)))
        handler.end_headers()
        whole = fake.paths().count("/a.tar") > 1
        handler.wfile.write(FIRST if whole else FIRST[:100_000])
        handler.close_connection = not whole

    with fake_server({"/a.tar": break_off}) as fake:
        published.dataset([{"url": f"{fake.url}/a.tar", "checksum": sha256(FIRST)}])
        shard = next(check for check in published.checks() if check.what == "shard")
        assert fake.paths().count("/a.tar") == 2
    assert (shard.state, f"{len(FIRST):,} bytes" in shard.text) == (State.PASSED, True)


def test_a_shard_without_a_checksum_is_neither_right_nor_wrong(published: Published) -> None:
    """It is reported, and the exit code is 0."""
    url = f"{published.files}a.tar"
    published.dataset([
        {"url": url},
        {"url": url, "checksum": {"algorithm": "none", "digest": ""}},
        {"url": url, "checksum": {"algorithm": "crc32", "digest": "00000000"}},
    ])  # fmt: skip
    shards = [check for check in published.checks() if check.what == "shard"]
    assert [check.state for check in shards] == [State.UNCHECKED] * 3
    assert ["no checksum" in check.text for check in shards] == [True, True, False]
    assert "'crc32' is not known" in shards[2].text


def test_a_checksum_that_no_bytes_can_have_is_found(published: Published) -> None:
    """A cut digest promises nothing; the shard isn't even read."""
    cut = {"algorithm": "sha256", "digest": "abcd"}
    published.dataset([{"url": f"{published.files}a.tar", "checksum": cut}])
    assert "is not 64 hex digits" in published.only_fault().text


def test_shards_may_be_left_out_or_picked(published: Published) -> None:
    """Reported; without any shard read, nothing is said about their bytes."""
    none = [check for check in published.checks(choice=Choice(most=0)) if check.what in ("shard", "shards", "size")]
    assert [check.text for check in none] == ["2 of 2 not read", "2 shards, as the record says"]
    some = [check for check in published.checks(choice=Choice(most=1)) if check.what in ("shard", "shards")]
    assert [check.state for check in some] == [State.PASSED, State.UNCHECKED]
    assert some[1].text == "1 of 2 not read, 1 picked at random were"


def test_sizes_that_are_not_so_are_found(published: Published) -> None:
    """The number of shards, and of their bytes."""
    shards: list[dict[str, object]] = [{"url": f"{published.files}b.tar", "checksum": sha256(SECOND)}]
    published.dataset(shards, size={"shards": 3, "bytes": 5})
    fault = published.only_fault()
    assert fault.text == f"the record says 3 shards and lists 1; the record says 5 bytes, they have {len(SECOND):,}"


def test_a_blob_is_checked_by_its_cid_and_its_checksum(published: Published) -> None:
    """Either may be wrong."""
    reference = httpx.post(
        f"{published.network.pds_url}/xrpc/com.atproto.repo.uploadBlob",
        content=SECOND,
        headers={
            "authorization": f"Bearer {published.account.access_jwt}",
            "content-type": "application/x-tar",
        },
    ).json()["blob"]
    blob: dict[str, Any] = {"blob": reference, "checksum": sha256(SECOND)}
    published.store({"$type": "science.alt.dataset.storageBlobs", "blobs": [blob]})
    shard = next(check for check in published.checks() if check.what == "shard")
    assert shard.state is State.PASSED
    blob["checksum"] = sha256(FIRST)
    published.store({"$type": "science.alt.dataset.storageBlobs", "blobs": [blob]})
    assert "the record promises" in published.only_fault().text
    del blob["checksum"]
    published.store({"$type": "science.alt.dataset.storageBlobs", "blobs": [blob]})
    published.garbles("com.atproto.sync.getBlob", lambda _asked, raw: raw[:-1] + b"!")
    assert published.only_fault().what == "shard"


def test_shards_in_a_bucket_are_read_from_it(published: Published) -> None:
    """From the endpoint that the record names; one with another byte, and one that is gone, are found."""
    bucket = published.folder / "our-bucket"
    bucket.mkdir()
    (bucket / "a.tar").write_bytes(FIRST)
    storage: dict[str, object] = {
        "$type": "science.alt.dataset.storageS3",
        "bucket": "our-bucket",
        "endpoint": published.files.rstrip("/"),
        "shards": [{"key": "a.tar", "checksum": sha256(FIRST)}],
    }
    published.store(storage)
    shard = next(check for check in published.checks() if check.what == "shard")
    assert (shard.state, "s3://our-bucket/a.tar" in shard.text) == (State.PASSED, True)
    (bucket / "a.tar").write_bytes(FIRST + b"!")
    assert "the record promises" in published.only_fault().text
    (bucket / "a.tar").unlink()
    assert "HTTP 404" in published.only_fault().text


@pytest.mark.parametrize(
    ("storage", "what", "told"),
    [
        ({"$type": "science.alt.dataset.storageExternal", "urls": ["https://example.org/{0..99999}.tar"]},
         "shards", "has no checksums"),
        ({"$type": "org.example.tape", "reel": 5}, "shards", "are not opened"),
        ({"$type": "science.alt.dataset.storageHttp", "shards": [{"url": "pipe:cat%20/etc/passwd"}]},
         "shards", "pipe: is not opened"),
        ({"$type": "science.alt.dataset.storageHttp", "shards": [{"url": "file:///etc/passwd"}]},
         "shards", "names a local file"),
        ({"$type": "science.alt.dataset.storageS3", "bucket": "..", "shards": [{"key": "a", "checksum": sha256(b"")}]},
         "shards", "not the name of a bucket"),
    ],
)  # fmt: skip
def test_odd_storages_are_told(published: Published, storage: dict[str, object], what: str, told: str) -> None:
    """None of them is opened."""
    published.store(storage)
    found = next(check for check in published.checks() if check.what == what)
    assert told in found.text
    assert found.state is not State.PASSED


# --- the command ---------------------------------------------------------------------------------------------


def _run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [sys.executable, "-m", "catalog", "verify", *arguments],
        env={**os.environ, **extra},
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


def test_the_command_prints_a_line_a_check_and_what_it_means(published: Published) -> None:
    """Exit code 0 when nothing is wrong, 1 when something is; both records are looked at."""
    environment = {"CATALOG_PLC_URL": published.settings.plc_url}
    ran = _run(published.uris[DATASET], published.uris[VERIFICATION], **environment)
    assert (ran.returncode, ran.stdout.count("✓"), ran.stdout.count("✗")) == (0, 13, 0), ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1] == "verified: 13 passed"
    assert "Verified means: the account's own key signed" in ran.stderr
    (published.folder / "a.tar").write_bytes(SECOND)
    ran = _run(published.uris[DATASET], published.uris[VERIFICATION], **environment)
    assert (ran.returncode, ran.stdout.count("✓"), ran.stdout.count("✗")) == (1, 11, 2)
    ran = _run(published.uris[DATASET], "--no-shards", "--json", **environment)
    answered = json.loads(ran.stdout)
    assert (ran.returncode, answered["ok"]) == (0, True)
    assert {check["state"] for check in answered["records"][0]["checks"]} == {"passed", "unchecked"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["at://alice.example.org"],
        ["at://alice.example.org/app.bsky.feed.post/3kaaaaaaaaaa2"],
        ["https://example.org"],
        ["--no-shards", "--shards", "2", f"at://alice.example.org/{LABEL}/a"],
        ["--shards", "0", f"at://alice.example.org/{LABEL}/a"],
    ],
)
def test_what_is_no_record_is_misuse(arguments: list[str]) -> None:
    """Told before anybody is asked anything."""
    ran = _run(*arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Traceback" not in ran.stderr


def test_a_line_is_fit_for_a_terminal() -> None:
    """Somebody else's escape sequences, line ends and endless words are not passed on."""
    line = failed("lexicon", "a\x1b[2J\r\nb\u202e" + "c" * 10_000).line()
    assert line.isprintable()
    assert len(line) < 700


class _Terminal(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_one_line_on_a_terminal_and_rare_in_a_log(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    """The line that changes is gone before anything else is said; a log gets a line every 15 seconds."""
    now = iter([0.0, *(float(second) for second in range(1, 32))])
    monkeypatch.setattr("catalog.cli.records.time.monotonic", lambda: next(now))
    monkeypatch.setattr(sys, "stderr", _Terminal(terminal=terminal))
    with _Watch() as watch:
        for size in range(31):
            watch.see("1 of 2  https://example.org/a.tar", size * 1_000_000)
    told = cast("_Terminal", sys.stderr).getvalue()
    if terminal:
        assert "\n" not in told
        assert told.endswith("\r\x1b[K")
    else:
        assert told.splitlines() == [
            "shard 1 of 2  https://example.org/a.tar: 14,000,000 bytes",
            "shard 1 of 2  https://example.org/a.tar: 29,000,000 bytes",
        ]


@given(st.recursive(st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5)
), max_leaves=12))  # fmt: skip
def test_whatever_a_record_is_it_is_told_not_raised(value: Any) -> None:  # noqa: ANN401 - JSON
    """A proven record may hold anything at all; its checks are lines."""
    for collection in COLLECTIONS:
        uri = AtUri.of(NOWHERE, collection, "a")
        record = {"$type": collection, "createdAt": TIME, **(value if isinstance(value, dict) else {"name": value})}
        found = CheckedRecord(uri=uri, cid=Cid.of_block(b""), value=record, size=1)
        checks = list(_lexicon_checks(found))
        assert checks
        assert all(check.line().isprintable() for check in checks)


def test_only_records_of_ours_are_taken() -> None:
    """The address of anything else is refused with the reason."""
    assert record_uri(f"at://alice.example.org/{LABEL}/a").rkey == "a"
    with pytest.raises(InvalidSyntax, match="not one of the dataset collections"):
        record_uri("at://alice.example.org/app.bsky.feed.post/a")
