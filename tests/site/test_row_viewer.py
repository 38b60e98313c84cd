"""The row viewer of dataset pages in Chromium, with shards on another origin: what is fetched, shown, and refused."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgpack
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from catalog.records import DATASET
from catalog.site.row_index import ShardRows, row_index
from tests.rangefiles import RangeFiles, range_files
from tests.shardfiles import npy
from tests.site.test_accessibility import AXE, COLOURS, PHONE, faults, turn
from tests.sitecatalog import build, dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from catalog.atproto.datamodel import Json
    from tests.conftest import Watch

PER_SHARD = 250
SHARDS = 4


def tar_with_places(members: list[tuple[str, bytes]]) -> tuple[bytes, list[int], int]:
    """Return a tar in GNU's format, the places of its members' headers, and the end of the last one."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        places = []
        for name, data in members:
            places.append(tar.offset)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        end = tar.offset
    return out.getvalue(), places, end


def sample(number: int) -> bytes:
    rng = np.random.default_rng(number)
    packed: bytes = msgpack.packb({
        "image": npy(rng.integers(0, 255, (8, 8), "uint8")),
        "wave": npy(np.sin(np.arange(50) / (1 + number % 5)).astype("float32")),
        "label": number % 10, "text": f"sample {number} <b>bold</b>", "pad": rng.bytes(number % 700),
    })  # fmt: skip
    return packed


def picture(kind: str, size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, kind)
    return out.getvalue()


def wav() -> bytes:
    data = np.sin(np.arange(800) / 5).astype("<f4").tobytes()
    head = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    form = (
        (3).to_bytes(2, "little")
        + (1).to_bytes(2, "little")
        + (8000).to_bytes(4, "little")
        + (32000).to_bytes(4, "little")
    )
    return (
        head
        + form
        + (4).to_bytes(2, "little")
        + (32).to_bytes(2, "little")
        + b"data"
        + len(data).to_bytes(4, "little")
        + data
    )


def web_members() -> list[tuple[str, bytes]]:
    found = []
    for number in range(30):
        key = f"v1.{number:03d}/a{number}"
        found += [
            (f"{key}.jpg", picture("JPEG")), (f"{key}.cls", str(number % 3).encode()),
            (f"{key}.json", b'{"caption": "\\u003cscript>alert(1)\\u003c/script>"}'), (f"{key}.wav", wav()),
            (f"{key}.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='document.title=1'/>"),
        ]  # fmt: skip
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A built site with one dataset for each case, and the server of their shards."""

    site: Path
    server: RangeFiles

    def page(self, key: str) -> Path:
        (found,) = self.site.glob(f"datasets/*/{key}")
        return found


def put_index(page: Path, files: dict[str, bytes]) -> None:
    """Add the index of its rows to the page of a dataset."""
    (page / "rows").mkdir()
    for name, raw in files.items():
        (page / "rows" / name).write_bytes(raw)
    html = (page / "index.html").read_text(encoding="utf-8")
    html = html.replace("&#34;index&#34;:null", "&#34;index&#34;:&#34;rows/&#34;")
    (page / "index.html").write_text(html, encoding="utf-8")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with range_files() as server:
        shards, rows = [], []
        for shard in range(SHARDS):
            numbers = range(shard * PER_SHARD, (shard + 1) * PER_SHARD)
            raw, places, end = tar_with_places([(f"{number:06d}.msgpack", sample(number)) for number in numbers])
            shards.append(server.add(f"packed-{shard}.tar", raw))
            labels = [number % 10 for number in numbers]
            keys = [f"{number:06d}" for number in numbers]
            rows.append(ShardRows(places=places, end=end, keys=keys, columns={"label": labels}))
        one = server.add("one.tar", server.files["/packed-0.tar"])
        closed, whole = (
            server.add("closed.tar", server.files["/packed-0.tar"]),
            server.add("whole.tar", server.files["/packed-0.tar"]),
        )
        server.closed.add("/closed.tar")
        server.whole.add("/whole.tar")
        web, _, _ = tar_with_places(web_members())
        table = "id,text\n" + "".join(f'{number},"text {number}, <i>x</i>"\n' for number in range(5000))
        lines = "".join(json.dumps({"id": number, "text": f"line {number}"}) + "\n" for number in range(5000))
        bomb = picture("PNG")
        bomb = bomb[:16] + (60000).to_bytes(4, "big") * 2 + bomb[24:]
        hostile = [
            ("0.msgpack", b"\xdd\xff\xff\xff\xff"),
            ("1.msgpack", msgpack.packb({"<img src=x onerror=alert(1)>": "<script>document.title=1</script>"})),
            ("2.msgpack", msgpack.packb({"image": bomb, "array": npy(np.zeros(3))[:-8]})),
            ("3.msgpack", b"\x91" * 1000),
        ]  # fmt: skip
        cases: dict[str, tuple[list[str], str | None, int | None]] = {
            "indexed": (shards, None, SHARDS * PER_SHARD),
            "plain": (shards, None, SHARDS * PER_SHARD),
            "closed": ([closed], None, 250),
            "whole": ([whole], None, 250),
            "web": ([server.add("web.tar", web)], "webdataset", 30),
            "csv": ([server.add("table.csv", table.encode())], "csv", 5000),
            "jsonl": ([server.add("lines.jsonl", lines.encode())], "jsonl", None),
            "hostile": ([server.add("hostile.tar", tar_with_places(hostile)[0])], None, 4),
            "junk": ([server.add("junk.tar", b"<html>" * 1000)], None, 4),
            "pattern": ([one.replace("one", "packed-{0..3}")], None, 1000),
        }
        extra: list[tuple[str, str, dict[str, Json]]] = []
        for key, (urls, form, total) in cases.items():
            checksum: Json = {"algorithm": "sha256", "digest": "ab" * 32}
            listed: list[Json] = [
                {"url": url} if key == "pattern" else {"url": url, "checksum": checksum} for url in urls
            ]
            storage: Json = {"$type": "science.alt.dataset.storageHttp", "shards": listed}
            others: dict[str, Json] = {} if form is None else {"sampleFormat": form}
            size: dict[str, Json] = {} if total is None else {"samples": total}
            extra.append((DATASET, key, {**dataset(1, name=key, storage=storage, size=size), **others}))
        site = build(tmp_path_factory.mktemp("site"), search=False, extra=extra)
        found = Shown(site=site, server=server)
        files = row_index(rows)
        assert files is not None
        put_index(found.page("indexed"), files)
        yield found


@pytest.fixture
def opened(shown: Shown, serve: Callable[[Path], str], page: Page) -> Callable[..., Page]:
    base = serve(shown.site)

    def go(key: str, *, fragment: str = "", press: bool = True) -> Page:
        shown.server.requests.clear()
        page.goto(f"{base}{shown.page(key).relative_to(shown.site)}/{fragment}")
        button = page.get_by_role("button", name="from 127.0.0.1")
        expect(button).to_be_visible()
        assert shown.server.requests == [], "nothing before the button is pressed"
        if press:
            button.click()
            expect(button).to_have_count(0)
        return page

    return go


def first_numbers(page: Page) -> list[str]:
    return [
        str(item)
        for item in page.locator(".cat-viewer [data-row]").evaluate_all("items => items.map(item => item.dataset.row)")
    ]


def status(page: Page) -> str:
    return page.get_by_role("status").last.inner_text()


def test_the_first_samples_come_with_one_request(opened: Callable[..., Page], shown: Shown, watch: Watch) -> None:
    page = opened("plain")
    expect(page.locator(".cat-viewer [data-row]")).to_have_count(20)
    assert len(shown.server.requests) == 1
    assert sum(size for _, size in shown.server.requests) <= 150_000
    first = page.locator(".cat-viewer [data-row]").first
    expect(first).to_contain_text("sample 0 <b>bold</b>")
    expect(first.locator("canvas")).to_have_count(1)
    expect(first.locator("svg.cat-plot--line")).to_have_count(1)
    drawn = first.locator("canvas").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, 8, 8).data].filter((_, i) => i % 4 == 0)"
    )
    array = np.random.default_rng(0).integers(0, 255, (8, 8), "uint8").astype(float)
    wanted = np.round(255 * (array - array.min()) / (array.max() - array.min())).ravel()
    assert np.abs(np.array(drawn) - wanted).max() <= 1
    assert watch.errors == []


def test_any_sample_by_its_number_or_key_with_an_index(opened: Callable[..., Page], shown: Shown) -> None:
    page = opened("indexed")
    shown.server.requests.clear()
    page.get_by_label("Number or key").fill("510")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator(".cat-viewer [data-row]").first).to_contain_text("sample 510 ")
    assert first_numbers(page) == [str(number) for number in range(510, 530)]
    ((_, sent),) = shown.server.requests
    assert sent < 30 * 3000
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".cat-viewer [data-row]").first).to_contain_text("sample 530 ")
    for _ in range(2):
        page.get_by_role("button", name="Previous").click()
    expect(page.locator(".cat-viewer [data-row]").first).to_contain_text("sample 490 ")
    assert first_numbers(page)[-1] == "509", "across the border of shards"
    page.get_by_label("Number or key").fill("000777")
    page.get_by_label("Number or key").press("Enter")
    expect(page.locator(".cat-viewer [data-row]").first).to_contain_text("sample 777 ")
    page.get_by_label("Number or key").fill("no such key")
    page.get_by_label("Number or key").press("Enter")
    expect(page.get_by_role("status").last).to_contain_text("No sample has the key “no such key”")


def test_samples_by_the_value_of_a_column(opened: Callable[..., Page], shown: Shown) -> None:
    page = opened("indexed")
    shown.server.requests.clear()
    page.get_by_label("Value").fill("7")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("status").last).to_contain_text("Matches 1 to 20 of 100")
    assert first_numbers(page) == [str(number) for number in range(7, 200, 10)]
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("status").last).to_contain_text("Matches 21 to 40")
    page.get_by_role("button", name="All").click()
    expect(page.get_by_role("status").last).to_contain_text("Samples 0 to")


def test_a_link_leads_to_the_very_sample(opened: Callable[..., Page]) -> None:
    page = opened("indexed", fragment="#row-612", press=False)
    page.get_by_role("button", name="Show sample 612 from").click()
    expect(page.locator(".cat-viewer [data-row]").first).to_contain_text("sample 612 ")
    page.locator(".cat-viewer [data-row] a").nth(3).click()
    expect(page.locator(".cat-viewer [data-row]").first).to_contain_text("sample 615 ")
    assert page.url.endswith("#row-615")


def test_without_an_index_a_number_leads_near_it(opened: Callable[..., Page]) -> None:
    page = opened("plain")
    page.get_by_label("Number of a sample").fill("600")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.get_by_role("status").last).to_contain_text("Samples near 600")
    key = int(page.locator(".cat-viewer__head").first.inner_text())
    assert abs(key - 600) < 30


def test_samples_go_on_over_all_shards(opened: Callable[..., Page]) -> None:
    page = opened("pattern")
    for _ in range(13):
        page.get_by_role("button", name="Next").click()
        expect(page.locator(".cat-viewer[aria-busy]")).to_have_count(0)
    numbers = [int(number) for number in first_numbers(page)]
    assert numbers == list(range(260, 280))
    expect(page.locator(".cat-viewer [data-row]").first).to_contain_text("sample 260 ")


@pytest.mark.parametrize(("key", "texts"), [
    ("web", ["<script>alert(1)</script>", "v1.000/a0"]), ("csv", ["text 0, <i>x</i>"]), ("jsonl", ["line 0"]),
])  # fmt: skip
def test_other_formats(opened: Callable[..., Page], watch: Watch, key: str, texts: list[str]) -> None:
    page = opened(key)
    first = page.locator(".cat-viewer [data-row]").first
    for text in texts:
        expect(first).to_contain_text(text)
    if key == "web":
        expect(first.locator("canvas")).to_have_count(1)
        expect(first.locator("audio")).to_have_count(1)
        assert page.locator(".cat-viewer svg:not(.cat-plot)").count() == 0
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".cat-viewer[aria-busy]")).to_have_count(0)
    (number, *_) = first_numbers(page)
    assert int(number) > 0
    expect(page.locator(".cat-viewer [data-row]").first).to_contain_text(f"a{number}" if key == "web" else f" {number}")
    assert watch.errors == []


def test_hostile_samples_are_said_to_be_unreadable_and_nothing_runs(opened: Callable[..., Page]) -> None:
    page = opened("hostile")
    items = page.locator(".cat-viewer [data-row]")
    expect(items).to_have_count(4)
    expect(items.nth(0)).to_contain_text("can’t be read")
    expect(items.nth(1)).to_contain_text("<script>document.title=1</script>")
    expect(items.nth(2)).to_contain_text("60000 × 60000 pixels, too large")
    expect(items.nth(2)).to_contain_text("truncated")
    expect(items.nth(3)).to_contain_text("nested too deeply")
    assert page.title() != "1"
    assert page.locator(".cat-viewer img, .cat-viewer script, .cat-viewer iframe").count() == 0


@pytest.mark.parametrize(("key", "reason"), [
    ("closed", "doesn’t let other sites read its files"), ("junk", "isn’t a tar file"),
])  # fmt: skip
def test_a_host_or_file_that_cant_be_read_is_explained(opened: Callable[..., Page], key: str, reason: str) -> None:
    page = opened(key, press=False)
    page.get_by_role("button", name="from 127.0.0.1").click()
    expect(page.locator(".cat-viewer__start")).to_contain_text(reason)
    expect(page.get_by_role("button", name="from 127.0.0.1")).to_be_enabled()


def test_a_small_file_is_read_whole_where_ranges_are_ignored(opened: Callable[..., Page], shown: Shown) -> None:
    page = opened("whole")
    expect(page.locator(".cat-viewer [data-row]")).to_have_count(20)
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".cat-viewer [data-row]").first).to_contain_text("sample 20 ")
    assert len(shown.server.requests) == 1


def test_the_open_viewer_is_accessible_in_both_schemes_on_a_telephone(opened: Callable[..., Page]) -> None:
    page = opened("web", press=False)
    page.set_viewport_size({"width": PHONE, "height": 800})
    page.get_by_role("button", name="from 127.0.0.1").click()
    expect(page.locator(".cat-viewer [data-row]").first).to_be_visible()
    axe = AXE.read_text(encoding="utf-8")
    assert faults(page, axe) == []
    page.emulate_media(reduced_motion="reduce")  # else colours fade
    turn(page, "slate")
    assert faults(page, axe, *COLOURS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the screen"


def test_the_viewer_works_by_keyboard_alone(opened: Callable[..., Page]) -> None:
    page = opened("indexed", press=False)
    page.get_by_role("button", name="from 127.0.0.1").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Row viewer")).to_be_focused()
    page.keyboard.press("Tab")  # "Previous" is disabled on the first page
    expect(page.get_by_role("button", name="Next")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.locator(".cat-viewer [data-row]").first).not_to_contain_text("sample 0 ")
    page.keyboard.press("Tab")
    page.keyboard.type("123")
    page.keyboard.press("Enter")
    expect(page.locator(".cat-viewer [data-row]").first).to_contain_text("sample 123 ")


def test_turning_pages_moves_nothing_above_the_samples(opened: Callable[..., Page]) -> None:
    page = opened("indexed")
    top = "Math.round(document.querySelector(one).getBoundingClientRect().top + scrollY)"
    places = f"() => ['.cat-viewer__bar', '.cat-viewer__status', '#rows'].map(one => {top})"
    before = page.evaluate(places)
    page.get_by_role("button", name="Next").click()
    assert page.evaluate(places) == before
    expect(page.get_by_role("status").last).to_contain_text("Samples 20 to 39")
    assert page.evaluate(places) == before
