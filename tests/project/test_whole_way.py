"""The whole way through the house: manifest → PDS → crawl → site → browser → snippet → samples."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import catalog
from catalog.samples.packable import class_from
from catalog.samples.write_shards import write_shards
from catalog.schema import Array, Field, SampleType, Scalar
from tests import forked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.conftest import HttpsServer, Network

MANIFEST = """\
schemas:
  - name: Wave
    version: 1.0.0
    description: A short recording and what was heard.
    fields:
      signal: array[float32, 16]
      heard: str
      gain: float
      note: str?
datasets:
  - name: Tidal recordings
    schema: Wave@1.0.0
    version: 1.0.0
    description: |
      Hydrophone recordings of a **harbour**, a word that only this description has: quaquaversal.
    license: CC-BY-4.0
    tags: [audio, ocean]
    samples: 5
    shards:
      - {{url: "{base}/waves-{{000000..000001}}.tar", local: "waves-{{000000..000001}}.tar"}}
    metadata: {{homepage: "https://waves.example", rate: 48000.5}}
lenses:
  - name: same
    source: Wave@1.0.0
    target: Wave@1.0.0
    description: Changes nothing.
    getter: {{repository: "https://git.example/waves", commit: {commit}, path: "w.py:same", language: python}}
    putter: {{repository: "https://git.example/waves", commit: {commit}, path: "w.py:same_put", language: python}}
"""

MKDOCS = """\
site_name: Whole way
theme:
  name: material
  font: false
plugins:
  - catalog:
      store: store.sqlite
      sources:
        - pds: {pds}
"""


def _command(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [sys.executable, "-m", "catalog", *arguments],
        cwd=cwd,
        env={**os.environ, **extra},
        timeout=300,
    )


@pytest.fixture
def waves() -> list[catalog.PackableSample]:
    """Five samples to be written, published, found and loaded."""
    wave = class_from(
        SampleType(
            name="Wave",
            version="1.0.0",
            fields=(
                Field(name="signal", type=Array(dtype="float32", shape=(16,))),
                Field(name="heard", type=Scalar(kind="str")),
                Field(name="gain", type=Scalar(kind="float")),
                Field(name="note", type=Scalar(kind="str"), optional=True),
            ),
        )
    )
    make: Callable[..., catalog.PackableSample] = wave
    return [
        make(signal=np.arange(16, dtype=np.float32) * i, heard=f"wave {i}", gain=i / 3, note=None) for i in range(5)
    ]


def test_a_manifest_becomes_samples_in_a_fresh_process(
    tmp_path: Path,
    network: Network,
    https_server: Callable[[Path], HttpsServer],
    serve: Callable[[Path], str],
    page: Page,
    waves: list[catalog.PackableSample],
) -> None:
    """Published, crawled, rendered, found in the search box, loaded by the snippet that stands on the page."""
    data, work = tmp_path / "data", tmp_path / "work"
    data.mkdir()
    work.mkdir()
    write_shards(waves, data / "waves-%06d.tar", maxcount=3)
    shards = https_server(data)
    (data / "waves.yaml").write_text(MANIFEST.format(base=shards.url, commit="c" * 40), encoding="utf-8")

    account = network.account("waves")
    secrets = {"CATALOG_HANDLE": account.handle, "CATALOG_APP_PASSWORD": account.password}
    first = _command("publish", "--yes", str(data / "waves.yaml"), cwd=work, **secrets)
    assert first.returncode == 0, first.stderr
    rev = network.latest_rev(account.did)
    again = _command("publish", "--yes", str(data / "waves.yaml"), cwd=work, **secrets)
    assert again.returncode == 0, again.stderr
    assert network.latest_rev(account.did) == rev, "a second publish of the same manifest writes nothing"

    (work / "mkdocs.yml").write_text(MKDOCS.format(pds=network.pds_url), encoding="utf-8")
    (work / "docs").mkdir()
    (work / "docs" / "index.md").write_text("# Home\n", encoding="utf-8")
    built = forked.run(
        [sys.executable, "-m", "mkdocs", "build"],
        cwd=work,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr

    page.goto(serve(work / "site"))
    page.keyboard.press("/")
    page.keyboard.type("quaquaversal", delay=20)
    result = page.get_by_role("option", name="Tidal recordings").or_(page.get_by_role("link", name="Tidal recordings"))
    result.first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets/**")
    assert page.locator("h1").inner_text().strip().startswith("Tidal recordings")
    snippet = page.locator("pre code").filter(has_text="from_atproto").first.inner_text()

    script = work / "snippet.py"
    script.write_text(
        snippet
        + "\nimport numpy as np\n"
        + "samples = list(dataset.ordered())\n"
        + "print('GOT', [(s.heard, round(s.gain, 4), float(np.sum(s.signal)), s.note) for s in samples])\n",
        encoding="utf-8",
    )
    ran = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "CATALOG_CACHE": str(tmp_path / "cache"), "SSL_CERT_FILE": str(shards.authority)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    expected = [(f"wave {i}", round(i / 3, 4), 120.0 * i, None) for i in range(5)]
    assert f"GOT {expected}" in ran.stdout


def test_a_manifest_with_mistakes_writes_nothing(tmp_path: Path, network: Network) -> None:
    """One line a mistake on standard error, exit code 1, and the repository is as it was."""
    account = network.account("mistaken")
    rev = network.latest_rev(account.did)
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "schemas:\n"
        "  - name: Wave\n"
        "    version: 1.0.0\n"
        "    fields: {a: int}\n"
        "  - name: Wave\n"
        "    version: 1.0.0\n"
        "    fields: {a: flaot}\n"
        "  - name: Other\n"
        "    version: one\n"
        "    fields: {a: int}\n"
        "datasets:\n"
        "  - name: d\n"
        "    schema: Wav@1.0.0\n"
        "    license: MIT\n"
        "    shards: [{url: 'pipe:rm -rf /'}]\n",
        encoding="utf-8",
    )
    secrets = {"CATALOG_HANDLE": account.handle, "CATALOG_APP_PASSWORD": account.password}
    ran = _command("publish", "--yes", str(broken), cwd=tmp_path, **secrets)
    assert ran.returncode == 1
    lines = ran.stderr.strip().splitlines()
    for number, words in ((5, "Wave"), (7, "flaot"), (9, "one"), (13, "Wav@1.0.0"), (15, "pipe:")):
        assert any(f"broken.yaml:{number}:" in line and words in line for line in lines), (number, lines)
    assert len(lines) == 5
    assert "Traceback" not in ran.stderr
    assert network.latest_rev(account.did) == rev
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.yaml"]


def test_the_public_face_of_the_library_is_this_list() -> None:
    """The names of ``import catalog``; a change here changes the public interface."""
    assert catalog.__all__ == [
        "Array", "Client", "Dataset", "DatasetDict", "DictSample", "Lens", "LensNetwork", "Media", "PackableSample",
        "S3Source", "SampleBatch", "Shard", "URLSource", "__version__", "check_lens", "fetch_lens", "lens",
        "load_dataset", "packable", "wire", "write_samples", "write_shards",
    ]  # fmt: skip
    assert all(getattr(catalog, name) is not None for name in catalog.__all__)
