"""Shards in S3: against moto, a server that speaks S3 and checks signatures, and a fake for what it doesn't do."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import sys
from dataclasses import dataclass, replace
from itertools import cycle
from typing import TYPE_CHECKING, Any

import httpx
import msgpack
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from catalog import Dataset, PackableSample, S3Source
from catalog.config import NetworkSettings
from catalog.errors import MissingExtra, RefusedAddress, RefusedUrl, RequestFailed
from catalog.manifest import load
from catalog.manifest.drafts import BucketDraft
from catalog.publish.infer_manifest import sketch
from catalog.publish.manifest_yaml import as_yaml
from catalog.samples.packable import pack
from catalog.schema import type_text
from catalog.shards import download as remote
from catalog.shards import s3
from catalog.shards.reader import read_shard
from catalog.shards.s3 import S3Object
from catalog.shards.shard import Shard
from tests.fakes import Asked, Fake, answer, fake_server
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

LOOPBACK = NetworkSettings(allow_loopback=True)
SAMPLES = [
    (f"{number:03d}", msgpack.packb({"a": number, "b": hashlib.sha512(b"%d" % number).digest() * 100}))
    for number in range(60)
]
RAW = tar_of(*((f"{key}.msgpack", data) for key, data in SAMPLES))
TYPED = tar_of(("0.msgpack", pack({"number": 1})))
SHA256 = hashlib.sha256(RAW).hexdigest()
ODD_KEY = "dir/a b+c%2F~é#?&=.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A running S3 with the buckets ``open-data`` and ``closed.data``, and a user who may read all of it."""

    url: str
    access_key: str
    secret_key: str


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    from botocore.session import Session
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"

    def client(service: str) -> Any:  # noqa: ANN401 - botocore ships no types
        return Session().create_client(
            service, "eu-west-1", endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="y"
        )

    buckets, users = client("s3"), client("iam")
    for bucket, access in (("open-data", "public-read"), ("closed.data", "private")):
        buckets.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for key in ("a.tar", ODD_KEY):
            buckets.put_object(Bucket=bucket, Key=key, Body=RAW, ACL=access)
    buckets.put_object(Bucket="open-data", Key="typed/t-0.tar", Body=TYPED, ACL="public-read")
    users.create_user(UserName="reader")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    users.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=json.dumps(policy))
    made = users.create_access_key(UserName="reader")["AccessKey"]
    buckets.close()
    users.close()
    yield Store(url=url, access_key=made["AccessKeyId"], secret_key=made["SecretAccessKey"])
    httpx.post(
        f"{url}/moto-api/reset", timeout=30
    ).raise_for_status()  # what it holds is the process's, not the server's
    server.stop()


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials of whoever runs the tests, and nothing learned from the test before."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
                 "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "LONGEST_PAUSE", 0.1)
    s3._buckets.clear()
    s3._session.cache_clear()


@pytest.fixture
def checking(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the server checks every signature."""
    from moto import settings
    from moto.core.responses import ActionAuthenticatorMixin

    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    monkeypatch.setattr(ActionAuthenticatorMixin, "request_count", 0)


def sign_in(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, access_key: str = "AKIDEXAMPLE", secret: str | None = None
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret or "any")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)


def read(shard: Shard) -> list[tuple[str, bytes]]:
    return [(key, bytes(data)) for key, data in read_shard(shard, settings=LOOPBACK)]


# --- a real store --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a.tar", ODD_KEY])
@pytest.mark.parametrize("checksum", [None, f"sha256:{SHA256}"])
def test_a_public_bucket_is_read_without_credentials(store: Store, key: str, checksum: str | None) -> None:
    assert read(Shard(url=f"s3://open-data/{key}", endpoint=store.url, checksum=checksum)) == SAMPLES


@pytest.mark.usefixtures("checking")
@pytest.mark.parametrize("key", ["a.tar", ODD_KEY])
@pytest.mark.parametrize("endpoint", [True, False])
def test_a_private_bucket_is_read_with_a_signature_that_the_server_checks(
    store: Store, monkeypatch: pytest.MonkeyPatch, key: str, *, endpoint: bool
) -> None:
    """Return whether the shard names the endpoint that the user set, or none."""
    sign_in(monkeypatch, store.url, store.access_key, store.secret_key)
    shard = Shard(url=f"s3://closed.data/{key}", endpoint=store.url if endpoint else None, region="eu-west-1")
    assert read(shard) == SAMPLES


@pytest.mark.usefixtures("checking")
def test_a_wrong_secret_is_told_from_a_missing_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Shard(url="s3://closed.data/a.tar", endpoint=store.url, region="eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.url)
    with pytest.raises(RequestFailed, match=r"s3://closed\.data/a\.tar: HTTP 403.*no AWS credentials") as missing:
        read(shard)
    assert missing.value.status == 403
    sign_in(monkeypatch, store.url, store.access_key, "wrong")
    with pytest.raises(RequestFailed, match="HTTP 403 SignatureDoesNotMatch") as wrong:
        read(shard)
    assert store.access_key not in str(wrong.value)


def test_without_botocore_the_error_says_what_to_install(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, store.url)
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(MissingExtra, match=r"s3://closed\.data/a\.tar.*pip install 'atdata-catalog\[s3\]'"):
        read(Shard(url="s3://closed.data/a.tar"))
    assert read(Shard(url="s3://open-data/a.tar")) == SAMPLES  # the control: a public one needs nothing


@pytest.mark.parametrize(("url", "code"), [("s3://open-data/gone.tar", "NoSuchKey"), ("s3://nobody/a", "NoSuchBucket")])
def test_what_is_not_there_is_named_with_the_stores_own_code(store: Store, url: str, code: str) -> None:
    with pytest.raises(RequestFailed, match=f"{url}: HTTP 404 {code} .there is no such") as caught:
        read(Shard(url=url, endpoint=store.url))
    assert (caught.value.status, caught.value.name) == (404, code)


def test_botocore_is_not_loaded_for_a_public_bucket(store: Store) -> None:
    """In a process of its own, where nothing has loaded it yet."""
    import subprocess

    code = (
        "import sys; from catalog.config import NetworkSettings;"
        "from catalog.shards.reader import read_shard; from catalog.shards.shard import Shard;"
        f"found = list(read_shard(Shard(url='s3://open-data/a.tar', endpoint={store.url!r}),"
        " settings=NetworkSettings(allow_loopback=True)));"
        "print(len(found), 'botocore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(SAMPLES)), "False"]


def test_a_manifest_is_drafted_from_shards_in_a_bucket(store: Store, tmp_path: Path) -> None:
    """With keys and checksums; this store's own address is no https, so that one is left to be written."""
    sketched = sketch(
        ["s3://open-data/typed/t-{0..0}.tar"], settings=LOOPBACK, endpoint=store.url, region="eu-west-1", name="open"
    )
    (tmp_path / "open.yaml").write_text(as_yaml(sketched, tmp_path), encoding="utf-8")
    [dataset] = load([tmp_path / "open.yaml"]).datasets
    assert dataset.bucket == BucketDraft(name="open-data", region="eu-west-1")
    assert [(shard.url, shard.sha256, shard.bytes) for shard in dataset.shards] == [
        ("typed/t-0.tar", hashlib.sha256(TYPED).hexdigest(), len(TYPED))
    ]
    assert "# TODO: the https address by which others reach" in (tmp_path / "open.yaml").read_text(encoding="utf-8")
    https = replace(sketched, bucket=BucketDraft(name="open-data", endpoint="https://s3.example.org"))
    (tmp_path / "open.yaml").write_text(as_yaml(https, tmp_path), encoding="utf-8")
    [dataset] = load([tmp_path / "open.yaml"]).datasets
    assert dataset.bucket == BucketDraft(name="open-data", endpoint="https://s3.example.org")


TABLES: dict[str, tuple[Any, int]] = {
    "t.parquet": (None, 500),
    "t.csv": ("n,name\n" + "".join(f"{number},n{number}\n" for number in range(500)), 500),
    "t.csv.gz": (gzip.compress(("n,name\n" + "".join(f"{number},n{number}\n" for number in range(500))).encode()), 500),
    "t.jsonl": ("".join(f'{{"n": {number}, "name": "n{number}"}}\n' for number in range(500)), 500),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_in_a_bucket_are_read_and_drafted(store: Store, tmp_path: Path, name: str) -> None:
    """Of Parquet only ranges are requested; a draft has the columns, the format and the number of rows."""
    raw, count = TABLES[name]
    if raw is None:
        out = io.BytesIO()
        table = pa.table({"n": range(count), "name": [f"n{number}" for number in range(count)]})
        parquet.write_table(table, out, row_group_size=50)
        raw = out.getvalue()
    httpx.put(f"{store.url}/open-data/{name}", content=raw, headers={"x-amz-acl": "public-read"}).raise_for_status()
    shard = Shard(url=f"s3://open-data/{name}", endpoint=store.url, region="eu-west-1")

    class Row(PackableSample):
        n: int
        name: str

    found = list(Dataset([shard], Row, settings=LOOPBACK))
    assert [(row.n, row.name) for row in found] == [(number, f"n{number}") for number in range(count)]
    drafted = sketch([shard.url], settings=LOOPBACK, endpoint=store.url, region="eu-west-1", name="t")
    assert (drafted.format, drafted.samples) == (name.split(".")[1], count)
    assert [(field.name, type_text(field.type)) for field in drafted.seen.fields] == [("n", "int"), ("name", "str")]
    (tmp_path / "t.yaml").write_text(as_yaml(drafted, tmp_path), encoding="utf-8")
    [dataset] = load([tmp_path / "t.yaml"]).datasets
    assert dataset.sample_format == drafted.format


def test_loopback_needs_the_setting(store: Store) -> None:
    with pytest.raises(RefusedAddress):
        list(read_shard(Shard(url="s3://open-data/a.tar", endpoint=store.url), settings=NetworkSettings()))


# --- credentials, regions, breaks ----------------------------------------------------------------------------


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_server({}) as running:
        yield running


def _xml(handler: BaseHTTPRequestHandler, code: str, status: int, **headers: str) -> None:
    answer(handler, f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode(), status, **headers)


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_never_go_to_an_endpoint_that_only_a_record_names(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    sign_in(monkeypatch, "https://store.example.org")
    fake.routes["/bucket/a.tar"] = lambda handler, _: _xml(handler, "AccessDenied", status)
    for checksum in (None, f"sha256:{SHA256}"):
        with pytest.raises(RequestFailed, match=f"HTTP {status}.*set it if you trust this one"):
            read(Shard(url="s3://bucket/a.tar", endpoint=fake.url, checksum=checksum))
    assert [asked.headers.get("authorization") for asked in fake.asked] == [None, None]
    assert not any(name.startswith("x-amz") for asked in fake.asked for name in asked.headers)


def test_a_signed_request_is_never_redirected(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint may be trusted; where it points isn't."""
    sign_in(monkeypatch, fake.url)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")

    def private(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if "authorization" not in asked.headers:
            _xml(handler, "AccessDenied", 403)
        else:
            assert asked.headers["x-amz-security-token"] == "token"
            answer(handler, b"", 307, Location=f"{other.url}/stolen")

    fake.routes["/bucket/a.tar"] = private
    with fake_server({}) as other, pytest.raises(RequestFailed, match="307"):
        read(Shard(url="s3://bucket/a.tar"))
    assert other.asked == []


@pytest.mark.parametrize("status", [301, 307, 400, 403])
def test_a_bucket_in_another_region_is_asked_there_and_remembered(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    sign_in(monkeypatch, fake.url)

    def regional(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if "/ap-south-1/s3/aws4_request" in asked.headers.get("authorization", ""):
            answer(handler, RAW)
        elif "authorization" in asked.headers:
            _xml(handler, "AuthorizationHeaderMalformed", status, x_amz_bucket_region="ap-south-1")
        else:
            _xml(handler, "AccessDenied", 403)

    fake.routes["/bucket/a.tar"] = regional
    assert read(Shard(url="s3://bucket/a.tar")) == SAMPLES
    assert len(fake.asked) == 3
    assert read(Shard(url="s3://bucket/a.tar")) == SAMPLES
    assert len(fake.asked) == 4


@pytest.mark.parametrize("region", ["ap-south-1", "evil.example/", ""])
def test_a_store_that_sends_us_round_in_circles_is_left(fake: Fake, region: str) -> None:
    fake.routes["/bucket/a.tar"] = lambda handler, _: _xml(handler, "Moved", 301, x_amz_bucket_region=region)
    with pytest.raises(RequestFailed, match="HTTP 301 Moved"):
        read(Shard(url="s3://bucket/a.tar", endpoint=fake.url))
    assert len(fake.asked) <= 2


def test_a_store_that_names_one_region_after_another_is_left(fake: Fake) -> None:
    regions = cycle(["ap-south-1", "eu-west-1"])
    fake.routes["/bucket/a.tar"] = lambda handler, _: _xml(handler, "Moved", 301, x_amz_bucket_region=next(regions))
    with pytest.raises(RequestFailed, match="HTTP 301 Moved"):
        read(Shard(url="s3://bucket/a.tar", endpoint=fake.url))
    assert len(fake.asked) == 2


def test_a_download_goes_on_with_a_new_signature(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, fake.url)

    def breaking(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if "authorization" not in asked.headers:
            _xml(handler, "AccessDenied", 403)
            return
        start = int(asked.headers.get("range", "bytes=0-")[6:-1])
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Range", f"bytes {start}-{len(RAW) - 1}/{len(RAW)}")
        handler.send_header("ETag", '"one"')
        handler.send_header("Content-Length", str(len(RAW) - start))
        handler.end_headers()
        handler.wfile.write(RAW[start : start + 200_000])
        handler.close_connection = True

    fake.routes["/bucket/a.tar"] = breaking
    assert read(Shard(url="s3://bucket/a.tar")) == SAMPLES
    assert [asked.headers.get("range") for asked in fake.asked] == [None, None, "bytes=200000-", "bytes=400000-"]
    assert "range;" in fake.asked[-1].headers["authorization"]


def test_credentials_that_cannot_be_read_are_named(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", fake.url)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    fake.routes["/bucket/a.tar"] = lambda handler, _: _xml(handler, "AccessDenied", 403)
    with pytest.raises(RequestFailed, match=r"credentials can't be read.*nobody"):
        read(Shard(url="s3://bucket/a.tar"))


def test_a_busy_store_is_asked_again(fake: Fake) -> None:
    statuses = iter([503, 200])
    fake.routes["/bucket/a.tar"] = lambda handler, _: answer(handler, RAW, next(statuses))
    assert read(Shard(url="s3://bucket/a.tar", endpoint=fake.url)) == SAMPLES


# --- addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "endpoint", "region", "address", "trusted"),
    [
        ("s3://data/a.tar", None, None, "https://data.s3.amazonaws.com/a.tar", True),
        ("s3://data/a.tar", None, "eu-west-1", "https://data.s3.eu-west-1.amazonaws.com/a.tar", True),
        ("s3://data/a.tar", None, "cn-north-1", "https://data.s3.cn-north-1.amazonaws.com.cn/a.tar", True),
        ("s3://my.data/a.tar", None, "eu-west-1", "https://s3.eu-west-1.amazonaws.com/my.data/a.tar", True),
        ("s3://My_Data/a.tar", None, None, "https://s3.amazonaws.com/My_Data/a.tar", True),
        ("s3://data/a b/ü?#%+.tar", None, None, "https://data.s3.amazonaws.com/a%20b/%C3%BC%3F%23%25%2B.tar", True),
        ("s3://data//a", None, None, "https://data.s3.amazonaws.com//a", True),
        ("s3://data/a.tar", "https://store.example.org/", None, "https://store.example.org/data/a.tar", False),
        ("s3://data/a.tar", "https://own.example.org", "auto", "https://own.example.org/data/a.tar", True),
        ("s3://data/a.tar", "https://own.example.org.evil.example", None,
         "https://own.example.org.evil.example/data/a.tar", False),
        ("s3://data/a.tar", "https://s3.eu-west-1.amazonaws.com", None,
         "https://data.s3.eu-west-1.amazonaws.com/a.tar", True),
        ("s3://data/a.tar", "https://x.execute-api.eu-west-1.amazonaws.com", None,
         "https://x.execute-api.eu-west-1.amazonaws.com/data/a.tar", False),
        ("s3://data/a.tar", "https://s3.eu-west-1.amazonaws.com.evil.example", None,
         "https://s3.eu-west-1.amazonaws.com.evil.example/data/a.tar", False),
    ],
)  # fmt: skip
def test_an_object_has_one_address_and_credentials_go_where_they_belong(
    url: str, endpoint: str | None, region: str | None, address: str, trusted: bool,  # noqa: FBT001 - from the table
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if endpoint is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://own.example.org/")
    place = S3Object.parse(url, endpoint, region)
    assert (place.url(place.region), place.trusted) == (address, trusted)


def test_without_an_endpoint_it_is_the_users_as_for_every_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://own.example.org")
    monkeypatch.setenv("AWS_REGION", "garage")
    place = S3Object.parse("s3://data/a", None, None)
    assert (place.url(None), place.region, place.trusted) == ("https://own.example.org/data/a", "garage", True)


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [(None, "eu-west-1.evil.example/"), (None, "x"), (None, "eu-west-1\r\nX: y"), ("https://e.example", "a/b"),
     ("ftp://e.example", None), ("https://e.example/?x=", None), ("https://e.example/#", None), ("e.example", None)],
)  # fmt: skip
def test_an_endpoint_or_a_region_that_is_none_is_refused(endpoint: str | None, region: str | None) -> None:
    with pytest.raises(RefusedUrl):
        _ = Shard(url="s3://data/a", endpoint=endpoint, region=region).path


@given(st.text(max_size=50), st.none() | st.text(max_size=40), st.none() | st.text(max_size=20))
def test_any_text_is_one_object_of_one_host_or_refused(rest: str, endpoint: str | None, region: str | None) -> None:
    """No bucket, key or region of a record leads to a host that AWS doesn't own."""
    try:
        place = S3Object.parse(f"s3://{rest}", endpoint, region)
    except RefusedUrl as error:
        assert str(error).isprintable()
        return
    address = place.url(place.region)
    if place.endpoint is None:
        host, _, path = address.removeprefix("https://").partition("/")
        assert host.endswith((".amazonaws.com", ".amazonaws.com.cn")) or host == "s3.amazonaws.com"
        assert address.isascii()
        assert not {"", ".", ".."} & {path}
    else:
        assert address.startswith(place.endpoint)


@pytest.mark.usefixtures("checking")
def test_a_source_brings_its_own_endpoint_and_credentials(store: Store) -> None:
    source = S3Source(
        "closed.data", ["a.tar", ODD_KEY], store.url, store.access_key, store.secret_key, region="eu-west-1"
    )
    again = pickle.loads(pickle.dumps(Dataset(source, settings=LOOPBACK)))  # noqa: S301 - as a worker gets it
    assert [sample.a for sample in again] == [number for number, _ in enumerate(SAMPLES)] * 2
    assert store.secret_key not in repr((source, again, again.shards))
    with pytest.raises(RequestFailed, match="HTTP 403 SignatureDoesNotMatch"):
        list(Dataset(replace(source, secret_key="wrong"), settings=LOOPBACK))


def test_a_source_is_of_one_bucket_and_has_both_keys() -> None:
    made = S3Source.from_urls(["s3://b/a/0.tar", "s3://b/1.tar"], endpoint="https://r2.example", region="auto")
    assert made == S3Source("b", ["a/0.tar", "1.tar"], "https://r2.example", region="auto")
    for urls in ([], ["s3://b/a", "s3://c/a"], ["https://b/a"], ["s3://b"], ["s3://b/a", "s3://b/"]):
        with pytest.raises(ValueError, match="of one bucket"):
            S3Source.from_urls(urls)
    with pytest.raises(ValueError, match="together"):
        S3Source("b", ["k"], access_key="a")
