"""Tables: rows of CSV, JSON Lines and Parquet are samples, from files and over HTTP; hostile tables are refused."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray  # noqa: TC002 - the annotations of a packable class
from pyarrow import parquet

from catalog import Array, Dataset, packable
from catalog.config import NetworkSettings
from catalog.errors import DataError, InvalidSample, InvalidShard
from catalog.publish.infer_manifest import sketch
from catalog.schema import Array as ArrayType
from catalog.schema import Field, List, SampleType, Scalar
from catalog.shards.formats import FORMATS, format_of
from catalog.shards.reader import count_samples, read_shard
from catalog.shards.shard import Shard
from tests.fakes import Asked, Fake, answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

LOOPBACK = NetworkSettings(allow_loopback=True)
WEATHER = b"day,rain,station,wet\n2026-01-01,0.5,01234,true\n2026-01-02,NA,04711,false\n"


@packable
class Weather:
    day: str
    station: str
    rain: float | None
    wet: bool


@packable
class Point:
    id: int
    vector: Annotated[NDArray[np.float32], Array(shape=(3,))]
    tags: list[str]


def saved(path: Path, raw: bytes) -> str:
    path.write_bytes(raw)
    return str(path)


def rows_of(path: Path, raw: bytes) -> list[tuple[str, Any]]:
    return list(read_shard(Shard(url=saved(path, raw))))


def stated(name: str, path: str, limit: int | None = None) -> Any:  # noqa: ANN401
    with Path(path).open("rb", buffering=0) as source:
        return FORMATS[name].infer(source, path, limit)


def counted(path: str) -> int | None:
    with Path(path).open("rb", buffering=0) as source:
        return count_samples(source, path).samples


def points(count: int) -> pa.Table:
    return pa.table(
        {
            "id": list(range(count)),
            "vector": pa.array([[n, n + 0.5, n + 1] for n in range(count)], pa.list_(pa.float32())),
            "tags": [["a"] * (n % 3) for n in range(count)],
        }
    )


# --- recognition ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (WEATHER, "csv"),
        (gzip.compress(WEATHER, mtime=0), "csv"),
        (b"\xef\xbb\xbfa;b\r\n1,5;2\r\n", "csv"),
        (b"a\tb\n1\t2\n", "csv"),
        (WEATHER.decode().encode("utf-16"), "csv"),
        ("name,stadt\nJürgen,Köln\n".encode("latin-1"), "csv"),
        (b'{"a": 1}\n{"a": 2}\n', "jsonl"),
        (b'\n{"a": "' + b"x" * 70_000, "jsonl"),
        (b"PAR1" + bytes(100), "parquet"),
        (b"<!DOCTYPE html>\n<p>Hello, you\n<p>Bye, you\n", None),
        (b'{\n  "a": 1,\n  "b": 2\n}\n', None),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:a,b\nsize 1,2\n", None),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), None),
        (b"just one line", None),
        (b"", None),
    ],
)
def test_a_table_is_recognised_by_its_first_bytes(head: bytes, name: str | None) -> None:
    found = format_of(head)
    assert (None if found is None else found.name) == name


# --- CSV -----------------------------------------------------------------------------------------------------


def test_cells_become_what_the_fields_say(tmp_path: Path) -> None:
    url = saved(tmp_path / "weather.tar", WEATHER)  # the name doesn't matter
    first, second = Dataset([url], Weather)
    assert (first.day, first.rain, first.station, first.wet) == ("2026-01-01", 0.5, "01234", True)
    assert (second.rain, second.wet) == (None, False)
    untyped = next(iter(Dataset([url])))
    assert dict(untyped) == {"day": "2026-01-01", "rain": "0.5", "station": "01234", "wet": "true"}


@pytest.mark.parametrize(
    "text", ["day;rain\n1;2,5\n3;4,5\n", "day\train\n1\t2,5\n3\t4,5\n", '"day","rain"\n1,"2,5"\n3,"4,5"\n']
)
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separator_bom_quotes_and_line_ends_are_recognised(tmp_path: Path, text: str, start: str, end: str) -> None:
    raw = (start + text).replace("\n", end).encode()
    assert [row for _, row in rows_of(tmp_path / "a.csv", raw)] == [
        {"day": "1", "rain": "2,5"},
        {"day": "3", "rain": "4,5"},
    ]


def test_a_table_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    found = rows_of(tmp_path / "iris.data", b"5.1,3.5,setosa\n4.9,3.0,setosa\n\n")
    assert [row for _, row in found] == [
        {"column_1": "5.1", "column_2": "3.5", "column_3": "setosa"},
        {"column_1": "4.9", "column_2": "3.0", "column_3": "setosa"},
    ]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("station,2019,2020\nnorth,1,2\nsouth,3,4\n", None),  # as good as data: text above text, numbers above numbers
        ("day,2019,2020\n1,0.5,2\n2,3,\n", ("day", "2019", "2020")),
        ("name,1st,2\nann,NA,2\nbob,7,4\n", ("name", "1st", "2")),
        ("0,1,2\n0.5,1,2\n1,2,3\n", ("0", "1", "2")),
        (",0,1,2\n0,0.5,1,2\n1,1,2,3\n", ("column_1", "0", "1", "2")),
        ("0,1,2\n5,1,2\n1,2,3\n", None),
        ("0,1,2,3,4,5,6,7\n5,1,2,1,1,1,1,1\n", tuple("01234567")),
        ("0,1\n0.5,1\n", None),
        ("0,1,3\n0.5,1,1\n", None),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", None),
        ("NA,1\n2,3\n4,5\n", None),
    ],
)
def test_a_first_row_with_numbers_is_a_header_if_it_names_the_others(
    tmp_path: Path, text: str, columns: tuple[str, ...] | None
) -> None:
    found = [row for _, row in rows_of(tmp_path / "a.csv", text.encode())]
    width = text.splitlines()[0].count(",") + 1
    expected = columns or tuple(f"column_{number}" for number in range(1, width + 1))
    assert tuple(found[0]) == expected
    assert len(found) == len(text.splitlines()) - (columns is not None)


def test_a_field_that_no_column_has_says_that_there_is_no_header(tmp_path: Path) -> None:
    wanted = SampleType(name="A", version="1.0.0", fields=(Field(name="2019", type=Scalar(kind="int")),))
    ((key, row), _, _) = rows_of(tmp_path / "a.csv", b"north,2019\nsouth,1\neast,2\n")
    with pytest.raises(InvalidSample, match=r"'2019'.*no header") as caught:
        FORMATS["csv"].decoder(wanted)(row, key)  # type: ignore[misc] # it has one
    assert "column_1" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("a.csv", b"n,__key__,__url__\n1,wren,x\n2,,x\n"),
        ("a.jsonl", b'{"n": "1", "__key__": "wren", "__url__": "x"}\n{"__local_path__": "x", "n": "2"}\n'),
    ],
)
def test_the_names_that_webdataset_adds_are_no_fields_of_a_row(tmp_path: Path, name: str, raw: bytes) -> None:
    assert rows_of(tmp_path / name, raw) == [("wren", {"n": "1"}), ("000000001", {"n": "2"})]
    drafted = sketch([str(tmp_path / name)], settings=LOOPBACK)
    assert [field.name for field in drafted.seen.fields] == ["n"]


@pytest.mark.parametrize(
    "raw", [b'{"a": 1, "b": 2}\n{"a": 1, "a": 2}\n', b'{"a": 1, "b": 2}\n{"x": [{"a": 1, "a": 1}]}\n']
)
def test_a_name_twice_in_an_object_is_refused_with_its_line(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(InvalidShard, match="'a' occurs twice") as caught:
        rows_of(tmp_path / "a.jsonl", raw)
    assert caught.value.where == f"{tmp_path / 'a.jsonl'}, line 2"


@pytest.mark.parametrize(
    ("raw", "line", "word"),
    [
        (b"a,b\n1,2\n1,2,3\n", 3, "3 cells"),
        (b"a,b\n1,2\n\n1\n", 4, "1 cell"),
        (b'a,b\n"x\ny",2\n1,2,3\n', 4, "3 cells"),
        (b"a,b\n1,2\nJ\xfcrgen,2\n", 3, "UTF-8"),
        (b'a,b\n1,2\n1,"x"y\n', 3, "read"),
        (b"a,a\n1,2\n3,4\n", 1, "two columns"),
        (b'a,b\n1,2\n1,"' + b"x" * ((1 << 24) + 1) + b'"\n', 3, "a cell of more"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, raw: bytes, line: int, word: str) -> None:
    with pytest.raises(InvalidShard, match=re.escape(word)) as caught:
        rows_of(tmp_path / "a.csv", raw)
    assert caught.value.where == f"{tmp_path / 'a.csv'}, line {line}"
    assert counted(str(tmp_path / "a.csv")) is None


def test_another_encoding_is_refused_with_the_line_that_converts_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidShard) as caught:
        rows_of(tmp_path / "a.csv", WEATHER.decode().encode("utf-16"))
    assert "iconv -f UTF-16" in (caught.value.hint or "")


@pytest.mark.parametrize("cell", ["abc", "1_000", "", "1.5", "0x10", "9" * 30, "NA"])
def test_a_cell_of_another_type_is_refused_with_field_and_row(tmp_path: Path, cell: str) -> None:
    wanted = SampleType(name="A", version="1.0.0", fields=(Field(name="n", type=Scalar(kind="int")),))
    ((_, row),) = rows_of(tmp_path / "a.csv", f"n,m\n{cell},2\n".encode())[:1]
    with pytest.raises(InvalidSample, match="'n': expected int") as caught:
        FORMATS["csv"].decoder(wanted)(row, "000000000")  # type: ignore[misc] # it has one
    assert caught.value.where == "000000000"


def test_a_draft_keeps_the_text_of_codes_and_finds_missing_values(tmp_path: Path) -> None:
    raw = b"zip,n,x,ok,note,at,none\n01234,1,0.5,true,,2026-01-01T00:00:00Z,\n99999,?,2,FALSE,a,2026-01-02 00:00Z,\n"
    found = stated("csv", saved(tmp_path / "a.csv", raw))
    assert [(one.name, one.type.kind, one.optional) for one in found.fields] == [
        ("zip", "str", False), ("n", "int", True), ("x", "float", False), ("ok", "bool", False), ("note", "str", True),
        ("at", "datetime", False),
    ]  # fmt: skip
    assert found.left_out == (("none", "it never has a value"),)
    assert (found.rows, found.total) == (2, 2)
    limited = stated("csv", str(tmp_path / "a.csv"), limit=1)
    assert (limited.rows, limited.total) == (1, 2)


NAMES = st.lists(st.from_regex(r"[a-zé_][a-z_ é]{0,8}[a-z]", fullmatch=True), min_size=2, max_size=5, unique=True)
CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), separator=st.sampled_from(",;\t"), zipped=st.booleans())
def test_what_the_csv_module_writes_comes_back(
    tmp_path: Path, data: st.DataObject, separator: str, *, zipped: bool
) -> None:
    names = data.draw(NAMES.filter(lambda names: not {"nan", "inf", "true", "false", "infinity"} & set(names)))
    rows = data.draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), min_size=1, max_size=8))
    text = io.StringIO()
    csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    raw = text.getvalue().encode()
    path = saved(tmp_path / "a.csv", gzip.compress(raw) if zipped else raw)
    assert [list(row.values()) for _, row in read_shard(Shard(url=path, format="csv"))] == rows
    assert counted(path) in (len(rows), None)


# --- JSON Lines ----------------------------------------------------------------------------------------------


def test_objects_are_samples_and_blank_lines_none(tmp_path: Path) -> None:
    raw = b'{"id": 1, "vector": [1, 2, 3.5], "tags": ["x"]}\n\n{"id": 2, "vector": [4, 5, 6], "tags": []}\n'
    url = saved(tmp_path / "a.jsonl", raw)
    first, second = Dataset([url], Point)
    assert first.vector.dtype == np.float32
    assert first.vector.tolist() == [1, 2, 3.5]
    assert (second.id, second.tags, getattr(second, "__key__", "")) == (2, [], "000000001")
    assert counted(url) == 2


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"[1, 2]", "object"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1', "JSON"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": ' + b"[" * 100_000, "JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "JSON"),
    ],
)
def test_a_line_that_is_no_object_is_refused_with_its_number(tmp_path: Path, line: bytes, word: str) -> None:
    with pytest.raises(InvalidShard, match=word) as caught:
        rows_of(tmp_path / "a.jsonl", b'{"a": 1}\n' + line + b"\n")
    assert caught.value.where == f"{tmp_path / 'a.jsonl'}, line 2"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | CELLS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELLS, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(CELLS, JSON, max_size=4), min_size=1, max_size=5), zipped=st.booleans())
def test_json_comes_back(tmp_path: Path, rows: list[dict[str, Any]], *, zipped: bool) -> None:
    raw = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    found = rows_of(tmp_path / "a.jsonl", gzip.compress(raw) if zipped else raw)
    assert [row for _, row in found] == rows
    assert [key for key, _ in found] == [f"{number:09d}" for number in range(len(rows))]


# --- Parquet -------------------------------------------------------------------------------------------------

DAY = dt.date(2026, 1, 1)
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
NULLS = {"a": None, "d": None}
IMAGE = {"bytes": b"x", "path": None}
SQUARE = pa.list_(pa.list_(pa.int8(), 2), 2)
COLUMNS: list[tuple[str, pa.Array, Any]] = [
    ("int", pa.array([1, None, 3], pa.uint64()), [1, None, 3]),
    ("float", pa.array([1.5, 2.5, -1], pa.float16()), [1.5, 2.5, -1]),
    ("bool", pa.array([True, None, False]), [True, None, False]),
    ("text", pa.array(["a", "é", None], pa.large_string()), ["a", "é", None]),
    ("words", pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
    ("raw", pa.array([b"a", None, b""]), [b"a", None, b""]),
    ("price", pa.array([Decimal("1.50"), None, Decimal("-0.01")]), ["1.50", None, "-0.01"]),
    ("day", pa.array([DAY, None, DAY]), ["2026-01-01", None, "2026-01-01"]),
    ("at", pa.array([NOON] * 3, pa.timestamp("ms", "Europe/Berlin")), [NOON] * 3),
    ("local", pa.array([NOON.replace(tzinfo=None)] * 3), [NOON.replace(tzinfo=None)] * 3),
    ("exact", pa.array([1, 2, 3], pa.timestamp("ns")), [f"1970-01-01T00:00:00.00000000{n}" for n in (1, 2, 3)]),
    ("took", pa.array([1, None, 3], pa.duration("s")), [1, None, 3]),
    ("map", pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())), [{"a": 1}, None, {}]),
    ("struct", pa.array([{"a": 1, "d": DAY}, None, NULLS]), [{"a": 1, "d": "2026-01-01"}, None, NULLS]),
    ("texts", pa.array([["a"], None, []]), [["a"], None, []]),
    ("maps", pa.array([[{"a": 1}], [], None]), [[{"a": 1}], [], None]),
    ("ragged", pa.array([[[1], [2, 3]], [[4]], None]), [[[1], [2, 3]], np.array([[4]]), None]),
    ("gaps", pa.array([[1.5, None], [], [2]]), [np.array([1.5, np.nan]), np.array([]), np.array([2.0])]),
    ("image", pa.array([{"bytes": b"\xff\xd8", "path": "a.jpg"}, None, IMAGE]), [b"\xff\xd8", None, b"x"]),
    ("square", pa.array([[[1, 2], [3, 4]]] * 3, SQUARE), [np.array([[1, 2], [3, 4]], np.int8)] * 3),
]  # fmt: skip


@pytest.mark.parametrize("schema", [True, False])
@pytest.mark.parametrize(("name", "column", "values"), COLUMNS, ids=[name for name, _, _ in COLUMNS])
def test_columns_of_every_kind_are_read(
    tmp_path: Path, name: str, column: pa.Array, values: list[Any], *, schema: bool
) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({name: column}), path, store_schema=schema)
    found = [row[name] for _, row in read_shard(Shard(url=str(path)))]
    for one, wanted in zip(found, values, strict=True):
        np.testing.assert_equal(one, wanted)
        assert isinstance(one, np.ndarray) == isinstance(wanted, np.ndarray)


def test_rows_are_typed_shuffled_dealt_out_and_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "points.parquet"
    parquet.write_table(points(100), path, row_group_size=7)
    dataset = Dataset([str(path)], Point)
    assert [one.id for one in dataset] == list(range(100))
    assert next(iter(dataset)).vector.dtype == np.float32
    assert sorted(one.id for one in dataset.shuffled(seed=1, buffer_samples=10)) == list(range(100))
    assert sorted(one.id for part in (0, 1, 2) for one in dataset.split_by_node(part, 3)) == list(range(100))
    assert next(iter(dataset.batched(10))).vector.shape == (10, 3)
    assert counted(str(path)) == 100


def test_a_draft_has_shapes_classes_and_missing_values(tmp_path: Path) -> None:
    features = {
        "label": {"_type": "ClassLabel", "names": ["cat", "dog"]},
        "grid": {"_type": "Array2D", "shape": [2, 2]},
    }
    table = pa.table({
        "label": [0, 1], "grid": [[[1, 2], [3, 4]]] * 2, "vector": [[1.0, 2.0], [3.0, 4.0]],
        "words": [[1, 2], [3]], "ragged": [[[1], [2, 3]], [[4]]], "note": ["a", None], "empty": pa.nulls(2),
    })  # fmt: skip
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    path = tmp_path / "a.parquet"
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    found = stated("parquet", str(path))
    fields = {one.name: one for one in found.fields}
    assert fields["label"].description == "0 = cat, 1 = dog"
    assert fields["grid"].type == ArrayType(dtype="int64", shape=(2, 2))
    assert fields["vector"].type == ArrayType(dtype="float64", shape=(2,))
    assert fields["words"].type == ArrayType(dtype="int64", shape=(None,))
    assert fields["ragged"].type == List(item=List(item=Scalar(kind="int")))
    assert fields["note"].optional
    assert found.left_out == (("empty", "it never has a value"),)


def test_an_image_that_lies_outside_the_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(
        pa.table(
            {"image": [{"bytes": None, "path": "a.jpg"}]},
            pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()})}),
        ),
        path,
    )
    with pytest.raises(InvalidShard, match=r"a\.jpg") as caught:
        list(read_shard(Shard(url=str(path))))
    assert caught.value.where == str(path)


# --- over HTTP -----------------------------------------------------------------------------------------------


class Ranged:
    """A file on a server; ``ranges`` says whether it answers them."""

    def __init__(self, raw: bytes, *, ranges: bool = True) -> None:
        self.raw, self.ranges = raw, ranges
        self.etag = '"one"'
        self.sent = 0

    def __call__(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.headers.get("range", ""))
        if wanted is None or not self.ranges:
            self.sent += len(self.raw)
            answer(handler, self.raw, ETag=self.etag)
            return
        size = len(self.raw)
        first = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
        last = min(int(wanted[2]), size - 1) if wanted[1] and wanted[2] else size - 1
        body = self.raw[first : last + 1]
        self.sent += len(body)
        answer(handler, body, 206, ETag=self.etag, Content_Range=f"bytes {first}-{last}/{size}")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    with fake_server({}) as running:
        yield running


def large(path: Path) -> bytes:
    random = np.random.default_rng(1)
    table = points(2000).append_column("raw", pa.array([random.bytes(500) for _ in range(2000)]))
    parquet.write_table(table, path, row_group_size=100)
    return path.read_bytes()


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("form", ["parquet", None])
def test_parquet_is_read_over_http(
    tmp_path: Path, fake: Fake, *, ranges: bool, checksum: bool, form: str | None
) -> None:
    raw = large(tmp_path / "a.parquet")
    fake.routes["/a.parquet"] = Ranged(raw, ranges=ranges)
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}" if checksum else None
    shard = Shard(url=f"{fake.url}/a.parquet", checksum=digest, format=form)
    found = [row["id"] for _, row in read_shard(shard, settings=LOOPBACK)]
    assert found == list(range(2000))


def test_the_first_rows_need_only_the_footer_and_the_first_row_group(tmp_path: Path, fake: Fake) -> None:
    raw = large(tmp_path / "a.parquet")
    served = fake.routes["/a.parquet"] = Ranged(raw)
    rows = read_shard(Shard(url=f"{fake.url}/a.parquet", format="parquet"), settings=LOOPBACK)
    assert next(rows)[1]["id"] == 0
    rows.close()  # type: ignore[attr-defined] # a generator
    assert served.sent < len(raw) / 4


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, fake: Fake) -> None:
    served = fake.routes["/a.parquet"] = Ranged(large(tmp_path / "a.parquet"))
    rows = read_shard(Shard(url=f"{fake.url}/a.parquet", format="parquet"), settings=LOOPBACK)
    next(rows)
    served.etag = '"two"'
    with pytest.raises(InvalidShard, match="changed"):
        list(rows)


# --- hostile -------------------------------------------------------------------------------------------------


def parquet_bytes(table: pa.Table, **options: Any) -> bytes:  # noqa: ANN401
    out = io.BytesIO()
    parquet.write_table(table, out, **options)
    return out.getvalue()


PLAIN = parquet_bytes(points(50), row_group_size=20)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(4, len(PLAIN) - 1), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_ends_in_a_data_error(tmp_path: Path, place: int, value: int, *, cut: bool) -> None:
    raw = PLAIN[:place] if cut else PLAIN[:place] + bytes([value]) + PLAIN[place + 1 :]
    try:
        found = rows_of(tmp_path / "a.parquet", raw)
    except DataError as error:
        assert error.where is not None
    else:
        assert len(found) <= 50


def with_rows(raw: bytes, old: int, new: int) -> bytes:
    """Replace a number of rows in the footer, which is Thrift's compact form: zigzag varints."""

    def varint(number: int) -> bytes:
        number, found = number << 1, b""
        while number > 127:
            found, number = found + bytes([number & 127 | 128]), number >> 7
        return found + bytes([number])

    length = int.from_bytes(raw[-8:-4], "little")
    footer = raw[-8 - length : -8].replace(b"\x16" + varint(old), b"\x16" + varint(new))
    return raw[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def test_a_row_group_that_states_a_trillion_rows_is_refused(tmp_path: Path) -> None:
    raw = with_rows(parquet_bytes(pa.table({"a": list(range(777))})), 777, 10**12)
    assert parquet.ParquetFile(io.BytesIO(raw)).metadata.num_rows == 10**12
    with pytest.raises(InvalidShard):
        rows_of(tmp_path / "a.parquet", raw)


def test_a_dictionary_that_expands_a_million_times_is_read_in_small_batches(tmp_path: Path) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["x" * 1_000_000]))
    raw = parquet_bytes(pa.table({"a": words}), dictionary_pagesize_limit=1 << 30)
    assert len(raw) < 1 << 20
    before = pa.total_allocated_bytes()
    rows = read_shard(Shard(url=saved(tmp_path / "a.parquet", raw)))
    for _ in range(20):
        next(rows)
    assert pa.total_allocated_bytes() - before < 5 << 29
    rows.close()  # type: ignore[attr-defined] # a generator


@pytest.mark.parametrize(
    "raw",
    [
        parquet_bytes(pa.table({f"c{n}": [1] for n in range(10_001)})),
        b"PAR1" + bytes(20) + (1 << 31).to_bytes(4, "little") + b"PAR1",
        b"PAR1",
        b"PAR1" + bytes(1000),
        parquet_bytes(pa.table({"a": pa.array([10**15], pa.timestamp("s"))})),
        (",".join(f"c{n}" for n in range(10_001)) + "\n").encode() * 2,
        b"a,b\n" + b'"\n",' * 20_000_000,
    ],
    ids=[
        "10,001 columns",
        "footer of 2 GB",
        "magic only",
        "no footer",
        "far future",
        "10,001 cells",
        "a row over many lines",
    ],
)
def test_a_hostile_table_ends_in_a_data_error(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(DataError):
        rows_of(tmp_path / "a", raw)
