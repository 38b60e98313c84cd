"""The programs for tables run on the real libraries, and read what is in the files."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyarrow import parquet

from catalog.codegen import load_snippets
from catalog.schema import Field, SampleType, Scalar
from tests.fakes import serving

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [{"zip": "01234", "day": "2026-01-01", "rain": 0.5}, {"zip": "99999", "day": "2026-01-02", "rain": 1.5}]
KINDS = {"zip": "str", "day": "str", "rain": "float"}
TYPE = SampleType(
    name="Weather",
    version="1.0.0",
    fields=tuple(Field(name=name, type=Scalar(kind=kind)) for name, kind in KINDS.items()),  # type: ignore[arg-type]
)
PRINTED = """
import json as _json
_table = table.df() if hasattr(table, "df") else table
_table = list(_table) if type(_table).__name__ == "IterableDataset" else _table
_table = _table.take_all() if hasattr(_table, "take_all") else _table
_table = _table.to_dicts() if hasattr(_table, "to_dicts") else _table
_found = _table if isinstance(_table, list) else _table.to_dict("records")
print("=" * 9, _json.dumps(_found, default=str))
"""


RAY = """\
import ray
ray.init(num_cpus=1, include_dashboard=False, object_store_memory=10**8, log_to_driver=False)
"""


def write(folder: Path, form: str, number: int, rows: list[dict[str, object]]) -> str:
    path = folder / f"weather-{number}.{form}"
    if form == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif form == "jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        lines = [";".join(rows[0]), *(";".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    return path.name


@pytest.mark.parametrize(
    ("form", "label"),
    [
        ("parquet", "pandas"), ("parquet", "Polars"), ("parquet", "DuckDB"), ("parquet", "Hugging Face"),
        ("parquet", "Ray Data"),
        ("csv", "pandas"), ("csv", "DuckDB"),
        ("jsonl", "pandas"), ("jsonl", "Polars"), ("jsonl", "DuckDB"),
    ],
)  # fmt: skip
def test_a_program_reads_the_rows(tmp_path: Path, form: str, label: str) -> None:
    served = tmp_path / "served"
    served.mkdir()
    names = [write(served, form, number, [row]) for number, row in enumerate(ROWS)]
    with serving(partial(SimpleHTTPRequestHandler)) as start:
        base = start(served)
        snippets = load_snippets("Weather", None, TYPE, [base + name for name in names], sample_format=form)
        (snippet,) = (one for one in snippets if one.label == label)
        begin, end = (RAY, "ray.shutdown()\n") if label == "Ray Data" else ("", "")
        (tmp_path / "load.py").write_text(begin + snippet.code + PRINTED + end)
        ran = subprocess.run([sys.executable, "load.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.rpartition("=" * 9)[2])
    assert [{**row, "day": row["day"][:10]} for row in found] == ROWS


def test_programs_for_a_table_never_unpack_msgpack() -> None:
    url = "https://data.example/a.csv"
    labels = [one.label for one in load_snippets("a", None, TYPE, [url], sample_format="csv")]
    assert labels == ["Python", "Typed Python", "PyTorch", "pandas", "DuckDB"]
    unknown = load_snippets("a", None, TYPE, [url], sample_format="lance")
    assert [one.label for one in unknown] == ["Python", "Typed Python", "PyTorch"]


def test_a_table_without_a_header_has_no_program_that_would_eat_its_first_row() -> None:
    fields = (Field(name="column_1", type=Scalar(kind="float")), Field(name="column_2", type=Scalar(kind="str")))
    type_ = SampleType(name="Iris", version="1.0.0", fields=fields)
    snippets = load_snippets("a", None, type_, ["https://data.example/a.csv"], sample_format="csv")
    assert {one.label for one in snippets} == {"Python", "Typed Python", "PyTorch"}


def test_a_compressed_table_has_only_programs_that_decompress_it() -> None:
    snippets = load_snippets("a", None, TYPE, ["https://data.example/a.csv.gz"], sample_format="csv")
    assert [one.label for one in snippets] == ["Python", "Typed Python", "PyTorch", "pandas"]
