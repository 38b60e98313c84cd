"""Twelve kinds of data that don't fit their record: ``plan`` and ``publish`` stop each with one line.

They do so before any request. The line names manifest and line, shard, sample key or row, field, expected and found; or
says what the file is.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from catalog.cli import cli
from catalog.client import Client
from catalog.errors import InvalidManifest
from catalog.records import SCHEMA, Dataset, Size
from catalog.samples.clients import PublishedShard
from catalog.schema import Field, SampleType, Scalar
from tests.shardfiles import labelled_image as sample
from tests.shardfiles import npy
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.syntax import AtUri
    from tests.conftest import Account, Network

pytestmark = pytest.mark.publishing

LINE: Final = 4
IMAGES: Final = '{image: "array[uint8, 2, 3]", label: int, writer: str}'
ROWS: Final = "{day: str, rain: float, station: int}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A file that doesn't fit: its name, the fields of its schema, the words of the line. ``good`` is one that fits."""

    name: str
    raw: bytes
    words: tuple[str, ...]
    fields: str = IMAGES
    good: bytes


def shard(*samples: bytes) -> bytes:
    return tar_of(*((f"{number:06d}.msgpack", raw) for number, raw in enumerate(samples)))


def parquet_of(**columns: Any) -> bytes:  # noqa: ANN401 - values
    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out)
    return out.getvalue()


def lines_of(*rows: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


SHARD: Final = shard(*[sample()] * 3)
CSV: Final = b"day,rain,station\nmon,0.5,1\ntue,1,2\n"
JSONL: Final = lines_of({"day": "mon", "rain": 0.5, "station": 1}, {"day": "tue", "rain": 1, "station": 2})
PARQUET: Final = parquet_of(day=["mon", "tue"], rain=[0.5, 1.0], station=[1, 2])

KINDS: Final = {
    "wrong dtype": Kind(
        name="a.tar", good=SHARD, raw=shard(sample(), sample(image=npy(np.zeros((2, 3), "float32")))),
        words=("sample 000001", "field 'image'", "expected array[uint8, 2, 3]", "found array[float32, 2, 3]"),
    ),
    "wrong shape": Kind(
        name="a.tar", good=SHARD, raw=shard(sample(), sample(image=npy(np.zeros((3, 2), "uint8")))),
        words=("sample 000001", "field 'image'", "expected array[uint8, 2, 3]", "found array[uint8, 3, 2]"),
    ),
    "missing required field": Kind(
        name="a.tar", good=SHARD, raw=shard(sample(), sample(), sample(writer=None)),
        words=("sample 000002", "field 'writer'", "expected str", "found nothing"),
    ),
    "wrong type": Kind(
        name="a.tar", good=SHARD, raw=shard(sample(label="seven")),
        words=("sample 000000", "field 'label'", "expected int", "found str"),
    ),
    "ordinary WebDataset for a schema of msgpack": Kind(
        name="a.tar", good=SHARD, raw=tar_of(("0001.jpg", b"\xff\xd8\xff"), ("0001.cls", b"7")),
        words=("webdataset", "sample 0001", "field 'image'", "expected array[uint8, 2, 3]", "found nothing"),
    ),
    "CSV named .tar": Kind(
        name="a.tar", good=SHARD, raw=CSV,
        words=("this is a CSV table under the name of a tar", "format: csv"),
    ),
    "login page": Kind(
        name="a.tar", good=SHARD, raw=b"<!DOCTYPE html><html><body>Sign in, please</body></html>",
        words=("this is a web page (HTML), not a shard",),
    ),
    "Git LFS pointer": Kind(
        name="a.tar", good=SHARD, words=("this is a Git LFS pointer",),
        raw=b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
    ),
    "truncated gzip": Kind(
        name="a.tar.gz", good=gzip.compress(SHARD, mtime=0), raw=gzip.compress(SHARD, mtime=0)[:-40],
        words=("gzip", "cut short"),
    ),
    "Parquet with another column type": Kind(
        name="a.parquet", good=PARQUET, fields=ROWS,
        raw=parquet_of(day=["mon", "tue"], rain=["wet", "dry"], station=[1, 2]),
        words=("parquet", "000000000", "field 'rain'", "expected float", "found str"),
    ),
    "JSONL with a missing column": Kind(
        name="a.jsonl", good=JSONL, fields=ROWS,
        raw=lines_of({"day": "mon", "rain": 0.5, "station": 1}, {"day": "tue", "rain": 1}),
        words=("jsonl", "000000001", "field 'station'", "expected int", "found nothing"),
    ),
    "CSV with text in a column of numbers": Kind(
        name="a.csv", good=CSV, fields=ROWS, raw=b"day,rain,station\nmon,0.5,1\ntue,dry,2\n",
        words=("csv", "000000001", "field 'rain'", "expected float", "found", "dry"),
    ),
    "empty file": Kind(name="a.tar", good=SHARD, raw=b"", words=("this is an empty file",)),
}  # fmt: skip
"""Twelve, and an empty file."""


def manifest(folder: Path, kind: Kind, stated: str | None = None) -> Path:
    """The shard is on line ``LINE``; ``stated`` is its SHA-256."""
    checksum = "" if stated is None else f", sha256: {stated}"
    file = folder / "m.yaml"
    file.write_text(
        f"schemas: [{{name: S, version: 1.0.0, fields: {kind.fields}}}]\n"
        "datasets:\n  - {name: d, schema: S@1.0.0, license: CC0-1.0, description: numbers of a test,\n"
        f'     shards: [{{url: "https://data.host.org/{kind.name}", local: {kind.name}{checksum}}}]}}\n',
        encoding="utf-8",
    )
    return file


def stopped(command: str, file: Path) -> str:
    """Return the only line of the error."""
    ran = CliRunner().invoke(cli, [command, "--handle", "nobody.test", str(file)])
    assert ran.exit_code == 1
    [line] = (ran.stderr.strip() or str(ran.exception)).splitlines()
    return line


@pytest.mark.parametrize("command", ["plan", "publish"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
@pytest.mark.parametrize("checksum", ["none", "its own", "that of a good file"])
def test_a_misfit_is_one_line(tmp_path: Path, command: str, kind: Kind, checksum: str) -> None:
    (tmp_path / kind.name).write_bytes(kind.raw)
    digest = hashlib.sha256(kind.good if checksum == "that of a good file" else kind.raw).hexdigest()
    line = stopped(command, manifest(tmp_path, kind, None if checksum == "none" else digest))
    assert f"{tmp_path}/m.yaml:{LINE}: " in line
    assert f"'{tmp_path}/{kind.name}'" in line
    assert [word for word in kind.words if word not in line] == []
    assert ("'sha256' is" in line) is (checksum == "that of a good file")


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_file_that_fits_is_no_misfit(tmp_path: Path, kind: Kind) -> None:
    """The control."""
    (tmp_path / kind.name).write_bytes(kind.good)
    digest = hashlib.sha256(kind.good).hexdigest()
    ran = CliRunner().invoke(cli, ["validate", str(manifest(tmp_path, kind, digest))])
    assert (ran.exit_code, ran.exception) == (0, None)


# --- a schema that is named by URI ---------------------------------------------------------------------------


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("reader")


@pytest.fixture
def schema(network: Network) -> AtUri:
    """A schema of another account: a day is text, rain a number."""
    other = network.account("schemas")
    with Client.login(other.handle, other.password) as client:
        fields = (Field(name="day", type=Scalar(kind="str")), Field(name="rain", type=Scalar(kind="float")))
        return client.publish_schema(SampleType(name="Weather", version="1.0.0", fields=fields))


def planned(folder: Path, account: Account, schema: str, *more: str) -> tuple[int, str]:
    """Plan a dataset of this schema, and return the exit code and what was printed."""
    file = folder / "m.yaml"
    file.write_text(
        f"datasets:\n  - name: d\n    schema: {schema}\n    license: CC0-1.0\n    description: numbers of a test\n"
        '    shards: [{url: "https://data.host.org/a.csv", local: a.csv}]\n',
        encoding="utf-8",
    )
    ran = CliRunner().invoke(cli, ["plan", "--handle", account.handle, str(file), *more])
    return ran.exit_code, f"{ran.output}{ran.stderr}{ran.exception or ''}"


def test_samples_are_compared_with_the_schema_of_another_account(
    tmp_path: Path, account: Account, schema: AtUri
) -> None:
    (tmp_path / "a.csv").write_bytes(b"day,rain\nmon,0.5\ntue,dry\n")
    code, text = planned(tmp_path, account, schema)
    assert code == 1
    assert "m.yaml:6: " in text
    assert "Weather@1.0.0" in text
    assert "field 'rain': expected float, found the text 'dry'" in text
    assert planned(tmp_path, account, schema, "--compare", "1")[0] == 0
    (tmp_path / "a.csv").write_bytes(b"day,rain\nmon,0.5\n")
    assert planned(tmp_path, account, schema)[0] == 0


def test_code_compares_samples_with_a_schema_that_is_named_by_uri(
    tmp_path: Path, account: Account, schema: AtUri
) -> None:
    (tmp_path / "a.csv").write_bytes(b"day,rain\nmon,0.5\ntue,dry\n")
    shard = PublishedShard(url="https://data.host.org/a.csv", local=tmp_path / "a.csv")
    with Client.login(account.handle, account.password) as client:
        with pytest.raises(InvalidManifest, match=r"test_mismatch\.py:\d+: .*field 'rain': expected float"):
            client.publish_dataset(name="d", schema=schema, shards=[shard])
        (tmp_path / "a.csv").write_bytes(b"day,rain\nmon,0.5\n")
        uri = client.publish_dataset(name="d", schema=schema, shards=[shard])
        record = client.records.get(uri).record
    assert isinstance(record, Dataset)
    assert (record.sample_format, record.size) == ("csv", Size(samples=1, bytes=17, shards=1))


def test_a_schema_that_does_not_exist_is_a_fault(tmp_path: Path, account: Account, schema: AtUri) -> None:
    (tmp_path / "a.csv").write_bytes(b"day,rain\nmon,0.5\n")
    code, text = planned(tmp_path, account, schema.replace("Weather", "Wether"))
    assert code == 1
    assert "m.yaml:3: the schema" in text
    assert "doesn't exist" in text


def test_a_schema_whose_server_does_not_answer_is_not_compared(tmp_path: Path, account: Account) -> None:
    (tmp_path / "a.csv").write_bytes(b"day,rain\nmon,0.5\n")
    code, text = planned(tmp_path, account, f"at://did:plc:{'a' * 24}/{SCHEMA}/Weather:1.0.0")
    assert code == 0
    assert "m.yaml:3: the schema" in text
    assert "samples are not compared with it" in text
