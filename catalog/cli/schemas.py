"""``catalog codegen`` and ``compat``: what a schema is in code, and what changed between two."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catalog.cli.common import JSON
from catalog.cli.terminal import echo, echo_json, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalog.client import FoundSchema

__all__ = ["codegen", "compat"]

_LANGUAGES = ("python", "pydantic", "typescript", "rust", "jsonschema")


@click.command()
@click.argument("source", metavar="URI|FILE")
@click.option(
    "--lang",
    "language",
    type=click.Choice(_LANGUAGES),
    default="python",
    show_default=True,
    help="The language of the code.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file, or a folder for a whole package.")
@click.option("--package", is_flag=True, help="Write a package into the folder of -o, also for a single schema.")
@click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of templates that take the place of ours.",
)
def codegen(source: str, language: str, output: Path | None, templates: Path | None, *, package: bool) -> None:
    """Generate code for the samples of a schema.

    URI is the address of a schema, or of a dataset or label (then it is its schema); an account (handle or DID) stands
    for all of its schemas. FILE is a schema record or a JSON Schema in JSON, a manifest, or a folder of manifests; one
    schema of a manifest is FILE#Name@1.0.0. Several schemas become a package in the folder of -o.

    Example: catalog codegen examples/manifests/digits.yaml#DigitSample@1.0.0 --lang typescript -o digit.ts
    """
    from catalog.client import find_schemas
    from catalog.codegen import Source, generate
    from catalog.codegen import package as generate_package

    found = find_schemas(source)
    if package and output is None:
        message = "a package needs a folder: -o FOLDER"
        raise click.UsageError(message)
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
        _write(output, code)
        say(f"wrote {output}")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _too_many(source: str, found: tuple[FoundSchema, ...]) -> str:
    names = [f"{one.sample_type.name}@{one.sample_type.version}" for one in found]
    listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"{len(found)} schemas in {source} ({listed}): name one of them, or a folder with -o FOLDER"


def _write_package(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, text)
    say(f"wrote {len(files)} files to {folder}")


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        message = f"{path} can't be written: {error.strerror or error}"
        raise click.ClickException(message) from None


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@JSON
def compat(old: str, new: str, *, as_json: bool) -> None:
    """What changed between two schemas, and the version that needs.

    OLD and NEW are URIs or files, as for codegen. Each change has two verdicts: for code of the new schema that reads
    old data, and for code of the old schema that reads new data. The exit code is 1 when the new version number
    promises more than the changes keep.

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
