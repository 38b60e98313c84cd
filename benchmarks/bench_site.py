"""Measure crawling exported repositories and building the site for several catalog sizes: time, memory, bytes.

    python benchmarks/bench_site.py [--datasets 1000 10000 100000] [--keep DIR] [--no-peers]

For each size, ``site_catalog`` makes a synthetic catalog, ``catalog crawl`` reads it into an empty store, and ``mkdocs
build`` builds the site, each in its own process; then the site is built again and compared file by file. At 1,000
datasets MkDocs with Material renders the same pages from Markdown, at 10,000 Hugo does (``site_peers`` describes what
is equal).

All files are in memory if the system has a RAM disk. Wall times depend on other processes, so CPU seconds are reported
as well. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.processes import Ran, run
from benchmarks.rows import Results, named
from benchmarks.site_catalog import Catalog, make_catalog
from benchmarks.site_peers import hugo, mkdocs, write_hugo, write_mkdocs
from catalog.store import Store
from catalog.store.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGE, WITH_MKDOCS, WITH_HUGO = 100_000, 1_000, 10_000
"""At which size what is wanted holds."""
RATIO_MKDOCS, RATIO_HUGO = 15.0, 2.0
TIMES = 3
"""Number of builds of each side of a comparison; the fastest counts."""
ROOM = 150_000
"""Bytes of memory that a dataset takes on the way: its files in pages of 4 kB, the indexer, and we."""
GB, MB = 1e9, 1e6
HUGO = "whole build, search off"

MKDOCS = """\
site_name: Benchmark
site_url: https://catalog.example.org/
theme: {{name: material, font: false, features: [content.code.copy]}}
plugins:
  - catalog: {{store: store.sqlite, sources: [car: "exports/*.car"], search: {search}}}
site_dir: {site}
"""


class Wishes:
    """The targets, and whether they were reached. Rows are added for the measured size."""

    def __init__(self, results: Results) -> None:
        self.missed: list[str] = []
        self.results = results
        self.datasets = 0

    def check(self, text: str, *, held: bool, wanted: str) -> None:
        """Print a measurement beside what is wanted of it."""
        print(f"  {text}  (wanted: {wanted}{'' if held else '; MISSED'})")
        if not held:
            self.missed.append(text.strip())

    def add(self, what: str, unit: str, ours: float | None, **more: Any) -> None:  # noqa: ANN401 - fields of a row
        """A row of the results, with the number of datasets before it."""
        self.results.add(f"{self.datasets:,} datasets: {what}", unit, ours, **more)


def prepare(folder: Path) -> None:
    """The configurations: with search, whose site is ``site``, and without, whose site is ``quiet``."""
    (folder / "docs").mkdir(parents=True, exist_ok=True)
    for site, search in ("site", "true"), ("quiet", "false"):
        (folder / f"{site}.yml").write_text(MKDOCS.format(site=site, search=search), encoding="utf-8")


def crawl(folder: Path, made: Catalog) -> Ran:
    """Fill the store from nothing, and see that everything is there and proven.

    A crawl of exports asks nobody who answers to a handle: the handles are put in afterwards, as a look-up would.
    """
    (folder / "store.sqlite").unlink(missing_ok=True)
    done = run([sys.executable, "-m", "catalog", "crawl", "--json", "-f", "site.yml"], cwd=folder)
    report = json.loads(next(line for _, line in done.lines if line.startswith("{")))["sources"][0]
    with Store.open(folder / "store.sqlite") as store:
        proven = [record.verified for record in store.records()]
        if len(proven) != made.records or not all(proven) or report["refusals"]:
            raise SystemExit(f"{len(proven)} of {made.records} records, or not all proven: {report['problems']}")
        repos = {repo.did: repo for repo in store.repos()}
        for account in made.accounts:
            store.put_repo(replace(repos[account.did], handle=account.handle))
    return done


def build(folder: Path, site: str = "site") -> Ran:
    """A whole ``mkdocs build`` from the store, from nothing."""
    shutil.rmtree(folder / site, ignore_errors=True)
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {"NO_MKDOCS_2_WARNING": "1", "CATALOG_NO_CRAWL": "1", "TMPDIR": str(folder / "tmp")}
    command = [sys.executable, "-m", "mkdocs", "build", "-f", f"{site}.yml"]
    return run(command, cwd=folder, environment=environment)


def files_of(site: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file of a site: its path from there, and what the system knows of it."""
    for folder, _, names in os.walk(site):
        for name in names:
            file = Path(folder) / name
            yield file.relative_to(site).as_posix(), file.stat()


def kind_of(path: str) -> str:
    """Return the purpose of a file of the site."""
    section, _, rest = path.partition("/")
    name = path.rpartition("/")[2]
    if path.startswith("catalog/text"):
        return "text index"
    if section.startswith("@"):
        return "redirects from handles"
    if name == "feed.xml":
        return "feeds"
    if section in {"datasets", "schemas", "lenses", "publishers", "tags", "licences"} and rest:
        return f"{section}: {'pages' if name == 'index.html' else name}"
    folder = rest.partition("/")[0] if "/" in rest else "*"
    return {"assets": "theme, scripts and styles", "catalog": f"catalog/{folder}"}.get(section, "else")


def is_page(path: str) -> bool:
    """Return whether a file is a page to be read; a redirect from a handle is none."""
    return path.endswith("index.html") and not path.startswith("@")


def hashes(site: Path) -> dict[str, bytes]:
    """A hash of every file."""
    return {path: hashlib.blake2b((site / path).read_bytes(), digest_size=16).digest() for path, _ in files_of(site)}


def show_sizes(site: Path, datasets: int, wishes: Wishes) -> int:
    """Bytes and files by kind; how many pages there are."""
    kinds: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    pages = 0
    for path, status in files_of(site):
        pages += is_page(path)
        for place, count in enumerate((1, status.st_size, status.st_blocks * 512)):
            kinds[kind_of(path)][place] += count
    totals = [sum(counts[place] for counts in kinds.values()) for place in range(3)]
    for kind, (files, size, blocks) in sorted(kinds.items(), key=lambda item: -item[1][1])[:16]:
        print(
            f"    {kind:28} {files:8,} files {size / MB:9.1f} MB, on disk {blocks / MB:9.1f}; {size / files:8,.0f} each"
        )
    text = f"site        {totals[0]:,} files, {totals[1] / GB:.3f} GB, on disk {totals[2] / GB:.3f} GB"
    text += f"; {totals[1] / datasets / 1000:.1f} kB a dataset"
    wishes.add("size of the site", "MB", totals[1] / MB, wanted=1500.0 if datasets >= LARGE else None)
    wishes.add("size on disk", "MB", totals[2] / MB)
    if datasets >= LARGE:
        wishes.check(text, held=totals[1] < 1.5 * GB, wanted="< 1.5 GB")
    else:
        print(f"  {text}")
    return pages


def show_build(done: Ran, datasets: int, wishes: Wishes) -> None:
    """Seconds with their parts, and memory."""
    text = f"build       {done.seconds:.1f} s ({done.cpu:.1f} s of the processors)"
    large = datasets >= LARGE
    if large:
        wishes.check(text, held=done.seconds < 300, wanted="< 300 s")
    else:
        print(f"  {text}")
    for _, line in done.lines:
        if "Catalog:" in line:
            print(f"    {line.partition('Catalog:')[2].strip()}")
    wishes.add("build", "s", done.seconds, wanted=300.0 if large else None)
    most = max(done.together, done.peak)
    wishes.add("memory of the build", "MB", most / MB, wanted=2**30 / MB if large else None)
    memory = f"memory      {done.together / MB:,.0f} MB, the parent alone {done.peak / MB:,.0f} MB"
    if large:
        wishes.check(memory, held=max(done.peak, done.together) < 2**30, wanted="< 1 GiB")
    else:
        print(f"  {memory}")


def measure(folder: Path, datasets: int, wishes: Wishes, *, peers: bool) -> None:
    """One size, all of it."""
    prepare(folder)
    made = make_catalog(folder / "exports", datasets)
    print(f"== {datasets:,} datasets: {made.records:,} records of {len(made.accounts)} accounts")
    wishes.datasets = datasets
    crawled = crawl(folder, made)
    wishes.add("crawl of exported repositories, all proven", "s", crawled.seconds)
    print(f"  crawl       {crawled.seconds:.1f} s, {made.records:,} records, all proven, {crawled.peak / MB:,.0f} MB")
    shutil.rmtree(folder / "exports")
    (folder / "exports").mkdir()
    done = build(folder)
    show_build(done, datasets, wishes)
    pages = show_sizes(folder / "site", datasets, wishes)
    print(f"  pages       {pages:,}, {pages / done.seconds:,.0f} a second, everything counted")
    first = hashes(folder / "site")
    again = build(folder)
    second = hashes(folder / "site")
    differing = sorted(path for path in {*first, *second} if first.get(path) != second.get(path))
    wishes.add("files that differ when built again", "", len(differing), wanted=0.0)
    text = f"once more   {again.seconds:.1f} s; {len(differing)} of {len(second):,} files differ {differing[:3] or ''}"
    wishes.check(text, held=not differing, wanted="none")
    if peers and datasets == WITH_MKDOCS:
        against_mkdocs(folder, wishes)
    if peers and datasets == WITH_HUGO:
        against_hugo(folder, wishes)


def fastest(*makes: Callable[[], Ran]) -> list[Ran]:
    """The fastest of some builds of each kind; they take turns, so that a busy minute meets them all."""
    rounds = [[make() for make in makes] for _ in range(TIMES)]
    return [min(each, key=lambda done: done.seconds) for each in zip(*rounds, strict=True)]


def graph_of(folder: Path) -> Graph:
    """Return the contents of the store."""
    with Store.open(folder / "store.sqlite") as store:
        return Graph.from_store(store)


def against_mkdocs(folder: Path, wishes: Wishes) -> None:
    """Seconds a page: what a site with all datasets takes more than one without any, by its number of pages."""
    markdown, empty, none = folder / "markdown", folder / "empty", folder / "none"
    write_mkdocs(empty, None)
    count = write_mkdocs(markdown, graph_of(folder))
    prepare(none)
    with Store.open(none / "store.sqlite"):
        pass
    bare, theirs, nothing, ours = fastest(
        lambda: mkdocs(empty), lambda: mkdocs(markdown), lambda: build(none, "quiet"), lambda: build(folder, "quiet")
    )
    pages = [sum(is_page(path) for path, _ in files_of(site / "quiet")) for site in (folder, none)]
    each = (theirs.seconds - bare.seconds) / count, (ours.seconds - nothing.seconds) / (pages[0] - pages[1])
    for name, done, without, number, bare_number, ms in (
        ("Markdown", theirs, bare, count + 1, 1, each[0] * 1000),
        ("ours", ours, nothing, pages[0], pages[1], each[1] * 1000),
    ):
        print(
            f"  {name:11} {done.seconds:.2f} s ({done.cpu:.1f} of the processors) for {number:,} pages, "
            f"{without.seconds:.2f} s for {bare_number}: "
            f"{ms:.2f} ms a page"
        )
    print(f"  whole builds {theirs.seconds / ours.seconds:.1f} times as fast")
    ratio = each[0] / each[1]
    peer = f"{named('mkdocs', 'MkDocs')} with Material {version('mkdocs-material')}, from Markdown"
    wishes.add("a page more", "ms", each[1] * 1000, peer=peer, theirs=each[0] * 1000, wanted_ratio=RATIO_MKDOCS)
    wishes.check(
        f"a page      {ratio:.1f} times as fast", held=ratio >= RATIO_MKDOCS, wanted=f"at least {RATIO_MKDOCS:g}"
    )


def against_hugo(folder: Path, wishes: Wishes) -> None:
    """Whole builds of both, search off."""
    if shutil.which("hugo") is None:
        print("  Hugo isn't here: apt-get install hugo")
        wishes.add(HUGO, "s", None, peer="Hugo", wanted_ratio=RATIO_HUGO, note="Hugo isn't installed on this machine")
        return
    build(folder, "quiet")
    count = write_hugo(folder / "hugo", graph_of(folder), folder / "quiet")
    ours, theirs = fastest(lambda: build(folder, "quiet"), lambda: hugo(folder / "hugo"))
    made = sum(1 for _ in (folder / "hugo" / "public" / "datasets").glob("*/*/index.html"))
    if made != count:
        raise SystemExit(f"Hugo made {made} of {count} pages")
    print(f"  Hugo        {theirs.seconds:.2f} s ({theirs.cpu:.1f} s of the processors), {theirs.peak / MB:,.0f} MB")
    print(f"  ours        {ours.seconds:.2f} s ({ours.cpu:.1f} s of the processors), search off")
    ratio = theirs.seconds / ours.seconds
    said = subprocess.run(["hugo", "version"], capture_output=True, text=True, check=True).stdout
    peer = f"Hugo {said.split()[1].partition('+')[0].removeprefix('v').partition('-')[0]}"
    wishes.add(HUGO, "s", ours.seconds, peer=peer, theirs=theirs.seconds, wanted_ratio=RATIO_HUGO)
    wishes.check(f"whole build {ratio:.2f} times as fast", held=ratio >= RATIO_HUGO, wanted=f"at least {RATIO_HUGO:g}")


def available() -> int:
    """Bytes of memory that can be had; 0 where the system doesn't say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return 0 if found is None else int(found[1]) * 1024


@contextmanager
def room(datasets: int, keep: Path | None) -> Iterator[Path]:
    """A folder to work in: in memory where there is room for it, else where temporary files go."""
    if keep is not None:
        yield keep / str(datasets)
        return
    memory = Path("/dev/shm")  # noqa: S108 - a place of its own is made in it
    free = min(available(), shutil.disk_usage(memory).free) if memory.is_dir() else 0
    fits = free > datasets * ROOM
    with TemporaryDirectory(prefix="bench-site-", dir=memory if fits else None) as folder:
        if not fits:
            print("(on a disk: there is no room in memory)")
        yield Path(folder)


def main() -> int:
    """Each size, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--datasets", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--keep", type=Path, help="build here, in a folder for each size, and leave it")
    parser.add_argument("--no-peers", action="store_true", help="neither MkDocs nor Hugo")
    arguments = parser.parse_args()
    wishes = Wishes(results)
    print(f"{os.cpu_count()} cores")
    for datasets in arguments.datasets:
        with room(datasets, arguments.keep) as folder:
            measure(folder, datasets, wishes, peers=not arguments.no_peers)
        sys.stdout.flush()
    results.write(arguments)
    for text in wishes.missed:
        print(f"missed: {text}")
    return 1 if wishes.missed else 0


if __name__ == "__main__":
    sys.exit(main())
