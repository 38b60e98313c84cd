"""Drafts from code: what a manifest may not say code may not either, and nothing else goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.config import NetworkSettings
from catalog.errors import InvalidManifest
from catalog.manifest import ManifestSet
from catalog.publish.checksums import with_checksums
from catalog.publish.from_code import CodePublisher, _Drafts
from catalog.records import LENS, CodeReference
from catalog.samples.clients import Place, PublishedShard
from catalog.schema import Field, SampleType, Scalar
from catalog.syntax import AtUri, Datetime, Did, Tid
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.atproto.session import Session
    from catalog.manifest import DraftKey, DraftRecord

CODE = CodeReference(repository="https://git.example/lenses", commit="c" * 40, path="lenses/digits.py:flatten")
DIGIT = SampleType(name="Digit", version="1.0.0", fields=(Field(name="label", type=Scalar(kind="int")),))


class Offline(CodePublisher):
    """Drafts what it is asked to publish, at line 12 of a file, and writes nothing."""

    def __init__(self) -> None:
        self._session = cast("Session", object())
        self.manifests = ManifestSet(files=())

    def _publish(self, drafts: _Drafts, key: DraftKey) -> AtUri:
        self.manifests = drafts.manifests()
        return AtUri.of(Did.parse("did:plc:" + "a" * 24), key[0], "x")

    def _by_did(self, uri: AtUri) -> AtUri:
        return uri


PLACE = Place(file=Path("digits.py"), line=12)


def records_of(manifests: ManifestSet, compare: int | None = None) -> tuple[DraftRecord, ...]:
    """Return the records that a plan of the drafts would write."""
    found = with_checksums(manifests, read_urls=False, settings=NetworkSettings(), compare=compare)
    return found.records(
        Did.parse("did:plc:" + "a" * 24),
        created_at=Datetime.parse("2026-01-01T00:00:00.000Z"),
        new_tid=lambda: Tid.parse("2" * 13),
        hash_local=False,
    )


def faults_of(**changes: Any) -> str:  # noqa: ANN401 - any wrong value
    """Return the faults of a dataset, found without a network."""
    arguments: dict[str, Any] = {
        "name": "d", "schema": DIGIT, "shards": [PublishedShard(url="https://example.org/d.tar")], **changes,
    }  # fmt: skip
    try:
        Offline().publish_dataset(**arguments, place=PLACE)
    except InvalidManifest as error:
        return str(error)
    return ""


HTTPS = "https://example.org/d.tar"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "  "}, "the dataset's name is blank"),
        ({"version": "1.0"}, "'1.0' is not a semantic version"),
        ({"tags": "vision"}, "'tags' must be a list"),
        ({"tags": ["a", "a"]}, "duplicate tag"),
        ({"samples": -1}, "'samples' must be a whole number"),
        ({"samples": True}, "'samples' must be a whole number"),
        ({"shards": []}, "without shards"),
        ({"shards": [PublishedShard(url="pipe:rm -rf /")]}, "is not an https URL"),
        ({"shards": [PublishedShard(url="/home/me/d.tar")]}, "is not an https URL"),
        ({"shards": [PublishedShard(url="https://me:secret@example.org/d.tar")]}, "user name or password"),
        ({"shards": [PublishedShard(url=HTTPS), PublishedShard(url=HTTPS)]}, "duplicate URL"),
        ({"shards": [PublishedShard(url=HTTPS, sha256="abc")]}, "64 hexadecimal digits"),
        ({"shards": [PublishedShard(url=HTTPS), PublishedShard(url="s3://b/k")]}, "more than one place"),
        ({"shards": [PublishedShard(url="s3://b/k"), PublishedShard(url="s3://c/k")]}, "more than one place"),
        ({"shards": [PublishedShard(url="s3://b")]}, "names no key in a bucket"),
        ({"shards": [PublishedShard(url="s3://b/k", endpoint="http://169.254.169.254")]}, "is not an https URL"),
        ({"metadata": {1: "x"}}, "keys are text"),
        ({"metadata": ["x"]}, "must be a map"),
        ({"schema": AtUri.parse(f"at://did:plc:{'a' * 24}/{LENS}/x")}, "is not the URI of a schema"),
        ({"schema": SampleType(name="E", version="1.0.0", fields=())}, "0 fields"),
        ({"schema": SampleType(name="E", version="one", fields=DIGIT.fields)}, "not a semantic version"),
    ],
)
def test_what_a_manifest_may_not_say_code_may_not_either(changes: dict[str, Any], words: str) -> None:
    assert faults_of() == "", "the control: unchanged it is fine"
    text = faults_of(**changes)
    assert words in text
    assert all(line.startswith("digits.py:12: ") for line in text.splitlines())
    assert "secret" not in text


def test_metadata_in_circles_is_a_mistake_not_a_crash() -> None:
    circle: dict[str, object] = {}
    circle["again"] = circle
    assert "nested deeper" in faults_of(metadata=circle)


anything = st.text(st.characters(exclude_categories=()), max_size=12)
urls = st.sampled_from(["https://example.org/a.tar", "s3://b/k", "pipe:x", "https://[::1"]) | anything
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=4) | st.dates() | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)  # the first draft loads the lexicons
@given(
    name=anything,
    version=st.none() | anything,
    tags=st.lists(anything, max_size=3),
    shards=st.lists(st.builds(PublishedShard, url=urls, sha256=st.none() | anything, bytes=st.none() | st.integers())),
    metadata=st.dictionaries(anything, values, max_size=3),
    content=values,
    field=anything,
)
def test_whatever_is_said_becomes_records_or_one_error_of_ours(
    name: str,
    version: str | None,
    tags: list[str],
    shards: list[PublishedShard],
    metadata: dict[str, object],
    content: Json,
    field: str,
) -> None:
    publisher = Offline()
    fields = (Field(name=field, type=Scalar(kind="int")),)
    try:
        publisher.publish_dataset(
            name=name, schema=SampleType(name=name, version=version or "1.0.0", fields=fields), shards=shards,
            version=version, description=name, tags=tags, metadata=metadata, content_metadata=content, place=PLACE,
        )  # fmt: skip
        done = publisher.manifests.records(
            Did.parse("did:plc:" + "a" * 24),
            created_at=Datetime.parse("2026-01-01T00:00:00.000Z"),
            new_tid=lambda: Tid.parse("2" * 13),
        )
    except InvalidManifest as error:
        assert error.faults
        return
    assert len(done) == (2 if version is None else 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"commit": "main"}, "40 hexadecimal digits"),
        ({"path": "digits.py"}, "names no function"),
        ({"repository": "git@git.example:lenses"}, "is not an https URL"),
    ],
)
def test_code_of_a_lens_is_pinned_and_public(change: dict[str, str], words: str) -> None:
    code = {"repository": CODE.repository, "commit": CODE.commit, "path": CODE.path, **change}
    putter, place = CodeReference(**code), Place(file=Path("lenses.py"), line=3)
    with pytest.raises(InvalidManifest, match=f"lenses.py:3: putter: .*{words}"):
        Offline().publish_lens(name="l", source=DIGIT, target=DIGIT, getter=CODE, putter=putter, place=place)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [("a.label", b"7", "webdataset"), ("a.msgpack", b"\x81\xa5label\x07", None)],
)
def test_the_format_of_local_shards_is_recognised(tmp_path: Path, name: str, data: bytes, expected: str | None) -> None:
    (tmp_path / "d.tar").write_bytes(tar_of((name, data)))
    publisher = Offline()
    shards = [PublishedShard(url=HTTPS, local=tmp_path / "d.tar")]
    publisher.publish_dataset(name="d", schema=DIGIT, shards=shards, place=PLACE)
    dataset = records_of(publisher.manifests)[-1]
    assert dataset.value.get("sampleFormat") == expected
    assert dataset.value["size"] == {"samples": 1, "bytes": (tmp_path / "d.tar").stat().st_size, "shards": 1}


def test_local_shards_are_compared_with_the_class(tmp_path: Path) -> None:
    """The message names the line of the code, the shard, the sample and the field."""
    (tmp_path / "d.tar").write_bytes(tar_of(("a.msgpack", b"\x81\xa5label\xa1x")))
    publisher = Offline()
    publisher.publish_dataset(
        name="d", schema=DIGIT, shards=[PublishedShard(url=HTTPS, local=tmp_path / "d.tar")], place=PLACE
    )
    with pytest.raises(InvalidManifest, match=r"digits\.py:12: .*d\.tar.*sample a: field .label.: expected int"):
        records_of(publisher.manifests)
    assert len(records_of(publisher.manifests, compare=0)) == 2
