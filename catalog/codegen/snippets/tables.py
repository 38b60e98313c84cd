"""The snippets for tables without this library: pandas, Polars, DuckDB; for Parquet also Hugging Face and Ray Data.

These libraries guess the types of CSV columns: those that the schema declares as text are read as text, so that
``01234`` stays unchanged. pandas and DuckDB recognise the separator; Polars doesn't, so there is no program with Polars
for CSV. None is written for CSV files without a header. Polars and DuckDB read downloaded files: Polars needs servers
with ranges, and DuckDB an extension for HTTP. Hugging Face and Ray change texts of CSV and JSON Lines that look like a
number or a time, and have no program for these.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from catalog.codegen.snippets.snippet import Snippet, listed
from catalog.codegen.text import literal
from catalog.schema import Scalar

if TYPE_CHECKING:
    from catalog.schema import SampleType

TABLES: Final = ("parquet", "csv", "jsonl")
"""The formats that these programs read."""

_NO_HEADER: Final = re.compile(r"column_[0-9]+")

_PANDAS: Final = """\
table = pd.concat([{read} for url in urls], ignore_index=True)

print(table.head(3))
"""
_PANDAS_READ: Final = {
    "parquet": "pd.read_parquet(url)",
    "csv": 'pd.read_csv(url, sep=None, engine="python"{types})',
    "jsonl": "pd.read_json(url, lines=True{types})",
}

_POLARS: Final = """\
files = [urllib.request.urlretrieve(url)[0] for url in urls]
table = pl.concat([{read} for file in files], how="diagonal_relaxed")

print(table.head(3))
"""
_POLARS_READ: Final = {"parquet": "pl.read_parquet(file)", "jsonl": "pl.read_ndjson(file)"}

_DUCKDB: Final = """\
files = [urllib.request.urlretrieve(url)[0] for url in urls]
table = duckdb.sql("SELECT * FROM {read}", params={{"files": files}})

print(table.limit(3))
"""
_TYPED_DUCKDB: Final = """\
files = [urllib.request.urlretrieve(url)[0] for url in urls]
types = {types}
table = duckdb.sql("SELECT * FROM read_csv($files, types=$types)", params={{"files": files, "types": types}})

print(table.limit(3))
"""
_HUGGING_FACE: Final = """\
files = [urllib.request.urlretrieve(url)[0] for url in urls]
table = load_dataset("parquet", data_files=files, split="train", streaming=True)

for row in table.take(3):
    print(row)
"""
_RAY_DATA: Final = """\
def read_rows(row: dict[str, Any]) -> list[dict[str, Any]]:
    with urllib.request.urlopen(row["item"]) as answer:
        rows: list[dict[str, Any]] = parquet.read_table(io.BytesIO(answer.read())).to_pylist()
    return rows


# Files are read side by side, here or on a cluster:
# ray job submit --working-dir . -- python load.py
table = ray.data.from_items(urls, override_num_blocks=len(urls)).flat_map(read_rows)

for row in table.take(3):
    print(row)
"""
_RAY_IMPORTS: Final = """\
import io
import urllib.request
from typing import Any

import ray.data
from pyarrow import parquet

"""
_DUCKDB_READ: Final = {
    "parquet": "read_parquet($files)",
    "csv": "read_csv($files)",
    "jsonl": "read_ndjson($files)",
}


def table_snippets(
    lines: Sequence[str], urls: Sequence[str], sample_type: SampleType | None, form: str
) -> tuple[Snippet, ...]:
    """Return the programs for a table of format ``form`` at web URLs."""
    names = [] if sample_type is None else [field.name for field in sample_type.fields]
    if form == "csv" and names and all(map(_NO_HEADER.fullmatch, names)):
        return ()
    texts = _texts(sample_type)
    types = f", dtype={{{', '.join(f'{literal(name)}: str' for name in texts)}}}" if texts else ""
    shown = listed(lines, urls, mark="#", opening="urls = [\n", indent="    ", closing="]\n")
    needs = "pandas pyarrow" if form == "parquet" else "pandas"
    read = _PANDAS_READ[form].format(types=types)
    found = [_snippet("pandas", "import pandas as pd\n\n", shown, _PANDAS.format(read=read), needs)]
    if any(url.partition("?")[0].endswith(".gz") for url in urls):
        return tuple(found)  # the downloaded files have no suffix, by which the others recognise gzip
    if form in _POLARS_READ:
        read = _POLARS_READ[form]
        found.append(
            _snippet(
                "Polars", "import urllib.request\n\nimport polars as pl\n\n", shown, _POLARS.format(read=read), "polars"
            )
        )
    if form != "csv" or not texts:
        read = _DUCKDB_READ[form]
        imports = "import urllib.request\n\nimport duckdb\n\n"
        found.append(_snippet("DuckDB", imports, shown, _DUCKDB.format(read=read), "duckdb"))
    else:
        found.append(_typed_duckdb(shown, texts))
    if form == "parquet":
        imports = "import urllib.request\n\nfrom datasets import load_dataset\n\n"
        found.append(_snippet("Hugging Face", imports, shown, _HUGGING_FACE, "datasets"))
        found.append(_snippet("Ray Data", _RAY_IMPORTS, f"{shown}\n\n", _RAY_DATA, '"ray[data]" pyarrow'))
    return tuple(found)


def _typed_duckdb(shown: str, texts: Sequence[str]) -> Snippet:
    columns = ", ".join(f'{literal(name)}: "VARCHAR"' for name in texts)
    code = _TYPED_DUCKDB.format(types=f"{{{columns}}}")
    return _snippet("DuckDB", "import urllib.request\n\nimport duckdb\n\n", shown, code, "duckdb")


def _snippet(label: str, imports: str, shown: str, code: str, needs: str) -> Snippet:
    return Snippet(label=label, language="python", parts=(imports, shown, code), install=f"pip install {needs}")


def _texts(sample_type: SampleType | None) -> tuple[str, ...]:
    fields = () if sample_type is None else sample_type.fields
    return tuple(field.name for field in fields if field.type == Scalar(kind="str"))
