"""The validator: every constraint of the lexicon language, one fault at a time, and hostile values."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.atproto.lexicon import MAX_FAULTS, Lexicons
from catalog.atproto.lexicon.strings import FORMATS
from catalog.errors import CatalogError, Fault
from tests.counting import calls
from tests.paths import TESTS

if TYPE_CHECKING:
    from pathlib import Path

NSID = "org.example.record"
CID = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
LINK = {"$link": CID}
BLOB = {"$type": "blob", "ref": LINK, "mimeType": "image/png", "size": 3}

VECTORS = TESTS / "data" / "interop" / "syntax"

DEFS = {
    "point": {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}},
    "word": {"type": "string", "maxLength": 5},
    "red": {"type": "token"},
    "tree": {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"type": "ref", "ref": "#tree"}}},
    },
}


def lexicon(field: object, *, required: bool = True, **more: object) -> dict[str, Any]:
    """A lexicon of a record with one field ``f``."""
    record = {"type": "object", "required": ["f"] if required else [], "properties": {"f": field}, **more}
    return {"lexicon": 1, "id": NSID, "defs": {"main": {"type": "record", "key": "any", "record": record}, **DEFS}}


def faults(field: object, value: object, **more: object) -> tuple[Fault, ...]:
    """Return the faults of ``value`` in the field."""
    return Lexicons.of([("test", lexicon(field, required=True, **more))]).validate(NSID, {"$type": NSID, "f": value})


STRING = {"type": "string"}
OPEN = {"type": "union", "refs": ["#point", "#tree"]}
CLOSED = {**OPEN, "closed": True}
PNG = {"type": "blob", "accept": ["image/png"], "maxSize": 3}

# field, a value that passes, a value that doesn't, where, what the message holds
TABLE: list[tuple[dict[str, Any], Any, Any, str, str]] = [
    ({"type": "null"}, None, 0, "f", "expected null, found 0"),
    ({"type": "boolean"}, False, 0, "f", "expected true or false, found 0"),
    ({"type": "boolean"}, True, None, "f", "found null"),
    ({"type": "boolean", "const": False}, False, True, "f", "expected false, found true"),
    ({"type": "boolean", "const": True}, True, False, "f", "expected true, found false"),
    ({"type": "integer"}, 0, True, "f", "expected an integer, found true"),
    ({"type": "integer"}, 1, 1.0, "f", "expected an integer, found 1.0"),
    ({"type": "integer"}, 1, "1", "f", "expected an integer, found '1'"),
    ({"type": "integer"}, 2**53 - 1, 2**53, "f", "2^53"),
    ({"type": "integer"}, -(2**53) + 1, -(2**53), "f", "2^53"),
    ({"type": "integer"}, 1, 10**200, "f", "an integer of 665 bits"),
    ({"type": "integer", "const": 0}, 0, 1, "f", "expected 0, found 1"),
    ({"type": "integer", "maximum": 0}, 0, 1, "f", "expected at most 0, found 1"),
    ({"type": "integer", "minimum": 0}, 0, -1, "f", "expected at least 0, found -1"),
    ({"type": "integer", "enum": [0, 2]}, 0, 1, "f", "expected one of 0, 2, found 1"),
    (STRING, "", None, "f", "expected a string, found null"),
    (STRING, "", 0, "f", "expected a string, found 0"),
    (STRING, "ok", "\ud800", "f", "not Unicode"),
    ({**STRING, "const": ""}, "", "a", "f", "expected '', found 'a'"),
    ({**STRING, "enum": ["a", "b"]}, "b", "c", "f", "expected one of 'a', 'b', found 'c'"),
    ({**STRING, "maxLength": 2}, "é", "éa", "f", "at most 2 bytes of UTF-8, found 3"),
    ({**STRING, "maxLength": 0}, "", "a", "f", "at most 0 bytes"),
    ({**STRING, "minLength": 3}, "éa", "é", "f", "at least 3 bytes of UTF-8, found 2"),
    ({**STRING, "maxGraphemes": 1}, "👩‍👩‍👧‍👦", "ab", "f", "at most 1 graphemes, found 2"),
    ({**STRING, "maxGraphemes": 2}, "e\u0301e\u0301", "e\u0301e\u0301e", "f", "at most 2 graphemes, found 3"),
    ({**STRING, "minGraphemes": 2}, "ab", "👩‍👩‍👧‍👦", "f", "at least 2 graphemes, found 1"),
    ({**STRING, "format": "at-uri"}, "at://did:web:example.org", "at://x", "f", "'at://x' is not an AT-URI"),
    ({**STRING, "format": "datetime"}, "2024-05-17T09:30:00Z", "2024-05-17", "f", "is not a datetime"),
    ({"type": "bytes"}, {"$bytes": "AQI"}, "AQI", "f", "expected bytes, found 'AQI'"),
    ({"type": "bytes"}, {"$bytes": "AQI="}, {"$bytes": "*"}, "f", "expected bytes"),
    ({"type": "bytes", "maxLength": 2}, {"$bytes": "AQI"}, {"$bytes": "AQID"}, "f", "at most 2 bytes, found 3"),
    ({"type": "bytes", "minLength": 2}, {"$bytes": "AQI"}, {"$bytes": ""}, "f", "at least 2 bytes, found 0"),
    ({"type": "cid-link"}, LINK, CID, "f", "expected a CID link, found 'bafy"),
    ({"type": "cid-link"}, LINK, {"$link": "x"}, "f", "expected a CID link"),
    ({"type": "blob"}, BLOB, {**BLOB, "$type": "file"}, "f", "expected a blob, found an object of type 'file'"),
    ({"type": "blob"}, {"cid": CID, "mimeType": "a/b"}, {"cid": "x", "mimeType": "a/b"}, "f.cid", "a CID link"),
    ({"type": "blob"}, BLOB, {**BLOB, "ref": CID}, "f.ref", "expected a CID link"),
    ({"type": "blob"}, BLOB, {**BLOB, "size": -1}, "f.size", "at least 0"),
    ({"type": "blob"}, BLOB, {**BLOB, "size": True}, "f.size", "expected an integer"),
    ({"type": "blob"}, BLOB, {**BLOB, "mimeType": 1}, "f.mimeType", "expected a MIME type"),
    ({"type": "blob"}, BLOB, "blob", "f", "expected a blob, found 'blob'"),
    (PNG, BLOB, {**BLOB, "size": 4}, "f.size", "at most 3 bytes"),
    (PNG, BLOB, {**BLOB, "mimeType": "*/*"}, "f.mimeType", "expected 'image/png', found '*/*'"),
    (PNG, BLOB, {"cid": CID, "mimeType": "text/html"}, "f.mimeType", "expected 'image/png'"),
    ({**PNG, "accept": ["image/*"]}, BLOB, {**BLOB, "mimeType": "imagex/png"}, "f.mimeType", "image/*"),
    ({**PNG, "accept": ["*/*"]}, {**BLOB, "mimeType": "text/plain"}, {**BLOB, "size": 9}, "f.size", "at most"),
    ({"type": "array", "items": STRING}, ["a"], ["a", 1], "f[1]", "expected a string, found 1"),
    ({"type": "array", "items": STRING}, [], {}, "f", "expected an array, found an object"),
    ({"type": "array", "items": STRING, "maxLength": 1}, ["a"], ["a", "b"], "f", "at most 1 items, found 2"),
    ({"type": "array", "items": STRING, "minLength": 1}, ["a"], [], "f", "at least 1 items, found 0"),
    ({"type": "ref", "ref": "#point"}, {"x": 1}, {"y": 1}, "f.x", "required, but missing"),
    ({"type": "ref", "ref": "#point"}, {"x": 1, "z": []}, {"x": None}, "f.x", "found null"),
    ({"type": "ref", "ref": f"{NSID}#point"}, {"x": 1}, {"x": "1"}, "f.x", "expected an integer"),
    ({"type": "ref", "ref": "#point"}, {"x": 1}, {"$bytes": "AQ"}, "f", "expected an object, found bytes"),
    ({"type": "ref", "ref": "#word"}, "short", "longer", "f", "at most 5 bytes"),
    ({"type": "ref", "ref": "#red"}, f"{NSID}#red", "red", "f", f"expected '{NSID}#red'"),
    (OPEN, {"$type": f"{NSID}#point", "x": 1}, {"$type": f"{NSID}#point"}, "f.x", "required"),
    (OPEN, {"$type": "org.example.other"}, {"x": 1}, "f.$type", "required, but missing"),
    (OPEN, {"$type": "org.example.other"}, {"$type": 5}, "f.$type", "expected the name of a type, found 5"),
    (OPEN, {"$type": "org.example.other"}, {"$type": ""}, "f.$type", "expected the name of a type"),
    (OPEN, {"$type": "#point"}, "text", "f", "expected an object with a $type, found 'text'"),
    (CLOSED, {"$type": f"{NSID}#tree"}, {"$type": "org.example.other"}, "f.$type", "expected one of"),
    (CLOSED, {"$type": f"{NSID}#tree"}, {"$type": "#tree"}, "f.$type", "expected one of"),
    ({"type": "unknown"}, {"any": [1.5]}, "text", "f", "expected an object, found 'text'"),
    ({"type": "unknown"}, {}, [], "f", "expected an object, found an array of 0"),
    ({"type": "unknown"}, {}, LINK, "f", "expected an object, found a CID link"),
    ({"type": "unknown"}, {}, BLOB, "f", "expected an object, found an object of type 'blob'"),
]


@pytest.mark.parametrize(("field", "good", "bad", "where", "message"), TABLE)
def test_a_good_value_passes_and_a_bad_one_has_one_fault(
    field: dict[str, Any], good: object, bad: object, where: str, message: str
) -> None:
    assert faults(field, good) == ()
    [fault] = faults(field, bad)
    assert fault.where == where
    assert message in fault.message
    assert len(str(fault)) < 400


def test_every_type_of_the_language_is_in_the_table() -> None:
    assert {row[0]["type"] for row in TABLE} == {
        *("null", "boolean", "integer", "string", "bytes", "cid-link", "blob"),
        *("array", "ref", "union", "unknown"),
    }


FILES = {
    "at-identifier": "atidentifier",
    "at-uri": "aturi",
    "record-key": "recordkey",
    **{name: name for name in ("cid", "datetime", "did", "handle", "language", "nsid", "tid", "uri")},
}


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        *product(FORMATS, ["syntax_valid", "syntax_invalid"]),
        ("datetime", "parse_invalid"),
        ("language", "parse_invalid"),
    ],
)
def test_formats_judge_the_protocols_vectors_rightly(name: str, verdict: str) -> None:
    path = VECTORS / f"{FILES[name]}_{verdict}.txt"
    texts = [line for line in path.read_text(encoding="utf-8").split("\n") if line and not line.startswith("#")]
    judged = {text: faults({"type": "string", "format": name}, text) == () for text in texts}
    assert set(judged.values()) == {verdict == "syntax_valid"}, judged


def test_an_integer_too_long_to_print_is_a_fault() -> None:
    """Python refuses to write out more than 4,300 digits."""
    [fault] = faults({"type": "integer"}, 10**10_000)
    assert "an integer of 33220 bits" in fault.message


def test_a_known_value_is_an_example_and_no_limit() -> None:
    assert faults({"type": "string", "knownValues": ["a"]}, "b") == ()


def test_a_missing_field_is_told_with_the_one_that_was_probably_meant() -> None:
    checked = Lexicons.of([("test", lexicon(STRING))])
    assert checked.validate(NSID, {"$type": NSID}) == (Fault(where="f", message="required, but missing"),)
    [fault] = checked.validate(NSID, {"$type": NSID, "F": "x"})
    assert fault.hint is not None
    assert "'F'" in fault.hint


def test_an_optional_field_may_be_absent_but_not_null_unless_nullable() -> None:
    optional = Lexicons.of([("test", lexicon(STRING, required=False))])
    assert optional.validate(NSID, {"$type": NSID}) == ()
    assert optional.validate(NSID, {"$type": NSID, "f": None}) != ()
    assert faults(STRING, None, nullable=["f"]) == ()


def test_unknown_fields_are_allowed() -> None:
    checked = Lexicons.of([("test", lexicon(STRING))])
    assert checked.validate(NSID, {"$type": NSID, "f": "", "more": 1.5, "\ud800": object()}) == ()


@pytest.mark.parametrize(
    ("record", "where"),
    [
        ({"f": "x"}, "$type"),
        ({"$type": "org.example.other", "f": "x"}, "$type"),
        ({"$type": None, "f": "x"}, "$type"),
        ({"$type": f"{NSID}#main", "f": "x"}, "$type"),
        ([], ""),
        (None, ""),
        ("text", ""),
    ],
)
def test_a_record_is_an_object_with_its_own_type(record: object, where: str) -> None:
    [fault] = Lexicons.of([("test", lexicon(STRING))]).validate(NSID, record)
    assert fault.where == where


@pytest.mark.parametrize("name", ["org.example.absent", f"{NSID}#point", "", "x" * 10_000])
def test_what_names_no_record_type_is_a_fault(name: str) -> None:
    [fault] = Lexicons.of([("test", lexicon(STRING))]).validate(name, {})
    assert "no record type" in fault.message
    assert len(fault.message) < 200


def test_all_faults_are_told_not_the_first() -> None:
    field = {"type": "array", "items": {"type": "ref", "ref": "#point"}}
    found = faults(field, [{"x": 1}, {"x": "a", "y": "b"}, 3])
    assert [fault.where for fault in found] == ["f[1].x", "f[1].y", "f[2]"]


def test_a_million_faults_are_told_short_and_not_all_looked_for() -> None:
    """Validation ends with the last fault that is reported: about twenty calls a fault."""
    found: list[Fault] = []
    assert calls(lambda: found.extend(faults({"type": "array", "items": STRING}, [0] * 1_000_000))) < 50 * MAX_FAULTS
    assert len(found) == MAX_FAULTS + 1
    assert f"more than {MAX_FAULTS}" in found[-1].message


def test_recursive_types_end_at_the_nesting_limit() -> None:
    value: dict[str, Any] = {}
    for _ in range(10_000):
        value = {"children": [value]}
    [fault] = faults({"type": "ref", "ref": "#tree"}, value)
    assert "inside each other" in fault.message
    shallow: dict[str, Any] = {"children": [{"children": [{}]}]}
    assert faults({"type": "ref", "ref": "#tree"}, shallow) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([CID, f"{NSID}#point"]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["x", "y", "f", "children", "ref", "$type", "$link", "$bytes", "cid"]), inner)
        | st.dictionaries(st.text(), inner)
    ),
    max_leaves=25,
)
EVERYTHING = Lexicons.of(
    [
        (
            "test",
            {
                "lexicon": 1,
                "id": NSID,
                "defs": {
                    **DEFS,
                    "main": {
                        "type": "record",
                        "key": "any",
                        "record": {
                            "type": "object",
                            "required": ["f0"],
                            "properties": {f"f{index}": row[0] for index, row in enumerate(TABLE)},
                        },
                    },
                },
            },
        )
    ]
)


@given(JSON)
@example({1: 2, "f0": object()})
def test_any_value_validates_to_faults_in_every_field(value: object) -> None:
    """And nothing is raised; the texts are printable."""
    fields = {f"f{index}": value for index in range(len(TABLE))}
    for record in (value, {"$type": NSID, **fields}):
        for fault in EVERYTHING.validate(NSID, record):
            assert "\n" not in str(fault)
            str(fault).encode("utf-8")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"lexicon": 2}, "version 1"),
        ({"lexicon": True}, "right type"),
        ({"id": "example"}, "not an NSID"),
        ({"id": None}, "right type"),
        ({"defs": []}, "right type"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"defs": {"main": {"type": "strnig"}}}, "unknown type 'strnig'"),
        ({"defs": {"main": "string"}}, "unknown type None"),
        ({"defs": {"main": {"type": "string", "maxLenght": 5}}}, "unknown key 'maxLenght'"),
        ({"defs": {"main": {"type": "string", "maxLength": "5"}}}, "right type"),
        ({"defs": {"main": {"type": "string", "maxLength": -1}}}, "negative"),
        ({"defs": {"main": {"type": "string", "format": "url"}}}, "unknown format 'url'"),
        ({"defs": {"main": {"type": "string", "enum": [1]}}}, "list of str"),
        ({"defs": {"main": {"type": "integer", "enum": [True]}}}, "list of int"),
        ({"defs": {"main": {"type": "ref", "ref": "#absent"}}}, "no definition org.example.record#absent"),
        ({"defs": {"main": {"type": "ref", "ref": "#a"}, "a": {"type": "ref", "ref": "#main"}}}, "circle"),
        ({"defs": {"main": {"type": "union", "refs": ["#a"]}, "a": {"type": "string"}}}, "not an object"),
        ({"defs": {"main": {"type": "union", "refs": [], "closed": True}}}, "union of nothing"),
        ({"defs": {"main": {"type": "union"}}}, "required"),
        ({"defs": {"main": {"type": "object", "properties": {}, "required": ["a"]}}}, "not among the properties"),
        ({"defs": {"main": {"type": "object", "properties": {}, "nullable": ["a"]}}}, "not among the properties"),
        ({"defs": {"main": {"type": "array"}}}, "unknown type None"),
        ({"defs": {"main": {"type": "record", "key": "any", "record": {"type": "string"}}}}, "a record is an object"),
        ({"defs": {"main": {"type": "record", "key": "all", "record": {}}}}, "record key"),
    ],
)
def test_a_broken_lexicon_stops_loudly(change: dict[str, Any], what: str) -> None:
    good = {"lexicon": 1, "id": NSID, "defs": {"main": {"type": "string"}}}
    assert Lexicons.of([("test", good)])
    with pytest.raises(CatalogError, match="broken lexicon") as caught:
        Lexicons.of([("test", {**good, **change})])
    assert what in str(caught.value)


def test_an_error_in_a_lexicon_tells_its_place() -> None:
    with pytest.raises(CatalogError) as caught:
        Lexicons.of([("a.json", lexicon({"type": "array", "items": {"type": "wrong"}}))])
    assert caught.value.where == "a.json: defs.main.record.properties.f.items"


def test_two_lexicons_of_one_name_are_refused() -> None:
    with pytest.raises(CatalogError, match="defined twice"):
        Lexicons.of([("a", lexicon(STRING)), ("b", lexicon(STRING))])


def test_procedures_are_passed_over() -> None:
    procedure = {"lexicon": 1, "id": "org.example.do", "defs": {"main": {"type": "procedure", "input": {}}}}
    assert Lexicons.of([("p", procedure)]).definitions == {}


def test_a_folder_is_loaded_and_one_without_lexicons_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no lexicons"):
        Lexicons.load(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps(lexicon(STRING)), encoding="utf-8")
    assert Lexicons.load(tmp_path).validate(NSID, {"$type": NSID, "f": "x"}) == ()
    (tmp_path / "b.json").write_text("{", encoding="utf-8")
    with pytest.raises(CatalogError, match="broken lexicon"):
        Lexicons.load(tmp_path)
