"""``catalog codegen`` and ``compat``: generate code from schemas, and compare schemas."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catalog.cli.common import JSON, write_file
from catalog.cli.terminal import echo, echo_json, say

if TYPE_CHECKING:
    from catalog.client import FoundSchema

_LANGUAGES = ("python", "pydantic", "typescript", "rust", "jsonschema")


@click.command()
@click.argument("source", metavar="URI|FILE")
@click.option(
    "--lang",
    "language",
    type=click.Choice(_LANGUAGES),
    default="python",
    show_default=True,
    help="Language of the code.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file, or a folder for a package.")
@click.option("--package", is_flag=True, help="Write a package into the folder of -o, even for a single schema.")
@click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of templates that override the built-in ones.",
)
def codegen(source: str, language: str, output: Path | None, templates: Path | None, *, package: bool) -> None:
    """Generate code for the samples of a schema.

    URI is the at:// URI of a schema, or of a dataset or label with that schema; an account (handle or DID) selects all
    of its schemas. FILE is a schema record or JSON Schema in JSON, a manifest, or a folder of manifests;
    FILE#Name@1.0.0 selects one schema. Several schemas become a package in the folder of -o.

    Example: catalog codegen examples/manifests/digits.yaml#DigitSample@1.0.0 --lang typescript -o digit.ts
    """
    from catalog.client import find_schemas
    from catalog.codegen import Source, generate
    from catalog.codegen import package as generate_package

    found = find_schemas(source)
    if package and output is None:
        raise click.UsageError("--package requires a folder: -o FOLDER")
    if package or (output is not None and (output.is_dir() or len(found) > 1)):
        sources = [Source(sample_type=one.sample_type, uri=_text(one.uri), cid=_text(one.cid)) for one in found]
        assert output is not None  # noqa: S101 - for the type checker; both ways here have one
        _write_package(output, generate_package(sources, language, templates=templates))
        return
    if len(found) > 1:
        raise click.UsageError(_too_many(source, found))
    one = found[0]
    code = generate(one.sample_type, language, uri=_text(one.uri), cid=_text(one.cid), templates=templates)
    if output is None:
        echo(code, nl=False)
    else:
        write_file(output, code)
        say(f"wrote {output}")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _too_many(source: str, found: tuple[FoundSchema, ...]) -> str:
    names = [f"{one.sample_type.name}@{one.sample_type.version}" for one in found]
    listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"{len(found)} schemas in {source} ({listed}): name one of them, or a folder with -o FOLDER"


def _write_package(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        write_file(folder / name, text, parents=True)
    say(f"wrote {len(files)} files to {folder}")


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@JSON
def compat(old: str, new: str, *, as_json: bool) -> None:
    """Show the changes between two schemas, and the version number that they require.

    OLD and NEW are URIs or files, as for codegen. Each change has two verdicts: for new code that reads old data, and
    for old code that reads new data. The exit code is 1 if the version of NEW is too low for the changes.

    Example: catalog compat digits.yaml#DigitSample@1.0.0 digits.yaml#DigitSample@1.1.0
    """
    from catalog.client import find_schemas
    from catalog.schema import compare

    types = []
    for text in (old, new):
        found = find_schemas(text)
        if len(found) > 1:
            raise click.UsageError(_too_many(text, found))
        types.append(found[0].sample_type)
    before, after = types
    for one in types:
        one.require_fields()
    comparison = compare(before, after)
    complaint = comparison.needs(before.version, after.version)
    if as_json:
        echo_json({**comparison.as_json(), "ok": complaint is None, "complaint": complaint})
    else:
        for line in comparison.lines():
            echo(line)
        if complaint is not None:
            say(complaint)
    if complaint is not None:
        sys.exit(1)
