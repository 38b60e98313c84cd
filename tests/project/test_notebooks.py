"""Objects in a notebook: tables of escaped, bounded text, readable in light and dark."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time
from PIL import Image

from catalog import Array, Dataset, DictSample, Media, PackableSample, packable
from catalog.client.records import Finding
from catalog.client.results import Results
from catalog.datasets.loading import DatasetDict
from catalog.publish.diff import Difference
from catalog.publish.plan import Action, Change, Plan
from catalog.records import DATASET, HttpStorage
from catalog.records import Dataset as DatasetRecord
from catalog.samples.packable import class_from
from catalog.samples.write_shards import write_shards
from catalog.schema import Field, SampleType, Scalar
from catalog.store.rows import Publisher
from catalog.syntax import AtUri, Cid, Datetime, Did

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Dialog, Page

EVIL = '<script>alert(1)</script><img src=x onerror=alert(2)>"\u202e'
DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
URI = AtUri.of(DID, DATASET, "3jzfcijpj2z2a")
ALLOWED = {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "img"}


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


class Digit(PackableSample):
    """A digit."""

    image: Annotated[NDArray[np.uint8], Array(shape=(8, 8))]
    photo: Annotated[bytes, Media("image/png")]
    label: int


@packable
class Decorated:
    label: int


def digit(number: int = 3) -> Digit:
    return Digit(image=np.full((8, 8), number, np.uint8), photo=png(), label=number)


def evil_type(fields: int = 1) -> SampleType:
    listed = tuple(Field(name=f"{EVIL} {n}", type=Scalar(kind="int"), description=EVIL * 99) for n in range(fields))
    return SampleType(name=EVIL, version="1.0.0", fields=listed, description=EVIL)


def finding() -> Finding[Any]:
    record = DatasetRecord(
        name=EVIL, schema_ref=URI, storage=HttpStorage(shards=()), created_at=Datetime.parse("2026-01-01T00:00:00Z"),
        description=EVIL * 99, tags=(EVIL,),
    )  # fmt: skip
    return Finding(uri=URI, cid=Cid.of_block(b"x"), publisher=Publisher(did=DID, handle=EVIL), record=record)


def plan() -> Plan:
    changes = [
        Change(
            action=Action.CREATE, key=(DATASET, EVIL, ""), name=f"dataset '{EVIL}'", uri=URI, cid=Cid.of_block(b"x"),
            differences=(Difference(path=EVIL, after=EVIL),),
        )
        for _ in range(99)
    ]  # fmt: skip
    present: Any = None
    return Plan(
        did=Did.parse(DID), handle=EVIL, pds="https://pds.example", set_name=None, present=present,
        changes=tuple(changes),
    )  # fmt: skip


def hostile() -> dict[str, Any]:
    """Every object that has a table, with the text of a stranger wherever a stranger's text can be."""
    made: Any = class_from(evil_type())
    return {
        "dataset": Dataset([f"https://data.example/{EVIL}.tar"], made),
        "splits": DatasetDict({EVIL: Dataset([f"https://data.example/{EVIL}.tar"], made)}),
        "made sample": made(**dict.fromkeys(made.__dataclass_fields__, 1)),
        "dict": DictSample({EVIL: EVIL, "nested": {EVIL: [EVIL]}, "svg": f"<svg>{EVIL}</svg>".encode()}),
        "large dict": DictSample({f"{EVIL} {number}": EVIL * 999 for number in range(9999)}),
        "sample type": evil_type(999),
        "plan": plan(),
        "results": Results(findings=(finding(),) * 99, total=9999, place=EVIL, notes=(EVIL,)),
        "finding": finding(),
    }


class Elements(HTMLParser):
    """The elements of a piece of HTML with their attributes, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("name", hostile())
def test_a_strangers_text_is_shown_as_text_and_bounded(name: str) -> None:
    source = hostile()[name]._repr_html_()
    found = Elements(source)
    assert {tag for tag, _ in found.elements} <= ALLOWED - {"img"}
    assert not any(attribute.startswith("on") for _, attributes in found.elements for attribute in attributes)
    assert len(source) < 150_000
    assert sum(tag == "tr" for tag, _ in found.elements) <= 52
    assert "\u202e" not in source
    assert any("<script>" in text for text in found.text)


def test_no_colours_are_set_so_that_a_theme_decides() -> None:
    for one in (*hostile().values(), digit()):
        assert not [word for word in ("color", "background", "<style", "class=") if word in one._repr_html_()]


def test_a_sample_has_a_row_for_each_field_and_small_images_drawn() -> None:
    found = Elements(digit()._repr_html_())
    assert found.text[3:] == ["image", "array[uint8, 8, 8], 3 … 3", "photo", "label", "3"]
    [(_, image)] = [one for one in found.elements if one[0] == "img"]
    assert str(image["src"]).startswith("data:image/png;base64,")
    decorated: Any = Decorated(label=5)
    assert Elements(decorated._repr_html_()).text[3:] == ["label", "5"]


def test_images_that_are_large_or_may_have_scripts_are_not_drawn() -> None:
    sample = DictSample(svg=b"<svg xmlns='http://www.w3.org/2000/svg'/>", large=png() + bytes(300_000))
    assert "<img" not in sample._repr_html_()
    many = DictSample({str(number): png() for number in range(20)})
    assert many._repr_html_().count("<img") == 4


def test_a_dataset_has_its_fields_and_facts_without_reading(tmp_path: Path) -> None:
    infos = write_shards([digit(number) for number in range(5)], tmp_path / "d-%06d.tar", maxcount=3)
    dataset = Dataset(infos, Digit)
    for info in infos:
        info.path.unlink()
    text = " ".join(Elements(dataset._repr_html_()).text)
    for word in ("Dataset[Digit]", "2 shards", "5 samples", "array[uint8, 8, 8]", "bytes[image/png]"):
        assert word in text
    assert "3 batches" in dataset.batched(2)._repr_html_()


def test_a_batch_has_its_stacked_fields(tmp_path: Path) -> None:
    dataset = Dataset(write_shards([digit(number) for number in range(4)], tmp_path / "d-%06d.tar"), Digit)
    (batch,) = dataset.batched(4)
    assert "array[uint8, 4, 8, 8], 0 … 3" in batch._repr_html_()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_runs_nothing_and_shows_readable_text(page: Page, scheme: str) -> None:
    """As in a notebook: the theme has colours, the table has none of its own."""
    colours = {"light": ("#fff", "#111"), "dark": ("#111", "#eee")}[scheme]
    body = "".join(one._repr_html_() for one in (*hostile().values(), digit()))
    alerts: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        alerts.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.set_content(f"<body style='background: {colours[0]}; color: {colours[1]}'>{body}</body>")
    assert page.locator("script, svg").count() == 0
    assert alerts == []
    assert page.evaluate("document.images.length") == 1
    assert page.evaluate("document.images[0].naturalWidth") == 8
    inherited = page.evaluate("[...document.querySelectorAll('td')].map(td => getComputedStyle(td).color)")
    assert len(set(inherited)) == 1
