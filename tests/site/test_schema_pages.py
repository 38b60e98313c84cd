"""Pages of schemas and lenses: fields, code, versions and their verdicts, ways through lenses, how to use a lens."""

from __future__ import annotations

import ast
import html
import itertools
import json
import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import catalog.client
from catalog.cli import cli
from catalog.client import FoundSchema
from catalog.records import DATASET, LENS, SCHEMA
from catalog.samples.packable import class_from
from catalog.samples.write_shards import write_shards
from catalog.schema import Field, SampleType, Scalar, compare, parse_type
from catalog.site.fieldrows import paired
from catalog.site.pages.dataset import dataset_page
from catalog.site.pages.lens import lens_page
from catalog.site.pages.schema import CODE, Code, lens_paths, schema_page
from catalog.site.versions import OTHERS, others
from catalog.syntax import AtUri
from tests.counting import calls
from tests.hostilerecords import PAYLOADS, hostile_records
from tests.lenses.test_lenscode import LENSES, Repository, repository
from tests.schema.test_compatibility import ROWS
from tests.schemagraphs import graph_of, lens, lens_named, network_of, schema_named, schema_of, templates_of
from tests.sitecatalog import DID, dataset, schema, uri

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalog.atproto.datamodel import Json
    from catalog.store.graph import Graph, LensNode, SchemaNode
    from tests.conftest import Network

__all__ = ["repository"]


def fields(*texts: str) -> tuple[Field, ...]:
    """``"x int?"`` and so on."""
    parsed = [(name, parse_type(type_)) for name, _, type_ in (text.partition(" ") for text in texts)]
    return tuple(Field(name=name, type=type_, optional=optional) for name, (type_, optional) in parsed)


def wave(version: str, *texts: str) -> SampleType:
    return SampleType(name="Wave", version=version, fields=fields(*texts))


VERSIONS = [
    wave("1.0.0", "signal array[float32, 2, *]", "heard str"),
    wave("1.10.0", "signal array[float32, 2, *]", "heard str", "gain float?"),
    wave("1.9.0", "signal array[float32, 2, *]", "heard str", "noise list[int]?"),
    wave("2.0.0", "signal array[float64, 2, *]", "heard str?", "gain float"),
    wave("2.0.1", "signal array[float64, 2]", "gain float"),
]


@pytest.fixture
def versions(tmp_path: Path) -> Graph:
    return graph_of(tmp_path / "store.sqlite", [(SCHEMA, f"Wave:{one.version}", schema_of(one)) for one in VERSIONS])


def words(text: str) -> str:
    """Return the visible text of HTML."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text))).strip()


# --- fields and code -----------------------------------------------------------------------------------------


def test_each_field_says_type_dtype_shape_with_its_dimensions_and_meaning(tmp_path: Path) -> None:
    graph = graph_of(tmp_path / "store.sqlite", [(SCHEMA, "Wave:1.0.0", schema())])
    table = re.search(r"<table.*?</table>", schema_page(templates_of(graph), graph.schemas[0]).body, re.DOTALL)
    assert table is not None
    rows = [words(row) for row in re.findall(r"<tr>.*?</tr>", table[0], re.DOTALL)]
    assert rows == [
        "Field Type Dtype Shape Description",
        "signal array float32 channel 2 × time any Pressure, in pascal.",
        "heard str",
        "gain optional float",
    ]


def test_a_schema_in_another_language_is_shown_as_it_is(tmp_path: Path) -> None:
    """Its page has the body instead of fields and code; a dataset with it has a page and programs for dicts."""
    body: Json = {"$type": f"{SCHEMA}#avro", "type": "record", "name": "<Wave>", "fields": [{"name": "\u202ex"}]}
    records = [
        (SCHEMA, "Wave:1.0.0", schema(schemaType="avro", schema=body)),
        (SCHEMA, "Wave:1.1.0", schema(version="1.1.0")),
        (DATASET, "3kone", dataset(1, schemaRef=str(uri(SCHEMA, "Wave:1.0.0")))),
    ]
    graph = graph_of(tmp_path / "store.sqlite", records)
    assert graph.refused == ()
    templates = templates_of(graph)
    node = next(one for one in graph.schemas if one.record.sample_type.foreign is not None)
    page = schema_page(templates, node)
    shown = re.search(r'data-language="json">(.*?)</code>', page.body, re.DOTALL)
    assert shown is not None
    assert json.loads(html.unescape(shown[1]).replace("⟨U+202E⟩", "\u202e")) == body
    assert [name for name, _ in page.files] == ["index.json"]
    assert not re.findall(r'id="(?:code|versions)"', page.body)
    assert "avro" in words(page.body)
    assert others(graph.schemas[0] if node is graph.schemas[1] else graph.schemas[1]) == (None, ())
    beside = dataset_page(templates, graph.datasets[0])
    assert "another language than JSON Schema" in words(beside.body)
    assert "from catalog import Dataset" in words(beside.body)


@pytest.mark.parametrize("code", CODE, ids=lambda code: code.language)
def test_the_code_beside_a_page_is_what_the_command_gives(
    versions: Graph, monkeypatch: pytest.MonkeyPatch, code: Code
) -> None:
    """Byte for byte; Python is in the page, too."""
    node = schema_named(versions, "Wave")
    found = FoundSchema(sample_type=node.record.sample_type, uri=node.uri, cid=node.cid, where=str(node.uri))  # type: ignore[arg-type]
    monkeypatch.setattr(catalog.client, "find_schemas", lambda _: (found,))
    told = CliRunner().invoke(cli, ["codegen", str(node.uri), "--lang", code.language])
    page = schema_page(templates_of(versions), node)
    assert told.exit_code == 0
    assert dict(page.files)[code.file] == told.output
    assert f'href="{code.file}" download="wave.{code.suffix}"' in page.body
    shown = re.search(r'<code data-copy-source data-language="python">(.*?)</code>', page.body, re.DOTALL)
    assert shown is not None
    if code.language == "python":
        assert html.unescape(re.sub(r"<[^>]+>", "", shown[1])) == told.output


# --- versions ------------------------------------------------------------------------------------------------


def test_verdicts_equal_those_of_the_command(versions: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every pair of versions: of the whole, and the bump; the other direction is never shown."""
    types = {one.version: one for one in VERSIONS}
    monkeypatch.setattr(
        catalog.client, "find_schemas",
        lambda text: (FoundSchema(sample_type=types[text], uri=None, cid=None, where=text),),
    )  # fmt: skip
    seen = set()
    for node in versions.schemas:
        first, rest = others(node)
        for found in (*([first] if first else []), *rest):
            old, new = (side.record.sample_type.version for side in (found.old, found.new))
            seen.add((old, new))
            told = CliRunner().invoke(cli, ["compat", old, new, "--json"])
            answer = json.loads(told.stdout)
            assert [str(value) for value, _ in found.readings] == [answer["readersOfOld"], answer["readersOfNew"]]
            assert found.needed[0] is answer["ok"] is (told.exit_code == 0)
            assert answer["bump"] in found.needed[1]
            assert found.row_total == len(
                {re.sub(r"(\[\])*$", "", one["field"]) for one in answer["changes"] if one["field"]}
            )
    ordered = ["1.0.0", "1.9.0", "1.10.0", "2.0.0", "2.0.1"]
    assert seen == set(itertools.combinations(ordered, 2)), "each pair, the older one first, by semver"


@pytest.mark.parametrize(("old", "new", "kind"), [row[:3] for row in ROWS if row[0].name == row[1].name])
def test_every_kind_of_change_is_shown_with_its_verdicts(
    tmp_path: Path, old: SampleType, new: SampleType, kind: object
) -> None:
    new = replace(new, version="2.0.0")
    graph = graph_of(tmp_path / "store.sqlite", [(SCHEMA, f"x:{one.version}", schema_of(one)) for one in (old, new)])
    newer, older = schema_named(graph, old.name).versions
    comparison = compare(older.record.sample_type, newer.record.sample_type)
    assert kind in {change.kind for change in comparison.changes}, "it survives the wire"
    body = schema_page(templates_of(graph), newer).body
    for change in comparison.changes:
        if not change.field:
            assert re.search("description of the schema|order of the fields", words(body))
        else:
            row = re.findall(r'<li><p class="cat-diff__name">.*?</li>', body, re.DOTALL)[0]
            assert change.rule.says in words(row)
            fates = {"is new": "added", "was removed": "removed"}
            fate = next((fate for start, fate in fates.items() if change.rule.says.startswith(start)), "changed")
            assert words(row).startswith(fate)
            assert re.findall(r"cat-verdict--(\w+)", row) == [
                str(comparison.readers_of_old), str(comparison.readers_of_new),
            ]  # fmt: skip
            assert words(row).endswith(f"requires a {comparison.bump} version")


def test_the_diff_stands_side_by_side_and_other_versions_have_their_places(versions: Graph) -> None:
    body = schema_page(templates_of(versions), schema_named(versions, "Wave", "2.0.0")).body
    assert "There is a newer version: 2.0.1 ." in words(body)
    assert re.findall(r'id="with-([^"]+)"', body) == ["1.10.0", "2.0.1", "1.9.0", "1.0.0"]
    first = body[body.index('id="with-1.10.0"') : body.index('id="with-2.0.1"')]
    sides = [words(side) for side in re.findall(r'<div class="cat-diff__side .*?</div>', first, re.DOTALL)]
    assert sides[:2] == ["1.10.0 array[float32, 2, *] 2 × any", "2.0.0 array[float64, 2, *] 2 × any"]
    assert "Code for 2.0.0 can’t read all data written as 1.10.0." in words(first)
    assert "These changes require a major version (the first number grows), and 2.0.0 is one." in words(first)
    assert "2.0.1 is too little for a major change of 2.0.0: at least 3.0.0" in words(body)


def test_sixty_versions_and_ten_thousand_fields_make_no_large_page(tmp_path: Path) -> None:
    many = SampleType(
        name="Wide", version="1.0.0", fields=fields(*(f"f{n} array[uint8, {n + 1}]" for n in range(9999)))
    )
    records = [(SCHEMA, f"Wide:1.{n}.0", schema_of(replace(many, version=f"1.{n}.0"))) for n in range(2)]
    records += [
        (SCHEMA, f"Wave:1.{n}.0", schema_of(wave(f"1.{n}.0", *(f"g{n}_{i} int" for i in range(100)))))
        for n in range(60)
    ]
    graph = graph_of(tmp_path / "store.sqlite", records)
    templates = templates_of(graph)
    wide, middle = (
        schema_page(templates, schema_named(graph, *asked)) for asked in (("Wide", "1.1.0"), ("Wave", "1.30.0"))
    )
    assert [name for name, _ in wide.files] == ["index.json"], "no code of ten thousand fields"
    assert "The first 300 of 9,999 fields" in words(wide.body)
    assert len(wide.body) < 90_000
    assert middle.body.count('id="with-') == OTHERS + 1, "the version before, and the newest"
    assert len(middle.body) < 260_000
    assert "The first 100 of 200 changed fields" in words(middle.body)


def test_the_work_for_a_page_does_not_grow_with_the_number_of_versions(tmp_path: Path) -> None:
    """A site renders a page for each version: its time grows with their number, not with the square of it."""
    work = {}
    for total in (120, 480):
        records = [(SCHEMA, f"Wave:1.{n}.0", schema_of(wave(f"1.{n}.0", "gain int"))) for n in range(total)]
        graph = graph_of(tmp_path / f"{total}.sqlite", records)
        templates, oldest = templates_of(graph), schema_named(graph, "Wave", "1.1.0")
        schema_page(templates, oldest)  # what is computed once
        assert len({id(node.versions) for node in graph.schemas}) == 1
        work[total] = calls(lambda: schema_page(templates, oldest))  # noqa: B023 - called at once
    assert work[480] < work[120] * 1.1


# --- ways ----------------------------------------------------------------------------------------------------


def by_force(schema: SchemaNode, *, backwards: bool, steps: int, most: int) -> tuple[list[tuple[str, list[str]]], bool]:
    """Every walk along every lens; of those to one schema the best, all in order."""
    best: dict[SchemaNode, tuple[tuple[int, int, list[str]], list[LensNode]]] = {}
    walks: list[tuple[SchemaNode, list[LensNode]]] = [(schema, [])]
    for _ in range(steps):
        walks = [
            (end, [*path, step])
            for here, path in walks
            for step in (here.lenses_to if backwards else here.lenses_from)
            for end in [step.source if backwards else step.target]
            if end is not None
        ]
        for end, path in walks:
            key = (len(path), sum(not step.vouched for step in path), [str(step.uri) for step in path])
            if end is not schema and (end not in best or key < best[end][0]):
                best[end] = key, path
    ranked = sorted(best.items(), key=lambda item: item[1][0])
    told = [(end.rkey, [str(step.uri) for step in (path[::-1] if backwards else path)]) for end, (_, path) in ranked]
    return told[:most], len(told) > most


EDGES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.booleans()), max_size=24)


@given(edges=EDGES, most=st.sampled_from([1, 2, 3, 50]), steps=st.integers(1, 3))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ways_equal_a_search_by_brute_force(
    tmp_path_factory: pytest.TempPathFactory, edges: list[tuple[int, int, bool]], most: int, steps: int
) -> None:
    """Also with circles, several lenses between two schemas, lenses to where they start, and cut short."""
    graph = network_of(tmp_path_factory.mktemp("ways") / "store.sqlite", 8, edges)
    for node in graph.schemas:
        for backwards in (False, True):
            found, more = lens_paths(node, backwards=backwards, longest=steps, most=most)
            told = [(way.end.rkey, [str(step.uri) for step in way.lenses]) for way in found]
            assert (told, more) == by_force(node, backwards=backwards, steps=steps, most=most)
            assert all(way.vouched == all(step.vouched for step in way.lenses) for way in found)


def test_a_page_tells_the_ways_both_ways_with_their_lenses(tmp_path: Path) -> None:
    graph = network_of(tmp_path / "store.sqlite", 4, [(0, 1, True), (1, 2, True), (2, 3, False)])
    templates = templates_of(graph)
    start, end = (words(schema_page(templates, schema_named(graph, name)).body) for name in ("S0", "S3"))
    assert "S2 1.0.0 2 steps: lens 0 → lens 1 verified S3 1.0.0 3 steps: lens 0 → lens 1 → lens 2 unverified" in start
    assert "S1 1.0.0 2 steps: lens 1 → lens 2 unverified S0 1.0.0 3 steps: lens 0 → lens 1 → lens 2 unverified" in end


def test_a_schema_of_two_thousand_lenses_has_a_page_as_large_as_of_fifty(tmp_path: Path) -> None:
    graph = network_of(tmp_path / "store.sqlite", 300, [(0, n % 299 + 1, False) for n in range(2000)])
    page = schema_page(templates_of(graph), schema_named(graph, "S0"))
    assert len(page.body) < 60_000
    assert "The newest 50 of 2,000." in words(page.body)


# --- lenses --------------------------------------------------------------------------------------------------


def test_fields_of_a_lens_are_kept_dropped_changed_or_new_by_their_names() -> None:
    source, target = wave("1.0.0", "a int", "b str", "c float", "d int"), wave("2.0.0", "e bytes", "c float?", "a int")
    rows, total = paired(source, target)
    assert [(row.name, row.fate) for row in rows] == [
        ("a", "kept"), ("b", "dropped"), ("c", "changed"), ("d", "dropped"), ("e", "new"),
    ]  # fmt: skip
    assert (total, len(paired(source, target, most=2)[0])) == (5, 2)


def test_a_lens_page_links_its_code_at_the_pinned_commit(tmp_path: Path) -> None:
    graph = network_of(tmp_path / "store.sqlite", 2, [(0, 1, True)])
    page = lens_page(templates_of(graph), graph.lenses[0])
    assert f'href="https://github.com/example/waves/blob/{"b" * 40}/waves/lens.py"' in page.body
    assert 'href="../../../network/?lens=' in page.body
    assert "codeReview by" in words(page.body)


def program(body: str) -> str:
    """The program on a lens's page."""
    found = re.search(r"<code data-copy-source data-language=\"python\">(.*?)</code>", body, re.DOTALL)
    assert found is not None
    return html.unescape(re.sub(r"<[^>]+>", "", found[1]))


def test_the_program_of_a_lens_page_runs(
    network: Network, repository: Repository, serve: Callable[[Path], str], tmp_path: Path
) -> None:
    """On the real PDS, with real git and a real shard: the samples come out as the lens makes them."""
    commit = repository.commit({
        "pkg/lenses.py": LENSES.format(mark=str(tmp_path / "mark")),
        "pkg/words.py": "def shout(text):\n    return text.upper()\n",
    })  # fmt: skip
    (tmp_path / "shards").mkdir()
    word = SampleType(name="Word", version="1.0.0", fields=fields("text str", "note str?"))
    made_of: Any = class_from(word)
    write_shards([made_of(text="hey", note="n"), made_of(text="ho")], str(tmp_path / "shards" / "words-%06d.tar"))
    account = network.account("lens")
    loud = SampleType(name="Loud", version="1.0.0", fields=fields("text str"))
    made = {}
    for one in (word, loud):
        made[one.name] = network.create_record(account, SCHEMA, schema_of(one), one.name)["uri"]
    code = {"repository": repository.url, "commit": commit, "language": "python"}
    shard = {"url": f"{serve(tmp_path / 'shards')}words-000000.tar", "checksum": {"algorithm": "none", "digest": ""}}
    found = {
        DATASET: {
            "$type": DATASET, "name": "Words", "schemaRef": made["Word"], "createdAt": "2026-11-02T12:00:00.000Z",
            "storage": {"$type": "science.alt.dataset.storageHttp", "shards": [shard]},
        },
        LENS: {
            **lens("x", "y", "loud"), "sourceSchema": made["Word"], "targetSchema": made["Loud"],
            "getterCode": {**code, "path": "pkg/lenses.py:loud"}, "putterCode": {**code, "path": "pkg/lenses.py:quiet"},
        },
    }  # fmt: skip
    addresses = {kind: network.create_record(account, kind, value)["uri"] for kind, value in found.items()}
    ends: dict[str, Json] = {"sourceSchema": str(uri(SCHEMA, "Word")), "targetSchema": str(uri(SCHEMA, "Loud"))}
    graph = graph_of(tmp_path / "store.sqlite", [
        (SCHEMA, "Word", schema_of(word)), (SCHEMA, "Loud", schema_of(loud)),
        (DATASET, "3kwords", {**found[DATASET], "schemaRef": str(uri(SCHEMA, "Word"))}),
        (LENS, "3kloud", {**found[LENS], **ends}),
    ])  # fmt: skip
    for collection, nodes in ((DATASET, graph.datasets), (LENS, graph.lenses)):
        nodes[0].uri = AtUri.parse(addresses[collection])
    code_shown = program(lens_page(templates_of(graph), lens_named(graph, "loud")).body)
    done = subprocess.run([sys.executable, "-c", code_shown], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"text='(\w+)'", done.stdout) == ["HEY", "HO"]


@pytest.mark.parametrize("name", PAYLOADS)
def test_hostile_names_stay_text_in_pages_and_programs(tmp_path: Path, name: str) -> None:
    """Nothing runs, nothing hides, every program parses, and a page stays a page."""
    records = [
        (collection, rkey, {"$type": collection, **bare})
        for collection, rkey, bare in hostile_records(str(DID), PAYLOADS[name])
    ]
    graph = graph_of(tmp_path / "store.sqlite", records)
    assert graph.schemas
    assert graph.lenses
    templates = templates_of(graph)
    pages = [
        *(schema_page(templates, node) for node in graph.schemas),
        *(lens_page(templates, node) for node in graph.lenses),
    ]
    for page in pages:
        assert not re.search(
            r"<(script|img|iframe|b x)|\son\w+=(?![^<]*<)(?=[^>]*>)|javascript:(?=[^<]*\">)", page.body
        )
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u2028\x00]", page.body)
        assert len(page.body) < 200_000
        for file, text in page.files:
            if file.endswith(".py"):
                ast.parse(str(text))
            elif file.endswith(".json"):
                json.loads(text)
    for node in graph.lenses:
        body = lens_page(templates, node).body
        if "data-copy-source data-language" in body:
            ast.parse(program(body).replace("⟨", "").replace("⟩", ""))


def test_a_page_with_all_its_files_is_small_and_takes_little_work(versions: Graph) -> None:
    """A catalog may have five thousand schemas. benchmarks/bench_site.py measures the time."""
    node, templates = schema_named(versions, "Wave", "1.10.0"), templates_of(versions)
    schema_page(templates, node)
    assert calls(lambda: schema_page(templates, node)) < 45_000  # three times what it takes
    page = schema_page(templates, node)
    assert len(page.body) + sum(len(text) for _, text in page.files) < 45_000


def test_the_name_of_a_download_is_plain(tmp_path: Path) -> None:
    odd = SampleType(name="../../x y\"'", version="1.0.0", fields=(Field(name="a", type=Scalar(kind="int")),))
    graph = graph_of(tmp_path / "store.sqlite", [(SCHEMA, "odd", schema_of(odd))])
    names = re.findall(r'download="([^"]*)"', schema_page(templates_of(graph), graph.schemas[0]).body)
    assert len(names) == len(CODE)
    assert all(re.fullmatch(r"[a-z0-9_]+\.[a-z.]+", name) for name in names)
