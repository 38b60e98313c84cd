"""The snippets of a page run on the real libraries and yield the samples of the shards."""

from __future__ import annotations

import ast
import gzip
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from catalog.codegen import load_snippets
from catalog.schema.identifiers import attribute_names
from tests import forked
from tests.codegen.test_codegen import HOSTILE, hostile_type
from tests.fakes import serving
from tests.paths import TESTS
from tests.shards.test_tar import tar_of
from tests.snippetcatalog import ROOT, UNKIND_FIELDS, Pages, Shown, catalog_pages, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Network

LABELS = ["Python", "Typed Python", "WebDataset", "PyTorch", "Ray Data", "Hugging Face", "TypeScript"]
NODE_MODULES = TESTS / "typescript" / "node_modules"


@pytest.fixture(scope="module")
def pages(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The pages of the example catalog and of two unkind datasets."""
    yield from catalog_pages(network, tmp_path_factory.mktemp("snippets"))


# What is put behind a program, to write down what it has in hand: `found` are samples as dicts.
WRITE = """
import json as _json, sys as _sys
from tests.snippetcatalog import plain as _plain
_json.dump(_plain(list(found)), open(_sys.argv[1], "w"))
"""
OURS = """
found = [{wire: getattr(sample, name) for wire, name in NAMES.items()} for sample in dataset.head(3)]
"""
FIRST = {
    "Python": OURS,
    "WebDataset": "\nfound = itertools.islice(dataset, 3)\n",
    "PyTorch": "\nif __name__ == '__main__':\n    found = [row for batch in loader for row in rows(batch)]\n",
}
ROWS = """
def rows(batch):
    columns = {name: untensored(column) for name, column in batch.items()}
    return [dict(zip(columns, row)) for row in zip(*columns.values(), strict=True)]


def untensored(value):
    if isinstance(value, list):
        return [untensored(inner) for inner in value]
    return value.numpy() if hasattr(value, "numpy") else value
"""
MANY = """
import json, os, sys, traceback
from tests.snippetcatalog import plain

{start}
for path in sys.argv[1:]:
    print("##", path, flush=True)
    space = {{"__name__": "__main__", "__file__": path}}
    exec(compile(open(path).read(), path, "exec"), space)
    json.dump(plain(list(space["dataset"].take(3))), open(path + ".json", "w"))
"""
RAY = "import ray; ray.init(num_cpus=1, include_dashboard=False, object_store_memory=10**8, log_to_driver=False)"
DUMP = """
import { writeFileSync } from "node:fs";
const found: unknown[] = [];
for await (const sample of samples()) {
  found.push(sample);
  if (found.length === 3) {
    break;
  }
}
const isRaw = (value: object) => value instanceof Uint8Array;
const written = (value: unknown): unknown =>
  typeof value === "bigint" ? Number(value)
  : typeof value !== "object" || value === null ? value
  : "dtype" in value && "data" in value ? { ...value, data: Array.from(value.data as number[], (n) => n) }
  : isRaw(value) ? { hex: Buffer.from(value as Uint8Array).toString("hex") }
  : Array.isArray(value) ? value.map(written)
  : Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, written(inner)]));
writeFileSync(process.argv[2] ?? "", JSON.stringify(written(found)));
"""


def test_every_page_has_them_all(pages: Pages) -> None:
    datasets = dict.fromkeys(one.dataset for one in pages.shown)
    assert len(datasets) == 6
    for dataset in datasets:
        labels = [one.label for one in pages.shown if one.dataset == dataset]
        assert labels == [label for label in LABELS if label != "Typed Python" or dataset != "Unknown to the catalog"]


PRELOADED = {"Python": ["numpy"], "WebDataset": ["webdataset"], "PyTorch": ["torch"]}
"""What a program of each kind imports first."""


def python(shown: Shown, pages: Pages, folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """A process that runs the code, in a folder of its own."""
    folder.mkdir()
    script = folder / f"{shown.stem}.py"
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, script.name, "found.json"]
    done = forked.run(command, preload=PRELOADED[shown.label], cwd=folder, env=pages.environment, timeout=120)
    assert done.returncode == 0, (shown.dataset, done.stderr)
    return done


def first(shown: Shown) -> list[Any]:
    """The values that a program must have after three samples."""
    return list(map(_comparable, plain(list(shown.samples[:3]))))


def _as_ray_has_it(sample: dict[str, Any]) -> dict[str, Any]:
    """Ray makes lists of numbers of the arrays in a list, which the program says."""
    return sample | ({"images": [one["data"] for one in sample["images"]]} if "images" in sample else {})


def _comparable(sample: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(json.dumps(sample))
    return read


@pytest.mark.parametrize("label", ["Python", "WebDataset", "PyTorch"])
def test_a_program_alone_in_a_process_yields_the_samples(pages: Pages, label: str, tmp_path: Path) -> None:
    def check(shown: Shown) -> None:
        folder = tmp_path / shown.stem
        names = f"\nNAMES = {attribute_names(shown.samples[0])!r}\n"
        more = names + FIRST[label] + (f"    {WRITE.strip()}".replace("\n", "\n    ") if label == "PyTorch" else WRITE)
        ran = python(shown, pages, folder, shown.code + (ROWS if label == "PyTorch" else "") + more)
        found = json.loads((folder / "found.json").read_text("utf-8"))
        if label == "PyTorch":  # two workers: every sample once, in an order of their own
            expected = [_comparable(sample) for sample in plain(list(shown.samples))]
            assert _sorted(found) == _sorted(expected), shown.dataset
        else:
            assert found == first(shown), shown.dataset
        assert ran.stdout.strip(), "it prints them too"

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(check, pages.of(label)))


def _sorted(samples: list[Any]) -> list[str]:
    return sorted(json.dumps(_with_floats(sample), sort_keys=True) for sample in samples)


def _with_floats(sample: dict[str, Any]) -> dict[str, Any]:
    """Stacking makes float64 of numbers of which some are whole."""
    return {name: float(value) if isinstance(value, int) else value for name, value in sample.items()}


@pytest.mark.parametrize(("label", "start"), [("Ray Data", RAY), ("Hugging Face", "")])
def test_programs_that_take_long_to_start_yield_the_samples_in_one_process(
    pages: Pages, label: str, start: str, tmp_path: Path
) -> None:
    paths = []
    for shown in pages.of(label):
        paths.append(tmp_path / f"{shown.stem}.py")
        paths[-1].write_text(shown.code, encoding="utf-8")
    runner = tmp_path / "run_them.py"
    runner.write_text(MANY.format(start=start), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, runner, *map(str, paths)],
        cwd=tmp_path, env=pages.environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-4000:]
    for shown, path in zip(pages.of(label), paths, strict=True):
        wanted = list(map(_as_ray_has_it, first(shown))) if label == "Ray Data" else first(shown)
        assert json.loads(Path(f"{path}.json").read_text("utf-8")) == wanted, shown.dataset


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where TypeScript is compiled."""
    if shutil.which("node") is None or not NODE_MODULES.is_dir():
        pytest.fail("run `make test`, or `npm ci` in tests/typescript", pytrace=False)
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "node_modules").symlink_to(NODE_MODULES)
    return folder


def compiled(folder: Path, programs: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """All programs by one run of ``tsc --strict``."""
    for stem, code in programs.items():
        (folder / f"{stem}.mts").write_text(code, encoding="utf-8")
    options = {
        "strict": True, "noUncheckedIndexedAccess": True, "exactOptionalPropertyTypes": True, "noUnusedLocals": True,
        "target": "es2022", "lib": ["es2023"], "module": "nodenext", "types": ["node"], "skipLibCheck": True,
        "outDir": "out",
    }  # fmt: skip
    settings = {"compilerOptions": options, "files": [f"{stem}.mts" for stem in programs]}
    (folder / "tsconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    return subprocess.run(
        ["node", "node_modules/typescript/bin/tsc"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_typescript_compiles_strictly_and_yields_the_samples(pages: Pages, node: Path) -> None:
    made = compiled(node, {shown.stem: shown.code + DUMP for shown in pages.of("TypeScript")})
    assert made.returncode == 0, made.stdout
    for shown in pages.of("TypeScript"):
        found = node / f"{shown.stem}.json"
        ran = subprocess.run(
            ["node", f"out/{shown.stem}.mjs", found],
            cwd=node, env=pages.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, (shown.dataset, ran.stderr)
        assert json.loads(found.read_text("utf-8")) == first(shown), shown.dataset


def test_typescript_decompresses_shards(tmp_path: Path, node: Path) -> None:
    """The names of the shards say so; the program has no other way to know."""
    members = [(f"{number}.msgpack", msgpack.packb({"n": number})) for number in range(3)]
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tar_of(*members)))
    with serving(partial(SimpleHTTPRequestHandler)) as start:
        snippets = load_snippets("a", None, None, [f"{start(tmp_path)}a.tar.gz"])
        [code] = [one.code for one in snippets if one.label == "TypeScript"]
        made = compiled(node, {"packed": code})
        assert made.returncode == 0, made.stdout
        ran = subprocess.run(
            ["node", "out/packed.mjs"], cwd=node, capture_output=True, text=True, timeout=60, check=False
        )
    assert ran.stdout.splitlines() == ["{ n: 0 }", "{ n: 1 }", "{ n: 2 }"], ran.stderr


def test_typescript_with_any_text_in_any_place_compiles(node: Path) -> None:
    programs = {}
    for number, text in enumerate((*HOSTILE, "AsyncGenerator", "Readable", "samples", "urls", "NdArray", "Map")):
        urls = [f"https://data.example/{text}"]
        programs[f"hostile{number}"] = load_snippets(text, None, hostile_type(text), urls)[-1].code
    made = compiled(node, programs)
    assert made.returncode == 0, made.stdout[:3000]


def test_the_strict_type_checker_has_nothing_to_say_about_any_python(pages: Pages, tmp_path: Path) -> None:
    libraries = ("ray", "datasets", "torch", "webdataset", "msgpack")
    skipped = "".join(
        f"[mypy-{library}.*]\nignore_missing_imports = True\nfollow_imports = skip\n" for library in libraries
    )
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nstrict = True\nexplicit_package_bases = True\n{skipped}", "utf-8")
    files = []
    for shown in pages.shown:
        if shown.language == "python":
            ast.parse(shown.code)
            files.append(tmp_path / f"{shown.stem}.py")
            files[-1].write_text(shown.code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file=mypy.ini", f"--cache-dir={ROOT / '.mypy_cache'}"]
    done = subprocess.run(
        [*command, *files],
        cwd=tmp_path, env=pages.environment, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    files[0].write_text(files[0].read_text("utf-8") + "\nnothing.at_all\n", encoding="utf-8")  # the control
    assert (
        "nothing"
        in subprocess.run(
            [*command, files[0]], cwd=tmp_path, env=pages.environment, capture_output=True, text=True, check=False
        ).stdout
    )


def test_hostile_fields_are_all_in_the_types(pages: Pages) -> None:
    """The wire names stand in the programs that nothing of ours runs in, as they are, in literals."""
    ours = {"Python", "Typed Python", "PyTorch"}
    for shown in pages.shown:
        if shown.dataset == "unkind" and shown.language == "python" and shown.label not in ours:
            literals = {node.value for node in ast.walk(ast.parse(shown.code)) if isinstance(node, ast.Constant)}
            assert set(UNKIND_FIELDS) <= literals
