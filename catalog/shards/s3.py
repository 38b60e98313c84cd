"""Shards in S3 and compatible stores: URLs, regions, signatures.

The first request is unsigned: most published datasets are public. Only if it is refused, botocore (the extra ``s3``)
finds the user's credentials and makes the signature; the request itself goes through the guarded client of
``catalog.network``. Credentials are sent to AWS and to the endpoint that the *user* set (``AWS_ENDPOINT_URL_S3``,
``AWS_ENDPOINT_URL``), never to one that only a record names.

Spec: the Amazon S3 User Guide, "General purpose bucket naming rules", "Virtual hosting of general purpose buckets".
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from catalog.errors import RefusedUrl, RequestFailed, require_extra
from catalog.shards.download import ACCEPTED

if TYPE_CHECKING:
    from catalog.network.http import Client, Stream

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_HOSTED: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""Buckets that can be a host name. With dots no certificate would match; old buckets may have capitals."""
_REGION: Final = re.compile(r"[a-z]{2,8}(?:-[a-z]{2,10}){1,3}-[0-9]{1,2}")
_ANY_REGION: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Other stores have their own region names: ``auto``, ``garage``."""
_AWS: Final = re.compile(r"https://s3(?:[.-]([a-z0-9-]+))?\.amazonaws\.com(?:\.cn)?/?")
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_HANDLED: Final = frozenset({301, 302, 303, 307, 308, 400, 401, 403, 404}) | ACCEPTED
_MOVED: Final = frozenset({301, 307, 400, 403})
"""Statuses that name another region of the bucket, in ``x-amz-bucket-region``."""
_DEFAULT_REGION: Final = "us-east-1"
_MAX_KEY: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An access key of an S3 store. Not shown: it is pickled with the shards, for the workers of a ``DataLoader``."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Object:
    """An object in a bucket. ``endpoint`` is ``None`` for AWS; ``trusted`` allows credentials to be sent there.

    ``credentials`` are those that the user gave for it; without them those of the environment are used.
    """

    bucket: str
    key: str
    endpoint: str | None
    region: str | None
    trusted: bool
    credentials: Credentials | None = None

    @classmethod
    def parse(
        cls, url: str, endpoint: str | None, region: str | None, credentials: Credentials | None = None, *,
        sign: bool = True,
    ) -> S3Object:  # fmt: skip
        """Parse ``s3://bucket/key``, whose key is not percent-encoded. Raises :class:`RefusedUrl`.

        Without an ``endpoint`` it is the one of the environment, or AWS, as for every tool that reads S3. Requests for
        it are never signed unless ``sign``.
        """
        bucket, _, key = url[len("s3://") :].partition("/")
        where = f"s3://{bucket[:70]}/{key[:130]}"
        if not _BUCKET.fullmatch(bucket) or ".." in bucket:
            raise RefusedUrl("not the name of a bucket", where=ascii(where)[1:-1], hint="s3://bucket/key")
        try:
            long = len(key.encode()) > _MAX_KEY
        except UnicodeEncodeError:
            long = True
        if not key or long or any(part in (".", "..") for part in key.split("/")):
            hint = "1 to 1024 bytes of UTF-8, and no part of it is a dot or two"
            raise RefusedUrl("not a key that is opened", where=ascii(where)[1:-1], hint=hint)
        own = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
        chosen = (endpoint or own or "").rstrip("/") or None
        aws = _AWS.fullmatch(chosen or "")
        if aws is not None:
            chosen, region = None, region or aws[1]
        own_region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        region = region or (own_region if chosen is not None else None)
        if chosen is not None and (not chosen.startswith(("https://", "http://")) or "?" in chosen or "#" in chosen):
            raise RefusedUrl("not the address of a store", where=ascii(chosen[:200])[1:-1], hint="https://host")
        if region is not None and not (_REGION if chosen is None else _ANY_REGION).fullmatch(region):
            raise RefusedUrl("not a region", where=ascii(region[:80])[1:-1], hint="for example eu-west-1")
        own_endpoint = chosen is None or (own is not None and chosen == own.rstrip("/"))
        trusted = sign and (own_endpoint or credentials is not None)
        return cls(bucket=bucket, key=key, endpoint=chosen, region=region, trusted=trusted, credentials=credentials)

    def url(self, region: str | None) -> str:
        """Return the https URL: with the bucket as the host on AWS, in the path elsewhere."""
        key = quote(self.key, safe="/-_.~")
        if self.endpoint is not None:
            return f"{self.endpoint}/{self.bucket}/{key}"
        suffix = ".cn" if region is not None and region.startswith("cn-") else ""
        host = f"s3{'' if region is None else f'.{region}'}.amazonaws.com{suffix}"
        if _HOSTED.fullmatch(self.bucket):
            return f"https://{self.bucket}.{host}/{key}"
        return f"https://{host}/{self.bucket}/{key}"

    def __str__(self) -> str:
        """The ``s3://`` URL, for messages."""
        return ascii(f"s3://{self.bucket}/{self.key}"[:200])[1:-1]


_buckets: dict[tuple[str | None, str, bool], tuple[str | None, bool]] = {}
"""(endpoint, bucket, trusted) → (region, signatures required): found once a process, not once a shard."""


@contextmanager
def open_object(
    client: Client, target: S3Object, headers: Mapping[str, str], *, max_bytes: int, seconds: float
) -> Iterator[Stream]:
    """Open the answer for an object: its status is 200, 206 or one of ``ACCEPTED``.

    Raises :class:`RequestFailed`, with S3's error code as its name; :class:`MissingExtra` if a signature is required
    and botocore isn't installed; what the guarded client raises.
    """
    known = (target.endpoint, target.bucket, target.trusted)
    region, signed = _buckets.get(known, (target.region, False))
    moved = False
    while True:
        url = target.url(region)
        sent = _signed(target, url, headers, region or _DEFAULT_REGION) if signed else headers
        with ExitStack() as stack:
            answer = stack.enter_context(
                client.stream(url, headers=sent, max_bytes=max_bytes, seconds=seconds, answers=_HANDLED)
            )
            if answer.status < 300 or answer.status in ACCEPTED:
                _buckets[known] = (region, signed)
                yield answer
                return
            there = answer.headers.get("x-amz-bucket-region", "")
            elsewhere = not moved and answer.status in _MOVED and there != region and _REGION.fullmatch(there)
            refused = answer.status in (401, 403) and not signed
            if elsewhere:
                region, moved = there, True
            elif not refused:
                raise _failure(target, answer, signed=signed)
            if refused:
                _check_credentials(target, answer)
                signed = True


def _failure(target: S3Object, answer: Stream, *, signed: bool) -> RequestFailed:
    code = _code(answer)
    what = f"HTTP {answer.status}" + (f" {code}" if code else "")
    hint = None
    if answer.status == 404:
        hint = "there is no such bucket" if code == "NoSuchBucket" else "there is no such shard in the bucket"
    elif answer.status in (401, 403):
        hint = "your credentials don't open it, or it isn't there" if signed else None
    elif answer.status in _HANDLED:
        hint = "the store redirects; set the region and endpoint of the shard" if answer.status < 400 else None
    return RequestFailed(what, status=answer.status, name=code, where=str(target), hint=hint)


def _code(answer: Stream) -> str:
    """Return the code in S3's error, which is XML; the reading is bounded in bytes and time."""
    text, end = b"", time.monotonic() + 5
    for chunk in answer.chunks:
        text += chunk
        if b"</Code>" in text or len(text) > 8192 or time.monotonic() > end:
            break
    found = _CODE.search(text)
    return "" if found is None else found[1].decode()


def _check_credentials(target: S3Object, answer: Stream) -> None:
    """Raise if the request can't be repeated with a signature, with a hint what is missing."""
    what = f"HTTP {answer.status}: it isn't public"
    if target.trusted:
        require_extra("s3", "botocore", purpose=f"signed requests ({what})", where=str(target))
    if not target.trusted:
        hint = "credentials are sent to AWS and to the endpoint in AWS_ENDPOINT_URL_S3; set it if you trust this one"
        where = ascii(f"{target} at {target.endpoint}"[:300])[1:-1]
    elif _credentials(target) is None:
        hint = "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        where = str(target)
    else:
        return
    raise RequestFailed(what, status=answer.status, name=_code(answer), where=where, hint=hint)


def _signed(target: S3Object, url: str, headers: Mapping[str, str], region: str) -> dict[str, str]:
    """Return the headers with a signature (AWS Signature Version 4) over them, the method and the URL."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest

    credentials = _credentials(target)
    if credentials is None or not target.trusted:
        raise RequestFailed("the AWS credentials have expired or were removed; set them again", where=str(target))
    request = AWSRequest(method="GET", url=url, headers=dict(headers))
    S3SigV4Auth(credentials, "s3", region).add_auth(request)
    return {str(name): str(value) for name, value in request.headers.items()}


def _credentials(target: S3Object) -> Any:  # noqa: ANN401 - botocore ships no types
    """Return the credentials for an object, or the current ones of botocore's own chain; ``None`` if there are none."""
    from botocore.credentials import ReadOnlyCredentials
    from botocore.exceptions import BotoCoreError

    if target.credentials is not None:
        return ReadOnlyCredentials(target.credentials.access_key, target.credentials.secret_key, None)

    try:
        found = _session(os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_PROFILE")).get_credentials()
        return None if found is None else found.get_frozen_credentials()
    except BotoCoreError as error:
        what = f"the AWS credentials can't be read: {str(error)[:200]}"
        raise RequestFailed(what, hint="see AWS_PROFILE and ~/.aws") from None


@lru_cache(maxsize=4)
def _session(_key: str | None, _profile: str | None) -> Any:  # noqa: ANN401 - botocore ships no types
    from botocore.session import Session

    return Session()
