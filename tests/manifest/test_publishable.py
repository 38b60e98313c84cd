"""Checks before publishing: placeholders, presigned URLs, files outside the repository."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from catalog.cli import cli
from catalog.errors import InvalidManifest
from catalog.manifest import load
from catalog.manifest.publishable import doubtful, require_publishable, unpublishable
from catalog.manifest.starter import first_manifest
from catalog.publish import make_plan
from tests.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SUM = "ab" * 32
FINE = "https://data.example/a.tar"


def _write(folder: Path, **more: object) -> Path:
    """A manifest with one schema on line 1 of its own, and one dataset."""
    path = folder / "m.yaml"
    dataset = {
        "name": "villages",
        "schema": "Point@1.0.0",
        "license": "MIT",
        "shards": [{"url": FINE, "sha256": SUM}],
        **more,
    }
    dataset = {key: value for key, value in dataset.items() if value is not None}
    schema = {"name": "Point", "version": "1.0.0", "license": "MIT", "fields": {"x": "float"}}
    keys = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in dataset.items())
    path.write_text(f'{{"schemas": [{json.dumps(schema)}],\n"datasets": [{{\n{keys}}}]}}\n', encoding="utf-8")
    return path


def _shard(folder: Path, url: str) -> Path:
    return _write(folder, shards=[{"url": url, "sha256": SUM}])


def _line(file: Path, text: str) -> str:
    lines = file.read_text(encoding="utf-8").splitlines()
    return f"{file}:{next(number for number, line in enumerate(lines, 1) if text in line)}"


# --- placeholders --------------------------------------------------------------------------------------------


def test_the_lens_of_the_guide_is_not_published_as_it_is(tmp_path: Path) -> None:
    """The guide says so; with another repository and commit it is."""
    guide = (ROOT / "docs" / "guides" / "lens.md").read_text(encoding="utf-8")
    text = guide.partition('```yaml title="manifests/lens.yaml"\n')[2].partition("```")[0]
    file = tmp_path / "lens.yaml"
    file.write_text(text, encoding="utf-8")
    found = unpublishable(load([file]))
    assert [str(fault.where) for fault in found] == [_line(file, "getter:"), _line(file, "putter:")]
    text = text.replace("git.example.org", "code.example").replace("0123456789abcdef0123456789abcdef01234567", "c" * 40)
    file.write_text(text, encoding="utf-8")
    assert unpublishable(load([file])) == ()


@pytest.mark.parametrize(
    "host",
    ["example.org", "EXAMPLE.com", "data.example.net", "example.org:8443", "data.invalid", "shards.test",
     "change-me.example", "git.example", "example.org."],
)  # fmt: skip
def test_a_shard_at_a_host_that_nobody_has_is_refused(tmp_path: Path, host: str) -> None:
    file = _shard(tmp_path, f"https://{host}/a.tar")
    (fault,) = unpublishable(load([file]))
    assert fault.where == _line(file, "a.tar")
    assert host.lower() in fault.message.lower()
    assert fault.hint


@pytest.mark.parametrize(
    "host", ["data.example", "myexample.org", "example.org.uk", "example.co", "test.de", "latest", "invalid.net"]
)
def test_other_hosts_are_fine(tmp_path: Path, host: str) -> None:
    found = load([_shard(tmp_path, f"https://{host}/example.org/a.tar?part=example.com")])
    assert (unpublishable(found), doubtful(found)) == ((), ())


def test_many_shards_are_one_fault(tmp_path: Path) -> None:
    (fault,) = unpublishable(load([_write(tmp_path, shards=[{"url": "https://example.org/{000..499}.tar"}])]))
    assert "500 shards" in fault.message


@pytest.mark.parametrize(
    "description",
    ["What it is, how it was made, what it is good for. Markdown.\n", "TODO: describe", "todo", "My dataset",
     "Lorem ipsum dolor sit amet", "<description>", "…", "FIXME - later", "  A  description. "],
)  # fmt: skip
def test_descriptions_of_templates_are_refused(tmp_path: Path, description: str) -> None:
    file = _write(tmp_path, description=description)
    (fault,) = unpublishable(load([file]))
    assert fault.where == _line(file, '"description"')


@pytest.mark.parametrize(
    "description", ["A TODO list of 1,000 people.", "Lorem, an old village", "<b>bold</b> text", "My dataset of birds"]
)
def test_descriptions_that_say_something_are_fine(tmp_path: Path, description: str) -> None:
    assert unpublishable(load([_write(tmp_path, description=description)])) == ()


@pytest.mark.parametrize("name", ["my-dataset", "My dataset", "your_data_set", "dataset-name", "TODO", "untitled"])
def test_names_of_templates_are_refused(tmp_path: Path, name: str) -> None:
    file = _write(tmp_path, name=name)
    (fault,) = unpublishable(load([file]))
    assert fault.where == _line(file, f'"{name}"')


@pytest.mark.parametrize("name", ["digits", "data", "dataset", "my-dataset-of-birds", "todos", "test"])
def test_other_names_are_fine(tmp_path: Path, name: str) -> None:
    assert unpublishable(load([_write(tmp_path, name=name)])) == ()


@pytest.mark.parametrize(
    "metadata", [{"homepage": "https://example.org/x"}, {"creators": ["B. Real", "A. Author"]}, {"note": "TODO"}]
)
def test_placeholders_in_metadata_are_refused(tmp_path: Path, metadata: dict[str, object]) -> None:
    (fault,) = unpublishable(load([_write(tmp_path, metadata=metadata)]))
    assert next(iter(metadata)) in (fault.hint or "")


@pytest.mark.parametrize("bucket", [{"bucket": "my-bucket"}, {"bucket": "birds", "endpoint": "https://s3.example.com"}])
def test_placeholder_buckets_are_refused(tmp_path: Path, bucket: dict[str, str]) -> None:
    file = _write(
        tmp_path, shards=None, s3={**bucket, "region": "eu-west-1", "keys": [{"key": "a.tar", "sha256": SUM}]}
    )
    assert len(unpublishable(load([file]))) == 1


def test_the_starter_manifest_is_valid_and_refused_as_it_stands(tmp_path: Path) -> None:
    """Every placeholder in it; no account is asked for."""
    file = tmp_path / "first.yaml"
    file.write_text(first_manifest(), encoding="utf-8")
    faults = unpublishable(load([file]))
    text = " ".join(map(str, faults))
    assert len(faults) == 6, text
    for word in ("example.org", "metadata", "Measurement", "measurements"):
        assert word in text
    ran = CliRunner().invoke(cli, ["validate", str(file)])
    assert ran.exit_code == 0
    assert "example.org" in ran.stderr
    for command in ("plan", "publish"):
        refused = CliRunner().invoke(cli, [command, str(file)])
        assert isinstance(refused.exception, InvalidManifest)
        assert refused.exception.faults == faults


class _Unasked:
    """A repository that fails the test when it is read."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


def test_code_that_plans_is_refused_before_the_account_is_read(tmp_path: Path) -> None:
    found = load([_shard(tmp_path, "https://example.org/a.tar")])
    with pytest.raises(InvalidManifest):
        make_plan(found, _Unasked())  # type: ignore[arg-type]
    with pytest.raises(InvalidManifest):
        require_publishable(found)


# --- presigned addresses -------------------------------------------------------------------------------------

PRESIGNED = {
    "S3 v4": "X-Amz-Algorithm=AWS4-HMAC-SHA256&"
    "X-Amz-Credential=EXAMPLEKEY%2F20260101&X-Amz-Expires=3600&X-Amz-Signature=abc",
    "S3 v4 in lower case": "x-amz-expires=3600&x-amz-signature=abc&x-amz-security-token=def",
    "S3 v2": "AWSAccessKeyId=EXAMPLEKEY&Expires=1767225600&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D",
    "GCS v4": "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=a%40b&X-Goog-Expires=900&X-Goog-Signature=abc",
    "GCS v2": "GoogleAccessId=a%40b.iam.gserviceaccount.com&Expires=1767225600&Signature=abc",
    "Azure SAS": "sv=2023-01-03&st=2026-01-01T00%3A00%3A00Z&se=2026-01-02T00%3A00%3A00Z&sr=b&sp=r&sig=abc%3D",
    "Azure SAS without an end": "sv=2023-01-03&si=policy&sr=c&sig=abc%3D",
    "CloudFront": "Expires=1767225600&Signature=abc~&Key-Pair-Id=K2JCJMDEHXQW5F",
    "CloudFront with a policy": "Policy=eyJTdGF0ZW1lbnQ&Signature=abc~&Key-Pair-Id=K2JCJMDEHXQW5F",
    "OSS": "OSSAccessKeyId=a&Expires=1767225600&Signature=abc",
    "COS": "q-sign-algorithm=sha1&q-ak=a&q-sign-time=1%3B2&q-signature=abc",
    "a CDN": "token=Bh1ZYYUr2bKQ-n0kAw0cQA&expires=1767225600",
}


@pytest.mark.parametrize("kind", PRESIGNED)
def test_a_presigned_address_is_refused_without_being_repeated(tmp_path: Path, kind: str) -> None:
    """With the parameters' names, not their values; ``validate`` says it beside its verdict."""
    file = _shard(tmp_path, f"https://b.s3.amazonaws.com/a.tar?{PRESIGNED[kind]}")
    (fault,) = unpublishable(load([file]))
    assert fault.where == _line(file, "a.tar")
    assert "ends" in fault.message
    assert "public" in fault.message
    for secret in ("abc", "EXAMPLEKEY", "vjbyPx", "Bh1ZYY", "K2JCJMDEHXQW5F"):
        assert secret not in str(fault)
    ran = CliRunner().invoke(cli, ["validate", str(file)])
    assert (ran.exit_code, ran.stdout) == (0, "valid: 1 schema, 1 dataset\n")
    assert "presigned" in ran.stderr


@pytest.mark.parametrize(
    "query",
    ["token=abc", "access_token=abc", "api-key=1", "private_token=x", "jwt=e.y.J", "key=AIzaSyA1234567890abcdef",
     "expires=1767225600", "sv=2023&se=2199-01-01T00:00:00Z&sp=r&sig=abc",
     "Expires=7226582400&Signature=abc&Key-Pair-Id=K"],
)  # fmt: skip
def test_a_token_or_an_end_in_an_address_is_doubted(tmp_path: Path, query: str) -> None:
    """It may be meant: such an address is published."""
    query = query if "=abc" not in query or "sig" in query.lower() else query.replace("=abc", "=abcdefgh12345678")
    found = load([_shard(tmp_path, f"https://files.example/a.tar?{query}")])
    assert unpublishable(found) == ()
    (fault,) = doubtful(found)
    assert "abc" not in str(fault)


@pytest.mark.parametrize(
    "query",
    ["download=true", "versionId=3HL4kqtJlcpXroDTDmJ", "path=a/b&raw=1", "key=folder", "signature=", "id=5", "&&&"],
)
def test_other_queries_are_fine(tmp_path: Path, query: str) -> None:
    found = load([_shard(tmp_path, f"https://files.example/a.tar?{query}")])
    assert (unpublishable(found), doubtful(found)) == ((), ())


# --- files from outside --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["absolute", "upwards", "link"])
@pytest.mark.parametrize("blobs", [True, False])
def test_files_outside_the_repository(
    tmp_path: Path,
    how: str,
    blobs: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bytes that would become public are refused; a copy that is only hashed is doubted."""
    repository = tmp_path / "repository"
    (repository / "manifests").mkdir(parents=True)
    (repository / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret.tar"
    secret.write_bytes(b"secret")
    local = {"absolute": str(secret), "upwards": "../../secret.tar", "link": "link.tar"}[how]
    (repository / "manifests" / "link.tar").symlink_to(secret)
    part: dict[str, object] = {"shards": None, "blobs": [{"local": local}]} if blobs else {}
    file = _write(repository / "manifests", **(part or {"shards": [{"url": FINE, "local": local}]}))
    found = load([file])
    (fault,) = (unpublishable if blobs else doubtful)(found)
    assert "outside" in fault.message
    assert fault.where == _line(file, '"local"')
    assert (doubtful if blobs else unpublishable)(found) == ()
    assert "outside" in CliRunner().invoke(cli, ["validate", str(file)]).stderr


@pytest.mark.parametrize("mark", [".git", "mkdocs.yml", None])
def test_files_beside_the_manifests_are_inside(
    tmp_path: Path, mark: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a repository, or of the folder in which the command runs."""
    (tmp_path / "manifests").mkdir()
    if mark is not None:
        (tmp_path / mark).mkdir()
    else:
        monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tar").write_bytes(b"a")
    found = load([_write(tmp_path / "manifests", shards=None, blobs=[{"local": "../a.tar"}])])
    assert (unpublishable(found), doubtful(found)) == ((), ())
