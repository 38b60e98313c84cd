"""The JSON Schema of manifests, against the parser: editors say what ``catalog validate`` says, as far as they can."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from catalog.cli import cli
from catalog.errors import InvalidManifest, InvalidSchema
from catalog.manifest import load
from catalog.manifest.blobs import MAX_BLOB
from catalog.manifest.diagnostics import Report
from catalog.manifest.fields import FIELD_KEYS
from catalog.manifest.reader import KEYS, METHODS
from catalog.manifest.shards import KEY_KEYS, SHARD_KEYS, https_fault, shard_url_fault
from catalog.manifest.starter import first_manifest, manifest_schema
from catalog.manifest.storage import BLOB_KEYS, KINDS, S3_KEYS
from catalog.manifest.yaml_parser import Node, compose
from catalog.schema import DTYPES, MAX_FIELDS, ArrayFormat, parse_type, type_text
from catalog.shards.formats import FORMATS
from catalog.syntax.semver import SEMVER
from tests.manifest.test_manifest_faults import MISTAKES, SOUND, folder  # noqa: F401 - a fixture
from tests.paths import ROOT
from tests.strategies import field_types

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.atproto.datamodel import Json
    from catalog.schema import FieldType

SCHEMA: dict[str, Any] = json.loads(manifest_schema())
PARTS: dict[str, Any] = SCHEMA["definitions"]
EDITOR = jsonschema.Draft7Validator(SCHEMA)


def as_editor(node: Node) -> Any:  # noqa: ANN401
    """A value as editors see it. They read YAML 1.2 to the letter: digits with a leading zero are a number there."""
    value = node.value
    if isinstance(value, dict):
        return {key: as_editor(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_editor(item) for item in value]
    if isinstance(value, bytes):
        return node.text
    if node.plain and isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+", value):
        return int(value)
    return value


def editor_refuses(raw: str) -> bool:
    report = Report(Path("m.yaml"))
    return not EDITOR.is_valid(as_editor(compose(raw.encode(), report))) or bool(report.faults())


# --- the schema itself ---------------------------------------------------------------------------------------


def test_it_is_a_json_schema() -> None:
    """Of draft-07, the one that editors know; every reference in it leads somewhere, and nothing lies about."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    used = set(re.findall(r'"#/definitions/([A-Za-z0-9]+)"', manifest_schema()))
    assert used == set(PARTS)


def keys_of(part: str) -> tuple[str, ...]:
    return tuple((SCHEMA if part == "manifest" else PARTS[part])["properties"])


def test_it_has_the_keys_that_the_parser_has() -> None:
    """No key is missing, and none is more; every map is closed."""
    for part, keys in KEYS.items():
        assert set(keys_of(part)) == set(keys)
    assert set(keys_of("longField")) == set(FIELD_KEYS)
    assert (set(keys_of("shard")), set(keys_of("s3Shard"))) == (set(SHARD_KEYS), set(KEY_KEYS))
    assert (set(keys_of("s3")), set(keys_of("blob"))) == (set(S3_KEYS), set(BLOB_KEYS))
    closed = [part for part in (SCHEMA, *PARTS.values()) if "properties" in part]
    assert len(closed) == len(KEYS) + 5
    assert all(part["additionalProperties"] is False for part in closed)
    assert [one["required"] for one in PARTS["dataset"]["oneOf"]] == [[kind] for kind in KINDS]


def test_it_knows_what_the_parser_knows() -> None:
    """Names of methods and formats, languages, dtypes, and the limits."""
    assert PARTS["verification"]["properties"]["method"]["enum"] == list(METHODS)
    assert set(FORMATS) <= set(PARTS["dataset"]["properties"]["format"]["enum"])
    assert PARTS["longField"]["properties"]["format"]["enum"] == list(get_args(ArrayFormat))
    path = ROOT / "lexicons" / "science.alt.dataset.programmingLanguage.json"
    languages = json.loads(path.read_text(encoding="utf-8"))["defs"]["main"]["knownValues"]
    assert PARTS["code"]["properties"]["language"]["anyOf"][0]["enum"] == languages
    assert all(f"{one}|" in PARTS["fieldType"]["pattern"] + "|" for one in DTYPES[:-1])
    assert PARTS["schema"]["properties"]["fields"]["maxProperties"] == MAX_FIELDS
    assert PARTS["blob"]["properties"]["bytes"]["maximum"] == MAX_BLOB


def hovers(part: Json) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each key with what an editor shows for it."""
    if isinstance(part, list):
        for item in part:
            yield from hovers(item)
    if not isinstance(part, dict):
        return
    properties = part.get("properties")
    if isinstance(properties, dict) and "additionalProperties" in part:
        for key, value in properties.items():
            found = value
            while isinstance(found, dict) and "$ref" in found:
                found = PARTS[str(found["$ref"]).rpartition("/")[2]]
            assert isinstance(found, dict)
            yield key, found
    for item in part.values():
        yield from hovers(item)


def test_every_key_is_explained_on_hover() -> None:
    """One sentence at least, and for what is written by hand an example or the choices."""
    found = list(hovers(SCHEMA))
    assert len(found) > 60
    for key, shown in found:
        assert len(shown.get("description", "")) > 12, key
        assert shown["description"].endswith((".", "/")) or key == "set", key
    described = {
        "description",
        "dataset",
        "source",
        "target",
        "getter",
        "putter",
        "bytes",
        "sha256",
        "commit",
        "optional",
    }
    sections = {*KEYS["manifest"], "shards", "s3", "blobs", "keys", "lens_commit"}
    for key, shown in found:
        if key not in described | sections:
            assert any(word in json.dumps(shown) for word in ('"examples"', '"enum"')), key


def test_patterns_are_never_shown_to_people() -> None:
    """Wherever an editor would show a regular expression it has words instead."""

    def walk(part: Json) -> Iterator[dict[str, Any]]:
        if isinstance(part, dict):
            yield part
        for item in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from walk(item)

    texts = [part for part in walk(SCHEMA) if "pattern" in part and "string" in part.get("type", ())]
    assert len(texts) > 20
    assert all(len(part["patternErrorMessage"]) > 12 for part in texts)


def test_its_examples_are_valid() -> None:
    """An example of a value is one."""
    for key, shown in hovers(SCHEMA):
        own = jsonschema.Draft7Validator({**shown, "definitions": PARTS})
        for one in shown.get("examples", ()):
            assert own.is_valid(one), (key, one)


def test_the_command_prints_it() -> None:
    """Byte for byte, so that its output may be a file."""
    result = CliRunner().invoke(cli, ["manifest", "schema"])
    assert (result.exit_code, result.output) == (0, manifest_schema())


# --- what people begin with ----------------------------------------------------------------------------------


def test_the_first_manifest_is_valid_as_it_stands(tmp_path: Path) -> None:
    """In the parser and in the editor, which finds its schema by the first line."""
    text = first_manifest()
    (tmp_path / "m.yaml").write_text(text, encoding="utf-8")
    found = load([tmp_path])
    assert [len(part) for part in (found.schemas, found.datasets, found.lenses)] == [1, 1, 0]
    assert not editor_refuses(text)
    assert text.splitlines()[0] == "# yaml-language-server: $schema=manifest.schema.json"


def test_what_the_first_manifest_has_as_comments_is_valid_too(tmp_path: Path) -> None:
    """Without the # before them the second schema and the lens are sound, and so are the other keys."""
    text = re.sub(r"^( *)# (?=\s*(?:- |[a-z_]+:(?: |$)))", r"\1", first_manifest(), flags=re.MULTILINE)
    text = text.replace("yaml-language-server:", "# ")
    text = text.replace('local: "data/measurements-{000000..000003}.tar"', 'local: "m-{000000..000003}.tar"')
    (tmp_path / "m.yaml").write_text(text, encoding="utf-8")
    found = load([tmp_path])
    assert [len(part) for part in (found.schemas, found.datasets, found.lenses)] == [2, 1, 1]
    assert found.datasets[0].samples == 4000
    assert all(shard.local is not None for shard in found.datasets[0].shards)
    assert not editor_refuses(text)


# --- the same verdict ----------------------------------------------------------------------------------------

GOOD = [
    *sorted((ROOT / "examples" / "manifests").glob("*.y*ml")),
    *sorted((ROOT / "tests" / "data" / "manifests" / "good").glob("*.y*ml")),
    ROOT / "tests" / "data" / "manifests" / "sound.yaml",
]


@pytest.mark.parametrize("file", GOOD, ids=[file.name for file in GOOD])
def test_what_the_parser_takes_the_editor_takes(file: Path) -> None:
    """Every manifest of the examples and of these tests."""
    assert not editor_refuses(file.read_text(encoding="utf-8"))
    assert len(GOOD) > 6


ONLY_THE_PARSER = {
    # names that lead nowhere, in this file or in others
    "missing schema", "missing schema version", "missing target", "missing lens", "a label of no dataset",
    "a label of nothing like a dataset",
    # what stands twice, but for keys and tags
    "duplicate schema", "duplicate dataset", "duplicate lens", "duplicate verification", "duplicates on one line",
    "duplicate label", "the label that a dataset's version makes", "same URL twice", "the same key twice",
    "the same blob twice", "copies of the same name",
    # one place that must fit another
    "dimension names", "dimensions of a scalar", "a format of a scalar", "other count of copies",
    "other count of copies of keys", "one checksum for three", "one checksum for three keys",
    "one checksum for two blobs",
    # what numbers and URLs mean
    "backward range", "endless range", "a key that runs backwards", "copies that run backwards", "copies without end",
    "a star and a range",
    "URL beyond ASCII", "bad port", "bad IPv6 host", "endless number",
    # what is on the disk
    "no such file", "no such folder", "nothing like the folder", "no such folder in a folder",
    "a folder for copies", "a blob that is too large",
    "a blob that is empty", "blobs that match nothing",
    # the text of a number
    "sha256 of seven digits", "samples with a leading zero", "samples with an exponent",
    # where a number may stand is nobody's but the lexicon's
    "float in a record", "a number beyond floats",
}  # fmt: skip
NOT_YAML = {
    "tab", "open bracket", "Python object", "another tag", "a tag of YAML 1.1", "no such anchor",
    "anchor inside itself", "map for a key", "second document",
}  # fmt: skip


@pytest.mark.parametrize("title", sorted(set(MISTAKES) - NOT_YAML))
def test_the_editor_finds_each_mistake_that_an_editor_can_find(title: str) -> None:
    """Of the table of mistakes all but those that only the parser can know; the list of them is exact."""
    text, _ = MISTAKES[title].manifest()
    assert editor_refuses(text) == (title not in ONLY_THE_PARSER)


def test_the_lists_of_mistakes_are_of_the_table() -> None:
    """No title in them that the table hasn't, and what isn't YAML isn't."""
    assert set(MISTAKES) >= ONLY_THE_PARSER | NOT_YAML
    for title in NOT_YAML:
        with pytest.raises(InvalidManifest):
            compose(MISTAKES[title].manifest()[0].encode(), Report(Path("m.yaml")))


TREE: dict[str, Any] = as_editor(compose(SOUND.encode(), Report(Path("m.yaml"))))
ONLY_THE_PARSER_SAYS = re.compile(
    r"there is no (schema|lens|dataset) |has no version|duplicate |matches no file|names no file|"
    r"dimension names for a shape of|(is|are) for arrays only|'local' expands to \d+ files|one '(sha256|bytes)' for|"
    r"bytes; the most is \d+$|is not an? (AT-URI|CID|https URL|dimension)|unknown field type .*\[|"
    r"the range is reversed|records have no floats|"
    r"must be (64|40) hexadecimal digits|is no name for a set|characters that can't be seen"
)
"""Faults that no schema detects: other places, the disk, matching brackets, parts of URLs, unprintable characters."""

ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**54),
    st.sampled_from([0.5, -1.25]),
    st.sampled_from(["", " ", "x", "a b", "1.0.0", "Sample@1.0.0", "int", "list[int]", "digits", "same", "data/*.tar"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Cn"]), max_size=5),
    st.lists(st.sampled_from([1, "x", None]), max_size=2),
    st.dictionaries(st.sampled_from(["x", "name", "local", "key"]), st.sampled_from([1, "x"]), max_size=2),
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def at(value: Any, path: tuple[str | int, ...]) -> Any:  # noqa: ANN401
    for key in path:
        value = value[key]
    return value


@st.composite
def changed_trees(draw: st.DrawFn) -> Any:  # noqa: ANN401
    """The sound manifest with one or two things taken away, put in another's place, or added."""
    tree = copy.deepcopy(TREE)
    for _ in range(draw(st.integers(1, 2))):
        if not tree:
            break
        path = draw(st.sampled_from([path for path in places(tree) if path]))
        holder = at(tree, path[:-1])
        match draw(st.sampled_from(["delete", "delete", "replace", "add", "swap"])):
            case "delete":
                del holder[path[-1]]
            case "replace":
                holder[path[-1]] = draw(ANYTHING)
            case "swap":
                holder[path[-1]] = copy.deepcopy(at(tree, draw(st.sampled_from(list(places(tree))))))
            case "add" if isinstance(holder, dict):
                known = [key for keys in KEYS.values() for key in keys]
                holder[draw(st.sampled_from([*known, *S3_KEYS, *BLOB_KEYS, "x", ""]))] = draw(ANYTHING)
            case _:
                if isinstance(holder, list):
                    holder.append(draw(ANYTHING))
    return tree


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=changed_trees())
def test_parser_and_editor_agree_on_manifests_that_nobody_wrote(folder: Path, tree: Any) -> None:  # noqa: ANN401, F811
    """The editor accepts all that the parser accepts, and refuses all that a schema can detect."""
    (folder / "m.yaml").write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")
    told: list[str] = []
    try:
        load([Path("m.yaml")])
    except InvalidManifest as error:
        told = [str(fault) for fault in error.faults]
    refused = list(EDITOR.iter_errors(tree))
    event("refused by both" if told and refused else "taken by both" if not told and not refused else "parser's")
    if not told:
        assert not refused
    if not refused:
        assert all(ONLY_THE_PARSER_SAYS.search(one) for one in told), told


# --- texts with a grammar ------------------------------------------------------------------------------------


@given(type_=field_types, optional=st.booleans())
def test_every_type_has_a_text_that_the_editor_takes(type_: FieldType, *, optional: bool) -> None:
    """The text of a type on pages is valid in manifests, and vice versa."""
    text = type_text(type_, optional=optional)
    parse_type(text)
    assert TYPE.search(text)


TYPE = re.compile(PARTS["fieldType"]["pattern"])
TYPE_PIECES = ["list", "[", "]", "int", "str", "array", "uint8", ",", "*", "8", " ", "?", "x", "[*", "list[", "0123"]


@settings(max_examples=500)
@given(text=st.lists(st.sampled_from(TYPE_PIECES), max_size=9).map("".join))
def test_types_that_only_the_parser_refuses_have_odd_brackets(text: str) -> None:
    """The pattern counts no brackets; in all else it is the grammar."""
    try:
        parse_type(text)
        fine = True
    except InvalidSchema:
        fine = False
    if fine:
        assert TYPE.search(text)
    elif TYPE.search(text):
        assert text.count("[") != text.count("]") or re.search(r"^\s*(\[|list\s*\])", text) or "?" in text


VERSION = re.compile(PARTS["dataset"]["properties"]["version"]["pattern"])


@settings(max_examples=200)
@given(text=st.from_regex(SEMVER, fullmatch=True) | st.text("01.-+aZ", max_size=12))
def test_versions_are_the_same_for_both(text: str) -> None:
    """The pattern is semver's own grammar."""
    assert bool(VERSION.search(text)) == bool(SEMVER.fullmatch(text))


URL_PIECES = [
    "https://", "HTTPS://", "http://", "example.org", "/", "a", "{0..2}", "{", "}", "@", ":", "8", "?", "#", " ", "[",
    "]", "é", "|", "..", "%20",
]  # fmt: skip


@settings(max_examples=500)
@given(text=st.lists(st.sampled_from(URL_PIECES), max_size=7).map("".join))
@example(text="https://d{0..2}.example.org/{0..1}?x={0..1}")
@example(text="https://example.org?x")
@pytest.mark.parametrize("key", ["url", "endpoint"])
def test_addresses_that_the_parser_takes_the_editor_takes(key: str, text: str) -> None:
    """And what it takes beyond is only what a port, a host or a range may be."""
    pattern = PARTS["shard" if key == "url" else "s3"]["properties"][key]["pattern"]
    bare = re.sub(r"\{[0-9]+\.\.[0-9]+\}", "0", text) if key == "url" else text
    fault = shard_url_fault(bare, verified=True) if key == "url" else https_fault(bare)
    fine = fault is None and (key != "url" or not re.search(r"[{}]", bare))
    if fine:
        assert re.search(pattern, text)
    elif re.search(pattern, text):
        assert ":" in text[8:] or re.search(r"[][]", text)


@pytest.mark.parametrize("file", sorted((ROOT / "examples" / "manifests").glob("*.yaml")), ids=lambda file: file.stem)
def test_an_editor_finds_the_schema_that_an_example_names(file: Path) -> None:
    """By its first line, from where the example lies in the repository."""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    _, equals, path = first.partition("# yaml-language-server: $schema=")
    assert equals, first
    assert (file.parent / path).read_text(encoding="utf-8") == manifest_schema()
