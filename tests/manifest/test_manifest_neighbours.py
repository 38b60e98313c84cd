"""One manifest that is wrong, or no manifest at all, is reported alone: the others are read, planned and shown."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from catalog.cli import cli
from catalog.config import CatalogSettings, NetworkSettings, Source
from catalog.crawl import crawl
from catalog.errors import InvalidManifest
from catalog.manifest import load, load_sound
from catalog.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = "schemas:\n  - {name: Digit, version: 1.0.0, license: MIT, fields: {label: int}}\n"
USES = """\
datasets:
  - name: two
    schema: Digit@1.0.0
    license: MIT
    shards: [{url: "https://data.example/b.tar"}]
"""
REFERS = """\
labels:
  - {name: latest, dataset: two}
  - {name: fixed, dataset: "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.entry/x"}
"""
ALONE = SCHEMA.replace("Digit", "Alone")


def write(folder: Path, **files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def names(store: Store) -> list[str]:
    return sorted(str(json.loads(json.dumps(record.value)).get("name")) for record in store.records())


def settings(tmp_path: Path) -> CatalogSettings:
    sources = (Source(kind="manifests", value="manifests"),)
    return CatalogSettings(sources=sources, network=NetworkSettings(), store=tmp_path / "store.sqlite", base=tmp_path)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere.yaml")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1_000_000_000)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's address is short
        try:
            bound.bind(path.name)
        finally:
            os.chdir(here)


def content(raw: bytes) -> Callable[[Path], None]:
    def write_it(path: Path) -> None:
        path.write_bytes(raw)

    return write_it


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "a named pipe": (fifo, "regular file"),
    "a socket": (a_socket, "can't be read"),
    "a link to itself": (loop, "can't be read"),
    "a link to nothing": (dangling, "can't be read"),
    "a gigabyte": (huge, "1,000,000,000 bytes"),
    "Latin-1": (content("a: é".encode("latin-1")), "UTF-8"),
    "empty": (content(b""), "empty"),
    "only a BOM": (content(b"\xef\xbb\xbf"), "empty"),
    "no YAML": (content(b"a: [b"), "YAML"),
    "a mistake": (content(b"schemas: [{name: Broken, fields: {a: int}}]"), "needs 'version'"),
    "a fault of the lexicon": (
        content(
            (
                SCHEMA.replace("Digit", "L")
                + USES.replace("Digit", "L").replace("two", "bad").replace("b.tar", "é.tar")
            ).encode()
        ),
        "URI",
    ),
}


@pytest.mark.parametrize(("make", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_manifest_is_reported_and_the_others_are_shown(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    """In a crawl: the others' drafts are in the store, the mistake is reported with its file and line."""
    folder = tmp_path / "manifests"
    write(folder, a=SCHEMA, c=USES)
    make(folder / "b.yaml")
    with Store.open(tmp_path / "store.sqlite") as store:
        report = crawl(settings(tmp_path), store)
        assert names(store) == ["Digit", "two"]
    assert report.failed
    (line,) = (line for line in report.lines() if "b.yaml:" in line)
    assert message in line
    for command in (["validate"], ["validate", "--json"]):
        result = CliRunner().invoke(cli, [*command, str(folder)])
        assert isinstance(result.exception, InvalidManifest)
        assert [fault.where.rpartition("/")[2].partition(":")[0] for fault in result.exception.faults] == ["b.yaml"]
        assert result.stdout == ""
        assert "1 dataset" in result.stderr
    with pytest.raises(InvalidManifest):
        load([folder])


def test_a_manifest_with_a_bom_and_a_folder_called_like_one_are_no_mistakes(tmp_path: Path) -> None:
    """A folder is looked into, whatever its name."""
    (tmp_path / "deep.yaml").mkdir()
    (tmp_path / "deep.yaml" / "a.yaml").write_bytes(b"\xef\xbb\xbf" + SCHEMA.encode())
    assert [schema.sample_type.name for schema in load([tmp_path]).schemas] == ["Digit"]


@pytest.mark.parametrize("name", ["x" * 5000, "absent.yaml", "a\0b"])
def test_a_path_that_leads_nowhere_leaves_the_others(tmp_path: Path, name: str) -> None:
    """A name that is too long, or that the disk can't be asked for, is one fault."""
    write(tmp_path, a=SCHEMA)
    found, faults = load_sound([tmp_path / "a.yaml", tmp_path / name])
    assert [schema.sample_type.name for schema in found.schemas] == ["Digit"]
    assert len(faults) == 1


def test_references_into_a_broken_manifest_are_reported(tmp_path: Path) -> None:
    """Records are made without the records they refer to, except a label without its dataset."""
    folder = tmp_path / "manifests"
    write(folder, a=SCHEMA.replace("license", "licence"), b=USES, c=REFERS, d=ALONE)
    with Store.open(tmp_path / "store.sqlite") as store:
        report = crawl(settings(tmp_path), store)
        assert names(store) == ["Alone", "fixed", "latest", "two"]
    lines = report.lines()
    assert any("a.yaml:2" in line and "licence" in line for line in lines)
    assert any("b.yaml:3" in line and "Digit@1.0.0" in line for line in lines)

    write(folder, a=SCHEMA, b=USES.replace("license", "licence"))
    with Store.open(tmp_path / "store.sqlite") as store:
        report = crawl(settings(tmp_path), store)
        assert names(store) == ["Alone", "Digit", "fixed"]
    lines = report.lines()
    assert any("b.yaml:4" in line for line in lines)
    assert any("c.yaml:2" in line and "'two'" in line for line in lines)

    write(folder, b=USES)
    with Store.open(tmp_path / "store.sqlite") as store:
        assert not crawl(settings(tmp_path), store).failed
        assert names(store) == ["Alone", "Digit", "fixed", "latest", "two"]


def test_a_missing_copy_leaves_out_its_dataset_alone(tmp_path: Path) -> None:
    """Also what only shows when the shards are read."""
    folder = tmp_path / "manifests"
    write(folder, a=SCHEMA, b=USES, c=USES.replace("two", "three").replace('b.tar"', 'c.tar", local: c.tar'))
    with Store.open(tmp_path / "store.sqlite") as store:
        report = crawl(settings(tmp_path), store)
        assert names(store) == ["Digit", "two"]
    assert report.failed
    assert any("c.yaml:5" in line for line in report.lines())


def test_a_name_that_another_source_has_leaves_out_that_draft_alone(tmp_path: Path) -> None:
    """The second source shows what is its own."""
    write(tmp_path / "manifests", a=SCHEMA)
    write(tmp_path / "others", a=SCHEMA + ALONE.removeprefix("schemas:\n"))
    both = CatalogSettings(
        sources=(Source(kind="manifests", value="manifests"), Source(kind="manifests", value="others")),
        network=NetworkSettings(),
        store=tmp_path / "store.sqlite",
        base=tmp_path,
    )
    with Store.open(tmp_path / "store.sqlite") as store:
        report = crawl(both, store)
        assert names(store) == ["Alone", "Digit"]
    assert [source.error is None for source in report.sources] == [True, False]


def test_mistakes_in_every_manifest_keep_what_was_shown(tmp_path: Path) -> None:
    """A typing error in the only manifest doesn't empty the site."""
    folder = tmp_path / "manifests"
    write(folder, a=SCHEMA)
    with Store.open(tmp_path / "store.sqlite") as store:
        crawl(settings(tmp_path), store)
        write(folder, a=SCHEMA.replace("license", "licence"))
        assert crawl(settings(tmp_path), store).failed
        assert names(store) == ["Digit"]


def test_thousands_of_mistakes_are_counted(tmp_path: Path) -> None:
    """The first hundred are named, the others a number."""
    write(tmp_path / "manifests", a=SCHEMA, b="".join(f"k{number}: 1\n" for number in range(900)))
    with Store.open(tmp_path / "store.sqlite") as store:
        report = crawl(settings(tmp_path), store)
        assert names(store) == ["Digit"]
    lines = [line for line in report.lines() if "failed:" in line]
    assert len(lines) == 101
    assert "800 more mistakes" in lines[-1]
