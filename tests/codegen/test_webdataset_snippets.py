"""The programs without this library read ordinary WebDatasets, gzipped shards, dotted keys and tars made on macOS."""

from __future__ import annotations

import gzip
import json
import sys
from http.server import SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from catalog.codegen import load_snippets
from catalog.schema import Field, SampleType, Scalar
from tests import forked
from tests.fakes import serving
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.schema import ScalarKind

APPLE = b"\0\x05\x16\x07" + bytes(40)
EVIL = b"cos\nsystem\n(S'touch opened'\ntR."
BIRDS = tar_of(
    *(
        member
        for number in range(3)
        for member in (
            (f"./._{number}.jpg", APPLE), (f"./{number}.jpg", b"\xff\xd8"), (f"./{number}.CLS", b"%d" % number),
            (f"./{number}.json", json.dumps({"n": number}).encode()), (f"./{number}.pyd", EVIL),
        )
    )
)  # fmt: skip
NUMBERS = tar_of(
    *(
        member
        for number in range(3)
        for member in (
            (f"v1.0/._2{number}.0{number}.msgpack", APPLE),
            (f"v1.0/2{number}.0{number}.msgpack", msgpack.packb({"n": number})),
        )
    )
)


def sample_type(**kinds: ScalarKind) -> SampleType:
    return SampleType(
        name="Birds", version="1.0.0",
        fields=tuple(Field(name=name, type=Scalar(kind=kind)) for name, kind in kinds.items()),
    )  # fmt: skip


def found(folder: Path, raw: bytes, label: str, type_: SampleType | None, form: str) -> list[Any]:
    """Run a program; return the values that it has of the first three samples."""
    served = folder / "served"
    served.mkdir()
    (served / "a.tar.gz").write_bytes(gzip.compress(raw))
    with serving(SimpleHTTPRequestHandler) as start:
        snippets = load_snippets("Birds", None, type_, [f"{start(served)}a.tar.gz"], sample_format=form)
        (snippet,) = [one for one in snippets if one.label == label]
        more = "\nprint('=' * 9, [{k: v for k, v in one.items() if k[:2] != '__'} for one in "
        more += "(dataset.take(3) if hasattr(dataset, 'take') else itertools.islice(dataset, 3))])\n"
        library = {"WebDataset": "webdataset", "Hugging Face": "datasets"}[label]
        ran = forked.run([sys.executable, "-c", snippet.code + more], preload=[library], cwd=folder)
    assert ran.returncode == 0, ran.stderr
    values: list[Any] = eval(ran.stdout.rpartition("=" * 9)[2])  # noqa: S307 - literals of our own program
    return values


@pytest.mark.parametrize("typed", [False, True])
def test_webdatasets_own_decoding_reads_an_ordinary_shard_and_opens_no_pickle(tmp_path: Path, *, typed: bool) -> None:
    type_ = sample_type(jpg="bytes", cls="int", json="map", pyd="bytes") if typed else None
    values = found(tmp_path, BIRDS, "WebDataset", type_, "webdataset")
    assert values == [{"jpg": b"\xff\xd8", "cls": n, "json": {"n": n}, "pyd": EVIL} for n in range(3)]
    assert not (tmp_path / "opened").exists()


def test_a_field_is_decoded_only_if_webdataset_does_it_as_the_schema_says(tmp_path: Path) -> None:
    values = found(tmp_path, BIRDS, "WebDataset", sample_type(cls="str", json="bytes"), "webdataset")
    assert values[1]["cls"] == b"1"
    assert values[1]["json"] == b'{"n": 1}'


@pytest.mark.parametrize("label", ["WebDataset", "Hugging Face"])
def test_gzipped_shards_with_dotted_keys_are_read(tmp_path: Path, label: str) -> None:
    assert found(tmp_path, NUMBERS, label, sample_type(n="int"), "msgpack") == [{"n": n} for n in range(3)]


def test_programs_for_a_webdataset_never_unpack_msgpack() -> None:
    snippets = load_snippets("Birds", None, None, ["https://data.example/a.tar"], sample_format="webdataset")
    assert [one.label for one in snippets] == ["Python", "WebDataset", "PyTorch"]
    assert all("msgpack" not in one.code for one in snippets)
